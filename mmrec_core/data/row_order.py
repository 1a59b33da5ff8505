"""A canonical order of events that does not depend on the order of the file.

Events are stored by user, then time, then a hash of the two ids. Splits break ties in time by the same hash with their
own seed. So a permuted file gives the same rows, splits, negatives and metrics.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmrec_core.types import Array, Dataset, IdMap

STORED_SEED = 0
"""Seed of the hash that breaks ties in the stored order."""


def id_hash(ids: IdMap) -> Array:
    """uint64 ``[N]``: a hash of each raw id, the same on every machine and in every version."""
    import pandas as pd

    if not len(ids):
        return np.zeros(0, np.uint64)
    raw = ids.raw if ids.raw.dtype.kind in "iu" else ids.raw.astype(object)
    return np.asarray(pd.util.hash_array(raw, categorize=False), np.uint64)


def mixed(value: Array) -> Array:
    """The finaliser of SplitMix64 (Steele et al. 2014): uint64 to uint64, every bit depends on every bit."""
    with np.errstate(over="ignore"):
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Array = value ^ (value >> np.uint64(31))
    return found


def pair_hash(users: IdMap, items: IdMap, user: Array, item: Array, seed: int) -> Array:
    """uint64 ``[N]``: a seeded hash of the raw user and item id of each event.

    Args:
        users: user ids.
        items: item ids.
        user: user row of each event ``[N]``.
        item: item row of each event ``[N]``.
        seed: seed of the hash.
    """
    with np.errstate(over="ignore"):
        salt = mixed(np.array([seed], np.uint64) + np.uint64(0x9E3779B97F4A7C15))
        return mixed(mixed(id_hash(users)[user] ^ salt) + id_hash(items)[item])


def event_hash(dataset: Dataset, rows: Array, seed: int) -> Array:
    """uint64 ``[n]``: a seeded hash of each event's user id, item id and time; it does not depend on other rows."""
    events = dataset.interactions
    user, item = (np.asarray(events.need(column))[rows] for column in ("user", "item"))
    found = pair_hash(dataset.users, dataset.items, user, item, seed)
    if events.time is None:
        return found
    with np.errstate(over="ignore"):
        return mixed(found + np.asarray(events.time)[rows].astype(np.int64).view(np.uint64))


def uniform(key: Array, n: int) -> Array:
    """Uniform random numbers in [0, 1), float64 ``[len(key), n]``: ``n`` per key, independent of other keys.

    The generator is SplitMix64 started at the key (Steele et al. 2014).
    """
    with np.errstate(over="ignore"):
        at = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        bits = mixed(key[:, None] + at[None])
    found: Array = (bits >> np.uint64(11)) * 2.0**-53
    return found


def stored_order(users: IdMap, items: IdMap, columns: Mapping[str, Array]) -> Array:
    """The order ``[N]`` in which events are stored: by user, time, and a hash of the ids; ties by the other columns.

    Args:
        users: user ids.
        items: item ids.
        columns: ``user`` and ``item`` rows, and ``time``, ``rating`` and other columns if there are any, ``[N]`` each.
    """
    tie = pair_hash(users, items, columns["user"], columns["item"], STORED_SEED)
    first = [columns["time"]] if "time" in columns else []
    order = np.lexsort((tie, *first, columns["user"]))
    others = [c for name, c in sorted(columns.items()) if name not in {"user", "item", "time"}]
    compared = [columns["user"], columns["item"], *first]
    if others and len(order) > 1 and bool(np.all([c[order][1:] == c[order][:-1] for c in compared], axis=0).any()):
        order = np.lexsort((*others, tie, *first, columns["user"]))
    return order


def time_ties(user: Array, time: Array) -> dict[str, float]:
    """Share of events whose order is ambiguous because of equal times; rows are sorted by user and time.

    Returns:
        ``events``: share of events with the same user and time as another event; ``last``: share of users whose last
        event is such an event.
    """
    if not len(user):
        return {"events": 0.0, "last": 0.0}
    same = (user[1:] == user[:-1]) & (time[1:] == time[:-1])
    tied = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    last = np.concatenate([user[1:] != user[:-1], [True]])
    return {"events": round(float(tied.mean()), 4), "last": round(float(tied[last].mean()), 4)}
