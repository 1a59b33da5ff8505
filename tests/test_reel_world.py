"""The generated world keeps its promises: repeatable, shaped like MovieLens, and honest about what nobody can beat."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec_core.data.datasets.demo import Demo
from mmrec_core.data.splits import make_split
from mmrec_core.data.synthetic.reel_world import oracle, world
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.types import Dataset


def test_the_same_seed_gives_the_same_world_and_films_do_not_depend_on_people() -> None:
    one, two, more = (world.make_world(4, 80, n) for n in (30, 30, 60))
    other = world.make_world(5, 80, 30)
    for field in ("film", "quality", "taste"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
        assert not np.array_equal(getattr(one, field), getattr(other, field))
    np.testing.assert_array_equal(one.film, more.film)
    first, second = world.live(one, 4, 40), world.live(two, 4, 40)
    np.testing.assert_array_equal(first.item, second.item)


def test_ratings_look_like_movielens() -> None:
    made = world.make_world(0, 1200, 900)
    lived = world.live(made, 0, 100)
    counts = np.bincount(lived.item, minlength=1200)
    assert 80_000 < len(lived.user) < 100_000
    assert np.bincount(lived.user).min() >= 20
    assert 3.2 < lived.rating.mean() < 3.9 and set(np.unique(lived.rating * 2).astype(int)) <= set(range(1, 11))
    assert np.sort(counts)[-120:].sum() > 0.25 * counts.sum(), (
        "a tenth of the films draws far more than a tenth of the ratings"
    )
    assert (lived.time >= made.release[lived.item]).all(), "nobody rates a film before its release"
    assert len(np.unique(lived.user.astype(np.int64) * 1200 + lived.item)) == len(lived.user)


def test_expected_stars_equal_simulation() -> None:
    rng = np.random.default_rng(0)
    for mean in (0.2, 2.6, 3.4, 5.2):
        drawn = np.clip(np.round(2 * (mean + 0.7 * rng.standard_normal(400_000))) / 2, 0.5, 5)
        assert oracle.expected_stars(np.array([mean]), np.array([0.7]))[0] == pytest.approx(drawn.mean(), abs=0.005)


def test_chance_of_being_picked_equals_simulation() -> None:
    rng = np.random.default_rng(1)
    rate = np.exp(rng.normal(0, 1.2, 60))
    picked = 1 - np.exp(-oracle.clock(rate, 12) * rate)
    keys = np.log(rate) + rng.gumbel(size=(20_000, 60))
    counted = np.bincount(np.argpartition(-keys, 11, axis=1)[:, :12].ravel(), minlength=60) / 20_000
    assert picked.sum() == pytest.approx(12, abs=0.01)
    np.testing.assert_allclose(picked, counted, atol=0.03)


def test_knowing_more_never_hurts(demo: Dataset) -> None:
    split = make_split(demo)
    found = {
        name: evaluate(o, demo, split, groups=False, intervals=False).metrics
        for name, o in Demo.oracles(demo, split).items()
    }
    for metric, sign in (("rmse", -1), ("ndcg@10", 1)):
        value = {name.removeprefix("oracle:"): sign * m[metric] for name, m in found.items()}  # type: ignore[operator]
        assert value["all"] > value["ids"] > value["content"] > max(value["text"], value["image"])


def test_ratings_average_to_what_the_oracle_expects(demo: Dataset) -> None:
    split = make_split(demo)
    rows = demo.interactions.take(split.test)
    expected = oracle.Oracle(demo, split, "all").score_rows(rows).numpy()[:, 0]
    truth = np.asarray(rows.rating)
    assert abs((truth - expected).mean()) < 4 * (truth - expected).std() / np.sqrt(len(truth))
    for information in ("text", "image", "content"):
        guess = oracle.Oracle(demo, split, information).score_rows(rows).numpy()[:, 0]
        assert abs((truth - guess).mean()) < 0.12, "hidden tastes shift what is rated, and the oracle accounts for it"


def test_no_model_beats_what_knows_everything(demo: Dataset) -> None:
    from mmrec_core.training.fit import fit

    split = make_split(demo)
    best = evaluate(oracle.Oracle(demo, split, "all"), demo, split, groups=False, intervals=False).metrics
    for name in ("popularity", "itemknn", "ease", "bias"):
        found = evaluate(fit(name, demo, split).model, demo, split, groups=False, intervals=False).metrics
        assert found["ndcg@10"] < best["ndcg@10"]  # type: ignore[operator]
        assert found.get("rmse") is None or found["rmse"] > best["rmse"]  # type: ignore[operator]


def test_the_demo_says_that_it_is_generated(demo: Dataset) -> None:
    assert demo.manifest["generated"] is True
    catalog = demo.catalog
    assert catalog["poster"].notna().all() and catalog["plot"].str.split().map(len).between(35, 85).all()
    assert catalog["title"].is_unique
