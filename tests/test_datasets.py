"""MovieLens, bring-your-own and downloads: real counts, and one clear line for whatever is wrong."""

from __future__ import annotations

import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmrec_core import storage
from mmrec_core.data import preparation
from mmrec_core.data.datasets.movielens import modern, split_title
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset


def test_ml_latest_small_matches_grouplens(ml_small: Dataset) -> None:
    manifest = ml_small.manifest
    assert (manifest["ratings"], manifest["users"], manifest["films"]) == (100_836, 610, 9_742)
    assert manifest["posters"] == 4_819 and manifest["plots"] >= 7_700
    assert manifest["coverage"]["poster"]["ratings"] == pytest.approx(0.766, abs=0.002)
    film = ml_small.catalog.set_index("item").loc[1]
    assert (film["title"], film["year"]) == ("Toy Story", 1995) and "Woody" in film["plot"]
    assert film["director"] == "John Lasseter" and "pixar" in film["tags"]


def test_ml_100k_matches_grouplens_and_brings_side_data(ml_100k: Dataset) -> None:
    assert (len(ml_100k.interactions), len(ml_100k.users), len(ml_100k.items)) == (100_000, 943, 1_682)
    assert ml_100k.official_names() == ["u1", "u2", "u3", "u4", "u5", "ua", "ub"]
    assert ml_100k.user_table is not None and set(ml_100k.user_table) >= {"age", "gender", "occupation"}
    assert ml_100k.manifest["coverage"]["plot"]["ratings"] > 0.95


def test_ml_1m_reads_the_file_without_times(ml_1m: Dataset) -> None:
    opened, manifest = ml_1m, ml_1m.manifest
    assert (manifest["ratings"], manifest["users"], manifest["films"]) == (1_000_209, 6_040, 3_883)
    assert opened.interactions.has == {"user", "item", "rating"}
    first = opened.interactions.take(np.array([0]))
    assert first.rating is not None and first.rating[0] == 5.0 and opened.items.raw[first.item[0]] == 1193  # type: ignore[index]


def test_columns_are_memory_mapped(ml_small: Dataset) -> None:
    assert isinstance(ml_small.interactions.rating, np.memmap)


@pytest.mark.parametrize(
    ("text", "title", "year"),
    [
        ("Toy Story (1995)", "Toy Story", 1995),
        ("Matrix, The (1999)", "The Matrix", 1999),
        ("Misérables, Les (1995)", "Les Misérables", 1995),
        ("Babylon 5", "Babylon 5", None),
        ("Death Note: Desu nôto (2006–2007)", "Death Note: Desu nôto", 2006),
        ("American President, The (1995) ", "The American President", 1995),
    ],
)
def test_titles_are_taken_apart(text: str, title: str, year: int | None) -> None:
    assert split_title(text) == (title, year)


def test_modern_keeps_the_last_of_the_core() -> None:
    rng = np.random.default_rng(0)
    n = 5_000
    events = pd.DataFrame(
        {
            "user": rng.integers(0, 60, n),
            "item": rng.integers(0, 400, n),
            "time": 1_500_000_000 + rng.permutation(n) * 10_000,
        }
    )
    kept = modern(events, last=1_000)
    assert kept["time"].is_monotonic_increasing and kept["time"].min() >= 1_514_764_800 and len(kept) <= 1_000
    everything = modern(events, last=10**9)
    assert everything["user"].value_counts().min() >= 10 and everything["item"].value_counts().min() >= 10


def small_movielens(folder: Path, ratings: str = "1,10,4.0,100\n2,20,3.5,200\n") -> Path:
    """A folder in the form of ml-latest, which has no fixed counts."""
    folder.mkdir(parents=True)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + ratings)
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n10,Alpha (2001),Drama|War\n20,"Beta, The (1999)",(no genres listed)\n'
    )
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n10,0000001,5\n20,0000002,\n")
    return folder


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"ml-latest/{file.name}")
    return target


