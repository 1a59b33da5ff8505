"""Posters from tables of addresses: polite, checked, resumable; against a local server that answers well and badly."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmrec_core.data import enrichment, preparation
from mmrec_core.data.enrich import _founding, _web, urls
from mmrec_core.data.enrich._base import Found
from mmrec_core.errors import MMRecError
from mmrec_core.types import quiet


def jpeg(size: tuple[int, int] = (60, 90), seed: int = 0) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


class _Site(http.server.BaseHTTPRequestHandler):
    """A host of posters; the path says how it answers."""

    requests: list[str] = []
    agents: set[str] = set()
    times: list[float] = []
    busy = 0
    at_once = 0
    most_at_once = 0
    lock = threading.Lock()
    pause = 0.0

    def do_GET(self) -> None:
        cls = type(self)
        with cls.lock:
            cls.requests.append(self.path)
            cls.times.append(time.monotonic())
            cls.agents.add(self.headers["User-Agent"])
            cls.at_once += 1
            cls.most_at_once = max(cls.most_at_once, cls.at_once)
        try:
            self.answer(cls)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with cls.lock:
                cls.at_once -= 1

    def answer(self, cls: Any) -> None:
        time.sleep(cls.pause)
        kind = self.path.strip("/").split("/")[0]
        if kind == "missing":
            self.reply(404, b"")
        elif kind == "busy" and cls.busy:
            cls.busy -= 1
            self.reply(429, b"", {"Retry-After": "0"})
        elif kind == "forever-busy":
            self.reply(503, b"")
        elif kind == "huge":
            self.reply(200, b"x" * 10, {"Content-Length": str(1 << 40)}, with_length=False)
        elif kind == "endless":
            self.send_response(200)
            self.end_headers()
            for _ in range(64):
                self.wfile.write(b"\xff\xd8\xff" + b"x" * (1 << 16))
        elif kind == "page":
            self.reply(200, b"<html>not a picture</html>", {"Content-Type": "image/jpeg"})
        elif kind == "cut":
            self.reply(200, jpeg()[:-200], {"Content-Length": str(len(jpeg()))}, with_length=False)
        elif kind == "cut-silently":
            self.reply(200, jpeg()[:-2000])
        elif kind == "slow":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(200):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        elif kind == "loop":
            self.reply(302, b"", {"Location": self.path})
        elif kind == "elsewhere":
            self.reply(302, b"", {"Location": "file:///etc/hostname"})
        elif kind == "moved":
            self.reply(302, b"", {"Location": "/ok/1.jpg"})
        elif kind == "big-picture":
            self.reply(200, jpeg((1200, 1800)))
        else:
            self.reply(200, jpeg(seed=hash(self.path) % 1000))

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, with_length: bool = True) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if with_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Silent."""


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silent: clients that hang up are part of these tests."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    handler = type("Site", (_Site,), {"requests": [], "agents": set(), "times": [], "lock": threading.Lock()})
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.root = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    monkeypatch.setattr(_web, "BACKOFF_S", 0.01)
    monkeypatch.setenv("MMREC_SOURCES", "")
    yield handler
    server.shutdown()


def films(n: int = 3, **more: object) -> pd.DataFrame:
    base = {
        "item": list(range(1, n + 1)),
        "title": [f"Film {i}" for i in range(1, n + 1)],
        "year": pd.array([1995] * n, dtype="Int32"),
        "imdb_id": [f"{100 + i:07}" for i in range(n)],
        "tmdb_id": [None] * n,
        "plot": [None] * n,
        "poster": [None] * n,
    }
    return pd.DataFrame({**base, **more})


def table(folder: Path, rows: list[tuple[Any, str]], head: str = "", name: str = "t.csv") -> Path:
    file = folder / name
    file.write_text((head + "\n" if head else "") + "".join(f"{i},{url}\n" for i, url in rows))
    return file


def find(file: Path | str, items: pd.DataFrame, id_space: str = "", **config: Any) -> Found:
    chosen = {"per_second": 40.0, "seconds": 5.0, **config}
    return urls.Urls(urls.Urls.Config(table=str(file), **chosen)).find(items, id_space, quiet)


def test_good_addresses_give_posters_and_are_requested_once(home: Path, tmp_path: Path, site: Any) -> None:
    site.busy = 2
    file = table(tmp_path, [(1, f"{site.root}/ok/1.jpg"), (2, f"{site.root}/moved"), (3, f"{site.root}/busy/3.jpg")])
    found = find(file, films())
    assert set(found.values["poster"]) == {0, 1, 2} and found.notes == ["Posters from addresses: 3 of 3 films."]
    for poster in found.values["poster"].values():
        with Image.open(poster) as image:
            assert image.format == "JPEG" and image.size == (60, 90)
    count = len(site.requests)
    assert set(find(file, films()).values["poster"]) == {0, 1, 2} and len(site.requests) == count
    assert len(site.agents) == 1 and next(iter(site.agents)).startswith("MMRec/")


