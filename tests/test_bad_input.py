"""Bad input: each case gives one clear line and exit code 2 on the command line, a message in the app, leaves
nothing half-written, and what was prepared before still works."""

from __future__ import annotations

import io
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec_core import runs
from mmrec_core.cli import main as command_line
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from pages.parts.poster_grid import rated, star_steps
from tests.test_datasets import small_movielens, zipped
from tests.test_pages import app, text

HEADER = "userId,movieId,rating,timestamp\n"


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """The command line in this process: exit status, output, error output."""
    monkeypatch.setattr(sys, "argv", ["mmrec_core", *words])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one error line of a refused call."""
    status, out, err = call(monkeypatch, capsys, *words)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == 2 and out == "" and len(lines) == 1 and "Traceback" not in err, err
    return lines[0]


def csv(body: str) -> Callable[[Path], dict[str, object]]:
    """A bring-your-own preparation of a file with this body."""

    def make(folder: Path) -> dict[str, object]:
        file = folder / "ratings.csv"
        file.write_text(body)
        return {"reader": "csv", "dataset": "mine", "source": str(file), "options": {"scale": "0.5:5"}}

    return make


def cut_zip(folder: Path) -> dict[str, object]:
    """A MovieLens zip that ends too early."""
    whole = zipped(small_movielens(folder / "raw"), folder / "whole.zip").read_bytes()
    (folder / "cut.zip").write_bytes(whole[:300])
    return {"reader": "ml-latest", "dataset": "ml-latest", "source": str(folder / "cut.zip"), "options": {}}


CASES: dict[str, tuple[Callable[[Path], dict[str, object]], str]] = {
    "missing column": (
        csv("userId,thing,rating,timestamp\n1,2,3,4\n"),
        "no column is recognised as the item column; it has userId, thing",
    ),
    "NaN rating": (csv(HEADER + "1,2,3,4\n1,3,nan,4\n"), "line 3: rating is nan, expected a value on every line"),
    "no rating": (csv(HEADER + "1,2,3,4\n1,3,,4\n"), "line 3: rating is nan, expected a value on every line"),
    "rating that is a word": (csv(HEADER + "1,2,3,4\n1,3,good,4\n"), "line 3: rating is 'good', expected a number"),
    "rating off the scale": (
        csv(HEADER + "1,2,3,4\n1,3,11,4\n"),
        "line 3: rating is 11, expected a number from 0.5 to 5",
    ),
    "missing user": (csv(HEADER + "1,2,3,4\n,3,3,4\n"), "line 3: user is nan, expected a value"),
    "refused repeat": (csv(HEADER + "1,2,3,4\n1,2,4,5\n"), "line 3: user 1 rates item 2 a second time"),
    "empty file": (csv(""), "is empty"),
    "only a header": (csv(HEADER), "holds no rows"),
    "truncated zip": (cut_zip, "damaged or cut short"),
    "config out of range": (
        lambda _: {"reader": "demo", "dataset": "demo", "options": {"films": "7"}},
        "Setting 'films' of 'demo' is '7': input should be greater than or equal to 50",
    ),
    "unknown setting": (
        lambda _: {"reader": "demo", "dataset": "demo", "options": {"movies": "70"}},
        "'demo' has no setting 'movies'. It has: films, scale, world_seed",
    ),
    "a name that cannot be a folder": (
        lambda _: {"reader": "demo", "dataset": "../demo", "options": {}},
        "cannot be a dataset",
    ),
}


@pytest.fixture
def good(home: Path, tmp_path: Path) -> str:
    """Something prepared before, which must survive."""
    folder = small_movielens(tmp_path / "good")
    preparation.prepare("ml-latest", source=folder)
    return preparation.open_dataset("ml-latest").checksum


def untouched(home: Path, checksum: str) -> None:
    assert [f.name for f in (home / "datasets").iterdir()] == ["ml-latest"]
    assert preparation.open_dataset("ml-latest").checksum == checksum


@pytest.mark.parametrize("name", list(CASES))
def test_on_the_command_line(
    home: Path,
    good: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    make, expected = CASES[name]
    params = make(tmp_path)
    words = ["prepare", str(params["reader"]), "--name", str(params["dataset"])]
    words += ["--from", str(params["source"])] if params.get("source") else []
    for key, value in dict(params["options"]).items():  # type: ignore[call-overload]
        words += ["--set", f"{key}={value}"]
    assert expected in refused(monkeypatch, capsys, *words)
    untouched(home, good)


@pytest.mark.parametrize("name", list(CASES))
def test_in_the_app(home: Path, good: str, tmp_path: Path, name: str) -> None:
    make, expected = CASES[name]
    params = make(tmp_path)
    if ".." in str(params["dataset"]):  # refused before anything starts; the page tells it at once
        with pytest.raises(MMRecError, match=expected):
            runs.create("prepare", params)
        assert runs.all_runs() == []
        return
    run = runs.create("prepare", params)
    with pytest.raises(MMRecError):
        worker.work(run.id, foreground=True)
    shown = app()
    assert not shown.exception and expected in text(shown)
    assert any(b.label == "Start again" for b in shown.button) and "ml-latest" in text(shown)
    untouched(home, good)


def test_a_corrupt_image(home: Path, good: str, ratings_csv: Path, tmp_path: Path) -> None:
    """Not an error: the film counts as without a poster, and both places say so."""
    out = io.BytesIO()
    Image.effect_noise((40, 60), 90).save(out, "PNG")
    (tmp_path / "posters").mkdir()
    (tmp_path / "posters" / "4.png").write_bytes(out.getvalue()[:200])
    options = {"scale": "0.5:5", "posters": str(tmp_path / "posters")}
    manifest = preparation.prepare("csv", source=ratings_csv, name="mine", options=options)
    assert manifest["posters"] == 0 and "4.png" in manifest["notes"][0]
    shown = app(dataset="mine")
    assert not shown.exception and "could not be read" in text(shown)


def test_a_port_in_use(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} is in use" in refused(monkeypatch, capsys, "serve", "--port", str(port), "--headless")


def test_a_full_disk(
    home: Path, good: str, ratings_csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*words: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", full)
        line = refused(
            patched, capsys, "prepare", "csv", "--from", str(ratings_csv), "--name", "mine", "--scale", "0.5:5"
        )
    assert "is full" in line and "MMREC_HOME" in line
    untouched(home, good)


def test_a_home_that_is_read_only(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def closed(*words: object, **more: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", closed)
    assert "Set MMREC_HOME" in refused(monkeypatch, capsys, "prepare", "demo")
    shown = app()
    assert not shown.exception and "Set MMREC_HOME" in text(shown)


def test_an_unknown_film(
    home: Path, good: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = worker.work(
        runs.create("train", runs.training_params("ml-latest", "popularity", split="random-global:50-0-50")).id,
        foreground=True,
    )
    assert "Unknown film id '777'" in refused(monkeypatch, capsys, "recommend", run.id, "--ratings", "777:4")
    shown = app("browse")
    shown.query_params["film"] = "777"
    shown.run()
    assert "has no film with id 777" in text(shown)


@pytest.mark.parametrize(
    "said",
    [
        5,
        "all",
        [5],
        [{"id": "1", "stars": 4.0}],
        [{"id": 1}],
        [{"id": True, "stars": 4.0}],
        [{"id": -1, "stars": 4.0}],
        [{"id": 10, "stars": 4.0}],
        [{"id": 10**400, "stars": 4.0}],
        [{"id": 1, "stars": float("nan")}],
        [{"id": 1, "stars": 4.3}],
        [{"id": 1, "stars": 1e308}],
        [{"id": 1, "stars": 4.0}] * 21,
    ],
)
def test_what_a_browser_sends_as_ratings_is_checked(said: object) -> None:
    with pytest.raises(MMRecError, match="no rating"):
        rated({"rate": said}, 10, (0.5, 5.0))


def test_what_a_grid_sends_as_ratings_is_read() -> None:
    """Every step of a scale, and cleared stars; nothing where nothing was said."""
    for scale in ((0.5, 5.0), (1.0, 5.0), (-10.0, 10.0), (0.0, 1.0)):
        steps = star_steps(*scale)
        assert rated({"rate": [{"id": 3, "stars": s} for s in steps]}, 10, scale) == [(3, s) for s in steps]
    assert rated({"rate": [{"id": 0, "stars": None}]}, 10, (1.0, 5.0)) == [(0, None)]
    assert rated(None, 10, (1.0, 5.0)) == rated({}, 10, (1.0, 5.0)) == []
