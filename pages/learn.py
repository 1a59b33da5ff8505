"""Short lessons: look, answer, then see what the numbers on this machine say; with a sheet to print."""

from __future__ import annotations

import streamlit as st

from mmrec_core.analysis import lessons
from mmrec_core.analysis.lesson_values import FilledStep
from mmrec_core.analysis.lessons import Lesson
from mmrec_core.classroom import store
from mmrec_core.data import preparation
from pages.parts import layout, lesson_progress, lesson_question, lesson_sheet, lesson_slides, owner
from pages.parts.inside.component import STATE
from pages.parts.lesson_cards import lesson_cards

TITLE = "Learn"
ICON = ":material/school:"
ORDER = "70"

layout.frame()

dataset = layout.needs_dataset()
layout.needs_films(dataset)


def open_lesson(lesson: Lesson) -> None:
    """Questions one below the other; the answer shows once the visitor has answered."""
    if not owner.is_owner() and lesson.name in store.lessons_under_way():
        st.subheader(lesson.title, anchor=False)
        st.info("Your class answers this lesson now. It opens here when the class is over.", icon=":material/groups:")
        st.page_link(layout.page("class"), label="To the class", icon=":material/groups:")
        return
    steps = [lesson_question.filled(step, dataset) for step in lesson.steps]
    if lesson_slides.wanted():
        lesson_slides.slides(lesson, steps, dataset)
        return
    mine = lesson_progress.of_lesson(dataset, lesson.name)
    able = [at for at, own in enumerate(steps) if lesson_question.is_open(own)]
    done = [at for at in able if at in mine.seen]
    head(lesson, len(done), len(steps))
    lesson_question.missing_everywhere(lesson, steps)
    for at, own in enumerate(steps):
        lesson_question.question(lesson, at, own, dataset, mine, lesson_question.reached(steps, at, mine.seen))
    if able and len(done) == len(able):
        left = len(steps) - len(able)
        st.success(
            "That was the lesson. Take the sheet with your own numbers along, or start over."
            if not left
            else f"Every question that can be answered is. {left} of them {'wait' if left > 1 else 'waits'} for runs,"
            " or need other data.",
            icon=":material/school:",
        )
    with st.container(horizontal=True):
        st.download_button(
            "Sheet to print",
            data=lambda: lesson_sheet.sheet(lesson, steps, mine, dataset),
            file_name=f"{lesson.name}.html",
            mime="text/html",
            icon=":material/print:",
            on_click="ignore",
            help="A line for your name, the questions, your answers and this machine’s numbers, as a page to print.",
        )
        if owner.is_owner():
            key_for_teachers(lesson, steps)
        later = next((one for at, one in enumerate(found) if at and found[at - 1].name == lesson.name), None)
        if later is not None and st.button(
            f"Next: {later.title}", icon=":material/arrow_forward:", key="next", help="The next lesson."
        ):
            st.query_params.from_dict({"dataset": dataset.name, "lesson": later.name})
            st.rerun()
        if st.button("Start over", icon=":material/restart_alt:", key="over", help="Clears your answers."):
            lesson_progress.start_over(dataset, lesson.name)
            st.rerun()


def key_for_teachers(lesson: Lesson, steps: list[FilledStep]) -> None:
    """The right answers to take along, for whoever leads."""
    st.download_button(
        "Key for teachers",
        data=lambda: lesson_sheet.key(lesson, steps, dataset),
        file_name=f"{lesson.name}-key.html",
        mime="text/html",
        icon=":material/key:",
        on_click="ignore",
        help="Every question with its right answer and its numbers on these data, without a name.",
    )


def head(lesson: Lesson, done: int, n: int) -> None:
    """Title, motivation, progress, and the ways out."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("All lessons", icon=":material/arrow_back:", key="back", type="tertiary"):
            for key in ("lesson", *STATE):
                st.query_params.pop(key, None)
            st.rerun()
        if st.button(
            "Present",
            icon=":material/slideshow:",
            key="present",
            type="tertiary",
            help="For a projector: large type, one question at a time, arrow keys.",
        ):
            st.query_params["present"] = "true"
            st.rerun()
    st.subheader(lesson.title, anchor=False)
    st.write(lesson.why)
    if done:
        st.progress(done / n, text=f"{done} of {n} answered")


found = lessons.lessons()
st.session_state.pop("lesson_strip", None)
chosen = next((lesson for lesson in found if lesson.name == st.query_params.get("lesson")), None)
lesson_progress.sync(dataset, {lesson.name: len(lesson.steps) for lesson in found})
if not lesson_slides.wanted() or chosen is None:
    st.title("Learn", anchor=False)
    st.caption(
        "Each question names a page to look at; some have a figure to play with. Give your own answer, then see the"
        " right one, with numbers computed on this machine."
    )
    layout.generated_note(dataset)
    if dataset.name != "demo" and "demo" in preparation.prepared():
        st.caption(
            "Numbers and right answers are computed on these data. Where they say otherwise than the demo, so does the"
            " lesson."
        )
if chosen is None:
    lesson_cards(found, dataset)
else:
    open_lesson(chosen)
