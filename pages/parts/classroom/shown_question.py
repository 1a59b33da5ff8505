"""The question that a class sees, with its numbers, and the bars of what was answered."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from mmrec_core.analysis import lessons
from mmrec_core.analysis.lesson_values import FilledStep
from mmrec_core.analysis.lessons import Lesson
from mmrec_core.classroom import report, store
from mmrec_core.classroom.report import Asked
from mmrec_core.classroom.store import Classroom
from mmrec_core.types import Dataset
from pages.parts import lesson_question

STYLE = """<style>
.class-bars { display: grid; grid-template-columns: minmax(0, max-content) 1fr; gap: .35em .8em; align-items: center;
  margin: .3rem 0; }
.class-bars b { font-weight: 400; overflow-wrap: anywhere; }
.class-bars .right { font-weight: 700; }
.class-bars span { display: flex; align-items: center; gap: .5em; font-variant-numeric: tabular-nums; }
.class-bars i { display: block; height: 1.3em; min-width: 2px; border-radius: 3px; background: #8C8C8C;
  transition: width .5s; }
.class-bars .right i { background: #0072B2; }
@media (prefers-reduced-motion: reduce) { .class-bars i { transition: none; } }
</style>"""


@dataclass(frozen=True)
class Shown:
    """What a class sees of a lesson: all its questions with their numbers, and which one it is."""

    lesson: Lesson
    steps: list[FilledStep]
    at: int
    """−1 for the title."""

    @property
    def step(self) -> FilledStep | None:
        """The question, or ``None`` at the title."""
        return self.steps[self.at] if 0 <= self.at < len(self.steps) else None

    @property
    def open(self) -> list[int]:
        """Numbers of the questions that can be asked on these data."""
        return [n for n, step in enumerate(self.steps) if lesson_question.is_open(step)]


def shown(classroom: Classroom, dataset: Dataset) -> Shown | None:
    """The lesson that a class sees; ``None`` if there is none, or it is no longer installed."""
    found = next((own for own in lessons.lessons() if own.name == classroom.lesson), None)
    if found is None:
        return None
    return Shown(found, [lesson_question.filled(step, dataset) for step in found.steps], classroom.question)


def asked(dataset: Dataset, names: Sequence[tuple[str, int]]) -> list[Asked]:
    """Questions by lesson and number, with their choices and right answers on these data."""
    by_name = {own.name: own for own in lessons.lessons()}
    found = []
    for name, at in sorted(set(names)):
        if name in by_name and 0 <= at < len(by_name[name].steps):
            step = lesson_question.filled(by_name[name].steps[at], dataset)
            title = by_name[name].title
            found.append(Asked(name, at, step.question, step.choices, step.right, title, step.answer))
    return found


def answered(classroom: Classroom, dataset: Dataset) -> list[Asked]:
    """Every question that somebody in the class has answered."""
    return asked(dataset, [(a["lesson"], a["question"]) for a in store.answers_of(classroom.id)])


def bars(found: Mapping[str, int], right: Sequence[str], most: int = 12) -> None:
    """How many answered what; the right answers are marked by a tick and their colour.

    Args:
        found: number by answer.
        right: the right answers.
        most: how many answers are shown.
    """
    largest = max([1, *found.values()])
    rows = []
    for said, n in list(found.items())[:most]:
        name = "right" if said in right else ""
        tick = "✓ " if said in right else ""
        rows.append(
            f'<b class="{name}">{tick}{html.escape(said)}</b>'
            f'<span class="{name}"><i style="width:{80 * n / largest:.1f}%"></i>{n}</span>'
        )
    st.html(f'{STYLE}<div class="class-bars">{"".join(rows)}</div>')
    if len(found) > most:
        st.caption(f"And {len(found) - most} other answers.")


def question_bars(classroom: Classroom, own: Shown) -> None:
    """The bars of the question that the class sees."""
    assert own.step is not None
    asked_now = Asked(own.lesson.name, own.at, own.step.question, own.step.choices, own.step.right)
    bars(report.counts(store.answers_of(classroom.id, own.lesson.name), asked_now), own.step.right)
