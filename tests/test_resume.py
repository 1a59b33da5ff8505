"""Killed, stopped, resumed, queued: a training run ends with the figures of one that nobody disturbed, and runs
once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from mmrec_core import runs, storage
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.training import checkpoint

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")


@pytest.fixture
def mine(home: Path, ratings_csv: Path) -> str:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return "mine"


def until(true: Callable[[], bool], seconds: float = 180) -> None:
    end = time.time() + seconds
    while not true():
        assert time.time() < end, "waited too long"
        time.sleep(0.02)


def done(run: runs.Run) -> int:
    return int((runs.get(run.id).last("progress") or {"done": 0})["done"])


def figures(run: runs.Run) -> dict[str, float]:
    result = runs.get(run.id).result()
    assert result is not None, runs.get(run.id).log_tail(40)
    return {k: v for k, v in result["metrics"].items() if v is not None}


def same(one: dict[str, float], other: dict[str, float]) -> bool:
    return one.keys() == other.keys() and np.allclose([*one.values()], [other[k] for k in one], rtol=0, atol=1e-6)


# everything a checkpoint must hold: dropout, moments, a schedule, half-summed gradients, a count of epochs
ALL_AT_ONCE = {
    "max_epochs": 130, "patience": 1000, "batch_size": 16, "schedule": "plateau", "accumulate": 2, "clip": 1.0,
    "checkpoint_s": 0.05, "device": "cpu",
}  # fmt: skip


@pytest.mark.slow
@posix
def test_three_kills_at_random_steps_change_nothing(mine: str) -> None:
    whole = worker.work(
        runs.create("train", runs.training_params(mine, "dlrm", options=ALL_AT_ONCE)).id, foreground=True
    )
    rng = random.Random(0)
    run = runs.start("train", runs.training_params(mine, "dlrm", options=ALL_AT_ONCE))
    until(lambda: done(run) > 0)
    total = int((runs.get(run.id).last("progress") or {})["total"])
    for kill in range(3):
        target = (kill + rng.random()) * total / 4
        until(lambda target=target: done(run) >= target or runs.get(run.id).status not in runs.LIVE)  # type: ignore[misc]
        pid = int(runs.get(run.id).record["pid"])
        os.kill(pid, signal.SIGKILL)
        until(lambda: runs.get(run.id).status == "failed", 10)
        assert "without a word" in str(runs.get(run.id).error) and runs.get(run.id).has_checkpoint
        runs.resume(run.id)
        until(lambda pid=pid: runs.get(run.id).record.get("pid") not in {None, pid})  # type: ignore[misc]
        before = len(runs.get(run.id).events())
        until(lambda before=before: any(e["kind"] == "progress" for e in runs.get(run.id).events()[before:]))  # type: ignore[misc]
    until(lambda: runs.get(run.id).status == "finished")
    assert runs.get(run.id).record["resumed"] == 3
    assert same(figures(run), figures(whole))
    until(lambda: not any(run.id in (p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])), 20)
    assert not [f for f in run.folder.rglob(".*")], "a half-written file is left"
    assert not list((run.folder / "checkpoints").glob("*"))
    for line in (run.folder / "events.jsonl").read_text().splitlines()[-50:]:
        json.loads(line)


def test_a_training_goes_on_alike_from_every_batch(mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training run resumed from any checkpoint, after a step boundary or an epoch, writes the same next
    checkpoint."""
    from mmrec_core.callbacks import Interrupted, TrainingCallbacks
    from mmrec_core.data.splits import make_split
    from mmrec_core.training import fit

    dataset = preparation.open_dataset(mine)
    split, options = make_split(dataset, "user-temporal"), {**ALL_AT_ONCE, "max_epochs": 4, "checkpoint_s": 0.0}
    real, kept = checkpoint.write, []

    def keeps(path: Path, tensors: object, metadata: dict) -> None:  # type: ignore[type-arg]
        real(path, tensors, metadata)  # type: ignore[arg-type]
        kept.append(path.read_bytes())

    monkeypatch.setattr(checkpoint, "write", keeps)
    folder = tmp_path / "whole"
    folder.mkdir()
    whole = fit.fit("dlrm", dataset, split, options=options, callbacks=TrainingCallbacks(folder))
    written, kept = kept, []
    batches = {
        (metadata["course"]["epoch"], metadata["course"]["batch"])
        for metadata in (read(at, tmp_path)[1] for at in written)
    }
    assert len(batches) > 4 * 8, "a checkpoint after each two batches of four epochs"

    def ends(path: Path, tensors: object, metadata: dict) -> None:  # type: ignore[type-arg]
        keeps(path, tensors, metadata)
        raise Interrupted()

    monkeypatch.setattr(checkpoint, "write", ends)
    for at, (before, after) in enumerate(zip(written, written[1:], strict=False)):
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / "fit.safetensors").write_bytes(before)
        with pytest.raises(Interrupted):
            fit.fit("dlrm", dataset, split, options=options, callbacks=TrainingCallbacks(folder))
        assert alike(read(kept[-1], tmp_path), read(after, tmp_path)), f"checkpoint {at + 1} of {len(written)}"
    monkeypatch.setattr(checkpoint, "write", real)
    again = fit.fit("dlrm", dataset, split, options=options, callbacks=TrainingCallbacks(folder))
    assert [e["loss"] for e in again.epochs] == [e["loss"] for e in whole.epochs]


