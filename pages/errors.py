"""Where models fail, and why: slices, the worst cases, a user’s lists, exact what-ifs, and a notebook of what you
find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core.analysis import comparison, error_analysis, error_annotations, paired
from mmrec_core.analysis.comparison import Row
from mmrec_core.analysis.error_analysis import SORTS, EvaluatedRows
from mmrec_core.errors import MMRecError
from mmrec_core.maintenance import damage
from mmrec_core.types import Array, Dataset, Split
from pages.parts import damaged_files, hidden_names, layout, links, slices
from pages.parts.annotation_panel import notebook, panel
from pages.parts.case_view import case
from pages.parts.evaluation_setup import choose_setup, rows_of_setup
from pages.parts.person_view import person
from pages.parts.sections import choose_section

TITLE = "Errors"
ICON = ":material/troubleshoot:"
ORDER = "55"

layout.frame()

LOOKS = ["Slices", "User", "Case", "Notebook"]
MOST_CHOICES = 12_000
"""Films that a select box may list; a larger catalog is asked for an id."""
NOTHING = "nothing"
FIRST = ("ease", "bpr", "mf", "dlrm", "popularity")
dataset = layout.needs_dataset()
layout.needs_films(dataset)


def choose_models(rows: list[Row]) -> list[Row]:
    """One model, and a second to set beside it."""
    by = {r.label: r for r in rows}
    best = sorted((r for r in rows if r.kind != "oracle"), key=lambda r: -(r.result["metrics"].get("ndcg@10") or 0))
    usual = [n for n in FIRST if n in by] or [r.label for r in best] or [*by]
    labels = [*by]
    shown = hidden_names.order(labels)
    asked = {name: st.query_params.get(name) for name in ("a", "b")}
    linked = {
        name: comparison.find(rows, label) if label else None for name, label in asked.items()
    }  # by label, description or run
    first = linked["a"].label if linked["a"] is not None else usual[0]
    tell = None if hidden_names.hidden() else keep_in_link  # the address would tell the names
    with st.container(horizontal=True, vertical_alignment="bottom"):
        a = st.selectbox(
            "Model",
            shown,
            index=shown.index(first),
            key=hidden_names.key("a.asked"),
            on_change=tell,
            args=("a",),
            width=260,
            format_func=lambda n: hidden_names.name(n, labels),
        )
        beside_it = [*(n for n in shown if n != a), NOTHING]
        other = next((n for n in (*usual, *(r.label for r in best), "popularity") if n in beside_it), NOTHING)
        second = linked["b"].label if linked["b"] is not None and linked["b"].label in beside_it else other
        b = st.selectbox(
            "Compare with",
            beside_it,
            index=beside_it.index(second),
            key=hidden_names.key("b.asked"),
            on_change=tell,
            args=("b",),
            width=260,
            format_func=lambda n: n if n == NOTHING else hidden_names.name(n, labels),
        )
        st.toggle(
            "Hide model names",
            key="blind",
            bind="query-params",
            help="Codes without knowing which model is which: names are replaced, and their order is drawn.",
        )
    return [by[n] for n in (a, b) if n in by]


@st.cache_resource(max_entries=8, show_spinner="Dividing the ratings …")
def split_for(name: str, checksum: str, key: str, _dataset: Dataset, _row: Row) -> Split:
    """The rows' division, made once."""
    return paired.split_of(_dataset, _row)


@st.cache_data(max_entries=32, show_spinner=False)
def evaluated_rows(run_id: str, _dataset: Dataset, _split: Split, _row: Row) -> EvaluatedRows:
    """A result's test rows."""
    return error_analysis.evaluated_rows(_dataset, _split, _row)


@st.cache_data(max_entries=8, show_spinner="Looking where plots and posters disagree …")
def outlier_scores(name: str, checksum: str, _dataset: Dataset) -> Array | None:
    """How far each film's plot and poster disagree."""
    return error_analysis.disagreement(_dataset)


@st.cache_data(max_entries=8, show_spinner="Cutting slices …")
def choose_slice(
    name: str,
    checksum: str,
    split_checksum: str,
    saved: tuple[str, ...],
    stamp: int,
    known: str,
    _dataset: Dataset,
    _split: Split,
) -> dict[str, dict[str, Array]]:
    """Every slice there is."""
    held = {n: rows for n in saved if (rows := slices.load(_dataset, n)) is not None}
    return error_analysis.slices(_dataset, _split, _split.test, outlier_scores(name, checksum, _dataset), held, known)


