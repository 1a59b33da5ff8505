"""Two questions about a row, answered from shared experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config, setting
from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.models._layers import mlp
from mmrec_core.types import Head, Schema, Side, TrainSet, with_data


class TinyMMoE(GradientModel):
    """Experts shared by all labels, weighed by a gate of each label's own (Ma et al. 2018, "MMoE"); it has no users."""

    class Config(Config):
        """How many experts, and how wide."""

        dim: int = setting(4, "width of the embedding of a categorical feature", ge=1, le=64)
        experts: int = setting(4, "networks that the labels share", ge=1, le=64)
        width: int = setting(16, "outputs of an expert", ge=1, le=512)

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    train_defaults: ClassVar[Mapping[str, Any]] = {"batch_size": 512, "lr": 0.005, "max_epochs": 5, "patience": 2}
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        fields = with_data(side, "row")
        self.dense = [f.name for f in fields if f.kind == "dense"]
        self.sparse = [f.name for f in fields if f.kind != "dense"]
        self.tables = nn.ModuleList(nn.Embedding(f.size, config.dim) for f in fields if f.kind != "dense")
        wide = len(self.dense) + config.dim * len(self.sparse)
        widths = [wide, 2 * config.width, config.width]
        self.experts = nn.ModuleList(mlp(widths, last_activation=True) for _ in range(config.experts))
        self.gate = nn.ModuleList(nn.Linear(wide, config.experts) for _ in schema.labels)
        self.tower = nn.ModuleList(nn.Linear(config.width, 1) for _ in schema.labels)

    @classmethod
    def heads(cls, config: Config, schema: Schema) -> tuple[Head, ...]:
        """One click head per label of the dataset."""
        return tuple(Head(label, "click") for label in schema.labels)

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Features and labels of every training row."""
        return self.rows(train.interactions)

    def inputs(self, batch: Batch) -> Tensor:
        """Dense values and embedded categories side by side: ``[B, wide]``."""
        dense = [batch[name][:, None] for name in self.dense]
        sparse = [table(batch[name]) for name, table in zip(self.sparse, self.tables, strict=True)]
        return torch.cat([*dense, *sparse], 1)

    def gates(self, inputs: Tensor) -> Tensor:
        """How much each label listens to each expert: ``[B, H, E]``, adding up to 1 over experts."""
        return torch.stack([gate(inputs) for gate in self.gate], 1).softmax(-1)

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """``[B, H]`` log-odds."""
        inputs = self.inputs(batch)
        told = torch.stack([expert(inputs) for expert in self.experts], 1)
        mixed = torch.einsum("bhe,bed->bhd", self.gates(inputs), told)
        return torch.cat([tower(mixed[:, at]) for at, tower in enumerate(self.tower)], 1)

    def row_losses(self, batch: Batch) -> Tensor:
        """Cross-entropy, averaged over the labels."""
        truth = torch.stack([batch[f"label:{name}"] for name in self.schema.labels], 1)
        return F.binary_cross_entropy_with_logits(self({}, batch), truth, reduction="none").mean(1)
