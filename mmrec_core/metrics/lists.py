"""Beyond accuracy: what lists of recommendations are like, whoever likes them. A value per user, or one for all of
them."""

from __future__ import annotations

import numpy as np

from mmrec_core.types import Array, Lists

LOWER_IS_BETTER = {"miscalibration", "popularity_lift", "future_items"}
FLOOR = 0.01
"""Share of the user's own taste mixed into a list's, so that a genre that is missing costs much, not everything (Steck
2018)."""


def coverage(lists: Lists, k: int) -> float:
    """Share of all films that anybody at all is shown among the first ``k``."""
    shown = np.unique(lists.items[:, :k])
    return float((shown >= 0).sum() / len(lists.counts))


def novelty(lists: Lists, k: int) -> Array:
    """How little known the first ``k`` films are: mean −log2 of the share of people who rated them; 1 more is half as
    many people."""
    raters = lists.counts if lists.raters is None else lists.raters
    bits = -np.log2(np.clip(raters, 1, None) / max(lists.n_users, 1))
    return _mean(lists.items[:, :k], bits)


def future_items(lists: Lists, k: int) -> Array:
    """Share of the first ``k`` films that did not exist yet at the user's last test event (neither released nor rated
    by anybody): impossible recommendations (Ji et al. 2023); lower is better, 0 means none."""
    if lists.future is None:
        return np.full(len(lists.items), np.nan)
    return np.where(
        (lists.items[:, :k] >= 0).any(1),
        lists.future[:, :k].sum(1) / np.maximum((lists.items[:, :k] >= 0).sum(1), 1),
        np.nan,
    )


def diversity(lists: Lists, k: int) -> Array:
    """How unlike each other the first ``k`` films are in genre: 1 minus the mean cosine of all pairs; 0 is all
    alike."""
    length = np.linalg.norm(lists.genres, axis=1, keepdims=True)
    return _unlike(lists.items[:, :k], lists.genres / np.where(length == 0, 1, length))


def diversity_content(lists: Lists, k: int) -> Array:
    """How unlike each other plots and posters of the first ``k`` films are: 1 minus the mean cosine of their
    vectors."""
    if lists.vectors is None:
        return np.full(len(lists.items), np.nan)
    return _unlike(lists.items[:, :k], lists.vectors)


def miscalibration(lists: Lists, k: int) -> Array:
    """How far the genres of the first ``k`` films are from those of the user's own likes (Kullback–Leibler divergence
    in nats, 1 % of their taste mixed in; 0 is the same mix)."""
    items = lists.items[:, :k]
    given = np.where((items >= 0)[..., None], lists.genres[items], 0.0).sum(1)
    total = given.sum(1, keepdims=True)
    given = given / np.where(total == 0, 1, total)
    mixed = (1 - FLOOR) * given + FLOOR * lists.taste
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(lists.taste > 0, lists.taste * np.log(lists.taste / mixed), 0.0)
    return np.where((total[:, 0] > 0) & (lists.taste.sum(1) > 0), parts.sum(1), np.nan)


def popularity_lift(lists: Lists, k: int) -> Array:
    """How much more popular the first ``k`` films are than those the user liked: 0 as popular, 1 twice as popular
    (Abdollahpouri 2019)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lift: Array = _mean(lists.items[:, :k], lists.counts.astype(float)) / lists.popularity - 1
    return np.where(np.isfinite(lift), lift, np.nan)


def _mean(items: Array, value: Array) -> Array:
    """Mean value of the films in each list; NaN for an empty one."""
    there = items >= 0
    with np.errstate(invalid="ignore"):
        return (value[items] * there).sum(1) / np.where(there.any(1), there.sum(1), np.nan)


def _unlike(items: Array, unit: Array) -> Array:
    """1 minus the mean cosine over all pairs of films that have a vector; NaN where there are fewer than two."""
    out = np.full(len(items), np.nan)
    for start in range(0, len(items), 512):
        own = items[start : start + 512]
        found = np.where((own >= 0)[..., None], unit[own], 0.0).astype(np.float64)
        n = (np.abs(found).sum(2) > 0).sum(1)
        pairs = (found.sum(1) ** 2).sum(1) - (found**2).sum((1, 2))  # the sum over ordered pairs
        with np.errstate(invalid="ignore", divide="ignore"):
            out[start : start + 512] = np.where(n > 1, 1 - pairs / (n * (n - 1)), np.nan)
    return out
