"""Trajectory of a new user on the map: the mean position of the recommendations after each rating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmrec_core import spaces
from mmrec_core.serving import answers, counterfactuals
from mmrec_core.spaces import Map
from mmrec_core.types import Array, Dataset, History

TOP = 8


def map_of(dataset: Dataset) -> tuple[str, str, Map] | None:
    """A map that was computed already: encoder, view and map. Poster maps come first; ``None`` if there is none."""
    from mmrec_core import features

    for encoder in features.available(dataset):
        for view in ("image", "text", "both", *features.available(dataset)[encoder]["modality"]):
            found = spaces.stored(dataset, encoder, view)
            if found is not None:
                return encoder, view, found
    return None


def maps_stamp(dataset: Dataset) -> tuple[int, ...]:
    """Changes when an encoder is added or a map of it is drawn: the key of what is computed from :func:`map_of`."""
    files = (file for folder in ("features", "maps") for file in (dataset.folder / folder).glob("[!.]*"))
    return tuple(sorted(file.stat().st_mtime_ns for file in files))


def positions(found: Map, n_items: int) -> Array:
    """Position of each film, float32 ``[I, 2]``: the mean of its points; NaN if it has none."""
    out = np.full((n_items, 2), np.nan, np.float32)
    count = np.bincount(found.items, minlength=n_items)
    for axis in (0, 1):
        total = np.bincount(found.items, np.asarray(found.xy)[:, axis], minlength=n_items)
        out[:, axis] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def trajectory(model: Any, history: History, where: Array, top: int = TOP) -> Array:
    """Positions of a new user after 0, 1, … all of their ratings, float32 ``[len(history) + 1, 2]``.

    A position is the mean over the ``top`` recommended films on the map, without the films rated so far.

    Args:
        model: the model, with fixed weights.
        history: the user's ratings, in order.
        where: position of each film ``[I, 2]``, see :func:`positions`.
        top: films to average.
    """
    steps = answers.prefixes(history)
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
    """Mean position of the first ``top`` films of each list that are on the map; float32 ``[len(lists), 2]``."""
    out = np.full((len(lists), 2), np.nan, np.float32)
    for index, items in enumerate(lists):
        points = where[items]
        points = points[np.isfinite(points[:, 0])][:top]
        if len(points):
            out[index] = points.mean(0)
    return out
