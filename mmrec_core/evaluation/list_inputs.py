"""Inputs of the list metrics (coverage, novelty, diversity, …): item counts, genres, vectors and users' training
ratings."""

from __future__ import annotations

import numpy as np

from mmrec_core import features
from mmrec_core.data.availability import exists_from
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Dataset, Lists, Split

LENGTH = 20
"""Length of the lists that are kept."""


def lists_of(
    dataset: Dataset,
    split: Split,
    users: Array,
    items: Array,
    relevant_from: float | None,
    moment: Array | None = None,
) -> Lists:
    """Lists of recommendations with everything that list metrics need, computed from training rows only.

    Args:
        dataset: the dataset.
        split: its split.
        users: user rows ``[U]``, sorted.
        items: item rows of the lists ``[U, K]``, −1 where a list ends early.
        relevant_from: lowest rating that counts as liked; ``None``: all.
        moment: int64 ``[U]``: query time of each list in seconds; ``None`` if there are no times.

    Returns:
        The lists and their inputs.
    """
    events = dataset.interactions
    user, item = np.asarray(events.need("user"))[split.train], np.asarray(events.need("item"))[split.train]
    counts = np.bincount(item, minlength=len(dataset.items))
    genres = genre_shares(dataset)
    liked = np.ones(len(user), bool)
    if relevant_from is not None and events.rating is not None:
        liked = np.asarray(events.rating)[split.train] >= relevant_from
    keep = liked & np.isin(user, users)
    at, of = np.searchsorted(users, user[keep]), item[keep]
    n = np.bincount(at, minlength=len(users))
    taste = np.stack([np.bincount(at, genres[of, g], minlength=len(users)) for g in range(genres.shape[1])], 1)
    whole = taste.sum(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        known = np.where(n > 0, np.bincount(at, counts[of], minlength=len(users)) / np.where(n > 0, n, 1), np.nan)
    pairs = np.unique(user.astype(np.int64) * len(dataset.items) + item)
    raters = np.bincount(pairs % len(dataset.items), minlength=len(dataset.items))
    future = None
    if moment is not None:
        future = (items >= 0) & (exists_from(dataset)[np.maximum(items, 0)] > moment[:, None])
    return Lists(
        items, counts, len(np.unique(user)), genres, taste / np.where(whole == 0, 1, whole), known, vectors_of(dataset),
        raters=raters, future=future,
    )  # fmt: skip


def genre_shares(dataset: Dataset) -> Array:
    """Genre weights ``[I, G]``: equal weights over an item's genres.

    Genres in alphabetical order; at least one column.
    """
    own = [set(g) for g in dataset.catalog["genres"]]
    names = sorted(set().union(*own)) if own else []
    table = np.array([[g in film for g in names] for film in own], np.float64).reshape(len(own), len(names))
    table = table if names else np.zeros((len(own), 1))
    total = table.sum(1, keepdims=True)
    return table / np.where(total == 0, 1, total)


def vectors_of(dataset: Dataset) -> Array | None:
    """Unit vectors ``[I, d]``: plot and poster vectors of training's default encoder; ``None`` if none."""
    encoder = features.default_encoder(dataset)
    if encoder is None:
        return None
    parts = []
    for modality in features.sources(dataset, encoder):
        try:
            found = features.load(dataset, encoder, modality)
        except MMRecError:  # its files are damaged
            continue
        dense, place = found.dense, found.by_item(len(dataset.items))
        parts.append(np.where((place >= 0)[:, None], dense[np.maximum(place, 0)], 0).astype(np.float32))
    if not parts:
        return None
    whole = np.concatenate(parts, 1)
    length = np.linalg.norm(whole, axis=1, keepdims=True)
    unit: Array = whole / np.where(length == 0, 1, length)
    return unit
