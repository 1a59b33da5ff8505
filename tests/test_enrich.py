"""Posters and plots from other sources: joined by the right ids, polite to TMDb, resumable."""

from __future__ import annotations

import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmrec_core import registry
from mmrec_core.data import enrichment
from mmrec_core.data.enrich._base import digits, plain_title
from mmrec_core.errors import MMRecError
from mmrec_core.types import quiet


def films(**more: object) -> pd.DataFrame:
    base = {
        "item": [1, 2],
        "title": ["Toy Story", "The Lost City"],
        "year": pd.array([1995, 2005], dtype="Int32"),
        "imdb_id": ["0114709", None],
        "tmdb_id": ["862", "77"],
        "plot": [None, None],
        "poster": [None, None],
    }
    return pd.DataFrame({**base, **more})


def find(name: str, items: pd.DataFrame, id_space: str = "movielens", **config: object) -> object:
    cls = registry.load("enrich", name)
    return cls(cls.Config(**config)).find(items, id_space, quiet)


@pytest.mark.parametrize(
    ("value", "number"),
    [("tt0114709", "114709"), ("0114709", "114709"), (114709.0, "114709"), ("x7", None), (None, None)],
)
def test_ids_are_compared_as_numbers(value: object, number: str | None) -> None:
    assert digits(value) == number


def test_titles_are_compared_without_their_dress() -> None:
    assert plain_title("The Lost City! (a.k.a. X)") == plain_title("lost city")


def test_a_table_joins_by_id_then_by_title_and_year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "movie_text"
    folder.mkdir()
    pd.DataFrame(
        {
            "id": [862, 5, 9],
            "title": ["x", "Lost City, The", "The Lost City"],
            "release_date": ["1995-10-30", "1999-01-01", "2005-03-01"],
            "overview": ["Toys.", "No.", "Jungle."],
        }
    ).to_csv(folder / "a.csv", index=False)
    (folder / "b.csv.gz").write_bytes(b"not gzip")
    pd.DataFrame({"imdb_id": [None], "overview": ["Nobody's."]}).to_csv(folder / "blank.csv", index=False)
    monkeypatch.setenv("MMREC_SOURCES", str(tmp_path))
    found = find("table", films())
    assert found.values["plot"] == {0: "Toys.", 1: "Jungle."}  # type: ignore[attr-defined]
    assert "b.csv.gz could not be read" in found.notes[0]  # type: ignore[attr-defined]


def test_a_plain_number_is_a_movielens_id_only_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "posters"
    folder.mkdir()
    for name in ("2.jpg", "tt0114709.jpg"):
        Image.new("RGB", (4, 6)).save(folder / name)
    monkeypatch.setenv("MMREC_SOURCES", str(tmp_path))
    assert set(find("folder", films()).values["poster"]) == {0, 1}  # type: ignore[attr-defined]
    assert set(find("folder", films(), "ml-100k").values["poster"]) == {0}  # type: ignore[attr-defined]


class _Tmdb(http.server.BaseHTTPRequestHandler):
    requests: list[str] = []
    refuse = 0

    def do_GET(self) -> None:
        cls = type(self)
        cls.requests.append(self.path)
        if cls.refuse:
            cls.refuse -= 1
            self.send_response(429)
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        if "api_key=bad" in self.path:
            self.send_response(401)
            self.end_headers()
            return
        if self.path.startswith("/img"):
            out = io.BytesIO()
            Image.new("RGB", (20, 30), "red").save(out, "JPEG")
            data = out.getvalue()
        elif "/movie/77" in self.path:
            self.send_response(404)
            self.end_headers()
            return
        else:
            crew = {"crew": [{"job": "Director", "name": "J. L."}], "cast": [{"name": "T. H."}]}
            data = json.dumps({"overview": "Toys live.", "poster_path": "/p.jpg", "credits": crew}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Silent."""


@pytest.fixture
def tmdb(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Tmdb]]:
    handler = type("Tmdb", (_Tmdb,), {"requests": [], "refuse": 0})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("MMREC_TMDB", site)
    monkeypatch.setenv("MMREC_TMDB_IMAGES", f"{site}/img")
    monkeypatch.setenv("TMDB_API_KEY", "secret")
    yield handler
    server.shutdown()


def test_tmdb_gives_plot_people_and_poster_and_requests_each_once(home: Path, tmdb: type[_Tmdb]) -> None:
    tmdb.refuse = 1
    found = find("tmdb", films(), per_second=40)
    assert found.values["plot"] == {0: "Toys live."} and found.values["director"] == {0: "J. L."}  # type: ignore[attr-defined]
    assert found.values["cast"] == {0: ["T. H."]} and found.values["poster"][0].exists()  # type: ignore[attr-defined]
    count = len(tmdb.requests)
    find("tmdb", films(), per_second=40)
    assert len(tmdb.requests) == count, "a second run is answered from the cache, unknown films included"


@pytest.mark.parametrize("answer", [[], "x", 3, {"overview": 3}, {"credits": {"cast": [{}]}}, None])
def test_a_bad_answer_of_tmdb_is_neither_kept_nor_the_end(
    home: Path, tmdb: type[_Tmdb], monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    from mmrec_core.data.enrich.tmdb import Tmdb

    ask = Tmdb._request
    monkeypatch.setattr(
        Tmdb,
        "_request",
        lambda self, url, params, keyed=True: json.dumps(answer).encode(),
    )
    found = find("tmdb", films(), per_second=40)
    assert found.values == {} and "could not be used" in found.notes[0]  # type: ignore[attr-defined]
    monkeypatch.setattr(Tmdb, "_request", ask)
    assert find("tmdb", films(), per_second=40).values["plot"], "it is requested again"  # type: ignore[attr-defined]


def test_the_key_reaches_no_log(
    home: Path, tmdb: type[_Tmdb], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A v3 key is a query parameter, which is all that TMDb takes it as; a read access token travels in a header."""
    caplog.set_level("DEBUG")
    find("tmdb", films(), per_second=40)
    assert "movie" in caplog.text and "secret" not in caplog.text
    assert any("api_key=secret" in path for path in tmdb.requests)
    assert not any("secret" in path for path in tmdb.requests if "/img" in path), "another host serves the pictures"
    tmdb.requests.clear()
    monkeypatch.setenv("TMDB_API_KEY", "t0ken" * 20)
    monkeypatch.setenv("MMREC_HOME", str(home) + "2")
    find("tmdb", films(), per_second=40)
    assert tmdb.requests and not any("t0ken" in path for path in tmdb.requests)


def test_tmdb_without_or_with_a_bad_key(home: Path, tmdb: type[_Tmdb], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "bad")
    with pytest.raises(MMRecError, match="refused the key") as raised:
        find("tmdb", films(), per_second=40)
    assert "bad" not in str(raised.value)
    monkeypatch.delenv("TMDB_API_KEY")
    with pytest.raises(MMRecError, match="TMDB_API_KEY"):
        find("tmdb", films())


def test_a_generated_film_gets_nothing_of_a_real_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "movie_text"
    folder.mkdir()
    pd.DataFrame({"title": ["The Lost City"], "release_date": ["2005-03-01"], "overview": ["Jungle."]}).to_csv(
        folder / "a.csv", index=False
    )
    monkeypatch.setenv("MMREC_SOURCES", str(tmp_path))
    real, generated = films(), films()
    enrichment.fill(real, (), "", quiet, offered=True)
    enrichment.fill(generated, (), "", quiet, offered=False)
    assert real["plot"].tolist()[1] == "Jungle." and generated.equals(films())
