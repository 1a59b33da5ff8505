"""The choices of colour on the map, each as a file for the browser with its palette and legend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import settings
from mmrec_core.analysis import item_errors
from mmrec_core.spaces import colouring, publish
from mmrec_core.spaces.colouring import Colouring
from mmrec_core.types import Array, Dataset

SHARED = "Shared neighbours"
ERROR = "A model's error"
COLUMNS = {"Director": "director", "Cast": "cast", "Tag": "tags"}
OPTIONS = ["Genre", "Decade", "Popularity", "Average rating", *COLUMNS, "Cluster", ERROR, SHARED, "Nothing"]


def colour_of(
    dataset: Dataset, what: str, files: publish.Published, shared: Array | None, other: str, neighbours: int
) -> dict[str, Any]:
    """What :func:`pages.parts.space.map.film_map` takes as ``colour``, and a ``hint``.

    Args:
        dataset: the dataset.
        what: one of :data:`OPTIONS`.
        files: the map's files.
        shared: by catalog row, how many neighbours a second space shares; ``None`` without one.
        other: which second space that is.
        neighbours: how many neighbours each film has.
    """
    best = item_errors.best_rating_result(dataset) if what == ERROR else None
    result = f"{best.run.id} {(best.run.folder / 'row_errors.npz').stat().st_mtime_ns}" if best else ""
    arguments = (
        what,
        dataset.name,
        dataset.checksum,
        files.files["points"],
        f"{other} {shared is None} {result}",
        neighbours,
        dataset,
        files,
        shared,
    )
    colour: dict[str, Any] = _cached(*arguments)
    if not (settings.static_dir() / colour["file"]).exists():  # deleted since
        _cached.clear()
        colour = _cached(*arguments)
    return colour


@st.cache_data(max_entries=48, show_spinner=False)
def _cached(
    what: str,
    name: str,
    checksum: str,
    points: str,
    results: str,
    neighbours: int,
    _dataset: Dataset,
    _files: publish.Published,
    _shared: Array | None,
) -> dict[str, Any]:
    found = _colouring(_dataset, what, _files, _shared, neighbours)
    return {
        "file": publish.colours(found.codes),
        "palette": list(found.palette),
        "names": list(found.names),
        "hint": found.hint,
    }


def _colouring(
    dataset: Dataset, what: str, files: publish.Published, shared: Array | None, neighbours: int
) -> Colouring:
    catalog, items = dataset.catalog, files.items
    if what == "Genre":
        first = [list(genres)[:1] for genres in catalog["genres"]]
        return colouring.categories(first, items, "A film's first genre.", rest=True)
    if what in COLUMNS:
        column = COLUMNS[what]
        values = [_values(value) for value in catalog[column]]
        if not any(values):
            return colouring.unknown(len(items), f"No {column} is known here.")
        hint = f"The seven most frequent values of {column}; grey: none is known."
        return colouring.categories(values, items, hint, rest=False)
    if what == "Decade":
        decade = catalog["year"].astype("float64").to_numpy(na_value=np.nan) // 10 * 10
        return colouring.quantity(decade, items, lambda v: f"{v:.0f}", _steps("Year of the film by decade"))
    if what == "Popularity":
        n = np.log10(np.maximum(catalog["n_ratings"].to_numpy(np.float64), 0.5))
        return colouring.quantity(n, items, lambda v: f"{10**v:,.0f}", _steps("Number of ratings"))
    if what == "Average rating":
        mean = (
            catalog["mean_rating"].to_numpy(np.float64) if "mean_rating" in catalog else np.full(len(catalog), np.nan)
        )
        return colouring.quantity(mean, items, lambda v: f"{v:.2f}", _steps("Mean rating"))
    if what == "Cluster":
        return colouring.map_clusters(files.xy)
    if what == ERROR:
        return _error(dataset, items)
    if what == SHARED:
        if shared is None:
            return colouring.unknown(len(items), "Choose another space under “Compare with space”.")
        hint = f"Share of a film's {neighbours} nearest neighbours that are also among those in the other space."
        return colouring.share(shared / neighbours, items, hint)
    return colouring.uniform(len(items))


def _values(value: Any) -> list[object]:
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, (list, np.ndarray)) else []


def _steps(what: str) -> str:
    return f"{what}, in steps with about equally many films."


def _error(dataset: Dataset, items: Array) -> Colouring:
    best = item_errors.best_rating_result(dataset)
    errors = item_errors.rmse_by_item(dataset, best) if best is not None else None
    if best is None or errors is None:
        return colouring.unknown(len(items), "No rating model has been evaluated here; train one, such as mf.")
    hint = f"RMSE of {best.label} on the test ratings of each film, in stars; grey: none"
    return colouring.quantity(errors, items, lambda v: f"{v:.2f}", _steps(hint))


@st.cache_data(max_entries=4, show_spinner=False)
def genres_of(name: str, checksum: str, _dataset: Dataset) -> tuple[pd.Series, Array]:
    """How many films have each genre, the most frequent first; and which film has which: bool ``[I, G]``."""
    lists = [list(own) for own in _dataset.catalog["genres"]]
    counts = pd.Series([g for own in lists for g in own], dtype=object).value_counts()
    column = {genre: at for at, genre in enumerate(counts.index)}
    has = np.zeros((len(lists), len(counts)), bool)
    for row, own in enumerate(lists):
        has[row, [column[g] for g in own]] = True
    return counts, has
