"""Linear graph convolution on the user-item graph (He et al. 2020)."""

from __future__ import annotations

from torch import Tensor

from mmrec_core.models._graph import GraphConfig, GraphModel, Layers


class LightGCN(GraphModel):
    """Linear graph convolution on the user-item graph of likes (He et al. 2020, "LightGCN").

    ``E⁽ᵏ⁺¹⁾ = D^−½ A D^−½ E⁽ᵏ⁾``; a node's embedding is the mean of its layers 0 … K; learned by BPR with uniformly
    sampled negatives, drawn anew each epoch. With no layers it is matrix factorisation. An item without edges keeps its
    first embedding.
    """

    class Config(GraphConfig):
        """Width, number of layers, and regularisation."""

    config: Config

    def update(self, at: int, own: Tensor, aggregated: Tensor) -> Tensor:
        """The aggregated messages, unchanged."""
        return aggregated

    def combine(self, layers: Layers) -> Tensor:
        """The mean of all layers."""
        total = layers[0]
        for layer in layers[1:]:
            total = total + layer  # stacking the layers first would copy them once more
        return total / len(layers)
