"""Classes and what their participants write: join, answer, rate, leave.

Every function that writes checks who asks: the host by :func:`mmrec_core.ownership.require`, a participant by the
secret that their browser holds. A page cannot forget the check. Reading needs the class or its secrets.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from mmrec_core import ownership
from mmrec_core.classroom import limits
from mmrec_core.database import answers, classes, participants, ratings, reading, writing
from mmrec_core.errors import MMRecError

ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Letters of join codes: none that is mistaken for another when it is read from a wall."""
CODE_LENGTH = 6
LOBBY, LESSON, EXPERIMENT = "lobby", "lesson", "experiment"
ACTIVITIES = (LOBBY, LESSON, EXPERIMENT)
RATED, HELD = 15, 5
"""Of a participant's first :data:`RATED` ratings, :data:`HELD` at places drawn beforehand are held out."""


@dataclass(frozen=True)
class Classroom:
    """A class: what it is called, what it shows now, and its secrets."""

    id: str
    code: str
    projector: str
    """Secret of the read-only projector view."""
    title: str
    dataset: str
    created: float
    ended: float | None
    activity: str
    """One of :data:`ACTIVITIES`."""
    lesson: str | None
    question: int
    """−1 is the title of the lesson."""
    revealed: bool
    plan: dict[str, Any] | None
    """Of the experiment: ``items``, the raw ids of the films to rate, and ``model``, whose list participants see."""
    results: dict[str, Any] | None
    """What the experiment found, saved when the class ended."""
    scene: int
    version: int
    locked: bool
    """Whether nobody else may join."""

    @property
    def is_open(self) -> bool:
        """Whether participants may join and write."""
        return self.ended is None


@dataclass(frozen=True)
class Participant:
    """A person in a class."""

    id: str
    class_id: str
    number: int
    """Place in the order of joining, from 1; the only name in exports."""
    nickname: str
    joined: float


@dataclass(frozen=True)
class Rating:
    """A film that a participant rated."""

    participant_id: str
    item: Any
    """Raw item id."""
    stars: float
    place: int
    held: bool
    at: float


class Shared(NamedTuple):
    """Sums over the films that somebody and another participant rated: ``x`` are their stars, ``y`` the other's."""

    participant_id: str
    n: int
    x: float
    y: float
    xx: float
    yy: float
    xy: float


def create(dataset: str, title: str) -> Classroom:
    """Open a class.

    Args:
        dataset: name of a prepared dataset.
        title: what participants read.

    Raises:
        MMRecError: the visitor is not the host, or the title is empty or too long.
    """
    ownership.require("open a class")
    title = limits.checked_text(title, limits.TITLE, "title")
    new = {
        "id": secrets.token_hex(8),
        "projector": secrets.token_urlsafe(18),
        "title": title,
        "dataset": dataset,
        "created": time.time(),
        "activity": LOBBY,
        "question": -1,
        "revealed": False,
        "scene": 1,
        "version": 1,
    }
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        try:
            with writing() as connection:
                connection.execute(sa.insert(classes).values(code=code, **new))
        except sa.exc.IntegrityError:
            continue  # the code is taken
        return get(str(new["id"]))