def test_bad_answers_are_counted_and_listed_and_leave_nothing(home: Path, tmp_path: Path, site: Any) -> None:
    kinds = {
        "missing": "missing", "huge": "too large", "endless": "too large", "page": "no image", "cut": "cut short",
        "cut-silently": "cut short", "slow": "too slow", "loop": "no web address", "elsewhere": "no web address",
        "forever-busy": "status 503",
    }  # fmt: skip
    rows = [(at, f"{site.root}/{kind}/x.jpg") for at, kind in enumerate(kinds, 1)]
    rows.append((len(rows) + 1, f"{site.root}/ok/1.jpg"))
    found = find(table(tmp_path, rows), films(len(rows)), largest=1)
    assert set(found.values["poster"]) == {len(rows) - 1}
    listed = pd.read_csv(home / "cache" / "posters" / "failures.csv")
    assert dict(zip(listed["item"], listed["reason"], strict=True)) == dict(enumerate(kinds.values(), 1))
    assert "10 posters could not be fetched (2 too large, 2 cut short, 2 no web address" in found.notes[1]
    assert "MMREC_HOME/cache/posters/failures.csv" in found.notes[1]
    stored = [f for f in (home / "cache" / "posters").rglob("*.jpg")]
    assert len(stored) == 1 and not [f for f in (home / "cache").rglob(".*")], "nothing half-written"
    before = site.requests.copy()
    find(table(tmp_path, rows), films(len(rows)), largest=1)
    again = {path.split("/")[1] for path in site.requests[len(before) :]}
    assert again == {"cut", "cut-silently", "slow", "forever-busy"}, "what may work later is requested again"


def test_the_rate_and_the_number_at_once_are_limited(home: Path, tmp_path: Path, site: Any) -> None:
    site.pause = 0.1
    rows = [(at, f"{site.root}/ok/{at}.jpg") for at in range(1, 13)]
    find(table(tmp_path, rows), films(12), per_second=20.0, at_once=3, seconds=20.0)
    assert len(site.requests) == 12 and site.most_at_once <= 3
    assert max(site.times) - min(site.times) >= 11 / 20 - 0.05


def test_retry_after_is_honoured_up_to_a_limit() -> None:
    retry = _web._Retry(total=1)
    assert retry.parse_retry_after("7") == 7 and retry.parse_retry_after("999999999") == _web.LONGEST_WAIT_S