def slices_tab(rows: list[Row], split: Split, labels: list[str]) -> None:
    """Families of slices, their figures, the worst cases of one."""
    lines = [evaluated_rows(r.run.id, dataset, split, r) for r in rows]
    families = choose_slice(
        dataset.name,
        dataset.checksum,
        split.checksum,
        tuple(slices.names(dataset)),
        slices.stamp(dataset),
        rows[0].key.known,
        dataset,
        split,
    )
    family = st.pills(
        "Slices by", [*families], default=next(iter(families)), required=True, key="family", bind="query-params"
    ) or next(iter(families))
    metrics_table(families[family], lines, rows, labels)
    hits_and_recall(lines, rows, labels)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Slice", [*families[family]], key=f"slice.{family}", width=300, persist_state="session")
        can = [s for s in SORTS if sort_is_possible(s, lines)]
        sort = (
            st.segmented_control(
                "Show",
                can,
                default=can[0],
                required=True,
                key="sort",
                persist_state="session",
                help=" · ".join(f"**{s}**: {SORTS[s]}" for s in can),
            )
            or can[0]
        )
        n = st.number_input("Cases", 5, 200, 20, 5, key="n", width=110, persist_state="session")
        seed = (
            int(st.number_input("Seed", 0, 10**6, 0, key="seed", width=110, help="The same seed draws the same cases."))
            if sort == "random"
            else None
        )
    st.caption(SORTS[sort])
    try:
        where = error_analysis.worst(
            lines[0],
            families[family][name],
            sort,
            int(n),
            dataset,
            split,
            lines[1] if len(lines) > 1 else None,
            seed or 0,
        )
    except MMRecError as error:
        st.info(str(error), icon=":material/info:")
        return
    chosen = events_table(where, lines, rows, labels, name, seed)
    if chosen is not None:
        u, i = int(lines[0].user[chosen]), int(lines[0].item[chosen])
        st.caption(
            f"Tags for the chosen case: user {layout.escape(str(dataset.users.raw[u]))} and"
            f" {layout.escape(str(dataset.catalog['title'].iloc[i]))}"
        )
        panel(
            dataset,
            "rating",
            link=links.rating(dataset, str(dataset.users.raw[u]), i, *[r.label for r in rows]),
            user=str(dataset.users.raw[u]),
            film=str(dataset.items.raw[i]),
            run=rows[0].run.id,
            model=rows[0].label,
            beside=compared_with(rows),
            slice=name,
        )
        return
    st.caption(f"Tags for the slice: {layout.escape(name)}")
    panel(
        dataset,
        "slice",
        link=links.to("errors", dataset, look="Slices", family=family, a=rows[0].label),
        slice=name,
        run=rows[0].run.id,
        model=rows[0].label,
        beside=compared_with(rows),
    )


def sort_is_possible(sort: str, info: list[EvaluatedRows]) -> bool:
    """Whether an order can be told of these results."""
    return {
        "largest error": info[0].error is not None,
        "missed films": info[0].place is not None,
        "largest difference": len(info) > 1,
        "outliers": info[0].rating is not None,
    }.get(sort, True)


def metrics_table(masks: dict[str, Array], info: list[EvaluatedRows], rows: list[Row], labels: list[str]) -> None:
    """A line per slice, with n and intervals."""
    measured = {name: [error_analysis.measure(t, mask) for t in info] for name, mask in masks.items()}
    data: dict[str, list[Any]] = {
        "Slice": [*masks],
        "n": [m[0]["n"] for m in measured.values()],
        "Relevant": [m[0]["likes"] for m in measured.values()],
        "Users": [m[0]["people"] for m in measured.values()],
    }
    meaning = {"found": "Hits in top 10 ↑", "rmse": "RMSE ↓"}
    for at, label in enumerate(r.label for r in rows):
        for key, title in meaning.items():
            if any(key in m[at] for m in measured.values()):
                data[f"{title} · {hidden_names.name(label, labels)}"] = [
                    comparison.figure(*m[at][key]) if key in m[at] else "–" for m in measured.values()
                ]
    st.dataframe(
        pd.DataFrame(data),
        hide_index=True,
        height="content" if len(masks) < 14 else 480,
        key="slices.table",
        alt="Figures by slice",
        column_config={
            "Slice": st.column_config.TextColumn(pinned=True),
            "n": st.column_config.NumberColumn(format="localized", help="Test ratings in the slice."),
            "Relevant": st.column_config.NumberColumn(
                format="localized", help="Test ratings from the relevance threshold on."
            ),
            "Users": st.column_config.NumberColumn(format="localized"),
            **{
                c: st.column_config.TextColumn(
                    help=(
                        "Share of the relevant test ratings in a top 10. Brackets: 95 % interval, clustered by user."
                        if c.startswith("Hits")
                        else "Root mean squared error of predicted stars. Brackets: 95 % interval, clustered by user."
                    )
                )
                for c in data
                if "·" in c
            },
        },
    )
    if not any("found" in m[0] or "rmse" in m[0] for m in measured.values()):
        st.info(
            "This result was kept before lists were: evaluate the run again on Compare, or train it again.",
            icon=":material/refresh:",
        )


