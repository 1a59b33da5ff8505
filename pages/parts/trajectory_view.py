"""Map of recommendations: each model's films, as marks of its colour and shape; on demand their path."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.serving import answers, recommender, user_trajectory
from mmrec_core.spaces import publish
from mmrec_core.types import Array, Dataset, History
from pages.parts import layout
from pages.parts.charts import SERIES

MOST_DOTS = 2500
HERE = Path(__file__).parent
_TRAILS = st.components.v2.component(
    "mmrec.trails",
    html=(
        '<div class="trails"><canvas aria-hidden="true"></canvas><svg role="img"></svg></div><div class="legend"></div>'
    ),
    css=(HERE / "trajectories.css").read_text(encoding="utf-8"),
    js=(HERE / "trajectories.js").read_text(encoding="utf-8"),
)


def map_of(dataset: Dataset) -> tuple[str, Array, list[dict[str, Any]]] | None:
    """A drawn map: its name, each film's place, names of its regions; ``None`` as long as none is drawn."""
    found: tuple[str, Array, list[dict[str, Any]]] | None
    found = _map_of(str(dataset.folder), dataset.checksum, user_trajectory.maps_stamp(dataset), dataset)
    return found


@st.cache_data(max_entries=8, show_spinner=False)
def _map_of(
    folder: str, checksum: str, stamp: tuple[int, ...], _dataset: Dataset
) -> tuple[str, Array, list[dict[str, Any]]] | None:
    found = user_trajectory.map_of(_dataset)
    if found is None:
        return None
    encoder, view, drawn = found
    return (
        f"{encoder}, {view}",
        user_trajectory.positions(drawn, len(_dataset.items)),
        publish.regions(_dataset, np.asarray(drawn.xy), drawn.items),
    )


def background(dataset: Dataset, xy: Array, regions: list[dict[str, Any]] | None = None) -> alt.LayerChart:
    """All films as grey dots, and what their regions are called."""
    there = np.flatnonzero(np.isfinite(xy[:, 0]))
    if len(there) > MOST_DOTS:
        there = np.sort(np.random.default_rng(0).permutation(there)[:MOST_DOTS])
    data = pd.DataFrame({"x": xy[there, 0], "y": xy[there, 1], "film": dataset.catalog["title"].to_numpy()[there]})
    hide = {"axis": None, "scale": alt.Scale(zero=False, nice=False, padding=12)}
    dots = (
        alt.Chart(data)
        .mark_circle(size=14, color="#9A9A9A", opacity=0.45)
        .encode(x=alt.X("x:Q", **hide), y=alt.Y("y:Q", **hide), tooltip="film:N")
    )  # type: ignore[arg-type]
    if not regions:
        return alt.layer(dots)
    names = (
        alt.Chart(pd.DataFrame(spread_labels(regions, xy)))
        .mark_text(fontSize=11, color="#777777", fontStyle="italic", tooltip=None)
        .encode(x="x:Q", y="y:Q", text="text:N")
    )
    return alt.layer(dots, names)


LONGEST_PATH = 30
"""Ratings of a path at most: each step asks every model for a list."""


def spread_labels(regions: list[dict[str, Any]], xy: Array) -> list[dict[str, Any]]:
    """The largest regions whose names do not lie over each other."""
    wide, high = (float(np.nanmax(xy[:, axis]) - np.nanmin(xy[:, axis])) for axis in (0, 1))
    kept: list[dict[str, Any]] = []
    for region in sorted(regions, key=lambda r: -r["n"]):
        if all(abs(region["x"] - r["x"]) > 0.22 * wide or abs(region["y"] - r["y"]) > 0.06 * high for r in kept):
            kept.append(region)
    return kept


@st.cache_data(max_entries=8, show_spinner=False)
def backdrop(
    name: str, checksum: str, map_name: str, _dataset: Dataset, _xy: Array, _regions: list[dict[str, Any]]
) -> str:
    """The map behind the trails as a static file: it is sent once, not with every rating."""
    return publish.backdrop(_dataset, _xy, spread_labels(_regions, _xy), MOST_DOTS)


