"""The people of a class beside each other: their places on the map, who is alike, and the film that divides them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmrec_core.classroom.store import Rating, Shared
from mmrec_core.types import Array, Dataset

SHARED = 8
"""Films that two people must both have rated before they are compared. Few say little; and whoever may rate three films
at a time, and sees who is named, can work out what somebody else said of them."""


def tables(ratings: Sequence[Rating]) -> tuple[list[str], list[Any], Array]:
    """Participants, items and the ratings ``[P, I]`` of a class; NaN where somebody did not rate."""
    row: dict[str, int] = {}
    column: dict[Any, int] = {}
    at = [(row.setdefault(r.participant_id, len(row)), column.setdefault(r.item, len(column))) for r in ratings]
    table = np.full((len(row), len(column)), np.nan)
    if at:
        table[tuple(np.array(at).T)] = [r.stars for r in ratings]
    return list(row), list(column), table


def places(dataset: Dataset, ratings: Sequence[Rating], xy: Array) -> dict[str, tuple[float, float]]:
    """Each participant's place on a map: the mean of the places of the films that they rated, weighted by the square
    of the stars above the lowest rating, so that films they like weigh most.

    Args:
        dataset: the class's dataset.
        ratings: ratings of the class.
        xy: places of all films ``[I, 2]``; NaN where a film is not on the map.
    """
    low = dataset.scale[0] if dataset.scale else 0.0
    total: dict[str, Array] = {}
    rows = dataset.items.rows([r.item for r in ratings])
    for rating, at in zip(ratings, xy[rows], strict=True):
        if np.isfinite(at[0]):
            weight = (rating.stars - low) ** 2 + 0.05
            total[rating.participant_id] = total.get(rating.participant_id, np.zeros(3)) + weight * np.array([*at, 1.0])
    return {who: (float(x / w), float(y / w)) for who, (x, y, w) in total.items()}


def moved_apart(
    where: Mapping[str, tuple[float, float]], xy: Array, most: float = 4.0
) -> tuple[dict[str, tuple[float, float]], float]:
    """Places drawn further from their middle, as means of many films lie close together.

    Args:
        where: places by participant, see :func:`places`.
        xy: places of all films ``[I, 2]``; nobody is moved beyond them.
        most: largest factor.

    Returns:
        The new places, and the factor by which distances grew, at least 1.
    """
    if len(where) < 2:
        return dict(where), 1.0
    drawn = xy[np.isfinite(xy[:, 0])]
    points = np.array(list(where.values()))
    middle, low, high = points.mean(0), drawn.min(0), drawn.max(0)
    gap = points - middle
    room = np.where(gap > 0, high - middle, middle - low)
    size = np.abs(gap)
    ratios = room[size > 1e-9] / size[size > 1e-9]
    factor = float(np.clip(0.9 * ratios.min(), 1.0, most)) if len(ratios) else 1.0
    apart = middle + factor * gap
    return {who: (float(x), float(y)) for who, (x, y) in zip(where, apart, strict=True)}, factor


def nearest(shared: Sequence[Shared]) -> tuple[str, float] | None:
    """The participant whose taste is most like somebody's, and the correlation of their ratings.

    Pearson's correlation over the films that both rated (at least :data:`SHARED`), multiplied by
    ``shared / (shared + 3)`` so that few films do not decide (significance weighting, Herlocker et al. 1999).

    Args:
        shared: somebody's sums with each other participant (:func:`store.shared_ratings`).

    Returns:
        ``None`` if nobody rated enough of the same films.
    """
    alike = {s.participant_id: _correlation(s) * s.n / (s.n + 3) for s in shared if s.n >= SHARED}
    return max(alike.items(), key=lambda pair: pair[1], default=None)


def _correlation(s: Shared) -> float:
    """Pearson's correlation; 0 where somebody gave every film the same stars."""
    size = (s.n * s.xx - s.x**2) * (s.n * s.yy - s.y**2)
    return (s.n * s.xy - s.x * s.y) / float(np.sqrt(size)) if size > 1e-9 else 0.0


def dividing(ratings: Sequence[Rating], least: int = 3) -> list[dict[str, Any]]:
    """Films by the standard deviation of their ratings in the class, the largest first.

    Args:
        ratings: ratings of the class.
        least: how many people must have rated a film.

    Returns:
        ``item``, ``people``, ``mean``, ``sd`` and ``counts``, the number of people by stars.
    """
    _, items, table = tables(ratings)
    found = []
    for column, item in enumerate(items):
        own = table[:, column][np.isfinite(table[:, column])]
        if len(own) >= least:
            stars, counts = np.unique(own, return_counts=True)
            found.append(
                {
                    "item": item,
                    "people": len(own),
                    "mean": float(own.mean()),
                    "sd": float(own.std()),
                    "counts": _counts(stars, counts),
                }
            )
    return sorted(found, key=lambda f: -f["sd"])


def _counts(stars: Array, counts: Array) -> Mapping[float, int]:
    return {float(s): int(c) for s, c in zip(stars, counts, strict=True)}
