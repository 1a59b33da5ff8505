"""Studies in the database: people arrive, answer step by step, and may withdraw.

A step is kept as soon as it is done, so whoever stops in the middle leaves what they did, marked as not finished.
The host is checked by :func:`mmrec_core.ownership.require`, a person by the secret that their browser holds.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mmrec_core import ownership
from mmrec_core.classroom.limits import Throttle
from mmrec_core.database import reading, responses, studies, subjects, writing
from mmrec_core.errors import MMRecError
from mmrec_core.studies import outcome
from mmrec_core.studies.assignment import Assignment, assignment
from mmrec_core.studies.definition import INTERLEAVED, Definition, checked
from mmrec_core.studies.outcome import Record

RATINGS, SHOWN, CHOSEN = "ratings", "shown", "chosen"
"""Steps beside the questions, whose step is ``q.`` and their id."""
MOST_RATINGS = 200
LONGEST = 20_000
"""Characters of a step, as JSON."""
ARRIVALS = Throttle(60, 60.0)
WRITES = Throttle(60, 10.0)


@dataclass(frozen=True)
class Study:
    """A study and its state."""

    id: str
    definition: Definition
    created: float
    ended: float | None

    @property
    def is_open(self) -> bool:
        """Whether people may take part."""
        return self.ended is None


@dataclass(frozen=True)
class Subject:
    """A person in a study."""

    id: str
    study_id: str
    number: int
    arrived: float
    finished: float | None


def create(definition: Definition) -> Study:
    """Open a study.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("open a study")
    if "seed" not in definition.model_fields_set:  # else who guesses it knows which list is whose
        definition = definition.model_copy(update={"seed": secrets.randbits(53)})
    new = {"id": secrets.token_hex(8), "definition": definition.model_dump_json(), "created": time.time()}
    with writing() as connection:
        connection.execute(sa.insert(studies).values(**new))
    return get(str(new["id"]))


