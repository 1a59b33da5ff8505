"""Biased matrix factorisation for ratings (Koren, Bell and Volinsky 2009)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core.config import Config, setting
from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.types import Array, Head, History, Schema, Side, Source, TrainSet, UserState


class MF(GradientModel):
    """Biased matrix factorisation for ratings (Koren, Bell & Volinsky 2009, "Matrix Factorization Techniques").

    ``r(u, i) = μ + b_u + b_i + ⟨p_u, q_i⟩``, squared error, with an L2 penalty per rating that is divided by the square
    root of the number of ratings of the user and of the item (the frequency regularisation of MyMediaLite). A new
    user's ``(b_u, p_u)`` is the exact minimiser of the same objective with fixed items: a ridge regression.
    """

    class Config(Config):
        """Number of factors and regularisation."""

        dim: int = setting(100, "number of factors of users and films", ge=1, le=1024, log=True)
        l2: float = setting(
            1.2,
            "L2 penalty on the factors, per rating, divided by √(number of ratings)",
            ge=0.0,
            le=100.0,
            log=True,
        )
        l2_bias: float = setting(
            0.03, "L2 penalty on the biases, per rating, divided by √(number of ratings)", ge=0.0, le=100.0, log=True
        )
        id_dropout: float = setting(
            0.01, "share of ids hidden in training, which trains the embeddings of unknown ids", ge=0.0, le=0.5
        )
        init: float = setting(
            0.1, "standard deviation of the factors before training", ge=1e-4, le=1.0, log=True, advanced=True
        )

    family: ClassVar[str] = "matrix factorisation"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "rating"})
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.005, "batch_size": 1024, "max_epochs": 80, "patience": 5}
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.user_factors = nn.Embedding(schema.n_users + 1, config.dim)
        self.item_factors = nn.Embedding(schema.n_items + 1, config.dim)
        self.user_bias = nn.Embedding(schema.n_users + 1, 1)
        self.item_bias = nn.Embedding(schema.n_items + 1, 1)
        self.mean: Tensor
        self.user_weight: Tensor
        self.item_weight: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("user_weight", torch.ones(schema.n_users + 1))
        self.register_buffer("item_weight", torch.ones(schema.n_items + 1))
        generator = self.generator(0, 9)
        for table in (self.user_factors, self.item_factors):
            nn.init.normal_(table.weight, 0.0, config.init, generator=generator)
        for table in (self.user_bias, self.item_bias):
            nn.init.zeros_(table.weight)

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """One rating head."""
        return (Head("rating", "rating"),)

    def begin(self, train: TrainSet) -> None:
        """Compute the mean rating, and the weight ``1/√n`` of each id's penalty."""
        events = train.interactions
        self.mean = torch.tensor(float(np.mean(np.asarray(events.need("rating"), np.float64))), device=self.mean.device)
        for name, column, size in (
            ("user_weight", events.need("user"), self.schema.n_users),
            ("item_weight", events.need("item"), self.schema.n_items),
        ):
            count = np.bincount(np.asarray(column), minlength=size + 1)
            setattr(self, name, torch.from_numpy(1 / np.sqrt(np.maximum(count, 1))).float().to(self.mean.device))

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """User, item and rating of every training row."""
        batch = self.rows(train.interactions)
        return {key: batch[key] for key in ("user", "item", "rating")}

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Factors ``[B, d]`` and bias ``[B]``."""
        user = self.oov_user(user)
        return {"factors": self.user_factors(user), "bias": self.user_bias(user)[:, 0]}

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Ratings ``[B, 1]``."""
        item = self.oov_item(batch["item"])
        product = (user["factors"] * self.item_factors(item)).sum(1)
        return (self.mean + user["bias"] + self.item_bias(item)[:, 0] + product)[:, None]

    def row_losses(self, batch: Batch) -> Tensor:
        """Losses ``[B]``: squared error plus the penalty on the row's user and item."""
        user = self.user_tensors(batch)
        item = self.oov_item(batch["item"])
        error = (self(user, batch)[:, 0] - batch["rating"]).square()
        w_user, w_item = self.user_weight[self.oov_user(batch["user"])], self.item_weight[item]
        factors = w_user * user["factors"].square().sum(1) + w_item * self.item_factors(item).square().sum(1)
        biases = w_user * user["bias"].square() + w_item * self.item_bias(item)[:, 0].square()
        return error + self.config.l2 * factors + self.config.l2_bias * biases

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Ratings ``[B, I]`` by one matrix product."""
        items = torch.arange(self.schema.n_items, device=self.mean.device) if items is None else items
        row = self.oov_item(items)
        return (
            self.mean + state["bias"][:, None] + self.item_bias(row)[:, 0] + state["factors"] @ self.item_factors(row).T
        )

    def item_vectors(self) -> Tensor | None:
        """Item factors, ``[I, d]``."""
        return self.item_factors(self.oov_item(torch.arange(self.schema.n_items, device=self.mean.device))).detach()

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users by ridge regression of each history's residuals on the item factors, with the same
        penalties as in training."""
        state, _ = self.free_state(len(histories))
        sources: list[Source] = []
        for row, history in enumerate(histories):
            n = len(history)
            sources.append("folded" if n and history.ratings is not None else "fallback")
            if sources[-1] == "fallback":
                continue
            item = self.oov_item(torch.as_tensor(np.asarray(history.items, np.int64), device=self.mean.device))
            residuals = (
                torch.as_tensor(np.asarray(history.ratings, np.float32), device=self.mean.device)
                - self.mean
                - self.item_bias(item)[:, 0]
            )
            x = torch.cat([self.item_factors(item), torch.ones(n, 1, device=self.mean.device)], 1).double()
            penalty = torch.full((x.shape[1],), self.config.l2 * n**0.5, dtype=torch.float64, device=self.mean.device)
            penalty[-1] = self.config.l2_bias * n**0.5
            solved = torch.linalg.solve(x.T @ x + torch.diag(penalty + 1e-9), x.T @ residuals.double()).float()
            state["factors"][row], state["bias"][row] = solved[:-1], solved[-1]
        return UserState(state, tuple(sources))

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and items by their ids."""
        users, items = self.names_of("user"), self.names_of("item")
        return {
            "user_factors.weight": users,
            "item_factors.weight": items,
            "user_bias.weight": users,
            "item_bias.weight": items,
        }