def test_a_zip_reads_as_its_folder(home: Path, tmp_path: Path) -> None:
    folder = small_movielens(tmp_path / "raw")
    one = preparation.prepare("ml-latest", source=folder)
    checksum = preparation.open_dataset("ml-latest").checksum
    two = preparation.prepare("ml-latest", source=zipped(folder, tmp_path / "ml-latest.zip"))
    assert one["ratings"] == two["ratings"] == 2 and preparation.open_dataset("ml-latest").checksum == checksum
    assert preparation.open_dataset("ml-latest").catalog["title"].tolist() == ["Alpha", "The Beta"]


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [
        ("1,10,4.0,100\n2,20,,200\n", "line 3: rating is nan"),
        ("1,10,4.0,100\n2,20,7.5,200\n", "line 3: rating is 7.5, expected a number from 0.5 to 5"),
        ("1,10,4.0,100\n1,10,3.0,300\n", "line 3: user 1 rates item 10 a second time"),
        ("1,10,4.0,100\nx,20,3.5,200\n", "line 3: userId is 'x', expected a whole number"),
        ("1,10,4.0,100\n1.5,20,3.5,200\n", "line 3: userId is '1.5', expected a whole number"),
        ("", "holds no rows"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_left_behind(
    home: Path, tmp_path: Path, ratings: str, expected: str
) -> None:
    good = small_movielens(tmp_path / "good")
    preparation.prepare("ml-latest", source=good)
    before = preparation.open_dataset("ml-latest").checksum
    with pytest.raises(MMRecError, match="ratings.csv") as raised:
        preparation.prepare("ml-latest", source=small_movielens(tmp_path / "bad", ratings))
    assert expected in str(raised.value) and "\n" not in str(raised.value)
    assert preparation.open_dataset("ml-latest").checksum == before
    assert [f.name for f in (home / "datasets").iterdir()] == ["ml-latest"]


def test_a_missing_column_names_those_that_are_there(home: Path, tmp_path: Path) -> None:
    folder = small_movielens(tmp_path / "raw")
    (folder / "ratings.csv").write_text("userId,movieId,stars,timestamp\n1,10,4,100\n")
    with pytest.raises(MMRecError, match="no column 'rating'; it has userId, movieId, stars, timestamp"):
        preparation.prepare("ml-latest", source=folder)


def test_wrong_counts_are_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(MMRecError, match="GroupLens states 100,836"):
        preparation.prepare("ml-latest-small", source=small_movielens(tmp_path / "raw"))


@pytest.mark.parametrize("keep", [0.5, 0.98])
def test_a_truncated_zip_is_refused(home: Path, tmp_path: Path, keep: float) -> None:
    whole = zipped(small_movielens(tmp_path / "raw"), tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(MMRecError, match="damaged or cut short"):
        preparation.prepare("ml-latest", source=tmp_path / "cut.zip")
    assert preparation.prepared() == []


def test_a_zip_that_points_outside_is_refused(home: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../ratings.csv", "x")
    with pytest.raises(MMRecError, match="outside the archive"):
        preparation.prepare("ml-latest", source=tmp_path / "evil.zip")


def test_bring_your_own_with_other_names(home: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("who,what,stars\nann,x1,7\nbob,x2,9\nann,x2,1\n")
    (tmp_path / "f.csv").write_text("what,name,kind,about\nx2,Second (1980),Drama|Noir,A long story.\nx1,First,,\n")
    settings = {
        "scale": "1:10",
        "user": "who",
        "item": "what",
        "rating": "stars",
        "time": "",
        "items": "f.csv",
        "title": "name",
        "genres": "kind",
        "plot": "about",
    }
    preparation.prepare("csv", source=tmp_path / "r.csv", name="mine", options=settings)
    mine = preparation.open_dataset("mine")
    assert mine.items.raw.tolist() == ["x2", "x1"] and mine.users.raw.tolist() == ["ann", "bob"]
    assert mine.catalog["title"].tolist() == ["Second", "First"] and mine.catalog["year"].iloc[0] == 1980
    assert list(mine.catalog["genres"].iloc[0]) == ["Drama", "Noir"] and mine.scale == (1.0, 10.0)
    assert mine.interactions.has == {"user", "item", "rating"} and mine.manifest["relevant_from"] == pytest.approx(
        6.625
    )


def test_bring_your_own_asks_for_the_scale(home: Path, ratings_csv: Path) -> None:
    with pytest.raises(MMRecError, match="--scale LOW:HIGH"):
        preparation.prepare("csv", source=ratings_csv, name="mine")
    with pytest.raises(MMRecError, match="Rating scale is '5'"):
        preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "5"})
    with pytest.raises(MMRecError, match="built-in dataset"):
        preparation.prepare("csv", source=ratings_csv, name="demo", options={"scale": "0.5:5"})


def test_bring_your_own_parquet_and_allowed_repeats(home: Path, tmp_path: Path) -> None:
    table = pd.DataFrame({"userId": [1, 1, 2], "movieId": [5, 5, 6], "rating": [1.0, 2.0, 3.0], "timestamp": [3, 2, 1]})
    table.to_parquet(tmp_path / "r.parquet")
    with pytest.raises(MMRecError, match="repeats=allowed"):
        preparation.prepare("csv", source=tmp_path / "r.parquet", name="mine", options={"scale": "1:5"})
    assert (
        preparation.prepare(
            "csv", source=tmp_path / "r.parquet", name="mine", options={"scale": "1:5", "repeats": "allowed"}
        )["ratings"]
        == 3
    )


class _Site(http.server.BaseHTTPRequestHandler):
    """GroupLens's site in small: the zip, its md5, ranges, and a connection that breaks once."""

    body = b""
    digest = ""
    break_at = 0
    ranges: list[str] = []

    def do_GET(self) -> None:
        if self.path.endswith(".md5"):
            data = f"{self.digest}  ml-latest.zip\n".encode()
            self.send_response(200 if self.digest else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        start = 0
        if ranged := self.headers.get("Range"):
            self.ranges.append(ranged)
            start = int(ranged.removeprefix("bytes=").rstrip("-"))
        data = self.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        cls = type(self)
        if cls.break_at:
            data, cls.break_at = data[: cls.break_at], 0
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Silent."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Site]]:
    folder = small_movielens(tmp_path / "site")
    (folder / "padding.bin").write_bytes(np.random.default_rng(0).bytes(400_000))
    archive = zipped(folder, tmp_path / "site.zip").read_bytes()
    handler = type("Site", (_Site,), {"body": archive, "digest": hashlib.md5(archive).hexdigest(), "ranges": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MMREC_GROUPLENS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MMREC_SOURCES", "")
    yield handler
    server.shutdown()


def test_a_download_is_checked_and_kept(home: Path, site: type[_Site]) -> None:
    assert preparation.prepare("ml-latest")["ratings"] == 2
    assert (home / "downloads" / "ml-latest.zip").read_bytes() == site.body


def test_a_broken_download_goes_on_where_it_stopped(home: Path, site: type[_Site]) -> None:
    site.break_at = 200_000
    with pytest.raises(MMRecError, match="continues where it stopped"):
        preparation.prepare("ml-latest")
    have = (home / "downloads" / "ml-latest.zip.part").stat().st_size
    assert 100_000 < have <= 200_000
    assert preparation.prepare("ml-latest")["ratings"] == 2
    assert site.ranges == [f"bytes={have}-"]


def test_a_wrong_checksum_is_refused(home: Path, site: type[_Site]) -> None:
    site.digest = "0" * 32
    with pytest.raises(MMRecError, match="arrived damaged"):
        preparation.prepare("ml-latest")
    assert preparation.prepared() == []


def test_no_network_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_GROUPLENS", "http://127.0.0.1:9")
    monkeypatch.setenv("MMREC_SOURCES", "")
    with pytest.raises(MMRecError, match="MMREC_SOURCES"):
        preparation.prepare("ml-25m")


def test_a_newer_home_is_refused_and_an_unwritable_one_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    storage.open_home()
    storage.write_json(home / "format.json", {"format": 99})
    with pytest.raises(MMRecError, match="newer MMRec"):
        preparation.prepare("demo")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("MMREC_HOME", str(blocked / "home"))
    with pytest.raises(MMRecError, match="Set MMREC_HOME"):
        storage.open_home()


def test_a_full_disk_leaves_what_was_there(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preparation.prepare("ml-latest", source=small_movielens(tmp_path / "raw"))
    before = preparation.open_dataset("ml-latest").checksum

    def full(*words: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(MMRecError, match="is full"):
        preparation.prepare("ml-latest", source=tmp_path / "raw")
    monkeypatch.undo()
    monkeypatch.setenv("MMREC_HOME", str(home))
    assert preparation.open_dataset("ml-latest").checksum == before
    assert [f.name for f in (home / "datasets").iterdir()] == ["ml-latest"]


def test_a_corrupt_poster_counts_as_missing_and_is_noted(home: Path, ratings_csv: Path, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = io.BytesIO()
    Image.effect_noise((60, 90), 80).convert("RGB").save(picture, "PNG")
    (folder / "1.png").write_bytes(picture.getvalue())
    (folder / "2.png").write_bytes(picture.getvalue()[: len(picture.getvalue()) // 2])
    (folder / "3.jpg").write_bytes(b"this is no picture")
    summary = preparation.prepare(
        "csv", source=ratings_csv, name="mine", options={"scale": "0.5:5", "posters": str(folder)}
    )
    assert summary["posters"] == 1 and "2 poster files could not be read" in summary["notes"][0]


def test_ids_that_are_numbers_in_one_file_and_text_in_the_other(home: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("userId;movieId;rating;timestamp\n1;10;4;1\n1;20;4;2\n2;30;5;3\n")
    (tmp_path / "f.csv").write_text("movieId,title\n10,Ten\n20,Twenty\nx1,Letter\n")
    summary = preparation.prepare(
        "csv", source=tmp_path / "r.csv", name="mine", options={"scale": "0.5:5", "items": "f.csv"}
    )
    catalog = preparation.open_dataset("mine").catalog
    assert summary["films"] == 4 and catalog["item"].is_unique
    assert catalog.set_index("item").loc["30", "title"] == "Film 30"


@pytest.mark.parametrize("options", [{"user": "movieId"}, {"user": ""}, {"scale": "0:inf"}])
def test_columns_and_scales_that_make_no_sense(home: Path, ratings_csv: Path, options: dict[str, str]) -> None:
    with pytest.raises(MMRecError):
        preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5", **options})


def test_what_a_killed_preparation_left_is_cleared_and_the_old_one_comes_back(home: Path, tmp_path: Path) -> None:
    folder = small_movielens(tmp_path / "raw")
    preparation.prepare("ml-latest", source=folder)
    place = home / "datasets" / "ml-latest"
    place.rename(place.with_name(".ml-latest.deadbeef.old"))
    place.with_name(".ml-latest.beefbeef").mkdir()
    with pytest.raises(MMRecError):
        preparation.prepare("ml-latest", source=tmp_path / "nothing here")
    assert preparation.prepared() == ["ml-latest"] and [f.name for f in place.parent.iterdir()] == ["ml-latest"]


def test_a_stray_file_among_the_sources_stops_nobody(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_movielens(tmp_path / "raw")
    for name, body in (("a/links.csv", ""), ("b/links.csv", "movieId,imdb\n1,2\n"), ("movie_text/x.zip", "no zip")):
        (tmp_path / "stray" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stray" / name).write_text(body)
    monkeypatch.setenv("MMREC_SOURCES", str(tmp_path / "stray"))
    assert preparation.prepare("ml-latest", source=folder)["ratings"] == 2
