"""Inputs of metrics: rankings, rating predictions, click predictions and recommendation lists."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmrec_core.types.fields import Array


@dataclass(frozen=True)
class Ranking:
    """Ranks of the relevant items of each query; the only input of ranking metrics.

    ``relevant_query``/``relevant_gain`` list every relevant item. ``entry`` points into that list, one per item whose
    rank is reported, with how many candidates score strictly higher (``above``), how many score the same, itself
    included (``tied``), and how many of those are relevant. Items with a rank below ``cut`` may be missing.
    """

    relevant_query: Array
    """int64 ``[R]``, sorted: the query of every relevant item."""
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
    """Entries with ``above`` ≥ ``cut`` may be missing; ``None``: the ranking is complete."""

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
    """True and predicted ratings ``[N]`` on the dataset's scale, and the weight of each row ``[N]``."""

    truth: Array
    predicted: Array
    weight: Array


@dataclass(frozen=True)
class ClickRows:
    """Labels (0 or 1), their predicted log-odds, and the weight of each row, ``[N]`` each."""

    truth: Array
    log_odds: Array
    weight: Array


@dataclass(frozen=True)
class Lists:
    """Top-K lists of users, with properties of items and users; the only input of list metrics."""

    items: Array
    """int64 ``[U, K]``: item rows, best first; −1 where no item is left."""
    counts: Array
    """int64 ``[I]``: training events of each film."""
    n_users: int
    """Users with training events."""
    genres: Array
    """float64 ``[I, G]``: share of each genre of each film; a row sums to 1, or to 0 if no genre is known."""
    taste: Array
    """float64 ``[U, G]``: mean of ``genres`` over the films that a user liked in training."""
    popularity: Array
    """float64 ``[U]``: mean ``counts`` of the films a user liked in training; NaN where there are none."""
    vectors: Array | None = None
    """float32 ``[I, d]``: unit vectors of plots and posters, zeros where missing; ``None`` if nothing is encoded."""
    raters: Array | None = None
    """int64 ``[I]``: users with a training event of each film; differs from ``counts`` where events repeat."""
    future: Array | None = None
    """bool ``[U, K]``: listed films that did not exist yet at the time of the query; ``None`` if there are no times."""
