"""What lists of recommendations are like, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec_core.metrics import metric
from mmrec_core.types import Lists

GENRES = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
COUNTS = np.array([8, 4, 2, 0])


def lists(items: list[list[int]], taste: list[list[float]] | None = None, vectors: np.ndarray | None = None) -> Lists:
    """Eight users of training, four films, two genres."""
    n = len(items)
    wanted = np.array(taste or [[0.5, 0.5]] * n)
    return Lists(np.array(items), COUNTS, 8, GENRES, wanted, np.full(n, 4.0), vectors)


def test_by_hand() -> None:
    shown = lists([[0, 1], [0, 2], [0, -1]])
    assert metric("coverage@2").compute(shown) == 3 / 4
    assert metric("coverage@1").compute(shown) == 1 / 4
    assert metric("novelty@2").compute(shown) == pytest.approx([(0 + 1) / 2, (0 + 2) / 2, 0])
    assert metric("diversity@2").compute(shown)[:2] == pytest.approx([0, 1])
    assert np.isnan(metric("diversity@2").compute(shown)[2])
    assert metric("popularity_lift@2").compute(shown) == pytest.approx([6 / 4 - 1, 5 / 4 - 1, 8 / 4 - 1])


def test_a_list_with_the_users_own_mix_is_calibrated() -> None:
    shown = lists([[0, 2], [0, 1]], [[0.5, 0.5], [0.5, 0.5]])
    found = metric("miscalibration@2").compute(shown)
    assert found[0] == pytest.approx(0, abs=1e-12)
    by_hand = 0.5 * np.log(0.5 / (0.99 + 0.005)) + 0.5 * np.log(0.5 / 0.005)
    assert found[1] == pytest.approx(by_hand)


def test_content_diversity_needs_vectors_and_leaves_out_films_without() -> None:
    assert np.isnan(metric("diversity_content@2").compute(lists([[0, 1]]))).all()
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.0, 0.0]], np.float32)
    found = metric("diversity_content@3").compute(lists([[0, 1, 3], [0, 2, 3]], vectors=vectors))
    assert found == pytest.approx([1.0, 0.4])


def test_a_film_nobody_rated_counts_as_if_one_had() -> None:
    assert metric("novelty@1").compute(lists([[3]])) == pytest.approx([3.0])


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("miscalibration@10", "lower"),
        ("popularity_lift@10", "lower"),
        ("novelty@10", "higher"),
        ("rmse", "lower"),
        ("ndcg@10", "higher"),
        ("log_loss:income", "lower"),
    ],
)
def test_which_way_is_better(name: str, better: str) -> None:
    assert metric(name).better == better
