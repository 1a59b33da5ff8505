"""Home's offer of MovieLens 100K with posters and plots, the flag of the command line, and the source of a plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from mmrec_core import runs, storage
from mmrec_core.cli.main import app as command
from mmrec_core.data import enrichment, preparation
from mmrec_core.data.enrich import urls, wikipedia
from mmrec_core.data.enrich._base import Found
from mmrec_core.types import quiet
from pages.parts import get_movielens
from tests.test_datasets import small_movielens
from tests.test_pages import app, text

LABEL = "Get MovieLens 100K with posters and plots"


def prepared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small dataset under the name of MovieLens 100K, without posters and plots."""
    from mmrec_core.data.datasets import movielens

    monkeypatch.setitem(movielens.COUNTS, "ml-100k", (2, 2, 2))
    monkeypatch.setenv("MMREC_SOURCES", "")
    preparation.prepare("ml-100k", source=small_movielens(folder / "raw"))


def test_home_says_size_and_time_and_queues_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(runs, "start", lambda kind, params: queued.append((kind, params)))
    shown = app("home")
    assert not shown.exception and "100 MB and takes about ten minutes" in text(shown)
    next(b for b in shown.button if b.label == LABEL).click().run()
    assert queued == [("prepare", get_movielens.REQUEST)]
    assert get_movielens.REQUEST["enrich"] == ["urls", "wikipedia"]


def test_the_button_waits_while_it_is_fetched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.create("prepare", dict(get_movielens.REQUEST))
    shown = app("home")
    assert not shown.exception and next(b for b in shown.button if b.label == LABEL).disabled
    runs.update(run, status="stopped")
    assert not next(b for b in app("home").button if b.label == LABEL).disabled


def test_it_is_offered_until_most_films_have_both(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_movielens.wanted()
    prepared(tmp_path, monkeypatch)
    assert get_movielens.wanted()
    file = home / "datasets" / "ml-100k" / "manifest.json"
    manifest = json.loads(file.read_text())
    for column in ("poster", "plot"):
        manifest["coverage"][column]["films"] = 0.9
    storage.write_json(file, manifest)
    assert not get_movielens.wanted()
    assert not [b for b in app("home").button if b.label == LABEL]


def test_the_flag_names_both_sources(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for cls in (urls.Urls, wikipedia.Wikipedia):
        monkeypatch.setattr(cls, "find", lambda self, *_: asked.append(type(self).__name__) or Found())
    monkeypatch.setenv("MMREC_SOURCES", "")
    source = str(small_movielens(tmp_path / "raw"))
    done = CliRunner().invoke(command, ["prepare", "ml-latest", "--from", source, "--posters-and-plots", "--json"])
    assert done.exit_code == 0 and asked == ["Urls", "Wikipedia"]
    asked.clear()
    done = CliRunner().invoke(command, ["prepare", "ml-latest", "--from", source, "--json"])
    assert done.exit_code == 0 and asked == []


def test_a_film_names_the_article_of_its_plot(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Found({"plot": {0: "A plot."}, "plot_source": {0: "https://en.wikipedia.org/wiki/Alpha_%28film%29"}})
    monkeypatch.setattr(wikipedia.Wikipedia, "find", lambda self, *_: found)
    monkeypatch.setenv("MMREC_SOURCES", "")
    preparation.prepare("ml-latest", source=small_movielens(tmp_path / "raw"), enrich=["wikipedia"])
    shown = app("browse", dataset="ml-latest", film="10")
    assert not shown.exception
    assert "[Wikipedia](https://en.wikipedia.org/wiki/Alpha_%28film%29), CC BY-SA 4.0" in text(shown)


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "https://evil.org/wiki/x", "https://en.wikipedia.org/wiki/a)[x](y", None, 3]
)
def test_other_addresses_are_no_links(address: object) -> None:
    assert enrichment.article_of({"plot_source": address}) is None and enrichment.article_of({}) is None


def test_a_source_cannot_overwrite(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = pd.DataFrame({"item": [1], "title": ["A"], "plot": ["Own."], "imdb_id": [None], "poster": [None]})
    monkeypatch.setattr(wikipedia.Wikipedia, "find", lambda self, *_: Found({"plot": {0: "Other."}}))
    enrichment.fill(catalog, ["wikipedia"], "", quiet, offered=False)
    assert catalog["plot"].tolist() == ["Own."]
