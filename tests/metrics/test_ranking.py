"""Every ranking metric against brute force: the average over all orders of the tied items."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from mmrec_core.evaluation import tie_ranks
from mmrec_core.evaluation.tie_ranks import only_relevant, rank_scores
from mmrec_core.metrics import metric, ranking
from mmrec_core.types import Ranking

CUTS = ["ndcg@3", "recall@3", "precision@3", "hr@3", "mrr", "ndcg_graded@3", "ndcg@1", "hr@1"]


def ranked(scores: np.ndarray, liked: np.ndarray, gains: np.ndarray | None = None, cut: int | None = None) -> Ranking:
    """A ranking of a score table ``[Q, I]`` with liked items marked."""
    query, item = np.nonzero(liked)
    which, above, tied, tied_liked = rank_scores(
        torch.tensor(scores, dtype=torch.float64), None, (torch.tensor(query), torch.tensor(item)), cut
    )
    gain = np.ones(len(query)) if gains is None else gains[query, item]
    return Ranking(query, gain, which, above, tied, tied_liked, np.full(len(scores), scores.shape[1]), cut)


def one_order(name: str, liked: np.ndarray, gains: np.ndarray) -> float:
    """A metric of one ranking without ties, written down as its definition."""
    base, _, cut = name.partition("@")
    k = int(cut) if cut else len(liked)
    n, top = int(liked.sum()), liked[:k]
    discount = 1 / np.log2(np.arange(2, k + 2))
    if base == "ndcg":
        return float((top * discount[: len(top)]).sum() / discount[: min(n, k)].sum())
    if base == "ndcg_graded":
        ideal = np.sort(gains * liked)[::-1][:k]
        return float((top * gains[:k] * discount[: len(top)]).sum() / (ideal * discount[: len(ideal)]).sum())
    if base == "mrr":
        return float(1 / (np.flatnonzero(liked)[0] + 1))
    return {"recall": top.sum() / n, "precision": top.sum() / k, "hr": float(top.any())}[base]


def brute_force(name: str, scores: np.ndarray, liked: np.ndarray, gains: np.ndarray) -> float:
    """The average of a metric over every order that the scores allow."""
    values = []
    groups = [np.flatnonzero(scores == s) for s in np.unique(scores)[::-1]]
    for orders in itertools.product(*(itertools.permutations(g) for g in groups)):
        order = np.concatenate([np.array(o) for o in orders])
        values.append(one_order(name, liked[order].astype(float), gains[order]))
    return float(np.mean(values))


@pytest.mark.parametrize("name", CUTS)
def test_equals_the_average_over_all_orders_of_ties(name: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(25):
        scores = rng.integers(0, 3, (1, 7)).astype(float)
        liked = rng.random((1, 7)) < 0.4
        if not liked.any():
            continue
        gains = rng.integers(1, 6, (1, 7)).astype(float)
        asked = metric(name)
        for cut in (None, asked.k) if asked.k else (None,):
            assert asked.compute(ranked(scores, liked, gains, cut))[0] == pytest.approx(
                brute_force(name, scores[0], liked[0], gains[0])
            )


@pytest.mark.parametrize("name", ["ndcg@10", "recall@10", "precision@10", "hr@10"])
def test_cut_ranking_gives_what_the_whole_one_gives(name: str) -> None:
    rng = np.random.default_rng(0)
    liked = rng.random((40, 300)) < 0.05
    liked[:, 0] = True
    for scores in (rng.random((40, 300)), rng.integers(0, 30, (40, 300)).astype(float), np.zeros((40, 300))):
        np.testing.assert_allclose(
            metric(name).compute(ranked(scores, liked, cut=10)), metric(name).compute(ranked(scores, liked)), atol=1e-12
        )


def test_agrees_with_scikit_learn_where_nothing_ties() -> None:
    rng = np.random.default_rng(1)
    scores, liked = rng.random((30, 50)), rng.random((30, 50)) < 0.2
    liked[:, 3], liked[:, 4] = True, False
    found = ranked(scores, liked)
    np.testing.assert_allclose(ranking.auc(found), [roc_auc_score(t, s) for t, s in zip(liked, scores, strict=True)])
    np.testing.assert_allclose(
        ranking.ap(found), [average_precision_score(t, s) for t, s in zip(liked, scores, strict=True)]
    )
    gains = rng.integers(1, 6, (30, 50)).astype(float)
    expected = [ndcg_score([t * g], [s], k=10) for t, g, s in zip(liked, gains, scores, strict=True)]
    np.testing.assert_allclose(ranking.ndcg_graded(ranked(scores, liked, gains), 10), expected)


def test_auc_and_ap_treat_ties_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(2)
    scores, liked = rng.integers(0, 4, (30, 40)).astype(float), rng.random((30, 40)) < 0.3
    liked[:, 0], liked[:, 1] = True, False
    found = ranked(scores, liked)
    np.testing.assert_allclose(ranking.auc(found), [roc_auc_score(t, s) for t, s in zip(liked, scores, strict=True)])
    np.testing.assert_allclose(
        ranking.ap(found), [average_precision_score(t, s) for t, s in zip(liked, scores, strict=True)]
    )


def test_a_constant_scorer_scores_chance() -> None:
    n = 200
    liked = np.zeros((1, n), bool)
    liked[0, :4] = True
    found = ranked(np.zeros((1, n)), liked)
    assert ranking.auc(found)[0] == pytest.approx(0.5)
    assert ranking.recall(found, 10)[0] == pytest.approx(10 / n)
    assert ranking.precision(found, 10)[0] == pytest.approx(4 / n)
    one = ranked(np.zeros((1, n)), np.eye(1, n, dtype=bool))
    assert ranking.mrr(one)[0] == pytest.approx((1 / np.arange(1, n + 1)).sum() / n)


def test_with_one_negative_mrr_is_half_of_one_plus_auc() -> None:
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 3, (500, 2)).astype(float)
    found = ranked(scores, np.tile([True, False], (500, 1)))
    assert ranking.mrr(found).mean() == pytest.approx((1 + ranking.auc(found).mean()) / 2)


def test_only_relevant_keeps_the_others_as_candidates() -> None:
    scores = np.array([[5.0, 4, 3, 3, 1]])
    liked = np.array([[True, False, True, True, False]])
    found = only_relevant(ranked(scores, liked), np.array([False, True, False]))  # keep the third film alone
    assert ranking.mrr(found)[0] == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert found.n_relevant.tolist() == [1]


def test_both_ways_of_counting_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU counts and what numpy counts, with ties and in blocks."""
    monkeypatch.setattr(tie_ranks, "AT_ONCE", 60)
    rng = np.random.default_rng(2)
    scores = torch.tensor(rng.integers(0, 5, (7, 20)).astype(np.float32))
    row = torch.tensor(np.sort(rng.integers(0, 7, 31)))
    value = scores[row, torch.tensor(rng.integers(0, 20, 31))]
    for one, other in zip(
        tie_ranks._counted(scores, row, value), tie_ranks._counted_by_torch(scores, row, value), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert [len(part) for part in tie_ranks._counted_by_torch(scores, row[:0], value[:0])] == [0, 0]
