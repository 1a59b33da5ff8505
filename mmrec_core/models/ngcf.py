"""Neural Graph Collaborative Filtering (Wang et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._graph import GraphConfig, GraphModel, Layers


class NGCF(GraphModel):
    """Neural graph collaborative filtering (Wang et al. 2019).

    ``e⁽ᵏ⁺¹⁾ = LeakyReLU(W₁(e + Âe) + W₂(Âe ∘ e))`` with ``Â = D^−½ A D^−½``; a node's vector is its layers side by
    side, each but the first of unit length. The authors' code hands layers on as they are; RecBole's hands them on with
    unit length (``unit``).
    """

    class Config(GraphConfig):
        """Width, depth, and what is silenced."""

        dropout: float = setting(0.1, "share of a layer's numbers silenced in training", ge=0.0, le=0.9)
        unit: bool = setting(
            False,
            "whether a layer has unit length already where the next one hears it, as RecBole has it",
            advanced=True,
        )

    config: Config

    def more_layers(self) -> None:
        """Two matrices a layer."""
        dim = self.config.dim
        self.whole = nn.ModuleList(nn.Linear(dim, dim) for _ in range(self.config.layers))
        self.alike = nn.ModuleList(nn.Linear(dim, dim) for _ in range(self.config.layers))

    def update(self, at: int, own: Tensor, aggregated: Tensor) -> Tensor:
        """A sum of what is aggregated and what of it is alike."""
        info = F.leaky_relu(self.whole[at](own + aggregated) + self.alike[at](own * aggregated), 0.2)
        info = F.dropout(info, self.config.dropout, self.training)
        return F.normalize(info, dim=1) if self.config.unit else info

    def combine(self, layers: Layers) -> Tensor:
        """Layers side by side, ``[n, (K + 1)·d]``."""
        return torch.cat([layers[0], *(F.normalize(layer, dim=1) for layer in layers[1:])], 1)