def all_studies() -> list[Study]:
    """All studies, the newest first.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("see all studies")
    with reading() as connection:
        rows = connection.execute(sa.select(studies).order_by(studies.c.created.desc())).mappings().all()
    return [_study(row) for row in rows]


def get(study_id: str) -> Study:
    """A study by its id.

    Raises:
        MMRecError: there is none.
    """
    with reading() as connection:
        row = connection.execute(sa.select(studies).where(studies.c.id == study_id)).mappings().first()
    if row is None:
        raise MMRecError("There is no such study; it may have been deleted.")
    return _study(row)


def arrive(study_id: str, address: str) -> tuple[Subject, str]:
    """Take part in a study, after consent.

    Args:
        study_id: the study.
        address: where the person comes from.

    Returns:
        The person, and the secret that their browser keeps.

    Raises:
        MMRecError: the study has ended or is full, or too many come from this address at once.
    """
    get(study_id)
    if not ARRIVALS.add(address):
        raise MMRecError("Many people come from here at once. Try again in a minute.")
    secret = secrets.token_urlsafe(18)
    with writing() as connection:
        study = _lock(connection, study_id)
        own = subjects.c.study_id == study_id
        last = connection.execute(
            sa.select(sa.func.coalesce(sa.func.max(subjects.c.number), -1)).where(own)
        ).scalar_one()
        counts = subjects.c.finished - subjects.c.arrived >= study.definition.fastest_s  # those in haste are excluded
        done = connection.execute(sa.select(sa.func.count()).select_from(subjects).where(own, counts)).scalar_one()
        if not study.is_open or done >= study.definition.participants:
            raise MMRecError("This study has all the participants that it needs. Thank you for coming.")
        new = Subject(secrets.token_hex(8), study_id, last + 1, time.time(), None)
        connection.execute(sa.insert(subjects).values(secret=ownership.hashed(secret), **vars(new)))
    return new, secret


def subject(secret: str) -> Subject | None:
    """Who holds a secret; ``None``: nobody, or they withdrew."""
    with reading() as connection:
        row = (
            connection.execute(sa.select(subjects).where(subjects.c.secret == ownership.hashed(secret)))
            .mappings()
            .first()
        )
    return None if row is None else _subject(row)


def assigned(study: Study, person: Subject) -> Assignment:
    """What a person compares."""
    return assignment(study.definition, person.number)


def respond(secret: str, step: str, value: Any) -> None:
    """Keep what a person did in a step; the last response counts until they have finished.

    Raises:
        MMRecError: an unknown step, an answer that the step does not know, too large, or too late.
    """
    person = subject(secret)
    if person is not None and not WRITES.add(person.id):
        raise MMRecError("That was very fast. Wait a few seconds, then go on.")
    with writing() as connection:
        study, row = _taking_part(connection, secret, person)
        if row["finished"] is not None or not study.is_open:
            raise MMRecError("Your answers are complete; they can no longer be changed.")
        text = json.dumps(_checked(study.definition, step, value))
        if len(text) > LONGEST:
            raise MMRecError("That is too long to be kept.")
        made = connection.execute(
            sa.select(responses.c.value).where(responses.c.subject_id == row["id"], responses.c.step == SHOWN)
        ).scalar()
        _in_order(step, value, None if made is None else json.loads(made))
        key = sa.and_(responses.c.subject_id == row["id"], responses.c.step == step)
        new = {"value": text, "at": time.time()}
        if connection.execute(sa.update(responses).where(key).values(**new)).rowcount == 0:
            connection.execute(sa.insert(responses).values(subject_id=row["id"], step=step, **new))


def _in_order(step: str, value: Any, made: dict[str, Any] | None) -> None:
    """Ratings come before the lists, which are made once; answers come after them.

    Args:
        step: the step of a response.
        value: the response.
        made: the lists, if they were made.

    Raises:
        MMRecError: the step is too early or too late, or a chosen place is none of the list's.
    """
    if step in {RATINGS, SHOWN}:
        if made is not None:
            raise MMRecError("Your lists are made; your ratings can no longer be changed. Load the page again.")
        return
    if made is None:
        raise MMRecError("Rate films first, then compare the lists.")
    if step == CHOSEN and not set(value) <= set(range(len(made.get("items", [])))):
        raise MMRecError("Films are chosen by their places in the list.")


def _checked(definition: Definition, step: str, value: Any) -> Any:
    """A response that fits its step.

    Raises:
        MMRecError: it does not.
    """
    if step == RATINGS:
        fits = isinstance(value, dict) and len(value) <= MOST_RATINGS
        if not fits or not all(type(stars) in {int, float} and math.isfinite(stars) for stars in value.values()):
            raise MMRecError("Ratings are numbers by film.")
        return value
    if step == SHOWN:
        if not isinstance(value, dict) or not isinstance(value.get("teams", []), list):
            raise MMRecError("These are no lists of a study.")
        return value
    if step == CHOSEN:
        if not isinstance(value, list) or not all(type(place) is int for place in value):
            raise MMRecError("Films are chosen by their places in the list.")
        return value
    question = next((q for q in definition.questions if f"q.{q.id}" == step), None)
    if question is None:
        raise MMRecError("This study does not ask that.")
    if question.kind == "preference" and value not in (outcome.FIRST, outcome.SECOND, outcome.NEITHER):
        raise MMRecError("Choose one of the lists, or that there is no difference.")
    if question.kind == "text" and not (isinstance(value, str) and len(value) <= 1000):
        raise MMRecError("An answer in your own words has at most 1000 characters.")
    return value


def responses_of(subject_id: str) -> dict[str, Any]:
    """What a person did, by step."""
    with reading() as connection:
        rows = connection.execute(sa.select(responses).where(responses.c.subject_id == subject_id)).mappings().all()
    return {row["step"]: json.loads(row["value"]) for row in rows}


def finish(secret: str) -> None:
    """Mark a person's answers as complete.

    Raises:
        MMRecError: something that the study asks is missing.
    """
    with writing() as connection:
        study, row = _taking_part(connection, secret, subject(secret))
        kept = connection.execute(sa.select(responses).where(responses.c.subject_id == row["id"])).mappings().all()
        _complete(study, {own["step"]: json.loads(own["value"]) for own in kept}, row["finished"])
        mine = sa.and_(subjects.c.id == row["id"], subjects.c.finished.is_(None))
        connection.execute(sa.update(subjects).where(mine).values(finished=time.time()))


def _complete(study: Study, done: dict[str, Any], finished: float | None) -> None:
    """Check that a person has answered everything, in time."""
    own = study.definition
    if not study.is_open and finished is None:
        raise MMRecError("This study has ended; answers that were not complete do not count.")
    wanted = [SHOWN, CHOSEN] if own.layout == INTERLEAVED else [SHOWN]
    if own.layout != INTERLEAVED:
        wanted += [f"q.{q.id}" for q in own.questions if q.kind == "preference"]
    if len(done.get(RATINGS, {})) < own.films_to_rate or any(step not in done for step in wanted):
        raise MMRecError("Some questions are still open.")


def withdraw(secret: str) -> None:
    """Delete a person and everything they did."""
    person = subject(secret)
    with writing() as connection:
        if person is not None:
            with contextlib.suppress(MMRecError):  # the study was deleted meanwhile, and they with it
                _lock(connection, person.study_id)
        connection.execute(sa.delete(subjects).where(subjects.c.secret == ownership.hashed(secret)))


def end(study_id: str) -> None:
    """End a study: nobody takes part any more.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("end a study")
    with writing() as connection:
        connection.execute(sa.update(studies).where(studies.c.id == study_id).values(ended=time.time()))


