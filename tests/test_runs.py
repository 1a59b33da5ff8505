"""Background work: it queues, finishes, fails in plain words, survives its starter, and is never started twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mmrec_core import runs, runtime, settings, storage
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.runs import heartbeat


@pytest.fixture
def mine(home: Path, ratings_csv: Path) -> str:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return "mine"


def until(true: Callable[[], bool], seconds: float = 120) -> None:
    end = time.time() + seconds
    while not true():
        assert time.time() < end, "waited too long"
        time.sleep(0.2)


def test_a_background_training_finishes_and_is_found_again(mine: str) -> None:
    run = runs.start("train", runs.training_params(mine, "ease"))
    assert runs.start("train", runs.training_params(mine, "ease")).id == run.id, "a double click starts nothing twice"
    until(lambda: runs.get(run.id).status not in runs.LIVE)
    done = runs.get(run.id)
    assert done.status == "finished" and done.result() is not None, done.log_tail()
    assert runs.finished(preparation.open_dataset(mine))["ease"].id == run.id
    assert any("done" in event for event in done.events())


def test_a_failure_says_why(mine: str) -> None:
    run = runs.create("train", runs.training_params(mine, "mf", options={"lr": "1e9"}))
    with pytest.raises(MMRecError):
        worker.work(run.id, foreground=True)
    failed = runs.get(run.id)
    assert failed.status == "failed" and failed.error


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_a_killed_worker_shows_as_failed_and_frees_the_queue(mine: str) -> None:
    slow = runs.start("train", runs.training_params(mine, "mf", options={"max_epochs": "10000", "patience": "0"}))
    until(lambda: runs.get(slow.id).status == "running")
    os.kill(int(runs.get(slow.id).record["pid"]), signal.SIGKILL)
    until(lambda: runs.get(slow.id).status == "failed", 10)
    assert "without a word" in str(runs.get(slow.id).error)
    after = runs.start("train", runs.training_params(mine, "popularity"))
    until(lambda: runs.get(after.id).status == "finished")


@pytest.mark.skipif(os.name != "posix", reason="stops a process group")
def test_stop_ends_a_running_and_a_queued_run(mine: str) -> None:
    slow = runs.start("train", runs.training_params(mine, "mf", options={"max_epochs": "10000", "patience": "0"}))
    waiting = runs.start("train", runs.training_params(mine, "random"))
    until(lambda: runs.get(slow.id).status == "running")
    assert runs.get(waiting.id).status == "queued"
    pid = int(runs.get(slow.id).record["pid"])
    assert runs.stop(waiting.id).status == "stopped" and runs.stop(slow.id).status == "stopped"
    until(lambda: not heartbeat.lives({**runs.get(slow.id).record, "pid": pid}, slow.folder), 20)
    assert runs.get(slow.id).status == "stopped"


def test_a_damaged_folder_is_passed_over(mine: str) -> None:
    run = runs.create("train", runs.training_params(mine, "ease"))
    info = '{"time": 1.0, "kind": "progress", "done": 1, "total": 2, "what": "dividing"}'
    (run.folder / "events.jsonl").write_text(
        f'{info}\n[]\n{{"kind": "progress", "done": "x"}}\n{{"done": 1}}\n{info[:20]}'
    )
    assert len(runs.get(run.id).events()) == 1
    storage.write_bytes(run.folder / "run.json", b"{broken")
    assert runs.all_runs() == []
    with pytest.raises(MMRecError, match="not readable"):
        runs.get(run.id)


@pytest.mark.parametrize("name", ["../datasets", "", "no-such"])
def test_unknown_runs_are_refused(home: Path, name: str) -> None:
    with pytest.raises(MMRecError, match="Unknown run"):
        runs.get(name)


def test_a_result_names_its_commit_and_says_what_no_commit_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in os.environ if n.startswith("GIT_")]:  # of a hook that runs the tests
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(settings, "ROOT", tmp_path)

    def commit() -> str | None:
        runtime.commit.cache_clear()
        return runtime.commit()

    def git(*words: str) -> str:
        asked = [
            "git",
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "tag.gpgsign=false",
            *words,
        ]
        return subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    code, docs = tmp_path / "mmrec_core" / "code.py", tmp_path / "README.md"
    code.parent.mkdir()
    code.write_text("1\n"), docs.write_text("1\n")
    try:
        assert commit() is None
        git("init", "-q"), git("add", "."), git("commit", "-q", "-m", "first"), git("tag", "-a", "v1", "-m", "one")
        head = git("rev-parse", "HEAD")
        assert commit() == head
        docs.write_text("2\n")
        assert commit() == head
        (code.parent / "model.py").write_text("1\n")
        assert commit() == f"{head}+changes"
        monkeypatch.setenv("PATH", str(tmp_path))  # a container may have no git
        assert commit() is None and runtime.environment()["commit"] is None
    finally:
        runtime.commit.cache_clear()


def test_an_ablation_does_not_take_the_place_of_the_model_that_reads_everything(mine: str) -> None:
    """Of a model's training runs the one that pages use has default settings, else differs in settings alone."""
    dataset = preparation.open_dataset(mine)
    plain = runs.training_params(mine, "ease")

    def done(**asked: object) -> str:
        run = runs.create("train", {**plain, **asked})
        storage.write_json(run.folder / "model" / "config.json", {})
        runs.update(run, status="finished", data=dataset.checksum, known="training")
        return run.id

    other = done(seed=4)
    assert runs.finished(dataset)["ease"].id == other, "there is no other"
    both = done(modality="both", encoder="mini_clip", options={"l2": 20})
    done(modality="image", encoder="mini_clip", options={"l2": 20})
    done(modality="none", options={"l2": 20})
    assert runs.finished(dataset)["ease"].id == both
    full = done(modality="both", encoder="mini_siglip")
    done(modality="both", encoder="mini_clip", options={"l2": 30})
    assert runs.finished(dataset)["ease"].id == full
    again = done()
    assert runs.finished(dataset)["ease"].id == again, "the newest of those with default settings"