def all_classes() -> list[Classroom]:
    """All classes, the newest first.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("see all classes")
    with reading() as connection:
        rows = connection.execute(sa.select(classes).order_by(classes.c.created.desc())).mappings().all()
    return [_class(row) for row in rows]


def get(class_id: str) -> Classroom:
    """A class by its id.

    Raises:
        MMRecError: there is none.
    """
    return _one(classes.c.id == class_id)


def by_code(code: str, address: str, window: str = "") -> Classroom:
    """The open class with a join code; wrong codes are counted per window, per address and altogether.

    Args:
        code: as it was typed; case, spaces and hyphens do not matter.
        address: where the visitor comes from.
        window: a random name of the browser's window; empty if there is none.

    Raises:
        MMRecError: no open class has this code, or too many wrong codes were tried.
    """
    first = bool(window) and not limits.WRONG_CODES_HERE.count(window)
    everywhere = limits.FIRST_WRONG_CODES if first else limits.ALL_WRONG_CODES
    here = (limits.WRONG_CODES, address), (everywhere, ""), (limits.WRONG_CODES_HERE, window or address)
    if any(throttle.full(key) for throttle, key in here if not (first and throttle is limits.WRONG_CODES)):
        raise MMRecError("Too many wrong codes were tried. Wait a minute, then type the code again.")
    typed = code.upper().replace(" ", "").replace("-", "")
    found = None
    if len(typed) == CODE_LENGTH and set(typed) <= set(ALPHABET):
        with reading() as connection:
            found = connection.execute(sa.select(classes).where(classes.c.code == typed)).mappings().first()
    if found is None or found["ended"] is not None:
        for throttle, key in here:
            throttle.add(key)
        raise MMRecError("No open class has this code. Look at the wall again: six letters and digits.")
    return _class(found)


def by_projector(secret: str) -> Classroom:
    """The class of a projector link.

    Raises:
        MMRecError: the link is of no class.
    """
    return _one(classes.c.projector == secret)


def join(code: str, nickname: str, address: str, window: str = "") -> tuple[Participant, str]:
    """Join a class.

    Args:
        code: join code.
        nickname: any name; empty for none.
        address: where the visitor comes from.
        window: a random name of the browser's window; empty if there is none.

    Returns:
        The participant, and the secret that their browser keeps.

    Raises:
        MMRecError: wrong code, too many participants, or too many from this address at once.
    """
    found = by_code(code, address, window)
    _may_join(found.ended, found.locked)
    name = limits.checked_text(nickname, limits.NICKNAME, "nickname") if nickname.strip() else ""
    if not (limits.JOINS.add(address) and (not window or limits.JOINS_HERE.add(window))):
        raise MMRecError("Many people join from here at once. Try again in a minute.")
    secret = secrets.token_urlsafe(18)
    with writing() as connection:
        now = _touch(connection, found.id)
        _may_join(now["ended"], now["locked"])  # the host may have locked or ended it meanwhile
        own = participants.c.class_id == found.id
        count, last = connection.execute(
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(participants.c.number), 0)).where(own)
        ).one()
        if count >= limits.PARTICIPANTS:
            raise MMRecError(f"This class is full: it has {limits.PARTICIPANTS} participants.")
        taken = set(connection.execute(sa.select(sa.func.lower(participants.c.nickname)).where(own)).scalars())
        name = _free_name(name or f"Guest {last + 1}", taken)
        new = Participant(secrets.token_hex(8), found.id, last + 1, name, time.time())
        connection.execute(sa.insert(participants).values(secret=ownership.hashed(secret), **vars(new)))
    return new, secret


def _may_join(ended: float | None, locked: bool) -> None:
    if ended is not None:
        raise MMRecError("This class has ended.")
    if locked:
        raise MMRecError("Nobody else can join this class now: its host has locked it. Ask the host.")


def _free_name(wanted: str, taken: set[str]) -> str:
    """The wanted nickname, with a number behind it if somebody in the class has it."""
    tries = itertools.chain([wanted], (f"{wanted[: limits.NICKNAME - 4]} {n}" for n in itertools.count(2)))
    return next(name for name in tries if name.lower() not in taken)


def participant(secret: str) -> Participant | None:
    """Who holds a secret; ``None``: nobody, or they left or were removed."""
    with reading() as connection:
        row = connection.execute(_whose(secret)).mappings().first()
    return None if row is None else _participant(row)


def participants_of(class_id: str) -> list[Participant]:
    """The participants of a class, in the order in which they joined."""
    query = sa.select(participants).where(participants.c.class_id == class_id).order_by(participants.c.number)
    with reading() as connection:
        return [_participant(row) for row in connection.execute(query).mappings()]


def nickname_of(participant_id: str) -> str | None:
    """The nickname of a participant; ``None`` if there is none any more."""
    query = sa.select(participants.c.nickname).where(participants.c.id == participant_id)
    with reading() as connection:
        return connection.execute(query).scalar()


def show(class_id: str, activity: str, lesson: str | None = None, question: int = -1, revealed: bool = False) -> None:
    """Let a class see something else.

    Args:
        class_id: the class.
        activity: one of :data:`ACTIVITIES`.
        lesson: name of the lesson that is shown.
        question: number of the question from 0; −1 for the lesson's title.
        revealed: whether the answer is shown.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("lead a class")
    if activity not in ACTIVITIES:
        raise MMRecError(f"A class does not know '{activity}'; it knows {', '.join(ACTIVITIES)}.")
    with writing() as connection:
        _touch(
            connection,
            class_id,
            activity=activity,
            lesson=lesson,
            question=question,
            revealed=revealed,
            scene=classes.c.scene + 1,
        )


