"""What leaves a class: counts, score sheet, CSV and the printable report; and the order of a lesson."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from mmrec_core.classroom import report, store
from mmrec_core.classroom.report import Asked
from mmrec_core.types import Dataset
from pages.parts.classroom import steps

QUESTION = Asked("1-rmse", 0, "Which <b>is</b> it?", ("mf", "ease", "none"), ("ease",))


@pytest.fixture
def answered(home: Path) -> store.Classroom:
    """Three people and a lesson: two right of three, and an open question with a formula in it."""
    classroom = store.create("demo", "=cmd|' /C calc'!A1")
    secrets = [store.join(classroom.code, name, "x")[1] for name in ("Ada Lovelace", "@SUM(A1)", "<script>alert(1)")]
    store.show(classroom.id, store.LESSON, "1-rmse", 0)
    for secret, said in zip(secrets, ("ease", "mf", "ease"), strict=True):
        store.answer(secret, "1-rmse", 0, said)
    store.show(classroom.id, store.LESSON, "1-rmse", 1)
    store.answer(secrets[1], "1-rmse", 1, '=HYPERLINK("http://evil.example")')
    return store.get(classroom.id)


def test_bars_count_every_choice(answered: store.Classroom) -> None:
    answers = store.answers_of(answered.id)
    assert report.counts(answers, QUESTION) == {"mf": 1, "ease": 2, "none": 0}
    assert report.counts([], QUESTION) == {"mf": 0, "ease": 0, "none": 0}


def test_the_score_sheet(answered: store.Classroom) -> None:
    """Only questions with a right answer count; an open one does not."""
    opinion = Asked("1-rmse", 1, "Why?", (), ())
    people, answers = store.participants_of(answered.id), store.answers_of(answered.id)
    found = report.scores(people, answers, [QUESTION, opinion])
    assert [(s.participant.number, s.right, s.answered) for s in found] == [(1, 1, 1), (2, 0, 1), (3, 1, 1)]


def test_tables_hold_no_nickname_and_no_formula(answered: store.Classroom, home: Path) -> None:
    text = report.answers_csv(answered, [QUESTION])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["participant"], r["answer"], r["right"]) for r in rows[:3]] == [
        ("1", "ease", "yes"),
        ("2", "mf", "no"),
        ("3", "ease", "yes"),
    ]
    assert rows[3]["answer"].startswith("'=HYPERLINK") and rows[3]["right"] == ""
    assert not any(name in text for name in ("Ada", "@SUM", "script"))


def test_ratings_as_a_table(answered: store.Classroom, demo: Dataset, home: Path) -> None:
    person, secret = store.join(answered.code, "Eve", "x")
    raw = [demo.items.raw[row].item() for row in range(3)]
    store.set_plan(answered.id, {"items": raw})
    store.show(answered.id, store.EXPERIMENT)
    for item in raw:
        store.rate(secret, item, 4.0, (0.5, 5.0))
    rows = list(csv.DictReader(io.StringIO(report.ratings_csv(answered, demo))))
    assert [(r["participant"], r["item"], r["place"]) for r in rows] == [
        ("4", str(i), str(n)) for n, i in enumerate(raw)
    ]
    assert [r["held_out"] == "yes" for r in rows] == [n in store.held_places(person.id) for n in range(3)]
    assert rows[0]["title"] == demo.catalog["title"].iloc[0]


def test_the_report_is_plain_html(answered: store.Classroom) -> None:
    """Titles, questions and answers of other people become text; nicknames are left out."""
    found = {
        "standings": [
            {
                "model": "<i>x",
                "order": 0.7,
                "order_interval": [0.6, 0.8],
                "rmse": None,
                "rmse_interval": None,
                "people": 9,
            }
        ]
    }
    page = report.printable(answered, [QUESTION, Asked("1-rmse", 1, "Why?", (), ())], found)
    for raw in ("<script>", "<i>x", "Which <b>", "Ada"):
        assert raw not in page
    assert "0.700 [0.600, 0.800]" in page and "Which &lt;b&gt;is" in page and "=HYPERLINK" in page


def test_a_lesson_goes_on_and_back() -> None:
    """Title, question, answer, next question that can be asked; ends are ends; from a skipped question to the title."""
    order = [(-1, False), (0, False), (0, True), (2, False), (2, True)]
    for now, then in zip(order, order[1:], strict=False):
        assert steps.move(now, 1, [0, 2]) == then and steps.move(then, -1, [0, 2]) == now
    assert steps.move(order[-1], 1, [0, 2]) is None and steps.move(order[0], -1, [0, 2]) is None
    assert steps.move((1, True), 1, [0, 2]) == (0, False) and steps.move((-1, False), 1, []) is None
    labels = [steps.label(now, [0, 2]) for now in order]
    assert labels == ["First question", "Reveal the answer", "Next question", "Reveal the answer", "End of the lesson"]