def delete(study_id: str) -> None:
    """Delete a study with everything that people did in it.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("delete a study")
    with writing() as connection:
        connection.execute(sa.delete(studies).where(studies.c.id == study_id))


def records(study: Study) -> list[Record]:
    """What everybody did, in the order of arrival.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("see the results of a study")
    query = (
        sa.select(subjects, responses.c.step, responses.c.value)
        .outerjoin(responses, responses.c.subject_id == subjects.c.id)
        .where(subjects.c.study_id == study.id)
        .order_by(subjects.c.number)
    )
    done: dict[str, tuple[Subject, dict[str, Any]]] = {}
    with reading() as connection:
        for row in connection.execute(query).mappings():
            _, steps = done.setdefault(row["id"], (_subject(row), {}))
            if row["step"] is not None:
                steps[row["step"]] = json.loads(row["value"])
    return [_record(study, person, steps) for person, steps in done.values()]


def _record(study: Study, person: Subject, steps: Mapping[str, Any]) -> Record:
    shown = assigned(study, person)
    teams = steps.get(SHOWN, {}).get("teams", []) if study.definition.layout == INTERLEAVED else []
    return Record(
        number=person.number,
        first=shown.first,
        second=shown.second,
        seconds=None if person.finished is None else person.finished - person.arrived,
        answers={step.removeprefix("q."): str(value) for step, value in steps.items() if step.startswith("q.")},
        teams=tuple(teams),
        chosen=tuple(int(place) for place in steps.get(CHOSEN, []) if 0 <= int(place) < len(teams)),
        rated=len(steps.get(RATINGS, {})),
    )


def _lock(connection: sa.Connection, study_id: str) -> Study:
    """Lock a study's row until the end of the transaction, and return it: what decides about a write is read after
    that, since another one may have come first."""
    same = sa.update(studies).where(studies.c.id == study_id).values(created=studies.c.created)
    row = connection.execute(same.returning(studies)).mappings().first()
    if row is None:
        raise MMRecError("There is no such study; it may have been deleted.")
    return _study(row)


def _taking_part(connection: sa.Connection, secret: str, person: Subject | None) -> tuple[Study, Any]:
    """The locked study of a person, and their row as it is then."""
    study = None if person is None else _lock(connection, person.study_id)
    who = subjects.c.secret == ownership.hashed(secret)
    row = connection.execute(sa.select(subjects).where(who)).mappings().first()
    if study is None or row is None:
        raise MMRecError("You are no longer in this study.")
    return study, row


def _study(row: Any) -> Study:
    return Study(row["id"], checked(json.loads(row["definition"])), row["created"], row["ended"])


def _subject(row: Any) -> Subject:
    return Subject(**{name: row[name] for name in ("id", "study_id", "number", "arrived", "finished")})
