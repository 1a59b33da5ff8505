"""You on the map: a star that moves with each rating, one trail per model."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import cold_start, map_files, runs, trail
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Dataset
from pages.parts.charts import SERIES

MOST_DOTS = 2500
STAR = "M0,-1L.3,-.4L1,-.3L.5,.2L.6,.9L0,.55L-.6,.9L-.5,.2L-1,-.3L-.3,-.4Z"


@st.cache_data(max_entries=8, show_spinner=False)
def where(name: str, checksum: str, _dataset: Dataset) -> tuple[str, Array, list[dict[str, Any]]] | None:
    """A drawn map: its name, each film's place, names of its regions."""
    found = trail.map_of(_dataset)
    if found is None:
        return None
    encoder, view, drawn = found
    return f"{encoder}, {view}", trail.positions(drawn, len(_dataset.items)), map_files.regions(_dataset, np.asarray(drawn.xy), drawn.items)


def background(dataset: Dataset, xy: Array, regions: list[dict[str, Any]] | None = None) -> alt.LayerChart:
    """All films as grey dots, and what their regions are called."""
    there = np.flatnonzero(np.isfinite(xy[:, 0]))
    if len(there) > MOST_DOTS:
        there = np.sort(np.random.default_rng(0).permutation(there)[:MOST_DOTS])
    data = pd.DataFrame({"x": xy[there, 0], "y": xy[there, 1], "film": dataset.catalog["title"].to_numpy()[there]})
    hide = {"axis": None, "scale": alt.Scale(zero=False, nice=False, padding=12)}
    dots = alt.Chart(data).mark_circle(size=14, color="#9A9A9A", opacity=0.45).encode(x=alt.X("x:Q", **hide), y=alt.Y("y:Q", **hide), tooltip="film:N")  # type: ignore[arg-type]
    if not regions:
        return alt.layer(dots)
    names = alt.Chart(pd.DataFrame(apart(regions, xy))).mark_text(fontSize=11, color="#777777", fontStyle="italic", tooltip=None).encode(x="x:Q", y="y:Q", text="text:N")
    return alt.layer(dots, names)


def apart(regions: list[dict[str, Any]], xy: Array) -> list[dict[str, Any]]:
    """The largest regions whose names do not lie over each other."""
    wide, high = (float(np.nanmax(xy[:, axis]) - np.nanmin(xy[:, axis])) for axis in (0, 1))
    kept: list[dict[str, Any]] = []
    for region in sorted(regions, key=lambda r: -r["n"]):
        if all(abs(region["x"] - r["x"]) > 0.22 * wide or abs(region["y"] - r["y"]) > 0.06 * high for r in kept):
            kept.append(region)
    return kept


@st.cache_data(max_entries=256, show_spinner=False)
def path(run_id: str, told: tuple[tuple[object, float], ...], name: str, checksum: str, _dataset: Dataset, _xy: Array) -> Array:
    """One model's trail."""
    return trail.trail(cold_start.load_run_model(runs.get(run_id).folder), cold_start.history(_dataset, dict(told)), _xy)


def you(dataset: Dataset, models: dict[str, runs.Run], ratings: dict[int, float]) -> None:
    """The map with a trail per model."""
    found = where(dataset.name, dataset.checksum, dataset)
    if found is None:
        st.info("No map of these films is drawn yet; draw one on Space, and you appear on it.", icon=":material/map:")
        return
    name, xy, regions = found
    told = tuple((dataset.items.raw[row].item(), stars) for row, stars in ratings.items())
    lines, ends = [], []
    for model, run in models.items():
        try:
            steps = path(run.id, told, dataset.name, dataset.checksum, dataset, xy)
        except MMRecError as error:
            st.caption(f":material/error: {model}: {error}")
            continue
        lines += [{"model": model, "step": at, "x": float(x), "y": float(y)} for at, (x, y) in enumerate(steps) if np.isfinite(x)]
        if np.isfinite(steps[-1, 0]):
            ends.append({"model": model, "x": float(steps[-1, 0]), "y": float(steps[-1, 1])})
    rated = pd.DataFrame([{"x": float(xy[row, 0]), "y": float(xy[row, 1]), "film": f"{dataset.catalog['title'].iloc[row]} ★ {stars:g}", "liked": "liked" if stars >= 3.5 else "less"}
                          for row, stars in ratings.items() if np.isfinite(xy[row, 0])])  # fmt: skip
    names = list(models)
    colour = alt.Color("model:N", title=None, scale=alt.Scale(domain=names, range=[SERIES[i % len(SERIES)] for i in range(len(names))]), legend=alt.Legend(orient="top", columns=3))
    layers: list[alt.Chart | alt.LayerChart] = [background(dataset, xy, regions)]
    if len(rated):
        layers.append(alt.Chart(rated).mark_point(size=80, strokeWidth=2.5, color="#CC79A7").encode(x="x:Q", y="y:Q", tooltip="film:N", shape=alt.Shape("liked:N", title="You rated", scale=alt.Scale(
            domain=["liked", "less"], range=["circle", "cross"]))))  # fmt: skip
    if lines:
        base = alt.Chart(pd.DataFrame(lines))
        layers.append(base.mark_line(strokeWidth=2.5, opacity=0.9).encode(x="x:Q", y="y:Q", color=colour, order="step:Q", detail="model:N"))
        layers.append(base.mark_circle(size=34, opacity=0.9).encode(x="x:Q", y="y:Q", color=colour, tooltip=["model:N", alt.Tooltip("step:Q", title="after ratings")]))
        layers.append(alt.Chart(pd.DataFrame(ends)).mark_text(fontSize=12, fontWeight="bold", dx=11, align="left", tooltip=None).encode(
            x="x:Q", y="y:Q", text="model:N", color=colour))  # fmt: skip
        layers.append(alt.Chart(pd.DataFrame(ends)).mark_point(shape=STAR, size=300, filled=True, opacity=1, stroke="#222222", strokeWidth=1).encode(
            x="x:Q", y="y:Q", color=colour, tooltip="model:N"))  # fmt: skip
    st.altair_chart(alt.layer(*layers).properties(height=460), alt="You on the map: " + "; ".join(
        f"{e['model']} sends you to {e['x']:.1f}, {e['y']:.1f}" for e in ends))  # fmt: skip
    st.caption(f"Map: {name}. A star stands in the middle of the ten films a model recommends you now; its trail shows the same after none, one, two … of your ratings. "
               "Rings: films you rated. Distances on a map are a hint only.")  # fmt: skip
