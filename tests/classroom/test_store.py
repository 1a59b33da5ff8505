"""Classes in the database: who may write what, and that nothing is lost. On SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from mmrec_core import database as db
from mmrec_core import ownership
from mmrec_core.classroom import likeness, limits, store
from mmrec_core.errors import MMRecError

SCALE = (1.0, 5.0)
ROOT = Path(__file__).resolve().parents[2]


def no(what: str) -> None:
    raise MMRecError(f"Only the owner may {what}.")


@pytest.fixture(autouse=True)
def nobody_is_asked() -> object:
    yield
    ownership.guard(None)


def join(classroom: store.Classroom, name: str = "Ada") -> tuple[store.Participant, str]:
    return store.join(classroom.code, name, "10.0.0.1")


def test_a_lesson_is_answered(database: str) -> None:
    """Answers are taken for the question that is shown, until its answer is; they can be changed before."""
    classroom = store.create("demo", "  Recommenders,\n week 3 ")
    assert classroom.title == "Recommenders, week 3" and classroom.is_open and classroom.question == -1
    (ada, secret), (bob, other) = join(classroom), join(classroom, "")
    assert (ada.number, bob.number, bob.nickname) == (1, 2, "Guest 2")
    with pytest.raises(MMRecError, match="moved on"):
        store.answer(secret, "1-rmse", 0, "mf")
    store.show(classroom.id, store.LESSON, "1-rmse", 0)
    store.answer(secret, "1-rmse", 0, "mf")
    store.answer(secret, "1-rmse", 0, "ease")
    store.answer(other, "1-rmse", 0, "mf")
    with pytest.raises(MMRecError, match="moved on"):
        store.answer(other, "1-rmse", 1, "mf")
    store.show(classroom.id, store.LESSON, "1-rmse", 0, revealed=True)
    with pytest.raises(MMRecError, match="no longer be changed"):
        store.answer(other, "1-rmse", 0, "ease")
    said = {a["participant_id"]: a["said"] for a in store.answers_of(classroom.id)}
    assert said == {ada.id: "ease", bob.id: "mf"} and store.own_answer(ada.id, "1-rmse", 0) == "ease"


def test_films_are_rated(database: str) -> None:
    """Places count up; at places drawn beforehand ratings are held out; a rating can be changed and taken back."""
    classroom = store.create("demo", "Class")
    person, secret = join(classroom)
    items = [*range(100, 120), "t=1,x"]
    with pytest.raises(MMRecError, match="does not rate"):
        store.rate(secret, 100, 4, SCALE)
    store.set_plan(classroom.id, {"items": items, "model": "ease"})
    store.show(classroom.id, store.EXPERIMENT)
    for item in items:
        store.rate(secret, item, 3.5, SCALE)
    store.rate(secret, 100, 5, SCALE)
    found = store.ratings_of(classroom.id)
    assert [r.item for r in found] == items and [r.place for r in found] == list(range(21))
    assert {r.place for r in found if r.held} == set(store.held_places(person.id)) and len(found) == 21
    assert sum(r.held for r in found) == store.HELD and max(store.held_places(person.id)) < store.RATED
    assert found[0].stars == 5 and found[1].stars == 3.5
    store.rate(secret, 101, None, SCALE)
    assert 101 not in [r.item for r in store.ratings_of(classroom.id, person.id)]
    for item, stars, said in ((7, 3, "not among"), (102, 5.5, "between 1 and 5"), (102, float("nan"), "between 1")):
        with pytest.raises(MMRecError, match=said):
            store.rate(secret, item, stars, SCALE)


def test_held_out_places_are_drawn_beforehand_and_evenly() -> None:
    """From the participant's id alone, so nobody can choose; every place is held out a third of the time."""
    drawn = [store.held_places(f"{n:016x}") for n in range(3000)]
    assert drawn[7] == store.held_places(f"{7:016x}")
    share = [sum(place in own for own in drawn) / len(drawn) for place in range(store.RATED)]
    assert all(abs(s - store.HELD / store.RATED) < 0.04 for s in share)


