"""Three things to do, each as a picture of the dataset at hand: its posters, its map, its results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.analysis import comparison
from mmrec_core.serving import user_trajectory
from mmrec_core.types import Dataset
from pages.parts import layout

HERE = Path(__file__).parent
_CARDS = st.components.v2.component(
    "mmrec.start",
    html='<div class="start"></div>',
    css=(HERE / "start_cards.css").read_text(encoding="utf-8"),
    js=(HERE / "start_cards.js").read_text(encoding="utf-8"),
)
PLACES = ("cold_start", "space", "compare")
POSTERS, DOTS, COLOURS, BARS = 8, 700, 6, 6
METRIC = "ndcg@10"


def start_cards(dataset: Dataset | None) -> None:
    """The cards; a click leads to the page. What is not there yet is drawn as an outline, and says what it waits for.

    Args:
        dataset: the dataset that is chosen; ``None`` where nothing is prepared.
    """
    chosen = _CARDS(key="start", data={"cards": cards(dataset)}, on_go_change=lambda: None)
    place = (chosen or {}).get("go")
    if place in PLACES:
        st.switch_page(layout.page(place))


def cards(dataset: Dataset | None) -> list[dict[str, Any]]:
    """What the three cards show."""
    films = dataset is not None and bool(dataset.manifest["films"])
    posters, dots, bars = (
        (
            _posters(dataset),
            _dots(dataset.name, dataset.checksum, user_trajectory.maps_stamp(dataset), dataset),
            _bars(dataset),
        )
        if dataset is not None
        else ([], [], [])
    )
    waits = "" if dataset is not None else "once a dataset is prepared"
    return [
        {
            "go": "cold_start" if films else "",
            "title": "Rate a few films",
            "line": "and see what every model recommends",
            "posters": posters,
            "waits": waits or ("" if films else "these data have no films"),
        },
        {
            "go": "space" if films else "",
            "title": "Explore the map",
            "line": "of posters and plots",
            "dots": dots,
            "waits": waits or ("" if dots else "drawn once posters or plots are encoded" if films else "no films"),
        },
        {
            "go": "compare" if dataset is not None else "",
            "title": "Compare models",
            "line": "by NDCG@10 and other metrics, with confidence intervals" if bars else "with confidence intervals",
            "bars": bars,
            "waits": waits or ("" if bars else "drawn once a model is trained"),
        },
    ]


def _posters(dataset: Dataset) -> list[str]:
    """Posters of the films that are rated most."""
    if not dataset.manifest["films"]:
        return []
    catalog = dataset.catalog
    best = catalog[catalog["poster"].notna()].nlargest(POSTERS, "n_ratings")
    return best["poster"].tolist()


@st.cache_data(max_entries=8, show_spinner=False)
def _dots(name: str, checksum: str, stamp: tuple[int, ...], _dataset: Dataset) -> list[list[float]]:
    """Places of films on a map, from 0 to 1, and the number of the film's first genre among the commonest."""
    found = user_trajectory.map_of(_dataset) if _dataset.manifest["films"] else None
    if found is None:
        return []
    xy = user_trajectory.positions(found[2], len(_dataset.items))
    there = np.flatnonzero(np.isfinite(xy[:, 0]))
    if len(there) > DOTS:
        there = np.sort(np.random.default_rng(0).permutation(there)[:DOTS])
    low, high = np.quantile(xy[there], [0.01, 0.99], axis=0)
    at = np.clip((xy[there] - low) / np.maximum(high - low, 1e-9), 0, 1)
    first = [own[0] if len(own) else "" for own in _dataset.catalog["genres"].iloc[there]]
    genres, count = np.unique(first, return_counts=True)
    place = {genre: at for at, genre in enumerate(genres[np.argsort(-count, kind="stable")][:COLOURS])}
    return [
        [round(float(x), 3), round(float(1 - y), 3), place.get(genre, COLOURS)]
        for (x, y), genre in zip(at, first, strict=True)
    ]


def _bars(dataset: Dataset) -> list[dict[str, Any]]:
    """The best ranking models with default settings, and popularity: the metric with its interval."""
    done = tuple((run.id, str(run.record.get("name") or "")) for run in runs.finished(dataset).values())
    return _results(dataset.name, dataset.checksum, done, dataset) if done else []


@st.cache_data(max_entries=8, show_spinner=False)
def _results(name: str, checksum: str, done: tuple[Any, ...], _dataset: Dataset) -> list[dict[str, Any]]:
    found = comparison.rows(_dataset)
    key = comparison.usual_key(_dataset, found)
    newest = {run_id for run_id, _ in done}
    rows = [
        (float(value), row)
        for row in found
        if row.key == key
        and row.run.id in newest
        and (value := row.result["metrics"].get(METRIC)) is not None
        and math.isfinite(value)
    ]
    rows.sort(key=lambda pair: -pair[0])
    shown = rows[:BARS]
    baseline = next((pair for pair in rows if pair[1].model == "popularity"), None)
    if baseline is not None and baseline not in shown:
        shown = [*shown[: BARS - 1], baseline]
    return [
        {
            "name": row.label,
            "value": value,
            "interval": row.result["intervals"].get(METRIC),
            "baseline": row.model == "popularity",
        }
        for value, row in shown
    ]
