"""Films that lessons show: those whose nearest neighbours differ most under two encoders, and pictures of a lesson."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmrec_core.analysis import lesson_results as results
from mmrec_core.types import Array, Dataset


@dataclass(frozen=True)
class Disagreement:
    """A film and its nearest neighbours under two encoders, as catalog rows, the nearest first."""

    film: int
    shared: int
    """How many neighbours both have in common, of :attr:`of`."""
    of: int
    one: list[int]
    other: list[int]


def disagreements(dataset: Dataset, a: str, b: str, modality: str, n: int = 2, shown: int = 6) -> list[Disagreement]:
    """Films whose nearest neighbours differ most under two encoders, the most different first.

    Args:
        dataset: the dataset.
        a: the first encoder.
        b: the second encoder.
        modality: ``text`` or ``image``.
        n: number of films.
        shown: neighbours that are returned per encoder.

    Raises:
        Missing: the dataset has not been encoded.
    """
    one, other = results.near(dataset, a, modality), results.near(dataset, b, modality)
    same, k = results.shared(dataset, a, b, modality)
    # among equals those that most users know, so that a visitor knows the neighbours
    known = np.asarray(dataset.catalog["n_ratings"])
    worst = sorted(same, key=lambda film: (same[film], -int(known[film]), film))[:n]

    def of(side: tuple[Array, Array], film: int) -> list[int]:
        return [int(i) for i in side[1][int(np.flatnonzero(side[0] == film)[0])][:shown]]

    return [Disagreement(film, int(same[film]), k, of(one, film), of(other, film)) for film in worst]


def picture(dataset: Dataset, kind: str, n: int = 4) -> list[int]:
    """Films for a lesson's card, of those with a poster where there are any.

    Args:
        dataset: the dataset.
        kind: ``popular`` (most ratings), ``few`` (few ratings, all high), ``mixed`` (one popular film among rare ones),
            ``new`` (latest years) or ``posters`` (spread over the catalog).
        n: number of films.
    """
    catalog = dataset.catalog
    has = catalog["poster"].map(lambda own: isinstance(own, str)).to_numpy(bool)
    rows = np.flatnonzero(has) if has.sum() >= n else np.arange(len(catalog))
    count = catalog["n_ratings"].to_numpy(float)[rows]
    popular = rows[np.argsort(-count, kind="stable")]
    if kind == "popular" or len(rows) <= n:
        return popular[:n].tolist()
    if kind == "few" and "mean_rating" in catalog:
        mean = catalog["mean_rating"].to_numpy(float)[rows]
        some = np.flatnonzero((count > 1) & (count <= np.quantile(count, 0.25)) & np.isfinite(mean))
        best = some[np.argsort(-mean[some], kind="stable")][:n]
        return rows[best].tolist() if len(best) == n else popular[-n:].tolist()
    if kind == "mixed":
        rare = popular[len(popular) // 2 :]
        return [int(popular[0]), *rare[:: max(len(rare) // (n - 1), 1)][: n - 1].tolist()]
    if kind == "new":
        year = catalog["year"].to_numpy(float)[rows]
        return rows[np.argsort(-np.nan_to_num(year, nan=0), kind="stable")][:n].tolist()
    return rows[np.linspace(0, len(rows) - 1, n).astype(int)].tolist()
