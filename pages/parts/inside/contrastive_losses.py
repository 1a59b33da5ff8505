"""The losses of CLIP and SigLIP on a batch of eight plots and posters."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset
from pages.parts import navigation
from pages.parts.inside.component import component, film, given, keep

TITLE = "CLIP and SigLIP"
ORDER = "60"
QUESTION = "How do CLIP and SigLIP learn which poster belongs to which plot?"
LOOK = (
    "Change the temperature and compare the rows of CLIP with those of SigLIP. Then press Step and watch the diagonal."
)
PAIRS = 8
STEPS = 12
RATE = 0.0005
_LOSSES = component("contrastive")


def pairs(dataset: Dataset, draw_number: int) -> list[int]:
    """Rows of eight films with a plot and a poster; another number gives other films."""
    catalog = dataset.catalog
    both = np.flatnonzero((catalog["poster"].notna() & catalog["plot"].notna()).to_numpy())
    chosen = np.random.default_rng([draw_number, 23]).permutation(both)[:PAIRS]
    return [int(row) for row in chosen]


@st.cache_data(max_entries=32, show_spinner="Encoding eight films …")
def walked(name: str, checksum: str, rows: tuple[int, ...], _dataset: Dataset) -> list[dict[str, Any]]:
    """The batch before and after some steps of an encoder, as the script reads it."""
    from mmrec_core.inside import contrastive_batch

    recommender.use_threads(1)
    found = contrastive_batch.walk(name, contrastive_batch.batch_of(_dataset, rows), STEPS, RATE, 0.02)
    return [
        {
            "similarity": [[float(f"{v:.8g}") for v in line] for line in moment.similarity],
            "scale": float(f"{moment.scale:.8g}"),
            "bias": float(f"{moment.bias:.8g}"),
            "loss": float(f"{moment.loss:.8g}"),
        }
        for moment in found
    ]


@navigation.fragment
def draw(dataset: Dataset, run: runs.Run | None) -> None:
    """The view."""
    asked = st.query_params.get("batch", "")
    number = int(asked) % 1000 if asked.isdecimal() else 0
    rows = pairs(dataset, number)
    if len(rows) < 2:
        st.info(
            "This needs films with a plot and a poster. Open the demo, or prepare MovieLens with posters and plots."
        )
        return
    if st.button("Other films", icon=":material/shuffle:", key="other"):
        st.query_params["batch"] = str(number + 1)
        st.rerun(scope="fragment")
    encoders = {name: walked(name, dataset.checksum, tuple(rows), dataset) for name in ("mini_clip", "mini_siglip")}
    plots = dataset.catalog["plot"]
    _LOSSES(
        key="inside.losses",
        data={
            "films": [{**film(dataset, row), "plot": str(plots.iloc[row])[:160]} for row in rows],
            "encoders": encoders,
            "state": given("losses", "inside.losses", "state", " ".join(map(str, rows))),
            "looks": " ".join(map(str, rows)),
        },
        on_state_change=lambda: keep("losses", "inside.losses", "state"),
    )
    st.caption(
        "mini_clip and mini_siglip have the same networks and training data and differ in the loss alone; the"
        " similarities are their own. The two losses are on different scales, so compare neither with the other. The"
        " cosine is divided by the temperature. A step is one of the trainer’s (AdamW, learning rate"
        f" {RATE:g}, weight decay 0.02) on these eight films alone, so it fits them and says nothing about others. Both"
        " encoders were trained on generated worlds and hardly know real films."
    )
