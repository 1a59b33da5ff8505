"""Rating and click metrics against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, root_mean_squared_error

from mmrec_core import metrics
from mmrec_core.errors import MMRecError
from mmrec_core.types import ClickRows, RatingRows


def test_rating_errors_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    rows = RatingRows(rng.uniform(0.5, 5, 1001), rng.uniform(0.5, 5, 1001), np.ones(1001))
    assert metrics.metric("rmse").compute(rows) == pytest.approx(root_mean_squared_error(rows.truth, rows.predicted))
    assert metrics.metric("mae").compute(rows) == pytest.approx(mean_absolute_error(rows.truth, rows.predicted))


def test_weights_count_rows_again() -> None:
    rows = RatingRows(np.array([1.0, 2.0]), np.array([2.0, 2.0]), np.array([3.0, 1.0]))
    assert metrics.metric("mse").compute(rows) == pytest.approx(0.75)


def test_log_loss_equals_scikit_learn_and_survives_certainty() -> None:
    odds = np.array([-800.0, 3.0, 0.0, 800.0])
    truth = np.array([0.0, 1, 0, 1])
    rows = ClickRows(truth, odds, np.ones(4))
    assert metrics.metric("log_loss").compute(rows) == pytest.approx(
        log_loss(truth, 1 / (1 + np.exp(-np.clip(odds, -700, 700)))), abs=1e-9
    )


@pytest.mark.parametrize("name", ["ndgc@10", "ndcg", "rmse@10", "ndcg@x"])
def test_an_unknown_metric_names_the_known_ones(name: str) -> None:
    with pytest.raises(MMRecError, match="Known:"):
        metrics.metric(name)


def test_every_metric_explains_itself_in_one_line() -> None:
    for kind in metrics.KINDS:
        for found in metrics.usual(kind):
            assert 20 < len(found.meaning) < 200 and "`" not in found.meaning, found.name
