"""How sure a figure is: bootstrap and normal intervals, paired differences, permutation tests, Holm's correction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, blocks

RESAMPLES, ROW_RESAMPLES = 1000, 300


def mean_intervals(values: Array, resamples: int = RESAMPLES, seed: int = 0) -> list[tuple[float, float] | None]:
    """95 % percentile-bootstrap intervals of column means ``[Q, M]``, rows (users) resampled together.

    Values that are not finite are left out; a column without any has no interval (``None``).
    """
    rng = np.random.default_rng(seed)
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0)
    means = np.empty((resamples, values.shape[1]))
    for part in blocks(resamples, 50):
        size = part.stop - part.start
        weight = np.stack(
            [np.bincount(rng.integers(0, len(values), len(values)), minlength=len(values)) for _ in range(size)]
        )
        n = weight @ there
        means[part] = np.where(n > 0, (weight @ filled) / np.maximum(n, 1), np.nan)
    return _percentiles(means)


def _percentiles(values: Array) -> list[tuple[float, float] | None]:
    """2.5 and 97.5 % of each column ``[resamples, M]``; ``None`` where a column holds no finite value."""
    there = np.isfinite(values)
    found: list[tuple[float, float] | None] = []
    for column, finite in zip(values.T, there.T, strict=True):
        low, high = np.percentile(column[finite], [2.5, 97.5]) if finite.any() else (np.nan, np.nan)
        found.append((float(low), float(high)) if finite.any() else None)
    return found


def paired(a: Mapping[int, float], b: Mapping[int, float], resamples: int = RESAMPLES * 2) -> dict[str, Any]:
    """Mean per-user difference a − b over the users both judged, its 95 % bootstrap interval, the p-value of a permutation test, wins, ties
    and losses."""
    shared = sorted(set(a) & set(b))
    difference = np.array([a[u] - b[u] for u in shared])
    difference = difference[np.isfinite(difference)]
    if len(difference) < 2:
        raise MMRecError(
            "The two results have fewer than two users in common, which says nothing of how sure a difference is."
        )
    interval = mean_intervals(difference[:, None], resamples)[0]
    assert interval is not None  # every difference is finite
    low, high = interval
    return {
        "difference": float(difference.mean()),
        "interval": [low, high],
        "p": permutation_p(difference),
        "users": len(difference),
        "wins": int((difference > 1e-12).sum()),
        "ties": int((np.abs(difference) <= 1e-12).sum()),
        "losses": int((difference < -1e-12).sum()),
    }


def row_intervals(
    user: Array, compute: Callable[[Array], list[float]], resamples: int = ROW_RESAMPLES
) -> list[tuple[float, float] | None]:
    """95 % intervals of row metrics by resampling users with all their rows; ``None`` for a metric that is never defined."""
    users, at = np.unique(user, return_inverse=True)
    rng = np.random.default_rng(0)
    values = []
    for _ in range(resamples):
        weight = np.bincount(rng.integers(0, len(users), len(users)), minlength=len(users)).astype(float)
        values.append(compute(weight[at]))
    return _percentiles(np.array(values, np.float64))


def _within(low: float, high: float, values: Array) -> tuple[float, float]:
    """An interval cut at 0 where no value lies below, and at 1 where none lies outside 0 to 1."""
    if values.min() >= 0:
        return max(low, 0.0), min(high, 1.0) if values.max() <= 1 else high
    return low, high


def mean_interval(values: Array) -> tuple[float, float] | None:
    """95 % interval of a mean over users by the normal approximation (for groups)."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return _within(mean - half, mean + half, values)


def clustered_interval(user: Array, values: Array) -> tuple[float, float] | None:
    """95 % interval of a mean over events by the normal approximation, with users as clusters: a user's events tell of one another."""
    there = np.isfinite(values)
    user, values = np.unique(user[there], return_inverse=True)[1], values[there]
    n = np.bincount(user)
    if len(n) < 2:
        return None
    mean = float(values.mean())
    spread = ((np.bincount(user, weights=values) - mean * n) ** 2).sum() * len(n) / (len(n) - 1)
    half = 1.96 * float(np.sqrt(spread)) / len(values)
    return _within(mean - half, mean + half, values)


def error_intervals(user: Array, errors: Array) -> dict[str, tuple[float, float] | None]:
    """95 % intervals of MAE and RMSE over some rows, by the normal approximation with users as clusters (for groups, where
    bootstrapping each would take longer than judging)."""
    mae, mse = clustered_interval(user, errors), clustered_interval(user, errors**2)
    return {"mae": mae, "rmse": None if mse is None else (mse[0] ** 0.5, mse[1] ** 0.5)}


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of ``n`` (Wilson 1927), which is no point even where all or none were counted."""
    middle = (share + 1.92 / n) / (1 + 3.84 / n)
    half = 1.96 * (share * (1 - share) / n + 0.96 / n**2) ** 0.5 / (1 + 3.84 / n)
    return max(middle - half, 0.0), min(middle + half, 1.0)


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
