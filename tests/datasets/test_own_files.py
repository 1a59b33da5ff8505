"""Users' own files: exports of services, logs, other encodings and separators, film tables of many forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmrec_core.data import preparation
from mmrec_core.data.datasets._recognise import recognise
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset


def prepared(file: Path, body: str | bytes | None = None, **options: Any) -> Dataset:
    """A file prepared by the one command that people would try."""
    if body is not None:
        file.write_bytes(body if isinstance(body, bytes) else body.encode())
    preparation.prepare("csv", source=file, name="mine", options=options)
    return preparation.open_dataset("mine")


def raw(dataset: Dataset, role: str) -> list[Any]:
    column = np.asarray(dataset.interactions.need(role))
    return (
        dataset.users.raw[column] if role == "user" else dataset.items.raw[column] if role == "item" else column
    ).tolist()


def test_letterboxd_of_one_user(home: Path, tmp_path: Path) -> None:
    body = (
        "Date,Name,Year,Letterboxd URI,Rating\n2017-04-28,Heat,1995,https://boxd.it/6,5.0\n"
        '2017-05-08,"Usual Suspects, The",1995,https://boxd.it/32,3.5\n2017-05-09,Heat,1986,https://boxd.it/7,\n'
    )
    dataset = prepared(tmp_path / "ratings.csv", body)
    assert dataset.users.raw.tolist() == ["me"] and dataset.scale == (0.5, 5.0) and raw(dataset, "rating") == [5.0, 3.5]
    assert dataset.catalog["title"].tolist() == ["Heat", "Usual Suspects, The"] and dataset.catalog[
        "year"
    ].tolist() == [1995, 1995]
    assert raw(dataset, "time") == [1493337600, 1494201600] and dataset.manifest["form"] == "Letterboxd"
    assert "1 row without a rating left out." in dataset.manifest["notes"]


def test_letterboxd_of_many_users(home: Path, tmp_path: Path) -> None:
    body = "Username,Date,Name,Year,Letterboxd URI,Rating\nann,2015-10-24,Heat,1995,https://boxd.it/6,3.0\nbob,2015-10-24,Heat,1995,https://boxd.it/6,4.0\n"
    dataset = prepared(tmp_path / "r.csv", body)
    assert dataset.users.raw.tolist() == ["ann", "bob"] and len(dataset.items) == 1


def test_a_letterboxd_diary_counts_a_film_once_and_the_latest_rating(home: Path, tmp_path: Path) -> None:
    body = (
        "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n2019-01-01,Heat,1995,https://boxd.it/a,3,,,2018-12-31\n"
        "2020-01-01,Heat,1995,https://boxd.it/b,5,Yes,,2020-01-01\n"
        "2020-01-02,Heat,1986,https://boxd.it/c,1,,,2020-01-02\n"
    )
    dataset = prepared(tmp_path / "diary.csv", body)
    assert dataset.items.raw.tolist() == ["Heat (1995)", "Heat (1986)"] or sorted(dataset.items.raw.tolist()) == [
        "Heat (1986)",
        "Heat (1995)",
    ]
    assert sorted(zip(raw(dataset, "item"), raw(dataset, "rating"), strict=True)) == [
        ("Heat (1986)", 1.0),
        ("Heat (1995)", 5.0),
    ]
    assert set(dataset.catalog["title"]) == {"Heat"} and sorted(dataset.catalog["year"]) == [1986, 1995]


def test_netflix_prize(home: Path, tmp_path: Path) -> None:
    (tmp_path / "movie_titles.csv").write_bytes(
        "1,2003,Dinosaur Planet\n2,NULL,Amélie, The Film\n9,1999,Unrated\n".encode("latin-1")
    )
    dataset = prepared(
        tmp_path / "combined_data_1.txt", "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n1488844,4,2005-09-07\n"
    )
    rows = zip(raw(dataset, "user"), raw(dataset, "item"), raw(dataset, "rating"), strict=True)
    assert list(rows) == [(822109, 1, 5), (1488844, 1, 3), (1488844, 2, 4)], "by user and time"
    assert dataset.catalog["title"].tolist() == [
        "Dinosaur Planet",
        "Amélie, The Film",
        "Unrated",
    ] and dataset.scale == (1.0, 5.0)
    assert dataset.manifest["first_time"] == 1115942400


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("1:\n1,3,2005-09-06\nx:\n", 3),
        ("1:\n1,3\n", 2),
        ("1:\n1,9,2005-09-06\n", 2),
        ("1:\n1,3,2005-19-06\n", 2),
        ("1:\n\n1,3,2005-09-06\n\n2,x,2005-09-06\n", 5),
    ],
)
def test_a_bad_line_of_the_netflix_prize_is_named(home: Path, tmp_path: Path, body: str, line: int) -> None:
    with pytest.raises(MMRecError, match=f"line {line}:"):
        prepared(tmp_path / "combined_data_1.txt", body)


def test_netflix_viewing_history(home: Path, tmp_path: Path) -> None:
    dataset = prepared(
        tmp_path / "NetflixViewingHistory.csv",
        'Title,Date\n"Heat","12/30/20"\n"Show: Season 1: One","1/5/21"\n"Heat","1/6/21"\n',
    )
    assert dataset.interactions.has == {"user", "item", "time"} and dataset.manifest["repeats"] == "allowed"
    assert raw(dataset, "item") == ["Heat", "Show: Season 1: One", "Heat"] and raw(dataset, "time") == [
        1609286400,
        1609804800,
        1609891200,
    ]
    catalog = dataset.catalog.set_index("item")
    assert (
        catalog.loc["Heat", "title"] == "Heat"
        and catalog.loc["Heat", "n_ratings"] == 2
        and catalog.loc["Heat", "n_users"] == 1
    )


def test_imdb_ratings(home: Path, tmp_path: Path) -> None:
    body = (
        "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,"
        "Runtime (mins),Year,Genres,Num Votes,Release Date,Directors\n"
        "tt0113277,9,2020-05-01,Heat,Heat,https://www.imdb.com/title/tt0113277,Movie,8.3,"
        '170,1995,"Action, Crime, Drama",700000,1995-12-15,Michael Mann\n'
    )
    dataset = prepared(tmp_path / "ratings.csv", body)
    film = dataset.catalog.iloc[0]
    assert (
        dataset.scale == (1.0, 10.0)
        and raw(dataset, "rating") == [9.0]
        and film["title"] == "Heat"
        and film["year"] == 1995
    )
    assert (
        list(film["genres"]) == ["Action", "Crime", "Drama"]
        and film["director"] == "Michael Mann"
        and film["imdb_id"] == "tt0113277"
    )


def test_goodreads_library(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources" / "movie_text").mkdir(parents=True)
    (tmp_path / "sources" / "movie_text" / "plots.csv").write_text(
        "title,release_date,overview\nHeat,1995-12-15,A film's plot.\n"
    )
    monkeypatch.setenv("MMREC_SOURCES", str(tmp_path / "sources"))
    body = (
        "Book Id,Title,Author,ISBN,My Rating,Average Rating,Year Published,Date Read,Date Added\n"
        '7,Heat,Ann,"=""0439""",4,4.1,1995,2017/03/05,2017/03/01\n'
        '8,Unread,Bob,"=""""",0,3.9,2001,,2018/01/01\n'
    )
    dataset = prepared(tmp_path / "goodreads_library_export.csv", body)
    assert (
        dataset.manifest["what"] == "books"
        and dataset.scale == (1.0, 5.0)
        and raw(dataset, "item") == [7]
        and raw(dataset, "time") == [1488326400]
    )
    assert dataset.catalog["plot"].isna().all(), "a book gets no film's plot"
    summary = preparation.prepare(
        "csv", source=tmp_path / "goodreads_library_export.csv", name="requested", options={"what": "films"}
    )
    assert summary["plots"] == 1, "unless what=films requests it"


