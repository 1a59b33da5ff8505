"""The sentence that Compare begins with: the best model, those that no test tells from it, and the baseline."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import Row
from mmrec_core.analysis.model_table import model_table
from mmrec_core.analysis.verdict import verdict
from mmrec_core.stats import paired
from mmrec_core.types import Dataset
from tests.test_model_table import _row, results  # noqa: F401

USERS = 300


def test_a_clear_winner(home: object, demo: Dataset) -> None:
    base = np.random.default_rng(0).uniform(0.2, 0.5, USERS)
    noise = lambda seed: 0.01 * np.random.default_rng(seed).standard_normal(USERS)
    rows = comparison.named(
        [_row("popularity", 0, base), _row("ease", 0, base + 0.1 + noise(1)), _row("mf", 0, base - 0.1 + noise(2))]
    )
    found = verdict(demo, rows, "ndcg@10")
    assert found is not None
    assert (found.best, found.tied, set(found.worse)) == ("ease", (), {"popularity", "mf"})
    assert (found.better, found.not_better) == (("ease",), ("mf",))
    assert found.sentence().startswith(
        f"ease is best in NDCG@10 ({found.value:.3f}); every other model is significantly"
    )
    assert "ease beats the baseline popularity; mf does not." in found.sentence()
    assert f"With {USERS} users" in found.sentence()


def test_two_that_no_test_tells_apart(results: list[Row], demo: Dataset) -> None:  # noqa: F811
    """``bpr`` is ``ease`` with noise, each with three seeds; ``mf`` is worse and beats the baseline as well."""
    found = verdict(demo, results, "ndcg@10")
    assert found is not None and len(found.tied) == 1
    assert {found.best, found.tied[0][0]} == {"ease", "bpr"} and found.worse == ("mf", "popularity")
    assert found.tied[0][1] >= 0.05
    assert set(found.better) == {"ease", "bpr", "mf"} and not found.not_better
    assert "are not significantly different in NDCG@10" in found.sentence()
    assert "beat the baseline popularity." in found.sentence()


def test_a_baseline_with_several_seeds_is_one_baseline(results: list[Row], demo: Dataset) -> None:  # noqa: F811
    values = np.random.default_rng(9).uniform(0.0, 0.3, 200)
    rows = [r for r in results if r.model != "popularity"] + [_row("popularity", seed, values) for seed in (1, 2)]
    found = verdict(demo, comparison.named(rows), "ndcg@10")
    assert found is not None and found.baseline == "popularity" and set(found.better) == {"ease", "bpr", "mf"}


def test_the_difference_that_would_be_found_is_that_of_the_usual_formula(home: object, demo: Dataset) -> None:
    """(z₀.₉₇₅ + z₀.₈) times the standard error of the paired difference, which the bootstrap interval shows."""
    rng = np.random.default_rng(3)
    base = rng.uniform(0.2, 0.5, USERS)
    other = base + 0.05 * rng.standard_normal(USERS)
    rows = comparison.named([_row("popularity", 0, base), _row("ease", 0, other)])
    found = verdict(demo, rows, "ndcg@10")
    assert found is not None and found.detectable is not None
    error = float((other - base).std(ddof=1) / USERS**0.5)
    assert found.detectable == pytest.approx((1.95996 + 0.84162) * error, rel=0.05)
    pair = paired(dict(enumerate(other)), dict(enumerate(base)))
    low, high = pair["interval"]
    assert (high - low) / 2 / 1.95996 == pytest.approx(error, rel=0.05)


def test_the_difference_that_would_be_missed_is_that_of_the_two_best(home: object, demo: Dataset) -> None:
    """Two models near each other differ much from user to user; a third is compared precisely with the baseline."""
    rng = np.random.default_rng(4)
    base = rng.uniform(0.2, 0.5, USERS)
    one, other = (base + 0.1 + 0.2 * rng.standard_normal(USERS) for _ in range(2))
    rows = [_row("popularity", 0, base), _row("ease", 0, one), _row("bpr", 0, other)]
    rows.append(_row("mf", 0, base + 0.001 * rng.standard_normal(USERS)))
    found = verdict(demo, comparison.named(rows), "ndcg@10")
    assert found is not None and {found.best, found.rival} == {"ease", "bpr"} and found.detectable is not None
    error = float((one - other).std(ddof=1) / USERS**0.5)
    assert found.detectable == pytest.approx((1.95996 + 0.84162) * error, rel=0.05)
    assert f"the test of {found.best} and {found.rival} would usually detect" in found.sentence()


def test_alone_without_baseline_and_without_a_test(home: object, demo: Dataset) -> None:
    values = np.linspace(0.1, 0.9, USERS)
    one = comparison.named([_row("ease", 0, values)])
    found = verdict(demo, one, "ndcg@10")
    assert found is not None and found.baseline is None
    assert found.sentence() == f"ease has NDCG@10 {found.value:.3f}; there is no other model to compare it with."
    two = comparison.named([_row("ease", 0, values), _row("mf", 0, values / 2)])
    coverage = verdict(demo, two, "coverage@10")
    assert coverage is not None and not coverage.worse and "no test of the differences" in coverage.sentence()
    assert verdict(demo, two, "rmse") is None
    assert model_table(demo, two, metrics=["ndcg@10"], baseline=None).groups[0].label == "ease"
