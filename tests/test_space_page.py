"""The Space page in its states, run as the app runs it: every colour, odd links, nothing encoded, words that cannot be
searched."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmrec_core.data import preparation
from mmrec_core.types import Dataset
from tests.browsing import encode
from tests.test_pages import app, text


@pytest.fixture(scope="module")
def place(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("space-page") / "home"
    shutil.copytree(demo.folder, home / "datasets" / "demo", ignore=shutil.ignore_patterns("features", "maps"))
    encode(home, "demo", "mini_clip", "image", "text")
    return home


def test_every_colour(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_HOME", str(place))
    page = app("space")
    assert not page.exception and "trustworthiness" in text(page)
    choice = page.selectbox(key="colour")
    for name in choice.options:
        choice = page.selectbox(key="colour").set_value(name)
        page.run()
        assert not page.exception and not page.error, name
        assert name == "Nothing" or "Colour:" in text(page)


@pytest.mark.parametrize(
    "query",
    [
        {"film": "none"},
        {"film": "99999"},
        {"sel": "a,b_c"},
        {"sel": "nan,1_0,0_1,1"},
        {"slice": "none"},
        {"space": "nobody"},
        {"cam": "x_y_z"},
        {"into": "nobody: posters"},
        {"view": "sideways"},
    ],
)
def test_odd_links_break_nothing(place: Path, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]) -> None:
    monkeypatch.setenv("MMREC_HOME", str(place))
    assert not app("space", **query).exception


def test_a_selection_in_the_link_is_shown(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_HOME", str(place))
    page = app("space", sel="-1,-1_2,-1_2,2_-1,2", film="4")
    assert not page.exception and "200 films" in text(page) and "nearest films in the full space" in text(page)


def test_slices_are_kept_by_raw_id(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmrec_core.errors import MMRecError
    from pages.parts import slices

    monkeypatch.setenv("MMREC_HOME", str(place))
    dataset = preparation.open_dataset("demo")
    slices.save(dataset, "few", np.array([3, 5, 8]))
    assert slices.load(dataset, "few").tolist() == [3, 5, 8] and "few" in slices.names(dataset)  # type: ignore[union-attr]
    assert slices.table(dataset, np.array([3]))["title"].tolist() == [dataset.catalog["title"].iloc[3]]
    with pytest.raises(MMRecError, match="1 to 60"):
        slices.save(dataset, "x" * 61, np.array([1]))
    slices.remove(dataset, "few")
    assert slices.load(dataset, "few") is None
