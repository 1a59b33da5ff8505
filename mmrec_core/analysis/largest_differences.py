"""Films and users on which two models differ most, each with a case that shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmrec_core.analysis.error_analysis import EvaluatedRows
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array

FEWEST = 3
"""Test rows of a film below which its mean difference is not listed."""


@dataclass(frozen=True)
class Case:
    """A test row that one model answers better than the other."""

    row: int
    """Index into the test rows."""
    user: int
    item: int
    gain: float
    """How much better the first model is, see :func:`gains`; negative: the second is better."""


@dataclass(frozen=True)
class FilmGain:
    """The mean difference on one film."""

    item: int
    gain: float
    n: int
    """Test rows of the film."""
    case: Case
    """The row of the film with the largest difference in the same direction."""


def gains(a: EvaluatedRows, b: EvaluatedRows) -> Array:
    """How much better ``a`` is than ``b`` on each test row, float64 ``[N]``; NaN where they cannot be compared.

    If both predict ratings: absolute error of ``b`` minus that of ``a``. Otherwise, on rows that count as liked, the
    reciprocal rank under ``a`` minus that under ``b`` (0 outside the saved list).

    Raises:
        MMRecError: one of the results has neither predictions nor saved lists.
    """
    if a.error is not None and b.error is not None:
        return np.asarray(np.abs(b.error) - np.abs(a.error))
    if a.place is None or b.place is None:
        raise MMRecError("One of these results has no saved lists; evaluate its run again.")
    own, other = (np.where(p > 0, 1 / np.maximum(p, 1), 0.0) for p in (a.place, b.place))
    return np.asarray(np.where(a.liked & (a.place >= 0) & (b.place >= 0), own - other, np.nan))


def cases(gain: Array, rows: EvaluatedRows, n: int = 8) -> tuple[list[Case], list[Case]]:
    """The test rows with the largest differences in favour of each model, every film and every user once.

    Args:
        gain: from :func:`gains`.
        rows: the test rows of either result.
        n: at most so many for each model.
    """
    return _cases(gain, gain, rows, n), _cases(-gain, gain, rows, n)


def _cases(better: Array, gain: Array, rows: EvaluatedRows, n: int) -> list[Case]:
    found: list[Case] = []
    users: set[int] = set()
    items: set[int] = set()
    for at in np.argsort(-np.nan_to_num(better, nan=-np.inf), kind="stable"):
        user, item = int(rows.user[at]), int(rows.item[at])
        if not better[at] > 0 or len(found) == n:
            break
        if user not in users and item not in items:
            users.add(user)
            items.add(item)
            found.append(Case(int(at), user, item, float(gain[at])))
    return found


def films(gain: Array, rows: EvaluatedRows, n: int = 8, fewest: int = FEWEST) -> tuple[list[FilmGain], list[FilmGain]]:
    """Films with the largest mean differences in favour of each model.

    Args:
        gain: from :func:`gains`.
        rows: the test rows of either result.
        n: at most so many for each model.
        fewest: films with fewer comparable rows are left out.
    """
    able = np.flatnonzero(np.isfinite(gain))
    items, at, count = np.unique(rows.item[able], return_inverse=True, return_counts=True)
    mean = np.bincount(at, gain[able], minlength=len(items)) / np.maximum(count, 1)
    sides = []
    for sign in (1, -1):
        order = [i for i in np.argsort(-sign * mean, kind="stable") if sign * mean[i] > 0 and count[i] >= fewest][:n]
        side = []
        for i in order:
            own = able[at == i]
            row = int(own[np.argmax(sign * gain[own])])
            case = Case(row, int(rows.user[row]), int(rows.item[row]), float(gain[row]))
            side.append(FilmGain(int(items[i]), float(mean[i]), int(count[i]), case))
        sides.append(side)
    return sides[0], sides[1]
