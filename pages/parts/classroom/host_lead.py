"""What a class does: wait for people, answer a lesson, or rate films; and the lesson's question for the host."""

from __future__ import annotations

import streamlit as st

from mmrec_core import runs
from mmrec_core.analysis import lessons
from mmrec_core.analysis.lessons import Lesson
from mmrec_core.classroom import experiment, store
from mmrec_core.classroom.store import EXPERIMENT, LESSON, LOBBY, Classroom
from mmrec_core.types import Dataset
from pages.parts import layout, lesson_question
from pages.parts.classroom import projector_view, shown_question

ACTIVITY_LABELS = {LOBBY: "Joining", LESSON: "Lesson", EXPERIMENT: "Which model knows us?"}


def lead(classroom: Classroom, dataset: Dataset) -> str:
    """What the class does: join, a lesson, or the experiment; returns what is chosen."""
    with st.container(border=True):
        chosen = st.segmented_control(
            "The class",
            list(ACTIVITY_LABELS),
            default=classroom.activity,
            format_func=ACTIVITY_LABELS.__getitem__,
            required=True,
            key=f"activity-{classroom.id}-{classroom.scene}",
        )
        if chosen == LESSON:
            choose_lesson(classroom, dataset)
        elif chosen == EXPERIMENT and (classroom.activity != EXPERIMENT or not classroom.plan):
            begin_experiment(classroom, dataset)
        elif chosen == LOBBY and classroom.activity != LOBBY:
            store.show(classroom.id, LOBBY)
            st.rerun(scope="fragment")
    return str(chosen)


def choose_lesson(classroom: Classroom, dataset: Dataset) -> None:
    """Begin a lesson, or another one."""
    every = {own.name: own for own in lessons.lessons()}
    names = list(every)
    usual = classroom.lesson if classroom.lesson in names else first_ready(list(every.values()), dataset)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Lesson",
            names,
            index=names.index(usual),
            format_func=lambda n: f"{every[n].title} ({every[n].minutes} min)",
            key=f"lesson-{classroom.id}-{classroom.scene}",
        )
        running = classroom.activity == LESSON and classroom.lesson == name
        if st.button(
            "Begin again" if running else "Begin",
            type="secondary" if running else "primary",
            icon=":material/play_arrow:",
            key="begin-lesson",
        ):
            store.show(classroom.id, LESSON, name)
            st.rerun(scope="fragment")
    st.caption(every[name].learn or every[name].why)


def first_ready(every: list[Lesson], dataset: Dataset) -> str:
    """The first lesson whose questions can all be asked on these data; without any, the first."""
    ready = lambda own: all(lesson_question.is_open(lesson_question.filled(step, dataset)) for step in own.steps)
    return next((own for own in every if ready(own)), every[0]).name


def begin_experiment(classroom: Classroom, dataset: Dataset) -> None:
    """Draw the films of the experiment and begin it."""
    fitted = runs.finished(dataset)
    st.write(
        f"Everybody rates {store.RATED} or more films. {store.HELD} of each person’s ratings, at places"
        " drawn before they begin, stay hidden from all models, which then have to predict them."
    )
    if dataset.manifest["generated"]:
        st.caption(
            "The films of this dataset are invented; people judge by poster and title. For films that they know, get"
            " MovieLens on Home, train models on it, and open a class with that dataset."
        )
    if not fitted:
        st.info("No model is trained on this dataset yet.", icon=":material/model_training:")
        st.page_link(layout.page("train"), label="Train models first", icon=":material/model_training:")
    elif st.button("Begin", type="primary", icon=":material/play_arrow:", key="begin-experiment"):
        if classroom.plan is None:
            store.set_plan(classroom.id, experiment.plan(dataset))
        store.show(classroom.id, EXPERIMENT)
        st.rerun(scope="fragment")


def lesson(classroom: Classroom, dataset: Dataset) -> None:
    """The question on the wall, its answers, and the buttons that go on."""
    own = shown_question.shown(classroom, dataset)
    if own is None:
        st.warning("This lesson is no longer installed. Choose another one.", icon=":material/error:")
        return
    if classroom.is_open:
        with st.container(horizontal=True, vertical_alignment="center"):
            projector_view.lead(classroom, own)
            st.caption(f"Question {own.at + 1} of {len(own.steps)}" if own.at >= 0 else f"{len(own.open)} questions")
    if own.step is None:
        st.markdown(f"### {layout.escape(own.lesson.title)}")
        left_out = len(own.steps) - len(own.open)
        if left_out:
            verb = "needs" if left_out == 1 else "need"
            st.caption(
                f"{left_out} of {len(own.steps)} questions {verb} models or data that are not there; the class skips"
                " them until they are."
            )
            lesson_question.missing_everywhere(own.lesson, own.steps)
        return
    st.markdown(f"### {own.at + 1}. {own.step.question}")
    n = sum(a["question"] == own.at for a in store.answers_of(classroom.id, own.lesson.name))
    people = len(store.participants_of(classroom.id))
    st.progress(min(1.0, n / max(people, 1)), text=f"{n} of {people} answered")
    if classroom.revealed:
        shown_question.question_bars(classroom, own)
        st.markdown(own.step.answer.replace("\n", "\n\n"))
    else:
        st.markdown("\n".join(f"- {layout.escape(choice)}" for choice in own.step.choices))
        with st.expander("Answers so far (only you see them)"):
            shown_question.question_bars(classroom, own)
