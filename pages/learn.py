"""Short lessons: look, answer, then see what the numbers on this machine say; with a sheet to print."""

from __future__ import annotations

import html
import time
from typing import Any

import streamlit as st

from mmrec_core import runs
from mmrec_core.analysis import lesson_values, lessons
from mmrec_core.analysis.lessons import Lesson, Step
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import layout
from pages.parts.run_card import live_runs, pace, start_these

TITLE = "Learn"
ICON = ":material/school:"
ORDER = "70"

layout.frame()

dataset = layout.needs_dataset()
layout.needs_films(dataset)
MINE: dict[str, dict[str, Any]] = st.session_state.setdefault("lessons", {})
"""By lesson: ``step`` (how far), ``answers`` by step; kept while the session lasts, whatever page is open."""


def progress_of(lesson: Lesson) -> dict[str, Any]:
    """What this visitor has done of a lesson."""
    return MINE.setdefault(f"{dataset.name}/{lesson.name}", {"answers": {}, "seen": []})


def lesson_list(found: list[Lesson]) -> None:
    """All lessons, to choose one."""
    for lesson in found:
        mine = progress_of(lesson)
        with st.container(border=True, key=f"lesson-{lesson.name}"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{lesson.title}** · {lesson.minutes} min · {len(lesson.steps)} questions")
                done = len(mine["seen"])
                if st.button(
                    "Go on" if done else "Begin",
                    key=f"begin-{lesson.name}",
                    icon=":material/play_arrow:",
                    type="primary" if not done else "secondary",
                ):
                    st.query_params["lesson"] = lesson.name
                    st.rerun()
            st.caption(lesson.why)
            if done:
                st.progress(done / len(lesson.steps), text=f"{done} of {len(lesson.steps)} answered")


def open_lesson(lesson: Lesson) -> None:
    """Steps one below the other; the answer shows once the visitor has answered."""
    mine = progress_of(lesson)
    st.subheader(lesson.title, anchor=False)
    st.write(lesson.why)
    prepare(lesson)
    for at, step in enumerate(lesson.steps):
        reached = at <= len(mine["seen"])
        with st.container(border=True, key=f"step-{at}"):
            st.markdown(f"**{at + 1}. {step.question}**")
            if not reached:
                st.caption("Answer the question above first.")
                continue
            page_link(lesson, step, at)
            answer_form(lesson, step, at, mine)
    if len(mine["seen"]) == len(lesson.steps):
        st.success(
            "That was the lesson. Take the sheet with your own numbers along, or start over.", icon=":material/school:"
        )
    with st.container(horizontal=True):
        st.download_button(
            "Sheet to print",
            data=lambda: answer_sheet(lesson, mine),
            file_name=f"{lesson.name}.html",
            mime="text/html",
            icon=":material/print:",
            on_click="ignore",
            help="Questions, your answers and this machine’s numbers as a page to print.",
        )
        if st.button("Start over", icon=":material/restart_alt:", key="over"):
            MINE.pop(f"{dataset.name}/{lesson.name}", None)
            for key in [k for k in st.session_state if str(k).startswith(f"ans-{lesson.name}-")]:
                del st.session_state[key]
            st.rerun()
        if st.button("All lessons", icon=":material/arrow_back:", key="back"):
            st.query_params.pop("lesson", None)
            st.session_state.pop("lesson_strip", None)
            st.rerun()


def page_link(lesson: Lesson, step: Step, at: int) -> None:
    """The permalink; the lesson follows along as a strip on that page."""
    page = layout.page(step.page)
    if st.button(f"Look: {page.title}", key=f"look-{lesson.name}-{at}", icon=":material/visibility:"):
        st.session_state["lesson_strip"] = {
            "lesson": lesson.name,
            "title": lesson.title,
            "at": at,
            "question": step.question,
        }
        st.switch_page(page, query_params={"dataset": dataset.name, **step.query})


def answer_form(lesson: Lesson, step: Step, at: int, mine: dict[str, Any]) -> None:
    """The visitor's own answer first, then what the numbers say."""
    key = f"ans-{lesson.name}-{at}"
    before = mine["answers"].get(at)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if step.choices:
            said = st.segmented_control(
                "Your answer", step.choices, default=before if before in step.choices else None, key=key
            )
        else:
            said = st.text_input(
                "Your answer", before or "", key=key, max_chars=400, placeholder="In your own words", width=420
            )
        if said:
            mine["answers"][at] = said
        shown = at in mine["seen"]
        if not shown and st.button(
            "Reveal answer", key=f"see-{lesson.name}-{at}", disabled=not said, icon=":material/lightbulb:"
        ):
            mine["seen"].append(at)
            st.rerun()
    if shown:
        text = filled_text(step.answer)
        if step.right:
            right = filled_text(step.right).text
            st.markdown(
                f":green[:material/check: {right} is right.]"
                if said == right
                else f":orange[:material/close: Here it is {right}.]"
            )
        st.markdown(
            text.text if not text.wanted else text.text + "\n\n:small[… stands for figures that are not there yet.]"
        )


def filled_text(text: str) -> lesson_values.FilledText:
    """A text with its numbers, computed anew whenever a run has ended."""
    ended = tuple(sorted(r.id for r in runs.all_runs() if r.record["status"] == "finished"))
    return computed_text(text, dataset.name, dataset.checksum, hash(ended), dataset)


@st.cache_data(max_entries=256, show_spinner="Computing the numbers …")
def computed_text(text: str, name: str, checksum: str, ended: int, _dataset: Dataset) -> lesson_values.FilledText:
    """The same, kept; an error in a lesson is shown, not raised."""
    try:
        return lesson_values.fill(text, _dataset)
    except MMRecError as error:
        return lesson_values.FilledText(f":red[{layout.escape(str(error))}]")


def prepare(lesson: Lesson) -> None:
    """What has to be run before the numbers are there, in one press."""
    wanted: list[lesson_values.Wanted] = []
    for step in lesson.steps:
        wanted += [w for w in filled_text(step.answer).wanted if w not in wanted]
    live = [(r.kind, r.params) for r in live_runs()]
    due = [w for w in wanted if w not in live]
    if wanted and not due:
        st.info(
            f"{len(wanted)} runs of this lesson are under way; its numbers fill in as they end.",
            icon=":material/hourglass_empty:",
        )
        st.fragment(jobs_in_progress, run_every=pace())(len(wanted))
    elif due:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            names = ", ".join(dict.fromkeys(f"{k} {p.get('model') or ''}".strip() for k, p in due))
            st.markdown(
                f":material/construction: This lesson’s numbers come from {len(due)} more"
                f" run{'s' if len(due) > 1 else ''}: {layout.escape(names)}."
            )
            if st.button(
                "Run them in the background", key="lesson.prepare", type="primary", icon=":material/play_arrow:"
            ):
                start_these(due)


def jobs_in_progress(n: int) -> None:
    """Draw the page anew when a run has ended."""
    now = tuple(r.id for r in live_runs())
    if st.session_state.get("lesson_live", now) != now:
        st.session_state["lesson_live"] = now
        st.rerun()
    st.session_state["lesson_live"] = now


def answer_sheet(lesson: Lesson, mine: dict[str, Any]) -> str:
    """A page to print: questions, own answers, the numbers of this machine."""
    parts = []
    for at, step in enumerate(lesson.steps):
        line = filled_text(step.answer).text if at in mine["seen"] else ""
        text = html.escape(line).replace("**", "").replace("`", "").replace("\n", "<br>")
        parts.append(
            f"<section><h2>{at + 1}. {html.escape(step.question)}</h2><p class=own>Your answer:"
            f" <b>{html.escape(str(mine['answers'].get(at) or '')) or '_' * 40}</b></p>"
            f"<p>{text or '<i>not looked up yet</i>'}</p></section>"
        )
    made = " Generated data: a check of methods, not evidence about films." if dataset.manifest["generated"] else ""
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;color:#222}h1{font-size:1.6rem}"
        "h2{font-size:1.1rem;margin-bottom:.3rem}section{break-inside:avoid;border-top:1px solid #bbb;padding:.6rem 0}"
        ".own{background:#f3f0e8;padding:.4rem .6rem}footer{font-size:.8rem;color:#555}"
    )
    title, why, name = html.escape(lesson.title), html.escape(lesson.why), html.escape(dataset.name)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{style}</style>"
        f"<h1>{title}</h1><p>{why}</p>{''.join(parts)}<footer>{name}, split user-temporal, seed 0; brackets are 95 % "
        f"intervals over users.{made} Computed {time.strftime('%d %B %Y')} by MMRec.</footer></html>"
    )


st.title("Learn", anchor=False)
st.caption(
    "Each question sends you to a page to look around. Give your own answer, then see what the numbers computed on this"
    " machine say."
)
layout.generated_note(dataset)
if "demo" in preparation.prepared() and dataset.name != "demo":
    st.caption(
        "The lessons were written for the demo; on other data the numbers are computed just the same, and the answers"
        " may read oddly."
    )
found = lessons.lessons()
chosen = next((lesson for lesson in found if lesson.name == st.query_params.get("lesson")), None)
if chosen is None:
    lesson_list(found)
else:
    open_lesson(chosen)