def test_only_the_host_leads(database: str) -> None:
    """Checked where it is written: every function of the host refuses whoever is not."""
    classroom = store.create("demo", "Class")
    person, _ = join(classroom)
    ownership.guard(no)
    for act in (
        lambda: store.create("demo", "Mine"),
        lambda: store.all_classes(),
        lambda: store.show(classroom.id, store.LESSON, "1-rmse", 0),
        lambda: store.set_plan(classroom.id, {"items": [1]}),
        lambda: store.remove(person.id),
        lambda: store.end(classroom.id),
        lambda: store.delete(classroom.id),
    ):
        with pytest.raises(MMRecError, match="Only the owner"):
            act()
    after = store.get(classroom.id)
    assert after.is_open and after.activity == store.LOBBY and len(store.participants_of(classroom.id)) == 1


def test_a_secret_is_needed_and_not_stored(database: str) -> None:
    """Neither an id nor a stored value is a secret; nobody writes for another."""
    classroom = store.create("demo", "Class")
    person, secret = join(classroom)
    store.show(classroom.id, store.LESSON, "1-rmse", 0)
    with db.reading() as connection:
        stored = connection.execute(sa.select(db.participants.c.secret)).scalar_one()
    assert stored != secret
    for wrong in (person.id, stored, "", secret[:-1], classroom.projector, classroom.code):
        assert store.participant(wrong) is None
        with pytest.raises(MMRecError, match="no longer in this class"):
            store.answer(wrong, "1-rmse", 0, "mf")
    assert store.answers_of(classroom.id) == []


def test_everything_of_a_person_is_deleted(database: str) -> None:
    """By themselves or by the host; a class takes its people along; others keep theirs."""
    classroom, other = store.create("demo", "One"), store.create("demo", "Two")
    people = [join(classroom, f"P{n}") for n in range(3)] + [join(other)]
    for own in (classroom, other):
        store.show(own.id, store.LESSON, "1-rmse", 0)
    for _, secret in people:
        store.answer(secret, "1-rmse", 0, "mf")
    store.leave(people[0][1])
    store.remove(people[1][0].id)
    assert [p.nickname for p in store.participants_of(classroom.id)] == ["P2"]
    assert len(store.answers_of(classroom.id)) == 1
    assert join(classroom, "late")[0].number == 4, "a number is not given twice"
    store.delete(classroom.id)
    with db.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(db.answers)).scalar_one() == 1
        assert connection.execute(sa.select(sa.func.count()).select_from(db.participants)).scalar_one() == 1
    with pytest.raises(MMRecError, match="no such class"):
        store.get(classroom.id)
    assert store.changes(classroom.id) is None and store.changes(other.id) is not None


def test_a_class_ends(database: str) -> None:
    """Nobody joins or writes; what was said stays."""
    classroom = store.create("demo", "Class")
    _, secret = join(classroom)
    store.show(classroom.id, store.LESSON, "1-rmse", 0)
    store.answer(secret, "1-rmse", 0, "mf")
    store.end(classroom.id, {"standings": []})
    with pytest.raises(MMRecError, match="has ended"):
        store.answer(secret, "1-rmse", 0, "ease")
    with pytest.raises(MMRecError, match="No open class"):
        join(classroom)
    after = store.get(classroom.id)
    assert not after.is_open and after.results == {"standings": []} and len(store.answers_of(classroom.id)) == 1


