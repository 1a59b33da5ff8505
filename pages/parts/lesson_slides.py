"""A lesson on a projector: one question at a time in large type, without menus; arrow keys or one button advance."""

from __future__ import annotations

import streamlit as st

from mmrec_core.analysis.lesson_values import FilledStep
from mmrec_core.analysis.lessons import Lesson
from mmrec_core.types import Dataset
from pages.parts import layout, lesson_question

STYLE = """<style>
[data-testid=stHeader], .st-key-switch, [data-testid=stSidebar] { display: none !important; }
.stMainBlockContainer { max-width: 1500px; padding-top: 2rem; padding-bottom: 7rem; }
.st-key-slide p { font-size: clamp(1.15rem, 2.1vw, 2rem); line-height: 1.4; }
.st-key-slide h2 { font-size: clamp(1.6rem, 3.4vw, 3.2rem); line-height: 1.15; padding: .3rem 0; }
.st-key-slide [data-testid=stCaptionContainer] p { font-size: clamp(1rem, 1.4vw, 1.3rem); }
.st-key-slide-keys { position: fixed; inset: auto 0 0 0; z-index: 30; padding: .8rem max(1rem, calc(50vw - 720px));
  background: var(--st-background-color, light-dark(#FFFEFA, #14120F)); border-top: 1px solid #8886; width: 100%; }
</style>"""


def wanted() -> bool:
    """Whether the link asks for the projector mode."""
    return st.query_params.get("present") == "true"


def slides(lesson: Lesson, steps: list[FilledStep], dataset: Dataset) -> None:
    """The title, then each question, then its answer; the place is in the link."""
    st.html(STYLE)
    last = 2 * len(steps)  # 0 is the title; then a question is odd and its answer even
    try:
        place = min(max(int(st.query_params.get("slide", "0")), 0), last)
    except ValueError:
        place = 0
    with st.container(key="slide"):
        if place == 0:
            st.markdown(f"## {layout.escape(lesson.title)}")
            st.write(lesson.why)
            layout.generated_note(dataset)
        else:
            at = (place - 1) // 2
            shown(lesson, at, steps[at], dataset, place % 2 == 0)
    with st.container(horizontal=True, vertical_alignment="center", key="slide-keys"):
        if st.button("Back", key="slide.back", icon=":material/arrow_back:", shortcut="Left", disabled=place == 0):
            go(place - 1)
        what = "Reveal answer" if place % 2 else "Next question" if place else "First question"
        if st.button(
            "End" if place == last else what,
            key="slide.next",
            type="primary",
            icon=":material/arrow_forward:",
            shortcut="Right",
            disabled=place == last,
        ):
            go(place + 1)
        if st.button("Leave", key="slide.leave", type="tertiary", icon=":material/close:", shortcut="Escape"):
            for name in ("present", "slide"):
                st.query_params.pop(name, None)
            st.rerun()
        st.caption(f"{(place + 1) // 2} of {len(steps)}" if place else f"{len(steps)} questions")


def shown(lesson: Lesson, at: int, own: FilledStep, dataset: Dataset, revealed: bool) -> None:
    """A question with its choices; after the reveal the right ones and the reason."""
    st.markdown(f"## {at + 1}. {own.question}")
    if own.fault:
        st.info(layout.escape(own.fault), icon=":material/do_not_disturb_on:")
        return
    if own.wanted:
        lesson_question.missing_runs(own.wanted, f"{lesson.name}-{at}")
        return
    for choice in own.choices if not revealed else own.right:
        mark = ":green[:material/check_circle:]" if revealed else ":material/circle:"
        text = f"**{layout.escape(choice)}**" if revealed else layout.escape(choice)
        st.markdown(f"{mark} {text}")
    if not own.choices:
        st.caption("An open question.")
    if revealed:
        lesson_question.answer(lesson.steps[at], own, dataset, f"slide-{lesson.name}-{at}")


def go(place: int) -> None:
    """Show another slide."""
    st.query_params["slide"] = str(place)
    st.rerun()
