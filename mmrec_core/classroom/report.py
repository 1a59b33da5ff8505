"""What is taken away from a class: tables without nicknames, and a report to print."""

from __future__ import annotations

import html
import io
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmrec_core import csv_out
from mmrec_core.classroom import store
from mmrec_core.classroom.store import Classroom, Participant
from mmrec_core.types import Dataset


@dataclass(frozen=True)
class Asked:
    """A question that a class was asked, with its choices and what is right on these data."""

    lesson: str
    question: int
    text: str
    choices: tuple[str, ...]
    right: tuple[str, ...]
    title: str = ""
    """Title of the lesson."""
    answer: str = ""
    """The reason, in Markdown."""


@dataclass(frozen=True)
class Score:
    """A participant's answers to questions that have a right answer."""

    participant: Participant
    answered: int
    right: int


def counts(answers: Sequence[Mapping[str, Any]], asked: Asked) -> dict[str, int]:
    """How many chose what: every choice, in its order, then other answers, the most frequent first."""
    own = Counter(a["said"] for a in answers if (a["lesson"], a["question"]) == (asked.lesson, asked.question))
    return {**{c: own.pop(c, 0) for c in asked.choices}, **dict(own.most_common())}


def scores(people: Sequence[Participant], answers: Sequence[Mapping[str, Any]], asked: Sequence[Asked]) -> list[Score]:
    """The score sheet: per participant how many questions with a right answer were answered, and how many correctly."""
    right = {(a.lesson, a.question): a.right for a in asked if a.right}
    found = []
    for person in people:
        own = [a for a in answers if a["participant_id"] == person.id and (a["lesson"], a["question"]) in right]
        found.append(Score(person, len(own), sum(a["said"] in right[a["lesson"], a["question"]] for a in own)))
    return found


def answers_csv(classroom: Classroom, asked: Sequence[Asked]) -> str:
    """Answers as CSV, one row each: participant's number, lesson, question, answer, whether it is right, seconds."""
    number = {p.id: p.number for p in store.participants_of(classroom.id)}
    right = {(a.lesson, a.question): a.right for a in asked}
    out = io.StringIO()
    rows = csv_out.Writer(out)
    rows.writerow(["participant", "lesson", "question", "answer", "right", "seconds"])
    for a in store.answers_of(classroom.id):
        known = right.get((a["lesson"], a["question"]))
        is_right = "" if not known else "yes" if a["said"] in known else "no"
        seconds = f"{a['at'] - classroom.created:.1f}"
        rows.writerow([number[a["participant_id"]], a["lesson"], a["question"] + 1, a["said"], is_right, seconds])
    return out.getvalue()


def ratings_csv(classroom: Classroom, dataset: Dataset) -> str:
    """Ratings as CSV: participant's number, film, stars, place in their order, whether it was held out, seconds."""
    number = {p.id: p.number for p in store.participants_of(classroom.id)}
    out = io.StringIO()
    rows = csv_out.Writer(out)
    rows.writerow(["participant", "item", "title", "stars", "place", "held_out", "seconds"])
    for r in store.ratings_of(classroom.id):
        title = str(dataset.catalog["title"].iloc[dataset.items.row(r.item, "film id")])
        seconds = f"{r.at - classroom.created:.1f}"
        rows.writerow([number[r.participant_id], r.item, title, r.stars, r.place, "yes" if r.held else "no", seconds])
    return out.getvalue()


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#222;"
    "background:#fff}section{break-inside:avoid;border-top:1px solid #bbb;padding:.6rem 0}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}"
    ".bar{display:inline-block;height:.8rem;background:#0072B2;vertical-align:middle;margin-right:.4rem}"
    ".right{font-weight:700}footer{font-size:.8rem;color:#555;border-top:1px solid #bbb}"
)


def printable(classroom: Classroom, asked: Sequence[Asked], found: Mapping[str, Any] | None) -> str:
    """A report as an HTML page to print: every question with its answers, the score sheet by number, the experiment.

    Args:
        classroom: the class.
        asked: the questions that were answered.
        found: :func:`mmrec_core.classroom.experiment.results`, or ``None``.
    """
    people, answers = store.participants_of(classroom.id), store.answers_of(classroom.id)
    parts = [_question(a, counts(answers, a)) for a in asked]
    if any(a.right for a in asked):
        rows = "".join(
            f"<tr><td>{s.participant.number}</td><td>{s.right} of {s.answered}</td></tr>"
            for s in scores(people, answers, asked)
        )
        table = f"<table><tr><th>Participant</th><th>Right</th></tr>{rows}</table>"
        parts.append(f"<section><h2>Score sheet</h2>{table}</section>")
    if found and found["standings"]:
        parts.append(_experiment(found))
    day = time.strftime("%d %B %Y", time.localtime(classroom.created))
    title = html.escape(classroom.title)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
        f"<h1>{title}</h1><p>{day}, {len(people)} participants, dataset {html.escape(classroom.dataset)}.</p>"
        f"{''.join(parts)}<footer>Participants are numbers in the order in which they joined; nicknames are left out."
        " Made by MMRec.</footer></html>"
    )


def _question(asked: Asked, found: Mapping[str, int]) -> str:
    most, n = max([1, *found.values()]), sum(found.values())
    rows = "".join(
        f"<tr{' class=right' if said in asked.right else ''}><td>{html.escape(said)}"
        f"{' ✓' if said in asked.right else ''}</td><td>{_bar(count / most)}{count}</td></tr>"
        for said, count in found.items()
    )
    name = f"{html.escape(asked.title or asked.lesson)}, question {asked.question + 1}"
    reason = re.sub(r"[*`]", "", html.escape(asked.answer)).replace("\n", "<br>")
    return (
        f"<section><h2>{html.escape(asked.text)}</h2><table>{rows}</table><p>{reason}</p>"
        f"<p><small>{name}; {n} answers</small></p></section>"
    )


def _experiment(found: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(s['model'])}</td><td>{_number(s['order'], s['order_interval'])}</td>"
        f"<td>{_number(s['rmse'], s['rmse_interval'])}</td><td>{s['people']}</td></tr>"
        for s in found["standings"]
    )
    head = "<tr><th>Model</th><th>Pairs in the right order</th><th>RMSE</th><th>People</th></tr>"
    return (
        f"<section><h2>Which model knows this class?</h2><table>{head}{rows}</table><p><small>Held-out ratings of the"
        " participants, chosen before they rated; in brackets 95 % intervals over participants.</small></p></section>"
    )


def _number(value: float | None, interval: Sequence[float] | None) -> str:
    """A value with its interval; a dash where there is none."""
    between = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return "–" if value is None else f"{value:.3f}{between}"


def _bar(share: float) -> str:
    return f"<span class=bar style='width:{12 * share:.2f}rem'></span>"