def test_codes_are_not_guessed_at_speed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten wrong codes a minute in a window, more from an address and from all; a right code costs nothing. One who
    guesses locks out neither their room nor others."""
    classroom = store.create("demo", "Class")
    spaced = f" {classroom.code[:3].lower()}-{classroom.code[3:]}"
    for _ in range(50):
        assert store.by_code(spaced, "10.0.0.1", "w1").id == classroom.id
    for n in range(limits.WRONG_CODES_HERE.times):
        with pytest.raises(MMRecError, match="No open class"):
            store.by_code(["AAAAAA", "", "' OR 1=1 --", "0" * 10_000][n % 4], "10.0.0.1", "w1")
    with pytest.raises(MMRecError, match="Too many wrong codes"):
        store.by_code(classroom.code, "10.0.0.1", "w1")
    assert store.by_code(classroom.code, "10.0.0.1", "w2").id == classroom.id, "the room goes on"
    codes = len(store.ALPHABET) ** store.CODE_LENGTH
    assert codes / limits.ALL_WRONG_CODES.times / (60 * 24 * 365) > 1
    assert 60 * limits.FIRST_WRONG_CODES.times / codes < 1 / 2_400, "an hour of guessing with a new window each time"
    monkeypatch.setattr(limits.WRONG_CODES, "times", 20)
    monkeypatch.setattr(limits.ALL_WRONG_CODES, "times", 60)
    for n in range(10):
        with pytest.raises(MMRecError):
            store.by_code("AAAAAA", "10.0.0.1", f"w{10 + n}")
    with pytest.raises(MMRecError, match="Too many wrong codes"):
        store.by_code(classroom.code, "10.0.0.1", "w10")
    with pytest.raises(MMRecError, match="Too many wrong codes"):
        store.by_code(classroom.code, "10.0.0.1")
    assert store.by_code(classroom.code, "10.0.0.2", "w4").id == classroom.id
    for n in range(70):
        with pytest.raises(MMRecError):
            store.by_code("AAAAAA", f"10.1.0.{n}", f"v{n}")
    assert store.by_code(classroom.code, "10.9.9.9", "w5").id == classroom.id, "first guesses lock nobody out"
    for n in range(60):  # second ones
        with pytest.raises(MMRecError):
            store.by_code("AAAAAA", f"10.1.0.{n}", f"v{n}")
    with pytest.raises(MMRecError, match="Too many wrong codes"):
        store.by_code(classroom.code, "10.9.9.8", "v1")
    monkeypatch.setattr(limits.FIRST_WRONG_CODES, "times", 80)
    with pytest.raises(MMRecError, match="Too many wrong codes"):
        store.by_code(classroom.code, "10.9.9.7", "w6")


def test_numbers_and_sizes_are_bounded(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classroom = store.create("demo", "Class")
    for title in ("", " \n", "x" * 81):
        with pytest.raises(MMRecError, match="title"):
            store.create("demo", title)
    with pytest.raises(MMRecError, match="nickname"):
        join(classroom, "x" * 25)
    assert join(classroom, "A\u202e\x00b\n")[0].nickname == "A b"
    monkeypatch.setattr(limits, "PARTICIPANTS", 2)
    _, secret = join(classroom)
    with pytest.raises(MMRecError, match="full"):
        join(classroom)
    store.show(classroom.id, store.LESSON, "1-rmse", 0)
    for said in ("", "x" * 401):
        with pytest.raises(MMRecError, match="answer"):
            store.answer(secret, "1-rmse", 0, said)
    for _ in range(limits.WRITES.times):
        store.answer(secret, "1-rmse", 0, "mf")
    with pytest.raises(MMRecError, match="very fast"):
        store.answer(secret, "1-rmse", 0, "mf")


def test_joins_from_one_address_are_bounded(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classroom = store.create("demo", "Class")
    monkeypatch.setattr(limits.JOINS, "times", 3)
    for _ in range(3):
        join(classroom)
    with pytest.raises(MMRecError, match="Many people"):
        join(classroom)
    assert store.join(classroom.code, "", "10.0.0.2")[0].number == 4


def test_many_write_at_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty people join and answer from eight threads: numbers are 1 to 40, no answer is missing, versions count."""
    classroom = store.create("demo", "Class")

    def come(n: int) -> str:
        _, secret = join(classroom, f"P{n}")
        return secret

    with ThreadPoolExecutor(8) as threads:
        secrets = list(threads.map(come, range(40)))
        store.show(classroom.id, store.LESSON, "1-rmse", 0)
        list(threads.map(lambda secret: store.answer(secret, "1-rmse", 0, "mf"), secrets * 3))
    assert [p.number for p in store.participants_of(classroom.id)] == list(range(1, 41))
    assert len(store.answers_of(classroom.id)) == 40
    assert store.changes(classroom.id) == (2, 1 + 40 + 1 + 120)


