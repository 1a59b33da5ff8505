"""The people of a class beside each other: their places on the map, who is alike, and the film that divides them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmrec_core.classroom.store import Rating
from mmrec_core.types import Array, Dataset

SHARED = 3
"""Films that two people must both have rated before they are compared."""


def tables(ratings: Sequence[Rating]) -> tuple[list[str], list[Any], Array]:
    """Participants, items and the ratings ``[P, I]`` of a class; NaN where somebody did not rate."""
    who = list(dict.fromkeys(r.participant_id for r in ratings))
    items = list(dict.fromkeys(r.item for r in ratings))
    table = np.full((len(who), len(items)), np.nan)
    row, column = {w: n for n, w in enumerate(who)}, {i: n for n, i in enumerate(items)}
    for rating in ratings:
        table[row[rating.participant_id], column[rating.item]] = rating.stars
    return who, items, table


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
    for rating in ratings:
        at = xy[dataset.items.row(rating.item, "film id")]
        if np.isfinite(at[0]):
            weight = (rating.stars - low) ** 2 + 0.05
            total[rating.participant_id] = total.get(rating.participant_id, np.zeros(3)) + weight * np.array([*at, 1.0])
    return {who: (float(x / w), float(y / w)) for who, (x, y, w) in total.items()}


def nearest(ratings: Sequence[Rating]) -> dict[str, tuple[str, float]]:
    """For each participant the one with the most similar taste, and the correlation of their ratings.

    Pearson's correlation over the films that both rated (at least :data:`SHARED`), multiplied by
    ``shared / (shared + 3)`` so that few films do not decide (significance weighting, Herlocker et al. 1999).
    """
    who, _, table = tables(ratings)
    found: dict[str, tuple[str, float]] = {}
    for a in range(len(who)):
        best: tuple[str, float] | None = None
        for b in range(len(who)):
            both = np.isfinite(table[a]) & np.isfinite(table[b])
            if a == b or both.sum() < SHARED:
                continue
            x, y = table[a, both], table[b, both]
            x, y = x - x.mean(), y - y.mean()
            size = float(np.sqrt((x**2).sum() * (y**2).sum()))
            alike = float((x * y).sum() / size) * both.sum() / (both.sum() + 3) if size else 0.0
            if best is None or alike > best[1]:
                best = (who[b], float(alike))
        if best is not None:
            found[who[a]] = best
    return found


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
