"""Which vectors meet in a prediction of DLRM, and what each dot product does to it."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from mmrec_core.errors import MMRecError
from mmrec_core.serving import counterfactuals as cf
from pages.parts import layout

SHADES = {"moved": "what it does to the prediction", "dot": "the dot product"}


def in_case(model: Any, user: int, item: int) -> None:
    """The matrix of one user and one film behind a heading; nothing for models without dot products of features."""
    try:
        found = cf.inside(model, user, item)
    except MMRecError as error:
        layout.show_error(error)
        return
    if found is not None:
        with st.expander("Inside the model: which vectors meet, and what that does", icon=":material/grid_on:"):
            interactions(found, "case.shade")


def interactions(found: Any, key: str) -> None:
    """The matrix of dot products.

    Args:
        found: a :class:`mmrec_core.models._attribution.PairAttribution`.
        key: of its control.
    """
    rows = [
        {"a": a, "b": b, "dot": float(d), "moved": float(m)}
        for (a, b), d, m in zip(found.pairs, found.dots, found.effects, strict=True)
    ]
    data = pd.DataFrame(rows)
    shade = (
        st.segmented_control(
            "Shade by", [*SHADES], default="moved", required=True, key=key, format_func=lambda k: SHADES[k]
        )
        or "moved"
    )
    most = float(data[shade].abs().max()) or 1.0
    names = list(found.names)
    heat = (
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=alt.X("b:N", sort=names, title=None, axis=alt.Axis(labelAngle=-40, labelLimit=140)),
            y=alt.Y("a:N", sort=names, title=None),
            color=alt.Color(f"{shade}:Q", title=shade, scale=alt.Scale(scheme="blueorange", domain=[most, -most])),
            tooltip=[
                "a:N",
                "b:N",
                alt.Tooltip("dot:Q", format="+.4f"),
                alt.Tooltip("moved:Q", title="moved the prediction by", format="+.4f"),
            ],
        )
        .properties(height=26 * len(names) + 90)
    )
    top = data.reindex(data["moved"].abs().sort_values(ascending=False).index).head(3)
    st.altair_chart(
        heat,
        alt="Pairs of vectors: " + "; ".join(f"{r.a} × {r.b} moved it by {r.moved:+.3f}" for r in top.itertuples()),
    )
    st.caption(
        "Most moved by "
        + "; ".join(f"{r.a} × {r.b} ({r.moved:+.3f})" for r in top.itertuples())
        + ". The prediction minus what it would be with that dot product at zero, all else as it is; "
        "such changes need not add up."
    )
