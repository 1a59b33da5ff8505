"""What each rating of a history does to one film and to the list of recommendations, and which one does most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmrec_core.serving.counterfactuals import Answer, score_and_rank, scores_of, swapped, with_rating, without
from mmrec_core.types import Array, History

TOP = 10
MOST = 60
"""The latest events that are edited in turn; older ones stay as they are."""
SAME = 1e-12
"""Scores that differ by no more are the same."""


@dataclass(frozen=True)
class Edit:
    """One edit of a history and what it does."""

    index: int
    """The event that is edited."""
    stars: float | None
    """Its rating after the edit; ``None`` if it is left out or exchanged with the next one."""
    answer: Answer
    """Score and rank of the film after the edit."""
    replaced: int
    """Films of the unedited top ten that are not in the top ten after the edit."""


@dataclass(frozen=True)
class Effects:
    """Edits of one history, each on its own."""

    base: Answer
    """Score and rank of the film without an edit."""
    edits: tuple[Edit, ...]

    def strongest(self) -> Edit | None:
        """The edit that replaces most of the top ten; of several the one that moves the film's score most.

        ``None`` if no edit changes the list or the score.
        """
        able = [e for e in self.edits if e.replaced or abs(e.answer.score - self.base.score) > SAME]
        return max(able, key=lambda e: (e.replaced, abs(e.answer.score - self.base.score)), default=None)


def removals(model: Any, history: History, item: int, hidden: Array) -> Effects:
    """Every one of the latest ratings left out.

    Args:
        model: the model, with fixed weights.
        history: the unedited history.
        item: item row of the film.
        hidden: item rows left out of rankings and lists.
    """
    return _effects(model, history, item, hidden, {(at, None): without(history, at) for at in _latest(history)})


def changed_ratings(model: Any, history: History, item: int, hidden: Array, stars: Sequence[float]) -> Effects:
    """Every one of the latest ratings changed to each of some values, for example both ends of the scale.

    Raises:
        MMRecError: the history has no ratings.
    """
    edits: dict[tuple[int, float | None], History] = {
        (at, float(value)): with_rating(history, at, float(value))
        for at in _latest(history)
        for value in stars
        if history.ratings is None or history.ratings[at] != value
    }
    return _effects(model, history, item, hidden, edits)


def changed_rating(model: Any, history: History, item: int, hidden: Array, index: int, stars: float) -> Effects:
    """One rating changed to one value."""
    return _effects(model, history, item, hidden, {(index, stars): with_rating(history, index, stars)})


def exchanges(model: Any, history: History, item: int, hidden: Array) -> Effects:
    """Every two neighbours among the latest events exchanged."""
    able = [at for at in _latest(history) if at < len(history) - 1]
    return _effects(model, history, item, hidden, {(at, None): swapped(history, at) for at in able})


def _latest(history: History) -> range:
    return range(max(len(history) - MOST, 0), len(history))


def _effects(
    model: Any, history: History, item: int, hidden: Array, edits: Mapping[tuple[int, float | None], History]
) -> Effects:
    scores = scores_of(model, [history, *edits.values()])
    lists = [_top(row, hidden) for row in scores]
    base = Answer("as it is", *score_and_rank(scores[0], item, hidden))
    made = [
        Edit(at, stars, Answer(str(at), *score_and_rank(row, item, hidden)), len(lists[0] - top))
        for (at, stars), row, top in zip(edits, scores[1:], lists[1:], strict=True)
    ]
    return Effects(base, tuple(made))


def _top(scores: Array, hidden: Array) -> set[int]:
    """The item rows of the first ten, ties in the order of their rows."""
    able = np.array(scores)
    able[hidden] = -np.inf
    best = np.argsort(-able, kind="stable")[:TOP]
    return {int(i) for i in best if np.isfinite(able[i])}
