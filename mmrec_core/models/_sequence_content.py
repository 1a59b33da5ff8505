"""Sequence models whose items are an id embedding plus content, so that items outside training can be read and
ranked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.models._item_content import ContentConfig, FusedContent
from mmrec_core.models._sequence import SequenceModel
from mmrec_core.types import Array, ItemState, TrainSet


class SequenceContentConfig(ContentConfig):
    """Settings of the fusion of text and image, and of the dropout of ids."""

    id_dropout: float = setting(
        0.2, "share of films whose id is hidden in training, so that only their content is read", ge=0.0, le=0.9
    )


class SequenceContentModel(SequenceModel):
    """Mixin placed before a sequence model: an item's embedding is ``id + loudness · fused content``.

    In training the ids of a share of items are hidden, in sequences, targets and negatives (after Volkovs et al. 2017,
    "DropoutNet"). This trains the content of items without interactions.
    """

    family: ClassVar[str] = "multimodal"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "sequence", "content"})

    def more_layers(self) -> None:
        """Also build the fusion of the items' content."""
        super().more_layers()
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

    @property
    def hidden_share(self) -> float:
        """Zero, because :meth:`vectors` hides ids and keeps the content."""
        return 0.0

    def pool(self) -> Tensor:
        """Candidates of the full softmax: training items only. The unknown item is never a target, and as a candidate
        it would lower the scores of all items outside training."""
        return super().pool()[:-1]

    def vectors(self, rows: Tensor) -> Tensor:
        """Embeddings ``[…, d]``: ids of training items plus the content of all items; each item is fused once, however
        often it occurs in ``rows``."""
        unknown = self.schema.n_items
        is_item = rows < unknown
        hidden = is_item & ~self.known_items[rows.clamp(max=unknown)]
        if self.training and self.config.id_dropout > 0:
            hidden = hidden | (is_item & (torch.rand(rows.shape, device=rows.device) < self.config.id_dropout))
        found: Tensor = self.films(torch.where(hidden, unknown, rows))
        if not self.content.names:
            return found
        items, at = torch.unique(rows.clamp(max=unknown), return_inverse=True)
        return found + self.loudness * self.content(items)[at]

    def item_embeddings(self, items: Tensor) -> Tensor:
        """Embeddings ``[B, d]`` of items to be scored; an item outside training has the unknown item's id and its own
        content."""
        return self.vectors(items)

    def readable_items(self) -> Array:
        """Mask ``[I]`` of items that are read in a history: those of training, and all with content."""
        readable = super().readable_items().copy()
        for name in self.content.names:
            readable |= self.content.get_buffer(f"{name}_place")[:-1].cpu().numpy() >= 0
        return readable

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items from their ``text`` and ``image`` vectors ``[B, W]`` (either may be missing)."""
        if not set(content) & set(self.content.names):
            return None
        self.rest()
        vector = (
            self.loudness * self.content.of(content, self.known_items.device) + self.films.weight[self.schema.n_items]
        )
        return ItemState({"vector": vector}, tuple("folded" for _ in range(len(vector))))

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """Scores ``[B, n]`` by dot products, as for items of the catalog."""
        self.rest()
        return self.sequence_embeddings(state) @ item["vector"].T
