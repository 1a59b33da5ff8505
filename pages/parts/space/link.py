"""What a link to the map says: the selection, the film shown beside it, and the camera."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from mmrec_core.errors import MMRecError
from mmrec_core.spaces import publish
from mmrec_core.types import Array, Dataset
from pages.parts import layout, slices

LAST, FILTERED = slices.PASSING
"""Names of the slices that keep a selection without an outline on the first map, and what a filter let through."""


def polygon() -> list[list[float]]:
    """The lasso, as corners in the unit square; empty where there is none."""
    try:
        points = [[float(v) for v in p.split(",")] for p in st.query_params.get("sel", "").split("_") if p]
    except ValueError:
        return []
    return points if len(points) > 2 and all(len(p) == 2 and np.isfinite(p).all() for p in points) else []


def camera(key: str) -> list[float] | None:
    """Where a map begins: ``[x, y, zoom]``."""
    try:
        found = [float(v) for v in st.query_params.get(key, "").split("_")]
    except ValueError:
        return None
    return found if len(found) == 3 and np.isfinite(found).all() else None


def film(dataset: Dataset) -> int:
    """Catalog row of the film shown beside the map; −1 for none."""
    row = dataset.items.find(st.query_params.get("film", ""))
    return -1 if row is None else row


def show_film(dataset: Dataset, row: int) -> None:
    """Show a film beside the map."""
    if 0 <= row < len(dataset.items):
        st.query_params["film"] = str(dataset.items.raw[row])


def on_open(dataset: Dataset, key: str) -> None:
    """Callback of a map: a film was clicked."""
    event = st.session_state[key].get("open")
    if event is not None:
        show_film(dataset, int(event["item"]))


def on_poster(dataset: Dataset, key: str) -> None:
    """Callback of a poster grid: a film was clicked."""
    event = st.session_state.get(key)
    if event is not None and event.get("open") is not None:
        show_film(dataset, int(event["open"]))


def on_select(key: str) -> None:
    """Callback of the first map: a lasso or a box was drawn, or cleared."""
    event: Any = st.session_state[key].get("select")
    if event is None:
        return
    clear_selection()
    if event["polygon"]:
        st.query_params["sel"] = "_".join(f"{x:g},{y:g}" for x, y in event["polygon"])


def on_select_second(dataset: Dataset, key: str, files: publish.Published) -> None:
    """Callback of the second map. The selection becomes a slice, since the films lie elsewhere on the first map."""
    event: Any = st.session_state[key].get("select")
    if event is None:
        return
    clear_selection()
    if event["polygon"]:
        keep(dataset, LAST, np.unique(files.items[publish.inside(files.xy, event["polygon"])]))


def clear_selection() -> None:
    """Nothing is selected."""
    for key in ("sel", "slice"):
        st.query_params.pop(key, None)


def keep(dataset: Dataset, name: str, rows: Array) -> bool:
    """Save films as a slice and select it; returns whether that was possible, and says why not."""
    name = slices.passing(name)
    try:
        slices.save(dataset, name, rows)
    except MMRecError as error:
        layout.show_error(error)
        return False
    st.query_params.pop("sel", None)
    st.query_params["slice"] = name
    return True


def selected(dataset: Dataset, files: publish.Published) -> tuple[Array, str]:
    """Catalog rows of the selected films, by lasso or by slice, and how they were selected."""
    saved = st.query_params.get("slice")
    if saved and (rows := slices.load(dataset, saved)) is not None:
        return rows, f"slice “{saved}”"
    shape = polygon()
    if shape:
        return np.unique(files.items[publish.inside(files.xy, shape)]), "selected on the map"
    return np.zeros(0, np.int64), ""
