"""Temporal Graph Network: per-node memory updated by events (Rossi et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmrec_core.config import Config as AnyConfig
from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models._negative_sampling import unseen_items
from mmrec_core.models._temporal import NEVER, UpdatedMemory, code
from mmrec_core.models._tgn_memory import TGNMemoryModel
from mmrec_core.types import Array, History, Interactions, Query, Source, TrainSet, UserState, blocks

PRESETS: dict[str, dict[str, Any]] = {
    "tgn": {},
    "jodie": {"updater": "rnn", "embedding": "time", "message": "identity", "partner": "node", "score": "mlp"},
    "dyrep": {"updater": "rnn", "embedding": "identity", "message": "identity", "partner": "embedding", "score": "mlp"},
}
SUMMARIES = {
    "tgn": "Temporal graph network: memories updated by events, attention over recent ones (Rossi et al. 2020, “TGN”).",
    "jodie": "Memories updated by an RNN and projected in time (Kumar et al. 2019, “JODIE”), settings of TGN.",
    "dyrep": "Memories updated by an RNN from neighbours' embeddings (Trivedi et al. 2019, “DyRep”), settings of TGN.",
}

EVENTS = 200
"""How many events :meth:`TGN.observe` processes at once: the size of TGN's training batches."""


class TGN(TGNMemoryModel):
    """Temporal graph network (Rossi et al. 2020); JODIE (Kumar et al. 2019) and DyRep (Trivedi et al. 2019) are presets
    of it.

    A like is an event between a user's node and an item's node. Its message ``[own memory ‖ other's memory ‖ rating ‖
    encoding of the time since the own last event]`` waits until the next batch has been predicted, so no prediction
    sees its own event; then it updates the memory. Scores compare embeddings of nodes at a time: memory and features,
    with attention over the ``neighbours`` most recent strictly earlier events, and, with ``degree``, their number. A
    new user starts with an empty memory that their likes update. An item without events has no memory and no
    neighbours.
    """

    class Config(AnyConfig):
        """Memory, messages, embedding and loss."""

        dim: int = setting(100, "width of memories and embeddings", ge=2, le=1024, log=True)
        memory: bool = setting(True, "whether nodes have memories")
        updater: Literal["gru", "rnn", "lstm"] = setting("gru", "layer that updates a memory by a message")
        message: Literal["mlp", "identity"] = setting(
            "identity", "message function: an MLP of the raw message, or the raw message itself"
        )
        message_dim: int = setting(
            100, "width of messages, where the message function is an MLP", ge=2, le=1024, log=True
        )
        aggregator: Literal["last", "mean"] = setting(
            "last", "how a node's messages in a batch are aggregated: the last one, or their mean"
        )
        partner: Literal["memory", "node", "embedding"] = setting(
            "memory",
            "what a message contains of the other node: its memory, memory and features, or its embedding by attention"
            " (DyRep)",
        )
        embedding: Literal["graph_attention", "graph_sum", "identity", "time"] = setting(
            "graph_attention",
            "embedding of a node: attention over recent neighbours, their sum, the memory itself, or the memory"
            " projected in time (JODIE)",
        )
        waves: Literal["fixed", "learned"] = setting(
            "fixed",
            "frequencies of the time encoding: fixed, with periods from six seconds to two hundred years; or"
            " learned from there (as published; unstable where times are in seconds)",
            advanced=True,
        )
        layers: int = setting(1, "graph layers: 1 reads neighbours, 2 also their neighbours", ge=1, le=3)
        heads: int = setting(2, "attention heads", ge=1, le=8)
        neighbours: int = setting(10, "most recent events a node attends to", ge=1, le=200)
        dropout: float = setting(0.1, "dropout of attention weights", ge=0.0, le=0.9)
        nodes: Literal["ids", "none"] = setting(
            "ids", "features of a node beside its memory: an embedding of its own, or none (as in TGN's paper)"
        )
        degree: bool = setting(
            False,
            "whether an embedding also reads how many events its node has had, which neither attention over the latest"
            " events nor a mean shows",
        )
        stars: bool = setting(True, "whether messages and neighbours include the rating (where there are ratings)")
        score: Literal["mlp", "dot"] = setting(
            "dot", "how a pair of embeddings is scored: an MLP, or their dot product"
        )
        loss: Literal["bpr", "bce", "margin"] = setting(
            "bpr",
            "loss of a liked item and a negative: −log σ of their difference, log-loss of each, or hinge with margin 1",
        )
        draw: Literal["unmet", "any"] = setting(
            "unmet",
            "negatives are drawn among films that the user has no training event with (unmet), or among any",
            advanced=True,
        )
        id_dropout: float = setting(
            0.2,
            "share of nodes whose embedding is hidden in a batch, which trains the embeddings of unknown ids",
            ge=0.0,
            le=0.9,
        )

    needs: ClassVar[frozenset[str]] = frozenset({"ids", "time"})
    streams: ClassVar[bool] = True
    early_stopping_protocol: ClassVar[tuple[str, str]] = ("sampled:100:of=5000", "stream")
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 200,
        "lr": 0.001,
        "max_epochs": 30,
        "patience": 5,
        "clip": 1.0,
    }
    config: Any

    def pair_scores(self, user: Mapping[str, Tensor], item: Tensor) -> Tensor:
        """Scores ``[B]`` of users and items, row by row."""
        vector = user["vector"]
        return self.affinity(vector, item)[:, 0] if self.config.score == "mlp" else (vector * item).sum(1)

    # Learning

    def begin(self, train: TrainSet) -> None:
        """Store the training events as neighbours; a lookup at a time returns strictly earlier events only."""
        batch = self.events(train.positives)
        self.neighbours.clear()
        self.neighbours.add(batch["user"], batch["item"] + self.item_offset, batch["time"], batch["mark"])
        gap = self.neighbours.coded.diff()
        gap = gap[(gap > 0) & (gap < 1 << 39)].float()
        self.usual_gap = gap.mean().clamp(min=1.0) if len(gap) else torch.ones_like(self.usual_gap)
        self.reset()

    def start_epoch(self, train: TrainSet, epoch: int) -> None:
        """Reset the memories, because every epoch processes the events from the first on."""
        self.reset()
        self.clock = torch.full_like(self.clock, NEVER)

    def events(self, rows: Interactions) -> Batch:
        """Events in time order: ``user``, ``item``, ``time`` and ``mark``, the rating scaled to −1 … 1."""
        batch = self.rows(rows.take(np.argsort(np.asarray(rows.need("time")), kind="stable")))
        mark = torch.zeros(len(batch["user"]))
        if self.config.stars and "rating" in batch and self.schema.scale is not None:
            low, high = self.schema.scale
            mark = (2 * batch["rating"] - low - high) / (high - low)
        summary = {key: batch[key] for key in ("user", "item", "time")} | {"mark": mark}
        return {key: value.to(self.last.device) for key, value in summary.items()}

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Liked events in time order, each with one sampled negative."""
        batch, generator = self.events(train.positives), self.generator(epoch, 2)
        if self.config.draw == "any":
            index = torch.randint(len(train.items), (len(batch["user"]),), generator=generator)
            negative = torch.from_numpy(train.items)[index]
        else:
            negative = unseen_items(train, batch["user"].cpu(), generator)
        return {**batch, "negative": negative}

    def batches(self, train: TrainSet, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Batches in time order. Overridden because the order of events must not be shuffled.

        Args:
            train: the training rows.
            epoch: number of the epoch.
            batch_size: rows per batch.
            start: number of the first batch.
        """
        table = self.epoch(train, epoch)
        for part in list(blocks(len(table["user"]), batch_size))[start:]:
            yield {key: column[part] for key, column in table.items()}

    def row_losses(self, batch: Batch) -> Tensor:
        """Losses ``[B]``, from the memories before the batch."""
        return self._losses(self.updated_memory(), batch)

    def _losses(self, updated: UpdatedMemory, batch: Batch) -> Tensor:
        time, n = batch["time"], len(batch["user"])
        node = torch.cat([batch["user"], batch["item"] + self.item_offset, batch["negative"] + self.item_offset])
        vectors = self.embed(updated, code(node, time.repeat(3)))
        user = self.as_state(self.memory_of(updated, batch["user"]), vectors[:n])
        items = self.hide_events(vectors[n:], node[n:] - self.item_offset)
        positive, negative = (self.pair_scores(user, items[a : a + n]) for a in (0, n))
        if self.config.loss == "bce":
            return F.softplus(-positive) + F.softplus(negative)
        difference = positive - negative
        return F.softplus(-difference) if self.config.loss == "bpr" else F.relu(1 - difference)

    def hide_events(self, vectors: Tensor, item: Tensor) -> Tensor:
        """Embeddings ``[B, d]`` of items ``[B]`` for the training loss; a subclass may treat some as having no
        events."""
        return vectors

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss; after it, the batch's events go into the message store."""
        self._hidden = torch.rand(self.n_nodes, device=self.last.device) < self.config.id_dropout
        updated = self.updated_memory()
        loss = self._losses(updated, batch).mean()
        self.update_state(updated, batch["user"], batch["item"], batch["time"], batch["mark"])
        return loss

    # Scoring

    def as_state(self, memory: Tensor, vector: Tensor) -> dict[str, Tensor]:
        """The state of users ``[B]`` from their memories and embeddings ``[B, d]``: the embeddings."""
        return {"vector": vector}

    def users_at(self, user: Tensor, time: Tensor | None) -> dict[str, Tensor]:
        """States of users ``[B]`` at times ``[B]``; ``None``: one second after each user's own last event."""
        updated = self.updated_memory()
        if time is None:
            last = self.last_event(updated, user)
            time = torch.where(last == NEVER, self.clock, last + 1)
        return self.as_state(self.memory_of(updated, user), self.embed(updated, code(user, time)))

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Embeddings ``[B, d]`` just after each user's own last event, because training has no examples of long gaps
        without events."""
        return self.users_at(user, None)

    @torch.no_grad()
    def user_state(self, query: Query) -> UserState:
        """States of users at the query times; users without events fall back."""
        self.rest()
        device = self.last.device
        user = torch.from_numpy(np.asarray(query.user, np.int64)).to(device)
        time = None if query.at is None else torch.from_numpy(np.asarray(query.at, np.int64)).to(device)
        seen = self.known_users[user] | (self.last_event(self.updated_memory(), user) != NEVER)
        return UserState(self.users_at(user, time), tuple("learned" if s else "fallback" for s in seen.tolist()))

    def user_tensors(self, batch: Batch) -> dict[str, Tensor]:
        """User tensors at the batch's times, where it has times."""
        if batch.get("state") is not None:
            return super().user_tensors(batch)
        return self.users_at(batch["user"], batch.get("time"))

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Scores ``[B, 1]``."""
        time = batch.get("time")
        time = self.clock.expand(len(batch["item"])) if time is None else time
        return self.pair_scores(user, self.embed(self.updated_memory(), code(batch["item"] + self.item_offset, time)))[
            :, None
        ]

    def item_embeddings(self) -> Tensor:
        """Embeddings ``[I, d]`` of every item just after the latest event; cached outside training."""
        cached = self._kept_items
        if self.training or torch.is_grad_enabled() or cached is None:
            node = torch.arange(self.schema.n_items, device=self.last.device) + self.item_offset
            found = self.embed(self.updated_memory(), code(node, self.clock.expand(len(node))))
            if self.training or torch.is_grad_enabled():
                return found
            cached = self._kept_items = found
        return cached

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]``; items have their embeddings just after the latest event."""
        return self.score_items(state, self.item_embeddings() if items is None else self.item_embeddings()[items])

    def score_items(self, state: Mapping[str, Tensor], films: Tensor) -> Tensor:
        """Scores ``[B, n]`` of items by their embeddings ``[n, d]``."""
        if self.config.score == "mlp":
            return self.affinity.of_all(state["vector"], films)
        return state["vector"] @ films.T

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """Scores ``[B, n]`` of items without memory and neighbours."""
        return self.score_items(state, item["vector"])

    def item_vectors(self) -> Tensor | None:
        """Embeddings of items just after the latest event, ``[I, d]``."""
        with torch.no_grad():
            return self.item_embeddings().clone()

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and items by their ids."""
        tables = {"user": self.user_table, "item": self.item_table}
        return {f"{kind}_table.weight": self.names_of(kind) for kind, table in tables.items() if table is not None}

    # State in time

    @torch.no_grad()
    def observe(self, events: Interactions) -> None:
        """Process likes in time order, in batches of :data:`EVENTS`."""
        liked = np.flatnonzero(_liked(events.rating, self.schema.relevant_from, len(events)))
        if not len(liked):
            return
        self.rest()
        table = self.events(events.take(liked))
        self.neighbours.add(table["user"], table["item"] + self.item_offset, table["time"], table["mark"])
        for part in blocks(len(liked), EVENTS):
            self.update_state(self.updated_memory(), *(table[key][part] for key in ("user", "item", "time", "mark")))
        self._kept_items = None

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: each history's likes update an empty memory, then the embedding attends to the latest of
        them, just after the last. The items' memories do not change."""
        self.rest()
        device, dim, k = self.last.device, self.config.dim, self.config.neighbours
        item, time, mark, length = self._padded_likes(histories)
        n, longest = item.shape
        updated = self.updated_memory()
        memory, last = self._fold_memory(updated, item, time, mark, length)
        at = self.clock.expand(n)
        if longest:
            after_last = time.gather(1, (length - 1).clamp(min=0)[:, None])[:, 0] + 1
            at = torch.where(length > 0, after_last, at)
        items_at = torch.minimum(at, self.clock)
        unknown_user = torch.tensor([self.schema.n_users], device=device)
        own = self.features(unknown_user).expand(n, -1)
        own = own + memory[:, :dim] if self.config.memory else own
        if self.config.embedding.startswith("graph"):
            position = length[:, None] - 1 - torch.arange(k, device=device)
            exists = position >= 0
            position = position.clamp(min=0)
            if not longest:
                item, time, mark = (table.new_zeros(n, 1) for table in (item, time, mark))
            near_item, near_time = item.gather(1, position), time.gather(1, position)
            near_mark = mark.gather(1, position) * exists
            ago = self.clock_code(torch.where(exists, at[:, None] - near_time, 0))
            zero = self.clock_code(torch.zeros(1, device=device))[0]
            coded = code(near_item + self.item_offset, items_at[:, None].expand_as(near_item))[exists]
            for layer, graph in enumerate(self.graph):
                neighbours = torch.zeros(n, k, dim, device=device)
                neighbours[exists] = self._embed_layers(updated, coded, layer)
                own = graph(own, neighbours, near_mark, zero, ago, exists)
        elif self.config.embedding == "time":
            own = self.projected(own, self.elapsed(last, at))
        vector = self.finish(own, code(unknown_user.expand(n), at), length)
        source: tuple[Source, ...] = tuple("folded" if s else "fallback" for s in length.tolist())
        return UserState(self.as_state(memory[:, :dim], vector), source)

    @torch.no_grad()
    def folded_memory(self, histories: Sequence[History]) -> Tensor:
        """Memories ``[B, d]`` of new users after their likes, as :meth:`fold_in` computes them."""
        self.rest()
        memory, _ = self._fold_memory(self.updated_memory(), *self._padded_likes(histories))
        return memory[:, : self.config.dim]

    def _padded_likes(self, histories: Sequence[History]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Items, times and marks of each history's likes in time order, ``[B, L]`` padded at the end, and their number
        ``[B]``."""
        likes = [self._likes_in_order(history) for history in histories]
        size = [len(own[0]) for own in likes]
        shape, device = (len(likes), max(size, default=0)), self.last.device
        item, time, mark = (torch.zeros(shape, dtype=kind) for kind in (torch.int64, torch.int64, torch.float32))
        for row, (own_item, own_time, own_mark) in enumerate(likes):
            for table, column in ((item, own_item), (time, own_time), (mark, own_mark)):
                table[row, : size[row]] = torch.from_numpy(column)
        length = torch.tensor(size, dtype=torch.int64, device=device)
        return item.to(device), time.to(device), mark.to(device), length

    def _fold_memory(
        self, updated: UpdatedMemory, item: Tensor, time: Tensor, mark: Tensor, length: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Memories ``[B, m]`` of new users after their likes, and the times ``[B]`` of the last ones.

        Args:
            updated: from :meth:`updated_memory`.
            item: items of the likes, ``[B, L]``.
            time: their times in seconds, ``[B, L]``.
            mark: their ratings scaled to −1 … 1, ``[B, L]``.
            length: how many likes each user has, ``[B]``.
        """
        n, longest = item.shape
        memory = self.memory.new_zeros(n, self.memory.shape[1])
        last = torch.full((n,), NEVER, device=item.device)
        for at in range(longest if self.config.memory else 0):
            rows = torch.nonzero(length > at)[:, 0]
            other, moment = item[rows, at] + self.item_offset, time[rows, at]
            # the items' state does not change after the last stored event
            partner = self.partner_vectors(updated, other, torch.minimum(moment, self.clock))
            message = self.messages(partner, moment, mark[rows, at], memory[rows], last[rows])
            memory[rows], last[rows] = self.memory_updater(message, memory[rows]), moment
        return memory, last

    def _likes_in_order(self, history: History) -> tuple[Array, Array, Array]:
        """Items, times and marks of a history's likes in time order; without times, all at the model's clock."""
        liked = np.flatnonzero(_liked(history.ratings, self.schema.relevant_from, len(history)))
        time = np.full(len(history), int(self.clock)) if history.times is None else np.asarray(history.times, np.int64)
        order = liked[np.argsort(time[liked], kind="stable")]
        mark = np.zeros(len(order), np.float32)
        if self.config.stars and history.ratings is not None and self.schema.scale is not None:
            low, high = self.schema.scale
            mark = ((2 * np.asarray(history.ratings)[order] - low - high) / (high - low)).astype(np.float32)
        return np.asarray(history.items, np.int64)[order], time[order], mark


def _liked(rating: Array | None, relevance_threshold: float | None, n: int) -> Array:
    """A mask ``[n]`` of events that count as liked: all, where there are no ratings."""
    if rating is None or relevance_threshold is None:
        return np.ones(n, bool)
    return np.asarray(rating) >= relevance_threshold
