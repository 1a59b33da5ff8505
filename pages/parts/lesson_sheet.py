"""Printed pages of a lesson: a sheet with a visitor's answers, and a key for teachers."""

from __future__ import annotations

import html
import re
import time

from mmrec_core.analysis.lesson_values import FilledStep
from mmrec_core.analysis.lessons import Lesson
from mmrec_core.types import Dataset
from pages.parts.lesson_progress import Progress

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;"
    "color:#222;background:#fff}"
    "h1{font-size:1.6rem}h2{font-size:1.1rem;margin-bottom:.3rem}"
    "section{break-inside:avoid;border-top:1px solid #bbb;padding:.6rem 0}"
    ".own{background:#f3f0e8;padding:.4rem .6rem}footer{font-size:.8rem;color:#555;border-top:1px solid #bbb}"
    "ul{list-style:none;padding:0;margin:.4rem 0}li.right{font-weight:700}"
    "input{font:inherit;border:0;border-bottom:1px solid #555;width:20rem;max-width:100%}"
)


def sheet(lesson: Lesson, steps: list[FilledStep], mine: Progress, dataset: Dataset) -> str:
    """A page to print: a line for the name, the questions, the choices and those made, the numbers that were revealed.

    The name is typed or written on the page itself; it is not sent to the server.
    """
    parts = ["<p><label>Name: <input autocomplete=off></label></p>"]
    for at, own in enumerate(steps):
        said = mine.answers.get(at, "")
        seen = at in mine.seen
        body = _choices(own.choices, said, own.right if seen else ()) if own.choices else ""
        if not own.choices or (said and said not in own.choices):
            body += f"<p class=own>Your answer: <b>{html.escape(said) or '_' * 40}</b></p>"
        body += f"<p>{_plain(own.answer)}</p>" if seen else "<p><i>not looked up yet</i></p>" if not own.fault else ""
        parts.append(_section(at, own, body))
    return _page(lesson, lesson.title, parts, dataset)


def key(lesson: Lesson, steps: list[FilledStep], dataset: Dataset) -> str:
    """A page for teachers: every question with its right choices and its numbers, without name or answers."""
    parts = []
    for at, own in enumerate(steps):
        body = _choices(own.choices, "", own.right)
        if not own.right and not own.fault and not own.wanted:
            body += "<p><i>A question of opinion: no answer is wrong.</i></p>"
        if own.wanted:
            body += f"<p><i>{len(own.wanted)} runs are needed first; start them in the lesson.</i></p>"
        else:
            body += f"<p>{_plain(own.answer)}</p>"
            for choice, text in own.feedback.items():
                body += f"<p><i>Who chose “{html.escape(choice)}” reads:</i> {_plain(text)}</p>"
        parts.append(_section(at, own, body))
    return _page(lesson, f"{lesson.title}: key", parts, dataset)


def _section(at: int, own: FilledStep, body: str) -> str:
    fault = f"<p><i>{html.escape(own.fault)}</i></p>" if own.fault else ""
    return f"<section><h2>{at + 1}. {_plain(own.question)}</h2>{body}{fault}</section>"


def _choices(choices: tuple[str, ...], said: str, right: tuple[str, ...]) -> str:
    """The choices with a box each; ticked if chosen, and marked if right."""
    lines = [
        f"<li{' class=right' if c in right else ''}>{'☒' if c == said else '☐'} {html.escape(c)}"
        f"{' ✓ right' if c in right else ''}</li>"
        for c in choices
    ]
    return f"<ul>{''.join(lines)}</ul>"


def _plain(text: str) -> str:
    """The Markdown that lessons use (bold, code, line breaks) as HTML."""
    safe = html.escape(text)
    safe = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", safe)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", safe).replace("\n", "<br>")


def _page(lesson: Lesson, title: str, parts: list[str], dataset: Dataset) -> str:
    made = " Generated data: a check of methods, not evidence about films." if dataset.manifest["generated"] else ""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(lesson.why)}</p>{''.join(parts)}"
        f"<footer>{html.escape(dataset.name)}, split user-temporal, seed 0; brackets are 95 % intervals over users."
        f"{made} Computed {time.strftime('%d %B %Y')} by MMRec.</footer></html>"
    )
