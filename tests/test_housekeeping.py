"""A model answers only about the data it learned from; what killed processes leave; deleting and clearing away."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmrec_core import runs, settings, spaces, storage
from mmrec_core.cli import main as command_line
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.maintenance import cleanup
from mmrec_core.serving import recommender
from mmrec_core.types import History


def ratings(file: Path, films: list[str]) -> Path:
    """12 users who rated eight of these films each, in an order of their own."""
    rng = np.random.default_rng(0)
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(12):
        lines += [
            f"u{user:02d},{films[at]},{rng.integers(1, 6)},{1000 * user + place}"
            for place, at in enumerate(rng.permutation(len(films))[:8])
        ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["mmrec_core", *words])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return int(ended.value.code or 0)


FILMS = [f"m{n:02d}" for n in range(1, 11)]


@pytest.fixture
def trained(home: Path, tmp_path: Path) -> runs.Run:
    """A model of films m01 … m10."""
    preparation.prepare("csv", source=ratings(tmp_path / "v1.csv", FILMS), name="mine", options={"scale": "1:5"})
    return worker.work(
        runs.create("train", runs.training_params("mine", "bpr", split="leave-one-out", options={"max_epochs": 1})).id,
        foreground=True,
    )


OTHERS = {
    "one film is called otherwise": ["a_new" if f == "m05" else f for f in FILMS],
    "fewer films": FILMS[:8],
    "more films": [*FILMS, "zz1"],
}


@pytest.mark.parametrize("films", OTHERS.values(), ids=OTHERS.keys())
def test_a_model_is_not_asked_about_other_films(
    trained: runs.Run,
    tmp_path: Path,
    films: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It answered with each film's neighbour's score, or with an IndexError."""
    assert command(monkeypatch, "recommend", trained.id, "--user", "u01", "--json") == 0
    first = json.loads(capsys.readouterr().out)["recommendations"]
    assert first
    preparation.prepare("csv", source=ratings(tmp_path / "v2.csv", films), name="mine", options={"scale": "1:5"})
    dataset = preparation.open_dataset("mine")
    history = History(np.array([0, 3]), np.array([5, 4], np.float32))
    asks: dict[str, Callable[[], object]] = {
        "recommend": lambda: recommender.recommend(trained, history),
        "known": lambda: recommender.recommend_known(trained, dataset, 0),
        "scores": lambda: recommender.scores(trained, history),
        "reasons": lambda: recommender.reasons(trained, history, [1]),
        "map": lambda: spaces.space(dataset, f"run:{trained.id}", "text"),
        "what-ifs and pages": lambda: recommender.load_run_model(trained.folder),
    }
    for name, ask in asks.items():
        with pytest.raises(MMRecError, match="prepared anew"):
            ask()
            pytest.fail(name)
    for words in (["--user", "u01"], ["--ratings", f"{films[0]}:5"]):
        assert command(monkeypatch, "recommend", trained.id, *words, "--json") == 2
        assert "prepared anew" in capsys.readouterr().err
    preparation.prepare("csv", source=tmp_path / "v1.csv", name="mine", options={"scale": "1:5"})
    assert command(monkeypatch, "recommend", trained.id, "--user", "u01", "--json") == 0
    assert json.loads(capsys.readouterr().out)["recommendations"] == first, "the same data again: the same answer"


def test_sweeping_leaves_names_that_only_begin_alike(tmp_path: Path) -> None:
    for name in (
        ".ratings.v2.0123abcd",
        ".ratings.v2.0123abcd.old",
        ".ratings.0123abcd",
        ".ratings.0123abcd.old",
        ".ratings.begun",
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    storage.sweep(tmp_path / "ratings")
    assert (tmp_path / "ratings" / "x").read_text() == ".ratings.0123abcd.old"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".ratings.begun",
        ".ratings.v2.0123abcd",
        ".ratings.v2.0123abcd.old",
        "ratings",
    ]


def killed_between(folder: Path) -> None:
    """What a process leaves that is killed between the two renames of ``replacing``."""
    folder.rename(folder.with_name(f".{folder.name}.0123abcd.old"))
    folder.with_name(f".{folder.name}.89abcdef").mkdir()


