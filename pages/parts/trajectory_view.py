"""You on the map: a star that moves with each rating, one trail per model."""

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


@st.cache_data(max_entries=8, show_spinner=False)
def map_of(name: str, checksum: str, _dataset: Dataset) -> tuple[str, Array, list[dict[str, Any]]] | None:
    """A drawn map: its name, each film's place, names of its regions."""
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
    """The map with a trail per model."""
    found = map_of(dataset.name, dataset.checksum, dataset)
    if found is None:
        st.info("No map of these films is drawn yet; draw one on Space, and you appear on it.", icon=":material/map:")
        return
    name, xy, regions = found
    history = recommender.history(dataset, {dataset.items.raw[row].item(): stars for row, stars in ratings.items()})
    asked = {model: answers.ask(run, answers.prefixes(history)) for model, run in models.items()}
    trails = []
    for at, (model, run) in enumerate(models.items()):
        try:
            points = steps(run, asked[model], history, xy)
        except MMRecError as error:
            st.caption(f":material/error: {model}: {layout.escape(str(error))}")
            continue
        trails.append(
            {
                "model": model,
                "colour": SERIES[at % len(SERIES)],
                "points": [
                    [step, round(float(x), 3), round(float(y), 3)]
                    for step, (x, y) in enumerate(points)
                    if np.isfinite(x)
                ],
            }
        )
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
    said = "; ".join(
        f"{t['model']} sends you to {t['points'][-1][1]:.1f}, {t['points'][-1][2]:.1f}" for t in trails if t["points"]
    )
    _TRAILS(
        key="trails",
        data={
            "backdrop": backdrop(dataset.name, dataset.checksum, name, dataset, xy, regions),
            "trails": trails,
            "rated": rated,
            "label": f"You on the map: {said}",
        },
    )
    st.caption(
        f"Map: {name}. A star stands in the middle of the ten films a model recommends you now; its trail shows the"
        " same after none, one, two … of your ratings. Rings: films you rated. Distances on a map are a hint only."
    )
