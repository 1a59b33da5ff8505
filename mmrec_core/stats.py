"""Confidence intervals and significance tests: bootstrap, normal, Wilson, permutation, Holm's correction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, blocks

RESAMPLES, ROW_RESAMPLES = 1000, 300
Z = NormalDist().inv_cdf(0.975)
"""The 97.5 % quantile of the standard normal distribution, 1.95996…."""


def mean_intervals(values: Array, resamples: int = RESAMPLES, seed: int = 0) -> list[tuple[float, float] | None]:
    """95 % percentile bootstrap intervals of the column means of ``[Q, M]``; rows (users) are resampled together.

    Values that are not finite are left out. A column without finite values has no interval (``None``).
    """
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    means = np.empty((resamples, values.shape[1]))
    for part, weight in _kept_or_drawn(_resamples, len(values), resamples, seed):
        n = len(values) if finite.all() else weight @ finite.astype(np.float64)
        means[part] = np.where(n > 0, (weight @ filled) / np.maximum(n, 1), np.nan)
    return _percentiles(means)


KEPT_NUMBERS = 16_000_000
"""Random numbers of one kind that are kept: tests of many pairs over the same number of users draw the same ones."""
Draws = Iterator[tuple[slice, Array]]


def _resamples(n: int, resamples: int, seed: int) -> Draws:
    """How often each of ``n`` users is in each bootstrap resample, in blocks ``[B, n]``."""
    rng = np.random.default_rng(seed)
    for part in blocks(resamples, 50):
        drawn = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(part.stop - part.start)]
        yield part, np.stack(drawn).astype(np.uint16 if n < 1 << 16 else np.int64)


def _flips(n: int, flips: int, seed: int) -> Draws:
    """Whether the sign of each of ``n`` users stays in each permutation, as 0 or 1, in blocks ``[B, n]``."""
    rng = np.random.default_rng(seed)
    for part in blocks(flips, max(1, (1 << 22) // n)):
        yield part, rng.integers(0, 2, (part.stop - part.start, n), dtype=np.int8)


def _kept_or_drawn(draw: Callable[[int, int, int], Draws], n: int, times: int, seed: int) -> Draws:
    """The blocks of ``draw``, from memory unless they are too large to keep."""
    return draw(n, times, seed) if n * times > KEPT_NUMBERS else iter(_kept(draw, n, times, seed))


@lru_cache(maxsize=4)
def _kept(draw: Callable[[int, int, int], Draws], n: int, times: int, seed: int) -> list[tuple[slice, Array]]:
    return list(draw(n, times, seed))


def _percentiles(values: Array) -> list[tuple[float, float] | None]:
    """Percentiles 2.5 and 97.5 of each column ``[resamples, M]``; ``None`` where a column holds no finite value."""
    is_finite = np.isfinite(values)
    found: list[tuple[float, float] | None] = []
    for column, finite in zip(values.T, is_finite.T, strict=True):
        low, high = np.percentile(column[finite], [2.5, 97.5]) if finite.any() else (np.nan, np.nan)
        found.append((float(low), float(high)) if finite.any() else None)
    return found


def paired(a: Mapping[int, float], b: Mapping[int, float], resamples: int = RESAMPLES * 2) -> dict[str, Any]:
    """Paired comparison of two models over the users that both evaluations have in common.

    Args:
        a: metric by user row of one model.
        b: metric by user row of the other model.
        resamples: bootstrap resamples.

    Returns:
        ``difference``: mean of a − b; ``interval``: its 95 % bootstrap interval; ``p``: p-value of a permutation test;
        ``users``, and how many of them are ``wins``, ``ties`` and ``losses`` of ``a``.

    Raises:
        MMRecError: fewer than two users in common.
    """
    shared = sorted(set(a) & set(b))
    difference = np.array([a[u] - b[u] for u in shared])
    difference = difference[np.isfinite(difference)]
    if len(difference) < 2:
        raise MMRecError("The two results have fewer than two users in common; a paired comparison needs at least two.")
    low, high, p = _paired(np.ascontiguousarray(difference, np.float64).tobytes(), resamples)
    return {
        "difference": float(difference.mean()),
        "interval": [low, high],
        "p": p,
        "users": len(difference),
        "wins": int((difference > 1e-12).sum()),
        "ties": int((np.abs(difference) <= 1e-12).sum()),
        "losses": int((difference < -1e-12).sum()),
    }


@lru_cache(maxsize=256)  # a page asks for the same pair in its verdict, its table and its charts
def _paired(difference: bytes, resamples: int) -> tuple[float, float, float]:
    """Bootstrap interval and p-value of differences, given as the bytes of float64 ``[N]``."""
    values = np.frombuffer(difference)
    interval = mean_intervals(values[:, None], resamples)[0]
    assert interval is not None  # every difference is finite
    return *interval, permutation_p(values)


def paired_rmse(
    a: Mapping[int, tuple[float, int]], b: Mapping[int, tuple[float, int]], resamples: int = RESAMPLES * 2
) -> dict[str, Any]:
    """Paired comparison of the RMSE over all rows of two models; users are resampled with all their rows.

    Args:
        a: sum of squared errors and number of rows by user row of one model.
        b: the same of the other model, on the same rows.
        resamples: bootstrap resamples.

    Returns:
        As :func:`paired`; ``difference`` is RMSE(a) − RMSE(b), so it is negative if ``a`` is better.

    Raises:
        MMRecError: fewer than two users in common, or the models were evaluated on different rows.
    """
    shared = sorted(set(a) & set(b))
    if len(shared) < 2:
        raise MMRecError("The two results have fewer than two users in common; a paired comparison needs at least two.")
    n = np.array([a[u][1] for u in shared], np.float64)
    if any(a[u][1] != b[u][1] for u in shared):
        raise MMRecError("The two results were evaluated on different rows; evaluate both models again.")
    own, other = (np.array([side[u][0] for u in shared], np.float64) for side in (a, b))
    rng = np.random.default_rng(0)
    means = np.empty((resamples, 1))
    for part in blocks(resamples, 50):
        drawn = rng.integers(0, len(n), (part.stop - part.start, len(n)))
        weight = np.stack([np.bincount(row, minlength=len(n)) for row in drawn])
        means[part, 0] = np.sqrt(weight @ own / (weight @ n)) - np.sqrt(weight @ other / (weight @ n))
    interval = _percentiles(means)[0]
    assert interval is not None  # every resample has rows
    return {
        "difference": float(np.sqrt(own.sum() / n.sum()) - np.sqrt(other.sum() / n.sum())),
        "interval": list(interval),
        # exchanging the models for a user moves the RMSEs by that user's difference of sums, monotonically
        "p": permutation_p(own - other),
        "users": len(shared),
        "wins": int((own < other - 1e-12).sum()),
        "ties": int((np.abs(own - other) <= 1e-12).sum()),
        "losses": int((own > other + 1e-12).sum()),
    }


def row_intervals(
    user: Array, compute: Callable[[Array], list[float]], resamples: int = ROW_RESAMPLES
) -> list[tuple[float, float] | None]:
    """95 % bootstrap intervals of row metrics; users are resampled with all their rows.

    Args:
        user: user of each row ``[N]``.
        compute: takes row weights ``[N]`` and returns the metrics.
        resamples: bootstrap resamples.

    Returns:
        An interval per metric; ``None`` for a metric that is never defined.
    """
    users, at = np.unique(user, return_inverse=True)
    rng = np.random.default_rng(0)
    values = []
    for _ in range(resamples):
        weight = np.bincount(rng.integers(0, len(users), len(users)), minlength=len(users)).astype(float)
        values.append(compute(weight[at]))
    return _percentiles(np.array(values, np.float64))


def _within(low: float, high: float, values: Array) -> tuple[float, float]:
    """Clip an interval at 0 if no value is negative, and at 1 if all values lie in 0 … 1."""
    if values.min() >= 0:
        return max(low, 0.0), min(high, 1.0) if values.max() <= 1 else high
    return low, high


def mean_interval(values: Array) -> tuple[float, float] | None:
    """95 % interval of a mean over users ``[U]`` by the normal approximation; ``None`` below two values."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None
    half = Z * float(values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return _within(mean - half, mean + half, values)


def small_sample_interval(values: Array) -> tuple[float, float] | None:
    """95 % interval of a mean by Student's t, for a few dozen values or fewer; ``None`` below two finite values."""
    from scipy.stats import t

    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None
    mean, half = (
        float(values.mean()),
        float(values.std(ddof=1)) / len(values) ** 0.5 * float(t.ppf(0.975, len(values) - 1)),
    )
    return _within(mean - half, mean + half, values)


def clustered_interval(user: Array, values: Array) -> tuple[float, float] | None:
    """95 % interval of a mean over events by the normal approximation, with users as clusters.

    Events of one user are not independent, so the variance is that of the users' sums (cluster-robust).
    """
    finite = np.isfinite(values)
    user, values = np.unique(user[finite], return_inverse=True)[1], values[finite]
    n = np.bincount(user)
    if len(n) < 2:
        return None
    mean = float(values.mean())
    spread = ((np.bincount(user, weights=values) - mean * n) ** 2).sum() * len(n) / (len(n) - 1)
    half = Z * float(np.sqrt(spread)) / len(values)
    return _within(mean - half, mean + half, values)


def error_intervals(user: Array, errors: Array) -> dict[str, tuple[float, float] | None]:
    """95 % intervals of MAE and RMSE over some rows, by the normal approximation with users as clusters.

    For groups, where a bootstrap of each would take longer than the evaluation.
    """
    mae, mse = clustered_interval(user, errors), clustered_interval(user, errors**2)
    return {"mae": mae, "rmse": None if mse is None else (mse[0] ** 0.5, mse[1] ** 0.5)}


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of ``n`` (Wilson 1927); it has a width even if the share is 0 or 1.

    Args:
        share: share of successes; ``share * n`` is a whole number.
        n: number of trials.
    """
    from scipy.stats import binomtest

    found = binomtest(round(share * n), n).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


FLIPS = 10_000


def permutation_p(difference: Array, flips: int = FLIPS, seed: int = 0) -> float:
    """Two-sided p-value of paired differences ``[N]``, one per user, by a permutation test.

    The null hypothesis is that the two models are exchangeable. Each user's sign is flipped at random (Fisher 1935; for
    retrieval, Smucker, Allan & Carterette 2007). p is the share of flips, the observed one included, whose mean is at
    least as far from zero. Identical results give 1.
    """
    difference = np.asarray(difference, np.float64)
    difference = difference[np.isfinite(difference)]
    if not len(difference) or not difference.any():
        return 1.0
    observed = abs(difference.sum()) * (1 - 1e-12)  # a flip that gives the same sum in another order counts
    at_least = 1
    for _, stays in _kept_or_drawn(_flips, len(difference), flips, seed):
        at_least += int((np.abs((stays * 2.0 - 1.0) @ difference) >= observed).sum())
    return at_least / (flips + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values of a family of tests (Holm 1979): they bound the chance of any false positive."""
    order, adjusted, largest = np.argsort(p), [1.0] * len(p), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * float(p[at])))
        adjusted[at] = largest
    return adjusted


def p_value(p: float) -> str:
    """A p-value for a sentence: ``p = 0.69``, ``p < 0.001``."""
    if p < 0.001:
        return "p < 0.001"
    return "p = 1" if p >= 0.995 else f"p = {p:.{3 if p < 0.1 else 2}f}"
