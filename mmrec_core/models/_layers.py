"""Pieces that gradient models share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def mlp(widths: Sequence[int], dropout: float = 0.0, last_activation: bool = False) -> nn.Sequential:
    """Linear layers with ReLU between: ``[…, widths[0]] → […, widths[-1]]``."""
    layers: list[nn.Module] = []
    for at, (wide, narrow) in enumerate(zip(widths, widths[1:], strict=False)):
        layers.append(nn.Linear(wide, narrow))
        if at < len(widths) - 2 or last_activation:
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


WIDTHS = r"^\s*([1-9]\d*\s*(,\s*[1-9]\d*\s*)*)?$"
"""What a list of widths looks like."""


def widths(text: str) -> list[int]:
    """``"64,32"`` → ``[64, 32]``; empty text is no layer."""
    return [int(part) for part in text.split(",") if part.strip()]
