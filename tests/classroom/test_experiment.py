"""Which model knows a class: measures against values by hand, and that held-out ratings reach no model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmrec_core import runs
from mmrec_core.classroom import experiment, likeness, store
from mmrec_core.classroom.store import Rating
from mmrec_core.jobs import worker
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset


def rating(who: str, item: Any, stars: float, place: int, held: bool = False) -> Rating:
    return Rating(who, item, stars, place, held, float(place))


@pytest.fixture(scope="module")
def trained(demo: Dataset, shared_home: Any) -> dict[str, runs.Run]:
    """Popularity, EASE and a short mf on the small demo."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_HOME", str(shared_home))
        for model, options in (("popularity", {}), ("ease", {}), ("mf", {"max_epochs": "2"})):
            worker.work(runs.create("train", runs.training_params("demo", model, options=options)).id, foreground=True)
        return {n: r for n, r in runs.finished(demo).items() if n in {"popularity", "ease", "mf"}}


@pytest.fixture
def room(demo: Dataset, shared_home: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Rating], list[Any]]:
    """Eight people who rate fifteen films each, five of them held out."""
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    items = [demo.items.raw[row].item() for row in range(30)]
    rng = np.random.default_rng(0)
    found = []
    for n in range(8):
        who = f"{n:016x}"
        for place, item in enumerate(rng.permutation(items)[:15].tolist()):
            stars = float(rng.integers(1, 11)) / 2
            found.append(rating(who, item, stars, place, place in store.held_places(who)))
    return found, items


@pytest.mark.parametrize(
    ("truth", "scores", "share"),
    [
        ([5, 3, 1], [0.9, 0.5, 0.1], 1.0),
        ([5, 3, 1], [0.1, 0.5, 0.9], 0.0),
        ([5, 3, 1], [0.9, 0.1, 0.5], 2 / 3),
        ([5, 5, 1], [0.9, 0.1, 0.5], 1 / 2),
        ([4, 2], [0.5, 0.5], 1 / 2),
        ([3, 3, 3], [1, 2, 3], None),
        ([3], [1], None),
    ],
)
def test_pairs_in_the_right_order(truth: list[float], scores: list[float], share: float | None) -> None:
    assert experiment.order(np.array(truth), np.array(scores)) == share


