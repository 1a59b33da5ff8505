"""Films in a sequence as their id plus what they show and tell, so that one nobody has met can be read and ranked
next."""

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
    """How text and image come together, and how often a film is known by them alone."""

    id_dropout: float = setting(0.2, "share of films that are known by their content alone in training", ge=0.0, le=0.9)


class SequenceContentModel(SequenceModel):
    """To be put before a model of sequences: its films' vectors are ``id + loudness · fused content``.

    In training a share of films lose their id wherever they stand (after Volkovs et al. 2017, "DropoutNet"), so that
    what remains of a film without a past is trained to be read and compared.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"ids", "sequence", "text|image"})

    def more_layers(self) -> None:
        """The model's own, and the fused vector, where any modality is given."""
        super().more_layers()
        config = self.config
        self.content = FusedContent(
            self.side, self.schema.n_items, config.fusion, config.dim, config.fusion_width, config.content_dropout
        )
        self.loudness = nn.Parameter(torch.tensor(0.1))
        """The films' table starts small; the fused vector starts about as small."""

    def seed_weights(self) -> None:
        """Also initialise FiLM as the identity."""
        super().seed_weights()
        self.content.start()

    def begin(self, train: TrainSet) -> None:
        """Also store the centre of the training items' vectors."""
        super().begin(train)
        self.content.begin(self.known_items)

    @property
    def hidden_share(self) -> float:
        """No film becomes the unknown one: ids are hidden in :meth:`vectors`, content stays."""
        return 0.0

    def pool(self) -> Tensor:
        """Training's films alone: the unknown one is never what comes next, and taught as such it would drag down every
        film nobody met."""
        return super().pool()[:-1]

    def vectors(self, rows: Tensor) -> Tensor:
        """Ids of films that training met, content of all; each film is fused once however often it stands in
        ``rows``."""
        unknown = self.schema.n_items
        film = rows < unknown
        nameless = film & ~self.known_items[rows.clamp(max=unknown)]
        if self.training and self.config.id_dropout > 0:
            nameless = nameless | (film & (torch.rand(rows.shape, device=rows.device) < self.config.id_dropout))
        found: Tensor = self.films(torch.where(nameless, unknown, rows))
        if not self.content.names:
            return found
        once, at = torch.unique(rows.clamp(max=unknown), return_inverse=True)
        return found + self.loudness * self.content(once)[at]

    def item_embeddings(self, items: Tensor) -> Tensor:
        """``[B, d]``: a film that training never met is the unknown one with its own content."""
        return self.vectors(items)

    def readable(self) -> Array:
        """Also films that training never met, where they show or tell anything."""
        there = super().readable().copy()
        for name in self.content.names:
            there |= self.content.get_buffer(f"{name}_place")[:-1].cpu().numpy() >= 0
        return there

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """New films by their ``text`` and ``image`` vectors ``[B, W]`` (either may be missing)."""
        if not set(content) & set(self.content.names):
            return None
        self.rest()
        schema = (
            self.loudness * self.content.of(content, self.known_items.device) + self.films.weight[self.schema.n_items]
        )
        return ItemState({"vector": schema}, tuple("folded" for _ in range(len(schema))))

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """Dot products, as with films of the catalog."""
        self.rest()
        return self.sequence_embeddings(state) @ item["vector"].T
