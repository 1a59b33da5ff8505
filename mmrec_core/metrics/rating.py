"""Errors of predicted ratings, over all rows at once (micro-averaged), on the dataset's own scale."""

from __future__ import annotations

import numpy as np

from mmrec_core.types import RatingRows

LOWER_IS_BETTER = {"rmse", "mae", "mse"}


def rmse(ratings: RatingRows) -> float:
    """Typical error of a predicted rating in stars, large errors counting more (root mean squared error)."""
    return float(np.sqrt(mse(ratings)))


def mae(ratings: RatingRows) -> float:
    """Average distance between predicted and true rating in stars (mean absolute error)."""
    return float(np.average(np.abs(ratings.truth - ratings.predicted), weights=ratings.weight))


def mse(ratings: RatingRows) -> float:
    """Average squared error of a predicted rating (mean squared error)."""
    return float(np.average(np.square(ratings.truth - ratings.predicted), weights=ratings.weight))
