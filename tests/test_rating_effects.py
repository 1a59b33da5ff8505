"""What edits of a history do to a film and to the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core.serving import rating_effects
from mmrec_core.types import Array, History


class Linear:
    """Scores are the ratings times a table; the last event counts double."""

    def __init__(self, table: Array) -> None:
        self.table = torch.as_tensor(table, dtype=torch.float64)

    def fold_in(self, histories: Sequence[History]) -> list[History]:
        return list(histories)

    def score_all(self, histories: Any) -> torch.Tensor:
        rows = []
        for history in histories:
            weight = torch.ones(len(history), dtype=torch.float64)
            weight[-1:] = 2.0
            stars = torch.as_tensor(np.asarray(history.ratings), dtype=torch.float64)
            rows.append((weight * stars) @ self.table[np.asarray(history.items)])
        return torch.stack(rows)


@pytest.fixture
def model() -> Linear:
    """Twelve films; film 0 says nothing, film 1 pushes film 11, film 2 pushes films 3 to 10."""
    table = np.zeros((12, 12))
    table[1, 11] = 1.0
    table[2, 3:11] = 0.1
    return Linear(table)


HISTORY = History(np.array([1, 2, 0]), np.array([5, 4, 3], np.float32))
SEEN = np.array([0, 1, 2])


def test_removals_say_which_rating_carries_the_film(model: Linear) -> None:
    found = rating_effects.removals(model, HISTORY, 11, SEEN)
    assert found.base.score == 5 and found.base.rank == 1
    assert [(e.index, e.answer.score) for e in found.edits] == [(0, 0.0), (1, 5.0), (2, 5.0)]
    strongest = found.strongest()
    assert strongest is not None and strongest.index == 0 and strongest.stars is None


def test_the_strongest_is_the_one_that_replaces_most_of_the_list(model: Linear) -> None:
    """By hand: the list is film 11, films 12 to 17 and 3 to 5. Without film 1 it is 3 to 10, 11 and 12; without film 2
    it is as before, though film 5 loses its score."""
    wide = Linear(np.pad(model.table.numpy(), ((0, 6), (0, 6))))
    wide.table[1, 12:18] = 0.2
    found = rating_effects.removals(wide, HISTORY, 5, SEEN)
    assert [e.replaced for e in found.edits] == [5, 0, 0]
    assert [e.answer.score for e in found.edits] == pytest.approx([0.4, 0.0, 0.8]), "film 2 is last without film 0"
    strongest = found.strongest()
    assert strongest is not None and strongest.index == 0


def test_changed_ratings_try_both_ends(model: Linear) -> None:
    found = rating_effects.changed_ratings(model, HISTORY, 11, SEEN, (1, 5))
    assert [(e.index, e.stars) for e in found.edits] == [(0, 1.0), (1, 1.0), (1, 5.0), (2, 1.0), (2, 5.0)]
    strongest = found.strongest()
    assert strongest is not None and (strongest.index, strongest.stars, strongest.answer.score) == (0, 1.0, 1.0)


def test_exchanges_of_neighbours(model: Linear) -> None:
    """The last event counts double: 2 · 5 for film 1, and once after the exchange."""
    found = rating_effects.exchanges(model, History(np.array([2, 1]), np.array([4, 5], np.float32)), 11, SEEN)
    assert found.base.score == 10 and [e.answer.score for e in found.edits] == [5.0]


def test_nothing_changes_for_a_model_that_says_the_same_to_everybody() -> None:
    same = Linear(np.zeros((12, 12)))
    assert rating_effects.removals(same, HISTORY, 11, SEEN).strongest() is None
    assert rating_effects.removals(same, History(np.array([1]), np.array([3], np.float32)), 11, SEEN).edits
