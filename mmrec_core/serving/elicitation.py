"""Preference elicitation for new users: informative films, bundles of similar films, films that models disagree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.list_inputs import vectors_of
from mmrec_core.types import Array, Dataset

POOL = 240
"""Number of best-known films to choose from; a new user has rarely seen others."""


def to_rate(dataset: Dataset, n: int = 18, seed: int = 0) -> Array:
    """Films to show a new user for rating: well known, and diverse in genre and decade; item rows ``[n]``."""
    catalog = dataset.catalog
    known = np.log1p(catalog["n_ratings"].to_numpy(np.float64)) * (1 + 0.3 * catalog["poster"].notna().to_numpy())
    pool = np.argsort(-known, kind="stable")[: max(n * 12, 120)]
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    used: dict[Any, int] = {}
    score = known[pool] * rng.uniform(0.85, 1.0, len(pool))
    marks = [
        {
            *catalog["genres"].iloc[i],
            None if np.isnan(y := float(catalog["year"].astype("float64").iloc[i])) else int(y) // 10,
        }
        for i in pool
    ]
    for _ in range(min(n, len(pool))):
        crowd = np.array([sum(used.get(m, 0) for m in own) / max(len(own), 1) for own in marks])
        best = int(np.argmax(np.where(np.isin(pool, chosen), -np.inf, score / (1 + 0.5 * crowd))))
        chosen.append(int(pool[best]))
        for mark in marks[best]:
            used[mark] = used.get(mark, 0) + 1
    return np.array(chosen, np.int64)


def well_known(dataset: Dataset, n: int = POOL) -> Array:
    """The ``n`` films with most ratings, with a bonus for films that have a poster; item rows."""
    catalog = dataset.catalog
    known = np.log1p(catalog["n_ratings"].to_numpy(np.float64)) * (1 + 0.3 * catalog["poster"].notna().to_numpy())
    return np.asarray(np.argsort(-known, kind="stable")[:n], np.int64)


def spread(dataset: Dataset, n: int = 12, without: Sequence[int] = (), seed: int = 0) -> Array:
    """Informative films: well known, far from each other and from the films already shown (``without``).

    Distance is measured between plot and poster vectors. If nothing is encoded, the films differ in genre and
    decade instead.

    Args:
        dataset: the catalog.
        n: how many films.
        without: item rows that were shown already.
        seed: seed of the random part of the choice.

    Returns:
        Item rows ``[≤ n]``.
    """
    vectors = vectors_of(dataset)
    pool = well_known(dataset)
    pool = pool[~np.isin(pool, np.asarray([*without], np.int64))]
    if vectors is None:
        candidates = to_rate(dataset, n + len(without), seed)
        return np.asarray([i for i in candidates if i not in set(without)][:n], np.int64)
    known = np.log1p(dataset.catalog["n_ratings"].to_numpy(np.float64))[pool]
    weight = known / max(known.max(), 1e-9) * np.random.default_rng(seed).uniform(0.85, 1.0, len(pool))
    nearest = np.zeros(len(pool))
    for item in without:
        nearest = np.maximum(nearest, vectors[pool] @ vectors[item])
    chosen: list[int] = []
    for _ in range(min(n, len(pool))):
        score = weight * (1 - np.clip(nearest, 0, 1) ** 2 + 1e-3)
        score[chosen] = -np.inf
        best = int(np.argmax(score))
        chosen.append(best)
        nearest = np.maximum(nearest, vectors[pool] @ vectors[pool[best]])
    return pool[chosen]


def disputed(scores: Sequence[Array], dataset: Dataset, n: int = 12, without: Sequence[int] = ()) -> Array:
    """Well-known films that models disagree on most, by the standard deviation of a film's rank over models.

    Args:
        scores: for each model its scores of every film ``[I]``.
        dataset: the catalog.
        n: how many films.
        without: item rows that were shown already.

    Returns:
        Item rows ``[≤ n]``.

    Raises:
        MMRecError: fewer than two models.
    """
    if len(scores) < 2:
        raise MMRecError("Models can only disagree where there are two of them.")
    pool = well_known(dataset)
    pool = pool[~np.isin(pool, np.asarray([*without], np.int64))]
    places = np.stack([np.argsort(np.argsort(-np.asarray(s, np.float64)[pool], kind="stable")) for s in scores]) / max(
        len(pool) - 1, 1
    )
    return pool[np.argsort(-places.std(0), kind="stable")[:n]]


def bundles(dataset: Dataset, n: int = 6, size: int = 4) -> list[dict[str, Any]]:
    """Bundles of similar well-known films: k-means clusters over genres and, if encoded, plots and posters.

    Returns:
        For each bundle ``name``, item rows ``films`` (nearest to the centre first) and its number of films ``n``,
        the largest bundle first.
    """
    from sklearn.cluster import KMeans

    pool = well_known(dataset)
    vectors = vectors_of(dataset)
    genres = [set(g) for g in dataset.catalog["genres"]]
    names = sorted(set().union(*genres)) if genres else []
    table = (
        np.array([[g in own for g in names] for own in genres], np.float32)
        if names
        else np.zeros((len(genres), 1), np.float32)
    )
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    space = table if vectors is None else np.concatenate([table, vectors], 1)
    k = min(n, len(pool))
    found = KMeans(k, n_init=4, random_state=0).fit(space[pool])
    result = []
    for cluster in range(k):
        own = np.flatnonzero(found.labels_ == cluster)
        distance = np.linalg.norm(space[pool[own]] - found.cluster_centers_[cluster], axis=1)
        films = pool[own[np.argsort(distance, kind="stable")[:size]]]
        result.append({"name": _name(table[pool], own, names), "films": films, "n": len(own)})
    return sorted(result, key=lambda b: -b["n"])


def _name(table: Array, own: Array, names: list[str]) -> str:
    """The name of a bundle: the two genres that are most over-represented in it."""
    if not names:
        return "a bundle"
    here, all_ = (table[own] > 0).mean(0), (table > 0).mean(0)
    lift = here * np.log(np.maximum(here, 1e-9) / np.maximum(all_, 1e-9))
    best = [names[at] for at in np.argsort(-lift)[:2] if here[at] > 0]
    return " · ".join(best) or "a bundle"
