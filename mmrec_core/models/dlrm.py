"""Embeddings that meet in dot products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core.config import Config, setting
from mmrec_core.models._base import UNKNOWN, Batch, GradientModel
from mmrec_core.models._layers import WIDTHS, mlp, widths
from mmrec_core.types import Array, Head, Schema, Side, TrainSet, with_data


class DLRM(GradientModel):
    """Embeddings of ids and features whose pairwise dot products feed a small network (Naumov et al. 2019).

    Every sparse feature (user, film, genres, occupation …) has a ``d``-wide embedding, several values averaged; dense
    features (year, age) pass a bottom MLP that ends in ``d``. The top MLP sees the dense vector and the dot products of
    all pairs, ``[z ‖ ⟨v_a, v_b⟩ for a > b]``, as in the reference code: the embeddings themselves are not appended.
    Ratings are learned by squared error around their mean.
    """

    class Config(Config):
        """Widths, features and regularisation."""

        dim: int = setting(32, "width of every embedding", ge=2, le=512, log=True)
        bottom: str = setting(
            "32", "widths of the hidden layers for dense features, separated by commas", pattern=WIDTHS
        )
        top: str = setting(
            "64,32", "widths of the hidden layers above the dot products, separated by commas", pattern=WIDTHS
        )
        fields: str = setting(
            "genres,director,gender,occupation,age,year",
            "side features to use where the dataset has them; empty: ids only",
        )
        dropout: float = setting(0.2, "share of the top network's units silenced in training", ge=0.0, le=0.9)
        l2: float = setting(0.1, "pull of the id embeddings towards zero, per rating", ge=0.0, le=10.0, log=True)
        id_dropout: float = setting(
            0.01, "share of ids hidden in training, which teaches the row for unknown ids", ge=0.0, le=0.5
        )

        init: float = setting(0.1, "spread of the embeddings before training", ge=1e-4, le=1.0, log=True, advanced=True)

    needs: ClassVar[frozenset[str]] = frozenset({"ids", "rating"})
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.001, "batch_size": 512, "max_epochs": 40, "patience": 4}
    FOLD_LR: ClassVar[float] = 0.02
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        wanted = {name.strip() for name in config.fields.split(",") if name.strip()}
        self.used = {owner: [f for f in with_data(side, owner) if f.name in wanted] for owner in ("user", "item")}
        dim = config.dim
        self.user_id = nn.Embedding(schema.n_users + 1, dim)
        self.item_id = nn.Embedding(schema.n_items + 1, dim)
        self.tables = nn.ModuleDict()
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.n_dense = 0
        for owner, fields in self.used.items():
            for field in fields:
                data = torch.from_numpy(field.data)
                pad = torch.zeros(1, *data.shape[1:], dtype=data.dtype)
                self.register_buffer(f"{owner}_{field.name}", torch.cat([data, pad]), persistent=False)
                if field.kind == "dense":
                    self.n_dense += 1
                else:
                    self.tables[f"{owner}_{field.name}"] = nn.Embedding(field.size, dim)
        n_vectors = 2 + len(self.tables) + bool(self.n_dense)
        self.bottom = mlp([self.n_dense, *widths(config.bottom), dim], last_activation=True) if self.n_dense else None
        self.lower: Tensor
        self.register_buffer("lower", torch.tril_indices(n_vectors, n_vectors, -1), persistent=False)
        n_pairs = n_vectors * (n_vectors - 1) // 2
        self.top = mlp([n_pairs + (dim if self.n_dense else 0), *widths(config.top), 1], config.dropout)
        self._seed_weights()

    def _seed_weights(self) -> None:
        generator = self.generator(0, 9)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, 0.0, self.config.init, generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
                nn.init.zeros_(module.bias)

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """One rating."""
        return (Head("rating", "rating"),)

    def begin(self, train: TrainSet) -> None:
        """Remember the mean rating, around which the network predicts."""
        self.mean = torch.tensor(
            float(np.mean(np.asarray(train.interactions.need("rating"), np.float64))), device=self.mean.device
        )

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """User, item and rating of every training row."""
        batch = self.rows(train.interactions)
        return {key: batch[key] for key in ("user", "item", "rating")}

    def _side(self, owner: str, rows: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Embedded fields ``[B, F, d]`` and dense values ``[B, D]`` of an owner's rows."""
        vectors, dense = [], []
        for field in self.used[owner]:
            data = getattr(self, f"{owner}_{field.name}")[rows]
            if field.kind == "dense":
                dense.append(data)
                continue
            embedded = self.tables[f"{owner}_{field.name}"](data)
            if field.kind == "multi":
                there = (data > 0).to(embedded.dtype)[..., None]
                embedded = (embedded * there).sum(1) / there.sum(1).clamp(min=1)
            vectors.append(embedded)
        empty = like.new_zeros(len(like), 0, like.shape[1])
        return torch.stack(vectors, 1) if vectors else empty, torch.stack(dense, 1) if dense else like.new_zeros(
            len(like), 0
        )

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Id embedding ``[B, d]``, field embeddings ``[B, F, d]``, dense values ``[B, D]``."""
        vector = self.user_id(self.oov_user(user))
        fields, dense = self._side("user", user, vector)
        return {"id": vector, "fields": fields, "dense": dense}

    def free_state(self, n: int) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Only the id embedding of a new user is free; unknown side features stay missing."""
        return super().free_state(n)[0], ("id",)

    def interact(self, vectors: Tensor) -> Tensor:
        """Dot products of all pairs: ``[B, n, d] → [B, n·(n−1)/2]``, the lower triangle row by row."""
        dots = torch.bmm(vectors, vectors.transpose(1, 2))
        return dots[:, self.lower[0], self.lower[1]]

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """``[B, 1]`` ratings."""
        item = self.item_id(self.oov_item(batch["item"]))
        fields, dense = self._side("item", batch["item"], item)
        vectors = [user["id"][:, None], item[:, None], user["fields"], fields]
        if self.bottom is not None:
            z = self.bottom(torch.cat([user["dense"], dense], 1))
            stacked = torch.cat([z[:, None], *vectors], 1)
            above = torch.cat([z, self.interact(stacked)], 1)
        else:
            above = self.interact(torch.cat(vectors, 1))
        return self.mean + self.top(above)

    def row_losses(self, batch: Batch) -> Tensor:
        """Squared error and the l2 of the row's id embeddings."""
        user = self.user_tensors(batch)
        error = (self(user, batch)[:, 0] - batch["rating"]).square()
        sizes = user["id"].square().sum(1) + self.item_id(self.oov_item(batch["item"])).square().sum(1)
        return error + self.config.l2 * sizes

    def item_vectors(self) -> Tensor | None:
        """Id embeddings of the films ``[I, d]``."""
        return self.item_id(self.oov_item(torch.arange(self.schema.n_items, device=self.mean.device))).detach()

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and films by their ids, features by their values."""
        found = {"user_id.weight": self.names_of("user"), "item_id.weight": self.names_of("item")}
        for owner, fields in self.used.items():
            for field in fields:
                if field.kind != "dense":
                    names = np.array([UNKNOWN, *field.vocabulary], dtype=object)
                    found[f"tables.{owner}_{field.name}.weight"] = (f"{owner}.{field.name}", names)
        return found
