"""Gradient steps on one comparison of a matrix factorisation, as arrows in a plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset
from pages.parts import navigation
from pages.parts.inside.component import component, film, given, keep
from pages.parts.inside.person import choose_person, learned

TITLE = "Gradient step"
ORDER = "20"
QUESTION = "What does one training step change?"
LOOK = (
    "Press Step: the user’s arrow moves along the dotted line, from the other film towards the liked one. Then try a"
    " larger learning rate, or a larger penalty."
)
MODELS = ("bpr", "mf", "mf_bce")
STEPS = 120
LOSSES = {
    "bpr": "−log σ(score of the liked film − score of the other film) + l2 · squared lengths",
    "mf_bce": "−log σ(score of the liked film) − log σ(−score of the other film), + l2 · squared lengths",
    "mf": "squared errors of the two predicted ratings + l2 · squared lengths",
}
LEARNING_RATES = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
PENALTIES = [0.0, 0.0001, 0.001, 0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
_STEP = component("gradient_step")


def nearest(values: list[float], value: float) -> int:
    """Position of the value of a slider that is nearest to a setting."""
    return int(np.argmin(np.abs(np.log(np.array(values) + 1e-6) - np.log(value + 1e-6))))


@st.cache_data(max_entries=64, show_spinner="Taking steps …")
def steps(run_id: str, checksum: str, user: int, draw: int, lr: float, l2: float, _dataset: Dataset) -> dict[str, Any]:
    """States of :data:`STEPS` steps, projected on the plane, as the script reads them."""
    from mmrec_core.inside import gradient_step, training_rows

    recommender.use_threads(1)
    run = runs.get(run_id)
    model = recommender.load_run_model(run.folder)
    train = training_rows.train_set(model, _dataset, learned(run_id, checksum, _dataset))
    chosen = gradient_step.draw_comparison(model, train, user, draw)
    how = (run.result() or {}).get("settings", {})
    found = gradient_step.walk(
        model,
        chosen,
        STEPS,
        lr=lr,
        l2=l2,
        weight_decay=float(how.get("weight_decay") or 0.0),
        clip=float(how.get("clip") or 0.0),
    )
    plane = gradient_step.plane_of(found)

    def flat(values: Any) -> list[list[float]]:
        return [[float(f"{v:.5g}") for v in row @ plane.axes.T] for row in values]

    return {
        "first": chosen.first,
        "second": chosen.second,
        "ratings": chosen.ratings,
        "kept": plane.kept,
        "width": found[0].vectors.shape[1],
        "kind": str(run.params["model"]),
        "wrong": gradient_step.in_wrong_order(model, train, user),
        "states": [
            {
                "vectors": flat(s.vectors),
                "gradients": flat(s.gradients) if s.step in {0, 1} or s.step % 5 == 0 else None,
                "scores": [float(f"{v:.5g}") for v in s.scores],
                "loss": float(f"{s.loss:.5g}"),
                "pull": float(f"{np.linalg.norm(s.gradients[0]):.4g}"),
            }
            for s in found
        ],
    }


@navigation.fragment
def draw(dataset: Dataset, run: runs.Run) -> None:
    """The view."""
    person = choose_person(dataset, run, you=False)
    if person is None:
        return
    how = (run.result() or {}).get("settings", {})
    usual = [nearest(LEARNING_RATES, float(how.get("lr", 0.002))), nearest(PENALTIES, float(how.get("l2", 0.005)))]
    asked = st.query_params.get("how", "")
    parts = asked.split("-")
    fits = len(parts) == 4 and all(part.isdecimal() for part in parts)
    lr, l2, which, at = [int(part) for part in parts] if fits else [*usual, 0, 0]
    lr, l2 = min(lr, len(LEARNING_RATES) - 1), min(l2, len(PENALTIES) - 1)
    looks = f"{run.id} {person.row} {which % 100} {lr} {l2}"
    begun = given("how", "inside.step", "how", looks).rpartition("-")[2]
    at = int(begun) if begun.isdecimal() else 0
    found = steps(run.id, dataset.checksum, person.row, which % 100, LEARNING_RATES[lr], PENALTIES[l2], dataset)
    _STEP(
        key="inside.step",
        data={
            **found,
            "films": [film(dataset, found["first"]), film(dataset, found["second"])],
            "user": person.label,
            "rates": LEARNING_RATES, "penalties": PENALTIES, "usual": usual,
            "how": [lr, l2, which % 100, min(at, STEPS)],
            "looks": looks,
        },
        on_how_change=lambda: keep("how", "inside.step", "how"),
    )  # fmt: skip
    model = str(run.params["model"])
    wide = (
        "A model with two factors: the plane is its space."
        if found["width"] <= 2
        else f"The model has {found['width']} factors. The plane is the one that holds most of these arrows:"
        f" {100 * found['kept']:.0f} % of their squared length. Scores and loss are computed with all factors."
    )
    st.caption(
        f"Loss of {model}: {LOSSES[model]}. The steps are those that the trainer (AdamW) would take from the trained"
        f" weights on a batch with this comparison alone, with a new optimiser, as after a warm start. {wide}"
    )