def set_plan(class_id: str, plan: dict[str, Any]) -> None:
    """Store the plan of the experiment; see :attr:`Classroom.plan`.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("lead a class")
    with writing() as connection:
        _touch(connection, class_id, plan=json.dumps(plan), scene=classes.c.scene + 1)


def answer(secret: str, lesson: str, question: int, said: str) -> None:
    """Keep a participant's answer to the question that the class sees; the last one before the reveal counts.

    Raises:
        MMRecError: the class has moved on, the answer is revealed, or the text is empty or too long.
    """
    said = limits.checked_text(said, limits.ANSWER, "answer")
    with writing() as connection:
        who, now = _writer(connection, secret)
        if (now["activity"], now["lesson"], now["question"]) != (LESSON, lesson, question):
            raise MMRecError("The class has moved on to another question.")
        if now["revealed"]:
            raise MMRecError("The answer is shown already; yours can no longer be changed.")
        _replace(
            connection,
            answers,
            {"participant_id": who, "lesson": lesson, "question": question},
            {"said": said, "at": time.time()},
        )


def rate(secret: str, item: Any, stars: float | None, scale: tuple[float, float]) -> None:
    """Keep a participant's rating of a film; ``None`` takes it back.

    Args:
        secret: of the participant.
        item: raw item id, one of the films of the plan.
        stars: the rating.
        scale: lowest and highest rating of the dataset.

    Raises:
        MMRecError: no experiment is under way, the film is not in its plan, or the rating is off the scale.
    """
    with writing() as connection:
        who, now = _writer(connection, secret)
        plan = json.loads(now["plan"]) if now["plan"] else None
        if now["activity"] != EXPERIMENT or plan is None:
            raise MMRecError("The class does not rate films now.")
        if item not in plan["items"]:
            raise MMRecError("This film is not among those that the class rates.")
        key = {"participant_id": who, "item": json.dumps(item)}
        if stars is None:
            connection.execute(sa.delete(ratings).where(_equal(ratings, key)))
            return
        if not scale[0] <= stars <= scale[1]:
            raise MMRecError(f"A rating lies between {scale[0]:g} and {scale[1]:g}.")
        own = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.max(ratings.c.place), -1),
            sa.func.count().filter(ratings.c.item == key["item"]),
        )
        count, last, known = connection.execute(own.where(ratings.c.participant_id == who)).one()
        if known:
            connection.execute(sa.update(ratings).where(_equal(ratings, key)).values(stars=stars))
            return
        if count >= limits.RATINGS:
            raise MMRecError(f"You have rated {limits.RATINGS} films, which is enough.")
        new = {"stars": float(stars), "place": last + 1, "held": last + 1 in held_places(who), "at": time.time()}
        connection.execute(sa.insert(ratings).values(**key, **new))


def held_places(participant_id: str) -> frozenset[int]:
    """The places of a participant's held-out ratings, drawn from their id: before anything is rated."""
    seed = int.from_bytes(hashlib.sha256(f"held {participant_id}".encode()).digest()[:8], "big")
    return frozenset(random.Random(seed).sample(range(RATED), HELD))