def test_goodbooks_with_its_own_table(home: Path, tmp_path: Path) -> None:
    (tmp_path / "goodbooks_books.csv").write_text(
        'book_id,authors,original_publication_year,title\n1,"A, B",2008.0,Hunger\n2,C,-750.0,Odyssey\n'
    )
    dataset = prepared(
        tmp_path / "goodbooks_ratings.csv", "user_id,book_id,rating\n1,1,5\n1,1,5\n2,2,3\n3,3,4\n", scale="1:5"
    )
    assert dataset.manifest["ratings"] == 3 and dataset.catalog["title"].tolist() == ["Hunger", "Odyssey", "Book 3"]
    assert dataset.catalog["director"].tolist()[:2] == ["A, B", "C"] and dataset.catalog["year"].isna().tolist() == [
        False,
        True,
        True,
    ]
    notes = " ".join(dataset.manifest["notes"])
    assert (
        "found beside the ratings" in notes
        and "1 copy of whole lines left out" in notes
        and "taken for books" in notes
        and str(tmp_path) not in notes
    )


LOG = (
    "event_time,visitor,item,event\n2020-01-01T10:00:00Z,u1,a,view\n2020-01-01T11:00:00Z,u1,a,buy\n"
    "2020-01-02T11:00:00Z,u1,a,view\n2020-01-02T12:00:00+02:00,u2,b,view\n"
)