def hits_and_recall(info: list[EvaluatedRows], rows: list[Row], labels: list[str]) -> None:
    """Why hits in the top 10 are another figure than Recall@10 on Compare, by which one could tell hidden models."""
    if hidden_names.hidden():
        return
    parts = []
    for evaluated, row in zip(info, rows, strict=True):
        if (found := error_analysis.hits_beside_recall(evaluated, row)) is not None:
            hits, likes, recall = found
            name = layout.escape(hidden_names.name(row.label, labels))
            parts.append(f"{name} {hits:,} of {likes:,} = {hits / likes:.3f}, Recall@10 {recall:.3f}")
    if parts:
        st.caption(
            ":material/info: “Hits in top 10” is the share of relevant test ratings of all users together. Recall@10 on"
            " Compare is the mean of the users’ shares: a user with one relevant film counts as much as one with fifty."
            f" Over all test ratings: {'; '.join(parts)}."
        )


def events_table(
    where: Array, info: list[EvaluatedRows], rows: list[Row], labels: list[str], name: str, seed: int | None
) -> int | None:
    """The cases as a table; choose one to open it. The chosen one's place among the test rows."""
    if not len(where):
        st.info("No such case in this slice.", icon=":material/check_circle:")
        return None
    first = info[0]
    raw_user, raw_item, titles = dataset.users.raw, dataset.items.raw, dataset.catalog["title"]
    data: dict[str, list[Any]] = {
        "User": [str(raw_user[u]) for u in first.user[where]],
        "Film": [str(titles.iloc[i]) for i in first.item[where]],
    }
    if first.rating is not None:
        data["Stars"] = first.rating[where].tolist()
    for t, label in zip(info, (r.label for r in rows), strict=True):
        shown = hidden_names.name(label, labels)
        if t.predicted is not None:
            data[f"{shown} predicts"] = t.predicted[where].tolist()
        if t.place is not None:
            data[f"Rank · {shown}"] = [
                f"#{p}" if p > 0 else "not in top 20" if p == 0 else "–" for p in t.place[where].tolist()
            ]
    event = st.dataframe(
        pd.DataFrame(data),
        hide_index=True,
        height=min(36 * len(where) + 40, 420),
        key=f"cases.{name}.{len(where)}.{seed}",
        on_select="rerun",
        selection_mode="single-row",
        alt=f"{len(where)} cases of {name}",
        column_config={
            c: st.column_config.NumberColumn(format="%.2f") for c in data if c.endswith("predicts") or c == "Stars"
        },
    )
    chosen = event.selection.rows if event is not None else []
    with st.container(horizontal=True):
        if not chosen:
            st.caption("Select a row, then open its case or its user.")
        if st.button(
            "Open the case",
            icon=":material/open_in_new:",
            disabled=not chosen,
            key="open.case",
            type="primary",
            help="Choose a row first: its first column has a box to tick.",
        ):
            open_tab("Case", int(first.user[where[chosen[0]]]), int(first.item[where[chosen[0]]]))
        if st.button("Open this user", icon=":material/person:", disabled=not chosen, key="open.person"):
            open_tab("User", int(first.user[where[chosen[0]]]))
        if seed is not None and st.button(
            f"Put these {len(where)} into the notebook",
            icon=":material/playlist_add:",
            key="sample",
            help="As cases to be coded, with the seed that drew them.",
        ):
            drawn = []
            for at in where:
                who, what = str(raw_user[first.user[at]]), str(raw_item[first.item[at]])
                drawn.append(
                    error_annotations.case(
                        "rating",
                        user=who,
                        film=what,
                        run=rows[0].run.id,
                        model=rows[0].label,
                        beside=compared_with(rows),
                        seed=seed,
                        slice=name,
                        blind=hidden_names.hidden(),
                        link=links.rating(dataset, who, int(first.item[at]), *[r.label for r in rows]),
                    )
                )
            error_annotations.put(dataset, *drawn)
            st.toast(f"{len(drawn)} cases are in the notebook.", icon=":material/playlist_add:")
    return int(where[chosen[0]]) if chosen else None


def open_tab(look: str, user: int, item: int | None = None) -> None:
    """Open a person or a case on the next run."""
    st.session_state["go"] = {"look": look, "who": str(dataset.users.raw[user])}
    if item is not None:
        st.session_state["go"]["what"] = links.film(dataset, item)
    st.rerun()


def read_link() -> None:
    """Where a button of the run before wanted to go. The person and the film are written into the address here, because
    a bound widget that was not there before leaves them out."""
    if (item := st.session_state.pop("open_case", None)) is not None:
        st.session_state["go"] = {"look": "Case", "what": links.film(dataset, item)}
    wanted = st.session_state.pop("go", {})
    if "look" in wanted:
        st.query_params["look"] = wanted["look"]
    for key in ("who", "what"):
        if key in wanted:
            st.query_params[key] = wanted[key]
            st.session_state.pop(f"{key}.asked", None)


