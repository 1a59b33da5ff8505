"""Random scores: the lower bound for every metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mmrec_core.models._base import Model, fallback_sources
from mmrec_core.types import History, Progress, TrainSet, UserState, quiet


class Random(Model):
    """Random scores: the lower bound for any model, and a check of the evaluation."""

    family: ClassVar[str] = "baseline"

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Store which users and items occur in training; nothing is learned."""
        self.mark_known(train.interactions)

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """A key ``[B]`` that seeds each user's scores."""
        return {"key": user}

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]``, uniform in 0 … 1, a function of (seed, user) only."""
        rows = [
            np.random.default_rng([self.seed, int(k) & 0xFFFFFFFF]).random(self.schema.n_items, np.float32)
            for k in state["key"]
        ]
        scores = torch.from_numpy(np.stack(rows)) if rows else torch.zeros(0, self.schema.n_items)
        return scores if items is None else scores[:, items]

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """Keys by the length of each history; their source is ``fallback``."""
        key = torch.tensor([self.schema.n_users + len(h) for h in histories], dtype=torch.int64)
        return UserState({"key": key}, fallback_sources(len(histories)))
