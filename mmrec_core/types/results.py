"""Ranks, predictions and lists that metrics read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass
from mmrec_core.types.fields import Array


@dataclass(frozen=True)
class Ranking:
    """Where the relevant items of each query stand in its ranking; all that a ranking metric may look at.

    ``relevant_query``/``relevant_gain`` list every relevant item; ``entry`` points into that list, one per item whose
    place is reported, with how many candidates score strictly higher (``above``), how many score the same, itself
    included (``tied``), and how many of those are relevant. Items below ``cut`` may go unreported.
    """

    relevant_query: Array
    """int64 ``[R]``, sorted: the query of every relevant item, wherever it stands."""
    relevant_gain: Array
    """float64 ``[R]``: its gain, the rating (1 where there are none)."""
    entry: Array
    """int64 ``[P]``."""
    above: Array
    """int64 ``[P]``."""
    tied: Array
    """int64 ``[P]``, ≥ 1."""
    tied_relevant: Array
    """int64 ``[P]``, ≥ 1."""
    n_candidates: Array
    """int64 ``[Q]``, relevant ones included."""
    cut: int | None = None
    """Entries with ``above`` ≥ ``cut`` may be missing; ``None``: the ranking is whole."""

    @property
    def n_queries(self) -> int:
        """``Q``."""
        return len(self.n_candidates)

    @cached_property
    def query(self) -> Array:
        """int64 ``[P]``: the query of each entry."""
        return self.relevant_query[self.entry]

    @cached_property
    def gain(self) -> Array:
        """float64 ``[P]``: the gain of each entry."""
        return self.relevant_gain[self.entry]

    @cached_property
    def n_relevant(self) -> Array:
        """int64 ``[Q]``."""
        return np.bincount(self.relevant_query, minlength=self.n_queries)

    def ideal_gain(self, k: int) -> Array:
        """The ``k`` best gains of each query in descending order, padded with 0: ``[Q, k]``."""
        order = np.lexsort((-self.relevant_gain, self.relevant_query))
        query = self.relevant_query[order]
        place = np.arange(len(query)) - np.searchsorted(query, query)
        best = np.zeros((self.n_queries, k))
        keep = place < k
        best[query[keep], place[keep]] = self.relevant_gain[order][keep]
        return best


@dataclass(frozen=True)
class RatingRows:
    """Ratings and predictions of them, ``[N]`` each, on the dataset's scale; ``weight`` counts a row more than once."""

    truth: Array
    predicted: Array
    weight: Array


@dataclass(frozen=True)
class ClickRows:
    """Labels (0 or 1) and predicted log-odds of them, ``[N]`` each; ``weight`` counts a row more than once."""

    truth: Array
    log_odds: Array
    weight: Array


@dataclass(frozen=True)
class Lists:
    """What each user is shown first, and what is known of films and of users' tastes; all that a metric of lists may look at."""

    items: Array
    """int64 ``[U, K]``: item rows, best first; −1 where nothing is left to show."""
    counts: Array
    """int64 ``[I]``: training events of each film."""
    n_users: int
    """Users with training events."""
    genres: Array
    """float64 ``[I, G]``: each film's genres, a row sums to 1 (to 0 where none is known)."""
    taste: Array
    """float64 ``[U, G]``: the mean of that over the films a user liked in training."""
    popularity: Array
    """float64 ``[U]``: mean ``counts`` of the films a user liked in training; NaN where there are none."""
    vectors: Array | None = None
    """float32 ``[I, d]``: unit vectors of plots and posters, zeros where a film has none; ``None`` where nobody encoded the catalog."""
    raters: Array | None = None
    """int64 ``[I]``: users with a training event of each film; differs from ``counts`` where events repeat."""
    future: Array | None = None
    """bool ``[U, K]``: listed films that did not exist yet when the list was asked for; ``None`` where there are no times."""
