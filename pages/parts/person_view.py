"""A person: their history, what one or two models recommend, and which held-out films were found."""

from __future__ import annotations

import time

import numpy as np
import streamlit as st

from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import Row
from mmrec_core.analysis.error_analysis import TOP
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import hidden
from mmrec_core.types import Array, Dataset, Query, Split
from pages.parts import hidden_names, layout
from pages.parts.evaluated_models import as_evaluated
from pages.parts.poster_grid import film_card, poster_grid

MOST_SHOWN = 60


def person(dataset: Dataset, split: Split, user: int, rows: list[Row], labels: list[str]) -> None:
    """The whole view of one person."""
    events = dataset.interactions
    own = np.flatnonzero(np.asarray(events.need("user")) == user)
    known, asked = np.intersect1d(own, np.concatenate([split.train, split.validation])), np.intersect1d(own, split.test)
    about(dataset, user, own, known, asked)
    history(dataset, known)
    liked = asked[likes(dataset, asked, rows[0])] if rows else asked
    lists = {row.label: lists_of(dataset, split, row, user, known) for row in rows}
    held_out(dataset, liked, lists, labels)
    columns = st.columns(len(rows), gap="large") if rows else []
    for place, (column, row) in enumerate(zip(columns, rows, strict=True)):
        other = next((r for r in rows if r is not row), None)
        with column:
            st.markdown(f"**{layout.escape(hidden_names.name(row.label, labels))}**")
            shown = lists[row.label]
            if isinstance(shown, str):
                st.info(shown, icon=":material/info:")
                continue
            theirs = lists[other.label] if other is not None else None
            beside = theirs if isinstance(theirs, np.ndarray) else None
            poster_grid(
                [card(dataset, int(i), at, liked, beside) for at, i in enumerate(shown[:TOP])],
                key=f"list-{place}",
                size="small",
                on_open=opened,
                label=f"Recommendations of {hidden_names.name(row.label, labels)}",
            )
    if len(rows) == 2:
        st.caption(
            "A green frame with ✓: a held-out film this user liked. ▲ and ▼: how many places higher or lower than in"
            " the other list; “only here”: not among the other’s first twenty."
        )


def about(dataset: Dataset, user: int, own: Array, known: Array, asked: Array) -> None:
    """A line on who this is."""
    events = dataset.interactions
    lines = [f"{len(known):,} training and validation ratings, {len(asked)} test ratings"]
    if events.rating is not None:
        lines.append(f"mean ★ {float(np.asarray(events.rating)[own].mean()):.2f}")
    if events.time is not None:
        days = [
            time.strftime("%d %b %Y", time.gmtime(int(t)))
            for t in (np.asarray(events.time)[own].min(), np.asarray(events.time)[own].max())
        ]
        lines.append(f"{days[0]} to {days[1]}" if days[0] != days[1] else f"all on {days[0]}")
    if dataset.user_table is not None:
        record = dataset.user_table.iloc[user]
        lines += [
            f"{layout.escape(str(c))} {layout.escape(str(v))}"
            for c, v in record.items()
            if str(c) not in {"user", "userId"}
        ]
    st.markdown(f"**User {layout.escape(str(dataset.users.raw[user]))}** · " + " · ".join(lines))


def history(dataset: Dataset, known: Array) -> None:
    """What is known of them, as a strip of posters, the latest first."""
    events = dataset.interactions
    item = np.asarray(events.need("item"))[known]
    order = (
        np.arange(len(known))[::-1]
        if events.time is None
        else np.argsort(-np.asarray(events.time)[known], kind="stable")
    )
    stars = None if events.rating is None else np.asarray(events.rating)[known]
    films = [
        film_card(dataset, int(item[at]), note="watched" if stars is None else layout.stars(float(stars[at])))
        for at in order[:MOST_SHOWN]
    ]
    st.caption(f"History, the latest first{f' ({MOST_SHOWN} of {len(known):,})' if len(known) > MOST_SHOWN else ''}")
    if films:
        poster_grid(films, key="history", size="row", on_open=opened, label="History")
    else:
        st.info("Nothing of this user is in the training rows: every model falls back.", icon=":material/person_off:")


