"""What newcomers are asked, where they stand on the map, and from where on a model knows them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmrec_core import features, runs, spaces
from mmrec_core.analysis import cold_start_curve
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.serving import elicitation, recommender, user_trajectory
from mmrec_core.types import Dataset, History
from pages.parts import trajectory_view
from pages.parts.reason_words import reason_in_words
from tests.test_pages import app, text


def test_the_first_is_where_it_stays_above() -> None:
    by_k = {
        str(k): {"against": {"interval": [low, 1.0]}}
        for k, low in ((0, -0.1), (1, 0.1), (2, -0.1), (5, 0.01), (10, 0.2))
    }
    assert cold_start_curve.crosses(by_k, [0, 1, 2, 5, 10]) == 5, "a lucky k in between does not count"
    assert cold_start_curve.crosses({"0": {"against": None}}, [0]) is None
    assert cold_start_curve.above([0.1, 0.3, 0.2, 0.4], [0.2, 0.2, 0.3, 0.3], [0, 1, 2, 5]) == 5
    assert cold_start_curve.above([0.1], [0.2], [0]) is None


def test_crossing_judges_the_same_people_for_every_k(
    demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Popularity is not told anything by ratings, so its own line only moves as rated films leave the lists; EASE knows
    nobody at 0."""
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    info = cold_start_curve.crossing(demo, ["ease"], [0, 5, 20])
    assert set(info["models"]) == {"popularity", "ease"} and info["users"] > 10
    assert info["models"]["ease"]["0"]["metrics"]["ndcg@10"] == pytest.approx(
        info["models"]["popularity"]["0"]["metrics"]["ndcg@10"], abs=0.05
    )
    for k in ("0", "5", "20"):
        pair = info["models"]["ease"][k]["against"]
        mean = info["models"]["ease"][k]["metrics"]["ndcg@10"] - info["models"]["popularity"][k]["metrics"]["ndcg@10"]
        assert pair["difference"] == pytest.approx(mean, abs=1e-9) and pair["users"] == info["users"]


