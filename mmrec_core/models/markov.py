"""First-order Markov chain over consecutive items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from mmrec_core.config import Config as AnyConfig
from mmrec_core.config import setting
from mmrec_core.models._base import Model
from mmrec_core.models._sequence import in_order, read_history
from mmrec_core.types import History, Interactions, Progress, Schema, Side, Source, TrainSet, UserState, quiet


class Markov(Model):
    """First-order Markov chain: transition probabilities from the last item, smoothed by popularity.

    ``score(j | i) = (n(i → j) + smoothing · share(j)) / (n(i) + smoothing)``; a user without a last item gets the
    shares. An item that follows ``g`` events later counts ``1 / g``, up to ``reach`` events; ``reach=1`` is the plain
    chain, which is sparse. It is the simple baseline of sequence models (Rendle et al. 2010 factorise it).
    """

    class Config(AnyConfig):
        """Smoothing, and which events are read."""

        smoothing: float = setting(
            10.0,
            "weight of popularity, in events, beside the counted transitions",
            ge=0.01,
            le=10_000.0,
            log=True,
            unit="events",
        )
        events: Literal["liked", "all"] = setting(
            "liked", "which events are read: liked ones, or all, whatever their rating"
        )

        reach: int = setting(
            5,
            "how many events later a film still counts as a successor; 1: only the next event",
            ge=1,
            le=100,
            unit="events",
        )

    family: ClassVar[str] = "sequence"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "sequence"})
    streams: ClassVar[bool] = True
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.start: Tensor
        self.item: Tensor
        self.count: Tensor
        self.share: Tensor
        self.latest: Tensor
        self.register_buffer("start", torch.zeros(schema.n_items + 1, dtype=torch.int64))
        self.register_buffer("item", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("count", torch.zeros(0))
        self.register_buffer("share", torch.zeros(schema.n_items))
        self.register_buffer("latest", torch.full((schema.n_users + 1,), schema.n_items, dtype=torch.int64))

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Count the transitions between items."""
        import scipy.sparse as sp

        self.mark_known(train.interactions)
        n = self.schema.n_items
        rows = train.positives if self.config.events == "liked" else train.interactions
        user, item = in_order(rows)
        table = sp.csr_matrix((n, n), dtype=np.float32)
        for gap in range(1, self.config.reach + 1):
            at = np.flatnonzero(user[gap:] == user[:-gap]) if gap < len(user) else np.zeros(0, np.int64)
            table = table + sp.csr_matrix(
                (np.full(len(at), 1 / gap, np.float32), (item[at], item[at + gap])), shape=(n, n)
            )
        self.start = torch.from_numpy(table.indptr.astype(np.int64))
        self.item, self.count = torch.from_numpy(table.indices.astype(np.int32)), torch.from_numpy(table.data)
        popular = np.bincount(item, minlength=n).astype(np.float32)
        self.share = torch.from_numpy(popular / max(popular.sum(), 1))
        last = np.full(self.schema.n_users + 1, n, np.int64)
        last[user] = item  # sorted by user and time: the last write is the last item
        self.latest = torch.from_numpy(last)

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Last items ``[B]``; ``I`` where there is none."""
        return {"last": self.latest[user]}

    def observe(self, events: Interactions) -> None:
        """Update users' last items; the counts do not change."""
        if self.config.events == "liked" and self.schema.relevant_from is not None and events.rating is not None:
            events = events.take(np.flatnonzero(np.asarray(events.rating) >= self.schema.relevant_from))
        user, item = in_order(events)
        known = self.known_items[:-1].cpu().numpy()[item]
        latest = self.latest.cpu().numpy().copy()
        latest[user[known]] = item[known]
        self.latest = torch.from_numpy(latest).to(self.latest.device)

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]`` by the transitions from each last item."""
        last, n = state["last"], self.schema.n_items
        scores = self.share.repeat(len(last), 1)
        exists = last < n
        known = torch.where(exists, last, 0)
        begin, end = self.start[known], torch.where(exists, self.start[known + 1], self.start[known])
        size = end - begin
        row = torch.repeat_interleave(torch.arange(len(last), device=last.device), size)
        at = (
            begin[row]
            + torch.arange(len(row), device=last.device)
            - torch.repeat_interleave(size.cumsum(0) - size, size)
        )
        counts = torch.zeros_like(scores)
        counts[row, self.item[at].long()] = self.count[at]
        smoothed = (counts + self.config.smoothing * scores) / (counts.sum(1, keepdim=True) + self.config.smoothing)
        return smoothed if items is None else smoothed[:, items]

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: the last item of each history that occurs in training."""
        known = self.known_items[:-1].cpu().numpy()
        relevance_threshold = self.schema.relevant_from if self.config.events == "liked" else None
        items = [read_history(h, known, relevance_threshold) for h in histories]
        last = torch.tensor([int(own[-1]) if len(own) else self.schema.n_items for own in items], dtype=torch.int64)
        source: tuple[Source, ...] = tuple("folded" if len(own) else "fallback" for own in items)
        return UserState({"last": last.to(self.share.device)}, source)
