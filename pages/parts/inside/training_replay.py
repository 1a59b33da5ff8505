"""A training run replayed: item vectors on a plane, the learning curve, and how lists of recommendations change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.serving import recommender
from mmrec_core.spaces import publish
from mmrec_core.types import Dataset, History
from pages.parts import layout, navigation, queued_note
from pages.parts.charts import SERIES, metric_name
from pages.parts.inside.component import component, film, given, keep
from pages.parts.inside.person import learned, offered, your_ratings

TITLE = "Training replay"
ORDER = "15"
QUESTION = "What happens while a model trains?"
LOOK = (
    "Press Play, then compare the lists of two users after the first epoch and at the end: which films do they share?"
)
MODELS = (
    "bpr", "lightgcn", "mf", "lightgcn_multimodal", "ngcf", "sasrec", "gru4rec", "bert4rec", "ncf", "gmf", "mf_bce",
    "vbpr", "lattice", "freedom", "bm3", "mgcn", "mmgcn", "lightgt", "svdpp", "dlrm", "deepfm",
)  # fmt: skip
TOP = 10
PEOPLE = 3
GENRES = 6
_REPLAY = component("training_replay")


@st.cache_data(max_entries=24, show_spinner="Replaying the training …")
def replayed(
    run_id: str, checksum: str, mine: tuple[tuple[int, float], ...], _dataset: Dataset
) -> tuple[dict[str, Any], str | None]:
    """The replay as the script reads it, and the file with the films' places."""
    from mmrec_core.inside import training_replay

    recommender.use_threads(1)
    run = runs.get(run_id)
    people: dict[str, int | History] = {}
    if mine:
        raw = _dataset.items.raw
        people["You"] = recommender.history(_dataset, {raw[row].item(): stars for row, stars in mine})
    for label, row in list(offered(run_id, checksum, _dataset).items())[-PEOPLE:]:
        people[label] = row
    found = training_replay.replay(run, _dataset, people, learned(run_id, checksum, _dataset), TOP)
    there = None
    file = None
    if found.frames[-1].places is not None:
        places = np.stack([frame.places for frame in found.frames])  # type: ignore[misc]
        there = np.flatnonzero(np.isfinite(places[0, :, 0]))
        file = publish.frames(places[:, there])
    shown = sorted({int(i) for frame in found.frames for own in frame.lists.values() for i in own})
    metric = next((k for e in run.epochs() for k in e if "@" in k or k in {"rmse", "auc"}), "")
    data = {
        "frames": [
            {
                "epochs": frame.epochs,
                "label": frame.label,
                "overlap": None if frame.overlap is None else round(frame.overlap, 3),
                "popular": round(frame.popular, 2),
                "shared": round(frame.shared, 2),
                "lists": {name: [int(i) for i in own] for name, own in frame.lists.items()},
            }
            for frame in found.frames
        ],
        "films": {str(row): film(_dataset, row) for row in shown},
        "rows": [] if there is None else there.tolist(),
        "variance": found.variance,
        "curve": [
            {"epoch": int(e["epoch"]) + 1, "loss": float(f"{e['loss']:.5g}"), "score": e.get(metric)}
            for e in run.epochs()
        ],
        "metric": metric_name(metric) if metric else "",
        "people": list(people),
        **colours(_dataset, there),
    }
    return data, file


def colours(dataset: Dataset, rows: Any) -> dict[str, Any]:
    """The most frequent genres, and of each drawn film its genre's number (the last: another)."""
    if rows is None:
        return {"genres": [], "codes": []}
    first = [str(own[0]) if len(own) else "" for own in dataset.catalog["genres"].to_numpy()[rows]]
    genres = [name for name, _ in Counter(name for name in first if name).most_common(GENRES)]
    place = {name: at for at, name in enumerate(genres)}
    return {
        "genres": [{"name": name, "colour": SERIES[at % len(SERIES)]} for at, name in enumerate(genres)],
        "codes": [place.get(name, len(genres)) for name in first],
    }


@navigation.fragment
def draw(dataset: Dataset, run: runs.Run) -> None:
    """The view."""
    from mmrec_core.inside.training_replay import has_snapshots

    if not has_snapshots(run):
        with st.container(border=True):
            st.markdown(f"**{layout.escape(str(run.params['model']))} was trained without snapshots.**")
            st.write(
                "Trainings keep snapshots of their weights where these take at most 5 MB. Train it again to see it."
            )
            if st.button("Train it again", icon=":material/replay:", type="primary", key="again"):
                queued_note.start("inside.again", lambda: [runs.start("train", dict(run.params))])
            queued_note.show("inside.again", linked=False)
        return
    mine = tuple(sorted(your_ratings(dataset).items()))
    data, file = replayed(run.id, dataset.checksum, mine, dataset)
    asked = given("at", "inside.replay", "at", f"{run.id} {hash(mine)}")
    _REPLAY(
        key="inside.replay",
        data={**data, "file": file, "at": asked, "looks": f"{run.id} {hash(mine)}"},
        on_at_change=lambda: keep("at", "inside.replay", "at"),
    )
    plane = (
        f" Places: the first two principal components of the kept vectors, which hold {100 * data['variance']:.0f} % of"
        " their variance. Earlier vectors are turned towards them as a whole (orthogonal Procrustes), so only what"
        " training changed moves. Before training all vectors are short, so the points lie close together. Between two"
        " moments, places are interpolated."
        if data["variance"] is not None
        else " This model has no vector per film, so there is no plane."
    )
    you = "" if mine else " Rate films on Cold start to add your own list."
    epochs = ", ".join(str(frame["epochs"]) for frame in data["frames"][:-1])
    st.caption(
        f"{len(data['frames']) - 1} snapshots were kept, after epochs {epochs}, in 16 bits; the lists are the model’s"
        f" own at each of them, without films that the user has rated in training.{plane}{you}"
    )