def likes(dataset: Dataset, rows: Array, row: Row) -> Array:
    """Which rows count as liked under a result's threshold."""
    rating, bar = dataset.interactions.rating, row.key.relevant_from
    return np.ones(len(rows), bool) if rating is None or bar is None else np.asarray(rating)[rows] >= bar


@st.cache_data(max_entries=512, show_spinner=False)
def lists_computed(
    run_id: str, split_checksum: str, user: int, known: tuple[int, ...], top: int, _dataset: Dataset, _split: Split
) -> Array:
    """A trained model's list for a person, asked as evaluation asks it; known films left out, held-out ones not."""
    model = as_evaluated(run_id, split_checksum, _dataset, _split)
    return np.asarray(model.recommend_rows(Query(np.array([user])), [np.array(known, np.int64)], top)[0][0])


def lists_of(dataset: Dataset, split: Split, row: Row, user: int, known: Array) -> Array | str:
    """The first twenty films of a result for a person; words where there are none."""
    if (held := comparison.arrays(row.run, "first.npz")) is not None:
        at = int(np.searchsorted(held["user"], user))
        if at < len(held["user"]) and held["user"][at] == user:
            items = held["items"][at]
            return np.asarray(items[items >= 0])
    if row.trained is None:
        return "An oracle’s list is kept for people with held-out likes only."
    known_items = tuple(hidden(row.key.protocol, np.asarray(dataset.interactions.need("item"))[known]).tolist())
    try:
        return lists_computed(row.trained, split.checksum, user, known_items, 20, dataset, split)
    except MMRecError as error:
        return str(error)


def held_out(dataset: Dataset, liked: Array, lists: dict[str, Array | str], labels: list[str]) -> None:
    """Liked films that were held out, and where each model put them."""
    if not len(liked):
        st.caption("This user liked nothing among the held-out rows.")
        return
    items = np.asarray(dataset.interactions.need("item"))[liked]
    stars = None if dataset.interactions.rating is None else np.asarray(dataset.interactions.rating)[liked]
    films = []
    for at, item in enumerate(items.tolist()):
        places = {
            n: int(np.flatnonzero(found == item)[0]) + 1 if (found == item).any() else 0
            for n, found in lists.items()
            if isinstance(found, np.ndarray)
        }
        hit = any(0 < p <= TOP for p in places.values())
        why = " · ".join(
            f"{hidden_names.name(n, labels)} {f'#{p}' if p else 'not in top 20'}" for n, p in places.items()
        )
        note = "liked" if stars is None else layout.stars(float(stars[at]))
        films.append(
            film_card(
                dataset, item, note=note, why=why, mark="hit" if hit else "miss", says="found" if hit else "missed"
            )
        )
    st.caption("Held-out films they liked: ✓ among the first ten of a list below, ✕ missed")
    poster_grid(films[:MOST_SHOWN], key="heldout", size="row", on_open=opened, label="Held-out likes")


def card(dataset: Dataset, item: int, at: int, liked: Array, other: Array | None) -> dict[str, object]:
    """One recommended film."""
    hit = bool((np.asarray(dataset.interactions.need("item"))[liked] == item).any())
    move = ""
    if other is not None:
        there = np.flatnonzero(other == item)
        by = int(there[0]) - at if len(there) else None
        move = "only here" if by is None else "same place" if by == 0 else f"▲ {by}" if by > 0 else f"▼ {-by}"
    return {**film_card(dataset, item, note=move, mark="hit" if hit else "", says="liked, held out"), "rank": at + 1}


def opened() -> None:
    """A poster was chosen: its case with this user."""
    for key in ("history", "heldout", "list-0", "list-1"):
        event = st.session_state.get(key)
        if event is not None and event.get("open") is not None:
            st.session_state["open_case"] = int(event["open"])
