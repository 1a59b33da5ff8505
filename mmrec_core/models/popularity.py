"""Most popular items, the same list for every user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mmrec_core.config import Config
from mmrec_core.models._base import Model, fallback_sources
from mmrec_core.types import History, Interactions, Progress, Schema, Side, TrainSet, UserState, quiet


class Popularity(Model):
    """Most popular items, the same list for every user: the baseline of every comparison."""

    family: ClassVar[str] = "baseline"
    streams: ClassVar[bool] = True

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.counts: Tensor
        self.register_buffer("counts", torch.zeros(schema.n_items))

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Count the likes of every item in training."""
        self.mark_known(train.interactions)
        counts = np.bincount(np.asarray(train.positives.need("item")), minlength=self.schema.n_items)
        self.counts = torch.from_numpy(counts.astype(np.float32))

    def observe(self, events: Interactions) -> None:
        """Add the likes among new events to the counts."""
        item, relevance_threshold = np.asarray(events.need("item")), self.schema.relevant_from
        if events.rating is not None and relevance_threshold is not None:
            item = item[np.asarray(events.rating) >= relevance_threshold]
        self.counts = self.counts + torch.from_numpy(
            np.bincount(item, minlength=self.schema.n_items).astype(np.float32)
        )

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """An empty state ``[B, 0]``, which only has a number of users."""
        return {"empty": torch.zeros(len(user), 0)}

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """The counts as scores of every user, ``[B, I]``."""
        scores = self.counts if items is None else self.counts[items]
        return scores.expand(len(state["empty"]), -1).clone()

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """The empty state; its source is ``fallback``, because it uses nothing of the history."""
        return UserState(
            self.gather_users(torch.zeros(len(histories), dtype=torch.int64)), fallback_sources(len(histories))
        )