def test_a_log_of_events(home: Path, tmp_path: Path) -> None:
    dataset = prepared(tmp_path / "log.csv", LOG)
    assert (
        dataset.manifest["ratings"] == 4
        and dataset.manifest["repeats"] == "allowed"
        and raw(dataset, "time")[3] == 1577959200
    )
    assert dataset.catalog["n_ratings"].tolist() == [3, 1] and dataset.catalog["n_users"].tolist() == [1, 1]
    notes = " ".join(dataset.manifest["notes"])
    assert "view 3, buy 1" in notes and "2 events of a user and an item met before" in notes
    bought = prepared(tmp_path / "log.csv", keep="buy")
    assert raw(bought, "item") == ["a"] and bought.manifest["repeats"] == "refused"
    latest = prepared(tmp_path / "log.csv", repeats="latest")
    assert sorted(raw(latest, "time")) == [1577959200, 1577962800]
    with pytest.raises(MMRecError, match="no event of type 'like'; column 'event' has view 3, buy 1"):
        prepared(tmp_path / "log.csv", keep="like")


def test_watched_by_counts_users(home: Path, tmp_path: Path) -> None:
    from pages.parts.poster_grid import film_card

    dataset = prepared(tmp_path / "log.csv", LOG)
    assert film_card(dataset, 0)["note"] == "watched by 1"


def test_semicolons_decimal_commas_and_latin_1(home: Path, tmp_path: Path) -> None:
    body = (
        "Benutzer;Film;Bewertung;Datum\nMüller;Fünf, Die;3,5;24.10.2015 19:27\nMüller;Tommy Boy;4,0;1.2.2016 9:05\n"
    ).encode("latin-1")
    dataset = prepared(tmp_path / "bewertungen.csv", body, scale="0.5:5")
    assert (
        dataset.users.raw.tolist() == ["Müller"]
        and raw(dataset, "rating") == [3.5, 4.0]
        and raw(dataset, "time") == [1445714820, 1454317500]
    )
    assert set(dataset.catalog["title"]) == {"Die Fünf", "Tommy Boy"}
    notes = " ".join(dataset.manifest["notes"])
    assert "read as Windows-1252" in notes and "semicolons" in notes and "decimal comma" in notes and "UTC" in notes


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_ends_of_lines(home: Path, tmp_path: Path, encoding: str, end: str) -> None:
    body = end.join(["userId\tmovieId\trating", "Zoë\tÀ bout\t4", "", "Zoë\t7\t3"]).encode(encoding)
    dataset = prepared(tmp_path / "r.tsv", body, scale="0.5:5")
    assert dataset.users.raw.tolist() == ["Zoë"] and set(raw(dataset, "item")) == {"À bout", "7"}


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (
            ["userId", "movieId", "rating", "timestamp"],
            {"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"},
        ),
        (
            ["USER ID", "Item-ID", "Score", "Created At"],
            {"user": "USER ID", "item": "Item-ID", "rating": "Score", "time": "Created At"},
        ),
        (
            ["reviewerID", "asin", "overall", "unixReviewTime"],
            {"user": "reviewerID", "item": "asin", "rating": "overall", "time": "unixReviewTime"},
        ),
        (
            ["visitorid", "itemid", "event", "timestamp"],
            {"user": "visitorid", "item": "itemid", "event": "event", "time": "timestamp"},
        ),
        (
            ["Utilisateur", "Film", "Note", "Horodatage"],
            {"user": "Utilisateur", "item": "Film", "rating": "Note", "time": "Horodatage"},
        ),
        (["a", "b", "c"], {}),
    ],
)
def test_roles_are_recognised_by_names(names: list[str], roles: dict[str, str]) -> None:
    assert recognise(names).roles == roles


