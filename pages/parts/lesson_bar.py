"""The bar that keeps a lesson's question in sight on the page it sent a visitor to, and scrolls to the part meant."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import streamlit as st

from mmrec_core.analysis import lesson_values, lessons
from mmrec_core.analysis.lessons import Lesson, Step
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError

STYLE = """<style>
:has(> .st-key-strip) { position: sticky; top: 3.9rem; z-index: 20; }
.st-key-strip { background: var(--st-background-color, light-dark(#FFFEFA, #14120F)); }
@media (max-width: 640px) {
  .st-key-strip { padding: .5rem .7rem; gap: .3rem; }
  .st-key-strip p { font-size: .85rem; line-height: 1.3; }
  .st-key-strip small { display: none; }
  .st-key-strip button { min-height: 1.9rem; padding: .1rem .5rem; }
}
</style>"""
"""What is around the bar sticks, not the bar, which fills it."""
_LAND = st.components.v2.component(
    "mmrec.lesson_land",
    html="<span></span>",
    js="""
const done = new Set()
const PLACES = "h1, h2, h3, h4, summary, label, [role=tab]"
export default function ({ data }) {
  if (!data.part || done.has(data.visit)) return
  done.add(data.visit)
  const until = performance.now() + 15000
  let moved = false, still = 0, before = null
  const stop = () => { moved = true }
  for (const kind of ["wheel", "pointerdown", "keydown", "touchstart"])
    window.addEventListener(kind, stop, { once: true, passive: true })
  const look = () => {
    if (moved || performance.now() > until) return
    const place = [...document.querySelectorAll(PLACES)].find((node) =>
      node.textContent.trim().startsWith(data.part) && node.getClientRects().length)
    if (place) {
      if (place.matches("[role=tab]") && place.ariaSelected !== "true") place.click()
      if (place.matches("summary") && !place.parentElement.open) place.click()
      const bar = document.querySelector(".st-key-strip")?.getBoundingClientRect().bottom ?? 0
      const top = place.getBoundingClientRect().top
      if (Math.abs(top - before) < 1) still += 1
      else still = 0
      place.style.scrollMarginTop = `${Math.max(bar, 60) + 24}px`
      place.scrollIntoView({ block: "start", behavior: "instant" })
      before = place.getBoundingClientRect().top
      if (still > 8) return // what is above it has been drawn
    }
    setTimeout(look, 250)
  }
  look()
}
""",
)


def query(lesson: Lesson, at: int) -> dict[str, str]:
    """What the link of a page holds, so that a question follows the visitor there."""
    return {"lesson": lesson.name, "question": str(at + 1)}


def bar(open_lesson: Callable[[str], None]) -> None:
    """Show the bar if a lesson sent the visitor here.

    Args:
        open_lesson: goes back to a lesson, given its name.
    """
    info = _linked() or st.session_state.get("lesson_strip")
    if info is None:
        return
    st.html(STYLE)
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="strip"):
        st.markdown(f":material/school: **{info['at'] + 1}. {info['question']}** :small[:gray[{info['title']}]]")
        if st.button("Back to the lesson", icon=":material/undo:", key="strip.back"):
            open_lesson(info["lesson"])
        if st.button("Close", icon=":material/close:", key="strip.leave", type="tertiary", help="Leaves the lesson."):
            st.session_state.pop("lesson_strip")
            for name in ("lesson", "question"):
                st.query_params.pop(name, None)
            st.rerun()
    _LAND(key="lesson-land", data={"part": info["part"], "visit": info["visit"]}, height="content")


def _reset(step: Step) -> None:
    """Give what other questions set on this page its default again, so that each link shows what it means."""
    others = {key for lesson in lessons.lessons() for own in lesson.steps if own.page == step.page for key in own.query}
    for key in others - set(step.query) - set(st.query_params):
        st.session_state.pop(key, None)


def _linked() -> dict[str, Any] | None:
    """The question that the link names; it stays while the visitor goes on to other pages."""
    name, number = st.query_params.get("lesson"), st.query_params.get("question", "")
    held: dict[str, Any] = st.session_state.get("lesson_strip") or {}
    if name is None or not number.isdecimal() or (held.get("lesson"), held.get("at")) == (name, int(number) - 1):
        return None
    lesson = next((own for own in lessons.lessons() if own.name == name), None)
    if lesson is None or not 1 <= int(number) <= len(lesson.steps):
        return None
    step = lesson.steps[int(number) - 1]
    _reset(step)
    try:
        question = lesson_values.fill(step.question, preparation.open_dataset(st.session_state["dataset"])).text
    except MMRecError:
        question = lesson_values.HOLE.sub(lesson_values.GAP, step.question)
    info = {
        "lesson": lesson.name,
        "title": lesson.title,
        "at": int(number) - 1,
        "question": question,
        "part": step.part,
        "visit": secrets.token_hex(8),
    }
    st.session_state["lesson_strip"] = info
    return info
