"""Every page with every registered model: a finite result of that model's own, or a stated reason why there is none.

Nothing here knows a model's name, so a newcomer is walked by existing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from mmrec_core import features, registry, runs
from mmrec_core.analysis import comparison
from mmrec_core.data import preparation
from mmrec_core.jobs import worker
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset
from pages.parts.inside import views
from tests.models.test_contract import _census_files, _ratings_csv
from tests.test_pages import app, choose_model, model_cards, text

MODELS = registry.names("models")
PAGES = ["home", "browse", "space", "train", "compare", "errors", "inside", "cold_start", "learn", "class", "study"]
FILMS, TABLE = "films", "table"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a small film set and a small table, and every model that works on either trained for an epoch."""
    folder, threads = tmp_path_factory.mktemp("every"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        torch.set_num_threads(1)
        patch.setenv("MMREC_HOME", str(folder / "home"))
        patch.setenv("MMREC_MLFLOW", "off")
        options = {"scale": "0.5:5", "items": "films.csv"}
        preparation.prepare("csv", source=_ratings_csv(folder), name=FILMS, options=options)
        preparation.prepare("census", source=_census_files(folder), name=TABLE)
        features.encode(preparation.open_dataset(FILMS), "classic")
        for name, split in ((FILMS, "user-temporal"), (TABLE, "official")):
            for model in runs.usable_models(preparation.open_dataset(name)):
                trains = registry.schema("models", model)["trains"]
                how = {"max_epochs": 1, "patience": 1, "device": "cpu"} if trains else {}
                worker.work(
                    runs.create("train", runs.training_params(name, model, split=split, options=how)).id,
                    foreground=True,
                )
        yield folder
        torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages open there."""
    monkeypatch.setenv("MMREC_HOME", str(home / "home"))
    monkeypatch.setenv("MMREC_MLFLOW", "off")


def where(model: str) -> list[Dataset]:
    """The sets that a model works on; every shipped model works on one of them."""
    found = [preparation.open_dataset(name) for name in (FILMS, TABLE)]
    return [dataset for dataset in found if model in runs.usable_models(dataset)]


def shown(page: str, dataset: str, **query: str) -> AppTest:
    """A page with a dataset chosen."""
    made = app(page, dataset=dataset, **query)
    assert not made.exception, made.exception[0].message
    return made


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_trained_somewhere(model: str) -> None:
    """With figures of its own, all of them finite."""
    assert where(model)
    for dataset in where(model):
        rows = [row for row in comparison.rows(dataset) if row.model == model]
        assert len(rows) == 1
        values = [value for value in rows[0].result["metrics"].values() if value is not None]
        assert values and all(math.isfinite(value) for value in values)


@pytest.mark.parametrize("dataset", [FILMS, TABLE])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(page: str, dataset: str) -> None:
    """On films and on a table; where a page has nothing to show it says why and where to go."""
    made = shown(page, dataset)
    assert not made.error
    if dataset == TABLE and page in {"browse", "space", "cold_start", "errors", "inside", "learn"}:
        assert "no people and no films to show here" in text(made)


@pytest.mark.parametrize("view, model", [(view.title, model) for view in views() for model in view.models])
def test_inside_opens_the_model_or_says_why_not(view: str, model: str) -> None:
    """Every view with every model that it names, of a run that knows a user; never an exception."""
    assert model in MODELS
    run = next(run for run in runs.all_runs() if run.params.get("model") == model and run.params["dataset"] == FILMS)
    made = shown("inside", FILMS, view=view, run=run.id)
    assert made.session_state["inside.run"] == model
    assert not made.error or "Choose another user" in made.error[0].value or "none of these" in made.error[0].value


@pytest.mark.parametrize("model", MODELS)
def test_train_offers_the_model_or_says_what_it_lacks(model: str) -> None:
    """Its form opens; a model that the data cannot serve is named with its needs."""
    able = {dataset.name for dataset in where(model)}
    for name in (FILMS, TABLE):
        page = shown("train", name)
        card = model_cards(page)[model]
        if name not in able:
            assert card["lacks"], model
            continue
        assert not card["lacks"]
        choose_model(page, model)
        assert not page.exception and not page.error
        assert registry.entry("models", model).summary.split(" (")[0][:30] in text(page)
        assert any(b.label == "Start training" for b in page.button)


@pytest.mark.parametrize("name", [FILMS, TABLE])
def test_compare_shows_every_model(name: str) -> None:
    """A row each, with numbers in it."""
    page = shown("compare", name)
    tables = [frame.value for frame in page.dataframe if {"Model", "Parameters"} <= set(frame.value.columns)]
    rows = {row["Model"].split(" (")[0]: row for table in tables for _, row in table.iterrows()}
    for model in runs.usable_models(preparation.open_dataset(name)):
        assert model in rows, model
        figures = [str(v) for column, v in rows[model].items() if str(column)[-1] in "↑↓"]
        assert any(any(c.isdigit() for c in figure) for figure in figures), model


@pytest.mark.parametrize("model", MODELS)
def test_a_newcomer_gets_films_or_a_reason(model: str) -> None:
    """Cold start: films with finite scores from every model of films, and whether they rest on what was values."""
    datasets = [d for d in where(model) if d.manifest["films"]]
    if not datasets:
        assert "labels" in registry.schema("models", model)["needs"][0]
        return
    run = runs.finished(datasets[0])[model]
    found = recommender.recommend(run, recommender.history(datasets[0], {"3": 5.0, "4": 1.0, "5": 4.5}))
    assert len(found.items) == 10 and np.isfinite(found.scores).all() and found.source in {"folded", "fallback"}
    page = shown("cold_start", FILMS, ratings="3:5_4:1_5:4.5", models=model)
    assert f"**{model}**" in " ".join(m.value for m in page.markdown)
    assert not page.error


@pytest.mark.parametrize("model", MODELS)
def test_space_has_the_models_films_or_not(model: str) -> None:
    """A model that has vectors of films offers them as a space; one that says so has them, finite."""
    datasets = [d for d in where(model) if d.manifest["films"]]
    if not datasets:
        return
    run = runs.finished(datasets[0])[model]
    vectors = recommender.load_run_model(run.folder).item_vectors()
    assert (vectors is not None) == registry.schema("models", model)["vectors"]
    if vectors is not None:
        assert vectors.shape[0] == datasets[0].manifest["films"] and bool(torch.isfinite(vectors).all())


@pytest.mark.parametrize("look", ["Slices", "User", "Case"])
@pytest.mark.parametrize("model", MODELS)
def test_errors_opens_the_model_up(model: str, look: str) -> None:
    """Errors: its slices, a user’s list and a case with what-ifs, without an error, for every model of films."""
    if not any(d.manifest["films"] for d in where(model)):
        return
    other = "ease" if model != "ease" else "popularity"
    label = next(r.label for r in comparison.rows(preparation.open_dataset(FILMS)) if r.model == model)
    page = shown("errors", FILMS, look=look, who="5", what="Film 3 · 3", a=label, b=other)
    assert not page.error, [e.value for e in page.error]
    tables = [frame.value for frame in page.dataframe]
    if look == "Slices":
        assert any(label in " ".join(map(str, t.columns)) for t in tables)
        figures = " ".join(str(v) for t in tables for v in t.to_numpy().ravel())
        assert any(c.isdigit() for c in figures)
    elif look == "User":
        assert "User 5" in text(page) and f"**{label}**" in " ".join(m.value.replace("\\", "") for m in page.markdown)
    else:
        ranks = ["Rank, learned profile", "Rank, folded-in profile"]
        says = next(t for t in tables if {"Model", *ranks} <= set(t.columns))
        assert says["Model"].tolist()[0] == label and all(
            math.isfinite(float(p)) for column in ranks for p in says[column]
        )
        reads = "reads neither plots nor posters"
        assert (reads in text(page)) == (not registry.reads_content(registry.schema("models", model)["needs"]))


def test_the_walk_is_whole() -> None:
    """Pages walked here are all the pages there are."""
    there = {f.stem for f in (Path(__file__).parents[1] / "pages").glob("[!_]*.py")}
    assert there == set(PAGES) and os.environ["MMREC_HOME"]
