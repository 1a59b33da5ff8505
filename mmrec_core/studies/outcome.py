"""What a study found: who counts, who is excluded and why, and the preference per pair of models and question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmrec_core.studies.definition import INTERLEAVED, Definition
from mmrec_core.studies.interleaving import Interleaved, credit
from mmrec_core.studies.preference import Preference

CHOSEN = "chosen films"
"""The question of an interleaved list: which films somebody would watch."""
FIRST, SECOND, NEITHER = "first", "second", "neither"


@dataclass(frozen=True)
class Record:
    """What one person did. Answers name the place of a list, not its model."""

    number: int
    first: str
    """Model of the left list, or of team 0."""
    second: str
    seconds: float | None
    """From arrival to the end; ``None`` if they did not finish."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """By question: ``first``, ``second``, ``neither``, or a text."""
    teams: tuple[int, ...] = ()
    """Of an interleaved list: the team of each place."""
    chosen: tuple[int, ...] = ()
    """Of an interleaved list: the places that were chosen."""
    rated: int = 0
    """How many films they rated."""


@dataclass(frozen=True)
class Finding:
    """The preference between two models in one question."""

    a: str
    b: str
    question: str
    preference: Preference


def excluded(definition: Definition, record: Record) -> str | None:
    """Why a person does not count; ``None`` if they do."""
    if record.seconds is None:
        return "did not finish"
    if record.seconds < definition.fastest_s:
        return f"finished in less than {definition.fastest_s:g} seconds"
    if record.rated < definition.films_to_rate:
        return f"rated fewer than {definition.films_to_rate} films"
    return None


def preferred(record: Record, question: str) -> str | None:
    """The model that a person prefers in a question; ``""`` for neither, ``None`` if they did not answer."""
    if question == CHOSEN:
        if not record.teams:
            return None
        one, other = credit(Interleaved((), record.teams), record.chosen)
        return record.first if one > other else record.second if other > one else ""
    said = record.answers.get(question)
    return {FIRST: record.first, SECOND: record.second, NEITHER: ""}.get(said or "")


def questions(definition: Definition) -> list[str]:
    """The questions with a preference."""
    asked = [q.id for q in definition.questions if q.kind == "preference"] if definition.layout != INTERLEAVED else []
    return [CHOSEN, *asked] if definition.layout == INTERLEAVED else asked


def findings(definition: Definition, records: Iterable[Record]) -> list[Finding]:
    """The preference per pair of models and question, over everybody who counts."""
    kept = [r for r in records if excluded(definition, r) is None]
    found = []
    for a, b in definition.pairs:
        own = [r for r in kept if {r.first, r.second} == {a, b}]
        for question in questions(definition):
            said = [preferred(r, question) for r in own]
            found.append(Finding(a, b, question, Preference(said.count(a), said.count(b), said.count(""))))
    return found


def sides(definition: Definition, records: Iterable[Record]) -> Preference | None:
    """Whether the place of a list matters: how many preferred the first against the second, in the first question."""
    asked = questions(definition)
    kept = [r for r in records if excluded(definition, r) is None]
    said = [(preferred(r, asked[0]), r) for r in kept]
    first = sum(model == r.first for model, r in said if model)
    second = sum(model == r.second for model, r in said if model)
    neither = sum(model == "" for model, _ in said)
    return Preference(first, second, neither) if said else None


def slices(definition: Definition, records: Sequence[Record]) -> dict[str, list[Finding]]:
    """Findings among parts of the people: who saw which model first, and who rated more or fewer films."""
    ratings = sorted(r.rated for r in records if excluded(definition, r) is None)
    middle = ratings[len(ratings) // 2] if ratings else 0
    parts = {
        f"rated at least {middle} films": [r for r in records if r.rated >= middle],
        f"rated fewer than {middle} films": [r for r in records if r.rated < middle],
    }
    if len(definition.models) == 2:
        for model in definition.models:
            parts[f"saw {model} first"] = [r for r in records if r.first == model]
    return {name: findings(definition, own) for name, own in parts.items() if own}


def agreement(found: Sequence[Finding], offline: Mapping[str, float]) -> list[dict[str, Any]]:
    """Whether people prefer the model that is better offline, per finding.

    Args:
        found: findings.
        offline: a metric by model, where higher is better.

    Returns:
        ``a``, ``b``, ``question``, ``offline`` (difference a − b), ``share`` (of people who prefer a) and ``agrees``
        (``None`` where one of them shows no difference).
    """
    rows = []
    for own in found:
        share = own.preference.share
        if share is None or own.a not in offline or own.b not in offline:
            continue
        gap = offline[own.a] - offline[own.b]
        sure = own.preference.p is not None and own.preference.p < 0.05
        agrees = None if not sure or gap == 0 else (gap > 0) == (share > 0.5)
        rows.append(
            {"a": own.a, "b": own.b, "question": own.question, "offline": gap, "share": share, "agrees": agrees}
        )
    return rows
