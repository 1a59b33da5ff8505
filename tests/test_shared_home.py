"""One home, several machines or containers: what each sees of the others' runs, and what it may do to them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mmrec_core import runs
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.runs import heartbeat

ROOT = Path(__file__).resolve().parents[1]
NODE7 = {"host": "node7", "machine": "7", "place": "7 pid:[1]"}
LONG = {"max_epochs": "10000", "batch_size": "4", "patience": "0", "device": "cpu", "checkpoint_s": "0.5"}


@pytest.fixture
def mine(home: Path, ratings_csv: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.2)
    return "mine"


def until(true: Callable[[], bool], seconds: float = 200) -> None:
    end = time.time() + seconds
    while not true():
        assert time.time() < end, "waited too long"
        time.sleep(0.1)


def begun_elsewhere(*words: str) -> subprocess.Popen[bytes]:
    """The command line on a machine of another name, with this home."""
    command = [sys.executable, "-m", "mmrec_core", *words]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "MMREC_HOST": "node7"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_training_elsewhere_is_seen_and_stopped_and_gone_on_with_here(mine: str) -> None:
    sets = [word for key, value in LONG.items() for word in ("--set", f"{key}={value}")]
    other = begun_elsewhere("train", mine, "mf", *sets)
    try:
        until(lambda: any(r.status == "running" and len(r.epochs()) > 2 and r.has_checkpoint for r in runs.all_runs()))
        (run,) = runs.all_runs()
        assert heartbeat.elsewhere(run.record) == "node7"
        here = worker.work(runs.create("train", runs.training_params(mine, "popularity")).id, foreground=True)
        assert here.status == "finished", "each machine has lanes of its own"
        assert runs.start("train", run.params).id == run.id, "what is under way anywhere is not started twice"
        assert worker.work(run.id, foreground=True).record["pid"] == other.pid, "nobody takes it over"
        assert runs.relaunch_orphaned() == []
        runs.stop(run.id)
        assert other.wait(60) == 0
        run = runs.get(run.id)
        assert run.status == "stopped" and run.has_model and run.has_checkpoint
        again = runs.resume(run.id)
        assert heartbeat.elsewhere(again.record) is None
        until(lambda: runs.get(run.id).status == "running")
        runs.stop(run.id)
        runs.queue._wait_for_end(run)
        assert runs.get(run.id).status == "stopped"
    finally:
        other.kill()
        other.wait(20)


def test_a_worker_elsewhere_lives_as_long_as_its_heart_beats(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.create("train", runs.training_params(mine, "mf"))
    gone = 2**22 + 7  # no process here has this number
    run = runs.update(run, status="running", **NODE7, pid=gone, pid_started=1.0)
    assert run.status == "running", "just asked for: believed for a while"
    heartbeat.beat(run.folder)
    run = runs.update(run, queued=time.time() - 3600)
    assert run.status == "running"
    with pytest.raises(MMRecError, match="still ending on node7"):
        monkeypatch.setattr(runs.queue, "GRACE_S", -5.0)
        runs.queue._wait_for_end(run)
    silent = time.time() - heartbeat.SILENT_S - 5
    os.utime(run.folder / "alive", (silent, silent))
    assert run.status == "failed" and "Resume it" in str(run.error)
    mine_now = runs.resume(run.id, background=False)
    assert heartbeat.elsewhere(mine_now.record) is None and mine_now.status == "queued"


def test_a_queued_run_of_another_machine_is_left_to_it(mine: str) -> None:
    run = runs.create("train", runs.training_params(mine, "popularity"))
    heartbeat.beat(run.folder)
    run = runs.update(run, **NODE7, pid=123, pid_started=1.0, queued=time.time() - 3600)
    assert run.status == "queued" and runs.relaunch_orphaned() == []
    own = runs.create("train", runs.training_params(mine, "random"))
    assert runs.ahead(own) == [], "its lane is not ours"


def test_who_slept_too_long_gives_way(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was taken for dead and replaced writes nothing when it wakes."""
    run = runs.create("train", runs.training_params(mine, "popularity"))
    slow, begun, before = worker.TASKS["train"], [], worker._begin

    def taken(*words: object) -> dict[str, object]:
        found = slow(*words)  # type: ignore[arg-type]
        runs.update(run, **NODE7, pid=77, pid_started=1.0)
        assert worker._unwanted(begun[0])
        return found

    def begin(info: runs.Run) -> bool:
        begun.append(info)
        return before(info)

    monkeypatch.setattr(worker, "_begin", begin)
    monkeypatch.setitem(worker.TASKS, "train", taken)
    worker.work(run.id, foreground=True)
    info = runs.get(run.id).record
    assert info["pid"] == 77 and info["status"] == "running" and not (run.folder / "result.json").exists()


def test_a_restarted_container_knows_its_dead(mine: str) -> None:
    run = runs.create("train", runs.training_params(mine, "popularity"))
    here = {"host": heartbeat.host(), "machine": heartbeat.machine(), "place": f"{heartbeat.machine()} pid:[before]"}
    run = runs.update(run, **here, pid=1, pid_started=1.0, queued=time.time() - 3600)
    heartbeat.beat(run.folder)
    assert run.status == "queued"
    silent = time.time() - heartbeat.GONE_S - 1
    os.utime(run.folder / "alive", (silent, silent))
    assert run.status == "failed", "it has our name and our clock: no need to wait a minute"
    own = runs.create("train", runs.training_params(mine, "random"))
    heartbeat.beat(run.folder)
    assert [r.id for r in runs.ahead(own)] == [run.id], "containers of one machine share its devices"


def test_a_name_tells_machines_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heartbeat.place() == heartbeat.place() and heartbeat.elsewhere(heartbeat.here()) is None
    assert heartbeat.elsewhere({}) is None, "runs of earlier versions are this machine's"
    before = heartbeat.owner()
    monkeypatch.setenv("MMREC_HOST", "node8")
    assert heartbeat.host() == "node8" and heartbeat.elsewhere(before) == before["host"]
    assert not heartbeat.same_owner(before, heartbeat.owner()) and heartbeat.same_owner(before, dict(before))
