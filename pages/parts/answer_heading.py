"""What stands above a model's recommendations on Cold start: its name, whether it falls back, how it was tested."""

from __future__ import annotations

from typing import Any

import streamlit as st

from mmrec_core import registry, runs
from mmrec_core.serving import answers

BASELINE = "popularity"


@st.cache_data(max_entries=256, show_spinner=False, ttl=60)
def summary(model: str) -> str:
    """What a model is, in a line."""
    return registry.entry("models", model).summary


@st.cache_data(max_entries=256, show_spinner=False)
def test_metrics(folder: str, run_id: str) -> dict[str, Any]:
    """What of a finished run's result its heading says."""
    found = runs.get(run_id).result() or {}
    return {key: found[key] for key in ("metrics", "intervals", "split", "protocol", "seed") if key in found}


def heading(
    head: st.delta_generator.DeltaGenerator,
    name: str,
    found: answers.Answer,
    common: set[int],
    rated: bool,
    run: runs.Run,
) -> None:
    """Labels: whether the model falls back or repeats popularity, and how it did when it was tested."""
    result = test_metrics(str(run.folder), run.id) or {}
    value, interval = result.get("metrics", {}).get("ndcg@10"), result.get("intervals", {}).get("ndcg@10")
    if name == BASELINE:
        head.badge(
            "baseline",
            icon=":material/straighten:",
            color="gray",
            help=(
                "Films by likes in its training rows, the same for everyone. A model that shows the same films has"
                " learned nothing about you."
            ),
        )
    elif found.source == "fallback":
        head.badge(
            "fallback: knows nothing of you" if rated else "no ratings yet: its default list",
            icon=":material/person_off:",
            color="orange",
            help="The model has no information it can use about you, so everyone in your place gets these films.",
        )
    if name != BASELINE and common:
        head.caption(f"{len(common & {int(i) for i in found.items})} of {len(found.items)} also in the popularity list")
    if value is not None and interval:
        predicts = (
            " It predicts stars, so it ranks by expected stars, and rarely rated films can come out on top."
            if "rmse" in result["metrics"]
            else ""
        )
        head.caption(
            f"Test NDCG@10 (users seen in training) {value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]",
            help=(
                f"How it ranked held-out likes of known users: split {result['split']}, protocol {result['protocol']},"
                f" seed {result['seed']}, 95 % interval over users.{predicts}"
            ),
        )
