"""DLRM's dot products of feature embeddings for one user and one film."""

from __future__ import annotations

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.serving import counterfactuals as cf
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset
from pages.parts import layout, navigation
from pages.parts.feature_interactions import interactions
from pages.parts.inside.person import choose_person

TITLE = "Interactions"
ORDER = "50"
QUESTION = "Which features make a prediction?"
LOOK = "Find the dark cells: setting this dot product to zero would change the prediction most."
MODELS = ("dlrm", "dlrm_multimodal")


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
    found = cf.inside(model, person.row, names[str(film)])
    if found is None:
        st.info("This model was trained without dot products between features (interaction is not dot).")
        return
    kind = model.scorer_heads()[0].kind
    what = f"★ {found.score:.2f}" if kind == "rating" else f"{found.score:.3f} (log-odds)"
    st.markdown(f"Prediction for {layout.escape(person.label)}: **{what}**")
    interactions(found, "inside.shade")