def steps(run: runs.Run, asked: list[Future[answers.Answer]], history: History, xy: Array) -> Array:
    """One model's trail, from its answers after none, one, two … ratings."""
    lists = [future.result().items for future in asked]
    if any(
        np.isfinite(xy[items, 0]).sum() < min(user_trajectory.TOP, len(items)) and len(items) == answers.LISTED
        for items in lists
    ):
        return user_trajectory.trajectory(
            recommender.load_run_model(run.folder), history, xy
        )  # a map of few films: the list does not reach far enough
    return user_trajectory.middles(lists, xy)


def trajectory_view(dataset: Dataset, models: dict[str, runs.Run], ratings: dict[int, float]) -> None:
    """The map with the first films of each model, as many as its list shows."""
    found = map_of(dataset)
    if found is None:
        st.info("No map of these films is drawn yet; draw one on Space, and you appear on it.", icon=":material/map:")
        return
    name, xy, regions = found
    history = recommender.history(dataset, {dataset.items.raw[row].item(): stars for row, stars in ratings.items()})
    short = len(ratings) <= LONGEST_PATH
    path = bool(ratings) and st.toggle(
        "Show how recommendations moved",
        key="path",
        bind="query-params",
        disabled=not short,
        help=(
            f"A line per model through the centre of its {user_trajectory.TOP} recommended films after none, one, two …"
            f" of your ratings; for at most {LONGEST_PATH} ratings."
        ),
    )
    path = path and short
    asked = {m: answers.ask(run, answers.prefixes(history) if path else [history]) for m, run in models.items()}
    lists, trails = [], []
    for at, (model, run) in enumerate(models.items()):
        style = {"model": model, "colour": SERIES[at % len(SERIES)], "shape": at + at // len(SERIES)}
        try:
            films = asked[model][-1].result().items[: user_trajectory.TOP]
            lists.append({**style, "films": points(dataset, films, xy)})
            if path:
                trails.append({**style, "points": trail(steps(run, asked[model], history, xy))})
        except MMRecError as error:
            st.caption(f":material/error: {model}: {layout.escape(str(error))}")
    bar = dataset.manifest.get("relevant_from")
    titles = dataset.catalog["title"]
    rated = [
        {
            "x": round(float(xy[row, 0]), 3),
            "y": round(float(xy[row, 1]), 3),
            "film": f"{titles.iloc[row]} ★ {stars:g}",
            "liked": bar is None or stars >= bar,
        }
        for row, stars in ratings.items()
        if np.isfinite(xy[row, 0])
    ]
    _TRAILS(
        key="trails",
        data={
            "backdrop": backdrop(dataset.name, dataset.checksum, name, dataset, xy, regions),
            "lists": lists,
            "trails": trails,
            "rated": rated,
            "label": "Recommended films on the map: " + "; ".join(said(own) for own in lists),
        },
    )
    st.caption(
        f"Map: {name}. Each mark is one of the {user_trajectory.TOP} films that a model now recommends to"
        " you; colour and shape show which model. Point at one for its title. The map is a 2-D projection, so its"
        " distances are approximate."
    )


def points(dataset: Dataset, films: Array, xy: Array) -> list[dict[str, Any]]:
    """Films with their place on the map and in the list; those that are not on the map are left out."""
    titles = dataset.catalog["title"]
    return [
        {"x": round(float(xy[i, 0]), 3), "y": round(float(xy[i, 1]), 3), "film": str(titles.iloc[i]), "rank": place}
        for place, i in enumerate(films.tolist(), start=1)
        if np.isfinite(xy[i, 0])
    ]


def trail(path: Array) -> list[list[float]]:
    """The steps of a path that are on the map."""
    steps_on_map = ((at, x, y) for at, (x, y) in enumerate(path) if np.isfinite(x))
    return [[at, round(float(x), 3), round(float(y), 3)] for at, x, y in steps_on_map]


def said(own: dict[str, Any]) -> str:
    """A model's films, for those who cannot see the map."""
    return f"{own['model']}: " + ", ".join(film["film"] for film in own["films"])