def test_what_was_moved_aside_comes_back_for_every_user(
    trained: runs.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mmrec_core import features
    from mmrec_core.data import splits
    from mmrec_core.models._base import load_model

    dataset = preparation.open_dataset("mine")
    rng = np.random.default_rng(0)
    vectors = tmp_path / "vectors"
    vectors.mkdir()
    np.save(vectors / "a_text_x.npy", rng.normal(size=(10, 4)).astype(np.float32))
    np.save(vectors / "a_text_x_ids.npy", np.array(FILMS))
    features.import_folder(dataset, vectors, "theirs")
    spaces.project(dataset, "theirs", "text")
    splits.export_split(dataset, splits.make_split(dataset, "leave-one-out"), tmp_path / "split")
    readers: dict[Path, Callable[[], object]] = {
        dataset.folder: preparation.prepared,
        features.folder_of(dataset, "theirs"): lambda: features.available(dataset)["theirs"],
        spaces.folder_of(dataset, "theirs", "text"): lambda: spaces.stored(dataset, "theirs", "text"),
        trained.folder / "model": lambda: load_model(trained.folder / "model"),
    }
    for folder, read in readers.items():
        killed_between(folder)
        with (
            pytest.raises((MMRecError, KeyError))
            if folder.name in {"theirs", "model"}
            else pytest.MonkeyPatch.context()
        ):
            read()
        assert not folder.exists(), "whoever moved it just now may still be at work"
        with monkeypatch.context() as patch:
            patch.setattr(storage, "SETTLED_S", 0.0)
            assert read()
        assert folder.exists()
    killed_between(tmp_path / "split")
    monkeypatch.setattr(storage, "SETTLED_S", 0.0)
    splits.export_split(dataset, splits.make_split(dataset, "leave-one-out"), tmp_path / "split")
    assert (tmp_path / "split" / "split.json").exists()


def test_a_run_with_a_long_name_gets_its_map(home: Path, tmp_path: Path) -> None:
    name = "a-dataset-whose-name-is-as-long-as-names-of-datasets-may-be-here"
    assert len(name) == 64
    preparation.prepare("csv", source=ratings(tmp_path / "v1.csv", FILMS), name=name, options={"scale": "1:5"})
    run = worker.work(
        runs.create("train", runs.training_params(name, "bpr", options={"max_epochs": 1})).id, foreground=True
    )
    assert len(run.id) > 64
    dataset = preparation.open_dataset(name)
    assert spaces.project(dataset, f"run:{run.id}", "text")["points"] == 10
    assert spaces.stored(dataset, f"run:{run.id}", "text") is not None
    with pytest.raises(MMRecError, match="left no model"):
        spaces.space(dataset, "run:../runs/" + run.id, "text")


def test_deleting_names_what_goes_first(
    trained: runs.Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = worker.work(
        runs.create("evaluate", runs.evaluation_params(trained.id, "sampled:2", "frozen")).id, foreground=True
    )
    second = runs.create("train", runs.training_params("mine", "bpr", from_run=trained.id))
    with pytest.raises(MMRecError, match="in use by 1 queued"):
        cleanup.plan_dataset("mine")
    runs.update(second, status="stopped")
    plan = cleanup.plan_run(trained.id)
    assert f"evaluation {evaluation.id}" in plan.deleted and any(second.id in line for line in plan.affected)
    assert command(monkeypatch, "delete", "run", trained.id) == 0
    assert "Nothing was deleted" in capsys.readouterr().out and trained.folder.exists()
    assert command(monkeypatch, "delete", "run", trained.id, "--yes", "--json") == 0
    assert (
        json.loads(capsys.readouterr().out)["deleted"]
        and not trained.folder.exists()
        and not evaluation.folder.exists()
        and second.folder.exists()
    )
    (runs.runs_folder() / second.id / "run.json").write_text("[]")
    cleanup.delete(cleanup.plan_run(second.id))
    assert runs.damaged_runs() == {} and runs.all_runs() == []
    plan = cleanup.plan_dataset("mine")
    cleanup.delete(plan)
    assert preparation.prepared() == [] and not list((settings.home() / "datasets").iterdir())
    for wrong in ("..", "mine", ".hidden", "../runs"):
        with pytest.raises(MMRecError, match="Unknown dataset"):
            cleanup.plan_dataset(wrong)


def test_only_what_nothing_refers_to_is_cleared(
    trained: runs.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, static = settings.home(), settings.static_dir()
    old = time.time() - 3 * 86_400
    uploads = {
        name: home / "uploads" / name / "ratings.csv" for name in ("upload-done", "upload-waiting", "upload-new")
    }
    for file in uploads.values():
        storage.write_bytes(file, b"x" * 10)
    run = runs.create("prepare", {"reader": "csv", "dataset": "theirs", "source": str(uploads["upload-waiting"])})
    runs.update(run, status="failed")
    (home / "cache" / "schemas").mkdir(parents=True, exist_ok=True)
    (home / "cache" / "schemas" / "0000.json").write_text("{}")
    storage.write_bytes(home / "datasets" / ".mine.0123abcd" / "x", b"1")
    for at in range(4):
        storage.write_bytes(static / "maps" / f"points-{at}.bin", b"x" * 400_000)
        os.utime(static / "maps" / f"points-{at}.bin", (old + at, old + at))
    monkeypatch.setattr(cleanup, "_old", lambda place, days=1.0: "new" not in str(place))
    found = cleanup.waste(budget_mb=1.0)
    listed = {kind: sorted(p.name for p in places) for kind, places in found.places.items()}
    assert listed == {
        "left by killed processes": [".mine.0123abcd"],
        "uploads": ["upload-done"],
        "schemas of older code": ["0000.json"],
        "maps for the browser": ["points-0.bin", "points-1.bin"],
    }
    cleanup.clean(found)
    assert cleanup.waste(budget_mb=1.0).places == {} and preparation.prepared() == ["mine"] and trained.has_model
    assert uploads["upload-waiting"].exists() and uploads["upload-new"].exists()


def test_thumbnails_that_no_catalog_names_are_cleared_where_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "_old", lambda place, days=1.0: True)
    storage.open_home()
    storage.write_bytes(home / "static" / "thumbs" / "ab" / "ab1.jpg", b"x")
    assert cleanup.waste().places == {}
    assert list(cleanup.waste(thumbnails=True).places) == ["thumbnails"]
