"""The order of a lesson in a class: title, question, its answer, next question, its answer, and so on."""

from __future__ import annotations

from collections.abc import Sequence

Place = tuple[int, bool]
"""A question (−1: the title) and whether its answer is shown."""


def places(open_questions: Sequence[int]) -> list[Place]:
    """All places of a lesson, in order; questions that cannot be asked are left out."""
    return [(-1, False), *((at, revealed) for at in open_questions for revealed in (False, True))]


def move(now: Place, by: int, open_questions: Sequence[int]) -> Place | None:
    """The place before (−1) or after (1) another; ``None`` at the end, or at the beginning."""
    every = places(open_questions)
    here = every.index(now) if now in every else 0
    return every[here + by] if 0 <= here + by < len(every) else None


def label(now: Place, open_questions: Sequence[int]) -> str:
    """What the button that goes on says."""
    following = move(now, 1, open_questions)
    if following is None:
        return "End of the lesson"
    return "Reveal the answer" if following[1] else "First question" if now[0] < 0 else "Next question"
