"""The time from which an item could be recommended: its release or its first event."""

from __future__ import annotations

import numpy as np

from mmrec_core.types import Array, Dataset

ALWAYS = np.iinfo(np.int64).min
"""Stands for an unknown time: the item counts as available at every time."""


def exists_from(dataset: Dataset) -> Array:
    """Time of the first availability of each item, int64 ``[I]``, in seconds since 1970.

    It is the start of the release year or the first event, whichever is earlier; :data:`ALWAYS` if neither is known.
    A recommendation of an item that did not exist yet cannot be right; protocols by time leave such items out (Ji et
    al. 2023, "A Critical Study on Data Leakage in Recommender System Offline Evaluation").
    """
    events = dataset.interactions
    never = np.iinfo(np.int64).max
    found = np.full(len(dataset.items), never)
    if events.time is not None:
        np.minimum.at(found, np.asarray(events.need("item")), np.asarray(events.time))
    if "year" in dataset.catalog:
        year = dataset.catalog["year"].astype("float64").to_numpy(na_value=np.nan)
        known = np.isfinite(year)
        start = (year[known].astype(np.int64) - 1970).astype("datetime64[Y]").astype("datetime64[s]").astype(np.int64)
        found[known] = np.minimum(found[known], start)
    return np.where(found == never, ALWAYS, found)
