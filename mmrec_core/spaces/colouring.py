"""Colours of the points of a map: one code per point, a palette, and a legend.

Every function takes values by catalog row ``[I]`` and the catalog rows of the points ``items [N]``, and gives codes by
point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmrec_core.spaces.publish import REGIONS, clusters
from mmrec_core.types import Array

HUES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C8C8C")
"""Categories: the palette of Okabe and Ito, and grey for all others. Distinct to colour-blind readers."""
RAMP = (
    "#440154", "#482878", "#3E4A89", "#31688E", "#26828E", "#1F9E89", "#35B779", "#6DCD59", "#B4DE2C", "#FDE725",
)  # fmt: skip
"""Quantities: viridis, from low to high."""
UNKNOWN = 255
"""Code of a point whose value is not known; drawn in grey."""


@dataclass(frozen=True)
class Colouring:
    """Colours of a map's points."""

    codes: Array
    """uint8 ``[N]``: index into the palette, or :data:`UNKNOWN`."""
    palette: Sequence[str]
    """Colours as ``#RRGGBB``."""
    names: Sequence[str]
    """What each colour means; empty where the legend shows nothing."""
    hint: str
    """A sentence about the colours."""


def uniform(n: int) -> Colouring:
    """All ``n`` points in the same colour."""
    return Colouring(np.zeros(n, np.uint8), HUES, (), "")


def unknown(n: int, hint: str) -> Colouring:
    """All ``n`` points in grey; the hint says why."""
    return Colouring(np.full(n, UNKNOWN, np.uint8), RAMP, (), hint)


def categories(values: Iterable[Iterable[object]], items: Array, hint: str, *, rest: bool) -> Colouring:
    """The seven most frequent values of a column that has several per film; a film has the colour of one of its own.

    Args:
        values: the values of each film, in catalog order; the first frequent one counts.
        items: catalog rows of the points.
        hint: a sentence about the colours.
        rest: whether films without any value count as "other" rather than as unknown.
    """
    own = [list(some) for some in values]
    counts = pd.Series([value for some in own for value in some], dtype=object).value_counts()
    top = {value: code for code, value in enumerate(counts.index[:7])}
    other = len(HUES) - 1

    def code(some: list[object]) -> int:
        if not some:
            return other if rest else UNKNOWN
        return next((top[value] for value in some if value in top), other)

    codes = np.array([code(some) for some in own], np.uint8)
    names = (*map(str, top), "other") if top else ()
    if top and len(top) < other:  # fewer than seven: grey comes after the last of them in the legend
        palette = (*HUES[: len(top)], HUES[other])
        codes[codes == other] = len(top)
    else:
        palette = HUES
    return Colouring(codes[items], palette, names, hint)


def quantity(values: Array, items: Array, text: Callable[[float], str], hint: str) -> Colouring:
    """A number per film in steps of about equal size; NaN is unknown.

    Args:
        values: a number by catalog row ``[I]``.
        items: catalog rows of the points ``[N]``.
        text: a number as the legend shows it.
        hint: a sentence about the number.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return unknown(len(items), "No value is known here.")
    edges = np.unique(np.quantile(known, np.linspace(0, 1, 11)))
    steps = max(len(edges) - 1, 1)
    with np.errstate(invalid="ignore"):
        step = np.clip(np.searchsorted(edges, values, "right") - 1, 0, steps - 1)
    codes = np.where(np.isfinite(values), step, UNKNOWN).astype(np.uint8)
    palette = [RAMP[round(at * 9 / max(steps - 1, 1))] for at in range(steps)]
    return Colouring(codes[items], palette, [f"from {text(low)}" for low in edges[:steps]], hint)


def share(values: Array, items: Array, hint: str) -> Colouring:
    """A share from 0 to 1 per film in ten equal steps; NaN is unknown."""
    codes = np.where(np.isfinite(values), np.clip(np.nan_to_num(values) * 10, 0, 9), UNKNOWN).astype(np.uint8)
    names = [f"{low / 10:.0%} – {(low + 1) / 10:.0%}" for low in range(10)]
    return Colouring(codes[items], RAMP, names, hint)


def map_clusters(xy: Array) -> Colouring:
    """Clusters of neighbouring points ``[N, 2]`` on the map."""
    palette = [HUES[at % len(HUES)] for at in range(REGIONS)]
    hint = "k-means clusters of the points on the map; labels name the largest."
    return Colouring(clusters(xy).astype(np.uint8), palette, (), hint)
