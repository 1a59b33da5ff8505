"""Films and users on which two models differ most."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec_core.analysis import largest_differences
from mmrec_core.analysis.error_analysis import EvaluatedRows
from mmrec_core.errors import MMRecError

USER = np.array([0, 0, 1, 1, 2, 2])
ITEM = np.array([5, 6, 5, 6, 5, 7])


def ranked(*place: int, liked: tuple[int, ...] = (1, 1, 1, 1, 1, 1)) -> EvaluatedRows:
    return EvaluatedRows(np.arange(6), USER, ITEM, None, np.array(liked, bool), None, np.array(place))


def rated(*predicted: float) -> EvaluatedRows:
    return EvaluatedRows(np.arange(6), USER, ITEM, np.full(6, 4.0), np.ones(6, bool), np.array(predicted), None)


def test_gains_are_differences_of_reciprocal_ranks() -> None:
    """By hand: rank 1 against 2 is .5, against none 1; a film that was not liked, and a user without a list, are not
    compared."""
    a, b = ranked(1, 1, 4, 0, 2, -1, liked=(1, 1, 1, 1, 0, 1)), ranked(2, 0, 1, 0, 1, -1)
    np.testing.assert_allclose(largest_differences.gains(a, b), [0.5, 1, -0.75, 0, np.nan, np.nan])


def test_gains_of_models_that_predict_ratings_are_differences_of_errors() -> None:
    found = largest_differences.gains(rated(4, 3, 5, 4.5, 1, 4), rated(5, 3, 4, 3, 4, 4))
    np.testing.assert_allclose(found, [1, 0, -1, 0.5, -3, 0])
    with pytest.raises(MMRecError, match="no saved lists"):
        largest_differences.gains(rated(1, 1, 1, 1, 1, 1), ranked(1, 1, 1, 1, 1, 1))


def test_each_user_and_each_film_is_named_once() -> None:
    gain = np.array([0.9, 0.8, 0.7, -0.2, -0.5, 0.1])
    better, worse = largest_differences.cases(gain, ranked(1, 1, 1, 1, 1, 1))
    assert [(c.user, c.item, c.gain) for c in better] == [(0, 5, 0.9), (2, 7, 0.1)], "rows 1 and 2 repeat user and film"
    assert [(c.user, c.item) for c in worse] == [(2, 5), (1, 6)]


def test_films_have_their_mean_and_the_case_that_shows_it() -> None:
    gain = np.array([0.9, -0.4, 0.3, -0.2, 0.0, 1.0])
    better, worse = largest_differences.films(gain, ranked(1, 1, 1, 1, 1, 1), fewest=2)
    assert [(f.item, f.n, f.case.user) for f in better] == [(5, 3, 0)] and better[0].gain == pytest.approx(0.4)
    assert [(f.item, f.n, f.case.user) for f in worse] == [(6, 2, 0)], "film 7 has one row"
