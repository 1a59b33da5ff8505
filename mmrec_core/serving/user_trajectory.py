"""You on the map: where each model would send a newcomer, rating by rating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmrec_core import spaces
from mmrec_core.serving import counterfactuals
from mmrec_core.spaces import Map
from mmrec_core.types import Array, Dataset, History

TOP = 10


def map_of(dataset: Dataset) -> tuple[str, str, Map] | None:
    """A map that is drawn already: encoder, view and the map; pictures first, for people know films by their posters; ``None`` where there is none."""
    from mmrec_core import features

    for encoder in features.available(dataset):
        for view in ("image", "text", "both"):
            found = spaces.stored(dataset, encoder, view)
            if found is not None:
                return encoder, view, found
    return None


def positions(found: Map, n_items: int) -> Array:
    """Where each film lies, float32 ``[I, 2]``: the middle of its points; NaN where it has none."""
    out = np.full((n_items, 2), np.nan, np.float32)
    count = np.bincount(found.items, minlength=n_items)
    for axis in (0, 1):
        total = np.bincount(found.items, np.asarray(found.xy)[:, axis], minlength=n_items)
        out[:, axis] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def trajectory(model: Any, told: History, where: Array, top: int = TOP) -> Array:
    """Where a model sends a newcomer after 0, 1, … all of their ratings: float32 ``[len(told) + 1, 2]``, the middle of its ``top`` films on the map,
    films rated so far left out. A newcomer of whom it can make nothing stays where everybody is sent."""
    steps = [History(told.items[:k], None if told.ratings is None else told.ratings[:k], None if told.times is None else told.times[:k])
             for k in range(len(told) + 1)]  # fmt: skip
    scores = counterfactuals.scores_of(model, steps)
    drawn = np.isfinite(where[:, 0])
    lists = []
    for row, step in zip(scores, steps, strict=True):
        row = np.where(drawn, row, -np.inf)
        row[step.items] = -np.inf
        best = np.argsort(-row, kind="stable")[:top]
        lists.append(best[np.isfinite(row[best])])
    return middles(lists, where, top)


def middles(lists: Sequence[Array], where: Array, top: int = TOP) -> Array:
    """The middle of the first ``top`` films of each list that the map shows: float32 ``[len(lists), 2]``, NaN where it shows none."""
    out = np.full((len(lists), 2), np.nan, np.float32)
    for at, items in enumerate(lists):
        places = where[items]
        places = places[np.isfinite(places[:, 0])][:top]
        if len(places):
            out[at] = places.mean(0)
    return out
