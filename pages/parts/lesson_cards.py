"""The index of lessons: a card each, with films, what one learns, minutes and progress."""

from __future__ import annotations

import html

import streamlit as st

from mmrec_core.analysis import lesson_films
from mmrec_core.analysis.lessons import Lesson
from mmrec_core.types import Dataset
from pages.parts import lesson_progress

STYLE = """<style>
.st-key-lessons { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 1rem;
  align-items: stretch; }
.st-key-lessons > div, .st-key-lessons > div > div { width: auto; height: 100%; }
.lesson-films { display: grid; grid-template-columns: repeat(4, 1fr); gap: 5px; border-radius: 10px; overflow: hidden; }
.lesson-films > span { position: relative; aspect-ratio: 2 / 3; overflow: hidden; background: #3d4a5c; color: #fff;
  padding: .5rem; box-sizing: border-box; font-size: .72rem; line-height: 1.2; }
.lesson-films i { position: absolute; inset: 0; background-size: cover; background-position: center; }
</style>"""
"""A film is its title; the poster covers it as soon as it is there."""


def lesson_cards(found: list[Lesson], dataset: Dataset) -> None:
    """All lessons, to choose one."""
    st.html(STYLE)
    with st.container(key="lessons"):
        for lesson in found:
            card(lesson, dataset)


def card(lesson: Lesson, dataset: Dataset) -> None:
    """A lesson: films, title, what one will know, progress, and the button that opens it."""
    mine, n = lesson_progress.of_lesson(dataset, lesson.name), len(lesson.steps)
    done = len(mine.seen)
    with st.container(border=True, key=f"lesson-{lesson.name}", height="stretch"):
        st.html(pictures(dataset.name, dataset.checksum, lesson.picture, dataset))
        st.markdown(f"#### {lesson.title}")
        st.write(lesson.learn or lesson.why)
        st.caption(f":material/schedule: {lesson.minutes} min · {n} questions")
        if done:
            st.progress(done / n, text=f"{done} of {n} answered")
        says = "Begin" if not done else "Look again" if done == n else "Go on"
        if st.button(
            says,
            key=f"begin-{lesson.name}",
            icon=":material/play_arrow:",
            type="primary" if done < n else "secondary",
            help=lesson.why,
        ):
            st.query_params["lesson"] = lesson.name
            st.rerun()


@st.cache_data(max_entries=64, show_spinner=False)
def pictures(name: str, checksum: str, kind: str, _dataset: Dataset) -> str:
    """Four films as HTML: their posters, or their titles where there is none."""
    parts = []
    for row in lesson_films.picture(_dataset, kind):
        film = _dataset.catalog.iloc[row]
        title = html.escape(str(film["title"]))
        poster = film["poster"]
        cover = (
            f'<i style="background-image: url(app/static/{html.escape(poster)})"></i>'
            if isinstance(poster, str)
            else ""
        )
        parts.append(f"<span>{title}{cover}</span>")
    return f'<div class="lesson-films" aria-hidden="true">{"".join(parts)}</div>'
