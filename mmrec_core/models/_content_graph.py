"""Base of graph models that also pass messages between items with similar content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmrec_core.config import setting
from mmrec_core.models import _item_graph
from mmrec_core.models._base import Batch
from mmrec_core.models._graph import GraphConfig, Layers, Owner
from mmrec_core.models._item_content import Content
from mmrec_core.models.lightgcn import LightGCN
from mmrec_core.types import ItemState, TrainSet


class ContentGraphConfig(GraphConfig):
    """Settings of the user-item graph and of the graphs of similar items."""

    layers: int = setting(
        2, "layers of the user-item graph; with 0 there are no messages, and new users cannot be folded in", ge=0, le=8
    )
    neighbours: int = setting(10, "most similar items that an item is linked to, itself included", ge=1, le=200)


class ContentGraphModel(LightGCN):
    """Base of models with LightGCN (He et al. 2020) on the user-item graph and, per modality, a graph of similar items.

    A node's tensor has more than one channel, ``[n, C, d]``: channel 0 is the embedding that LightGCN averages over its
    layers; the others hold what the item graphs give (zeros for users, unless a model sends messages of them).
    Neighbours are training items only, so an item without interactions receives messages and sends none.
    """

    family: ClassVar[str] = "multimodal"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "content"})
    Config: ClassVar[type[Any]] = ContentGraphConfig
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 0.001,
        "batch_size": 2048,
        "max_epochs": 300,
        "patience": 20,
    }
    raw_weights: ClassVar[bool] = True
    """Whether neighbours are weighted by their cosine similarity; else each has weight 1."""
    config: Any

    def more_layers(self) -> None:
        """Build the content. Item graphs follow from it, so they are not saved but searched when they are needed."""
        self.content = Content(self.side, self.schema.n_items)
        self._graphs: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """The attributes without the item graphs."""
        return {**super().__getstate__(), "_graphs": {}}

    def forget(self) -> None:
        """Also clear the item graphs: the vectors, the known items or the device may have changed."""
        super().forget()
        self._graphs = {}

    # Item graphs

    def begin(self, train: TrainSet) -> None:
        """Also compute mean and standard deviation of the training items' content."""
        super().begin(train)
        self._graphs = {}
        self.content.begin(self.known_items)

    @torch.no_grad()
    def _graph_of(self, name: str) -> tuple[Tensor, Tensor, Tensor]:
        found = self._graphs.get(name)
        if found is None:
            vectors = self.content.raw(name)
            near = _item_graph.nearest(vectors, vectors, self.known_items[:-1], self.config.neighbours)
            weights = self.weighted(near.cosine)
            degree = weights.sum(1)
            found = near.items, _item_graph.normalised(weights, near.items, degree, degree), degree
            self._graphs[name] = found
        return found

    def item_graph(self, name: str) -> tuple[Tensor, Tensor]:
        """Neighbours ``[I, k]`` of a modality's item graph and their normalised weights ``[I, k]``."""
        return self._graph_of(name)[:2]

    def weighted(self, cosine: Tensor) -> Tensor:
        """Weights before normalisation, from cosine similarities."""
        return cosine if self.raw_weights else (cosine > 0).float()

    @torch.no_grad()
    def new_item_links(self, name: str, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours and normalised weights ``[n, k]`` of items outside the catalog, from their vectors ``[n, W]``."""
        found = _item_graph.nearest(self.content.raw(name), vectors, self.known_items[:-1], self.config.neighbours)
        raw = self.weighted(found.cosine)
        return found.items, _item_graph.normalised(raw, found.items, self._graph_of(name)[2], raw.sum(1))

    # Message passing on the user-item graph

    def ids(self, owner: Owner, rows: Tensor) -> Tensor:
        """Id embeddings ``[n, d]``; zeros for unknown items, whose row is never trained: training never hides an item's
        id."""
        own = super().start(owner, rows)
        return own if owner == "user" else own * self.known_items[rows][:, None]

    def channels(self, ids: Tensor) -> Tensor:
        """Channels ``[I + 1, C − 1, d]`` of items from the item graphs, given the id embeddings ``[I + 1, d]``."""
        raise NotImplementedError

    def n_channels(self) -> int:
        """Number of channels beside the id embedding."""
        return 1 if self.content.names else 0

    def start(self, owner: Owner, rows: Tensor) -> Tensor:
        """First layer ``[n, C, d]``: id embedding, then what the item graphs give (zeros for users)."""
        own = self.ids(owner, rows)
        if owner == "user" or not self.n_channels():
            return torch.cat([own[:, None], own.new_zeros(len(own), self.n_channels(), own.shape[1])], 1)
        every = torch.arange(self.schema.n_items + 1, device=rows.device)
        return torch.cat([own[:, None], self.channels(self.ids("item", every))[rows]], 1)

    def message(self, layer: Tensor) -> Tensor:
        """Messages ``[n, 1, d]``: the embedding only."""
        return layer[:, :1]

    def update(self, at: int, own: Tensor, aggregated: Tensor) -> Tensor:
        """Next layer ``[n, C, d]``: aggregated embeddings; the other channels stay."""
        return torch.cat([aggregated, own[:, 1:]], 1)

    def averaged(self, layers: Layers) -> Tensor:
        """LightGCN's embeddings ``[n, d]``: the mean over layers of the first channel."""
        return torch.stack([layer[:, 0] for layer in layers]).mean(0)

    def combine(self, layers: Layers) -> Tensor:
        """Embeddings ``[n, d]``: LightGCN's mean plus all other channels."""
        return self.averaged(layers) + layers[0][:, 1:].sum(1)

    # Learning

    def hide(self, table: Batch, epoch: int) -> None:
        """Hide users only. Overridden because the row of the unknown item would hide an item's content, too."""
        share = self.config.id_dropout
        hidden = torch.rand(table["user"].shape, generator=self.generator(epoch, 1)) < share
        table["user"] = torch.where(hidden, self.schema.n_users, table["user"])

    # New items

    def new_channels(self, content: Mapping[str, Tensor]) -> Tensor:
        """Channels ``[n, C − 1, d]`` of items outside the catalog, from their vectors ``[n, W]`` by modality."""
        raise NotImplementedError

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items from their vectors ``[B, W]`` by modality (some may be missing): messages of the most
        similar training items, no id embedding and no edges to users."""
        if not set(content) & set(self.content.names):
            return None
        self.rest()
        device = self.known_items.device
        more = self.new_channels({name: v.to(device) for name, v in content.items() if name in self.content.names})
        first = torch.cat([torch.zeros_like(more[:, :1]), more], 1)
        layers = [first]
        for at in range(self.config.layers):
            layers.append(self.update(at, layers[-1], torch.zeros_like(self.message(layers[-1]))))
        return ItemState({"vector": self.combine(layers)}, tuple("folded" for _ in range(len(first))))
