"""EASE whose items are also regressed on the items with similar content (Jeunen et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import psutil
import torch
from torch import Tensor

from mmrec_core.config import setting
from mmrec_core.errors import MMRecError
from mmrec_core.models import _item_graph
from mmrec_core.models._item_content import Content
from mmrec_core.models.ease import EASE
from mmrec_core.types import ItemState, Progress, Schema, Side, TrainSet, quiet


class EASEContent(EASE):
    """EASE whose Gram matrix also holds the items' content (Jeunen, Van Balen and Goethals 2020, "Collective EASE").

    ``min_B ‖X − XB‖² + content · Σ_m ‖A_m − A_m B‖² + l2·‖B‖²`` with ``diag(B) = 0``. ``A_m [I, I]`` links each item to
    its ``neighbours`` most similar ones by the cosine of modality ``m``, so similar items count as liked together. With
    ``content=0`` it is EASE. Items without likes have content, so they are scored; a new item's column is solved on the
    others with the same inverse.
    """

    class Config(EASE.Config):
        """Regularisation, and the weight of the content."""

        content: float = setting(2.0, "weight of the content beside the likes; 0: likes only", ge=0.0, le=10_000.0)
        neighbours: int = setting(10, "most similar items that an item is linked to, itself included", ge=1, le=500)

    needs: ClassVar[frozenset[str]] = frozenset({"ids", "content"})
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.content = Content(self.side, schema.n_items)
        self.scale: Tensor
        self.register_buffer("scale", torch.zeros(0))

    def vectors(self, name: str) -> Tensor:
        """Stored vectors ``[I, W]`` of a modality; zeros where missing."""
        place, vectors = self.content.get_buffer(f"{name}_place")[:-1], self.content.get_buffer(f"{name}_vectors")
        if not len(vectors):
            return torch.zeros(len(place), self.content.width(name))
        return vectors[place.clamp(min=0)].float() * (place >= 0)[:, None]

    def links(self, name: str, queries: Tensor) -> Tensor:
        """Rows ``[n, I]`` of ``A_m`` for vectors ``[n, W]``: cosines to the most similar items, else 0."""
        every = torch.ones(self.schema.n_items, dtype=torch.bool)
        found = _item_graph.nearest(self.vectors(name), queries, every, self.config.neighbours)
        rows = torch.arange(len(queries))[:, None].expand_as(found.items)
        return torch.zeros(len(queries), self.schema.n_items).index_put((rows, found.items), found.cosine, True)

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Invert one matrix over the items with likes or content.

        Raises:
            MMRecError: it needs more memory than is free.
        """
        self.mark_known(train.interactions)
        self.content.begin(self.known_items)
        liked = self.remember(train)
        graphs = [self.links(name, self.vectors(name)) for name in self.content.names] if self.config.content else []
        counted = torch.from_numpy(np.asarray(liked.sum(0)).ravel() > 0)
        for graph in graphs:
            counted |= graph.any(1)
        active = torch.nonzero(counted)[:, 0]
        need, free = 5 * 8 * len(active) ** 2, psutil.virtual_memory().available
        if need > free:
            raise MMRecError(
                f"EASE over {len(active):,} films needs about {need / 2**30:.0f} GiB, and {free / 2**30:.0f} GiB are"
                " free. Take a smaller dataset, or vbpr or lightgcn_multimodal."
            )
        progress(0, 2, "counting films liked together")
        chosen = liked[:, active.numpy()]
        gram = torch.from_numpy((chosen.T @ chosen).toarray().astype(np.float64))
        for graph in graphs:
            own = graph[:, active].double()
            gram += self.config.content * (own.T @ own)
        gram.diagonal().add_(self.config.l2)
        progress(1, 2, "inverting")
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        self.scale = inverse.diagonal().float().clone()
        weights = -inverse / inverse.diagonal()
        weights.fill_diagonal_(0.0)
        self.active, self.weights = active, weights.float()

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """Columns ``[n, I]`` of ``B`` for new items: the catalog's items regressed on their links to similar items."""
        names = [name for name in self.content.names if name in content]
        if not names or not self.config.content:
            return None
        target = torch.zeros(len(content[names[0]]), len(self.active))
        for name in names:
            own = self.links(name, content[name].float().cpu())[:, self.active]
            target += self.config.content * own
        inverse = (torch.eye(len(self.active)) - self.weights) * self.scale  # B = I − P · diag(1 / diag P)
        columns = torch.zeros(len(target), self.schema.n_items)
        columns[:, self.active] = target @ inverse.T
        return ItemState({"weights": columns}, tuple("folded" for _ in range(len(target))))

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """Scores ``[B, n]``: the liked items' weights in the new items' columns."""
        return state["liked"].cpu() @ item["weights"].T
