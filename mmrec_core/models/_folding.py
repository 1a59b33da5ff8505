"""Fold-in of models on features: only the id embedding is fitted, so all other features are read once, not at every
step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mmrec_core.models._base import Batch, FoldGradients

if TYPE_CHECKING:
    from mmrec_core.models._feature_reader import FeatureBatch

RowGradients = Callable[[Tensor], Tensor]
"""Maps each row's id embedding ``[N, d]`` to the gradient ``[N, d]`` of that row's loss with respect to it."""


@dataclass(frozen=True)
class FoldInputs:
    """Features of the rows of a fold-in, which stay the same while the id embedding is fitted."""

    batch: Batch
    features: FeatureBatch
    """The first of its ``vectors`` is the initial id embedding; ``first_order`` leaves the id's own weight out."""
    linear: bool
    """Whether the last number of an id embedding is its first-order weight."""

    def with_id(self, own: Tensor) -> FeatureBatch:
        """The features with these id embeddings ``[N, d]``."""
        first_order, vector = (
            (self.features.first_order + own[:, -1], own[:, :-1]) if self.linear else (self.features.first_order, own)
        )
        return replace(
            self.features,
            first_order=first_order,
            vectors=torch.cat([vector[:, None], self.features.vectors[:, 1:]], 1),
        )


def by_autograd(losses: Callable[[FeatureBatch, Batch], Tensor], inputs: FoldInputs) -> RowGradients:
    """Gradients of any loss ``[N]`` of the features, computed by autograd."""

    def gradient(own: Tensor) -> Tensor:
        with torch.enable_grad():
            free = own.detach().requires_grad_(True)
            (found,) = torch.autograd.grad(losses(inputs.with_id(free), inputs.batch).sum(), free)
        return found

    return gradient


def mean_gradients(user: Tensor, state: Tensor, gradient: RowGradients) -> FoldGradients:
    """Gradients of each history's mean loss with respect to its id embedding, from the gradients of the rows.

    Args:
        user: the history each row belongs to, ``[N]``.
        state: the id embeddings ``[B, d]``, which change in place between the steps.
        gradient: gives the gradients of the rows.
    """
    count = torch.bincount(user, minlength=len(state))
    weight = count.clamp(min=1)[user].reciprocal()[:, None]

    def gradients(step: int) -> tuple[list[Tensor], Tensor]:
        return [torch.zeros_like(state).index_add_(0, user, gradient(state[user]).mul_(weight))], count

    return gradients


def forward_pass(network: nn.Sequential, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Forward pass of a network of :func:`mmrec_core.models._layers.mlp` without dropout, on ``[N, in]``.

    Returns:
        The output ``[N, out]``, and the outputs of the ReLUs, which :func:`backward_pass` needs.
    """
    kept = []
    for layer in network:
        if isinstance(layer, nn.Linear):
            x = torch.addmm(layer.bias, x, layer.weight.T)
        elif isinstance(layer, nn.ReLU):
            x = x.relu()
            kept.append(x)
    return x, kept


def backward_pass(network: nn.Sequential, gradient: Tensor, kept: list[Tensor]) -> Tensor:
    """Gradient with respect to the network's input ``[N, in]``, from the gradient with respect to its output
    ``[N, out]``.

    Args:
        network: the network of :func:`forward_pass`.
        gradient: with respect to its output.
        kept: the outputs of its ReLUs, from :func:`forward_pass`.
    """
    kept = list(kept)
    for layer in reversed(network):
        if isinstance(layer, nn.Linear):
            gradient = gradient @ layer.weight
        elif isinstance(layer, nn.ReLU):
            gradient = torch.ops.aten.threshold_backward(gradient, kept.pop(), 0)
    return gradient