def test_films_asked_about_are_known_and_far_apart(
    demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    features.encode(demo, "mini_clip")
    first = elicitation.spread(demo, 8)
    assert len(set(first.tolist())) == 8 and np.isin(first, elicitation.well_known(demo)).all()
    more = elicitation.spread(demo, 8, without=first.tolist())
    assert not set(more.tolist()) & set(first.tolist())
    from mmrec_core.evaluation.list_inputs import vectors_of

    vectors = vectors_of(demo)
    assert vectors is not None
    alike = lambda rows: float((vectors[rows] @ vectors[rows].T)[np.triu_indices(len(rows), 1)].mean())
    assert alike(first) < alike(elicitation.well_known(demo, 8)), "less alike than the most popular"
    bundles = elicitation.bundles(demo)
    films = np.concatenate([b["films"] for b in bundles])
    assert len(bundles) == 6 and len(set(films.tolist())) == len(films) and all(b["name"] for b in bundles)


def test_disputed_films_are_those_whose_places_differ_most(
    demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    pool = elicitation.well_known(demo)
    one = np.zeros(len(demo.items))
    one[pool] = np.arange(len(pool))[::-1]
    other = one.copy()
    other[pool[[0, -1]]] = other[pool[[-1, 0]]]
    assert set(elicitation.disputed([one, other], demo, 2).tolist()) == {int(pool[0]), int(pool[-1])}
    with pytest.raises(MMRecError, match="two of them"):
        elicitation.disputed([one], demo)


def test_a_trail_has_a_step_for_each_rating_and_ends_among_what_is_recommended(
    demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    features.encode(demo, "mini_clip")
    spaces.project(demo, "mini_clip", "image")
    found = user_trajectory.map_of(demo)
    assert found is not None and found[:2] == ("mini_clip", "image")
    where = user_trajectory.positions(found[2], len(demo.items))
    run = runs.finished(demo).get("ease") or worker.work(
        runs.create("train", runs.training_params("demo", "ease")).id, foreground=True
    )
    model = recommender.load_run_model(run.folder)
    history = History(elicitation.spread(demo, 4), np.array([5, 1, 4.5, 5], np.float32))
    path = user_trajectory.trajectory(model, history, where)
    assert path.shape == (5, 2) and np.isfinite(path).all()
    listed = recommender.recommend(run, history, user_trajectory.TOP).items
    drawn = [i for i in listed if np.isfinite(where[i, 0])]
    if len(drawn) == user_trajectory.TOP:
        np.testing.assert_allclose(path[-1], where[drawn].mean(0), atol=1e-4)


def test_a_map_drawn_while_the_app_runs_is_found(
    demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cold start and Class say that there is no map until there is one, not until the server starts again."""
    monkeypatch.setenv("MMREC_HOME", str(tmp_path))
    shutil.copytree(demo.folder, tmp_path / "datasets" / "demo", ignore=shutil.ignore_patterns("features"))
    dataset = preparation.open_dataset("demo")
    assert trajectory_view.map_of(dataset) is None
    features.encode(dataset, "classic")
    assert trajectory_view.map_of(dataset) is None
    spaces.project(dataset, "classic", "text")
    found = trajectory_view.map_of(dataset)
    assert found is not None and found[0] == "classic, text" and found[1].shape == (len(dataset.items), 2)


def test_reasons_tell_likes_and_dislikes_apart_and_the_map_shows_every_film(
    demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Explain, a liked film is a reason as such; the map has the first ten films of each model, with a shape of
    its own for each; "Why this film" says which rating shapes the list most."""
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    features.encode(demo, "mini_clip")
    spaces.project(demo, "mini_clip", "image")
    for model in ("ease", "popularity"):
        if model not in runs.finished(demo):
            worker.work(runs.create("train", runs.training_params("demo", model)).id, foreground=True)
    liked, disliked = elicitation.well_known(demo)[:2].tolist()
    ratings = f"{demo.items.raw[liked]}:5_{demo.items.raw[disliked]}:1"
    query = {"dataset": "demo", "ratings": ratings, "why": "true", "models": "ease"}
    shown: dict[str, object] = {}
    with monkeypatch.context() as patch:
        patch.setattr(trajectory_view, "_TRAILS", lambda key, data: shown.update(data))
        page = app("cold_start", **query)
    assert not page.exception and not page.error
    films = recommender.recommend(
        runs.finished(demo)["ease"],
        recommender.history(demo, {demo.items.raw[liked].item(): 5, demo.items.raw[disliked].item(): 1}),
        user_trajectory.TOP,
    ).items.tolist()
    (own,) = [found for found in shown["lists"] if found["model"] == "ease"]  # type: ignore[attr-defined]
    assert [film["film"] for film in own["films"]] == [demo.catalog["title"].iloc[i] for i in films]
    marks = {(found["colour"], found["shape"] % 8) for found in shown["lists"]}  # type: ignore[attr-defined]
    assert len(marks) == len(shown["lists"]) and not shown["trails"]  # type: ignore[arg-type]
    why = app("cold_start", **query, more="Why this film")
    assert not why.exception and "ease’s list depends most on" in text(why)
    assert f"Most because you liked **{demo.catalog['title'].iloc[liked]}" in text(why)


def test_reasons_in_words(demo: Dataset) -> None:
    first, second = (str(title) for title in demo.catalog["title"].iloc[:2])
    say = lambda *of: reason_in_words(demo, of, [0, 1], {0: 5.0, 1: 1.0})
    assert say((0, 0.5), (1, 0.1)) == f"because you liked {first}"
    assert say((1, 0.5), (0, -0.4)) == f"because you disliked {second}; lowered by ★ 5 for {first}"
    assert say((0, -0.4)) == f"no rating of yours raises it; lowered by ★ 5 for {first}"
    assert say((0, 0.0), (1, 0.0)) == "no single rating"


def test_the_page_offers_bundles_undo_and_new_films(
    demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    features.encode(demo, "mini_clip")
    page = app("cold_start", dataset="demo")
    next(g for g in page.button_group if g.key == "suggest").set_value("Genre packs").run()
    next(b for b in page.button if b.label == "That’s me").click().run()
    assert not page.exception and "You rated 4 films" in text(page)
    next(b for b in page.button if b.label == "Undo").click().run()
    assert "The models answer after every rating" in text(page)
    page = app("cold_start", dataset="demo", new="New film")
    assert not page.exception and any(t.label == "Plot" for t in page.text_area)
    next(t for t in page.text_area if t.label == "Plot").set_value("A lighthouse keeper finds a map.")
    next(b for b in page.button if b.label == "Find its audience").click().run()
    assert not page.exception and not page.error and "Nearest by plot" in text(page) and "Likely audience" in text(page)
