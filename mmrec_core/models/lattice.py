"""LightGCN plus an item graph that is learned from content (Zhang et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models import _item_graph
from mmrec_core.models._content_graph import ContentGraphConfig, ContentGraphModel
from mmrec_core.types import TrainSet


class LATTICE(ContentGraphModel):
    """LightGCN plus messages over a latent item graph (Zhang et al. 2021, "Mining Latent Structures", LATTICE).

    Per modality: the graph of the ``k`` most similar items by the encoder's vectors, and one by learned projections of
    them, whose neighbours are searched anew before each epoch and whose weights get gradients at every step (the
    authors' at the first of an epoch). Their mixture ``λ · original + (1 − λ) · learned``, weighted over modalities by
    a learned softmax, passes the id embeddings between items ``item_layers`` times; its result, with length one, is
    added to LightGCN's embedding of the item. BPR loss.
    """

    class Config(ContentGraphConfig):
        """Settings of both graphs."""

        item_layers: int = setting(1, "layers of the item graph", ge=1, le=4)
        original: float = setting(
            0.9, "share λ of the graph of the encoder's own vectors in the mixture", ge=0.0, le=1.0
        )
        content_dim: int = setting(64, "width of the learned projections", ge=1, le=1024, log=True, advanced=True)

    train_defaults: ClassVar[Mapping[str, Any]] = {**ContentGraphModel.train_defaults, "lr": 0.001}
    config: Config

    def more_layers(self) -> None:
        """Also build the projections and the weights of modalities."""
        super().more_layers()
        names = self.content.names
        self.project = nn.ModuleDict(
            {name: nn.Linear(self.content.width(name), self.config.content_dim) for name in names}
        )
        self.modality_weights = nn.Parameter(torch.full((max(len(names), 1),), 0.5))
        self._near: dict[str, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """The attributes without the learned graph."""
        return {**super().__getstate__(), "_near": {}}

    def forget(self) -> None:
        """Also clear the neighbours of the learned graph."""
        super().forget()
        self._near = {}

    def start_epoch(self, train: TrainSet, epoch: int) -> None:
        """Search the neighbours of the learned projections anew."""
        super().start_epoch(train, epoch)
        self._near = {}

    def train(self, mode: bool = True) -> LATTICE:
        """Also search the learned graph again, so that a model at rest has the graph of its own weights."""
        if not mode and self.training:
            self._near = {}
        super().train(mode)
        return self

    @torch.no_grad()
    def near(self, name: str) -> Tensor:
        """Neighbours ``[I, k]`` of the learned graph; −1 where there is none."""
        found = self._near.get(name)
        if found is None:
            made = self._projected(name)
            best = _item_graph.nearest(made, made, self.known_items[:-1], self.config.neighbours)
            found = self._near[name] = torch.where(best.cosine > 0, best.items, -1)
        return found

    def _projected(self, name: str) -> Tensor:
        """Learned projections ``[I, d]``; zeros where an item has no vector."""
        rows = torch.arange(self.schema.n_items, device=self.known_items.device)
        vectors, has = self.content.read(name, rows)
        found: Tensor = self.project[name](vectors) * has[:, None]
        return found

    def _learned(self) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """The learned graph of each modality (neighbours and weights ``[I, k]``) and the sum of each item's weights."""
        found = []
        for share, name in zip(self.modality_weights.softmax(0), self.content.names, strict=False):
            near = self.near(name)
            unit = F.normalize(self._projected(name), dim=1)
            cosine = (unit[:, None] * unit[near.clamp(min=0)]).sum(2).clamp(min=0) * (near >= 0)
            found.append((near.clamp(min=0), share * cosine))
        return found, torch.stack([weights.sum(1) for _, weights in found]).sum(0)

    def mixture(self) -> list[tuple[Tensor, Tensor]]:
        """The item graph as neighbours ``[I, k]`` and weights ``[I, k]``, one pair for each graph that is mixed."""
        original, parts = self.config.original, []
        for share, name in zip(self.modality_weights.softmax(0), self.content.names, strict=False):
            items, weights = self.item_graph(name)
            parts.append((items, original * share * weights))
        learned, degree = self._learned()
        for items, weights in learned:  # normalised as one graph, as the authors do
            parts.append((items, (1 - original) * _item_graph.normalised(weights, items, degree, degree)))
        return parts

    def channels(self, ids: Tensor) -> Tensor:
        """The item graph's message ``[I + 1, 1, d]``, with length one."""
        graph, found = self.mixture(), ids[:-1]
        for _ in range(self.config.item_layers):
            found = _message(graph, found)
        found = F.normalize(found, dim=1)
        return torch.cat([found, torch.zeros_like(found[:1])])[:, None]

    def new_channels(self, content: Mapping[str, Tensor]) -> Tensor:
        """The message of the most similar training items, by both graphs, with length one, ``[n, 1, d]``."""
        table = self.ids("item", torch.arange(self.schema.n_items, device=self.known_items.device))
        for _ in range(self.config.item_layers - 1):
            table = _message(self.mixture(), table)
        original, parts, learned = self.config.original, [], []
        for share, name in zip(self.modality_weights.softmax(0), self.content.names, strict=False):
            if name in content:
                items, weights = self.new_item_links(name, content[name])
                parts.append((items, original * share * weights))
                made = self.project[name](self.content.centred(name, content[name].float()))
                near = _item_graph.nearest(self._projected(name), made, self.known_items[:-1], self.config.neighbours)
                learned.append((near.items, share * near.cosine))
        own, degree = torch.stack([weights.sum(1) for _, weights in learned]).sum(0), self._learned()[1]
        for items, weights in learned:
            parts.append((items, (1 - original) * _item_graph.normalised(weights, items, degree, own)))
        return F.normalize(_message(parts, table), dim=1)[:, None]


def _message(graph: list[tuple[Tensor, Tensor]], table: Tensor) -> Tensor:
    """Sums ``[N, d]`` of the neighbours' rows of a table over all graphs of a mixture."""
    return torch.stack([_item_graph.sums(items, weights, table) for items, weights in graph]).sum(0)
