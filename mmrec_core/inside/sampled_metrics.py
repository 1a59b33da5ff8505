"""NDCG with sampled negatives as an exact function of their number (Krichene and Rendle 2020, "On Sampled Metrics")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from mmrec_core import runs
from mmrec_core.data.splits import make_split
from mmrec_core.evaluation.protocols import Protocol
from mmrec_core.evaluation.ranker import Ranker, RankingOptions
from mmrec_core.serving import recommender
from mmrec_core.types import Array, Dataset

K = 10


def expected_ndcg(above: Array, others: Array, n: int, k: int = K) -> Array:
    """Expected NDCG@k of one relevant item among ``n`` negatives drawn without replacement.

    Args:
        above: float ``[P]``: how many of the other candidates score higher (ties count half, rounded down).
        others: int ``[P]``: number of candidates besides the relevant item.
        n: negatives that are drawn; where it reaches ``others``, the ranking is among all.
        k: cut-off.

    Returns:
        float64 ``[P]``: ``Σ_{j<k} P(j drawn items score higher) / log₂(j + 2)``.
    """
    found = np.zeros(len(above))
    drawn = np.minimum(n, others)
    for j in range(k):
        found += hypergeom.pmf(j, others, np.floor(above), drawn) / np.log2(j + 2)
    return found


def sizes(candidates: int, steps: int = 24) -> list[int]:
    """Numbers of negatives from 1 to all candidates, spaced by their logarithm."""
    return sorted({round(float(n)) for n in np.geomspace(1, max(candidates, 1), steps)})


def curves(chosen: Sequence[runs.Run], dataset: Dataset) -> dict[str, Any]:
    """Expected NDCG@10 of trained models for every number of negatives.

    Returns:
        ``sizes [S]``, ``values [models, S]``, ``pairs`` (relevant test items), ``users`` and ``candidates`` (most films
        that an item is ranked among).

    Raises:
        MMRecError: a model cannot be loaded, or the runs' splits differ.
    """
    values, facts = [], {}
    for run in chosen:
        above, others, users = _ranks(run, dataset)
        steps = sizes(int(others.max()))
        cells = np.unique(np.stack([np.floor(above), others]), axis=1, return_counts=True)
        (own, among), count = cells[0].astype(np.int64), cells[1]
        values.append([float(np.average(expected_ndcg(own, among, n), weights=count)) for n in steps])
        facts = {"sizes": steps, "pairs": len(above), "users": users, "candidates": int(others.max())}
    return {**facts, "values": values}


def _ranks(run: runs.Run, dataset: Dataset) -> tuple[Array, Array, int]:
    """Of each relevant test item: how many candidates score higher (ties count half), the number of other candidates
    that are not relevant, and the number of users."""
    how = run.params
    liked = runs.liked_from(how)
    split = make_split(dataset, how["split"], how["split_seed"], how["filter_from"], liked)
    threshold = liked if liked is not None else dataset.manifest.get("relevant_from")
    options = RankingOptions(protocol=Protocol.parse("full"), relevance_threshold=threshold)
    ranker = Ranker(recommender.load_run_model(run.folder), dataset, split, options)
    ranking = ranker.frozen(None)
    width = ranking.n_candidates.max() + 1
    key = np.sort(ranking.query * width + ranking.above)
    first = ranking.query * width
    relevant = np.searchsorted(key, first + ranking.above) - np.searchsorted(key, first)  # relevant items above
    above = ranking.above - relevant + 0.5 * (ranking.tied - ranking.tied_relevant)
    others = (ranking.n_candidates - ranking.n_relevant)[ranking.query]
    return above, others, ranking.n_queries
