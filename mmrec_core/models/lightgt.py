"""LightGCN plus light attention over a user's liked items, per modality (Wei et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._attribution import HistoryAttention
from mmrec_core.models._base import Batch
from mmrec_core.models._gathered_dot import side_by_side
from mmrec_core.models._graph import Layers, Owner, liked_items
from mmrec_core.models._item_content import Content
from mmrec_core.models.lightgcn import LightGCN
from mmrec_core.types import Array, History, ItemState, TrainSet, UserState, blocks

BLOCK = 2048
"""Users whose attention is computed at once when everything is scored."""


class LightGT(LightGCN):
    """LightGCN plus light self-attention over liked items (Wei et al. 2023, "LightGT: A Light Graph Transformer").

    Per modality, a sequence is the user's token and the projected content of up to ``history`` liked items. In layer
    ``k``, queries and keys are ``σ(W · mean of LightGCN's layers 0 … k)``, without gradient to LightGCN; values are the
    sequence itself; then LayerNorm. There is no feed-forward part, no residual, no position. With the token ``t_um``
    after the last layer, ``x_ui = a · ⟨e_u, e_i⟩ + (1 − a) · Σ_m ⟨t_um, W_m f_i⟩``; learned by BPR. A batch's
    targets are taken out of their user's sequence. Logits are divided by ``√d · sharpness`` (100 in the authors' code).
    """

    class Config(LightGCN.Config):
        """Settings of the graph and of the attention."""

        layers: int = setting(
            4,
            "graph layers, and as many of attention; with 0 there are none, and new users cannot be folded in",
            ge=0,
            le=8,
        )
        history: int = setting(50, "liked films in a sequence; of more, a random sample", ge=1, le=500)
        ids: float = setting(0.5, "weight a of LightGCN beside the content; .05 in the paper", ge=0.0, le=1.0)
        sharpness: float = setting(
            100.0, "divisor of the attention's logits beside √dim; larger means more equal weights", ge=0.01, le=1e4
        )
        content_dropout: float = setting(0.2, "dropout of the vectors in training", ge=0.0, le=0.95)

    family: ClassVar[str] = "multimodal"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "content"})
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 0.01,
        "batch_size": 8192,
        "max_epochs": 200,
        "patience": 15,
    }
    config: Config

    def more_layers(self) -> None:
        """Build the projections of content and, per modality, users' tokens and the attention."""
        config, schema = self.config, self.schema
        self.content = Content(self.side, schema.n_items)
        names, dim = self.content.names, config.dim
        self.project = nn.ModuleDict({name: nn.Linear(self.content.width(name), dim) for name in names})
        self.tokens = nn.Embedding(schema.n_users + 1, dim * max(len(names), 1)) if names else None
        shape = (len(names), config.layers, dim, dim)
        self.query, self.key = (nn.Parameter(torch.empty(shape)) for _ in range(2))
        self.norms = nn.ModuleList(nn.ModuleList(nn.LayerNorm(dim) for _ in range(config.layers)) for _ in names)
        self._vectors: tuple[Tensor, Tensor] | None = None

    def seed_weights(self) -> None:
        """Also initialise the stacked matrices one by one."""
        super().seed_weights()
        generator = self.generator(1, 9)
        for stack in (self.query, self.key):
            for matrix in stack.view(-1, *stack.shape[2:]):
                nn.init.xavier_uniform_(matrix, generator=generator)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes without the caches."""
        return {**super().__getstate__(), "_vectors": None}

    def forget(self) -> None:
        """Clear the caches."""
        super().forget()
        self._vectors = None

    def train(self, mode: bool = True) -> LightGT:
        """Also discard cached vectors, because training changes them."""
        self._vectors = None if mode else self._vectors
        super().train(mode)
        return self

    def begin(self, train: TrainSet) -> None:
        """Also compute mean and standard deviation of the training items' content."""
        super().begin(train)
        self.content.begin(self.known_items)

    # The parts

    def start(self, owner: Owner, rows: Tensor) -> Tensor:
        """First layer ``[n, d]``; zeros for unknown items, whose row is never trained."""
        own = super().start(owner, rows)
        return own if owner == "user" else own * self.known_items[rows][:, None]

    def features(self, name: str, item: Tensor) -> tuple[Tensor, Tensor]:
        """Projected content ``[…, d]`` of items ``[…]`` (zeros where missing), and a mask of items that have it."""
        rows, at = torch.unique(item, return_inverse=True)  # each item is projected once
        vectors, has = self.content.read(name, rows)
        vectors = F.dropout(vectors, self.config.content_dropout, self.training)
        return F.embedding(at, self.project[name](vectors) * has[:, None]), has[at]

    def history(self, user: Tensor, sample: bool = False) -> tuple[Tensor, Tensor]:
        """Up to ``history`` liked items of users ``[B]``: items ``[B, H]``, and a mask of places that are filled.

        Of more, a random sample (with repeats) if ``sample``, else items at equal distances.
        """
        start, end = self.graph.start[user], self.graph.start[user + 1]
        size, width = (end - start)[:, None], self.config.history
        place = torch.arange(width, device=user.device).expand(len(user), -1)
        chosen = (torch.rand(place.shape, device=user.device) * size).long() if sample else (place * size) // width
        filled = place < size.clamp(max=width)
        at = torch.where(filled, start[:, None] + torch.where(size > width, chosen, place), 0)
        return self.graph.items.long()[at] if len(self.graph.items) else torch.zeros_like(at), filled

    def attend(
        self,
        tokens: Tensor,
        own: Sequence[Tensor],
        items: Tensor,
        filled: Tensor,
        films: Sequence[Tensor],
        record: list[Tensor] | None = None,
    ) -> Tensor:
        """Tokens ``[B, M · d]`` after the last layer of attention.

        Args:
            tokens: users' tokens ``[B, M · d]``.
            own: LightGCN's layers of the users, each ``[B, d]``.
            items: liked items ``[B, H]``.
            filled: mask ``[B, H]`` of places that hold an item.
            films: LightGCN's layers of the items, each ``[I + 1, d]``.
            record: receives the token's attention weights ``[B, 1 + H]`` of each modality and layer.
        """
        dim, found = self.config.dim, []
        means = []  # of the layers 0 … k, of the token's user and of each liked item: [B, 1 + H, d], without gradient
        for k in range(self.config.layers):
            user = torch.stack(list(own[: k + 1])).mean(0).detach()
            film = torch.stack(list(films[: k + 1])).mean(0).detach()
            means.append(torch.cat([user[:, None], film[items]], 1))
        for at, name in enumerate(self.content.names):
            features, has = self.features(name, items)
            sequence = torch.cat([tokens[:, None, at * dim : (at + 1) * dim], features], 1)
            there = torch.cat([torch.ones_like(filled[:, :1]), filled & has], 1)
            norms = self.norms[at]
            assert isinstance(norms, nn.ModuleList)
            for k, mean in enumerate(means):
                asked = mean[:, :1] if k == self.config.layers - 1 else mean  # of the last layer only the token is read
                query, key = (asked @ self.query[at, k]).sigmoid(), (mean @ self.key[at, k]).sigmoid()
                logits = query @ key.transpose(1, 2) / (math.sqrt(dim) * self.config.sharpness)
                shares = logits.masked_fill(~there[:, None], -torch.inf).softmax(2)
                if record is not None:
                    record.append(shares[:, 0])
                sequence = norms[k](shares @ sequence)
            found.append(sequence[:, 0])
        return torch.cat(found, 1)

    def joined(self, ids: Tensor, more: Tensor, weighted: bool) -> Tensor:
        """Embeddings ``[n, (1 + M) · d]`` whose dot products are the scores; one side carries the weights."""
        if not self.content.names:
            return ids
        a = self.config.ids
        return torch.cat([a * ids, (1 - a) * more], 1) if weighted else torch.cat([ids, more], 1)

    # Scoring

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Embeddings of users ``[U + 1, (1 + M) · d]`` and items ``[I + 1, (1 + M) · d]``; cached outside training."""
        cached = self._vectors
        if cached is not None and not torch.is_grad_enabled():
            return cached
        users, items = self.propagate()
        device = self.known_items.device
        every = torch.arange(self.schema.n_users + 1, device=device)
        tokens = []
        for part in blocks(len(every), BLOCK) if self.tokens is not None else ():
            assert self.tokens is not None
            own = [layer[part] for layer in users]
            tokens.append(self.attend(self.tokens(every[part]), own, *self.history(every[part]), items))
        rows = torch.arange(self.schema.n_items + 1, device=device)
        films = [self.features(name, rows)[0] for name in self.content.names]
        mine, more = torch.cat(tokens) if tokens else users[0], torch.cat(films, 1) if films else items[0]
        found = self.joined(self.combine(users), mine, False), self.joined(self.combine(items), more, True)
        if not self.training and not torch.is_grad_enabled():
            self._vectors = found
        return found

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: LightGCN's as one more node, and the unknown user's token attending to the history."""
        folded = super().fold_in(histories)
        if self.tokens is None:
            return folded
        more = self._attended(histories, *self._liked(histories))
        return UserState({"vector": self.joined(folded.tensors["vector"], more, False)}, folded.source)

    def _liked(self, histories: Sequence[History]) -> tuple[Tensor, Tensor]:
        """Liked items ``[B, H]`` of histories, and a mask of places that are filled."""
        device, width = self.known_items.device, self.config.history
        known, threshold = self.known_items[:-1].cpu().numpy(), self.schema.relevant_from
        items = torch.zeros(len(histories), width, dtype=torch.int64)
        filled = torch.zeros(len(histories), width, dtype=torch.bool)
        for row, history in enumerate(histories):
            liked = _spread(liked_items(history, threshold, known), width)
            items[row, : len(liked)], filled[row, : len(liked)] = torch.from_numpy(liked), True
        return items.to(device), filled.to(device)

    def _attended(
        self, histories: Sequence[History], items: Tensor, filled: Tensor, record: list[Tensor] | None = None
    ) -> Tensor:
        """Tokens ``[B, M · d]`` of new users, from the unknown user's token and their liked items."""
        assert self.tokens is not None
        token = self.tokens.weight[-1].expand(len(histories), -1)
        return self.attend(token, self.fold_layers(histories), items, filled, self.propagate()[1], record)

    @torch.no_grad()
    def attention(self, history: History) -> HistoryAttention | None:
        """Attention of a new user's token over the liked items of a history; ``None`` for a model without content."""
        if self.tokens is None:
            return None
        self.rest()
        items, filled = self._liked([history])
        record: list[Tensor] = []
        self._attended([history], items, filled, record)
        size = int(filled[0].sum())
        rows = torch.cat(record)[:, : size + 1].double().cpu().numpy()
        names = tuple(f"{m}, layer {k + 1}" for m in self.content.names for k in range(self.config.layers))
        return HistoryAttention(items[0, :size].cpu().numpy(), names, rows[:, 1:], rows[:, 0], "user's own token")

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items from their vectors ``[B, W]`` by modality (some may be missing): no part of LightGCN."""
        if not set(content) & set(self.content.names):
            return None
        self.rest()
        n, device, parts = len(next(iter(content.values()))), self.known_items.device, []
        for name in self.content.names:
            vectors, has = self.content.given(name, content, n, device)
            parts.append(self.project[name](vectors) * has[:, None])
        more = torch.cat(parts, 1)
        vector = self.joined(more.new_zeros(n, self.config.dim), more, True)
        return ItemState({"vector": vector}, tuple("folded" for _ in range(n)))

    # Learning

    def hide(self, table: Batch, epoch: int) -> None:
        """Hide users only, by their token and embedding; their sequences stay."""
        table["whose"] = table["user"]
        hidden = torch.rand(table["user"].shape, generator=self.generator(epoch, 1)) < self.config.id_dropout
        table["user"] = torch.where(hidden, self.schema.n_users, table["user"])

    def pair_scores(self, users: Layers, items: Layers, batch: Batch) -> Tensor:
        """Scores ``[B, 1 + n]``. Each user's sequence is read once, without the user's targets in this batch."""
        ids = super().pair_scores(users, items, batch)
        if self.tokens is None:
            return ids
        n_users, n_items, dim = self.schema.n_users + 1, self.schema.n_items + 1, self.config.dim
        both, at_row = torch.unique(self.oov_user(batch["user"]) * n_users + batch["whose"], return_inverse=True)
        user, whose = both // n_users, both % n_users
        liked, filled = self.history(whose, self.training)
        row = torch.arange(len(user), device=user.device)[:, None]
        filled = filled & ~torch.isin(row * n_items + liked, at_row * n_items + batch["item"])
        tokens = self.attend(self.tokens(user), [layer[user] for layer in users], liked, filled, items)[at_row]
        rows, total = side_by_side(batch["item"], batch["negative"]), torch.zeros_like(ids)
        for at, name in enumerate(self.content.names):
            own = tokens[:, at * dim : (at + 1) * dim]
            total = total + torch.einsum("bd,bnd->bn", own, self.features(name, rows)[0])
        return self.config.ids * ids + (1 - self.config.ids) * total

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and items by their ids."""
        found = super().row_names()
        return found if self.tokens is None else {**found, "tokens.weight": self.names_of("user")}


def _spread(items: Array, width: int) -> Array:
    """At most ``width`` items at equal distances."""
    return items if len(items) <= width else items[(np.arange(width) * len(items)) // width]
