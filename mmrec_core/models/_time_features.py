"""Time of a rating as features: the week of the data, and the time since the user's first rating.

MovieLens users rate in sessions. Ratings change over calendar time and within a session (Koren 2010, "Collaborative
Filtering with Temporal Dynamics"). All statistics are computed on training rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core.types import Array, Interactions

WEEKS = 32
"""Number of calendar periods, each with equally many training rows."""
SINCE_MIN = (1, 3, 6, 10, 15, 20, 30, 60, 1_440, 10_080, 100_800)
"""Bin edges in minutes after the user's first rating."""
SIZES = (WEEKS + 1, len(SINCE_MIN) + 2)
"""Number of codes of the two features; code 0 means that no time is known."""


class TimeFeatures(nn.Module):
    """Encodes times (int64 seconds) as codes, and as deviations from the user's mean time."""

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
        """Compute the statistics of the training rows; users without rows (and the unknown user) get the latest
        time."""
        user, time = np.asarray(rows.need("user"), np.int64), np.asarray(rows.need("time"), np.int64)
        n, device = len(self.first), self.first.device
        self.edges = torch.from_numpy(np.quantile(time, np.arange(1, WEEKS) / WEEKS).astype(np.int64)).to(device)
        first, last = np.full(n, time.max()), np.full(n, time.min())
        np.minimum.at(first, user, time)
        np.maximum.at(last, user, time)
        count = np.bincount(user, minlength=n)
        middle = np.bincount(user, time - time.min(), n) / np.maximum(count, 1) + time.min()
        columns: tuple[tuple[str, Array], ...] = (("first", first), ("middle", middle), ("last", last))
        for name, values in columns:
            known = np.where(count > 0, values, time.max()).astype(np.int64)
            setattr(self, name, torch.from_numpy(known).to(device))

    def spans(self, user: Tensor) -> Tensor:
        """First, mean and last time of users ``[B]``: int64 seconds ``[B, 3]``."""
        return torch.stack([self.first[user], self.middle[user], self.last[user]], 1)

    def codes(self, time: Tensor, span: Tensor) -> Tensor:
        """Codes ``[B, 2]`` of times ``[B]`` of users whose :meth:`spans` are ``[B, 3]``."""
        week = torch.bucketize(time.contiguous(), self.edges) + 1
        minutes = torch.tensor(SINCE_MIN, device=time.device)
        since = torch.bucketize((time - span[:, 0]).clamp(min=0) // 60, minutes, right=True) + 1
        return torch.stack([week, since], 1)

    def deviation(self, time: Tensor, span: Tensor) -> Tensor:
        """Koren's dev_u(t), divided by ten: ``sign(t − mean)·|t − mean|^0.4`` with times in days, ``[B]``."""
        days = (time - span[:, 1]).double() / 86_400
        return (0.1 * days.sign() * days.abs() ** 0.4).float()
