"""The map for browsers without WebGL2: at most 10,000 points in Plotly, selected by box or lasso."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import settings
from mmrec_core.spaces import publish
from mmrec_core.types import Dataset
from pages.parts.space import link

MOST = 10_000


def plotly_map(dataset: Dataset, files: publish.Published, colour: dict[str, Any]) -> None:
    """Show the map with the same colours; a selection becomes a slice."""
    import plotly.graph_objects as go

    rows = np.sort(np.random.default_rng(0).permutation(len(files.xy))[:MOST])
    codes = np.frombuffer((settings.static_dir() / colour["file"]).read_bytes(), np.uint8)[rows]
    palette = [*colour["palette"], "#808080"]
    figure = go.Figure(
        go.Scattergl(
            x=files.xy[rows, 0],
            y=files.xy[rows, 1],
            mode="markers",
            customdata=files.items[rows],
            marker={"size": 5, "color": [palette[min(int(code), len(palette) - 1)] for code in codes]},
            hovertext=dataset.catalog["title"].iloc[files.items[rows]].tolist(),
            hoverinfo="text",
        )
    )
    figure.update_layout(
        height=600,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": "x"},
        dragmode="lasso",
    )
    st.caption("This browser has no WebGL2, so this is a plainer map.")
    event = st.plotly_chart(figure, key="flat", on_select="rerun", selection_mode=("lasso", "box"))
    points = [p["customdata"] for p in event["selection"]["points"]]
    items = [int(item[0] if isinstance(item, list) else item) for item in points]
    if items:
        link.keep(dataset, link.LAST, np.unique(items))
