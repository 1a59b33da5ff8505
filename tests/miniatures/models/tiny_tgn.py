"""Everybody and every film has a memory, which events move on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config, setting
from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.types import Array, History, Interactions, Schema, Side, Source, TrainSet, UserState, blocks

DAY_S = 86_400.0


class TinyTGN(GradientModel):
    """A memory per user and film, moved on by a GRU at each liked event (Rossi et al. 2020, "TGN").

    A message is a node's memory, its partner's, and the time since its own last event. It waits until the next batch
    has been predicted, so no prediction sees its own event; each node's latest of a batch counts. A film's features are
    an embedding; a user has none, so that everybody starts alike and a new user is no special case.
    """

    class Config(Config):
        """How much a node remembers."""

        dim: int = setting(16, "width of a memory", ge=2, le=256, log=True)

    needs: ClassVar[frozenset[str]] = frozenset({"ids", "time"})
    streams: ClassVar[bool] = True
    train_defaults: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "lr": 0.01, "max_epochs": 20}
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.first, n_nodes = schema.n_users + 1, schema.n_users + 1 + schema.n_items  # films' nodes come after users'
        self.features = nn.Embedding(schema.n_items + 1, config.dim)
        self.clock = nn.Linear(1, config.dim)
        self.update = nn.GRUCell(3 * config.dim, config.dim)
        self.projection = nn.Linear(config.dim, config.dim)
        self.memory: Tensor
        self.last: Tensor
        self.partner: Tensor
        self.since: Tensor
        self.register_buffer("memory", torch.zeros(n_nodes, config.dim))
        for name in ("last", "partner", "since"):  # of the last event taken in; of the message that waits; −1: none
            self.register_buffer(name, torch.full((n_nodes,), -1))

    def reset(self) -> None:
        """Empty every memory and drop what waits."""
        self.memory = torch.zeros_like(self.memory)
        self.last, self.partner, self.since = (torch.full_like(self.last, -1) for _ in range(3))

    def start_epoch(self, train: TrainSet, epoch: int) -> None:
        """Every epoch lives through the events from the start."""
        self.reset()

    def with_features(self, memory: Tensor) -> Tensor:
        """Memories of all nodes, films' features added."""
        known = self.oov_item(torch.arange(self.schema.n_items, device=memory.device))
        return torch.cat([memory[: self.first], memory[self.first :] + self.features(known)])

    def memory_updater(self, memory: Tensor, own: Tensor, other: Tensor, gap_s: Tensor) -> Tensor:
        """Memories ``[B, d]`` after a message: own and partner's vector, and a cosine code of the seconds between."""
        gap = torch.cos(self.clock(gap_s.clamp(min=0).float()[:, None] / DAY_S))
        return self.update(torch.cat([own, other, gap], 1), memory)

    def updated_memory(self) -> tuple[Tensor, Tensor]:
        """Memories and last times with the waiting messages taken in; changes nothing and lets gradients through."""
        due = torch.nonzero(self.partner >= 0)[:, 0]
        nodes, now = self.with_features(self.memory), self.since[due]
        gap = torch.where(self.last[due] >= 0, now - self.last[due], 0)
        memory = self.memory_updater(self.memory[due], nodes[due], nodes[self.partner[due]], gap)
        return self.memory.index_put((due,), memory), self.last.index_put((due,), now)

    @torch.no_grad()
    def update_state(self, user: Tensor, item: Tensor, time: Tensor) -> None:
        """Move memories by the messages that waited, and let these events (in time order) wait; gradients end here."""
        self.memory, self.last = self.updated_memory()
        node, other = torch.cat([user, item + self.first]), torch.cat([item + self.first, user])
        place = torch.arange(len(user), device=user.device).repeat(2)
        latest = torch.full_like(self.last, -1).scatter_reduce(0, node, place, "amax")[node] == place
        self.partner = torch.full_like(self.partner, -1).index_put((node[latest],), other[latest])
        self.since = torch.full_like(self.since, -1).index_put((node[latest],), time.repeat(2)[latest])

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Liked events in time order, each with a film drawn at random."""
        liked = train.positives
        batch = self.rows(liked.take(np.argsort(np.asarray(liked.need("time")), kind="stable")))
        negative = torch.randint(self.schema.n_items, batch["item"].shape, generator=self.generator(epoch, 2))
        return {"negative": negative, **{key: batch[key] for key in ("user", "item", "time")}}

    def batches(self, train: TrainSet, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """In time order, never shuffled."""
        table = self.epoch(train, epoch)
        for part in list(blocks(len(table["user"]), batch_size))[start:]:
            yield {key: column[part] for key, column in table.items()}

    def row_losses(self, batch: Batch) -> Tensor:
        """−log σ(liked − drawn), from memories as they were before the batch."""
        nodes = self.with_features(self.updated_memory()[0])
        liked, drawn = (nodes[batch[key] + self.first] for key in ("item", "negative"))
        return F.softplus((self.projection(nodes[batch["user"]]) * (drawn - liked)).sum(1))

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss; only after it do the batch's events count."""
        loss = self.row_losses(batch).mean()
        self.update_state(batch["user"], batch["item"], batch["time"])
        return loss

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Memories ``[B, d]`` and the seconds of the last event ``[B]``; empty for anybody not met yet."""
        memory, last = self.updated_memory()
        return {"memory": memory[user], "last": last[user]}

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """``[B, 1]`` scores."""
        films = self.with_features(self.updated_memory()[0])[self.first :]
        return (self.projection(user["memory"]) * films[batch["item"]]).sum(1, keepdim=True)

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """``[B, I]`` by one matrix product."""
        films = self.with_features(self.updated_memory()[0])[self.first :]
        return self.projection(state["memory"]) @ (films if items is None else films[items]).T

    def observe(self, events: Interactions) -> None:
        """Take in likes one by one, so that it does not matter how the stream is cut."""
        batch = self.rows(events.take(_liked(events.rating, self.schema.relevant_from, len(events))))
        for at in range(len(batch["user"])):
            self.update_state(*(batch[key][at : at + 1].to(self.memory.device) for key in ("user", "item", "time")))

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """Play each history's likes through an empty memory, films' memories held still."""
        films = self.with_features(self.updated_memory()[0])[self.first :]
        memory = films.new_zeros(len(histories), self.config.dim)
        last = torch.full((len(histories),), -1, device=films.device)
        for row, history in enumerate(histories):
            time = np.zeros(len(history), np.int64) if history.times is None else np.asarray(history.times)
            own = slice(row, row + 1)
            order = np.argsort(time, kind="stable")
            for at in order[_liked(history.ratings, self.schema.relevant_from, len(history))[order]]:
                film, now = films[int(history.items[at])][None], int(time[at])
                gap = (now - last[own]) * (last[own] >= 0)
                memory[own], last[own] = self.memory_updater(memory[own], memory[own], film, gap), now
        source: tuple[Source, ...] = tuple("folded" if met >= 0 else "fallback" for met in last.tolist())
        return UserState({"memory": memory, "last": last}, source)


def _liked(rating: Array | None, bar: float | None, n: int) -> Array:
    """A mask of events that count as liked: all, where there are no ratings."""
    return np.ones(n, bool) if rating is None or bar is None else np.asarray(rating) >= bar