def read(body: bytes, folder: Path) -> tuple[dict, dict]:  # type: ignore[type-arg]
    """A checkpoint's tensors and what it says about them."""
    file = folder / f"{hashlib.sha256(body).hexdigest()}.safetensors"  # the tensors lie in it: it is not written over
    if not file.exists():
        file.write_bytes(body)
    return checkpoint.read(file)


TIMES = {"seconds", "epoch_s", "judge_s", "samples_s"}


def alike(one: tuple[dict, dict], other: tuple[dict, dict]) -> bool:  # type: ignore[type-arg]
    """Whether two checkpoints hold the same, apart from how long it took."""

    def untimed(value: object) -> object:
        if isinstance(value, dict):
            return {k: untimed(v) for k, v in value.items() if k not in TIMES}
        return [untimed(v) for v in value] if isinstance(value, list) else value

    same_tensors = one[0].keys() == other[0].keys() and all(bool((one[0][k] == other[0][k]).all()) for k in one[0])
    return same_tensors and untimed(one[1]) == untimed(other[1])


@pytest.mark.slow
@posix
def test_stop_keeps_the_best_weights_and_resume_goes_on(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMREC_NICE", raising=False)  # as on a machine that people work at
    options = {"max_epochs": 150, "patience": 1000, "batch_size": 16, "device": "cpu"}
    whole = worker.work(runs.create("train", runs.training_params(mine, "mf", options=options)).id, foreground=True)
    run = runs.start("train", runs.training_params(mine, "mf", options=options))
    until(lambda: runs.get(run.id).last("epoch") is not None)
    pid = int(runs.get(run.id).record["pid"])
    assert psutil.Process(pid).nice() == 19
    if (
        group := Path(f"/proc/{pid}/autogroup")
    ).exists():  # Linux weighs sessions first: niceness alone would change nothing
        assert group.read_text().strip().endswith("nice 19")
    runs.stop(run.id)
    until(lambda: runs.get(run.id).has_model, 20)
    assert runs.get(run.id).status == "stopped" and runs.get(run.id).has_checkpoint
    assert runs.donor_place(run.id) == run.folder / "model"
    runs.resume(run.id)
    until(lambda: runs.get(run.id).status == "finished")
    assert same(figures(run), figures(whole))
    with pytest.raises(MMRecError, match="finished"):
        runs.resume(run.id)


def test_a_full_disk_fails_in_plain_words_and_is_resumed(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"max_epochs": 12, "patience": 1000, "batch_size": 16, "checkpoint_s": 0.0, "device": "cpu"}
    whole = worker.work(runs.create("train", runs.training_params(mine, "mf", options=options)).id, foreground=True)
    run = runs.create("train", runs.training_params(mine, "mf", options=options))
    real, written = storage.write_bytes, []

    def full(path: Path, data: bytes) -> None:
        if path.suffix == ".safetensors":
            written.append(path)
            if len(written) > 40:
                raise OSError(28, "No space left on device")
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", full)
        with pytest.raises(MMRecError, match="full"):
            worker.work(run.id, foreground=True)
    failed = runs.get(run.id)
    assert failed.status == "failed" and "full" in str(failed.error) and failed.has_checkpoint
    runs.resume(run.id, background=False)
    worker.work(run.id, foreground=True)
    assert same(figures(run), figures(whole))


def test_a_refit_is_resumed_too(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"max_epochs": 30, "batch_size": 32, "checkpoint_s": 0.0, "device": "cpu"}
    asked = runs.training_params(mine, "mf", split="random-global:90-0-10", refit=True, options=options)
    whole = worker.work(runs.create("train", asked).id, foreground=True)
    run = runs.create("train", asked)
    real = checkpoint.write

    def dies(path: Path, tensors: object, metadata: dict) -> None:  # type: ignore[type-arg]
        real(path, tensors, metadata)  # type: ignore[arg-type]
        if path.stem == "refit" and metadata["course"]["steps"] >= 5:
            raise OSError(errno.EIO, "the machine went down")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write", dies)
        with pytest.raises(MMRecError, match="Input/output error"):
            worker.work(run.id, foreground=True)
    runs.resume(run.id, background=False)
    worker.work(run.id, foreground=True)
    assert same(figures(run), figures(whole))


def test_a_warm_started_refit_is_resumed_as_such(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second phase begins from the donor as well, though the first one's checkpoint is there already."""
    donor = worker.work(
        runs.create("train", runs.training_params(mine, "mf", options={"max_epochs": 5, "device": "cpu"})).id,
        foreground=True,
    )
    options = {"max_epochs": 6, "batch_size": 32, "checkpoint_s": 0.0, "device": "cpu"}
    asked = runs.training_params(
        mine, "mf", split="random-global:90-0-10", refit=True, options=options, from_run=donor.id
    )
    whole = worker.work(runs.create("train", asked).id, foreground=True)
    run = runs.create("train", asked)
    real = checkpoint.write

    def dies(path: Path, tensors: object, metadata: dict) -> None:  # type: ignore[type-arg]
        real(path, tensors, metadata)  # type: ignore[arg-type]
        if path.stem == "fit" and metadata["course"]["done"]:
            raise OSError(errno.EIO, "the machine went down")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write", dies)
        with pytest.raises(MMRecError, match="Input/output error"):
            worker.work(run.id, foreground=True)
    runs.resume(run.id, background=False)
    worker.work(run.id, foreground=True)
    assert same(figures(run), figures(whole))
    result = runs.get(run.id).result()
    assert result is not None and result["warm_start"]["loaded"] is not None


def test_a_split_that_changed_is_refused(mine: str, tmp_path: Path) -> None:
    """Training rows must not become test rows if another split is exported into the same folder."""
    from mmrec_core.data import splits

    dataset = preparation.open_dataset(mine)
    splits.export_split(dataset, splits.make_split(dataset, "random:80-10-10", 0), tmp_path / "split")
    run = worker.work(
        runs.create("train", runs.training_params(mine, "popularity", split=f"file:{tmp_path / 'split'}")).id,
        foreground=True,
    )
    splits.export_split(dataset, splits.make_split(dataset, "random:80-10-10", 1), tmp_path / "split")
    again = runs.create("evaluate", runs.evaluation_params(run.id, "sampled:2", "frozen"))
    with pytest.raises(MMRecError, match="has changed since run"):
        worker.work(again.id, foreground=True)


def test_a_stop_is_heard_while_validation_is_judged(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the resumed training judges that epoch again, without taking another step."""
    from mmrec_core.callbacks import Interrupted, TrainingCallbacks
    from mmrec_core.data.splits import make_split
    from mmrec_core.evaluation import evaluate
    from mmrec_core.training import fit

    dataset = preparation.open_dataset(mine)
    split, options = (
        make_split(dataset, "user-temporal"),
        {"max_epochs": 6, "batch_size": 50, "accumulate": 2, "device": "cpu"},
    )
    whole = fit.fit("mf", dataset, split, options=options)
    callbacks = TrainingCallbacks(home := runs.runs_folder() / "desk")
    home.mkdir(parents=True)
    real, calls = evaluate.evaluate, []

    def stopped(*given: object, **named: object) -> object:
        calls.append(1)
        callbacks.stop.wanted = len(calls) == 3
        return real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(fit, "evaluate", stopped)
    with pytest.raises(Interrupted):
        fit.fit("mf", dataset, split, options=options, callbacks=callbacks)
    assert len(calls) == 3
    callbacks.stop.wanted = False
    resumed = fit.fit("mf", dataset, split, options=options, callbacks=callbacks)
    assert [e["loss"] for e in resumed.epochs] == pytest.approx([e["loss"] for e in whole.epochs], abs=1e-9)
    assert np.allclose(
        resumed.model.state_dict()["item_factors.weight"], whole.model.state_dict()["item_factors.weight"], atol=1e-6
    )


def test_a_damaged_or_foreign_checkpoint_is_refused_in_words(mine: str, tmp_path: Path) -> None:
    import pickle

    import torch

    options = {"max_epochs": 3, "device": "cpu"}
    run = runs.create("train", runs.training_params(mine, "mf", options=options))
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "fit.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(MMRecError, match="not a checkpoint"):
        worker.work(run.id, foreground=True)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"weights": os.system}))
    torch.save({"weights": subprocess.run}, tmp_path / "evil2.pt")
    (tmp_path / "odd.safetensors").write_bytes(b"12345678garbage")
    for name in ("evil.pt", "evil2.pt", "odd.safetensors"):
        with pytest.raises(MMRecError):
            checkpoint.read_weights(tmp_path / name)
    with pytest.raises(MMRecError, match="refused"):
        checkpoint.read_weights(tmp_path / "evil2.pt")
    with pytest.raises(MMRecError, match="not a file"):
        runs.training_params(mine, "mf", from_run=str(tmp_path / "none.pt"))


TAB = """
import sys, time
from mmrec_core import runs
for seed in range(int(sys.argv[1]), int(sys.argv[2])):
    runs.start("train", runs.training_params("mine", "popularity", seed=seed))
time.sleep(60)
"""


@pytest.mark.slow
@posix
def test_eight_runs_from_two_tabs_and_the_command_line_each_run_once_in_order(mine: str, home: Path) -> None:
    environment = {**os.environ, "MMREC_HOME": str(home)}
    tab = lambda a, b: subprocess.Popen([sys.executable, "-c", TAB, str(a), str(b)], cwd=ROOT, env=environment)
    tabs = [tab(0, 4), tab(2, 6)]  # half of what each asks for, the other asks for as well
    for seed in range(6, 8):
        command = [sys.executable, "-m", "mmrec_core", "train", mine, "popularity", "--seed", str(seed), "--background"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    until(lambda: len(runs.all_runs()) >= 8)
    for app in tabs:  # the app goes down; the work does not
        app.kill()
        app.wait()
    until(lambda: all(r.status == "finished" for r in runs.all_runs()), 300)
    found = sorted(runs.all_runs(), key=lambda r: r.place)
    assert sorted(r.params["seed"] for r in found) == list(range(8)), "each exactly once"
    begun, ended = ([float(r.record[k]) for r in found] for k in ("started", "ended"))
    assert begun == sorted(begun), "in the order asked for"
    assert all(end <= begin + 0.05 for end, begin in zip(ended, begun[1:], strict=False)), "one at a time"


@posix
def test_a_queued_run_whose_worker_vanished_is_revived(mine: str) -> None:
    long = runs.start("train", runs.training_params(mine, "mf", options={"max_epochs": 10000, "patience": 0}))
    until(lambda: runs.get(long.id).status == "running")
    waiting = runs.start("train", runs.training_params(mine, "popularity"))
    assert [r.id for r in runs.ahead(runs.get(waiting.id))] == [long.id]
    os.kill(int(runs.get(waiting.id).record["pid"]), signal.SIGKILL)
    until(lambda: runs.get(waiting.id).status == "failed", 10)
    assert [r.id for r in runs.relaunch_orphaned()] == [waiting.id]
    runs.stop(long.id)
    until(lambda: runs.get(waiting.id).status == "finished")


def test_a_checkpoint_replaced_while_it_is_read_is_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that trains the same run may write one at any time."""
    file = tmp_path / "fit.safetensors"
    checkpoint.write(file, {"model.weight": torch.zeros(3)}, {"step": 0})
    real = json.loads

    def between(text: str) -> object:
        checkpoint.write(file, {"model.weight": torch.ones(3)}, {"step": 1})
        return real(text)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.json, "loads", between)
        tensors, metadata = checkpoint.read(file)
    assert metadata["step"] == 0 and tensors["model.weight"].tolist() == [0, 0, 0]
    assert checkpoint.read(file)[1]["step"] == 1
