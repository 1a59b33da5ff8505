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

    ``min_B ‖X − XB‖² + content · Σ_m ‖A_m − A_m B‖² + l2·‖B‖²`` with ``diag(B) = 0``, over the items with likes in
    training. ``A_m`` links each item to its ``neighbours`` most similar ones by the cosine of modality ``m``, so that
    similar items count as liked together. With ``content=0`` it is EASE. The column of an item without likes, or of a
    new one, is the ridge regression of its own links on the others, with the same inverse.
    """

    class Config(EASE.Config):
        """Regularisation, and the weight of the content."""

        content: float = setting(1.0, "weight of the content beside the likes; 0: likes only", ge=0.0, le=10_000.0)
        neighbours: int = setting(20, "most similar items that an item is linked to, itself included", ge=1, le=500)

    family: ClassVar[str] = "multimodal"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "content"})
    scores_by_content: ClassVar[bool] = False
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.content = Content(self.side, schema.n_items)
        self.scale: Tensor
        self.register_buffer("scale", torch.zeros(0))
        self._cold: tuple[Tensor, Tensor] | None = None
        """Items without likes and their columns."""

    def links(self, name: str, queries: Tensor) -> Tensor:
        """Rows ``[n, A]`` of ``A_m`` for vectors ``[n, W]``: cosines to the most similar items with likes, else 0."""
        liked = torch.zeros(self.schema.n_items, dtype=torch.bool, device=queries.device)
        liked[self.active] = True
        found = _item_graph.nearest(self.content.raw(name), queries, liked, self.config.neighbours)
        rows = torch.arange(len(queries), device=queries.device)[:, None].expand_as(found.items)
        whole = torch.zeros(len(queries), self.schema.n_items, device=queries.device)
        return whole.index_put((rows, found.items), found.cosine, accumulate=True)[:, self.active]

    def forget(self) -> None:
        """Clear the columns of items without likes: vectors or device may have changed."""
        self._cold = None

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Invert one matrix over the items with likes.

        Raises:
            MMRecError: it needs more memory than is free.
        """
        self.mark_known(train.interactions)
        self.content.begin(self.known_items)
        self.forget()
        liked = self.remember(train)
        self.active = torch.from_numpy(np.flatnonzero(np.asarray(liked.sum(0)).ravel() > 0).astype(np.int64))
        need, free = 5 * 8 * len(self.active) ** 2, psutil.virtual_memory().available
        if need > free:
            raise MMRecError(
                f"EASE over {len(self.active):,} films needs about {need / 2**30:.0f} GiB, and {free / 2**30:.0f} GiB"
                " are free. Take a smaller dataset, or vbpr or lightgcn_multimodal."
            )
        progress(0, 2, "counting films liked together")
        chosen = liked[:, self.active.numpy()]
        gram = torch.from_numpy((chosen.T @ chosen).toarray().astype(np.float64))
        for name in self.content.names if self.config.content else ():
            own = self.links(name, self.content.raw(name)[self.active]).double()
            gram += self.config.content * (own.T @ own)
        gram.diagonal().add_(self.config.l2)
        progress(1, 2, "inverting")
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        self.scale = inverse.diagonal().float().clone()
        weights = -inverse / inverse.diagonal()
        weights.fill_diagonal_(0.0)
        self.weights = weights.float()

    def columns(self, content: Mapping[str, Tensor]) -> Tensor:
        """Columns ``[n, A]`` of ``B`` for items without likes, from their vectors ``[n, W]`` by modality."""
        links = [self.links(name, vectors.float()) for name, vectors in content.items() if name in self.content.names]
        target = self.config.content * torch.stack(links).sum(0)
        inverse = (torch.eye(len(self.active), device=target.device) - self.weights) * self.scale
        return target @ inverse.T  # B = I − P · diag(1 / diag P), so P = (I − B) · diag(diag P)

    def affinity(self, liked: Tensor) -> Tensor:
        """Scores ``X B``, ``[B, I]``; items without likes by their content, 0 without any."""
        scores = super().affinity(liked)
        if not self.config.content or not self.content.names:
            return scores
        cold = self._cold
        if cold is None:
            rows = torch.ones(self.schema.n_items, dtype=torch.bool, device=liked.device)
            rows[self.active] = False
            items = torch.nonzero(rows)[:, 0]
            cold = self._cold = items, self.columns({n: self.content.raw(n)[items] for n in self.content.names})
        scores[:, cold[0]] = liked[:, self.active] @ cold[1].T
        return scores

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """Columns ``[n, A]`` of new items, from their vectors ``[n, W]`` by modality (some may be missing)."""
        given = {n: v.to(self.weights.device) for n, v in content.items() if n in self.content.names}
        if not given or not self.config.content:
            return None
        columns = self.columns(given)
        return ItemState({"weights": columns}, tuple("folded" for _ in range(len(columns))))

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """Scores ``[B, n]``: the liked items' weights in the new items' columns."""
        return state["liked"][:, self.active] @ item["weights"].T
