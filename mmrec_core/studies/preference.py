"""Preference between two models over people: share, interval, test, and the power of a study.

Every person prefers one model, the other, or neither. The test is the sign test: the exact binomial test of equal
shares among those who prefer one, with the mid-p value (Lancaster 1961), whose size is near 5 % on average over numbers
of people instead of far below it. The power is computed from the same test, without simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmrec_core.stats import wilson
from mmrec_core.types import Array

ALPHA = 0.05


@dataclass(frozen=True)
class Preference:
    """How many people prefer a model ``a`` to a model ``b``."""

    a: int
    b: int
    neither: int

    @property
    def share(self) -> float | None:
        """Share of ``a`` among those who prefer one; ``None`` if nobody does."""
        return self.a / (self.a + self.b) if self.a + self.b else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Wilson interval of the share."""
        return None if self.share is None else wilson(self.share, self.a + self.b)

    @property
    def p(self) -> float | None:
        """p-value of equal shares."""
        return None if self.share is None else float(mid_p(self.a + self.b)[self.a])


@lru_cache(maxsize=4096)
def mid_p(n: int) -> Array:
    """Two-sided mid-p values ``[n + 1]`` of the binomial test of one half, by the number of successes."""
    from scipy.stats import binom

    k = np.arange(n + 1)
    mass, below = binom.pmf(k, n, 0.5), binom.cdf(k - 1, n, 0.5)
    lower = below + 0.5 * mass
    return np.asarray(np.minimum(1.0, 2 * np.minimum(lower, 1 - lower)))


def power(people: int, share: float, ties: float = 0.0, alpha: float = ALPHA) -> float:
    """Probability that a study finds a difference.

    Args:
        people: number of participants.
        share: true share of one model among those who prefer one.
        ties: probability that a person prefers neither.
        alpha: significance level.
    """
    from scipy.stats import binom

    decided = np.arange(people + 1)
    weight = binom.pmf(decided, people, 1 - ties)
    found = [float(binom.pmf(np.flatnonzero(mid_p(int(m)) < alpha), m, share).sum()) for m in decided]
    return float(np.dot(weight, found))


def people_needed(
    share: float, ties: float = 0.0, wanted: float = 0.8, alpha: float = ALPHA, most: int = 5000
) -> int | None:
    """The smallest number of participants from which on the power is at least ``wanted``; ``None`` above ``most``.

    The power of an exact test goes up and down with the number; the next ten numbers are looked at, too.
    """
    if abs(share - 0.5) < 1e-9:
        return None
    low, high = 2, 4
    while power(high, share, ties, alpha) < wanted:
        low, high = high, high * 2
        if high > most:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, share, ties, alpha) >= wanted else (middle + 1, high)
    n = max(2, low - 10)
    while any(power(n + more, share, ties, alpha) < wanted for more in range(11)):
        n += 1
    return n if n <= most else None
