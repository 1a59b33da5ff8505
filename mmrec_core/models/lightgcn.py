"""Linear graph convolution on the user-item graph (He et al. 2020)."""

from __future__ import annotations

from torch import Tensor

from mmrec_core.models._graph import GraphConfig, GraphModel, Layers


class LightGCN(GraphModel):
    """Embeddings smoothed over the graph of likes, and nothing else (He et al. 2020, "LightGCN").

    ``E⁽ᵏ⁺¹⁾ = D^−½ A D^−½ E⁽ᵏ⁾``; a node's vector is the mean of its layers 0 … K; learned by BPR with negatives drawn
    uniformly, anew each epoch. With no layers it is matrix factorisation. A film without edges is only its first
    vector.
    """

    class Config(GraphConfig):
        """Width, depth, and how strongly vectors are held down."""

    config: Config

    def update(self, at: int, own: Tensor, aggregated: Tensor) -> Tensor:
        """What is aggregated, nothing added."""
        return aggregated

    def combine(self, layers: Layers) -> Tensor:
        """The mean of all layers."""
        total = layers[0]
        for layer in layers[1:]:
            total = total + layer  # a table of all layers to take the mean of would be written and read once more
        return total / len(layers)
