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
"""From each row's id vector ``[N, d]`` to the gradient of each row's own loss by it, ``[N, d]``."""


@dataclass(frozen=True)
class FoldInputs:
    """What the rows of a fold-in read beside the id vector, which is the first of the vectors."""

    batch: Batch
    features: FeatureBatch
    """``vectors`` hold the id vector that fold-in begins with; ``first`` leaves the id's own weight out."""
    linear: bool
    """The last number of an id vector is its weight (first order)."""

    def with_id(self, own: Tensor) -> FeatureBatch:
        """What the rows read with these id vectors ``[N, d]``."""
        first_order, vector = (
            (self.features.first_order + own[:, -1], own[:, :-1]) if self.linear else (self.features.first_order, own)
        )
        return replace(
            self.features,
            first_order=first_order,
            vectors=torch.cat([vector[:, None], self.features.vectors[:, 1:]], 1),
        )


def by_autograd(losses: Callable[[FeatureBatch, Batch], Tensor], inputs: FoldInputs) -> RowGradients:
    """The gradient of any loss ``[N]`` of what rows read."""

    def gradient(own: Tensor) -> Tensor:
        with torch.enable_grad():
            free = own.detach().requires_grad_(True)
            (found,) = torch.autograd.grad(losses(inputs.with_id(free), inputs.batch).sum(), free)
        return found

    return gradient


def mean_gradients(user: Tensor, state: Tensor, gradient: RowGradients) -> FoldGradients:
    """The gradient of each history's mean loss by its id vector, from that of each row's.

    Args:
        user: which history each row belongs to, ``[N]``.
        state: the id vectors ``[B, d]``, changed in place between the steps.
    """
    count = torch.bincount(user, minlength=len(state))
    share = count.clamp(min=1)[user].reciprocal()[:, None]

    def gradients(step: int) -> tuple[list[Tensor], Tensor]:
        return [torch.zeros_like(state).index_add_(0, user, gradient(state[user]).mul_(share))], count

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
    """The gradient by the network's input, from that by its output."""
    kept = list(kept)
    for layer in reversed(network):
        if isinstance(layer, nn.Linear):
            gradient = gradient @ layer.weight
        elif isinstance(layer, nn.ReLU):
            gradient = torch.ops.aten.threshold_backward(gradient, kept.pop(), 0)
    return gradient
