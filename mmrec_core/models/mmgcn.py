"""Multi-modal graph convolution: one user-item graph per modality (Wei et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.models._base import Batch
from mmrec_core.models._graph import GraphConfig, GraphModel, Layers, Owner
from mmrec_core.models._item_content import Content
from mmrec_core.types import Array, ItemState, TrainSet


class MMGCN(GraphModel):
    """Multi-modal graph convolution (Wei et al. 2019, "MMGCN").

    There is one graph per modality. An item's first layer is its projected content, a user's is a learned preference,
    both of unit length. ``h = LeakyReLU(W₁ · mean of neighbours)``, ``x̂ = LeakyReLU(W₂ x) + id``, next ``x =
    LeakyReLU(W₃ h + x̂)``; the modalities' last layers are averaged. Every tensor is a parameter (the authors' id and
    preference tensors are not leaves on a GPU, so they are never trained). Without content there is one graph, whose
    first layer is a table of embeddings.
    """

    class Config(GraphConfig):
        """Width, number of layers, and regularisation."""

    family: ClassVar[str] = "multimodal"
    mean: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "content"})
    config: Config

    def more_layers(self) -> None:
        """Build per modality a projection, users' preferences and three matrices per layer. The modalities are the
        second axis of a node's tensor."""
        dim, layers = self.config.dim, self.config.layers
        self.content = Content(self.side, self.schema.n_items)
        self.modalities = self.content.names or ["none"]
        n = len(self.modalities)
        self.project = nn.ModuleDict({name: nn.Linear(self.content.width(name), dim) for name in self.content.names})
        self.preference = nn.Parameter(torch.empty(self.schema.n_users + 1, n * dim))
        self.plain = None if self.content.names else nn.Parameter(torch.empty(self.schema.n_items + 1, dim))
        shapes = (layers, n, dim, dim)
        self.hear, self.keep, self.join = (nn.Parameter(torch.empty(shapes)) for _ in range(3))
        self.keep_shift, self.join_shift = (nn.Parameter(torch.zeros(layers, n, dim)) for _ in range(2))

    def seed_weights(self) -> None:
        """Also initialise the stacked matrices one by one."""
        super().seed_weights()
        generator = self.generator(1, 9)
        nn.init.zeros_(self.keep_shift), nn.init.zeros_(self.join_shift)
        for stack in (self.hear, self.keep, self.join):
            for matrix in stack.view(-1, *stack.shape[2:]):
                nn.init.xavier_uniform_(matrix, generator=generator)

    def begin(self, train: TrainSet) -> None:
        """Also compute mean and standard deviation of the training items' content."""
        super().begin(train)
        self.content.begin(self.known_items)

    def start(self, owner: Owner, rows: Tensor) -> Tensor:
        """First layer ``[n, M + 1, d]``: a unit vector per modality and, last, the id embedding, which every layer
        adds."""
        dim, n = self.config.dim, len(self.modalities)
        if owner == "user":
            found = self.preference[self.oov_user(rows)].view(-1, n, dim)
        elif self.plain is not None:
            found = self.plain[self.oov_item(rows)][:, None]
        else:
            parts = []
            for name in self.modalities:
                vectors, has = self.content.read(name, rows)
                parts.append(self.project[name](vectors) * has[:, None])
            found = torch.stack(parts, 1)
        own = super().start(owner, rows)
        if (
            owner == "item"
        ):  # training never hides an item's id, so the unknown item's embedding is untrained: use zeros
            own = own * self.known_items[rows][:, None]
        return torch.cat([F.normalize(found, dim=2), own[:, None]], 1)

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users (with their preferences) and items by their ids."""
        found = {**super().row_names(), "preference": self.names_of("user")}
        return found if self.plain is None else {**found, "plain": self.names_of("item")}

    def message(self, layer: Tensor) -> Tensor:
        """Messages ``[n, M, d]``: the layer without the id embedding."""
        return layer[:, :-1]

    def update(self, at: int, own: Tensor, aggregated: Tensor) -> Tensor:
        """Next layer ``[n, M + 1, d]`` in every modality's graph."""
        content, own_id = own[:, :-1], own[:, -1:]
        h = F.leaky_relu(torch.einsum("nmd,mde->nme", aggregated, self.hear[at]))
        kept = F.leaky_relu(torch.einsum("nmd,mde->nme", content, self.keep[at]) + self.keep_shift[at]) + own_id
        found = F.leaky_relu(torch.einsum("nmd,mde->nme", h, self.join[at]) + self.join_shift[at] + kept)
        return torch.cat([found, own_id], 1)

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items from their ``text`` and ``image`` vectors ``[B, W]`` (either may be missing), without
        messages and without an id embedding."""
        if not set(content) & set(self.content.names):
            return None
        self.rest()
        n, device = len(next(iter(content.values()))), self.known_items.device
        parts = []
        for name in self.modalities:
            vectors, has = self.content.given(name, content, n, device)
            parts.append(self.project[name](vectors) * has[:, None])
        first = F.normalize(torch.stack(parts, 1), dim=2)
        layers = [torch.cat([first, torch.zeros_like(first[:, :1])], 1)]
        for at in range(self.config.layers):
            layers.append(self.update(at, layers[-1], torch.zeros_like(first)))
        return ItemState({"vector": self.combine(layers)}, tuple("folded" for _ in range(n)))

    def combine(self, layers: Layers) -> Tensor:
        """Embeddings ``[n, d]``: the mean over modalities of the last layer."""
        return layers[-1][:, :-1].mean(1)

    def hide(self, table: Batch, epoch: int) -> None:
        """Hide users only. Overridden because the row of the unknown item would hide an item's content, too."""
        share = self.config.id_dropout
        hidden = torch.rand(table["user"].shape, generator=self.generator(epoch, 1)) < share
        table["user"] = torch.where(hidden, self.schema.n_users, table["user"])
