"""Lessons are text files: a title, why, and steps, each a question, a permalink to look at, and a two-line answer with live numbers.

::

    # Title
    minutes: 10

    Why one should care, in a line or two.

    ## The question?
    look: compare?view=Intervals&metric=rmse
    choose: one | another          (or left out: a free answer)
    right: {winner rmse}           (or left out: no answer is wrong)

    The answer, with {value ease ndcg@10} computed when it is read.

Adding a lesson is adding a file to ``assets/lessons``, or to a ``lessons`` folder under ``MMREC_PLUGINS``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from mmrec_core import settings
from mmrec_core.errors import MMRecError


@dataclass(frozen=True)
class Step:
    """A question, where to look, and the answer."""

    question: str
    page: str
    query: dict[str, str]
    choices: tuple[str, ...]
    answer: str
    right: str = ""
    """The choice that is right, with holes; empty where none is."""


@dataclass(frozen=True)
class Lesson:
    """An ordered path."""

    name: str
    title: str
    minutes: int
    why: str
    steps: tuple[Step, ...]


def files() -> list[Path]:
    """Every lesson's file, ours first, each folder in the order of its names."""
    folders = [settings.ROOT / "assets" / "lessons"]
    folders += [Path(p) / "lessons" for p in os.environ.get("MMREC_PLUGINS", "").split(os.pathsep) if p]
    return [file for folder in folders for file in sorted(folder.glob("[!_]*.md"))]


def lessons() -> list[Lesson]:
    """Every lesson.

    Raises:
        MMRecError: a file is no lesson; says where.
    """
    return [read(file) for file in files()]


def read(file: Path) -> Lesson:
    """One lesson.

    Raises:
        MMRecError: a heading, a link or an answer is missing.
    """
    head, *parts = re.split(r"^## ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    title, told, why = _block(head.removeprefix("# "), file)
    if not head.startswith("# ") or not parts:
        raise MMRecError(
            f"{file.name} is no lesson: it begins with '# Title' and has a step that begins with '## question'."
        )
    if not told.get("minutes", "").isdecimal():
        raise MMRecError(f"{file.name} does not say how many minutes it takes, such as 'minutes: 10'.")
    return Lesson(file.stem, title, int(told["minutes"]), why, tuple(_step(part, file) for part in parts))


def _step(part: str, file: Path) -> Step:
    question, told, answer = _block(part, file)
    page, _, query = told.get("look", "").partition("?")
    if not page or not answer:
        raise MMRecError(f"{file.name}: '{question}' needs a line 'look: page?query' and an answer below it.")
    choices = tuple(c.strip() for c in told.get("choose", "").split("|") if c.strip())
    return Step(question, page, dict(parse_qsl(query)), choices, answer, told.get("right", ""))


def _block(text: str, file: Path) -> tuple[str, dict[str, str], str]:
    """First line, ``key: value`` lines right below it, and the rest."""
    first, _, rest = text.strip().partition("\n")
    if not first.strip():
        raise MMRecError(f"{file.name} has a heading without words.")
    told: dict[str, str] = {}
    lines = rest.splitlines()
    while lines and (found := re.fullmatch(r"(minutes|look|choose|right): (.+)", lines[0].strip())):
        told[found[1]] = found[2].strip()
        lines.pop(0)
    return first.strip(), told, "\n".join(lines).strip()
