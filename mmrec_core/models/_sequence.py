"""Base of sequence models: batches of histories, losses at every position of a sequence, fold-in by encoding a history.

Histories are stored flat, with offsets. A user's state is their latest ``length`` events ``[L]``, padded at the end,
and the number of events. Later positions cannot influence earlier ones, so the padding, which comes last, has no
effect. A start token comes before the first event, so the model also learns the item after an empty history: the
first item of every user.
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
from mmrec_core.models._attention import recorded
from mmrec_core.models._attribution import HistoryAttention
from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.models._negative_sampling import unseen_items
from mmrec_core.types import Array, History, Interactions, Schema, Side, Source, TrainSet, UserState, blocks

POOL = 32
"""Number of batches whose rows are sorted by length together, so that a batch holds sequences of similar length."""


class SequenceConfig(AnyConfig):
    """Width, length of the sequence, and dropout."""

    dim: int = setting(64, "width of the embeddings of films", ge=2, le=1024, log=True)
    length: int = setting(50, "how many of a user's latest events are read", ge=1, le=2000, unit="events", log=True)
    events: Literal["liked", "all"] = setting(
        "liked", "which of a user's events are read: liked ones, or all, whatever their rating"
    )
    dropout: float = setting(0.2, "dropout of embeddings and layers", ge=0.0, le=0.9)
    id_dropout: float = setting(
        0.01, "share of films hidden in training, which trains the embedding of unknown films", ge=0.0, le=0.9
    )


class NextConfig(SequenceConfig):
    """Settings of models that predict the next item, with their loss."""

    loss: Literal["bce", "ce"] = setting(
        "bce",
        "loss of the next film: log-loss against sampled negatives (bce, as published), or softmax over all films (ce)",
    )
    negatives: int = setting(1, "sampled negatives for each next film, with bce", ge=1, le=256, log=True)


def in_order(rows: Interactions) -> tuple[Array, Array]:
    """Users and items ``[N]`` of events, sorted by user, then by time (in the given order where there are no times)."""
    user, item = (np.asarray(rows.need(role)).astype(np.int64) for role in ("user", "item"))
    order = np.argsort(user, kind="stable") if rows.time is None else np.lexsort((np.asarray(rows.time), user))
    return user[order], item[order]


def read_history(history: History, known: Array, relevance_threshold: float | None) -> Array:
    """Items of a history in time order.

    Args:
        history: the history; without times, its order counts.
        known: mask ``[I]`` of the items to keep.
        relevance_threshold: lowest rating of the items to keep; ``None``: any.

    Returns:
        Item rows ``[n]``.
    """
    keep = known[np.asarray(history.items, np.int64)]
    if relevance_threshold is not None and history.ratings is not None:
        keep = keep & (np.asarray(history.ratings) >= relevance_threshold)
    order = np.arange(len(history)) if history.times is None else np.argsort(np.asarray(history.times), kind="stable")
    return np.asarray(history.items, np.int64)[order][keep[order]]


class SequenceModel(GradientModel):
    """Base of sequence models. A subclass implements :meth:`read`, from a sequence to the states after each event."""

    Config: ClassVar[type[AnyConfig]] = SequenceConfig
    family: ClassVar[str] = "sequence"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "sequence"})
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.001, "batch_size": 128, "max_epochs": 200, "patience": 10}
    streams: ClassVar[bool] = True
    first_event: ClassVar[int] = 1
    """Position of the first event in what the blocks read; the prediction is read at position ``size``."""
    other_position: ClassVar[str] = "start token"
    """What the one other position holds."""
    earlier_names: ClassVar[Mapping[str, str]] = {"told": "history_items", "told_from": "history_starts"}
    MARKS: ClassVar[int] = 1
    """How many special tokens (start and padding, mask) the items' table has after the row of the unknown item."""
    config: Any

    def __init__(self, config: Any, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.mark = schema.n_items + 1
        """The token at the start of a sequence and of its padding; the row before it is the unknown item."""
        self.films = nn.Embedding(schema.n_items + 1 + self.MARKS, config.dim)
        # all users' events, sorted by user and time, and where each user's begin (names are keys of saved weights)
        self.history_items: Tensor
        self.history_starts: Tensor
        self.register_buffer("history_items", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("history_starts", torch.zeros(schema.n_users + 2, dtype=torch.int64))
        self.more_layers()
        self.seed_weights()

    def more_layers(self) -> None:
        """Build further layers; called once, before weights are drawn."""

    def seed_weights(self) -> None:
        """Initialise weights from the seed: embeddings with a standard deviation of ``1/√d``, layers as PyTorch does by
        default."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.generator(0, 9).initial_seed())
            for module in self.modules():
                if isinstance(module, nn.Linear | nn.GRU):
                    module.reset_parameters()
                elif isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight, 0.0, self.config.dim**-0.5)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """Encode sequences.

        Args:
            sequence: items, ``[B, L]``, padded at the end.
            size: how many events each sequence has, ``[B]``.
            user: user rows ``[B]``, for models that use them.

        Returns:
            States ``[B, L + 1, d]``: position ``t`` is the state after the first ``t`` events.
        """
        raise NotImplementedError

    def vectors(self, rows: Tensor) -> Tensor:
        """Embeddings ``[…, d]`` of rows of the items' table, special tokens included."""
        found: Tensor = self.films(rows)
        return found

    # Histories

    @property
    def relevance_threshold(self) -> float | None:
        """Lowest rating of an event that is read; ``None``: any."""
        return self.schema.relevant_from if self.config.events == "liked" else None

    @property
    def samples_negatives(self) -> bool:
        """Whether the loss uses sampled negatives instead of a softmax over all items."""
        return getattr(self.config, "loss", "ce") == "bce"

    @property
    def hidden_share(self) -> float:
        """Share of items that are replaced by the unknown item in training."""
        return float(self.config.id_dropout)

    def pool(self) -> Tensor:
        """Candidates of the full softmax, sorted: training items and the unknown item."""
        known = self.known_items.clone()
        known[-1] = True
        return torch.nonzero(known)[:, 0]

    def training_events(self, train: TrainSet) -> Interactions:
        """The training events that the model reads."""
        return train.positives if self.config.events == "liked" else train.interactions

    def begin(self, train: TrainSet) -> None:
        """Store all users' events in order, flat."""
        user, item = in_order(self.training_events(train))
        self.history_items = torch.from_numpy(item.astype(np.int32)).to(self.history_items.device)
        self.history_starts = torch.from_numpy(np.searchsorted(user, np.arange(self.schema.n_users + 2))).to(
            self.history_items.device
        )

    def windows(self, start: Tensor, end: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """The latest ``length`` stored events between positions ``start [B]`` and ``end [B]``.

        Returns:
            Items ``[B, length]``, padded at the end, and how many there are, ``[B]``.
        """
        size = (end - start).clamp(max=length)
        position = torch.arange(length, device=start.device)
        at = (end - size)[:, None] + position
        exists = position < size[:, None]
        if not len(self.history_items):
            return torch.full((len(start), length), self.mark, device=start.device), torch.zeros_like(size)
        found = self.history_items[at.clamp(max=len(self.history_items) - 1)].long()
        return torch.where(exists, found, self.mark), size

    def padded(self, histories: Sequence[Array]) -> tuple[Tensor, Tensor]:
        """Item rows of histories, one array each, as :meth:`windows` returns them."""
        length = self.config.length
        out, size = torch.full((len(histories), length), self.mark), torch.zeros(len(histories), dtype=torch.int64)
        for row, own in enumerate(histories):
            latest = torch.from_numpy(own[-length:].copy())
            out[row, : len(latest)], size[row] = latest, len(latest)
        return out.to(self.history_items.device), size.to(self.history_items.device)

    # Learning

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """One row per user: ``sequence`` ``[U, L]``, its ``size``, the next item at each position, ``target``
        ``[U, L + 1]``
        (−1: no loss), and, where the loss samples them, ``negative`` items ``[U, L + 1, n]``."""
        return self.training_windows(train, epoch)

    def users_with_events(self, train: TrainSet) -> Array:
        """Users with at least one event that is read, sorted; they are the rows of an epoch."""
        return np.unique(np.asarray(self.training_events(train).need("user")).astype(np.int64))

    def training_windows(self, train: TrainSet, epoch: int, back: Tensor | None = None) -> Batch:
        """The table of :meth:`epoch`, where histories end ``back [U]`` events before the last event."""
        length = self.config.length
        user = torch.from_numpy(self.users_with_events(train))
        start, end = self.history_starts[user], self.history_starts[user + 1]
        end = end if back is None else end - back.to(end.device)
        items, size = self.windows(start, end, length + 1)
        items, size = items.cpu(), size.cpu()
        target = torch.where(torch.arange(length + 1) < size[:, None], items, -1)
        cut = (end - start).cpu() > length + 1
        target[cut, 0] = -1  # the first item of a window that was cut is not a user's first item
        sequence = torch.where(torch.arange(length) < (size - 1)[:, None], items[:, :-1], self.mark)
        table = {"sequence": sequence, "size": size - 1, "target": target}
        if self.samples_negatives:
            has_target = target >= 0
            owner = user[:, None].expand_as(target)[has_target].repeat_interleave(self.config.negatives)
            negative = torch.full((*target.shape, self.config.negatives), self.mark)
            negative[has_target] = unseen_items(train, owner, self.generator(epoch, 2)).view(-1, self.config.negatives)
            table["negative"] = negative
        return table

    def epoch_rows(self, train: TrainSet) -> int:
        """Number of users with events."""
        return len(self.users_with_events(train))

    def batches(self, train: TrainSet, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Batches of sequences of similar length, cut to the longest of them, in a new order each epoch.

        Overridden so that every event has the same weight: each batch holds about as many events as ``batch_size``
        sequences hold on average.

        Args:
            train: the training rows.
            epoch: number of the epoch.
            batch_size: sequences per batch, on average.
            start: number of the first batch.
        """
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
        events = (size[order] + 1).cumsum(0)
        number = (events - 1) // max(1, round(batch_size * int(events[-1]) / len(size)))
        parts = torch.tensor_split(order, (torch.nonzero(number.diff())[:, 0] + 1))
        for at in torch.randperm(len(parts), generator=generator).tolist()[start:]:
            rows = parts[at]
            spare = table["sequence"].shape[1] - int(size[rows].max())
            yield {
                k: column[rows] if column.ndim == 1 else column[rows, : column.shape[1] - spare]
                for k, column in table.items()
            }

    def hide(self, table: Batch, epoch: int) -> None:
        """Replace a share of items by the unknown item, in sequences, targets and negatives, in place."""
        share = self.hidden_share
        for purpose, key in enumerate(("sequence", "target", "negative")):
            if key in table and share > 0:
                hidden = torch.rand(table[key].shape, generator=self.generator(epoch, 20 + purpose)) < share
                is_item = (table[key] >= 0) & (table[key] != self.mark)
                table[key] = torch.where(hidden & is_item, self.schema.n_items, table[key])

    def position_losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Losses ``[P]`` at all positions with a target, and the row of each."""
        row, position = torch.nonzero(batch["target"] >= 0, as_tuple=True)
        states = self.read(batch["sequence"], batch["size"], batch.get("user"))[row, position]
        target = batch["target"][row, position]
        if not self.samples_negatives:
            pool = self.pool()
            logits = states @ self.vectors(pool).T
            if pool[-1] == self.schema.n_items and self.hidden_share > 0:
                # the unknown item replaces a share of all items. Without this correction its softmax probability would
                # be that of the whole share, and it would outrank nearly every known item
                logits[:, -1] += math.log(self.hidden_share * (len(pool) - 1))
            return F.cross_entropy(logits, torch.searchsorted(pool, target), reduction="none"), row
        positive = (states * self.vectors(target)).sum(1)
        negative = torch.einsum("pd,pnd->pn", states, self.vectors(batch["negative"][row, position]))
        return F.softplus(-positive) + F.softplus(negative).mean(1), row

    def row_losses(self, batch: Batch) -> Tensor:
        """Losses ``[B]``: the mean over a row's positions."""
        loss, row = self.position_losses(batch)
        n = torch.bincount(row, minlength=len(batch["sequence"])).clamp(min=1)
        return torch.zeros(len(n), device=loss.device, dtype=loss.dtype).index_add(0, row, loss) / n

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss over positions. Overridden so that every position, not every user, has the same weight."""
        return self.position_losses(batch)[0].mean()

    def weight(self, batch: Batch) -> int:
        """Number of positions with a target, because the loss is their mean."""
        return int((batch["target"] >= 0).sum())

    # Scoring

    def item_embeddings(self, items: Tensor) -> Tensor:
        """Embeddings ``[B, d]`` of items to be scored; items outside training have the unknown item's."""
        return self.vectors(self.oov_item(items))

    def readable_items(self) -> Array:
        """Mask ``[I]`` of items that are read in a history: those of training."""
        found: Array = self.known_items[:-1].cpu().numpy()
        return found

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """The latest events ``[B, L]`` and their number ``[B]``; an unknown user has none."""
        sequence, size = self.windows(self.history_starts[user], self.history_starts[user + 1], self.config.length)
        return {"sequence": sequence, "size": size}

    def observe(self, events: Interactions) -> None:
        """Add events after training to the histories; no weight changes. Items outside training are left out."""
        rating = events.rating
        if self.relevance_threshold is not None and rating is not None:
            events = events.take(np.flatnonzero(np.asarray(rating) >= self.relevance_threshold))
        user, item = in_order(events)
        known = self.readable_items()[item]
        before = np.repeat(np.arange(self.schema.n_users + 1), np.diff(self.history_starts.cpu().numpy()))
        owner = np.concatenate([before, user[known]])
        order = np.argsort(owner, kind="stable")
        items = np.concatenate([self.history_items.cpu().numpy(), item[known].astype(np.int32)])[order]
        device = self.history_items.device
        self.history_items = torch.from_numpy(items).to(device)
        self.history_starts = torch.from_numpy(np.searchsorted(owner[order], np.arange(self.schema.n_users + 2))).to(
            device
        )

    def sequence_embeddings(self, state: Mapping[str, Tensor]) -> Tensor:
        """Embeddings ``[B, d]`` of sequences: the state after the last event."""
        size = state["size"]
        longest = int(size.max()) if len(size) else 0  # padding beyond the longest sequence is not needed
        states = self.read(state["sequence"][:, :longest], size, state.get("user"))
        return states[torch.arange(len(size), device=size.device), size]

    @torch.no_grad()
    def attention(self, history: History) -> HistoryAttention | None:
        """Attention over a history, for models with Transformer blocks (``blocks``); ``None`` for others."""
        layers = getattr(self, "blocks", None)
        if not isinstance(layers, nn.ModuleList):
            return None
        self.rest()
        state = self.fold_in([history]).tensors
        size, first = int(state["size"][0]), self.first_event
        with recorded(layers) as found:
            self.sequence_embeddings(state)
        rows = torch.cat([weights[0, :, size, : size + 1] for weights in found]).double()
        names = tuple(f"block {b + 1}, head {h + 1}" for b, own in enumerate(found) for h in range(own.shape[1]))
        events = rows[:, first : first + size]
        items = state["sequence"][0, :size].cpu().numpy()
        return HistoryAttention(items, names, events.numpy(), (1 - events.sum(1)).numpy(), self.other_position)

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Dot products ``[B, 1]``."""
        return (self.sequence_embeddings(user) * self.item_embeddings(batch["item"])).sum(1, keepdim=True)

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]``; every sequence is encoded once."""
        items = torch.arange(self.schema.n_items, device=self.history_items.device) if items is None else items
        return self.sequence_embeddings(state) @ self.item_embeddings(items).T

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: their histories in time order; nothing is fitted."""
        known = self.readable_items()
        sequence, size = self.padded([read_history(h, known, self.relevance_threshold) for h in histories])
        source: tuple[Source, ...] = tuple("folded" if n else "fallback" for n in size.tolist())
        return UserState({"sequence": sequence, "size": size}, source)

    def item_vectors(self) -> Tensor | None:
        """Embeddings of items that sequences are compared with, ``[I, d]``."""
        self.rest()
        with torch.no_grad():
            return self.item_embeddings(torch.arange(self.schema.n_items, device=self.history_items.device)).clone()

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Items by their ids, then the special tokens."""
        return {"films.weight": self.names_of("item", *(f"\0mark{at}" for at in range(self.MARKS)))}
