"""What comes next, from what was liked in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config, setting
from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.types import History, Interactions, Schema, Side, Source, TrainSet, UserState


class TinySASRec(GradientModel):
    """One layer of causal self-attention over liked films in time order (Kang & McAuley 2018, "SASRec").

    A user is their sequence ``[L]``, padded at the end. A start mark stands before it, so that the empty sequence is
    learned too: it predicts everybody's first film.
    """

    class Config(Config):
        """How wide, and how far back."""

        dim: int = setting(32, "width of a film's embedding", ge=2, le=512, log=True)
        length: int = setting(32, "latest liked films that are read", ge=1, le=1000, unit="films")

    needs: ClassVar[frozenset[str]] = frozenset({"ids", "sequence"})
    train_defaults: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "lr": 0.005}
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.mark = schema.n_items + 1  # starts and pads; the row before it is the unknown film
        self.films = nn.Embedding(schema.n_items + 2, config.dim)
        self.places = nn.Embedding(config.length + 1, config.dim)
        self.before, self.after = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.attend = nn.Linear(config.dim, 3 * config.dim)
        self.feed = nn.Sequential(nn.Linear(config.dim, config.dim), nn.ReLU(), nn.Linear(config.dim, config.dim))
        for table in (self.films, self.places):
            nn.init.normal_(table.weight, 0.0, config.dim**-0.5, generator=self.generator(table.num_embeddings, 9))
        self.sequences: Tensor
        self.register_buffer("sequences", torch.full((schema.n_users + 1, config.length), self.mark))

    def pad(self, items: np.ndarray) -> Tensor:
        """The latest ``length`` films ``[n]`` as a row ``[L]``."""
        row = torch.full((self.config.length,), self.mark)
        latest = torch.from_numpy(items[-self.config.length :].astype(np.int64))
        row[: len(latest)] = latest
        return row

    def read(self, liked: Interactions) -> Tensor:
        """Every user's liked films in time order: ``[U + 1, L]``, the last row empty for users not known."""
        user, time = np.asarray(liked.need("user")), np.asarray(liked.need("time"))
        order = np.lexsort((time, user))
        cuts = np.searchsorted(user[order], np.arange(self.schema.n_users + 2))
        item = np.asarray(liked.need("item"))[order]
        return torch.stack([self.pad(item[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)])

    def begin(self, train: TrainSet) -> None:
        """Keep everybody's sequence, to rank from."""
        self.sequences = self.read(train.positives).to(self.sequences.device)

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """One row per user: the sequence, and for each place in it a film drawn at random."""
        sequence = self.read(train.positives)
        sequence = sequence[sequence[:, 0] != self.mark]
        negative = torch.randint(self.schema.n_items, sequence.shape, generator=self.generator(epoch, 2))
        return {"sequence": sequence, "negative": negative}

    def encode(self, sequence: Tensor) -> Tensor:
        """``[B, L] → [B, L + 1, d]``: place ``t`` has read the first ``t`` films and nothing after."""
        start = torch.full_like(sequence[:, :1], self.mark)
        x = self.films(torch.cat([start, sequence], 1)) + self.places.weight
        query, key, value = self.attend(self.before(x)).chunk(3, -1)
        x = x + F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.after(x + self.feed(x))

    def sequence_embeddings(self, sequence: Tensor) -> Tensor:
        """``[B, d]``: what was read once a sequence is at its end."""
        end = (sequence != self.mark).sum(1)
        return self.encode(sequence)[torch.arange(len(sequence), device=sequence.device), end]

    def row_losses(self, batch: Batch) -> Tensor:
        """Cross-entropy of each next film against one drawn at random, averaged over a sequence."""
        sequence, info = batch["sequence"], self.encode(batch["sequence"])[:, :-1]
        there = (sequence != self.mark).float()
        liked = (info * self.films(sequence)).sum(-1)
        other = (info * self.films(self.oov_item(batch["negative"]))).sum(-1)
        return ((F.softplus(-liked) + F.softplus(other)) * there).sum(1) / there.sum(1).clamp(min=1)

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Sequences ``[B, L]``."""
        return {"sequence": self.sequences[self.oov_user(user)]}

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """``[B, 1]`` scores."""
        return (self.sequence_embeddings(user["sequence"]) * self.films(self.oov_item(batch["item"]))).sum(
            1, keepdim=True
        )

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """``[B, I]``: every sequence is read once."""
        items = torch.arange(self.schema.n_items, device=self.sequences.device) if items is None else items
        return self.sequence_embeddings(state["sequence"]) @ self.films(self.oov_item(items)).T

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """Read the films of each history that were liked and that training knows; there is nothing to solve."""
        known, rows = self.known_items.cpu().numpy(), []
        for history in histories:
            keep = known[history.items]
            if self.schema.relevant_from is not None and history.ratings is not None:
                keep = keep & (np.asarray(history.ratings) >= self.schema.relevant_from)
            order = np.arange(len(history)) if history.times is None else np.argsort(history.times, kind="stable")
            rows.append(self.pad(np.asarray(history.items)[order][keep[order]]))
        sequence = torch.stack(rows) if rows else self.sequences[:0]
        info = (sequence[:, 0] != self.mark).tolist()
        source: tuple[Source, ...] = tuple("folded" if any_told else "fallback" for any_told in info)
        return UserState({"sequence": sequence.to(self.sequences.device)}, source)
