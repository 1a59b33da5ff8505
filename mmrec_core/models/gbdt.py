"""Gradient-boosted decision trees for click tables (Ke et al. 2017)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mmrec_core.config import Config, setting
from mmrec_core.models._base import Batch, Model
from mmrec_core.models._field_config import named_fields
from mmrec_core.types import Array, Head, Progress, Schema, Side, TrainSet, fields_of, quiet


class GBDT(Model):
    """Gradient-boosted trees on the columns of a click table, one booster per label (Ke et al. 2017, "LightGBM").

    It uses LightGBM's defaults, and categorical features as such. It is a strong baseline on tables of this size.
    """

    class Config(Config):
        """LightGBM's settings, under its own names."""

        n_estimators: int = setting(100, "trees", ge=1, le=10_000, unit="trees")
        num_leaves: int = setting(31, "most leaves of a tree", ge=2, le=4096)
        learning_rate: float = setting(0.1, "shrinkage of each tree's output", ge=1e-4, le=1.0, log=True)
        fields: str = setting("all", "columns to read: 'all', or names separated by commas; 'all,-age' leaves one out")

    family: ClassVar[str] = "features"
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        wanted = named_fields(side, config.fields)
        self.used = [f for f in fields_of(side, "row") if f.name in wanted]
        for at in range(len(schema.labels)):
            self.register_buffer(f"trees_{at}", torch.zeros(0, dtype=torch.uint8))
        self._boosters: list[Any] | None = None

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """One click head per label."""
        return tuple(Head(label, "click") for label in schema.labels)

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Train one booster per label; stored as LightGBM's text format."""
        import lightgbm

        table, labels = self._table(self.rows(train.interactions)), train.interactions.labels
        params = {
            "objective": "binary",
            "verbosity": -1,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_leaves": self.config.num_leaves,
            "learning_rate": self.config.learning_rate,
        }
        categories = [at for at, f in enumerate(self.used) if f.kind != "dense"]
        self._boosters = None
        for at, label in enumerate(self.schema.labels):
            progress(at, len(self.schema.labels), f"growing trees for {label}")
            data = lightgbm.Dataset(
                table, np.asarray(labels[label]), categorical_feature=categories, free_raw_data=True
            )
            text = lightgbm.train(params, data, self.config.n_estimators).model_to_string()
            setattr(self, f"trees_{at}", torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8))

    def _table(self, batch: Batch) -> Array:
        """Codes and standardised numbers as float64 ``[N, F]``; code 0 (missing or rare) is a category, too."""
        columns = [batch[f.name].numpy().astype(np.float64) for f in self.used]
        n = len(next(iter(batch.values())))
        return np.stack(columns, 1) if columns else np.zeros((n, 0))

    def predict(self, batch: Batch) -> Tensor:
        """Log-odds ``[B, H]``."""
        import lightgbm

        boosters = self._boosters
        if boosters is None:
            texts = [
                bytes(self.get_buffer(f"trees_{at}").cpu().numpy()).decode() for at in range(len(self.schema.labels))
            ]
            boosters = self._boosters = [lightgbm.Booster(model_str=text) for text in texts]
        table = self._table({k: v.cpu() if isinstance(v, Tensor) else v for k, v in batch.items()})
        if not len(table):
            return torch.zeros(0, len(self.schema.labels))
        columns = [np.asarray(booster.predict(table, raw_score=True)) for booster in boosters]
        return torch.from_numpy(np.stack(columns, 1)).float()

    def restore(self, snapshot: Any) -> None:
        """Restore a snapshot; also clear the parsed boosters."""
        super().restore(snapshot)
        self._boosters = None