def answers_of(class_id: str, lesson: str | None = None) -> list[dict[str, Any]]:
    """Answers of a class: ``participant_id``, ``lesson``, ``question``, ``said``, ``at``; of one lesson if named."""
    query = (
        sa.select(answers)
        .join(participants, participants.c.id == answers.c.participant_id)
        .where(participants.c.class_id == class_id)
        .order_by(answers.c.at)
    )
    if lesson is not None:
        query = query.where(answers.c.lesson == lesson)
    with reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def own_answer(participant_id: str, lesson: str, question: int) -> str | None:
    """What a participant answered to a question."""
    key = {"participant_id": participant_id, "lesson": lesson, "question": question}
    with reading() as connection:
        found = connection.execute(sa.select(answers.c.said).where(_equal(answers, key))).scalar()
    return None if found is None else str(found)


def ratings_of(class_id: str, participant_id: str | None = None) -> list[Rating]:
    """Ratings of a class, or of one participant, in the order in which they were given."""
    columns = (ratings.c[name] for name in ("participant_id", "item", "stars", "place", "held", "at"))
    query = _of_class(class_id, *columns).order_by(ratings.c.at, ratings.c.place)
    if participant_id is not None:
        query = query.where(ratings.c.participant_id == participant_id)
    with reading() as connection:
        rows = connection.execute(query).all()
    return [Rating(who, _raw_id(item), stars, place, held, at) for who, item, stars, place, held, at in rows]


def shared_ratings(class_id: str, participant_id: str) -> list[Shared]:
    """For each other participant of a class: sums over the films that both rated. The database adds up, since this is
    asked at every tap."""
    mine = sa.select(ratings.c.item, ratings.c.stars).where(ratings.c.participant_id == participant_id).subquery()
    own, other = mine.c.stars, ratings.c.stars
    sums = (sa.func.sum(x) for x in (own, other, own * own, other * other, own * other))
    query = _of_class(class_id, ratings.c.participant_id, sa.func.count(), *sums)
    query = query.join(mine, mine.c.item == ratings.c.item).where(ratings.c.participant_id != participant_id)
    with reading() as connection:
        rows = connection.execute(query.group_by(ratings.c.participant_id)).all()
    return [Shared(*row) for row in rows]


def _of_class(class_id: str, *columns: Any) -> sa.Select[Any]:
    joined = sa.select(*columns).join(participants, participants.c.id == ratings.c.participant_id)
    return joined.where(participants.c.class_id == class_id)


@lru_cache(maxsize=4096)
def _raw_id(text: str) -> Any:
    """An item's raw id from JSON: a number or text."""
    return json.loads(text)


def changes(class_id: str) -> tuple[int, int] | None:
    """``(scene, version)`` of a class; ``None`` if it was deleted."""
    with reading() as connection:
        row = connection.execute(sa.select(classes.c.scene, classes.c.version).where(classes.c.id == class_id)).first()
    return None if row is None else (row[0], row[1])


def lessons_under_way() -> frozenset[str]:
    """Names of the lessons that open classes see now; their answers stay hidden from visitors."""
    query = sa.select(classes.c.lesson).where(classes.c.ended.is_(None), classes.c.activity == LESSON)
    with reading() as connection:
        return frozenset(str(name) for name in connection.execute(query).scalars() if name)


def leave(secret: str) -> None:
    """Delete a participant and everything they wrote."""
    with writing() as connection:
        row = connection.execute(_whose(secret)).mappings().first()
        if row is not None:
            _touch(connection, row["class_id"])
            connection.execute(sa.delete(participants).where(participants.c.id == row["id"]))


