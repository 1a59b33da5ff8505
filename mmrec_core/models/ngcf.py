"""Neural Graph Collaborative Filtering (Wang et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._graph import GraphConfig, GraphModel, Layers


class NGCF(GraphModel):
    """Neural graph collaborative filtering (Wang et al. 2019).

    ``e⁽ᵏ⁺¹⁾ = LeakyReLU(W₁(e + Âe) + W₂(Âe ∘ e))`` with ``Â = D^−½ A D^−½``; a node's embedding is the concatenation of
    its layers, each but the first scaled to unit length. In the authors' code a layer's input is not scaled; in RecBole
    it is (``unit``).
    """

    class Config(GraphConfig):
        """Width, number of layers, regularisation and dropout."""

        dropout: float = setting(0.1, "dropout of a layer's output", ge=0.0, le=0.9)
        unit: bool = setting(
            False,
            "whether layers are scaled to unit length before the next layer, as in RecBole",
            advanced=True,
        )

    config: Config

    def more_layers(self) -> None:
        """Build two matrices per layer."""
        dim = self.config.dim
        self.whole = nn.ModuleList(nn.Linear(dim, dim) for _ in range(self.config.layers))
        self.alike = nn.ModuleList(nn.Linear(dim, dim) for _ in range(self.config.layers))

    def update(self, at: int, own: Tensor, aggregated: Tensor) -> Tensor:
        """Next layer ``[n, d]``, as in the class."""
        found = F.leaky_relu(self.whole[at](own + aggregated) + self.alike[at](own * aggregated), 0.2)
        found = F.dropout(found, self.config.dropout, self.training)
        return F.normalize(found, dim=1) if self.config.unit else found

    def combine(self, layers: Layers) -> Tensor:
        """Embeddings ``[n, (K + 1)·d]``: the concatenated layers."""
        return torch.cat([layers[0], *(F.normalize(layer, dim=1) for layer in layers[1:])], 1)
