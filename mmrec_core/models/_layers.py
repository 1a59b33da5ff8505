"""Pieces that gradient models share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core.types import Interactions


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


class UniformNegatives:
    """Items drawn uniformly among those a user has no positive with (a few collisions survive four redraws)."""

    def __init__(self, positives: Interactions, n_items: int) -> None:
        user, item = np.asarray(positives.need("user"), np.int64), np.asarray(positives.need("item"), np.int64)
        self.n_items = n_items
        self.taken = torch.from_numpy(np.unique(user * n_items + item))

    def draw(self, user: Tensor, generator: torch.Generator) -> Tensor:
        """One negative item ``[N]`` for each user ``[N]``."""
        item = torch.randint(self.n_items, user.shape, generator=generator)
        for _ in range(4):
            key = user * self.n_items + item
            place = torch.searchsorted(self.taken, key).clamp(max=max(len(self.taken) - 1, 0))
            clash = self.taken[place] == key if len(self.taken) else torch.zeros_like(user, dtype=torch.bool)
            n = int(clash.sum())
            if not n:
                break
            item[clash] = torch.randint(self.n_items, (n,), generator=generator)
        return item


def drawn_by_place(
    user: Tensor, item: Tensor, n_items: int, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """For each row ``[N]`` of sorted users ``n`` items they have no row with: which row, which item, as many as found.

    What is drawn depends on a row's place among its user's, not on who else is asked about.
    """
    place = torch.arange(len(user)) - torch.searchsorted(user, user)
    longest = int(place.max()) + 1 if len(place) else 0
    drawn = torch.randint(n_items, (longest, n), generator=generator)[place].flatten()
    row = torch.arange(len(user)).repeat_interleave(n)
    free = ~torch.isin(user[row] * n_items + drawn, user * n_items + item)
    return row[free], drawn[free]
