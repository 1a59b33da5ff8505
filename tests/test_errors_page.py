"""The Errors page as the app runs it, and the cases behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmrec_core import runs
from mmrec_core.analysis import comparison, error_analysis, error_annotations, largest_differences, paired
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.types import Dataset
from tests.test_pages import app, text


@pytest.fixture(scope="module")
def judged_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.models.test_contract import _ratings_csv

    folder = tmp_path_factory.mktemp("errors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_HOME", str(folder / "home"))
        patch.setenv("MMREC_MLFLOW", "off")
        preparation.prepare(
            "csv", source=_ratings_csv(folder), name="mine", options={"scale": "0.5:5", "items": "films.csv"}
        )
        for model in ("popularity", "ease", "bias", "mf"):
            worker.work(runs.create("train", runs.training_params("mine", model)).id, foreground=True)
    return folder / "home"


@pytest.fixture
def mine(judged_home: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("MMREC_HOME", str(judged_home))
    return preparation.open_dataset("mine")


def row(dataset: Dataset, label: str) -> comparison.Row:
    return next(r for r in comparison.rows(dataset) if r.label == label)


def test_rows_carry_predictions_and_places(mine: Dataset) -> None:
    """Places agree with what the model recommends, predictions with what it predicts."""
    from mmrec_core.serving import recommender

    split = paired.split_of(mine, row(mine, "ease"))
    info = error_analysis.evaluated_rows(mine, split, row(mine, "ease"))
    assert info.predicted is None and info.place is not None
    user = int(info.user[info.liked][0])
    known = np.concatenate([split.train, split.validation])
    seen = np.asarray(mine.interactions.need("item"))[known[np.asarray(mine.interactions.need("user"))[known] == user]]
    listed = recommender.recommend_known(runs.get(str(row(mine, "ease").trained)), mine, user, 20, seen).items.tolist()
    for at in np.flatnonzero(info.user == user):
        expected = listed.index(info.item[at]) + 1 if info.item[at] in listed else 0
        assert info.place[at] == expected
    stars = error_analysis.evaluated_rows(mine, split, row(mine, "mf"))
    model = recommender.load_run_model(runs.get(str(row(mine, "mf").trained)).folder)
    np.testing.assert_allclose(stars.predicted, model.score(stars.user, stars.item)[:, 0].numpy(), atol=1e-5)  # type: ignore[arg-type]
    whole = error_analysis.measure(stars, np.ones(len(stars.rows), bool))
    assert whole["rmse"][0] == pytest.approx(row(mine, "mf").result["metrics"]["rmse"], abs=1e-6)
    low, high = whole["rmse"][1]
    assert low < whole["rmse"][0] < high and whole["n"] == len(split.test)


def test_hits_are_pooled_and_recall_is_a_mean_over_users(mine: Dataset) -> None:
    """Both figures from the same places: pooled over rows, and the mean of each user's share; the page says so."""
    split = paired.split_of(mine, row(mine, "ease"))
    info = error_analysis.evaluated_rows(mine, split, row(mine, "ease"))
    found = error_analysis.hits_beside_recall(info, row(mine, "ease"))
    assert found is not None and info.place is not None
    hit = (info.place >= 1) & (info.place <= 10)
    assert found[:2] == (int((hit & info.liked).sum()), int(info.liked.sum()))
    assert found[0] / found[1] == pytest.approx(error_analysis.measure(info, np.ones(len(info.rows), bool))["found"][0])
    shares = [hit[own].mean() for u in np.unique(info.user[info.liked]) if (own := (info.user == u) & info.liked).any()]
    assert found[2] == pytest.approx(np.mean(shares), abs=1e-6)
    said = text(app("errors", a="ease", b="nothing"))
    assert f"ease {found[0]:,} of {found[1]:,}" in said and f"Recall@10 {found[2]:.3f}" in said


def test_slices_cover_what_they_say(mine: Dataset) -> None:
    split = paired.split_of(mine, row(mine, "ease"))
    found = error_analysis.slices(mine, split, split.test, saved={"mine": np.arange(5)})
    item = np.asarray(mine.interactions.need("item"))[split.test]
    assert (found["Saved on the map"]["mine"] == (item < 5)).all()
    assert sum(m.sum() for m in found["Stars given"].values()) == len(split.test)
    genres = mine.catalog["genres"]
    assert (found["Genre"]["genre Comedy"] == np.array(["Comedy" in genres.iloc[i] for i in item])).all()
    assert set(found["Rated on one day or over time"]) <= {"burst raters (nine tenths on one day)", "others"}


def test_the_worst_come_first_and_a_seed_draws_the_same(mine: Dataset) -> None:
    split = paired.split_of(mine, row(mine, "mf"))
    info, other = (error_analysis.evaluated_rows(mine, split, row(mine, n)) for n in ("mf", "bias"))
    everything = np.ones(len(info.rows), bool)
    where = error_analysis.worst(info, everything, "largest error", 10, mine, split)
    error = np.abs(info.error)  # type: ignore[arg-type]
    assert (np.diff(error[where]) <= 0).all() and error[where[0]] == error.max()
    apart = error_analysis.worst(info, everything, "largest difference", 10, mine, split, other)
    worse = np.abs(info.error) - np.abs(other.error)  # type: ignore[arg-type,operator]
    assert abs(worse[apart[0]]) == np.abs(worse).max(), "whichever model is ahead"
    assert (np.diff(np.abs(worse[apart])) <= 0).all()
    a, b, c = (error_analysis.worst(info, everything, "random", 30, mine, split, seed=s) for s in (4, 4, 5))
    assert (a == b).all() and not (a == c).all() and len(a) == 30
    with pytest.raises(MMRecError, match="second model"):
        error_analysis.worst(info, everything, "largest difference", 5, mine, split)


