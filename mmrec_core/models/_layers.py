"""Multilayer perceptrons, and several of them computed at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def mlp(widths: Sequence[int], dropout: float = 0.0, last_activation: bool = False) -> nn.Sequential:
    """Multilayer perceptron: linear layers with ReLU between, ``[…, widths[0]] → […, widths[-1]]``."""
    layers: list[nn.Module] = []
    for at, (wide, narrow) in enumerate(zip(widths, widths[1:], strict=False)):
        layers.append(nn.Linear(wide, narrow))
        if at < len(widths) - 2 or last_activation:
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def side_by_side(networks: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Outputs ``[n, B, out]`` of ``n`` networks of :func:`mlp` of one shape, on ``x [B, in]`` or each on its own part
    of ``x [n, B, in]``. One matrix product per layer instead of one per network is faster on small batches."""
    for layers in zip(*networks, strict=True):
        if isinstance(layers[0], nn.Linear):
            weight, bias = torch.stack([own.weight for own in layers]), torch.stack([own.bias for own in layers])
            if x.ndim == 2:
                wide = nn.functional.linear(x, weight.flatten(0, 1), bias.flatten())
                x = wide.view(len(x), len(layers), -1).transpose(0, 1)
            else:
                x = torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))
        else:
            x = layers[0](x)
    return x


WIDTHS = r"^\s*([1-9]\d*\s*(,\s*[1-9]\d*\s*)*)?$"
"""Pattern of a list of widths, such as ``64,32``."""


def widths(text: str) -> list[int]:
    """Parse a list of widths: ``"64,32"`` → ``[64, 32]``; an empty text is no layer."""
    return [int(part) for part in text.split(",") if part.strip()]