def test_a_killed_server_loses_no_answer(database: str, home: Path) -> None:
    """A process that is killed while it writes: every answer that it reported as kept is there."""
    classroom = store.create("demo", "Class")
    _, secret = join(classroom)
    store.show(classroom.id, store.LESSON, "1-rmse", 0)
    code = (
        "import sys; from mmrec_core.classroom import limits, store; limits.WRITES.times = 10**9\n"
        "for n in range(10**6): store.answer(sys.argv[1], '1-rmse', 0, str(n)); print(n, flush=True)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, secret], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(int(line) for line in writer.stdout or ()))
    reader.start()
    while len(seen) < 20:
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    reader.join()
    assert int(store.answers_of(classroom.id)[0]["said"]) in (seen[-1], seen[-1] + 1)


def test_migrations_make_what_the_tables_say(database: str) -> None:
    """Alembic finds no difference between the migrated database and the tables in code."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from mmrec_core.database.tables import metadata

    engine = db.connected()
    assert db.schema_version(engine) == db.newest()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_older_database_is_brought_up_to_date_and_a_newer_one_refused(database: str, home: Path) -> None:
    """What classes wrote under the first schema is read under today's."""
    from alembic import command

    from mmrec_core.database import engine as engines

    home.mkdir()
    engine = engines._engine(database)
    with engine.begin() as connection:
        command.upgrade(engines._alembic(connection), "0001")
        columns = {"id": "c1", "code": "ABCDEF", "projector": "p", "title": "Last year", "dataset": "demo"}
        state = {"created": 1.0, "ended": 2.0, "activity": "lobby", "question": -1, "revealed": False}
        connection.execute(sa.insert(db.classes).values(**columns, **state, scene=1, version=1))
    assert db.schema_version(engine) == "0001"
    assert [c.title for c in store.all_classes()] == ["Last year"] and db.schema_version(engine) == db.newest()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engines._engines.pop(database)
    with pytest.raises(MMRecError, match="newer MMRec"):
        store.all_classes()


def test_a_database_that_does_not_answer_is_said_in_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a traceback nor a password."""
    home.mkdir()
    (home / "people.sqlite").write_bytes(b"no database at all, but long enough to look at" * 50)
    with pytest.raises(MMRecError, match="damaged. Move it aside"):
        store.all_classes()
    for address, said in (
        ("postgresql+psycopg://mmrec:hunter2@127.0.0.1:9/none", "did not answer"),
        ("mysql://me:hunter2@host/x", "neither SQLite nor PostgreSQL"),
        ("nonsense", "not an address"),
    ):
        monkeypatch.setenv("MMREC_DATABASE", address)
        with pytest.raises(MMRecError, match=said) as found:
            store.all_classes()
        assert "hunter2" not in str(found.value)


def rated(stars: dict[str, list[float | None]]) -> tuple[store.Classroom, dict[str, str]]:
    """A class whose participants rated films 0, 1, 2, …; the participants' ids by nickname."""
    classroom, ids = store.create("demo", "Films"), {}
    store.set_plan(classroom.id, {"items": list(range(12)), "model": None})
    store.show(classroom.id, store.EXPERIMENT)
    for name, own in stars.items():
        person, secret = join(classroom, name)
        ids[name] = person.id
        for item, value in enumerate(own):
            if value is not None:
                store.rate(secret, item, value, SCALE)
    return classroom, ids


def test_who_is_alike(database: str) -> None:
    """Two who agree on every film are nearest; agreement over fewer films counts less; with few nobody is compared."""
    liked = [5, 4, 1, 2, 3, 1, 4, 2, 5, 1]
    stars = {"a": liked, "b": liked, "c": [6 - s for s in liked], "d": liked[:8], "e": liked[:7]}
    classroom, ids = rated({name: [float(s) for s in own] for name, own in stars.items()})
    found = {name: likeness.nearest(store.shared_ratings(classroom.id, who)) for name, who in ids.items()}
    assert found["a"] == (ids["b"], pytest.approx(10 / 13)) and found["b"] == (ids["a"], pytest.approx(10 / 13))
    assert found["d"] is not None and found["d"][1] == pytest.approx(8 / 11) and found["e"] is None
    assert found["c"] is not None and found["c"][1] < 0
    assert likeness.nearest(store.shared_ratings(classroom.id, "nobody")) is None
    assert store.nickname_of(ids["a"]) == "a" and store.nickname_of("nobody") is None


def test_likeness_is_pearsons_correlation(database: str) -> None:
    """The database's sums give what NumPy gives for the films that two people share."""
    import numpy as np

    draw = np.random.default_rng(3)
    stars = {f"p{n}": [float(s) if s else None for s in draw.integers(0, 8, 12).clip(0, 5)] for n in range(6)}
    classroom, ids = rated(stars)
    for name, who in ids.items():
        sums = {s.participant_id: s for s in store.shared_ratings(classroom.id, who)}
        for other, theirs in ids.items():
            both = [(x, y) for x, y in zip(stars[name], stars[other], strict=True) if x and y]
            if other == name or len(both) < likeness.SHARED:
                continue
            assert sums[theirs].n == len(both)
            one = likeness.nearest([sums[theirs]])
            x, y = np.array(both).T
            expected = np.corrcoef(x, y)[0, 1] if x.std() and y.std() else 0.0
            assert one is not None and one[1] == pytest.approx(expected * len(both) / (len(both) + 3), abs=1e-9)


def test_one_who_guesses_locks_nobody_out(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one address: whoever has not mistyped in their own window still joins; the one who guesses does not go on."""
    classroom = store.create("demo", "Films")
    monkeypatch.setattr(limits.WRONG_CODES, "times", 5)
    for n in range(5):
        with pytest.raises(MMRecError, match="No open class"):
            store.by_code("AAAAAA", "10.0.0.1", f"guessing {n}")
    with pytest.raises(MMRecError, match="Too many"):
        store.by_code(classroom.code, "10.0.0.1", "guessing 0")
    assert store.by_code(classroom.code, "10.0.0.1", "honest") == classroom


def test_nobody_takes_somebody_elses_name(database: str) -> None:
    """A nickname that is taken gets a number, whatever its case; so does a guest's."""
    classroom = store.create("demo", "Films")
    names = [join(classroom, name)[0].nickname for name in ("Ada", "ADA", "ada", "Guest 5", "", "x" * 24, "x" * 24)]
    assert names == ["Ada", "ADA 2", "ada 3", "Guest 5", "Guest 5 2", "x" * 24, "x" * 20 + " 2"]


def test_a_locked_class_takes_nobody_else(database: str) -> None:
    """Those who are there stay and write; unlocked, others join again."""
    classroom = store.create("demo", "Films")
    _, secret = join(classroom)
    store.lock(classroom.id, True)
    assert store.get(classroom.id).locked
    with pytest.raises(MMRecError, match="locked"):
        join(classroom, "Bob")
    store.show(classroom.id, store.LESSON, "1-rmse", 0)
    store.answer(secret, "1-rmse", 0, "mf")
    store.lock(classroom.id, False)
    assert join(classroom, "Bob")[0].number == 2
    ownership.guard(no)
    for forbidden in (lambda: store.lock(classroom.id, True), lambda: store.remove_silent(classroom.id)):
        with pytest.raises(MMRecError, match="Only the owner"):
            forbidden()


def test_those_who_wrote_nothing_are_removed(database: str) -> None:
    """Whoever answered or rated stays; other classes are left alone."""
    classroom, ids = rated({"a": [5.0], "b": [None]})
    other = join(store.create("demo", "Another"))[0]
    _, secret = join(classroom, "c")
    store.show(classroom.id, store.LESSON, "1-rmse", 0)
    store.answer(secret, "1-rmse", 0, "mf")
    assert store.remove_silent(classroom.id) == 1
    assert [p.nickname for p in store.participants_of(classroom.id)] == ["a", "c"]
    assert store.participants_of(other.class_id) == [other]
