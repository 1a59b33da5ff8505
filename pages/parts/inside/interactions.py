"""Dot products of feature embeddings (DLRM, DeepFM) and gates of experts (MMoE) for one user and one film."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import runs
from mmrec_core.serving import counterfactuals as cf
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset, Query
from pages.parts import layout, navigation
from pages.parts.feature_interactions import interactions
from pages.parts.inside.person import choose_person

TITLE = "Interactions"
ORDER = "50"
QUESTION = "Which features make a prediction?"
LOOK = "Find the darkest cells: they say which part of the model moves this prediction. Then change the film."
MODELS = ("dlrm", "dlrm_multimodal", "deepfm", "mmoe")


@navigation.fragment
def draw(dataset: Dataset, run: runs.Run) -> None:
    """The view."""
    person = choose_person(dataset, run, you=False)
    if person is None:
        return
    recommender.use_threads(1)
    model = recommender.load_run_model(run.folder)
    titles = dataset.catalog["title"]
    own = np.asarray(person.history.items)
    fits = [int(i) for i in recommender.recommend_known(run, dataset, person.row, 8).items]
    offered = [*fits, *(int(i) for i in own[-8:] if int(i) not in fits)]
    names = {str(dataset.items.raw[row]): row for row in offered}
    asked = st.query_params.get("film", "")
    st.session_state["inside.film"] = asked if asked in names else next(iter(names))

    def choose() -> None:
        st.query_params["film"] = str(st.session_state["inside.film"])

    film = st.selectbox(
        "Film",
        list(names),
        key="inside.film",
        on_change=choose,
        width=420,
        format_func=lambda raw: f"{titles.iloc[names[raw]]}{'' if names[raw] in fits else ' (rated)'}",
        help="Recommended films first, then the latest rated ones.",
    )
    item = names[str(film)]
    if hasattr(model, "gate_weights"):
        gates(model.gate_weights(model.user_state(Query(np.array([person.row]))), item))
        return
    found = cf.inside(model, person.row, item)
    if found is None:
        st.info("This model was trained without dot products between features (interaction is not dot).")
        return
    kind = model.scorer_heads()[0].kind
    what = f"★ {found.score:.2f}" if kind == "rating" else f"{found.score:.3f} (log-odds)"
    st.markdown(f"Prediction for {layout.escape(person.label)}: **{what}**")
    interactions(found, "inside.shade")


def gates(weights: dict[str, list[float]]) -> None:
    """How much each task takes of each expert."""
    if not weights:
        st.info("This model has no gates: its tasks share one network, or nothing.", icon=":material/info:")
        return
    rows = [
        {"task": task, "expert": f"expert {at + 1}", "weight": weight}
        for task, own in weights.items()
        for at, weight in enumerate(own)
    ]
    heat = (
        alt.Chart(pd.DataFrame(rows))
        .mark_rect()
        .encode(
            x=alt.X("expert:N", sort=None, title=None, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("task:N", sort=None, title=None),
            color=alt.Color("weight:Q", scale=alt.Scale(scheme="blues", domain=[0, 1])),
            tooltip=["task:N", "expert:N", alt.Tooltip("weight:Q", format=".4f")],
        )
        .properties(height=40 * len(weights) + 60)
    )
    largest = {task: max(range(len(own)), key=own.__getitem__) + 1 for task, own in weights.items()}
    text = "; ".join(f"{task}: expert {at} ({max(weights[task]):.2f})" for task, at in largest.items())
    st.altair_chart(heat, alt=f"Weights of the experts by task, the largest: {text}")
    st.caption(f"Each task mixes the experts by its own gate; the weights of a row sum to 1. Largest: {text}.")
