"""Ranking metrics, per query, each the expectation over random orders of items that score the same.

For a tied block of ``m`` items of which ``p`` are relevant, behind ``a`` items that score higher, each relevant one is
equally likely at every rank ``a+1 … a+m``; metrics that are sums over relevant items follow by linearity. So a constant
scorer scores chance (systems that break ties by row order do not: see McSherry & Najork 2008).
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln

from mmrec_core.types import Array, Ranking


def _spread(ranking: Ranking, value_of_top: Array) -> Array:
    """Expected value of each relevant item, where ``value_of_top[r]`` is the total value of the first ``r`` ranks."""
    cut = len(value_of_top) - 1
    first, last = np.minimum(ranking.above, cut), np.minimum(ranking.above + ranking.tied, cut)
    spread: Array = (value_of_top[last] - value_of_top[first]) / ranking.tied
    return spread


def _per_query(ranking: Ranking, value: Array) -> Array:
    return np.bincount(ranking.query, weights=value, minlength=ranking.n_queries)


def _discounts(k: int) -> Array:
    """Total discount of the first r ranks, r = 0 … k."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])


def _first_block(ranking: Ranking) -> tuple[Array, Array]:
    """For each query that has one, an entry of its best-placed tied block: queries and entries."""
    order = np.lexsort((ranking.above, ranking.query))
    queries, at = np.unique(ranking.query[order], return_index=True)
    return queries, order[at]


def ndcg(ranking: Ranking, k: int) -> Array:
    """How high the liked items rank in the first ``k``: 1 if they come first, and higher ranks count more (binary
    NDCG)."""
    total = _discounts(k)
    return _per_query(ranking, _spread(ranking, total)) / total[np.minimum(ranking.n_relevant, k)]


def ndcg_graded(ranking: Ranking, k: int) -> Array:
    """NDCG of the first ``k`` with the rating as the gain (on scales below zero, its distance from the lowest rating),
    so that a 5-star film counts more than a 4-star one."""
    ideal = ranking.ideal_gain(k) @ np.diff(_discounts(k))
    with np.errstate(invalid="ignore"):  # where every gain is 0 there is no order to be right about: NaN
        graded: Array = _per_query(ranking, _spread(ranking, _discounts(k)) * ranking.gain) / ideal
    return graded


def recall(ranking: Ranking, k: int) -> Array:
    """Share of all liked films that stand among the first ``k``."""
    return _per_query(ranking, _spread(ranking, np.arange(k + 1.0))) / ranking.n_relevant


def precision(ranking: Ranking, k: int) -> Array:
    """Share of the first ``k`` films that are liked."""
    return _per_query(ranking, _spread(ranking, np.arange(k + 1.0))) / k


def hr(ranking: Ranking, k: int) -> Array:
    """Hit rate: the chance that at least one liked film is among the first ``k``."""
    out = np.zeros(ranking.n_queries)
    queries, at = _first_block(ranking)
    above, m, p = ranking.above[at], ranking.tied[at], ranking.tied_relevant[at]
    slots = np.clip(k - above, 0, m)
    with np.errstate(invalid="ignore"):  # C(m−p, slots) / C(m, slots), 0 where the slots cannot avoid all p
        none = gammaln(m - p + 1) - gammaln(np.maximum(m - p - slots, 0) + 1) - gammaln(m + 1) + gammaln(m - slots + 1)
    out[queries] = 1 - np.where(slots > m - p, 0.0, np.exp(none))
    return out


def mrr(ranking: Ranking) -> Array:
    """One divided by the rank of the first liked film, however far down it stands (mean reciprocal rank)."""
    out = np.zeros(ranking.n_queries)
    queries, at = _first_block(ranking)
    above, m, p = ranking.above[at], ranking.tied[at], ranking.tied_relevant[at]
    value = np.where(p == 1, (digamma(above + m + 1.0) - digamma(above + 1.0)) / m, 1 / (above + 1.0))
    for entry in np.flatnonzero((p > 1) & (m > 1)):
        value[entry] = _first_of(int(above[entry]), int(m[entry]), int(p[entry]))
    out[queries] = value
    return out


def _first_of(a: int, m: int, p: int) -> float:
    """E[1 / rank of the first of p relevant items] in a random order of m, behind a others."""
    j = np.arange(m - p + 1)
    log_chance = (
        gammaln(m - j) - gammaln(p) - gammaln(m - j - p + 1) - (gammaln(m + 1) - gammaln(p + 1) - gammaln(m - p + 1))
    )
    return float((np.exp(log_chance) / (a + j + 1)).sum())


def _relevant_above(ranking: Ranking) -> Array:
    """For each entry, how many relevant items of its query score strictly higher."""
    order = np.lexsort((ranking.above, ranking.query))
    query, above = ranking.query[order], ranking.above[order]
    start = np.searchsorted(query, query)
    new = (
        np.concatenate([[True], (query[1:] != query[:-1]) | (above[1:] != above[:-1])])
        if len(query)
        else np.zeros(0, bool)
    )
    block = np.maximum.accumulate(np.where(new, np.arange(len(query)), 0)) if len(query) else np.zeros(0, np.int64)
    out = np.empty(len(query), np.int64)
    out[order] = block - start
    return out


def auc(ranking: Ranking) -> Array:
    """The chance that a liked film scores higher than one that is not (ties count half); 0.5 is guessing."""
    negatives = ranking.n_candidates - ranking.n_relevant
    worse = ranking.above - _relevant_above(ranking) + 0.5 * (ranking.tied - ranking.tied_relevant)
    with np.errstate(invalid="ignore", divide="ignore"):
        out: Array = 1 - _per_query(ranking, worse) / (ranking.n_relevant * negatives)
    return out


def ap(ranking: Ranking) -> Array:
    """Average precision: precision at the rank of each liked film, averaged (a tied block counts as one threshold)."""
    hits = _relevant_above(ranking) + ranking.tied_relevant
    return _per_query(ranking, hits / (ranking.above + ranking.tied)) / ranking.n_relevant
