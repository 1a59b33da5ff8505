"""Align two encoders that have read a dataset: the form, and how well held-out plots and posters find each other."""

from __future__ import annotations

import streamlit as st

from mmrec_core import features, registry, runs
from mmrec_core.types import Dataset
from pages.parts import layout, queued_note
from pages.parts.retrieval import retrieval_lines


def alignment_form(dataset: Dataset) -> None:
    """Choose an encoder of plots and one of posters, and train a head on each."""
    ready = {n: set(m["modality"]) for n, m in features.available(dataset).items() if not n.startswith("aligned:")}
    texts, images = ([n for n, own in ready.items() if m in own] for m in ("text", "image"))
    if not texts or not images:
        missing = "plots" if not texts else "posters"
        st.caption(
            f":material/block: No encoder has read the {missing} of {dataset.name} yet. Encode it first: Space →"
            " Encode with another encoder."
        )
        return
    usual = registry.defaults("encoders", "aligned")
    with st.grid(min_column_width=150):
        text = st.selectbox("Encoder of plots", texts, key="align.text", help="Its vectors stay as they are.")
        image = st.selectbox(
            "Encoder of posters", images, index=len(images) - 1, key="align.image", help="Its vectors stay as they are."
        )
        loss = st.selectbox(
            "Loss",
            ["infonce", "sigmoid"],
            key="align.loss",
            help="infonce: CLIP's, each text must identify its own poster. sigmoid: SigLIP's, a yes or no a pair.",
        )
        width = st.number_input("width", 2, 1024, usual["width"], key="align.width", help="Numbers in a joint vector.")
        held = st.number_input(
            "Films held out to test it (%)", 5, 50, round(100 * usual["held_out"]), key="align.held",
            help="Share of films that is not learned from; retrieval is evaluated on these.",
        )  # fmt: skip
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="align.seed", help="Decides which films are held out.")
    name = f"aligned:{text}+{image}"
    if st.button("Align them", icon=":material/play_arrow:", key="align.start"):
        params = {"loss": loss, "width": int(width), "held_out": held / 100, "seed": int(seed)}
        queued_note.start(
            "alignment", lambda: [runs.start("encode", runs.encoding_params(dataset.name, name, options=params))]
        )
    queued_note.show("alignment")
    for stored, manifest in features.available(dataset).items():
        if stored.startswith("aligned:"):
            _result(stored, manifest)


def _result(name: str, manifest: dict[str, object]) -> None:
    """How well held-out plots and posters find each other, and where to use it."""
    found = manifest["retrieval"]
    options = manifest["options"]
    if not isinstance(found, dict) or not isinstance(options, dict):
        return
    with st.container(border=True):
        st.markdown(f"**{layout.escape(name)}**, seed {options.get('seed', 0)}")
        retrieval_lines(found)
        st.page_link(layout.page("space"), label="Search its posters by words", icon=":material/search:")
