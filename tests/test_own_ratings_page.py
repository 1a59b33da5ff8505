"""Home's form for one's own ratings: what it recognises, what it shows, what it prepares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmrec_core import runs
from mmrec_core.data import preparation
from tests.test_pages import app, text


@pytest.fixture
def started(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the form asked to prepare."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(runs, "start", lambda kind, params: asked.append(params))
    return asked


def prepared(params: dict[str, Any]) -> Any:
    """What the form asked for, prepared."""
    preparation.prepare("csv", source=Path(params["source"]), name=params["dataset"], options=params["options"])
    return preparation.open_dataset(params["dataset"])


LETTERBOXD = (
    "Date,Name,Year,Letterboxd"
    " URI,Rating\n2017-04-28,Alpha,1995,https://boxd.it/1,5.0\n2017-05-08,Alpha,2005,https://boxd.it/2,3.5\n"
)


def test_an_export_is_recognised_and_previewed(started: list[dict[str, Any]]) -> None:
    shown = app()
    shown.file_uploader(key="own_ratings").set_value(("my films.csv", LETTERBOXD.encode(), "text/csv")).run()
    assert not shown.exception and not shown.error and "Recognised as an export of Letterboxd" in text(shown)
    preview = shown.dataframe[1].value
    assert (
        preview["title"].tolist() == ["Alpha", "Alpha"]
        and preview["time"].iloc[0] == "2017-04-28 00:00:00"
        and preview["user"].tolist() == ["me", "me"]
    )
    shown.button(key="own_go").click().run()
    assert started[0]["options"]["scale"] == "0.5:5" and started[0]["options"]["user"] == ""
    dataset = prepared(started[0])
    assert dataset.catalog["year"].tolist() == [1995, 2005] and dataset.manifest["first_time"] == 1493337600


def test_columns_of_films_can_be_mapped_and_books_stay_books(started: list[dict[str, Any]], tmp_path: Path) -> None:
    shown = app()
    shown.file_uploader(key="own_ratings").set_value(
        ("r.csv", b"user_id,book_id,rating\n1,7,5\n2,8,3\n", "text/csv")
    ).run()
    table = b"book_id,heading,authors,original_publication_year\n7,Heat,A B,1995.0\n8,Dune,F H,1965.0\n"
    shown.file_uploader(key="own_films").set_value(("books.csv", table, "text/csv")).run()
    assert (
        not shown.exception
        and shown.selectbox(key="own_film_title.2").value == ""
        and shown.selectbox(key="own_film_year.2").value == "original_publication_year"
    )
    shown.selectbox(key="own_film_title.2").set_value("heading").run()
    assert shown.dataframe[1].value["title"].tolist() == ["Heat", "Dune"]
    shown.button(key="own_go").click().run()
    dataset = prepared(started[0])
    assert dataset.catalog["title"].tolist() == ["Heat", "Dune"] and dataset.manifest["what"] == "books"


def test_events_are_filtered_and_what_does_not_fit_is_said(started: list[dict[str, Any]]) -> None:
    log = (
        b"event_time,visitor,item,event\n2020-01-01T10:00:00Z,u1,a,view\n"
        b"2020-01-01T11:00:00Z,u1,a,buy\n2020-01-02T11:00:00Z,u2,b,view\n"
    )
    shown = app()
    shown.file_uploader(key="own_ratings").set_value(("log.csv", log, "text/csv")).run()
    assert not shown.exception and len(shown.dataframe[1].value) == 3
    shown.multiselect(key="own_keep.1").set_value(["view"]).run()
    assert len(shown.dataframe[1].value) == 2
    shown.selectbox(key="own_rating.1").set_value("event").run()
    assert not shown.exception and shown.button(key="own_go").disabled
    shown.selectbox(key="own_rating.1").set_value("").run()
    shown.selectbox(key="own_time.1").set_value("visitor").run()
    assert shown.button(key="own_go").disabled


def test_a_cell_that_cannot_be_is_named_without_the_servers_folders(started: list[dict[str, Any]], home: Path) -> None:
    body = b"userId,movieId,rating,timestamp\n1,1,4,100\n2,2,good,200\n"
    shown = app()
    shown.file_uploader(key="own_ratings").set_value(("r.csv", body, "text/csv")).run()
    assert not shown.exception and shown.button(key="own_go").disabled
    said = " ".join(str(e.value) for e in shown.error).replace("\\", "")
    assert "r.csv, line 3: rating is 'good', expected a number" in said and str(home) not in said


def test_a_scale_of_long_decimals_is_one_that_fits(started: list[dict[str, Any]]) -> None:
    body = "userId,movieId,rating\n" + "".join(
        f"u{at},i{at},{value}\n" for at, value in enumerate((0.1234567, 9.8765432, 5.5))
    )
    shown = app()
    shown.file_uploader(key="own_ratings").set_value(("r.csv", body.encode(), "text/csv")).run()
    shown.button(key="own_go").click().run()
    assert prepared(started[0]).manifest["ratings"] == 3


def test_another_upload_forgets_the_choices_for_the_first(started: list[dict[str, Any]], home: Path) -> None:
    shown = app()
    shown.file_uploader(key="own_ratings").set_value(
        ("a.csv", b"who,movieId,rating,day\n1,1,4,2020-01-01\n", "text/csv")
    ).run()
    assert shown.selectbox(key="own_user.1").value is None and shown.button(key="own_go").disabled
    shown.selectbox(key="own_user.1").set_value("who").run()
    shown.file_uploader(key="own_ratings").set_value(("b.csv", b"user,who,movieId,rating\n5,1,1,4\n", "text/csv")).run()
    assert shown.selectbox(key="own_user.2").value == "user" and len(list((home / "uploads").iterdir())) == 1
    shown.button(key="own_go").click().run()
    shown.file_uploader(key="own_ratings").set_value(("c.csv", b"user,movieId,rating\n5,1,4\n", "text/csv")).run()
    assert Path(started[0]["source"]).is_file(), "what is being prepared is not taken away"
