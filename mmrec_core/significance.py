"""Whether a difference between two models could be chance: sign-flip permutation over users, and what many tests cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrec_core.types import Array, blocks

FLIPS = 10_000


def permutation_p(difference: Array, flips: int = FLIPS, seed: int = 0) -> float:
    """Two-sided p-value of paired differences ``[N]`` (one a user) under "either model could have been either".

    Each user's sign is flipped at random (Fisher 1935; for retrieval, Smucker, Allan & Carterette 2007); p is the share of flips, the observed one
    among them, whose mean is at least as far from zero. Identical results give 1.
    """
    difference = np.asarray(difference, np.float64)
    difference = difference[np.isfinite(difference)]
    if not len(difference) or not difference.any():
        return 1.0
    observed = abs(difference.sum()) * (1 - 1e-12)  # a flip that gives the same sum in another order counts
    rng, at_least = np.random.default_rng(seed), 1
    for part in blocks(flips, max(1, (1 << 22) // len(difference))):
        signs = rng.integers(0, 2, (part.stop - part.start, len(difference)), dtype=np.int8) * 2.0 - 1.0
        at_least += int((np.abs(signs @ difference) >= observed).sum())
    return at_least / (flips + 1)


def holm(p: Sequence[float]) -> list[float]:
    """The p-values of a family of tests, raised so that the chance of any false alarm stays what each says (Holm 1979)."""
    order, raised, most = np.argsort(p), [1.0] * len(p), 0.0
    for place, at in enumerate(order):
        most = max(most, min(1.0, (len(p) - place) * float(p[at])))
        raised[at] = most
    return raised
