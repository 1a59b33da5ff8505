"""From when on an item could be recommended at all: its release, or the first event anybody has with it."""

from __future__ import annotations

import numpy as np

from mmrec_core.types import Array, Dataset

ALWAYS = np.iinfo(np.int64).min


def exists_from(dataset: Dataset) -> Array:
    """int64 ``[I]``: seconds since 1970 from which each item existed: the start of its release year or its first event, whichever comes
    first; :data:`ALWAYS` where neither is known.

    A recommendation of an item that did not exist yet cannot be right; protocols by time leave them out (Ji et al. 2023, "A Critical
    Study on Data Leakage in Recommender System Offline Evaluation").
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
