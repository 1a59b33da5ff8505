"""Encode the films of a dataset: the form, the jobs in progress, and the page before the first space."""

from __future__ import annotations

import streamlit as st

from mmrec_core import features, runs
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import layout
from pages.parts.run_card import changed, live_runs, run_card

KINDS = {"encode", "project", "train-encoder"}


def empty_state(dataset: Dataset) -> None:
    """No space exists: what is being done, or what to do."""
    with st.container(border=True):
        if any(run.kind in {"encode", "project"} for run in _live(dataset)):
            st.subheader("The first space is being encoded", anchor=False)
            st.write("Plots and posters become vectors, then the map is drawn. It appears here by itself.")
            return
        st.subheader(f"{dataset.name} has not been encoded yet", anchor=False)
        st.write("An encoder turns plots and posters into vectors; similar films get vectors that are close together.")
        form(dataset, primary=True)


def form(dataset: Dataset, primary: bool = False) -> None:
    """Choose an encoder and start it in the background."""
    names = [n for n, info in features.encoder_list(dataset).items() if info["fault"] is None and n != "aligned"]
    default = "mini_clip" if dataset.manifest["generated"] else "classic"
    encoded = set(features.available(dataset))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Encoder",
            [*names, *features.PAIRS],
            index=names.index(default) if default in names else 0,
            key="encoder",
            width=260,
            accept_new_options=True,
            format_func=lambda n: f"{n} ✓" if n in encoded else n,
            help=(
                "✓: encoded. You can also type hf:ID, open_clip:MODEL/WEIGHTS, TEXT+IMAGE, or aligned:TEXT+IMAGE (a"
                " joint space of two encoders). Pretrained encoders need the model hub or a folder with their files."
            ),
        )
        weights = st.text_input(
            "Weights",
            key="weights",
            width=280,
            placeholder="the encoder's own",
            help="A folder or file with its weights, for machines that cannot reach the hub.",
        )
        if st.button("Encode", icon=":material/memory:", type="primary" if primary else "secondary", key="encode"):
            options = {"weights": weights} if weights else {}
            try:
                runs.start("encode", runs.encoding_params(dataset.name, str(name), options=options))
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.rerun()


def _live(dataset: Dataset) -> list[runs.Run]:
    return [run for run in live_runs() if run.kind in KINDS and run.params["dataset"] == dataset.name]


def jobs_in_progress(dataset: Dataset) -> None:
    """What is being encoded or drawn, or the last job if it failed."""
    live = _live(dataset)
    if changed("space_live", [dataset.name, *(run.id for run in live)]):
        st.rerun()
    for run in live[:2]:
        run_card(run)
    failed = [
        run
        for run in runs.all_runs()[-6:]
        if run.kind in KINDS and run.status == "failed" and run.params["dataset"] == dataset.name
    ]
    if failed and not live:
        run_card(failed[-1])
