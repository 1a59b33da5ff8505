"""Ranking metrics of a list that is sorted by hand, RMSE beside ranking, and metrics with sampled negatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset
from pages.parts import layout, navigation
from pages.parts.charts import SERIES
from pages.parts.inside.component import component, film, given, keep
from pages.parts.sections import choose_section

TITLE = "Metrics"
ORDER = "10"
QUESTION = "What does a metric reward?"
LOOK = "Drag a film up or down and watch which numbers move, and by how much."

LIST, ERRORS, SAMPLED = "A ranked list", "RMSE and ranking", "Sampled negatives"
TEN = 10
FIRST_LIKED = (1, 4, 9)
_LIST = component("ranked_list")
_ERRORS = component("rmse_and_ranking")
_SAMPLED = component("sampled_negatives")


def draw(dataset: Dataset, run: runs.Run | None) -> None:
    """The view."""
    tab = choose_section([LIST, ERRORS, SAMPLED], "tab")
    if tab == LIST:
        ranked_list(dataset)
    elif tab == ERRORS:
        rmse_and_ranking(dataset)
    else:
        sampled(dataset)


def popular(dataset: Dataset, n: int) -> list[int]:
    """Rows of the most rated films that have a poster, or of the most rated ones."""
    counts = dataset.catalog["n_ratings"].to_numpy()
    pictured = dataset.catalog["poster"].notna().to_numpy()
    return [int(row) for row in np.lexsort((-counts, ~pictured))[:n]]


def read_list(text: str, n: int) -> tuple[list[int], list[int], int] | None:
    """The order, the liked films and the cut-off that a link names; ``None`` where it names none that fits."""
    parts = text.split(".")
    try:
        order, liked = ([int(p) for p in part.split("-") if p] for part in parts[:2])
        k = int(parts[2])
    except (ValueError, IndexError):
        return None
    fits = sorted(order) == list(range(n)) and set(liked) <= set(order) and 1 <= k <= n
    return (order, liked, k) if fits else None


@navigation.fragment
def ranked_list(dataset: Dataset) -> None:
    """Ten films to drag; hearts say which are liked."""
    rows = popular(dataset, TEN)
    n = len(rows)
    first = (list(range(n)), [at for at in FIRST_LIKED if at < n], n)
    asked = given("list", "inside.list", "list")
    order, liked, k = read_list(asked, n) or first
    _LIST(
        key="inside.list",
        data={
            "films": [film(dataset, row) for row in rows],
            "order": order, "liked": liked, "k": k,
            "first": {"order": first[0], "liked": first[1], "k": first[2]},
            "state": asked,
        },
        on_list_change=lambda: keep("list", "inside.list", "list"),
    )  # fmt: skip
    st.caption("The list and the hearts are an example: change both. The metrics are computed as in Compare.")


@st.cache_data(max_entries=32, show_spinner="Reading predictions …")
def predictions(run_id: str, checksum: str, threshold: float, _dataset: Dataset) -> dict[str, Any] | None:
    """Eight test ratings of one user and what a model predicted; ``None`` if no user has so many.

    The user has liked three to five of the eight films, so that there is something to rank.
    """
    run = runs.get(run_id)
    file = run.folder / "row_errors.npz"
    if not file.exists():
        return None
    with np.load(file, allow_pickle=False) as stored:
        rows, predicted = stored["row"], stored["predicted"]
    events = _dataset.interactions
    user = np.asarray(events.need("user"))[rows]
    stars = np.asarray(events.need("rating"))[rows]
    owners, counts = np.unique(user, return_counts=True)
    for owner in owners[np.argsort(-counts, kind="stable")]:
        own = np.flatnonzero(user == owner)[:8]
        if len(own) < 8:
            return None
        if 3 <= int((stars[own] >= threshold).sum()) <= 5:
            items = np.asarray(events.need("item"))[rows[own]]
            return {
                "user": str(_dataset.users.raw[owner]),
                "items": items.tolist(),
                "truth": stars[own].astype(float).tolist(),
                "predicted": np.round(predicted[own].astype(float), 2).tolist(),
            }
    return None


@navigation.fragment
def rmse_and_ranking(dataset: Dataset) -> None:
    """Predictions as sliders: RMSE beside NDCG of the same predictions."""
    scale, threshold = dataset.scale, dataset.manifest.get("relevant_from")
    finished = runs.finished(dataset)
    found, model = None, ""
    for model in ("mf", "svdpp", "bias", "dlrm", *finished):
        if model in finished and scale is not None and threshold is not None:
            found = predictions(finished[model].id, dataset.checksum, threshold, dataset)
        if found is not None:
            break
    if found is None or scale is None or threshold is None:
        st.info(
            "This needs a finished model that predicts ratings, such as mf or bias, and a user with eight test ratings."
            " Train one on Train.",
            icon=":material/info:",
        )
        return
    asked = given("stars", "inside.errors", "stars")
    _ERRORS(
        key="inside.errors",
        data={
            "films": [film(dataset, row) for row in found["items"]],
            "truth": found["truth"], "predicted": found["predicted"], "scale": list(scale), "threshold": threshold,
            "state": asked,
        },
        on_stars_change=lambda: keep("stars", "inside.errors", "stars"),
    )  # fmt: skip
    st.caption(
        f"Eight test ratings of user {layout.escape(found['user'])} and what {layout.escape(model)} predicted for them."
        f" Films with ★ {threshold:g} or more count as liked (♥). The yellow mark is the"
        " given rating, the handle the prediction. Films with equal predictions share their ranks."
    )


@st.cache_data(max_entries=16, show_spinner="Ranking all films for every test user …")
def curves(run_ids: tuple[str, ...], checksum: str, _dataset: Dataset) -> dict[str, Any]:
    """Expected NDCG@10 of models by the number of sampled negatives."""
    from mmrec_core.inside import sampled_metrics

    recommender.use_threads(1)
    return sampled_metrics.curves([runs.get(run_id) for run_id in run_ids], _dataset)


@navigation.fragment
def sampled(dataset: Dataset) -> None:
    """The order of real models by the number of negatives that each liked film is ranked among."""
    finished = {name: run for name, run in runs.finished(dataset).items() if name not in {"random", "bias"}}
    able = [name for name in finished if runs.get(finished[name].id).record.get("status") == "finished"]
    if len(able) < 2:
        st.info("This needs two or more finished models. Train some on Train.", icon=":material/info:")
        return
    usual = [m for m in ("popularity", "itemknn", "ease", "bpr", "lightgcn", "mf", *able) if m in able]
    chosen = st.multiselect(
        "Models", able, default=list(dict.fromkeys(usual))[:3], key="sampled.models", max_selections=5
    )
    if not chosen:
        st.caption("Choose a model.")
        return
    found = curves(tuple(finished[name].id for name in chosen), dataset.checksum, dataset)
    asked = given("n", "inside.sampled", "n", " ".join(chosen))
    _SAMPLED(
        key="inside.sampled",
        data={
            "sizes": found["sizes"], "candidates": found["candidates"],
            "models": [
                {"name": name, "values": found["values"][at], "colour": SERIES[at % len(SERIES)]}
                for at, name in enumerate(chosen)
            ],
            "state": asked,
        },
        on_n_change=lambda: keep("n", "inside.sampled", "n"),
    )  # fmt: skip
    st.caption(
        f"{found['pairs']:,} liked test films of {found['users']:,} users, each ranked against n films drawn at random,"
        " each at most once, among those that its user has not rated (Krichene and Rendle 2020). The value is the exact"
        " expectation over the draws, computed from the rank among all films. It is the mean over films, while Compare"
        " takes the mean over users."
    )