def test_lines_are_named_as_an_editor_counts_them(home: Path, tmp_path: Path) -> None:
    """Blank lines and line feeds in quotes count."""
    body = 'userId,movieId,note,rating\n1,1,"two\nlines",4\n\n2,2,x,3\n3,3,y,good\n'
    with pytest.raises(MMRecError, match="r.csv, line 6: rating is 'good', expected a number"):
        prepared(tmp_path / "r.csv", body, scale="0.5:5")
    rows = "".join(f'{at},1,"two\nlines",4\n' for at in range(9000))
    with pytest.raises(MMRecError, match=r"r.csv, line 18002: rating is 'good'"):
        prepared(tmp_path / "r.csv", f"userId,movieId,note,rating\n{rows}x,1,y,good\n", scale="0.5:5")
    with pytest.raises(MMRecError, match=r"r.csv, line 18002: 5 fields where 4"):
        prepared(tmp_path / "r.csv", f"userId,movieId,note,rating\n{rows}x,1,y,3,4\n", scale="0.5:5")


def test_a_large_file_reads_as_a_small_one(home: Path, tmp_path: Path) -> None:
    rows = [f'{at % 50},"m,{at // 50}",{1 + at % 5},{1_500_000_000 + at}' for at in range(5000)]
    dataset = prepared(tmp_path / "r.csv", "userId,movieId,rating,timestamp\n" + "\n".join(rows), scale="1:5")
    assert (
        dataset.manifest["ratings"] == 5000
        and len(dataset.users) == 50
        and "m,99" in set(dataset.items.raw)
        and raw(dataset, "time")[4999] == 1_500_004_999
    )


RATINGS = "userId,movieId,rating,timestamp\nu1,1,4.5,100\nu1,2,1,200\nu2,3,2,300\n"


def with_films(tmp_path: Path, body: str | bytes, name: str = "films.csv", **options: Any) -> Dataset:
    (tmp_path / name).write_bytes(body if isinstance(body, bytes) else body.encode())
    return prepared(tmp_path / "r.csv", RATINGS, scale="0.5:5", items=name, **options)


