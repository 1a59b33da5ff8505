"""Lessons, read from Markdown files: a title, a motivation, and steps.

A step is a question, a permalink of the page that shows the answer, and a short answer with values of this machine.

::

    # Title
    minutes: 10
    learn: What one knows afterwards, in a sentence.
    picture: popular               (or few, mixed, new, posters: which films its card shows)

    The motivation, in a line or two.

    ## The question?
    look: compare?view=Intervals&metric=rmse
    part: Paired comparison        (or left out: a heading of that page to scroll to)
    choose: {models_with rmse}     (or one | another; left out: a free answer)
    right: {leaders rmse}          (the right choice or choices; or a line "opinion: yes")
    show: mini_clip mini_siglip image   (or left out: films whose neighbours differ most under two encoders)
    figure: overfitting            (or left out: a view of Inside, by its file, and key=value, drawn in the question)

    The answer, with {value ease ndcg@10} computed when it is read.
    [one] A line that is shown only if "one" is right on these data.
    [if another] A line that is shown only to those who chose "another".

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

PICTURES = ("popular", "few", "mixed", "new", "posters")
"""Which films a lesson's card shows; see :func:`mmrec_core.analysis.lesson_films.picture`."""


@dataclass(frozen=True)
class Step:
    """A question, the page to open, and the answer."""

    question: str
    page: str
    query: dict[str, str]
    choices: tuple[str, ...]
    answer: str
    right: str = ""
    """The right choice, or several joined by ``|``, with values to fill in; empty for a question of opinion."""
    part: str = ""
    """Heading on the page to scroll to; empty for the top."""
    show: tuple[str, ...] = ()
    """Two encoders and a modality: the answer shows films whose nearest neighbours differ most; or nothing."""
    figure: str = ""
    """Name of a view of the page Inside that is drawn in the question, and ``key=value`` for what it shows at first;
    empty: none."""

    @property
    def opinion(self) -> bool:
        """Whether no answer is wrong."""
        return not self.right


@dataclass(frozen=True)
class Lesson:
    """A lesson: an ordered list of steps."""

    name: str
    title: str
    minutes: int
    why: str
    steps: tuple[Step, ...]
    learn: str = ""
    """What one knows after the lesson, in a sentence."""
    picture: str = "posters"
    """Which films the lesson's card shows, one of :data:`PICTURES`."""


def files() -> list[Path]:
    """The files of all lessons: built-in ones first, then those of plugins, sorted by name within a folder."""
    folders = [settings.ROOT / "assets" / "lessons"]
    folders += [Path(p) / "lessons" for p in os.environ.get("MMREC_PLUGINS", "").split(os.pathsep) if p]
    return [file for folder in folders for file in sorted(folder.glob("[!_]*.md"), key=_place)]


def _place(file: Path) -> tuple[int, str]:
    """The number at the beginning of a file's name, then the name: 9 before 10."""
    number = re.match(r"\d+", file.name)
    return int(number[0]) if number else 10**9, file.name


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
    picture = header.get("picture", "posters")
    if picture not in PICTURES:
        raise MMRecError(f"{file.name}: picture '{picture}' is not known. Known: {', '.join(PICTURES)}.")
    steps = tuple(_step(part, file) for part in parts)
    figures = [step.figure.split()[0] for step in steps if step.figure]
    if twice := [name for name in figures if figures.count(name) > 1]:
        raise MMRecError(f"{file.name} shows the figure '{twice[0]}' twice. Leave it out of the later question.")
    return Lesson(
        file.stem,
        title,
        int(header["minutes"]),
        why,
        steps,
        header.get("learn", ""),
        picture,
    )


def _step(part: str, file: Path) -> Step:
    question, header, answer = _block(part, file)
    page, _, query = header.get("look", "").partition("?")
    if not page or not answer:
        raise MMRecError(f"{file.name}: '{question}' needs a line 'look: page?query' and an answer below it.")
    choices = tuple(c.strip() for c in header.get("choose", "").split("|") if c.strip())
    right, opinion = header.get("right", ""), header.get("opinion", "") == "yes"
    if bool(right) == opinion:
        raise MMRecError(
            f"{file.name}: '{question}' needs either a line 'right: choice' or 'opinion: yes', so that a wrong answer "
            "is corrected."
        )
    if right and not choices:
        raise MMRecError(f"{file.name}: '{question}' has a right answer but no line 'choose: one | another'.")
    show = tuple(header.get("show", "").split())
    if show and (len(show) != 3 or show[2] not in ("text", "image")):
        raise MMRecError(f"{file.name}: 'show: {' '.join(show)}' should name two encoders and text or image.")
    return Step(
        question,
        page,
        dict(parse_qsl(query)),
        choices,
        answer,
        right,
        header.get("part", ""),
        show,
        header.get("figure", ""),
    )


def _block(text: str, file: Path) -> tuple[str, dict[str, str], str]:
    """First line, the ``key: value`` lines below it, and the rest."""
    first, _, rest = text.strip().partition("\n")
    if not first.strip():
        raise MMRecError(f"{file.name} has an empty heading.")
    header: dict[str, str] = {}
    lines = rest.splitlines()
    while lines and (
        found := re.fullmatch(
            r"(minutes|look|choose|right|opinion|part|show|figure|learn|picture): (.+)", lines[0].strip()
        )
    ):
        header[found[1]] = found[2].strip()
        lines.pop(0)
    return first.strip(), header, "\n".join(lines).strip()
