"""Damped user and item biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mmrec_core.config import Config, setting
from mmrec_core.models._base import Batch, Model
from mmrec_core.types import Head, History, Progress, Schema, Side, Source, TrainSet, UserState, quiet


class Bias(Model):
    """Damped user and item biases: the baseline for RMSE (Koren 2010, "Factor in the Neighbors", section 2.1).

    ``r(u, i) = μ + b_i + b_u``, damped least squares solved by alternation. Its ranking is the same for every user:
    items by ``b_i``.
    """

    class Config(Config):
        """Damping of the biases."""

        l2_item: float = setting(2.0, "damping of film biases, as a number of ratings", ge=0.0, le=1000.0, log=True)
        l2_user: float = setting(4.0, "damping of user biases, as a number of ratings", ge=0.0, le=1000.0, log=True)
        rounds: int = setting(15, "alternations between film and user biases", ge=1, le=200)

    family: ClassVar[str] = "baseline"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "rating"})
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.mean: Tensor
        self.item_bias: Tensor
        self.user_bias: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("item_bias", torch.zeros(schema.n_items))
        self.register_buffer("user_bias", torch.zeros(schema.n_users + 1))

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """One rating head."""
        return (Head("rating", "rating"),)

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Compute damped means of the residuals, alternately for items and users."""
        self.mark_known(train.interactions)
        user, item = np.asarray(train.interactions.need("user")), np.asarray(train.interactions.need("item"))
        rating = np.asarray(train.interactions.need("rating"), np.float64)
        mean, b_user = rating.mean(), np.zeros(self.schema.n_users)
        n_item = np.bincount(item, minlength=self.schema.n_items) + self.config.l2_item
        n_user = np.bincount(user, minlength=self.schema.n_users) + self.config.l2_user
        b_item = np.zeros(self.schema.n_items)
        for done in range(self.config.rounds):
            progress(done, self.config.rounds, "fitting")
            b_item = np.bincount(item, rating - mean - b_user[user], self.schema.n_items) / np.maximum(n_item, 1e-12)
            b_user = np.bincount(user, rating - mean - b_item[item], self.schema.n_users) / np.maximum(n_user, 1e-12)
        self.mean = torch.tensor(float(mean))
        self.item_bias = torch.from_numpy(b_item).float()
        self.user_bias = torch.from_numpy(np.append(b_user, 0.0)).float()

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Biases ``[B]``; 0 for unknown users."""
        return {"bias": self.user_bias[torch.where(self.known_users[user], user, self.schema.n_users)]}

    def predict(self, batch: Batch) -> Tensor:
        """Ratings ``[B, 1]``, clamped to the scale."""
        state = batch.get("state")
        bias = state["bias"][batch["user"]] if state is not None else self.gather_users(batch["user"])["bias"]
        rating = self.mean + self.item_bias[batch["item"]] + bias
        return rating.clamp(*(self.schema.scale or (-torch.inf, torch.inf)))[:, None]

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Ratings ``[B, I]``, not clamped."""
        item_bias = self.item_bias if items is None else self.item_bias[items]
        return self.mean + state["bias"][:, None] + item_bias

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: the damped mean of their residuals, as in training."""
        bias = torch.zeros(len(histories))
        sources: list[Source] = []
        for row, history in enumerate(histories):
            usable = history.ratings is not None and len(history) > 0
            if usable:
                residuals = (
                    torch.as_tensor(np.asarray(history.ratings, np.float32))
                    - self.mean
                    - self.item_bias[torch.as_tensor(history.items)]
                )
                bias[row] = residuals.sum() / (len(history) + self.config.l2_user)
            sources.append("folded" if usable else "fallback")
        return UserState({"bias": bias}, tuple(sources))
