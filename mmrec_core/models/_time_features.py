"""Time of a rating as features: the week of the data, and the time since the user's first rating.

MovieLens users rate in bursts, and both the crowd's taste and a user's mood within a burst move (Koren 2010,
"Collaborative Filtering with Temporal Dynamics"). Everything is counted on training rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core.types import Array, Interactions

WEEKS = 32
"""Stretches of the calendar with equally many training rows."""
SINCE_MIN = (1, 3, 6, 10, 15, 20, 30, 60, 1_440, 10_080, 100_800)
"""Minutes after the user's first rating at which the next code begins."""
SIZES = (WEEKS + 1, len(SINCE_MIN) + 2)
"""Codes of the two features; 0 is no time at all."""


class TimeFeatures(nn.Module):
    """Turns times (int64 seconds) into codes, and into how far they lie from the user's middle."""

    def __init__(self, n_users: int) -> None:
        super().__init__()
        self.edges: Tensor
        self.first: Tensor
        self.middle: Tensor
        self.last: Tensor
        self.register_buffer("edges", torch.zeros(WEEKS - 1, dtype=torch.int64))
        for name in ("first", "middle", "last"):
            self.register_buffer(name, torch.full((n_users + 1,), -1, dtype=torch.int64))

    def set_rows(self, rows: Interactions) -> None:
        """Take in the training rows; who has none (and the unknown user) lives at the end of the data."""
        user, time = np.asarray(rows.need("user"), np.int64), np.asarray(rows.need("time"), np.int64)
        n, device = len(self.first), self.first.device
        self.edges = torch.from_numpy(np.quantile(time, np.arange(1, WEEKS) / WEEKS).astype(np.int64)).to(device)
        first, last = np.full(n, time.max()), np.full(n, time.min())
        np.minimum.at(first, user, time)
        np.maximum.at(last, user, time)
        count = np.bincount(user, minlength=n)
        middle = np.bincount(user, time - time.min(), n) / np.maximum(count, 1) + time.min()
        info: tuple[tuple[str, Array], ...] = (("first", first), ("middle", middle), ("last", last))
        for name, values in info:
            known = np.where(count > 0, values, time.max()).astype(np.int64)
            setattr(self, name, torch.from_numpy(known).to(device))

    def spans(self, user: Tensor) -> Tensor:
        """First, middle and last time of user rows ``[B]``: int64 ``[B, 3]``, the part of a user's state that tells of
        time."""
        return torch.stack([self.first[user], self.middle[user], self.last[user]], 1)

    def codes(self, time: Tensor, span: Tensor) -> Tensor:
        """Codes ``[B, 2]`` of times ``[B]`` in users' spans ``[B, 3]``."""
        week = torch.bucketize(time, self.edges) + 1
        minutes = torch.tensor(SINCE_MIN, device=time.device)
        since = torch.bucketize((time - span[:, 0]).clamp(min=0) // 60, minutes, right=True) + 1
        return torch.stack([week, since], 1)

    def deviation(self, time: Tensor, span: Tensor) -> Tensor:
        """Koren's dev_u(t): sign(t − middle)·|t − middle|^0.4 with days as unit, in tens: ``[B]``."""
        days = (time - span[:, 1]).double() / 86_400
        return (0.1 * days.sign() * days.abs() ** 0.4).float()