def test_pairs_agree_with_the_table(mine: Dataset) -> None:
    found = paired.pair(mine, row(mine, "ease"), row(mine, "popularity"))
    mean = row(mine, "ease").result["metrics"]["ndcg@10"] - row(mine, "popularity").result["metrics"]["ndcg@10"]
    assert found.summary["difference"] == pytest.approx(mean, abs=1e-9)
    assert sum(g["users"] for g in found.groups if g["group"].startswith("taste")) == len(found.users)
    better, worse = found.extremes(3)
    assert (found.difference[better] > 0).all() and (found.difference[worse] < 0).all()
    same = paired.pair(mine, row(mine, "ease"), row(mine, "ease"))
    assert same.summary["p"] == 1 and same.summary["ties"] == len(same.users) and len(same.extremes()[0]) == 0


def test_a_difference_leads_from_compare_to_its_case(mine: Dataset) -> None:
    """Compare's pair names films on which the two differ most; one of them opens Errors at its user and film, with both
    models, and a sentence that says why."""
    pair = {"part": "Disagreements", "pair_a": "ease", "pair_b": "popularity"}
    page = app("compare", **pair)
    assert (
        not page.exception
        and "Films on which they differ most" in text(page)
        and "ease ranks them higher" in text(page)
    )
    split = paired.split_of(mine, row(mine, "ease"))
    rows = [error_analysis.evaluated_rows(mine, split, row(mine, n)) for n in ("ease", "popularity")]
    better, worse = largest_differences.cases(largest_differences.gains(*rows), rows[0])
    case = (better or worse)[0]
    page.session_state["open_difference"] = case
    page.run()
    assert not page.exception and page.title[0].value == "Errors"
    said = text(page)
    assert f"**{mine.catalog['title'].iloc[case.item]}" in said or str(mine.catalog["title"].iloc[case.item]) in said
    assert "**ease** ranks it" in said and "**popularity** ranks it" in said
    assert page.text_input("who.asked").value == str(mine.users.raw[case.user])


def test_what_ifs_begin_with_a_change_that_does_something(mine: Dataset) -> None:
    """The rating and the stars that are preset change the list or the film's score; a model that says the same to
    everybody is said to."""
    split = paired.split_of(mine, row(mine, "ease"))
    rows = error_analysis.evaluated_rows(mine, split, row(mine, "ease"))
    at = int(np.flatnonzero(rows.liked & (rows.place == 1))[0])
    case = {"look": "Case", "who": str(mine.users.raw[rows.user[at]]), "what": str(mine.items.raw[rows.item[at]])}
    page = app("errors", **case, a="ease", b="nothing")
    assert not page.exception and "Its list depends most on" in text(page)
    table = next(d.value for d in page.dataframe if "Change" in d.value)
    replaced = next(c.value for c in page.caption if "of the ten recommended films would be" in c.value)
    assert int(replaced.split()[0]) > 0 or table["Change"].iloc[1] != 0
    page = app("errors", **case, a="popularity", b="nothing")
    assert not page.exception and "No single rating changes this model’s score" in text(page)
    assert "No single rating, set to either end of the scale" in text(page)


def test_a_case_is_coded_found_again_and_blind(mine: Dataset) -> None:
    page = app("errors", dataset="mine", look="Case", who="5", what="Film 3 · 3", a="mf", b="ease")
    assert not page.exception and not page.error
    next(t for t in page.text_input if t.label == "Note").set_value("too kind").run()
    next(b for b in page.button if b.label == "Save to notebook").click().run()
    held = error_annotations.cases(mine)
    assert [(c.kind, c.user, c.film, c.note, c.model, c.blind) for c in held] == [
        ("rating", "5", "3", "too kind", "mf", False)
    ]
    assert "who=5" in held[0].link and "look=Case" in held[0].link
    again = app("errors", dataset="mine", look="Notebook")
    table = next(f.value for f in again.dataframe if "Note" in f.value.columns)
    assert table["Note"].tolist() == ["too kind"] and table["Film"].tolist() == ["Film 3"]
    next(t for t in page.toggle if t.label == "Hide model names").set_value(True).run()
    names = {str(v) for f in page.dataframe if "Model" in f.value.columns for v in f.value["Model"]}
    assert names and all(n.startswith("Model ") for n in names)
    boxes = [b for b in page.selectbox if b.label in {"Model", "Compare with"}]
    assert len(boxes) == 2 and all(str(o).startswith("Model ") or o == "nothing" for b in boxes for o in b.options)
    assert [b.value for b in boxes] == ["mf", "ease"], "whoever hides the names goes on with the same models"
    assert not any(
        f.value.columns.isin(["Score"]).any() for f in page.dataframe if "Predicted stars" in f.value.columns
    )
    error_annotations.remove(mine, [c.id for c in held])


def test_a_random_sample_goes_into_the_notebook(mine: Dataset) -> None:
    page = app("errors", dataset="mine", a="ease", b="popularity")
    next(g for g in page.button_group if g.key == "sort").set_value("random").run()
    next(b for b in page.button if b.label.startswith("Put these")).click().run()
    drawn = error_annotations.cases(mine)
    assert len(drawn) == 20 and all(c.seed == 0 and c.kind == "rating" for c in drawn)
    error_annotations.remove(mine, [c.id for c in drawn])


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"look": "User", "who": "nobody"}, "has no user"),
        ({"look": "Case", "who": "5", "what": "no film"}, "What if"),
    ],
)
def test_unknown_ids_in_a_link_do_no_harm(mine: Dataset, query: dict[str, str], says: str) -> None:
    page = app("errors", dataset="mine", **query)
    assert not page.exception and says in text(page)
