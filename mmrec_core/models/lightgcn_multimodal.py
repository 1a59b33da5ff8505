"""LightGCN with plot and poster vectors in the items' first embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models._gathered_dot import side_by_side
from mmrec_core.models._graph import Layers, Owner
from mmrec_core.models._item_content import ContentConfig, FusedContent
from mmrec_core.models.lightgcn import LightGCN
from mmrec_core.types import ItemState, TrainSet


class LightGCNMultimodal(LightGCN):
    """LightGCN (He et al. 2020) with items whose first layer is their embedding plus their fused plot and poster.

    In a share of comparisons (``id_dropout``) an item is scored as if it had neither edges nor an embedding (after
    Volkovs et al. 2017, "DropoutNet"). This trains the content of items without edges to be compared with items that
    have edges.
    """

    class Config(ContentConfig, LightGCN.Config):
        """Settings of LightGCN and of the fusion of text and image."""

        id_dropout: float = setting(
            0.2,
            "share of films scored without edges and embedding in training; a tenth of it is the share of hidden users",
            ge=0.0,
            le=0.9,
        )

    family: ClassVar[str] = "multimodal"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "content"})
    config: Config

    def more_layers(self) -> None:
        """Build the fusion of the items' content."""
        config = self.config
        self.content = FusedContent(
            self.side, self.schema.n_items, config.fusion, config.dim, config.fusion_width, config.content_dropout
        )
        self.loudness = nn.Parameter(torch.tensor(0.1))
        """Learned scale of the fused vector; it starts small, like the embeddings."""

    def seed_weights(self) -> None:
        """Also initialise FiLM as the identity."""
        super().seed_weights()
        self.content.start()

    def begin(self, train: TrainSet) -> None:
        """Also compute mean and standard deviation of the training items' content."""
        super().begin(train)
        self.content.begin(self.known_items)

    def start(self, owner: Owner, rows: Tensor) -> Tensor:
        """First layer ``[n, d]``: the embedding (the unknown one's for items outside training), for items plus the
        content."""
        found = super().start(owner, rows)
        return found + self.loudness * self.content(rows) if owner == "item" and self.content.names else found

    def hide(self, table: Batch, epoch: int) -> None:
        """Hide users by the unknown row and items by a mask. Overridden because the items' content stays."""
        share = self.config.id_dropout
        for key, purpose in (("item", 1), ("negative", 2)):
            table[f"{key}_hidden"] = torch.rand(table[key].shape, generator=self.generator(epoch, 10 + purpose)) < share
        hidden = torch.rand(table["user"].shape, generator=self.generator(epoch, 1)) < share / 10
        table["user"] = torch.where(hidden, self.schema.n_users, table["user"])

    def pair_scores(self, users: Layers, items: Layers, batch: Batch) -> Tensor:
        """Scores ``[B, 1 + n]``, where the hidden items are scored as if they had no edges."""
        hidden = side_by_side(batch["item_hidden"], batch["negative_hidden"])
        without = self.dots(self.combine(users), self.without_edges(items[0]), batch)
        return torch.where(hidden, without, super().pair_scores(users, items, batch))

    def without_edges(self, first: Tensor) -> Tensor:
        """Embeddings ``[I + 1, d]`` that items would have without edges and without an embedding of their own, from
        their first layer."""
        rows = torch.arange(len(first), device=first.device)
        own, unknown = self.item_table(self.oov_item(rows)), self.item_table.weight[-1]
        return (first - own + unknown) / (self.config.layers + 1)

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items from their ``text`` and ``image`` vectors ``[B, W]`` (either may be missing)."""
        if not set(content) & set(self.content.names):
            return None
        self.rest()
        first = self.loudness * self.content.of(content, self.known_items.device) + self.item_table.weight[-1]
        return ItemState({"vector": first / (self.config.layers + 1)}, tuple("folded" for _ in range(len(first))))