def keep_in_link(key: str) -> None:
    """What was typed or chosen goes into the address."""
    st.query_params[key] = st.session_state[f"{key}.asked"]


def choose_user(split: Split) -> int | None:
    """The person asked for; the first with many held-out ratings where nobody is."""
    users, n = np.unique(np.asarray(dataset.interactions.need("user"))[split.test], return_counts=True)
    if not len(users):
        st.info("Nobody has held-out ratings on this split.", icon=":material/info:")
        return None
    asked = st.query_params.get("who") or str(dataset.users.raw[users[np.argmax(n)]])
    st.session_state["who.asked"] = asked
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "User", key="who.asked", on_change=keep_in_link, args=("who",), width=200, help="An id of the dataset."
        )
        if st.button("Another, at random", icon=":material/shuffle:", key="who.random"):
            open_tab(st.query_params.get("look", "User"), int(np.random.default_rng().choice(users)))
    user = dataset.users.find(text.strip())
    if user is None:
        st.info(
            f"{dataset.name} has no user “{layout.escape(text)}”. Ids run from"
            f" {layout.escape(str(dataset.users.raw[0]))} to {layout.escape(str(dataset.users.raw[-1]))}.",
            icon=":material/person_search:",
        )
        return None
    return user


def compared_with(rows: list[Row]) -> str:
    """The second model's label, where there is one."""
    return rows[1].label if len(rows) > 1 else ""


def person_tab(rows: list[Row], split: Split, labels: list[str]) -> None:
    """One person."""
    user = choose_user(split)
    if user is None:
        return
    person(dataset, split, user, rows, labels)
    raw = str(dataset.users.raw[user])
    panel(
        dataset,
        "user",
        link=links.person(dataset, raw, *[r.label for r in rows]),
        user=raw,
        run=rows[0].run.id,
        model=rows[0].label,
        beside=compared_with(rows),
    )


def case_tab(rows: list[Row], split: Split, labels: list[str]) -> None:
    """One person and one film."""
    user = choose_user(split)
    if user is None:
        return
    events = dataset.interactions
    test = split.test[np.asarray(events.need("user"))[split.test] == user]
    films = np.asarray(events.need("item"))[test] if len(test) else np.asarray([0])
    row = dataset.items.find(links.id_of(st.query_params.get("what", "")))
    if row is None:
        row = int(films[0])
    st.session_state["what.asked"] = links.film(dataset, row)
    if len(dataset.items) <= MOST_CHOICES:
        what = st.selectbox(
            "Film",
            links.films(dataset),
            key="what.asked",
            on_change=keep_in_link,
            args=("what",),
            width=420,
            help="Type a part of a title.",
        )
    else:
        what = st.text_input("Film (its id)", key="what.asked", on_change=keep_in_link, args=("what",), width=420)
    item = dataset.items.find(links.id_of(what or ""))
    if item is None:
        st.info(f"{dataset.name} has no film “{layout.escape(str(what))}”.", icon=":material/search_off:")
        return
    case(dataset, split, user, item, rows, labels)
    u, i = str(dataset.users.raw[user]), str(dataset.items.raw[item])
    panel(
        dataset,
        "rating",
        link=links.rating(dataset, u, item, *[r.label for r in rows]),
        user=u,
        film=i,
        run=rows[0].run.id,
        model=rows[0].label,
        beside=compared_with(rows),
    )


st.title("Errors", anchor=False)
st.caption(
    "Divide the test ratings into slices, open the worst cases, ask what would have changed a prediction, and keep"
    " what you find."
)
layout.generated_note(dataset)
damaged_files.note([*damage.of_results(dataset), slices.damage(dataset)])
read_link()
found = [r for r in comparison.rows(dataset) if r.kind != "click"]
if not found:
    with st.container(border=True):
        st.subheader(f"Nothing has been evaluated on {dataset.name} yet", anchor=False)
        st.write("Errors come from trained models. Train some, and come back.")
        st.page_link(layout.page("train"), label="Train a model", icon=":material/model_training:")
else:
    key = choose_setup(found, dataset)
    rows = choose_models(rows_of_setup(found, key))
    look = choose_section(LOOKS, "look")
    labels = [r.label for r in rows_of_setup(found, key)]
    try:
        if look == "Notebook":
            notebook(dataset)
        else:
            split = split_for(
                dataset.name, dataset.checksum, f"{rows[0].key} {rows[0].key.split_checksum}", dataset, rows[0]
            )
            if look == "Slices":
                slices_tab(rows, split, labels)
            elif look == "User":
                person_tab(rows, split, labels)
            else:
                case_tab(rows, split, labels)
    except MMRecError as error:
        layout.show_error(error)
