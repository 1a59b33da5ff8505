"""Train a small dual encoder on posters and plots, or align two encoders; and what earlier ones found."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from mmrec_core import runs
from mmrec_core.data import preparation
from mmrec_core.types import Dataset
from pages.parts import queued_note
from pages.parts.alignment_form import alignment_form
from pages.parts.retrieval import retrieval_lines

NAMES = {
    "mini_clip": "trained from scratch with the contrastive loss of CLIP: each text must identify its own poster among"
    " those of the batch",
    "mini_siglip": "trained from scratch with SigLIP's loss: every text and poster is a yes or no of its own",
    "aligned": "a joint space of two encoders that stay as they are: one linear layer on each learns from this"
    " dataset's own plots and posters, in seconds",
}


def encoder_training(dataset: Dataset) -> None:
    """The form, and the last results on this dataset."""
    ready = [
        n
        for n in preparation.prepared()
        if preparation.open_dataset(n).manifest["posters"] and preparation.open_dataset(n).manifest["plots"]
    ]
    if dataset.name not in ready:
        st.caption(
            f":material/block: {dataset.name} has no films with both a poster and a plot, so there are no pairs to"
            " learn from."
        )
        return
    st.caption(
        "A text encoder and an image encoder share one space, so that a text finds its poster. Quality is measured by"
        " retrieval on held-out films."
    )
    name = st.segmented_control("Encoder", [*NAMES], default="mini_clip", required=True, key="enc.name") or "mini_clip"
    st.caption(f"**{name}**: {NAMES[name]}.")
    if name == "aligned":
        alignment_form(dataset)
        return
    also = st.multiselect(
        "Learn from more datasets, too",
        [n for n in ready if n != dataset.name],
        key="enc.also",
        placeholder="this one alone",
    )
    with st.grid(min_column_width=150):
        held = st.number_input(
            "Films held out to test it (%)",
            5,
            50,
            20,
            key="enc.held",
            help="Share of films that is not learned from; retrieval is evaluated on these.",
        )
        epochs = st.number_input("max epochs", 1, 1000, 30, key="enc.epochs", help="Passes over the pairs at most.")
        batch = st.number_input(
            "batch size (pairs)",
            8,
            4096,
            256,
            key="enc.batch",
            help="Pairs in one step; each text is told from all other posters of the batch.",
        )
        lr = st.number_input(
            "lr",
            1e-5,
            0.1,
            0.002,
            format="%g",
            key="enc.lr",
            help="Size of a step (AdamW's learning rate); a cosine lowers it to zero.",
        )
        seed = st.number_input(
            "Seed", 0, 2**31 - 1, 0, key="enc.seed", help="Drives which films are held out, first weights and order."
        )
    if st.button("Train the encoder", icon=":material/play_arrow:", key="enc.start"):
        options = {"max_epochs": int(epochs), "batch_size": int(batch), "lr": float(lr)}
        params = runs.encoder_training_params
        queued_note.start(
            "encoder",
            lambda: [
                runs.start(
                    "train-encoder",
                    params([dataset.name, *also], name, seed=int(seed), held_out=held / 100, options=options),
                )
            ],
        )
    queued_note.show("encoder")
    done = [
        r
        for r in runs.all_runs()[::-1]
        if r.kind == "train-encoder" and r.record["status"] == "finished" and r.params["dataset"] == dataset.name
    ]
    for run in done[:4]:
        result(run)


def result(run: runs.Run) -> None:
    """How well text and poster of held-out films find each other."""
    results: dict[str, Any] = run.result() or {}
    found = results.get("retrieval")
    if not found:
        return
    with st.container(border=True):
        st.markdown(
            f"**{run.params['encoder']}**, seed {run.params['seed']}"
            f" :small[:gray[{time.strftime('%d %b %H:%M', time.localtime(run.record['created']))}]]"
        )
        retrieval_lines(found)
        st.caption("To use it: Space → Encode, with these weights.")
        st.code(results["weights"], language=None)
