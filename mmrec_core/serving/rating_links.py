"""Ratings and lists of items as text for a link or a command line, for ids with any characters.

``ratings=318:5_film%5F7:4.5`` is two ratings. Every character of an id other than letters, digits, ``.``, ``-``
and ``~`` is written as ``%XX`` (UTF-8), so the separators ``_``, ``:`` and ``,`` are never part of an id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from mmrec_core.types import Array, Dataset

MOST = 100
"""Ratings and items that are read from a link at most: everybody's requests are computed by one thread, and the time of
explanations and paths grows with the square of their number."""


def quoted(raw: Any) -> str:
    """A raw id as text without separators."""
    return quote(str(raw), safe="").replace("_", "%5F")


def write_ratings(ratings: Mapping[Any, float]) -> str:
    """Ratings by raw id as ``id:stars_id:stars``; zero and negative ratings are kept."""
    return "_".join(f"{quoted(item)}:{stars:.10g}" for item, stars in ratings.items())


def read_ratings(text: str, dataset: Dataset) -> dict[int, float]:
    """Stars by item row, read from a link. Unknown items, invalid ratings and those after :data:`MOST` are left out."""
    low, high = dataset.scale or (1.0, 5.0)
    found: dict[int, float] = {}
    for part in text.split("_", 4 * MOST)[: 4 * MOST]:  # what is invalid costs time, too
        if len(found) == MOST:
            break
        item, colon, stars = part.rpartition(":")
        try:
            value = float(stars)
        except ValueError:
            continue
        row = int(dataset.items.rows([unquote(item)])[0]) if colon and item else -1
        if row >= 0 and low <= value <= high:
            found[row] = value
    return found


def write_items(items: Iterable[Any]) -> str:
    """Raw ids as ``id_id``."""
    return "_".join(quoted(item) for item in items)


def read_items(text: str, dataset: Dataset) -> list[int]:
    """Item rows, read from a link; unknown items and those after :data:`MOST` are left out."""
    parts = [unquote(part) for part in text.split("_", 4 * MOST)[: 4 * MOST] if part]
    rows: Array = dataset.items.rows(parts)
    return [int(row) for row in rows if row >= 0][:MOST]
