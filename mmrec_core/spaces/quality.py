"""Measures of a layout and a space: trustworthiness, neighbour overlap, genre purity, hubness."""

from __future__ import annotations

import numpy as np

from mmrec_core.spaces.coordinates import NEIGHBOURS
from mmrec_core.types import Array, Dataset, blocks

SAMPLE = 2_000
"""Most points in the sample for trustworthiness; each is ranked against all points."""


def trust(vectors: Array, xy: Array, k: int = NEIGHBOURS, sample: int = SAMPLE, seed: int = 0) -> dict[str, float]:
    """Trustworthiness and continuity (Venna & Kaski 2001) at ``k``, on a sample of points ranked against all points.

    Args:
        vectors: unit vectors ``[N, d]``.
        xy: coordinates ``[N, 2]``.
        k: number of neighbours.
        sample: size of the sample.
        seed: seed of the sample.

    Returns:
        ``trustworthiness`` and ``continuity``, 1 at best.
    """
    n = len(vectors)
    k = min(k, (n - 1) // 2)
    if k < 1:
        return {"trustworthiness": 1.0, "continuity": 1.0}
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:sample])
    wrong = [0.0, 0.0]
    for part in blocks(len(chosen), 256):
        rows = chosen[part]
        at = np.arange(len(rows))
        truth = -(vectors[rows] @ vectors.T)
        drawn = ((xy[rows][:, None] - xy[None]) ** 2).sum(2)
        truth[at, rows] = drawn[at, rows] = -np.inf
        for near, other, far in ((drawn, truth, 0), (truth, drawn, 1)):
            closest = np.argpartition(near, k, 1)[:, : k + 1]  # with the point itself, whose rank is 0
            for column in closest.T:
                rank = (other < other[at, column][:, None]).sum(1)
                wrong[far] += np.maximum(rank - k, 0).sum()
    scale = 2.0 / (len(chosen) * k * (2 * n - 3 * k - 1))
    return {"trustworthiness": 1.0 - scale * float(wrong[0]), "continuity": 1.0 - scale * float(wrong[1])}


def overlap(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    """Jaccard overlap of the neighbours in two spaces, film by film.

    Args:
        one, other: ``(catalog rows [N], neighbours [N, k] as catalog rows)`` of each space.

    Returns:
        Catalog rows of the films in both ``[M]`` and their overlaps ``[M]``.
    """
    shared, same, widths = _common(one, other)
    return shared, same / np.maximum(sum(widths) - same, 1)


def shared_neighbours(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    """How many of the nearest neighbours in one space are among those of the other, film by film.

    Args:
        one, other: as for :func:`overlap`.

    Returns:
        Catalog rows of the films in both ``[M]`` and the counts ``[M]``, at most the smaller of the two ``k``.
    """
    shared, same, _ = _common(one, other)
    return shared, same


def _common(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array, tuple[int, int]]:
    shared, a, b = np.intersect1d(one[0], other[0], return_indices=True)
    mine, theirs = one[1][a], other[1][b]
    same: Array = (mine[:, :, None] == theirs[:, None, :]).any(2).sum(1)
    return shared, same, (mine.shape[1], theirs.shape[1])


def genre_purity(dataset: Dataset, items: Array, near: Array) -> dict[str, float] | None:
    """Share of neighbours that share a genre with a film, and the share among all pairs; ``None`` without genres."""
    genres = [set(own) for own in dataset.catalog["genres"]]
    names = sorted(set().union(*genres)) if genres else []
    if not names:
        return None
    has = np.array([[name in own for name in names] for own in genres], np.float32)[items]
    known: Array = np.asarray(has.any(1))
    same: Array = np.asarray((has[:, None, :] * has[near]).any(2))
    usable: Array = known[:, None] & known[near]
    count = max(int(known.sum()), 1)
    sample: Array = np.random.default_rng(0).integers(0, len(items), (min(20_000, 10 * len(items)), 2))
    pair: Array = np.asarray(known[sample].all(1))
    alike: Array = np.asarray((has[sample[:, 0]] * has[sample[:, 1]]).any(1))
    chance = alike[pair].mean() if pair.any() else 0.0
    return {"value": float(same[usable].mean()) if usable.any() else 0.0, "chance": float(chance), "films": count}


def hubness(near: Array, n: int) -> float:
    """Skewness of how often each point is a neighbour (Radovanović et al. 2010)."""
    count = np.bincount(near.ravel(), minlength=n).astype(float)
    spread = count.std()
    return float(((count - count.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0
