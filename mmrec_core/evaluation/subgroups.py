"""Subgroups of a test set: by history length, by kind of film, by value of a column."""

from __future__ import annotations

import numpy as np

from mmrec_core.types import Array, Dataset, Interactions, Split

PRIOR_EDGES = (0, 1, 5, 20)
PRIOR_NAMES = ("0", "1–4", "5–19", "20+")

COLD_GROUP = "cold films, ranked among themselves"
"""Group of a result on a ``cold-item`` split: the relevant items ranked among cold items alone."""


def prior_counts(dataset: Dataset, split: Split, rows: Array) -> tuple[Array, Array]:
    """Number of events of each row's user, and of its item, strictly before its time: ``[N]`` each.

    Only rows of the split count, not those that a filter dropped.
    """
    events = dataset.interactions
    visible = np.unique(np.concatenate([split.train, split.validation, split.test, split.revealed]))
    user, item = (np.asarray(events.need(role))[visible] for role in ("user", "item"))
    time_s = np.asarray(events.need("time"))[visible]
    rows = np.searchsorted(visible, rows)
    out = []
    for owner in (user, item):
        order = np.lexsort((time_s, owner))
        o, t = owner[order], time_s[order]
        start = np.searchsorted(o, o)
        new = np.concatenate([[True], (o[1:] != o[:-1]) | (t[1:] != t[:-1])])
        first = np.maximum.accumulate(np.where(new, np.arange(len(o)), 0))
        count = np.empty(len(o), np.int64)
        count[order] = first - start
        out.append(count[rows])
    return out[0], out[1]


TASTES = ("mainstream", "mixed", "niche")


def user_groups(
    dataset: Dataset, split: Split, users: Array, known: Array, relevant_from: float | None = None
) -> dict[str, Array]:
    """Masks over users: by number of known ratings, and by taste.

    Taste is three equal parts by the mean popularity of the films that a user liked in training.

    Args:
        dataset: the dataset.
        split: its split.
        users: user rows ``[U]``.
        known: rows that models know.
        relevant_from: lowest rating that counts as liked; ``None``: all.

    Returns:
        By group name, bool ``[U]``.
    """
    events = dataset.interactions
    user, item = np.asarray(events.need("user")), np.asarray(events.need("item"))
    counts = np.bincount(user[known], minlength=len(dataset.users))[users]
    bins = np.digitize(counts, PRIOR_EDGES) - 1
    found = {f"user with {name} ratings": bins == at for at, name in enumerate(PRIOR_NAMES)}
    rows = split.train
    if relevant_from is not None and events.rating is not None:
        rows = rows[np.asarray(events.rating)[rows] >= relevant_from]
    n_item = np.bincount(item[split.train], minlength=len(dataset.items))
    total = np.bincount(user[rows], n_item[item[rows]], minlength=len(dataset.users))[users]
    n = np.bincount(user[rows], minlength=len(dataset.users))[users]
    liked = n > 0
    if liked.sum() >= 3 * len(TASTES):
        mean = np.where(liked, total / np.where(liked, n, 1), np.nan)
        low, high = np.nanquantile(mean, [1 / 3, 2 / 3])
        parts = (mean > high, (mean <= high) & (mean > low), mean <= low)
        found |= {f"taste {name}": part & liked for name, part in zip(TASTES, parts, strict=True)}
    return found


def row_groups(dataset: Dataset, split: Split, rows: Array, known: Array | None = None) -> dict[str, Array]:
    """Masks over test rows: by earlier ratings of user and film, by their training ratings, and by kind of film.

    On splits that are not by time the first two differ, because training may hold later ratings.

    Args:
        dataset: the dataset.
        split: its split.
        rows: test rows ``[N]``.
        known: rows that models know when they are tested; ``None``: training and validation rows.

    Returns:
        By group name, bool ``[N]``.
    """
    train = np.concatenate([split.train, split.validation]) if known is None else known
    events = dataset.interactions
    user, item = np.asarray(events.need("user"))[rows], np.asarray(events.need("item"))[rows]
    found: dict[str, Array] = {}
    if events.time is not None:
        for kind, counts in zip(("user", "film"), prior_counts(dataset, split, rows), strict=True):
            bins = np.digitize(counts, PRIOR_EDGES) - 1
            found |= {f"{kind} with {name} ratings by then": bins == at for at, name in enumerate(PRIOR_NAMES)}
    for kind, owner in (("user", user), ("film", item)):
        column = np.asarray(events.need("user" if kind == "user" else "item"))
        bins = np.digitize(np.bincount(column[train], minlength=owner.max(initial=0) + 1)[owner], PRIOR_EDGES) - 1
        found |= {f"{kind} with {name} training ratings": bins == at for at, name in enumerate(PRIOR_NAMES)}
    known_user = np.isin(user, np.unique(np.asarray(events.need("user"))[train]))
    known_item = np.isin(item, np.unique(np.asarray(events.need("item"))[train]))
    found["transductive (user and film known)"] = known_user & known_item
    found["inductive (user or film new)"] = ~(known_user & known_item)
    return found | {name: members[item] for name, members in item_groups(dataset, split).items()}


def item_groups(dataset: Dataset, split: Split) -> dict[str, Array]:
    """Masks over items: tail (the least-rated films with a fifth of all training ratings), genre, decade, missing
    content."""
    catalog = dataset.catalog
    counts = np.bincount(np.asarray(dataset.interactions.need("item"))[split.train], minlength=len(dataset.items))
    order = np.argsort(counts, kind="stable")
    tail = np.zeros(len(counts), bool)
    tail[order[np.cumsum(counts[order]) <= 0.2 * counts.sum()]] = True
    found = {"tail films": tail, "head films": ~tail, "films without training ratings": counts == 0}
    found |= {
        "films without a poster": catalog["poster"].isna().to_numpy(),
        "films without a plot": catalog["plot"].isna().to_numpy(),
    }
    genres = [set(g) for g in catalog["genres"]]
    for genre in sorted(set().union(*genres)) if genres else []:
        found[f"genre {genre}"] = np.array([genre in own for own in genres])
    decade = catalog["year"].astype("float64").to_numpy(na_value=np.nan) // 10 * 10
    for start in np.unique(decade[np.isfinite(decade)]):
        found[f"decade {int(start)}s"] = decade == start
    return found


def click_groups(events: Interactions, rows: Array, most: int = 12) -> dict[str, Array]:
    """Masks over rows: one for each value of every text column with at most ``most`` values."""
    found: dict[str, Array] = {}
    for name, column in events.features.items():
        if column.dtype.kind not in "US":
            continue
        values = np.asarray(column)[rows]
        there = np.unique(values)
        if 1 < len(there) <= most:
            found |= {f"{name} {value or 'missing'}": values == value for value in there.tolist()}
    return found
