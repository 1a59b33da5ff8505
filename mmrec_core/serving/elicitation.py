"""What to ask a newcomer: films that tell most, bundles of films that go together, films that models disagree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.list_inputs import vectors_of
from mmrec_core.types import Array, Dataset

POOL = 240
"""The best known films that are asked about: others nobody has seen."""


def to_rate(dataset: Dataset, n: int = 18, seed: int = 0) -> Array:
    """Films worth asking a newcomer about: well known, and unlike each other in genre and decade; item rows ``[n]``."""
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
    """The ``n`` films with most ratings, those with a poster first among equals; item rows."""
    catalog = dataset.catalog
    known = np.log1p(catalog["n_ratings"].to_numpy(np.float64)) * (1 + 0.3 * catalog["poster"].notna().to_numpy())
    return np.asarray(np.argsort(-known, kind="stable")[:n], np.int64)


def spread(dataset: Dataset, n: int = 12, without: Sequence[int] = (), seed: int = 0) -> Array:
    """Films that tell most: well known, and far from each other and from those asked already (``without``) in the space of plots and posters; where
    nothing is encoded, unlike in genre and decade. Item rows ``[≤ n]``."""
    vectors = vectors_of(dataset)
    pool = well_known(dataset)
    pool = pool[~np.isin(pool, np.asarray([*without], np.int64))]
    if vectors is None:
        asked = to_rate(dataset, n + len(without), seed)
        return np.asarray([i for i in asked if i not in set(without)][:n], np.int64)
    known = np.log1p(dataset.catalog["n_ratings"].to_numpy(np.float64))[pool]
    weight = known / max(known.max(), 1e-9) * np.random.default_rng(seed).uniform(0.85, 1.0, len(pool))
    nearest = np.zeros(len(pool))
    for asked_film in without:
        nearest = np.maximum(nearest, vectors[pool] @ vectors[asked_film])
    chosen: list[int] = []
    for _ in range(min(n, len(pool))):
        score = weight * (1 - np.clip(nearest, 0, 1) ** 2 + 1e-3)
        score[chosen] = -np.inf
        best = int(np.argmax(score))
        chosen.append(best)
        nearest = np.maximum(nearest, vectors[pool] @ vectors[pool[best]])
    return pool[chosen]


def disputed(scores: Sequence[Array], dataset: Dataset, n: int = 12, without: Sequence[int] = ()) -> Array:
    """Well-known films that models disagree on most: the spread over models of a film's place, as a share of the pool; item rows ``[≤ n]``.

    Args:
        scores: one model's scores of every film ``[I]``, each.

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
    """Bundles of well-known films that go together, by plots and posters, or by genre where nothing is encoded: ``name`` and item rows ``films``, the
    most typical first."""
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
    told = []
    for cluster in range(k):
        own = np.flatnonzero(found.labels_ == cluster)
        away = np.linalg.norm(space[pool[own]] - found.cluster_centers_[cluster], axis=1)
        films = pool[own[np.argsort(away, kind="stable")[:size]]]
        told.append({"name": _name(table[pool], own, names), "films": films, "n": len(own)})
    return sorted(told, key=lambda b: -b["n"])


def _name(table: Array, own: Array, names: list[str]) -> str:
    """The two genres that a bundle has more of than the rest."""
    if not names:
        return "a bundle"
    here, all_ = (table[own] > 0).mean(0), (table > 0).mean(0)
    lift = here * np.log(np.maximum(here, 1e-9) / np.maximum(all_, 1e-9))
    best = [names[at] for at in np.argsort(-lift)[:2] if here[at] > 0]
    return " · ".join(best) or "a bundle"