def remove(participant_id: str) -> None:
    """Delete a participant and everything they wrote, as the host.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("remove participants")
    with writing() as connection:
        own = participants.c.id == participant_id
        class_id = connection.execute(sa.select(participants.c.class_id).where(own)).scalar()
        if class_id is not None:
            _touch(connection, class_id, scene=classes.c.scene + 1)
            connection.execute(sa.delete(participants).where(own))


def remove_silent(class_id: str) -> int:
    """Delete the participants who have written nothing, as the host; returns how many.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("remove participants")
    wrote = (sa.exists().where(table.c.participant_id == participants.c.id) for table in (answers, ratings))
    with writing() as connection:
        _touch(connection, class_id, scene=classes.c.scene + 1)
        silent = sa.and_(participants.c.class_id == class_id, *(~own for own in wrote))
        return connection.execute(sa.delete(participants).where(silent)).rowcount


def lock(class_id: str, locked: bool) -> None:
    """Let nobody else join a class, or let them join again.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("lead a class")
    with writing() as connection:
        _touch(connection, class_id, locked=locked)


def end(class_id: str, results: dict[str, Any] | None = None) -> None:
    """End a class: nobody joins or writes any more; what was written stays.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("end a class")
    with writing() as connection:
        _touch(
            connection,
            class_id,
            ended=time.time(),
            scene=classes.c.scene + 1,
            **({} if results is None else {"results": json.dumps(results)}),
        )


def delete(class_id: str) -> None:
    """Delete a class with everything that its participants wrote.

    Raises:
        MMRecError: the visitor is not the host.
    """
    ownership.require("delete a class")
    with writing() as connection:
        connection.execute(sa.delete(classes).where(classes.c.id == class_id))


def _writer(connection: sa.Connection, secret: str) -> tuple[str, Any]:
    """The participant who writes, and the state of their class, which is locked until the end of the transaction."""
    row = connection.execute(_whose(secret)).mappings().first()
    if row is None:
        raise MMRecError("You are no longer in this class. Join it again.")
    limits.may_write(row["id"])
    now = _touch(connection, row["class_id"])
    if now["ended"] is not None:
        raise MMRecError("This class has ended; what you said is kept.")
    if connection.execute(_whose(secret)).first() is None:  # they may have left before the class was locked
        raise MMRecError("You are no longer in this class. Join it again.")
    return str(row["id"]), now


def _touch(connection: sa.Connection, class_id: str, **values: Any) -> Any:
    """Count a change of a class, set columns, and return its row. It also locks the row: writes of a class come one
    after the other."""
    change = sa.update(classes).where(classes.c.id == class_id).values(version=classes.c.version + 1, **values)
    row = connection.execute(change.returning(classes)).mappings().first()
    if row is None:
        raise MMRecError("There is no such class; it may have been deleted.")
    return row


def _replace(connection: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Insert a row, or change the one with this key."""
    changed = connection.execute(sa.update(table).where(_equal(table, key)).values(**values))
    if changed.rowcount == 0:
        connection.execute(sa.insert(table).values(**key, **values))


def _equal(table: sa.Table, key: dict[str, Any]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in key.items()))


def _whose(secret: str) -> sa.Select[Any]:
    return sa.select(participants).where(participants.c.secret == ownership.hashed(secret))


def _one(where: sa.ColumnElement[bool]) -> Classroom:
    with reading() as connection:
        row = connection.execute(sa.select(classes).where(where)).mappings().first()
    if row is None:
        raise MMRecError("There is no such class; it may have been deleted.")
    return _class(row)


def _class(row: Any) -> Classroom:
    plan, results = (json.loads(row[name]) if row[name] else None for name in ("plan", "results"))
    return Classroom(**{**row, "plan": plan, "results": results})


def _participant(row: Any) -> Participant:
    return Participant(**{name: row[name] for name in ("id", "class_id", "number", "nickname", "joined")})
