"""Intervals cover what they say, tests alarm as seldom as they say, and equal results never differ."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec_core import stats
from mmrec_core.stats import holm, mean_intervals, paired, permutation_p, wilson


def simulated(rng: np.random.Generator, n: int, shift: float) -> np.ndarray:
    """Skewed per-user differences of NDCG between two models; most users tie, and the mean is ``shift``."""
    decided = rng.random(n) < 0.6
    return np.where(decided, rng.beta(1, 4, n) - rng.beta(1, 4, n), 0.0) + shift


def test_intervals_cover_a_known_difference() -> None:
    """95 % intervals of 1,000 simulated comparisons hold the true difference 93 to 97 % of the time."""
    rng = np.random.default_rng(0)
    inside = 0
    for at in range(1000):
        low, high = mean_intervals(simulated(rng, 250, 0.02)[:, None], resamples=400, seed=at)[0]
        inside += low <= 0.02 <= high
    assert 930 <= inside <= 970


def test_false_alarms_are_as_rare_as_they_say() -> None:
    """Without any difference, 4 to 6 % of 10,000 tests fall below .05."""
    rng = np.random.default_rng(1)
    alarms = sum(permutation_p(simulated(rng, 40, 0.0), flips=199, seed=at) <= 0.05 for at in range(10_000))
    assert 400 <= alarms <= 600


@pytest.mark.parametrize("n", [3, 250])
def test_kept_draws_are_those_that_would_be_drawn(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals and p-values are the same, to the last bit, whether random numbers are kept or drawn anew."""
    difference = simulated(np.random.default_rng(n), n, 0.01)
    kept = [(mean_intervals(difference[:, None], 120), permutation_p(difference, 500)) for _ in range(2)]
    monkeypatch.setattr(stats, "KEPT_NUMBERS", 0)
    assert kept == [(mean_intervals(difference[:, None], 120), permutation_p(difference, 500))] * 2


def test_identical_results_never_differ() -> None:
    same = {u: float(u % 7) / 7 for u in range(50)}
    found = paired(same, same)
    assert found["p"] == 1 and found["difference"] == 0 and found["interval"] == [0, 0] and found["ties"] == 50


def test_p_is_that_of_all_flips() -> None:
    """Against every flip of eight users' signs, counted one by one."""
    difference = np.array([0.3, -0.1, 0.2, 0.4, 0.05, -0.02, 0.1, 0.25])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    exact = np.mean(np.abs(difference @ signs) >= abs(difference.sum()) - 1e-12)
    assert permutation_p(difference, flips=20_000) == pytest.approx(exact, abs=0.004)


def test_holm_by_hand() -> None:
    """Four tests: .01·4, .02·3, .03·2 (not below the one before), .2."""
    assert holm([0.03, 0.01, 0.2, 0.02]) == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]


def test_wilson_intervals_by_hand() -> None:
    """Newcombe (1998), Table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for successes, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(successes / n, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson(1.0, 20)[1] == 1.0
