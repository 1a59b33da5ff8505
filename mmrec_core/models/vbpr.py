"""Matrix factorisation with content vectors of items and the BPR loss (He and McAuley 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models._item_content import Content
from mmrec_core.models.bpr import BPR
from mmrec_core.types import Array, ItemState, Schema, Side, TrainSet


class VBPR(BPR):
    """Matrix factorisation whose users also have factors for projected content (He and McAuley 2016, "VBPR").

    ``x_ui = b_i + ⟨p_u, q_i⟩ + ⟨θ_u, E f_i⟩ + ⟨β, f_i⟩``, where ``f_i [W]`` are the concatenated vectors of all
    modalities of item ``i``, scaled to a mean squared length of 1, ``E [d', W]`` projects them and ``β [W]`` is a bias
    per coordinate; learned by BPR. With vectors of zeros it is BPR, bit for bit. Longer vectors would outweigh the
    factors of ids, which start small, and be fitted first.
    """

    class Config(BPR.Config):
        """Settings of BPR, and of the content."""

        content_dim: int = setting(64, "number of factors of users for content", ge=1, le=1024, log=True)
        content_l2: float = setting(
            0.01, "L2 penalty on the projection and the bias of the content", ge=0.0, le=10.0, advanced=True
        )

    version: ClassVar[int] = 2
    family: ClassVar[str] = "multimodal"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "content"})
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.content = Content(self.side, schema.n_items)
        width, generator = sum(self.content.widths.values()), self.generator(1, 9)
        self.user_content_factors = nn.Embedding(schema.n_users + 1, config.content_dim)
        self.projection = nn.Parameter(torch.empty(width, config.content_dim))
        self.content_bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.user_content_factors.weight, 0.0, config.init, generator=generator)
        if width:
            nn.init.xavier_uniform_(self.projection, generator=generator)

    def begin(self, train: TrainSet) -> None:
        """Also compute mean and standard deviation of the training items' content."""
        super().begin(train)
        self.content.begin(self.known_items)

    def hide(self, table: Batch, epoch: int) -> None:
        """Hide ids only: the content of a hidden item stays."""
        table["item_content"], table["negative_content"] = table["item"], table["negative"]
        super().hide(table, epoch)

    def features(self, item: Tensor) -> Tensor:
        """Concatenated vectors ``[B, W]`` of items ``[B]``; zeros where missing."""
        parts = [self.content.read(name, item)[0] for name in self.content.names]
        return self.scaled(torch.cat(parts, 1) if parts else torch.zeros(len(item), 0, device=item.device))

    @staticmethod
    def scaled(vectors: Tensor) -> Tensor:
        """Vectors ``[B, W]`` whose coordinates have a variance of 1, with a mean squared length of 1."""
        return vectors / max(vectors.shape[1], 1) ** 0.5

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """User factors ``[B, d]`` and their factors for content ``[B, d']``."""
        return {**super().gather_users(user), "content_factors": self.user_content_factors(self.oov_user(user))}

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Scores ``[B, 1]``."""
        own = self.features(batch["item"])
        more = (user["content_factors"] * (own @ self.projection)).sum(1) + own @ self.content_bias
        return super().forward(user, batch) + more[:, None]

    def row_losses(self, batch: Batch) -> Tensor:
        """BPR losses ``[B]``, averaged over a row's negatives, plus the L2 penalties."""
        user = self.user_tensors(batch)
        factors, content_factors = user["factors"], user["content_factors"]
        item, other = self.oov_item(batch["item"]), self.oov_item(batch["negative"])
        shown = batch if "item_content" not in batch else {k: batch[f"{k}_content"] for k in ("item", "negative")}
        own = self.features(shown["item"])  # in a fold-in nothing is hidden
        others = self.features(shown["negative"].flatten()).view(*other.shape, -1)
        positive, negative = self.item_factors(item), self.item_factors(other)
        score = (factors * positive).sum(1) + self.item_bias(item)[:, 0]
        negative_score = torch.einsum("bd,bnd->bn", factors, negative) + self.item_bias(other)[..., 0]
        score = score + ((own @ self.projection) * content_factors).sum(1) + own @ self.content_bias
        negative_score = negative_score + torch.einsum("bd,bnd->bn", content_factors, others @ self.projection)
        negative_score = negative_score + others @ self.content_bias
        norms = factors.square().sum(1) + positive.square().sum(1) + negative.square().sum(2).mean(1)
        loss = F.softplus(negative_score - score[:, None]).mean(1) + self.config.l2 * norms
        loss = loss + self.config.l2 * content_factors.square().sum(1)
        if self.config.content_l2:
            loss = loss + self.config.content_l2 * (self.projection.square().sum() + self.content_bias.square().sum())
        return loss

    def _content_scores(self, state: Mapping[str, Tensor], own: Tensor) -> Tensor:
        """The content's part of the scores ``[B, n]`` of items with vectors ``own [n, W]``."""
        return torch.addmm(own @ self.content_bias, state["content_factors"], (own @ self.projection).T)

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]`` by two matrix products."""
        rows = torch.arange(self.schema.n_items, device=self.known_items.device) if items is None else items
        return super().score_states(state, items) + self._content_scores(state, self.features(rows))

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items: their vectors ``[B, W]``, zeros for modalities that are not given."""
        if not set(content) & set(self.content.names):
            return None
        n, device = len(next(iter(content.values()))), self.known_items.device
        own = torch.cat([self.content.given(name, content, n, device)[0] for name in self.content.names], 1)
        return ItemState({"features": self.scaled(own)}, tuple("folded" for _ in range(n)))

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """Scores ``[B, n]`` of new items: factors and bias of the unknown item, and their own content."""
        unknown = torch.full((len(item["features"]),), self.schema.n_items, device=self.known_items.device)
        ids = torch.addmm(self.item_bias(unknown)[:, 0], state["factors"], self.item_factors(unknown).T)
        return ids + self._content_scores(state, item["features"])

    def item_vectors(self) -> Tensor | None:
        """Factors and projected content of items, ``[I, d + d']``."""
        ids = super().item_vectors()
        assert ids is not None
        with torch.no_grad():
            rows = torch.arange(self.schema.n_items, device=self.known_items.device)
            return torch.cat([ids, self.features(rows) @ self.projection], 1)

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and items by their ids."""
        return {**super().row_names(), "user_content_factors.weight": self.names_of("user")}

    def learns_as(self, cls: type[Any]) -> bool:
        """Never as another model: its losses have terms of their own."""
        return False
