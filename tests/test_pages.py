"""Every page in every state, run as the app runs it, without a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from mmrec_core import runs, storage
from mmrec_core.data import preparation
from mmrec_core.jobs import worker
from mmrec_core.runs import heartbeat
from mmrec_core.types import Dataset
from tests.test_datasets import small_movielens

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["home", "browse", "space", "train", "compare", "errors", "inside", "cold_start", "learn"]


def app(page: str = "home", **query: str) -> AppTest:
    """The whole app, opened at a page."""
    made = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for key, value in query.items():
        made.query_params[key] = value
    if page != "home":
        made.switch_page(f"pages/{page}.py")
    return made.run()


def text(page: AppTest) -> str:
    """All that a page says."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success")
    return " ".join(str(e.value).replace("\\", "") for kind in kinds for e in getattr(page, kind))


def component(page: AppTest, key: str) -> Any:
    """What a component of ours is given to show."""
    found = next(e for e in page.get("bidi_component") if e.key == key)
    return json.loads(found.proto.json)


def model_cards(page: AppTest) -> dict[str, dict[str, Any]]:
    """The cards of models on Train, by name."""
    families = component(page, "model..cards")["families"]
    return {card["name"]: {**card, "family": family["name"]} for family in families for card in family["models"]}


def choose_model(page: AppTest, model: str) -> AppTest:
    """A click on a model's card."""
    page.session_state["model."] = model
    return page.run()


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_home_says_what_to_do(home: Path, page: str) -> None:
    shown = app(page)
    assert not shown.exception
    assert "No films yet" in text(shown) and any("Prepare the demo" in b.label for b in shown.button)


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_prepared_films(
    shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    shown = app(page)
    assert not shown.exception and not shown.error
    assert "Reel World is generated" in text(shown)


def test_browse_filters_and_offers_to_clear_them(
    shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    shown = app("browse")
    assert "200 of 200 films" in text(shown)
    title = demo.catalog["title"].iloc[3]
    shown.text_input(key="q").set_value(title).run()
    assert " of 200 films" in text(shown) and "200 of 200" not in text(shown)
    shown.text_input(key="q").set_value("zzzz qqqq").run()
    assert "No film passes these filters" in text(shown)
    next(b for b in shown.button if b.label == "Clear all filters").click().run()
    assert "200 of 200 films" in text(shown) and not shown.exception


def test_a_film_has_a_view_of_its_own(shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    row = int(demo.catalog["n_ratings"].idxmax())
    shown = app("browse")
    shown.query_params["film"] = str(demo.items.raw[row])
    shown.run()
    assert not shown.exception and demo.catalog["title"].iloc[row] in text(shown)
    assert {m.label for m in shown.metric} == {"Ratings", "Average", "Liked by"}


@pytest.mark.parametrize("film", ["99999999", "abc", "-1", "1 OR 1", "9" * 23, "²", "![x](y)"])
def test_an_unknown_film_gets_a_way_back(
    shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch, film: str
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    shown = app("browse")
    shown.query_params["film"] = film
    shown.run()
    assert not shown.exception and len(shown.warning) == 1
    assert any(b.label == "Show all films" for b in shown.button)


@pytest.mark.parametrize(
    "ratings", ["1:99", "x", "::", "1:nan", "99999:4", "1:4_1:5_2", "²:4", "99999999999999999999999:4"]
)
def test_nonsense_in_a_link_is_passed_over(
    shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch, ratings: str
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    shown = app("cold_start")
    shown.query_params["ratings"] = ratings
    shown.run()
    assert not shown.exception


def test_cold_start_names_what_is_coming_and_then_shows_it(home: Path, tmp_path: Path, ratings_csv: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    shown = app("cold_start")
    assert "No model is fitted" in text(shown)
    for model in ("popularity", "ease"):
        worker.work(runs.create("train", runs.training_params("mine", model)).id, foreground=True)
    shown.query_params["ratings"] = "3:5_4:1"
    shown.run()
    assert not shown.exception and not shown.error
    assert "You rated 2 films" in text(shown) and "**ease**" in text(shown) and "**popularity**" in text(shown)


def test_a_damaged_model_is_told_and_the_others_go_on(home: Path, ratings_csv: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    for model in ("popularity", "ease"):
        worker.work(runs.create("train", runs.training_params("mine", model)).id, foreground=True)
    folder = runs.finished(preparation.open_dataset("mine"))["ease"].folder
    storage.write_bytes(folder / "model" / "model.safetensors", b"garbage")
    shown = app("cold_start")
    assert not shown.exception and len(shown.error) == 1 and "Train it again" in text(shown)
    assert "**popularity**" in text(shown)


def test_home_offers_three_things_to_do_drawn_from_the_data(
    shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    shown = app("home", dataset="demo")
    rate, explore, compare = component(shown, "start")["cards"]
    assert (rate["go"], explore["go"], compare["go"]) == ("cold_start", "space", "compare")
    most = demo.catalog.nlargest(8, "n_ratings")["poster"].tolist()
    assert rate["posters"] == most and rate["waits"] == ""
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y, _ in explore["dots"])
    assert bool(explore["waits"]) != bool(explore["dots"]) and bool(compare["waits"]) != bool(compare["bars"])


def test_home_draws_outlines_where_there_is_nothing_yet(home: Path) -> None:
    cards = component(app(), "start")["cards"]
    assert all(card["waits"] == "once a dataset is prepared" and not card["go"] for card in cards)


def test_home_lists_datasets_with_what_they_hold(
    home: Path, ratings_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    for model in ("popularity", "ease"):
        worker.work(runs.create("train", runs.training_params("mine", model)).id, foreground=True)
    shown = app()
    (row,) = component(shown, "datasets")["rows"]
    assert (row["ratings"], row["users"], row["films"], row["posters"]) == ("360", "30", "20", "0%")
    assert row["trained"].startswith("2 of ") and row["models"] == "ease, popularity"
    assert [act for act, _ in row["acts"]] == ["browse", "compare", "train", "fit", "delete"]
    bars = component(shown, "start")["cards"][2]["bars"]
    result = runs.finished(preparation.open_dataset("mine"))["ease"].result()
    assert result is not None
    assert {b["name"]: b["value"] for b in bars}["ease"] == result["metrics"]["ndcg@10"]
    assert [b["value"] for b in bars] == sorted((b["value"] for b in bars), reverse=True)
    assert [b["baseline"] for b in bars if b["name"] == "popularity"] == [True]


def test_home_says_what_runs_in_one_line_with_a_link(home: Path, ratings_csv: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    for model in ("popularity", "ease"):
        run = runs.create("train", runs.training_params("mine", model))
        runs.update(run, **heartbeat.owner())
    shown = app()
    assert not shown.exception
    (line,) = [c.value for c in shown.caption if "Train mine" in c.value]
    assert "Train mine · popularity" in line and "1 more waiting" in line
    assert any(link.proto.label == "Running jobs" for link in shown.get("page_link"))
    assert not any(b.label == "Stop" for b in shown.button), "no cards"


def test_preparing_says_beside_its_button_what_was_queued(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = runs.create
    monkeypatch.setattr(runs, "start", lambda kind, params: real(kind, params))
    shown = app()
    next(b for b in shown.button if b.key == "prepare").click().run()
    assert not shown.exception
    assert any("**Queued:** Prepare ml-latest-small" in m.value.replace("\\", "") for m in shown.markdown)


def test_home_shows_failed_work_with_its_reason(home: Path, tmp_path: Path) -> None:
    bad = small_movielens(tmp_path / "raw", "1,10,9.5,100\n")
    run = runs.create("prepare", {"reader": "ml-latest", "dataset": "ml-latest", "source": str(bad)})
    with pytest.raises(Exception, match="expected a number from 0.5 to 5"):
        worker.work(run.id, foreground=True)
    shown = app()
    assert not shown.exception and "line 2: rating is 9.5" in text(shown)
    assert any(b.label == "Start again" for b in shown.button)


def test_a_newer_or_unwritable_home_is_told(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.open_home()
    storage.write_json(home / "format.json", {"format": 99})
    shown = app()
    assert not shown.exception and "newer MMRec" in text(shown)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMREC_HOME", str(tmp_path / "file" / "home"))
    shown = app()
    assert not shown.exception and "Set MMREC_HOME" in text(shown)


def test_titles_and_plots_cannot_become_markup(home: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("userId,movieId,rating,timestamp\n1,1,4,1\n2,1,5,2\n")
    nasty = "<script>alert(1)</script> **bold** $x$ :material/home:"
    (tmp_path / "f.csv").write_text(f'movieId,title,plot\n1,"{nasty}","{nasty}"\n')
    preparation.prepare("csv", source=tmp_path / "r.csv", name="mine", options={"scale": "0.5:5", "items": "f.csv"})
    shown = app("browse")
    shown.query_params["film"] = "1"
    shown.run()
    assert not shown.exception
    plot = next(m.value for m in shown.markdown if "script" in m.value)
    assert "\\<script\\>" in plot and "**bold**" not in plot


def test_the_bring_your_own_form_prepares_an_upload(
    home: Path, ratings_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(runs, "start", lambda kind, params: started.append((kind, params)))
    shown = app()
    shown.file_uploader(key="own_ratings").set_value(("mine.csv", ratings_csv.read_bytes(), "text/csv")).run()
    assert not shown.exception
    shown.button(key="own_go").click().run()
    (kind, params) = started[0]
    assert kind == "prepare" and params["reader"] == "csv" and params["dataset"] == "mine"
    assert params["options"]["user"] == "userId" and params["options"]["scale"] == "0.5:5"
    assert Path(params["source"]).read_bytes() == ratings_csv.read_bytes()
    info = preparation.prepare("csv", source=Path(params["source"]), name="mine", options=params["options"])
    assert json.dumps(info) and info["ratings"] == 360


def test_a_broken_upload_is_told(home: Path) -> None:
    shown = app()
    shown.file_uploader(key="own_ratings").set_value(("x.parquet", b"not parquet", "application/octet-stream")).run()
    assert not shown.exception and any("cannot be read" in e.value for e in shown.error)


def test_another_dataset_forgets_film_numbers(
    shared_home: Path, demo: Dataset, ml_small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    shown = app("cold_start")
    shown.query_params["ratings"] = "1:5_2:4"
    shown.run()
    assert "You rated 2 films" in text(shown)
    shown.selectbox(key="switch_to").set_value("ml-latest-small").run()
    assert not shown.exception and "You rated" not in text(shown)
    assert "ratings" not in shown.query_params and shown.query_params["dataset"] in (
        "ml-latest-small",
        ["ml-latest-small"],
    )


def test_a_link_to_a_dataset_that_is_not_here(
    shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    shown = app(dataset="nowhere", film="1")
    assert not shown.exception and "nowhere" in text(shown) and "film" not in shown.query_params


def test_films_of_the_real_catalog_open(shared_home: Path, ml_small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing directors, casts, plots and posters are part of it."""
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    bare = ml_small.catalog[ml_small.catalog["director"].isna() & ml_small.catalog["poster"].isna()].index[0]
    for film in ("318", str(ml_small.items.raw[bare])):
        shown = app("browse", dataset="ml-latest-small")
        shown.query_params["film"] = film
        shown.run()
        assert not shown.exception and "Similar films" in text(shown)


def test_a_cluster_that_does_not_answer_is_said(
    shared_home: Path, demo: Dataset, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    shutil.copytree(shared_home / "datasets" / "demo", home / "datasets" / "demo")
    shown = app("train", dataset="demo", part="Cluster")
    assert not shown.exception and "No cluster is named" in text(shown)
    shown.text_input("cluster.address").input("127.0.0.1:9")
    next(b for b in shown.button if b.label == "Use it").click().run()
    assert not shown.exception and "Nothing answers at 127.0.0.1:9" in text(shown)
    shown.text_input("cluster.address").input("http://x")
    next(b for b in shown.button if b.label == "Use it").click().run()
    assert "HOST:PORT" in text(shown)
