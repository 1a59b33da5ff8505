"""User studies: counterbalancing, interleaving, the test and its power, checked by simulated studies."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from mmrec_core.errors import MMRecError
from mmrec_core.studies import definition, interleaving, outcome, preference
from mmrec_core.studies.assignment import assignment
from mmrec_core.studies.definition import Definition
from mmrec_core.studies.outcome import Record
from mmrec_core.studies.preference import Preference

TOML = definition.__doc__.partition("::\n")[2]  # type: ignore[union-attr]


def study(**changes: object) -> Definition:
    values = {"title": "A study", "dataset": "demo", "models": ("ease", "popularity")}
    return definition.checked({**values, **changes})


def test_the_file_in_the_documentation_is_read() -> None:
    import textwrap

    found = definition.read(textwrap.dedent(TOML))
    assert found.models == ("ease", "popularity") and found.participants == 40
    assert [q.kind for q in found.questions] == ["preference", "text"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ["ease"]}, "two to six"),
        ({"models": ["ease", "ease"]}, "two to six"),
        ({"titel": "x"}, "titel"),
        ({"title": ""}, "title"),
        ({"title": "x" * 300}, "title"),
        ({"layout": "stacked"}, "layout"),
        ({"participants": 1}, "participants"),
        ({"questions": [{"id": "a", "text": "?"}, {"id": "a", "text": "?"}]}, "different ids"),
        ({"questions": [{"id": "a", "text": "?", "kind": "text"}]}, "preference"),
        ({"questions": [{"id": "../x", "text": "?"}]}, "questions.0.id"),
    ],
)
def test_a_study_that_cannot_be_used_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(MMRecError, match=said):
        study(**changes)


def test_files_that_are_no_studies() -> None:
    for text in ("title = ", "", "[[[", "x" * 10_000):
        with pytest.raises(MMRecError):
            definition.read(text)


@pytest.mark.parametrize("models", [("a", "b"), ("a", "b", "c"), ("a", "b", "c", "d")])
def test_orders_are_counterbalanced(models: tuple[str, ...]) -> None:
    """In every whole block each pair is shown once in each order; blocks begin differently."""
    own = study(models=models)
    block = 2 * len(own.pairs)
    for start in range(0, 10 * block, block):
        shown = Counter((assignment(own, n).first, assignment(own, n).second) for n in range(start, start + block))
        assert len(shown) == block and set(shown.values()) == {1}
    begins = Counter(assignment(own, n * block).first for n in range(200))
    assert set(begins) == set(models) and assignment(own, 3) == assignment(own, 3)


rankings = st.lists(st.integers(0, 30), unique=True, max_size=15)


@given(rankings, rankings, st.integers(1, 12), st.integers(0, 10_000))
@settings(max_examples=300, deadline=None)
def test_team_draft_is_what_the_paper_says(one: list[int], other: list[int], length: int, seed: int) -> None:
    """No item twice; each is the best left of its team; teams never differ by more than one while both can draft."""
    found = interleaving.team_draft(one, other, length, seed)
    assert len(set(found.items)) == len(found.items) == min(length, len(set(one) | set(other)))
    taken: set[int] = set()
    for at, (item, team) in enumerate(zip(found.items, found.teams, strict=True)):
        ranking = (one, other)[team]
        assert next(i for i in ranking if i not in taken) == item
        both = all(any(i not in taken for i in r) for r in (one, other))
        if both:
            sizes = [found.teams[:at].count(t) for t in (0, 1)]
            assert sizes[team] <= sizes[1 - team]
        taken.add(item)


def test_credit_is_unbiased_for_equal_models() -> None:
    """Whoever chooses with no regard to the rankings credits both equally: also with a habit of choosing early places,
    and with lists that share most items."""
    rng = random.Random(0)
    for one, other in (([*range(10)], [*range(10, 20)]), ([*range(10)], [*range(9, -1, -1)]), ([*range(10)],) * 2):
        gaps = []
        for n in range(20_000):
            found = interleaving.team_draft(one, other, 6, n)
            chosen = [place for place in range(6) if rng.random() < 0.7 / (place + 1)]
            a, b = interleaving.credit(found, chosen)
            gaps.append(a - b)
        assert abs(np.mean(gaps)) < 4 * np.std(gaps) / len(gaps) ** 0.5


def test_credit_finds_the_better_ranking() -> None:
    """Somebody who likes the items of one ranking credits it."""
    liked = set(range(5))
    wins = 0
    for n in range(200):
        found = interleaving.team_draft([*range(10)], [*range(10, 20)], 6, n)
        a, b = interleaving.credit(found, [p for p, i in enumerate(found.items) if i in liked])
        wins += a > b
    assert wins == 200


def test_the_test_by_hand() -> None:
    """Share, Wilson interval, and the mid-p value: the exact p-value less half the probability of what was seen."""
    found = Preference(15, 5, 4)
    exact = binomtest(15, 20, 0.5)
    seen = 2 * binomtest(15, 20, 0.5, alternative="greater").pvalue - exact.pvalue
    assert found.share == 0.75 and abs(seen) < 1e-12
    mass = float(np.exp(sum(np.log(range(6, 21))) - sum(np.log(range(1, 16))) - 20 * np.log(2)))
    assert found.p == pytest.approx(exact.pvalue - mass, abs=1e-9)
    low, high = exact.proportion_ci(0.95, method="wilson")
    assert found.interval == pytest.approx((low, high))
    assert Preference(0, 0, 3).share is None and Preference(0, 0, 3).p is None
    assert Preference(5, 5, 0).p == pytest.approx(1.0) and Preference(5, 15, 0).p == pytest.approx(found.p)


def run_study(own: Definition, share: float, ties: float, rng: random.Random) -> Preference:
    """A whole simulated study: people arrive, are assigned, answer by the place of the list, and are counted."""
    records = []
    for n in range(own.participants):
        shown = assignment(own, n)
        liked = own.models[0] if rng.random() < share else own.models[1]
        side = outcome.NEITHER if rng.random() < ties else outcome.FIRST if shown.first == liked else outcome.SECOND
        records.append(Record(n, shown.first, shown.second, 60.0, {"accuracy": side}, rated=own.films_to_rate))
    return next(f.preference for f in outcome.findings(own, records) if f.question == "accuracy")


def test_studies_without_a_difference() -> None:
    """The type-1 error is 5 % within 1.5 points, and what the calculator says: over five thousand studies, since one
    thousand leave .7 points of chance."""
    rng = random.Random(1)
    found = [run_study(study(participants=48, seed=n), 0.5, 0.2, rng) for n in range(5000)]
    wrong = sum(f.p is not None and f.p < 0.05 for f in found) / len(found)
    assert abs(wrong - 0.05) <= 0.015 and abs(wrong - preference.power(48, 0.5, 0.2)) <= 0.01


@pytest.mark.parametrize(("people", "share", "ties"), [(40, 0.7, 0.2), (80, 0.65, 0.1), (120, 0.6, 0.0)])
def test_a_thousand_studies_with_a_difference(people: int, share: float, ties: float) -> None:
    """Measured and predicted power agree within .05."""
    rng = random.Random(2)
    found = [run_study(study(participants=people, seed=n), share, ties, rng) for n in range(1000)]
    measured = sum(f.p is not None and f.p < 0.05 for f in found) / 1000
    assert abs(measured - preference.power(people, share, ties)) <= 0.05


def test_the_power_calculator() -> None:
    """Enough people are enough, ten fewer are not; a bigger difference needs fewer; equal models need no number."""
    n = preference.people_needed(0.65, 0.2)
    assert n is not None and all(preference.power(n + more, 0.65, 0.2) >= 0.8 for more in range(11))
    assert preference.power(n - 11, 0.65, 0.2) < 0.8
    assert (preference.people_needed(0.8) or 0) < (preference.people_needed(0.65) or 0)
    assert preference.people_needed(0.5) is None and preference.people_needed(0.501) is None
    assert preference.power(50, 0.5) == pytest.approx(0.05, abs=0.02)


def test_who_counts() -> None:
    """Partial answers are kept and marked; reasons are said; the rest is counted by model, not by side."""
    own = study(films_to_rate=3)
    good = {"seconds": 60.0, "rated": 3}
    records = [
        Record(0, "ease", "popularity", answers={"accuracy": "first"}, **good),
        Record(1, "popularity", "ease", answers={"accuracy": "second", "novelty": "first"}, **good),
        Record(2, "ease", "popularity", answers={"accuracy": "neither"}, **good),
        Record(3, "ease", "popularity", answers={"accuracy": "second"}, seconds=None, rated=3),
        Record(4, "ease", "popularity", answers={"accuracy": "second"}, seconds=5.0, rated=3),
        Record(5, "ease", "popularity", answers={"accuracy": "second"}, seconds=60.0, rated=2),
        Record(6, "ease", "popularity", answers={"accuracy": "<script>"}, **good),
    ]
    assert [outcome.excluded(own, r) for r in records[3:6]] == [
        "did not finish",
        "finished in less than 20 seconds",
        "rated fewer than 3 films",
    ]
    found = {f.question: f.preference for f in outcome.findings(own, records)}
    assert found["accuracy"] == Preference(2, 0, 1) and found["novelty"] == Preference(0, 1, 0)
    assert outcome.sides(own, records) == Preference(1, 1, 1)
    parts = outcome.slices(own, records)
    first = {f.question: f.preference for f in parts["saw popularity first"]}
    assert first["accuracy"] == Preference(1, 0, 0)


def test_interleaved_studies_count_credit() -> None:
    own = study(layout="interleaved", films_to_rate=1)
    good = {"seconds": 60.0, "rated": 3, "teams": (0, 1, 1, 0)}
    records = [
        Record(0, "ease", "popularity", chosen=(0, 3), **good),
        Record(1, "popularity", "ease", chosen=(1,), **good),
        Record(2, "ease", "popularity", chosen=(0, 1), **good),
        Record(3, "ease", "popularity", chosen=(), **good),
    ]
    (found,) = outcome.findings(own, records)
    assert found.question == outcome.CHOSEN and found.preference == Preference(2, 0, 2)


def test_agreement_with_offline_metrics() -> None:
    found = [
        outcome.Finding("ease", "popularity", "accuracy", Preference(18, 2, 0)),
        outcome.Finding("ease", "popularity", "novelty", Preference(6, 4, 0)),
    ]
    rows = outcome.agreement(found, {"ease": 0.3, "popularity": 0.4})
    assert [r["agrees"] for r in rows] == [False, None] and rows[0]["offline"] == pytest.approx(-0.1)
    assert outcome.agreement(found, {"ease": 0.3}) == []


def test_steps_are_checked_and_sides_cannot_be_guessed(home: Any) -> None:
    """What is no rating, list or place is refused; a study without a seed draws one."""
    from mmrec_core.studies import store

    made = [store.create(definition.Definition(title="T", dataset="demo", models=("a", "b"))) for _ in range(3)]
    assert len({study.definition.seed for study in made}) == 3
    named = definition.Definition(title="T", dataset="demo", models=("a", "b"), seed=7)
    assert store.create(named).definition.seed == 7
    _, secret = store.arrive(made[0].id, "10.0.0.1")
    wrong = {
        store.RATINGS: (5, {"1": "x"}, {"1": float("nan")}, [1]),
        store.SHOWN: (5, {"teams": 5}),
        store.CHOSEN: ("x", {"a": 1}, ["x"], [1.5], [True]),
    }
    for step, values in wrong.items():
        for value in values:
            with pytest.raises(MMRecError):
                store.respond(secret, step, value)
    store.respond(secret, store.RATINGS, {"1": 4.5})