def test_a_dead_host_is_left_alone(home: Path, tmp_path: Path, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as unused:
        port = unused.server_address[1]
    rows = [(at, f"http://127.0.0.1:{port}/{at}.jpg") for at in range(1, 41)]
    rows.append((41, f"{site.root}/ok/1.jpg"))
    found = find(table(tmp_path, rows), films(41))
    assert set(found.values["poster"]) == {40}
    counts = pd.read_csv(home / "cache" / "posters" / "failures.csv")["reason"].value_counts()
    assert counts["no connection"] < 16 and counts["not requested, because its host did not answer"] > 24


def test_large_pictures_are_stored_smaller(home: Path, tmp_path: Path, site: Any) -> None:
    found = find(table(tmp_path, [(1, f"{site.root}/big-picture/1.jpg")]), films(1), seconds=20.0)
    with Image.open(found.values["poster"][0]) as image:
        assert image.size == (480, 720)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,URL1\n3,URL3\n", {0: 1, 2: 3}),
        ("movieId,poster\n1,URL1\n3,URL3\n", {0: 1, 2: 3}),
        ("poster;id\nURL1;1\nURL2;2\n", {0: 1, 1: 2}),
        ("imdbId,url\n100,URL1\ntt0000102,URL2\n", {0: 1, 2: 2}),
        ("tt0000101,URL2\n", {1: 2}),
        ("movie_id\tdburl\twiki_url\timg_url\tname\n2\thttp://x/a\thttp://x/b\tURL2\tJumanji (1995)\n", {1: 2}),
        ("1,URL1\n1,URL2\n9,URL3\n2,\n", {0: 1}),
        ("2,URL1,x\n", {1: 1}),
    ],
)
def test_tables_of_many_forms(tmp_path: Path, text: str, expected: dict[int, int]) -> None:
    file = tmp_path / "t.csv"
    for at in (1, 2, 3):
        text = text.replace(f"URL{at}", f"https://example.org/{at}.jpg")
    file.write_text(text)
    found = urls._addresses(file, films())
    assert found == {row: f"https://example.org/{at}.jpg" for row, at in expected.items()}


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "no column of addresses"), ("http://x/1\n", "no column of ids"), ("", "empty")],
)
def test_other_tables_are_refused(home: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(MMRecError, match=message):
        find(tmp_path / "t.csv", films())
    with pytest.raises(MMRecError, match="is not a file"):
        find(tmp_path / "none.csv", films())


def test_imdbs_originals_are_requested_small() -> None:
    long = "https://images-na.ssl-images-amazon.com/images/M/MV5BMDU2Zjc@..jpg"
    assert urls._small(long) == "https://images-na.ssl-images-amazon.com/images/M/MV5BMDU2Zjc@._V1_UX480_.jpg"
    sized = "https://m.media-amazon.com/images/M/MV5Bx@@._V1_SX300.jpg"
    assert urls._small(sized) == "https://m.media-amazon.com/images/M/MV5Bx@@._V1_UX480_.jpg"
    other = "https://upload.wikimedia.org/wikipedia/en/0/03/Grumpier_old_menposter.jpg"
    assert urls._small(other) == other


def small_100k(folder: Path, n: int) -> Path:
    """A dataset of ``csv`` with n films."""
    folder.mkdir(exist_ok=True)
    (folder / "r.csv").write_text("userId,movieId,rating\n" + "".join(f"{1 + i % 3},{i},4\n" for i in range(1, n + 1)))
    return folder / "r.csv"


def test_prepare_with_a_table(home: Path, tmp_path: Path, site: Any) -> None:
    file = table(tmp_path, [(1, f"{site.root}/ok/1.jpg"), (2, f"{site.root}/missing/2.jpg")])
    summary = preparation.prepare(
        "csv", source=small_100k(tmp_path / "raw", 3), name="mine", options={"scale": "1:5"}, enrich=[f"urls:{file}"]
    )
    assert summary["posters"] == 1 and any("1 posters could not be fetched (1 missing)" in n for n in summary["notes"])
    with pytest.raises(MMRecError, match="takes no value"):
        enrichment.check_sources(["tmdb:x"])
    with pytest.raises(MMRecError, match="[Uu]nknown"):
        preparation.prepare("csv", source=tmp_path / "raw" / "r.csv", name="mine", enrich=["url"])


def test_a_killed_preparation_continues(home: Path, tmp_path: Path, site: Any) -> None:
    """Killed after some posters; the second preparation requests the rest only, and nothing is half-written."""
    site.pause = 0.15
    rows = [(at, f"{site.root}/ok/{at}.jpg") for at in range(1, 31)]
    file, source = table(tmp_path, rows), small_100k(tmp_path / "raw", 30)
    code = (
        "from pathlib import Path; from mmrec_core.data import preparation\n"
        f"preparation.prepare('csv', source=Path({str(source)!r}), name='mine', options={{'scale': '1:5'}}, "
        f"enrich=['urls:{file}'])"
    )
    env = {**os.environ, "MMREC_HOME": str(home), "MMREC_SOURCES": ""}
    worker = subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while len(list((home / "cache" / "posters").rglob("*.jpg"))) < 6 and time.monotonic() < until:
        time.sleep(0.02)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert preparation.prepared() == []
    kept = {f for f in (home / "cache" / "posters").rglob("*.jpg") if not f.name.startswith(".")}
    assert 6 <= len(kept) < 30
    for poster in kept:
        with Image.open(poster) as image:
            image.load()
    before = len(site.requests)
    summary = preparation.prepare("csv", source=source, name="mine", options={"scale": "1:5"}, enrich=[f"urls:{file}"])
    assert summary["posters"] == 30 and len(site.requests) - before == 30 - len(kept)


def test_the_founding_table_is_fetched_once_and_checked(home: Path, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f"1,{site.root}/ok/1.jpg\n2,{site.root}/ok/2.jpg\n".encode()
    answer = _Site.answer
    monkeypatch.setattr(
        site,
        "answer",
        lambda self, cls: self.reply(200, body) if self.path.endswith("movie_poster.csv") else answer(self, cls),
    )
    monkeypatch.setenv("MMREC_GITHUB_RAW", site.root)
    found = find("", films(), "ml-100k")
    assert "another checksum" in found.notes[0] and found.values == {}
    monkeypatch.setitem(_founding.SHA256, "movie_poster.csv", hashlib.sha256(body).hexdigest())
    assert set(find("", films(), "ml-100k").values["poster"]) == {0, 1}
    count = len([path for path in site.requests if path.endswith("movie_poster.csv")])
    find("", films(), "ml-100k")
    assert len([path for path in site.requests if path.endswith("movie_poster.csv")]) == count


def test_the_known_tables_of_movielens(sources: Path) -> None:
    items = films(4000)
    for folder, name, at_least in (
        ("movielens-posters-urls", "movie_poster.csv", 1_500),
        ("ml1m_mm_features", "ml1m_full_extended_mapping.tsv", 3_000),
    ):
        if not (sources / folder / name).is_file():
            pytest.skip(f"needs {folder} under MMREC_SOURCES")
        found = urls._addresses(sources / folder / name, items)
        assert len(found) >= at_least and all("jpg" in u.lower() or "." in u for u in found.values())
    for name, checksum in _founding.SHA256.items():
        assert hashlib.sha256((sources / _founding.FOLDER / name).read_bytes()).hexdigest() == checksum
