"""LightGCN with plot and poster vectors in the items' initial embeddings."""

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
    """LightGCN (He et al. 2020) whose films begin with an embedding plus their fused plot and poster.

    In a share of comparisons (``id_dropout``) a film is scored as if it had neither edges nor an embedding (after
    Volkovs et al. 2017, "DropoutNet"), so that what remains of a film without edges, its content, is trained to be
    compared with films that have them.
    """

    class Config(ContentConfig, LightGCN.Config):
        """LightGCN's, and how text and image come together."""

        id_dropout: float = setting(
            0.2, "share of films scored without edges and embedding in training, and of users hidden", ge=0.0, le=0.9
        )

    needs: ClassVar[frozenset[str]] = frozenset({"ids", "text|image"})
    config: Config

    def more_layers(self) -> None:
        """The fused vector, where any modality is given."""
        config = self.config
        self.content = FusedContent(
            self.side, self.schema.n_items, config.fusion, config.dim, config.fusion_width, config.content_dropout
        )
        self.loudness = nn.Parameter(torch.tensor(0.1))
        """Embeddings start small; the fused vector starts about as small."""

    def seed_weights(self) -> None:
        """Also initialise FiLM as the identity."""
        super().seed_weights()
        self.content.start()

    def begin(self, train: TrainSet) -> None:
        """Also store the centre of the training items' vectors."""
        super().begin(train)
        self.content.begin(self.known_items)

    def start(self, owner: Owner, rows: Tensor) -> Tensor:
        """A film's embedding (the unknown one's, where training has not met it) and its content."""
        found = super().start(owner, rows)
        return found + self.loudness * self.content(rows) if owner == "item" and self.content.names else found

    def hide(self, table: Batch, epoch: int) -> None:
        """Users by the unknown row; films by a mask, since their content stays."""
        share = self.config.id_dropout
        for key, purpose in (("item", 1), ("negative", 2)):
            table[f"{key}_alone"] = torch.rand(table[key].shape, generator=self.generator(epoch, 10 + purpose)) < share
        lost = torch.rand(table["user"].shape, generator=self.generator(epoch, 1)) < share / 10
        table["user"] = torch.where(lost, self.schema.n_users, table["user"])

    def compared(self, users: Layers, items: Layers, batch: Batch) -> Tensor:
        """In training, treat some items as if nobody had liked them."""
        alone = side_by_side(batch["item_alone"], batch["negative_alone"])
        bare = self.dots(self.combine(users), self.alone(items[0]), batch)
        return torch.where(alone, bare, super().compared(users, items, batch))

    def alone(self, first: Tensor) -> Tensor:
        """``[I + 1, d]``: films as they would be without edges and embedding, from what they begin with."""
        rows = torch.arange(len(first), device=first.device)
        own, unknown = self.item_table(self.oov_item(rows)), self.item_table.weight[-1]
        return (first - own + unknown) / (self.config.layers + 1)

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """New films by their ``text`` and ``image`` vectors ``[B, W]`` (either may be missing)."""
        if not set(content) & set(self.content.names):
            return None
        self.rest()
        info = self.loudness * self.content.of(content, self.known_items.device) + self.item_table.weight[-1]
        return ItemState({"vector": info / (self.config.layers + 1)}, tuple("folded" for _ in range(len(info))))
