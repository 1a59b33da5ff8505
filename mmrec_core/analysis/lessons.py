"""Lessons, read from Markdown files: a title, a motivation, and steps.

A step is a question, a permalink of the page that shows the answer, and a short answer with values of this machine.

::

    # Title
    minutes: 10

    The motivation, in a line or two.

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
    """A question, the page to open, and the answer."""

    question: str
    page: str
    query: dict[str, str]
    choices: tuple[str, ...]
    answer: str
    right: str = ""
    """The correct choice, possibly with values to fill in; empty if no choice is wrong."""


@dataclass(frozen=True)
class Lesson:
    """A lesson: an ordered list of steps."""

    name: str
    title: str
    minutes: int
    why: str
    steps: tuple[Step, ...]


def files() -> list[Path]:
    """The files of all lessons: built-in ones first, then those of plugins, sorted by name within a folder."""
    folders = [settings.ROOT / "assets" / "lessons"]
    folders += [Path(p) / "lessons" for p in os.environ.get("MMREC_PLUGINS", "").split(os.pathsep) if p]
    return [file for folder in folders for file in sorted(folder.glob("[!_]*.md"))]


def lessons() -> list[Lesson]:
    """All lessons.

    Raises:
        MMRecError: a file is not a lesson; the message names it.
    """
    return [read(file) for file in files()]


def read(file: Path) -> Lesson:
    """Read a lesson.

    Raises:
        MMRecError: a heading, a link or an answer is missing.
    """
    head, *parts = re.split(r"^## ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    title, header, why = _block(head.removeprefix("# "), file)
    if not head.startswith("# ") or not parts:
        raise MMRecError(
            f"{file.name} is no lesson: expected a first line '# Title' and a step that begins with '## question'."
        )
    if not header.get("minutes", "").isdecimal():
        raise MMRecError(f"{file.name} does not say how many minutes it takes, such as 'minutes: 10'.")
    return Lesson(file.stem, title, int(header["minutes"]), why, tuple(_step(part, file) for part in parts))


def _step(part: str, file: Path) -> Step:
    question, header, answer = _block(part, file)
    page, _, query = header.get("look", "").partition("?")
    if not page or not answer:
        raise MMRecError(f"{file.name}: '{question}' needs a line 'look: page?query' and an answer below it.")
    choices = tuple(c.strip() for c in header.get("choose", "").split("|") if c.strip())
    return Step(question, page, dict(parse_qsl(query)), choices, answer, header.get("right", ""))


def _block(text: str, file: Path) -> tuple[str, dict[str, str], str]:
    """First line, the ``key: value`` lines below it, and the rest."""
    first, _, rest = text.strip().partition("\n")
    if not first.strip():
        raise MMRecError(f"{file.name} has an empty heading.")
    header: dict[str, str] = {}
    lines = rest.splitlines()
    while lines and (found := re.fullmatch(r"(minutes|look|choose|right): (.+)", lines[0].strip())):
        header[found[1]] = found[2].strip()
        lines.pop(0)
    return first.strip(), header, "\n".join(lines).strip()
