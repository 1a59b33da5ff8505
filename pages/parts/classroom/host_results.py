"""What a class found, as its host sees it: standings, map, curve, score sheet, downloads, and the end of the class."""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from mmrec_core.classroom import experiment, report, store
from mmrec_core.classroom.store import Classroom
from mmrec_core.types import Dataset
from pages.parts import layout
from pages.parts.classroom import experiment_view, shown_question
from pages.parts.classroom.class_map import class_map


def the_experiment(classroom: Classroom, dataset: Dataset) -> None:
    """Standings, map, curve; and how it looked earlier."""
    every = store.ratings_of(classroom.id)
    ratings = every
    if len(every) > 1 and st.toggle("Replay", key="replay", help="Shows the class as it was after so many ratings."):
        n = st.slider("After how many ratings", 1, len(every), len(every), key="replayed")
        ratings = every[:n]
    replayed = len(ratings) < len(every)
    whole = classroom if not replayed else _without_results(classroom)
    found = experiment_view.standings_of(whole, dataset, ratings)
    st.markdown(experiment_view.leading(found, not classroom.is_open))
    experiment_view.standings_chart(found)
    class_map(dataset, store.participants_of(classroom.id), ratings, 420)
    film = experiment_view.dividing_film(dataset, ratings)
    if film is not None:
        title = layout.escape(str(dataset.catalog["title"].iloc[film[0]]))
        counts = ", ".join(f"{n} × ★{stars:g}" for stars, n in film[1]["counts"].items())
        st.markdown(f"Opinions differ most about **{title}** ({counts}).")
    with st.expander("Numbers and method"):
        if found:
            experiment_view.standings_table(found)
    with st.expander("How many ratings does a model need?"):
        experiment_view.curve_section(whole, dataset, ratings)


def _without_results(classroom: Classroom) -> Classroom:
    """The class as it was before its results were saved."""
    return Classroom(**{**vars(classroom), "results": None})


def take_along(classroom: Classroom, dataset: Dataset) -> None:
    """Tables, the report, and the ends of a class."""
    st.divider()
    asked = shown_question.answered(classroom, dataset)
    people, answers = store.participants_of(classroom.id), store.answers_of(classroom.id)
    if any(a.right for a in asked):
        with st.expander("Score sheet"):
            rows = report.scores(people, answers, asked)
            table = pd.DataFrame(
                [{"No.": s.participant.number, "Nickname": s.participant.nickname, "Right": s.right,
                  "Answered": s.answered} for s in rows]
            )  # fmt: skip
            st.table(table.set_index("No."))  # without a download of its own, which would hold nicknames
            st.caption("Nobody else sees this sheet; the downloads have numbers instead of nicknames.")
    name = re.sub(r"[^\w-]+", "-", classroom.title).strip("-")[:40] or "class"
    with st.container(horizontal=True):
        st.download_button(
            "Report to print",
            lambda: report.printable(classroom, asked, results(classroom, dataset)),
            f"{name}.html",
            "text/html",
            icon=":material/print:",
            on_click="ignore",
        )
        st.download_button(
            "Answers (CSV)",
            lambda: report.answers_csv(classroom, asked),
            f"{name}-answers.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Ratings (CSV)",
            lambda: report.ratings_csv(classroom, dataset),
            f"{name}-ratings.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        if classroom.is_open:
            with st.popover("End", icon=":material/flag:"):
                st.write("Nobody joins, answers or rates any more. Everything is kept, and the results are saved.")
                if st.button("End the class", key="end-class", type="primary"):
                    store.end(classroom.id, results(classroom, dataset))
                    st.rerun(scope="fragment")
        with st.popover("Delete", icon=":material/delete:"):
            st.write("The class, its participants, answers and ratings are deleted for good.")
            if st.button("Delete the class", key="delete-class", type="primary"):
                store.delete(classroom.id)
                st.query_params.pop("class", None)
                st.rerun()


def results(classroom: Classroom, dataset: Dataset) -> dict[str, object] | None:
    """What the experiment found: saved, or computed now; ``None`` without ratings."""
    if classroom.results is not None or classroom.plan is None:
        return classroom.results
    ratings = store.ratings_of(classroom.id)
    return experiment.results(dataset, ratings, classroom.plan) if ratings else None
