"""Whose data a view shows: the visitor, if they have rated films on Cold start, or a user of the dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.serving import recommender
from mmrec_core.serving.rating_links import read_ratings
from mmrec_core.types import Array, Dataset, History
from pages.parts import navigation

YOU = "You"
SPREAD = (0.15, 0.4, 0.65, 0.9)
"""Quantiles of the number of training ratings at which users are offered."""


@dataclass(frozen=True)
class Person:
    """A user and what the run knows of them."""

    row: int
    """Row of a known user; −1 for the visitor."""
    label: str
    history: History
    """Ratings in time order: those that the run learned from, or the visitor's."""


@st.cache_resource(max_entries=16, show_spinner=False)
def learned(run_id: str, checksum: str, _dataset: Dataset) -> Array:
    """Row numbers that a run learned from."""
    from mmrec_core.inside.training_rows import training_rows

    return training_rows(runs.get(run_id), _dataset)


@st.cache_data(max_entries=16, show_spinner=False)
def offered(run_id: str, checksum: str, _dataset: Dataset) -> dict[str, int]:
    """Users with few to many training ratings: label → row."""
    rows = learned(run_id, checksum, _dataset)
    counts = np.bincount(np.asarray(_dataset.interactions.need("user"))[rows], minlength=len(_dataset.users))
    there = np.flatnonzero(counts >= 3)
    order = there[np.argsort(counts[there], kind="stable")]
    if not len(order):
        return {}
    chosen = dict.fromkeys(int(order[int(share * (len(order) - 1))]) for share in SPREAD)
    return {f"User {_dataset.users.raw[row]} · {counts[row]} ratings": row for row in chosen}


def your_ratings(dataset: Dataset) -> dict[int, float]:
    """What the visitor rated: in this link, or on Cold start."""
    text = st.query_params.get("ratings") or navigation.remembered("cold_start", dataset.name).get("ratings") or ""
    return read_ratings(text[0] if isinstance(text, list) else text, dataset)


def choose_person(dataset: Dataset, run: runs.Run, *, you: bool = True) -> Person | None:
    """The user to show, by the link or by choice; ``None`` with an explanation where there is none.

    Args:
        dataset: the dataset.
        run: the run that is opened.
        you: whether the view can show the visitor.
    """
    known = offered(run.id, dataset.checksum, dataset)
    mine = your_ratings(dataset) if you else {}
    names = ([f"{YOU} · {len(mine)} ratings"] if mine else []) + list(known)
    asked = st.query_params.get("who", "")
    chosen = next((name for name in names if _id(name, dataset, known) == asked), None)
    if asked and chosen is None:
        try:
            row = dataset.users.row(asked, "user id")
            chosen = f"User {dataset.users.raw[row]}"
            names, known = [*names, chosen], {**known, chosen: row}
        except MMRecError:
            st.caption(f"No user of {dataset.name} has the id in the link.")
    if not names:
        st.info("No user has three ratings in training.", icon=":material/info:")
        return None
    st.session_state["inside.who"] = chosen or names[0]

    def choose() -> None:
        st.query_params["who"] = _id(str(st.session_state["inside.who"]), dataset, known)

    hint = "Choose one, or type a user’s id."
    hint += " Rate films on Cold start to see yourself here." if you and not mine else ""
    name = str(
        st.selectbox(
            "User",
            names,
            key="inside.who",
            on_change=choose,
            width=280,
            accept_new_options=True,
            help=hint,
        )
    )
    if name.startswith(YOU) and mine:
        history = recommender.history(dataset, {dataset.items.raw[row].item(): stars for row, stars in mine.items()})
        return Person(-1, "you", history)
    row = known.get(name)
    if row is None:
        try:
            row = dataset.users.row(name.removeprefix("User ").strip(), "user id")
        except MMRecError as error:
            st.warning(str(error), icon=":material/person_search:")
            return None
    from mmrec_core.inside.training_rows import history as history_of

    own = history_of(dataset, learned(run.id, dataset.checksum, dataset), row)
    return Person(row, f"user {dataset.users.raw[row]}", own)


def _id(name: str, dataset: Dataset, known: dict[str, int]) -> str:
    """What the link calls a choice."""
    if name.startswith(YOU):
        return "you"
    return str(dataset.users.raw[known[name]]) if name in known else name.removeprefix("User ").strip()
