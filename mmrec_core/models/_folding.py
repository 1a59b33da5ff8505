"""Fold-in of models that read fields: only the id vector moves, so all else that a history's rows read is looked up
once, not at each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mmrec_core.models._base import Batch, FoldGradients

if TYPE_CHECKING:
    from mmrec_core.models._fields import Looked

RowGradients = Callable[[Tensor], Tensor]
"""From each row's id vector ``[N, d]`` to the gradient of each row's own loss by it, ``[N, d]``."""


@dataclass(frozen=True)
class Fixed:
    """What the rows of a fold-in read beside the id vector, which is the first of the vectors."""

    batch: Batch
    looked: Looked
    """``vectors`` hold the id vector that fold-in begins with; ``first`` leaves the id's own weight out."""
    linear: bool
    """The last number of an id vector is its weight (first order)."""

    def with_id(self, own: Tensor) -> Looked:
        """What the rows read with these id vectors ``[N, d]``."""
        first, vector = (self.looked.first + own[:, -1], own[:, :-1]) if self.linear else (self.looked.first, own)
        return replace(self.looked, first=first, vectors=torch.cat([vector[:, None], self.looked.vectors[:, 1:]], 1))


def by_autograd(losses: Callable[[Looked, Batch], Tensor], fixed: Fixed) -> RowGradients:
    """The gradient of any loss ``[N]`` of what rows read."""

    def gradient(own: Tensor) -> Tensor:
        with torch.enable_grad():
            free = own.detach().requires_grad_(True)
            (found,) = torch.autograd.grad(losses(fixed.with_id(free), fixed.batch).sum(), free)
        return found

    return gradient


def means(user: Tensor, state: Tensor, gradient: RowGradients) -> FoldGradients:
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


def there(network: nn.Sequential, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """A network of :func:`mmrec_core.models._layers.mlp` at rest on ``[N, in]``: its output, and what :func:`back`
    needs of the way."""
    kept = []
    for layer in network:
        if isinstance(layer, nn.Linear):
            x = torch.addmm(layer.bias, x, layer.weight.T)
        elif isinstance(layer, nn.ReLU):
            x = x.relu()
            kept.append(x)
    return x, kept


def back(network: nn.Sequential, gradient: Tensor, kept: list[Tensor]) -> Tensor:
    """The gradient by the network's input, from that by its output."""
    kept = list(kept)
    for layer in reversed(network):
        if isinstance(layer, nn.Linear):
            gradient = gradient @ layer.weight
        elif isinstance(layer, nn.ReLU):
            gradient = torch.ops.aten.threshold_backward(gradient, kept.pop(), 0)
    return gradient
