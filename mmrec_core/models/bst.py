"""Behaviour Sequence Transformer: attention over the target item and the latest items (Chen et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._attention import Block
from mmrec_core.models._base import Batch
from mmrec_core.models._feature_reader import FeatureBatch
from mmrec_core.models._field_config import FieldConfig
from mmrec_core.models._field_model import FieldModel
from mmrec_core.models._layers import WIDTHS, mlp, widths
from mmrec_core.types import History, Interactions, Schema, Side, Source, TrainSet, UserState


class BST(FieldModel):
    """Behaviour sequence Transformer (Chen et al. 2019, "BST", arXiv 1905.06874): attention over the target item and
    the user's latest events.

    The input of each item is its embedding plus an embedding of its position (number of events ago; 0 for the target)
    plus an embedding of its rating. The output of attention and the user, item and side features go into an MLP. Every
    feature also has a weight of its own (as in Cheng et al. 2016, "Wide & Deep"), because on few ratings the MLP alone
    overfits users and items. Ratings are learned by squared error, or liking by log-loss. A row reads the user's known
    events strictly before its time, in training and in evaluation. A new user's history is read; nothing is fitted.
    """

    class Config(FieldConfig):
        """Settings of the features, of the sequence, of attention and of the MLP."""

        length: int = setting(10, "how many of a user's latest events are read", ge=1, le=500, unit="events", log=True)
        stars: bool = setting(True, "read the rating of each of them, where there are ratings")
        blocks: int = setting(1, "Transformer blocks", ge=1, le=8)
        heads: int = setting(2, "attention heads; the width must be divisible by them", ge=1, le=16)
        history: bool = setting(
            False,
            "also read all items the user rated and all users who rated the film, later ones too, which a row that is"
            " evaluated cannot",
        )
        counts: bool = setting(False, "also read how many ratings user and film have in training")
        top: str = setting("128,64", "widths of the MLP's hidden layers, separated by commas", pattern=WIDTHS)
        dropout: float = setting(0.2, "dropout in attention and MLP", ge=0.0, le=0.9)
        l2: float = setting(0.1, "L2 penalty on the embeddings a row reads", ge=0.0, le=10.0, log=True)

    linear: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    family: ClassVar[str] = "sequence"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "sequence"})
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.001, "batch_size": 256, "max_epochs": 60, "patience": 5}
    PAIRS: ClassVar[int] = 1 << 14
    earlier_names: ClassVar[Mapping[str, str]] = {
        "told": "history_items",
        "told_stars": "history_ratings",
        "told_time": "history_times",
        "told_from": "history_starts",
    }
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        # all users' events sorted by user and time, their ratings and times, and where each user's begin
        # (these names are keys of saved weights)
        self.history_items: Tensor
        self.history_ratings: Tensor
        self.history_starts: Tensor
        self.register_buffer("history_items", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("history_ratings", torch.zeros(0, dtype=torch.uint8))
        self.history_times: Tensor
        self.register_buffer("history_times", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("history_starts", torch.zeros(schema.n_users + 2, dtype=torch.int64))
        self.ends = torch.zeros(0, dtype=torch.int64)
        """Position of each training row among the stored events."""
        dim = config.dim
        self.ago = nn.Embedding(config.length + 1, dim)
        self.given = nn.Embedding(len(self.levels) + 1, dim)
        """Embedding of ratings; row 0: no rating."""
        self.blocks = nn.ModuleList(Block(dim, config.heads, config.dropout, 4) for _ in range(config.blocks))
        self.last = nn.LayerNorm(dim)
        wide = (self.n_vectors + config.length + 1) * dim + self.n_dense
        self.top = mlp([wide, *widths(config.top), self.n_outputs], config.dropout)
        self.share = nn.Parameter(torch.ones(self.n_outputs)) if self.n_outputs > 1 else None
        """Weight of the first-order terms in each of several outputs."""
        self.seed_weights()

    def stars(self, rating: Any) -> Tensor:
        """Rows of :attr:`given` for ratings ``[N]``; ``None`` where there are no ratings."""
        if rating is None or not self.config.stars or not len(self.levels):
            return torch.zeros(0, dtype=torch.uint8)
        levels = self.levels.cpu()
        return (
            1 + torch.bucketize(torch.from_numpy(np.asarray(rating, np.float32)), (levels[1:] + levels[:-1]) / 2)
        ).to(torch.uint8)

    def begin(self, train: TrainSet) -> None:
        """Also store all users' events, sorted by user and time."""
        super().begin(train)
        user, item, stars, time = self.columns(train.interactions, 0)
        self.store(user, item, stars, time)
        self.ends = self.before(user.to(self.history_items.device), time.to(self.history_items.device)).cpu()

    def columns(self, rows: Interactions, start: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Users, items, rows of :attr:`given` and times ``[N]`` of events; without times, they are numbered from
        ``start`` on."""
        user, item = (torch.from_numpy(np.asarray(rows.need(role)).astype(np.int64)) for role in ("user", "item"))
        stars = self.stars(rows.rating)
        time = (
            torch.arange(start, start + len(user))
            if rows.time is None
            else torch.from_numpy(np.asarray(rows.time).astype(np.int64))
        )
        return user, item, stars if len(stars) else torch.zeros(len(user), dtype=torch.uint8), time

    def store(self, user: Tensor, item: Tensor, stars: Tensor, time: Tensor) -> None:
        """Store events sorted by user and time.

        Args:
            user: users, ``[N]``.
            item: items, ``[N]``.
            stars: rows of :attr:`given`, ``[N]``.
            time: times in seconds, ``[N]``.
        """
        order, device = torch.from_numpy(np.lexsort((time.numpy(), user.numpy()))), self.history_items.device
        self.history_items, self.history_ratings, self.history_times = (
            item[order].int().to(device),
            stars[order].to(device),
            time[order].to(device),
        )
        self.history_starts = torch.searchsorted(user[order], torch.arange(self.schema.n_users + 2)).to(device)

    def before(self, user: Tensor, time: Tensor) -> Tensor:
        """Positions ``[B]`` where users' stored events strictly before ``time [B]`` end. Events at the same time do not
        see each other."""
        if not len(self.history_items):
            return torch.zeros_like(user)
        first, span = self.history_times.min(), self.history_times.max() - self.history_times.min() + 2
        owner = torch.repeat_interleave(
            torch.arange(self.schema.n_users + 1, device=user.device), self.history_starts.diff()
        )
        query = user * span + torch.minimum((time - first).clamp(min=0), span - 1)
        found: Tensor = torch.searchsorted(owner * span + (self.history_times - first), query)
        return found

    def observe(self, events: Interactions) -> None:
        """Add events after training to the stored ones, where their items occur in training; no weight changes."""
        user, item, stars, time = self.columns(
            events, int(self.history_times.max()) + 1 if len(self.history_items) else 0
        )
        known = self.known_items[item.to(self.history_items.device)].cpu()
        owner = torch.repeat_interleave(torch.arange(self.schema.n_users + 1), self.history_starts.cpu().diff())
        pairs = zip(
            (owner, self.history_items.cpu().long(), self.history_ratings.cpu(), self.history_times.cpu()),
            (user, item, stars, time),
            strict=True,
        )
        self.store(*(torch.cat([old, new[known]]) for old, new in pairs))

    def targets(self, batch: Batch) -> Batch:
        """Also the position of each training row among the stored events; only training needs it."""
        return {**super().targets(batch), "end": self.ends}

    def latest(self, start: Tensor, end: Tensor) -> dict[str, Tensor]:
        """The latest stored events between positions ``start [B]`` and ``end [B]``, the latest first: items and rows of
        :attr:`given` ``[B, L]``, and how many there are ``[B]``."""
        ago = torch.arange(self.config.length, device=start.device)
        size = (end - start).clamp(min=0, max=self.config.length)
        at = (end[:, None] - 1 - ago).clamp(min=0, max=max(len(self.history_items) - 1, 0))
        if not len(self.history_items):
            return {"films": at + self.schema.n_items, "stars": at, "size": size}
        return {"films": self.history_items[at].long(), "stars": self.history_ratings[at].long(), "size": size}

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Also gather each user's latest events."""
        return {**super().gather_users(user), **self.latest(self.history_starts[user], self.history_starts[user + 1])}

    def user_tensors(self, batch: Batch) -> dict[str, Tensor]:
        """Also the user's events before the row's time, where it is known; none where training hides the history."""
        user = super().user_tensors(batch)
        if "end" in batch:
            user |= self.latest(self.history_starts[batch["user"]], batch["end"])
        elif "time" in batch and "state" not in batch:
            user |= self.latest(self.history_starts[batch["user"]], self.before(batch["user"], batch["time"]))
        if "past_hidden" in batch:
            user["size"] = user["size"].masked_fill(batch["past_hidden"], 0)
        return user

    def read_features(self, user: Mapping[str, Tensor], batch: Batch) -> FeatureBatch:
        """Also the output of attention over the target item and the latest events, ``[B, 1 + L, d]``."""
        features = super().read_features(user, batch)
        row = self.oov_item(batch["item"])
        row = torch.where(batch["item_hidden"], self.schema.n_items, row) if "item_hidden" in batch else row
        longest = int(user["size"].max()) if len(row) else 0
        films = self.item_id(torch.cat([row[:, None], self.oov_item(user["films"][:, :longest])], 1))[..., : self.dim]
        stars = F.pad(user["stars"][:, :longest], (1, 0))
        ago = torch.arange(1 + longest, device=row.device)
        x, exists = films + self.ago(ago) + self.given(stars), ago <= user["size"][:, None]
        x = F.dropout(x, self.config.dropout, self.training)
        for block in self.blocks:
            x = block(x, exists)
        out = F.pad(self.last(x) * exists[..., None], (0, 0, 0, self.config.length - longest))
        return FeatureBatch(
            torch.cat([features.vectors, out], 1), features.first_order, features.dense, features.n_user
        )

    def outputs(self, features: FeatureBatch) -> Tensor:
        """Raw outputs ``[B, O]``: the MLP plus the first-order terms."""
        found: Tensor = self.top(torch.cat([features.vectors.flatten(1), features.dense], 1))
        wide = features.first_order[:, None]
        return found + (wide if self.share is None else wide * self.share)

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: their histories in time order; nothing is fitted."""
        self.rest()
        state, _ = self.free_state(len(histories))
        self.add_history(histories, state)
        length, known, size = self.config.length, self.known_items[:-1].cpu().numpy(), []
        for at, history in enumerate(histories):
            items = np.asarray(history.items, np.int64)
            order = (
                np.arange(len(items)) if history.times is None else np.argsort(np.asarray(history.times), kind="stable")
            )
            order = order[known[items[order]]][::-1][:length].copy()
            stars = self.stars(history.ratings)
            state["films"][at, : len(order)] = torch.from_numpy(items[order])
            state["stars"][at, : len(order)] = stars[order].long() if len(stars) else 0
            size.append(len(order))
        state["size"] = torch.tensor(size, dtype=torch.int64, device=self.mean.device)
        source: tuple[Source, ...] = tuple("folded" if n else "fallback" for n in size)
        return UserState(state, source)