def test_film_tables_with_semicolons_and_latin_1(home: Path, tmp_path: Path) -> None:
    dataset = with_films(tmp_path, "movieId;title;year\n1;Amélie;2001\n2;Señor;1991\n".encode("latin-1"))
    assert dataset.catalog["title"].tolist() == ["Amélie", "Señor", "Film 3"] and "read as Windows-1252" in " ".join(
        dataset.manifest["notes"]
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "movieId,title,year\n1,Good, Bad and Odd,1990\n2,Beta,1991\n",
            "films.csv, line 2: 4 fields where 3 are expected",
        ),
        ("movieId,title,year\n1,Good\n", "line 2: 2 fields where 3"),
        ("", "films.csv is empty"),
        ("movieId,title\n1,A\n1,B\n", "line 3: names film 1 twice"),
        ("title,plot\nA,b\n", "no column 'movieId'; it has title, plot"),
        ("movieId,title,title\n1,A,B\n", "2 columns named 'title'"),
    ],
)
def test_film_tables_that_cannot_be_read(home: Path, tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(MMRecError, match=said):
        with_films(tmp_path, body)


def test_words_that_look_like_nothing_stay_words(home: Path, tmp_path: Path) -> None:
    catalog = with_films(
        tmp_path, "movieId,title,genres,plot\n1,Null (1999),NA,None\n2,NA,Drama,x\n3,null,,y\n4,,Drama,z\n"
    ).catalog
    assert catalog["title"].tolist() == ["Null", "NA", "null", "Film 4"] and catalog["plot"].tolist() == [
        "None",
        "x",
        "y",
        "z",
    ]
    assert [list(g) for g in catalog["genres"]] == [["NA"], ["Drama"], [], ["Drama"]]


def test_lists_of_every_kind(home: Path, tmp_path: Path) -> None:
    pd.DataFrame({"movieId": [1, 2], "title": ["Alpha (1990)", "Beta"], "genres": [["Drama", "War"], []]}).to_parquet(
        tmp_path / "f.parquet"
    )
    dataset = prepared(tmp_path / "r.csv", RATINGS, scale="0.5:5", items="f.parquet")
    assert [list(g) for g in dataset.catalog["genres"]] == [["Drama", "War"], [], []] and dataset.catalog[
        "year"
    ].tolist()[0] == 1990
    films = (
        'movieId,title,genres,cast\n1,A,"[{""id"": 18, ""name"": ""Drama""}]","Ann; Bob, Jr."\n'
        "2,B,\"['War', 'Noir']\",Cid\n"
    )
    catalog = with_films(tmp_path, films).catalog
    assert [list(g) for g in catalog["genres"]][:2] == [["Drama"], ["War", "Noir"]] and [
        list(c) for c in catalog["cast"]
    ][:2] == [["Ann", "Bob, Jr."], ["Cid"]]


@pytest.mark.parametrize(
    ("year", "read"),
    [
        ("1995", 1995),
        ("1995.0", 1995),
        ("1995-10-30", 1995),
        ("30/10/1995", 1995),
        ("99999999999", None),
        ("inf", None),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("9" * 400, None),
    ],
)
def test_years_of_any_kind(home: Path, tmp_path: Path, year: str, read: int | None) -> None:
    catalog = with_films(tmp_path, f"movieId,title,year\n1,A,{year}\n2,B,1990\n").catalog
    assert (None if pd.isna(catalog["year"].iloc[0]) else catalog["year"].iloc[0]) == read and catalog["year"].iloc[
        1
    ] == 1990


def test_a_named_column_that_is_missing_is_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(MMRecError, match="films.csv has no column 'heading'"):
        with_films(tmp_path, "movieId,title\n1,A\n", title="heading")
    with pytest.raises(MMRecError, match="has no column 'who'; it has userId, movieId"):
        prepared(tmp_path / "r.csv", user="who")


def test_a_table_beside_the_ratings_that_is_of_others_is_not_used(home: Path, tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text("movieId,title\n77,Stranger\n")
    dataset = prepared(tmp_path / "ratings.csv", RATINGS, scale="0.5:5")
    assert (
        dataset.catalog["title"].tolist() == ["Film 1", "Film 2", "Film 3"]
        and "movies.csv beside the ratings was not used" in dataset.manifest["notes"][0]
    )


def test_movielens_lines_end_at_line_feeds_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "ratings.dat").write_text("1::1::5::978300760\n2::2::4::978301968\n2::3::4::978301969\n")
    (tmp_path / "ml" / "movies.dat").write_bytes(
        "1::Café Society (2001)::Drama\n2::Wait\u2028for it (1999)::Comedy\n3::What\u0085 Now (2000)::Drama\n".encode()
    )
    assert preparation.prepare("ml-latest", source=tmp_path / "ml")["films"] == 3
