"""A playground: matrix factorisation, BPR and EASE learn a small invented world in the browser, until they overfit."""

from __future__ import annotations

import streamlit as st

from mmrec_core import runs
from mmrec_core.types import Dataset
from pages.parts import navigation
from pages.parts.inside.component import component, given, keep

TITLE = "Overfitting"
ORDER = "17"
QUESTION = "When does a model stop learning and start memorising?"
LOOK = (
    "Press Play with much noise and few ratings: the training error keeps falling, the error on held-out ratings rises."
)
_PLAYGROUND = component("playground")


@navigation.fragment
def draw(dataset: Dataset, run: runs.Run | None) -> None:
    """The view."""
    _PLAYGROUND(
        key="inside.playground",
        data={"state": given("world", "inside.playground", "state")},
        on_state_change=lambda: keep("world", "inside.playground", "state"),
    )
    st.caption(
        "An invented world of 60 users and 40 films: users and films of one taste go together, and noise is added. It"
        " runs in your browser: stochastic gradient descent for mf (squared error) and bpr (pairs), the closed form for"
        " ease (Steck 2019). A fifth of the ratings is held out; they choose the best epoch, as validation ratings do."
    )