def test_pairs_are_the_area_under_the_curve() -> None:
    """With two grades the share is scikit-learn's AUC."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(1)
    for _ in range(50):
        truth, scores = rng.integers(0, 2, 12), rng.integers(0, 5, 12)
        if 0 < truth.sum() < 12:
            assert experiment.order(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_standings_equal_a_count_by_hand(
    demo: Dataset, trained: dict[str, runs.Run], room: tuple[list[Rating], list[Any]]
) -> None:
    """Each model folds in what is not held out, one person after the other, and predicts the rest."""
    ratings, items = room
    found = {s.model: s for s in experiment.standings(demo, ratings, items, trained)}
    assert set(found) == {"popularity", "ease", "mf"}
    for name, run in trained.items():
        shares, errors = [], []
        for person in experiment.people(ratings):
            known = recommender.history(demo, {r.item: r.stars for r in person.known})
            scores = recommender.scores(run, known)
            rows = [demo.items.row(r.item, "film id") for r in person.held]
            truth = np.array([r.stars for r in person.held])
            assert len(person.held) == 5 and len(person.known) == 10
            if (share := experiment.order(truth, scores[rows])) is not None:
                shares.append(share)
            errors += (np.clip(scores[rows], *demo.scale or (0, 1)) - truth).tolist()
        assert found[name].order == pytest.approx(np.mean(shares), abs=1e-6)
        assert found[name].people == len(shares) and found[name].ratings == 40
        if name == "mf":
            assert found[name].rmse == pytest.approx(np.sqrt(np.mean(np.square(errors))), abs=1e-5)
        else:
            assert found[name].rmse is None
    assert found["popularity"].over_popularity is None
    gap = found["ease"].over_popularity
    assert gap == pytest.approx(found["ease"].order - found["popularity"].order)  # type: ignore[operator]
    low, high = found["ease"].over_popularity_interval or (1, 0)
    assert low < gap < high  # type: ignore[operator]


def test_held_out_ratings_reach_no_model(
    demo: Dataset, trained: dict[str, runs.Run], room: tuple[list[Rating], list[Any]]
) -> None:
    """Whatever stars the held-out films have, predictions are the same."""
    ratings, items = room
    others = [Rating(**{**vars(r), "stars": 5.5 - r.stars}) if r.held else r for r in ratings]
    for run in trained.values():
        asked = ([experiment.history(demo, p.known) for p in experiment.people(some)] for some in (ratings, others))
        one, two = (
            experiment.predictions(demo, run, items, {experiment.question(h, items): h for h in histories})
            for histories in asked
        )
        assert np.array_equal(one, two)
    assert experiment.standings(demo, ratings, items, trained) != experiment.standings(demo, others, items, trained)


def test_little_is_said_about_few(demo: Dataset, trained: dict[str, runs.Run], room: Any) -> None:
    """No interval of the difference below five people; nobody counts before something is held out."""
    ratings, items = room
    few = [r for r in ratings if int(r.participant_id, 16) < 4]
    found = {s.model: s for s in experiment.standings(demo, few, items, trained)}
    assert found["ease"].over_popularity is not None and found["ease"].over_popularity_interval is None
    early = [r for r in ratings if not r.held]
    assert all(s.order is None and s.people == 0 for s in experiment.standings(demo, early, items, trained))
    assert experiment.standings(demo, [], items, {}) == []


def test_the_curve_has_the_same_targets_for_every_number(
    demo: Dataset, trained: dict[str, runs.Run], room: Any
) -> None:
    """Its last point is the standing; its first knows nothing of a person; those with fewer ratings are left out."""
    ratings, items = room
    short = [r for r in ratings if not (r.participant_id == f"{7:016x}" and r.place > 9)]
    found = experiment.curve(demo, short, items, trained)
    whole = [r for r in short if r.participant_id != f"{7:016x}"]
    assert found["people"] == 7 and found["ks"] == list(range(11))
    for standing in experiment.standings(demo, whole, items, trained):
        assert found["models"][standing.model][-1] == pytest.approx(standing.order, abs=1e-9)
    popularity = found["models"]["popularity"]
    assert popularity == pytest.approx([popularity[0]] * 11), "popularity does not change with ratings"
    assert set(found["above"]) == {"ease", "mf"}


def test_results_are_saved_as_json(demo: Dataset, trained: dict[str, runs.Run], room: Any) -> None:
    import json

    ratings, items = room
    found = experiment.results(demo, ratings, {"items": items})
    assert json.loads(json.dumps(found))["people"] == 8 and "random" not in {s["model"] for s in found["standings"]}


def test_the_film_that_divides() -> None:
    """The largest standard deviation among films with three ratings; two of one film say nothing."""
    table = [rating(w, "split", s, 0) for w, s in zip("abcd", (1, 5, 1, 5), strict=True)]
    table += [rating(w, "agreed", 4, 1) for w in "abcd"] + [rating(w, "rare", s, 2) for w, s in (("a", 0.5), ("b", 5))]
    first, second = likeness.dividing(table)
    assert (first["item"], first["sd"], first["counts"]) == ("split", 2.0, {1.0: 2, 5.0: 2})
    assert second["item"] == "agreed" and second["sd"] == 0


def test_a_star_stands_where_the_liked_films_are(demo: Dataset) -> None:
    """On the segment between two films, nearer to the one with more stars, and it moves with a rating."""
    xy = np.full((len(demo.items), 2), np.nan)
    xy[0], xy[1] = (0, 0), (10, 0)
    a, b, off = (demo.items.raw[row].item() for row in (0, 1, 2))
    place = lambda *rated: likeness.places(demo, [rating("p", i, s, 0) for i, s in rated], xy)["p"]
    low = demo.scale[0] if demo.scale else 1
    assert place((a, 5.0)) == (0.0, 0.0) and place((a, low), (b, low)) == pytest.approx((5, 0))
    nearer, further = place((a, 2.0), (b, 5.0)), place((a, 2.0), (b, 3.0))
    assert 5 < further[0] < nearer[0] < 10
    assert place((b, 4.0), (off, 5.0)) == (10.0, 0.0), "a film that is not on the map moves nobody"
    assert likeness.places(demo, [rating("q", off, 5.0, 0)], xy) == {}


def test_the_plan_is_well_known_films(demo: Dataset, trained: dict[str, runs.Run], room: Any) -> None:
    plan = experiment.plan(demo)
    rows = [demo.items.row(item, "film id") for item in plan["items"]]
    assert len(set(rows)) == experiment.FILMS and plan["model"] == "ease"
    rank = demo.catalog["n_ratings"].rank(ascending=False)
    assert rank.iloc[rows].median() < len(demo.items) / 2


def test_stars_are_moved_apart_but_stay_on_the_map() -> None:
    """The middle and the directions stay; distances grow by one factor; nobody leaves the map."""
    xy = np.array([[0.0, 0.0], [10.0, 6.0], [np.nan, np.nan]])
    where = {"a": (4.0, 3.0), "b": (5.0, 3.0), "c": (6.0, 3.0), "d": (5.0, 3.6)}
    found, factor = likeness.moved_apart(where, xy)
    one, two = np.array(list(where.values())), np.array(list(found.values()))
    assert 1 < factor <= 4 and np.allclose(two - two.mean(0), factor * (one - one.mean(0)))
    assert np.allclose(one.mean(0), two.mean(0)) and (two >= 0).all() and (two <= [10, 6]).all()
    edge, factor = likeness.moved_apart({"a": (0.0, 0.0), "b": (10.0, 6.0)}, xy)
    assert factor == 1 and edge["a"] == (0.0, 0.0)
    assert likeness.moved_apart({"a": (1.0, 1.0)}, xy) == ({"a": (1.0, 1.0)}, 1.0)
    assert likeness.moved_apart({}, xy) == ({}, 1.0)
