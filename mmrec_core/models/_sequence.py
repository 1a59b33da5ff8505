"""What models of sequences share: one loader of histories, a start mark, losses over every place of a sequence, new
users by reading.

A history is kept flat with offsets; a user's state is the latest ``length`` of their events ``[L]``, padded at the end,
and how many there are. Because a model reads forwards only, what stands after a place cannot reach it, and padding,
which stands after everything, is inert. A start mark stands before the first event, so that an empty history is
learned, too: it predicts everybody's first film.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config as AnyConfig
from mmrec_core.config import setting
from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.models._negative_sampling import unseen_items
from mmrec_core.types import Array, History, Interactions, Schema, Side, Source, TrainSet, UserState, blocks

POOL = 32
"""Batches that are filled together, so that each may hold sequences of about one length."""


class SequenceConfig(AnyConfig):
    """How wide and how far back."""

    dim: int = setting(64, "numbers in the vector of a film", ge=2, le=1024, log=True)
    length: int = setting(50, "latest events that are read", ge=1, le=2000, unit="events", log=True)
    events: Literal["liked", "all"] = setting(
        "liked", "which of somebody's events are read: those they liked, or all, whatever their stars"
    )
    dropout: float = setting(0.2, "share of numbers silenced in training", ge=0.0, le=0.9)
    id_dropout: float = setting(
        0.01, "share of films hidden in training, which teaches the row for unknown ones", ge=0.0, le=0.9
    )


class NextConfig(SequenceConfig):
    """The same, and against what the next film is learned."""

    loss: Literal["bce", "ce"] = setting(
        "bce",
        "what comes next against films drawn (log-loss of each, as published), or against every film (full softmax)",
    )
    negatives: int = setting(1, "films drawn for each next one, with the log-loss", ge=1, le=256, log=True)


def in_order(rows: Interactions) -> tuple[Array, Array]:
    """Users and items ``[N]`` of events, user by user, each in time order (as they stand where there are no times)."""
    user, item = (np.asarray(rows.need(role)).astype(np.int64) for role in ("user", "item"))
    order = np.argsort(user, kind="stable") if rows.time is None else np.lexsort((np.asarray(rows.time), user))
    return user[order], item[order]


def read_history(history: History, known: Array, bar: float | None) -> Array:
    """Item rows of a history in its given order: those that training knows, at least ``bar`` stars (``None``: any)."""
    keep = known[np.asarray(history.items, np.int64)]
    if bar is not None and history.ratings is not None:
        keep = keep & (np.asarray(history.ratings) >= bar)
    order = np.arange(len(history)) if history.times is None else np.argsort(np.asarray(history.times), kind="stable")
    return np.asarray(history.items, np.int64)[order][keep[order]]


class SequenceModel(GradientModel):
    """Base: a subclass says what it makes of a sequence in :meth:`read`."""

    Config: ClassVar[type[AnyConfig]] = SequenceConfig
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "sequence"})
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.001, "batch_size": 128, "max_epochs": 200, "patience": 10}
    streams: ClassVar[bool] = True
    MARKS: ClassVar[int] = 1
    """Rows of the films' table that are no films, behind the unknown one."""
    config: Any

    def __init__(self, config: Any, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.mark = schema.n_items + 1
        """Stands at the start and pads the end; the row before it is the unknown film."""
        self.films = nn.Embedding(schema.n_items + 1 + self.MARKS, config.dim)
        self.told: Tensor
        self.told_from: Tensor
        self.register_buffer("told", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("told_from", torch.zeros(schema.n_users + 2, dtype=torch.int64))
        self.more_layers()
        self.seed_weights()

    def more_layers(self) -> None:
        """Weights beside the films' table; called once, before weights are drawn."""

    def seed_weights(self) -> None:
        """By a generator of this seed: tables small, layers as PyTorch draws them."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.generator(0, 9).initial_seed())
            for module in self.modules():
                if isinstance(module, nn.Linear | nn.GRU):
                    module.reset_parameters()
                elif isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight, 0.0, self.config.dim**-0.5)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """``[B, L + 1, d]`` of sequences ``[B, L]`` of which ``size [B]`` events count: place ``t`` has read the first
        ``t`` and nothing after; ``user [B]`` are rows of users, for models that know them."""
        raise NotImplementedError

    def vectors(self, rows: Tensor) -> Tensor:
        """``[..., d]`` of rows of the films' table, marks among them."""
        found: Tensor = self.films(rows)
        return found

    # Histories

    @property
    def bar(self) -> float | None:
        """Stars from which an event is read."""
        return self.schema.relevant_from if self.config.events == "liked" else None

    @property
    def drawn(self) -> bool:
        """Whether the next film is learned against a few that are drawn, rather than against all."""
        return getattr(self.config, "loss", "ce") == "bce"

    @property
    def hidden_share(self) -> float:
        """Share of films that become the unknown one in training."""
        return float(self.config.id_dropout)

    def pool(self) -> Tensor:
        """The films a full softmax is over, sorted: those of training, and the unknown one."""
        known = self.known_items.clone()
        known[-1] = True
        return torch.nonzero(known)[:, 0]

    def chosen(self, train: TrainSet) -> Interactions:
        """The training events that are read."""
        return train.positives if self.config.events == "liked" else train.interactions

    def begin(self, train: TrainSet) -> None:
        """Keep everybody's events in order, flat, to rank from."""
        user, item = in_order(self.chosen(train))
        self.told = torch.from_numpy(item.astype(np.int32)).to(self.told.device)
        self.told_from = torch.from_numpy(np.searchsorted(user, np.arange(self.schema.n_users + 2))).to(
            self.told.device
        )

    def windows(self, start: Tensor, end: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """The latest ``length`` events of the kept histories from ``start`` to ``end`` ``[B]``: ``[B, length]``, padded
        at the end, and their number."""
        size = (end - start).clamp(max=length)
        place = torch.arange(length, device=start.device)
        at = (end - size)[:, None] + place
        there = place < size[:, None]
        if not len(self.told):
            return torch.full((len(start), length), self.mark, device=start.device), torch.zeros_like(size)
        found = self.told[at.clamp(max=len(self.told) - 1)].long()
        return torch.where(there, found, self.mark), size

    def padded(self, histories: Sequence[Array]) -> tuple[Tensor, Tensor]:
        """Item rows, one array a history, likewise."""
        length = self.config.length
        out, size = torch.full((len(histories), length), self.mark), torch.zeros(len(histories), dtype=torch.int64)
        for row, own in enumerate(histories):
            latest = torch.from_numpy(own[-length:].copy())
            out[row, : len(latest)], size[row] = latest, len(latest)
        return out.to(self.told.device), size.to(self.told.device)

    # Learning

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """One row per user: what is read ``[U, L]``, how much of it counts, what comes next at each place ``[U, L +
        1]`` (−1: not asked for), and, where the loss draws, films drawn for it ``[U, L + 1, n]``."""
        return self.windows_to_learn(train, epoch)

    def readers(self, train: TrainSet) -> Array:
        """Users who have any event that is read, sorted; the rows of an epoch."""
        return np.unique(np.asarray(self.chosen(train).need("user")).astype(np.int64))

    def windows_to_learn(self, train: TrainSet, epoch: int, back: Tensor | None = None) -> Batch:
        """The table of :meth:`epoch`; histories end ``back [U]`` events before their last."""
        length = self.config.length
        user = torch.from_numpy(self.readers(train))
        start, end = self.told_from[user], self.told_from[user + 1]
        end = end if back is None else end - back.to(end.device)
        whole, size = self.windows(start, end, length + 1)
        whole, size = whole.cpu(), size.cpu()
        target = torch.where(torch.arange(length + 1) < size[:, None], whole, -1)
        cut = (end - start).cpu() > length + 1
        target[cut, 0] = -1  # the first of a window that was cut off is nobody's first
        sequence = torch.where(torch.arange(length) < (size - 1)[:, None], whole[:, :-1], self.mark)
        table = {"sequence": sequence, "size": size - 1, "target": target}
        if self.drawn:
            asked = target >= 0
            who = user[:, None].expand_as(target)[asked].repeat_interleave(self.config.negatives)
            drawn = torch.full((*target.shape, self.config.negatives), self.mark)
            drawn[asked] = unseen_items(train, who, self.generator(epoch, 2)).view(-1, self.config.negatives)
            table["negative"] = drawn
        return table

    def epoch_rows(self, train: TrainSet) -> int:
        """Users; those with a single event are few."""
        return len(self.readers(train))

    def batches(self, train: TrainSet, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Batches of sequences of about one length, cut to the longest of them; each holds as many events as
        ``batch_size`` sequences hold on average, so that every event counts alike, and comes in an order drawn anew
        each epoch."""
        table = self.epoch(train, epoch)
        self.hide(table, epoch)
        generator, size = self.generator(epoch, 0), table["size"]
        order = torch.randperm(len(size), generator=generator)
        order = torch.cat(
            [
                pool[torch.argsort(size[pool], stable=True)]
                for pool in (order[p] for p in blocks(len(order), POOL * batch_size))
            ]
        )
        info = (size[order] + 1).cumsum(0)
        number = (info - 1) // max(1, round(batch_size * int(info[-1]) / len(size)))
        parts = torch.tensor_split(order, (torch.nonzero(number.diff())[:, 0] + 1))
        for at in torch.randperm(len(parts), generator=generator).tolist()[start:]:
            rows = parts[at]
            spare = table["sequence"].shape[1] - int(size[rows].max())
            yield {
                k: column[rows] if column.ndim == 1 else column[rows, : column.shape[1] - spare]
                for k, column in table.items()
            }

    def hide(self, table: Batch, epoch: int) -> None:
        """A share of films becomes the unknown one, wherever it stands."""
        share = self.hidden_share
        for purpose, key in enumerate(("sequence", "target", "negative")):
            if key in table and share > 0:
                lost = torch.rand(table[key].shape, generator=self.generator(epoch, 20 + purpose)) < share
                real = (table[key] >= 0) & (table[key] != self.mark)
                table[key] = torch.where(lost & real, self.schema.n_items, table[key])

    def place_losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Losses of every place that is asked for ``[P]``, and the row of each."""
        row, place = torch.nonzero(batch["target"] >= 0, as_tuple=True)
        states = self.read(batch["sequence"], batch["size"], batch.get("user"))[row, place]
        target = batch["target"][row, place]
        if not self.drawn:
            pool = self.pool()
            logits = states @ self.vectors(pool).T
            if pool[-1] == self.schema.n_items and self.hidden_share > 0:
                # the unknown film stands for a share of all: as one of them it would be told to come next as often as
                # they all do, and outrank nearly every known one
                logits[:, -1] += math.log(self.hidden_share * (len(pool) - 1))
            return F.cross_entropy(logits, torch.searchsorted(pool, target), reduction="none"), row
        liked = (states * self.vectors(target)).sum(1)
        other = torch.einsum("pd,pnd->pn", states, self.vectors(batch["negative"][row, place]))
        return F.softplus(-liked) + F.softplus(other).mean(1), row

    def row_losses(self, batch: Batch) -> Tensor:
        """``[B]`` mean over a row's places."""
        loss, row = self.place_losses(batch)
        n = torch.bincount(row, minlength=len(batch["sequence"])).clamp(min=1)
        return torch.zeros(len(n), device=loss.device, dtype=loss.dtype).index_add(0, row, loss) / n

    def loss(self, batch: Batch) -> Tensor:
        """Mean over places, so that a long history counts for as much as it tells."""
        return self.place_losses(batch)[0].mean()

    def weight(self, batch: Batch) -> int:
        """Places that are asked for: the loss is their mean."""
        return int((batch["target"] >= 0).sum())

    # Scoring

    def item_embeddings(self, items: Tensor) -> Tensor:
        """``[B, d]`` of items to be scored; those that training never met are the unknown one."""
        return self.vectors(self.oov_item(items))

    def readable(self) -> Array:
        """``[I]``: films that say something where they stand in a history."""
        found: Array = self.known_items[:-1].cpu().numpy()
        return found

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """The latest events ``[B, L]`` and their number ``[B]``; nothing of an unknown user."""
        sequence, size = self.windows(self.told_from[user], self.told_from[user + 1], self.config.length)
        return {"sequence": sequence, "size": size}

    def observe(self, events: Interactions) -> None:
        """What happened after training is read from then on; no weight moves. Films that training never met are left
        out."""
        rating = events.rating
        if self.bar is not None and rating is not None:
            events = events.take(np.flatnonzero(np.asarray(rating) >= self.bar))
        user, item = in_order(events)
        known = self.readable()[item]
        before = np.repeat(np.arange(self.schema.n_users + 1), np.diff(self.told_from.cpu().numpy()))
        whole = np.concatenate([before, user[known]])
        order = np.argsort(whole, kind="stable")
        info = np.concatenate([self.told.cpu().numpy(), item[known].astype(np.int32)])[order]
        device = self.told.device
        self.told = torch.from_numpy(info).to(device)
        self.told_from = torch.from_numpy(np.searchsorted(whole[order], np.arange(self.schema.n_users + 2))).to(device)

    def sequence_embeddings(self, state: Mapping[str, Tensor]) -> Tensor:
        """``[B, d]``: what was made of each sequence once it was read."""
        size = state["size"]
        longest = int(size.max()) if len(size) else 0  # nobody needs the padding that all share
        info = self.read(state["sequence"][:, :longest], size, state.get("user"))
        return info[torch.arange(len(size), device=size.device), size]

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """``[B, 1]`` dot products."""
        return (self.sequence_embeddings(user) * self.item_embeddings(batch["item"])).sum(1, keepdim=True)

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """``[B, I]``: every sequence is read once."""
        items = torch.arange(self.schema.n_items, device=self.told.device) if items is None else items
        return self.sequence_embeddings(state) @ self.item_embeddings(items).T

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """Encode each history in its given order; nothing is fitted."""
        known = self.readable()
        sequence, size = self.padded([read_history(h, known, self.bar) for h in histories])
        source: tuple[Source, ...] = tuple("folded" if n else "fallback" for n in size.tolist())
        return UserState({"sequence": sequence, "size": size}, source)

    def item_vectors(self) -> Tensor | None:
        """``[I, d]``, what sequences are compared with."""
        self.rest()
        with torch.no_grad():
            return self.item_embeddings(torch.arange(self.schema.n_items, device=self.told.device)).clone()

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Films by their ids, then the mark."""
        return {"films.weight": self.names_of("item", *(f"\0mark{at}" for at in range(self.MARKS)))}
