"""Who goes when, and who may touch whose run: what two people, or one with two clicks, could get wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from mmrec_core import runs, settings
from mmrec_core.analysis import comparison
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.runs import heartbeat
from mmrec_core.types import Dataset, quiet
from tests.test_pages import app

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def mine(home: Path, ratings_csv: Path) -> Dataset:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return preparation.open_dataset("mine")


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.time() + seconds
    while not true():
        assert time.time() < end, "waited too long"
        time.sleep(0.05)


def asked(model: str = "popularity", **more: Any) -> dict[str, Any]:
    return runs.training_params("mine", model, **more)


def trained(model: str, **more: Any) -> runs.Run:
    return worker.work(runs.create("train", asked(model, **more)).id, foreground=True)


def test_a_run_resumed_behind_another_does_not_block_it(mine: Dataset) -> None:
    """B waits for A; A is stopped and resumed before B looks again, and now stands behind B."""
    first, second = (runs.create("train", asked(seed=s)) for s in (1, 2))
    holder = runs.create("train", asked(seed=0))
    runs.update(holder, queued=1.0)
    entered: list[str] = []

    def wait(run: runs.Run) -> None:
        with worker._turn(runs.get(run.id), quiet):
            entered.append(run.id)

    with worker._turn(runs.get(holder.id), quiet):
        runs.update(holder, status="running", **heartbeat.owner())
        waiting = threading.Thread(target=wait, args=(second,))
        waiting.start()
        time.sleep(0.6)
        runs.update(first, queued=time.time())
        runs.update(holder, status="finished")
    waiting.join(20)
    assert entered == [second.id]


def test_giving_up_while_waiting_frees_the_queue(mine: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = runs.create("train", asked(seed=1))
    run = runs.create("train", asked(seed=2))

    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(worker.time, "sleep", pressed)
        with pytest.raises(KeyboardInterrupt):
            worker.work(run.id, foreground=True)
    assert runs.get(run.id).status == "stopped" and runs.get(run.id).record["pid"] is None
    assert runs.get(ahead.id).status == "queued" and run.id not in [r.id for r in runs.ahead(runs.get(ahead.id))]


def test_an_ended_run_lets_go_of_its_process(mine: Dataset) -> None:
    """A notebook's kernel lives on after a training run; resuming that must not wait for the kernel, let alone kill
    it."""
    run = runs.create("train", asked("mf", options={"max_epochs": 3}))
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "fit.safetensors").write_bytes(b"damaged")
    with pytest.raises(MMRecError):
        worker.work(run.id, foreground=True)
    assert runs.get(run.id).record["pid"] is None
    started = time.time()
    runs.resume(run.id, background=False)
    assert time.time() - started < 5 and runs.get(run.id).status == "queued"


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_a_run_of_a_living_worker_is_not_taken_over(mine: Dataset) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        run = runs.create("train", asked())
        runs.update(run, **heartbeat.owner(other.pid))
        assert worker.work(run.id, foreground=True).record["pid"] == other.pid
        assert runs.get(run.id).record["status"] == "queued"
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


def test_a_stop_that_comes_too_late_changes_nothing(mine: Dataset) -> None:
    run = trained("popularity")
    assert runs.stop(run.id).status == "finished" and runs.get(run.id).result() is not None


def test_equal_wishes_are_equal_however_they_are_written(mine: Dataset) -> None:
    assert asked("mf", options={"dim": "32", "lr": "0.01"}) == asked("mf", options={"dim": 32, "lr": 0.01})
    usual = asked("mf", options={"deterministic": "false", "max_epochs": "50"})
    assert "deterministic" not in usual["options"]
    assert asked("mf", options={"deterministic": "true"})["options"]["deterministic"] is True


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"protocol": "sampled:no"}, "Unknown protocol"), ({"protocol": "sampled:10:of=0"}, "Unknown protocol"),
     ({"regime": "live"}, "Unknown regime"), ({"fraction": 2.0}, "fraction"), ({"split": "sideways"}, "Unknown split")],
)  # fmt: skip
def test_what_evaluation_would_refuse_is_refused_before_training(
    mine: Dataset, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(MMRecError, match=said):
        asked("mf", **wrong)


def test_weights_that_may_know_the_test_rows_are_kept_apart(mine: Dataset) -> None:
    options = {"max_epochs": 2, "device": "cpu"}
    trained("popularity")
    elsewhere = trained("mf", split="random:80-10-10", options=options)
    here = trained("mf", options=options)
    fair, unfair = (
        trained("mf", seed=1, options=options, from_run=here.id),
        trained("mf", seed=1, options=options, from_run=elsewhere.id),
    )
    by_run = {row.run.id: row for row in comparison.rows(mine)}
    assert by_run[fair.id].key == by_run[here.id].key
    assert by_run[unfair.id].key != by_run[here.id].key
    assert "another split" in by_run[here.id].key.differs(by_run[unfair.id].key)[0]
    assert not comparison.can_be_evaluated_like(by_run[unfair.id], by_run[here.id].key)
    inherited = trained("mf", seed=2, options=options, from_run=unfair.id)
    assert "another split" in comparison.rows(mine)[-1].key.beyond, inherited.id


def test_a_model_trained_on_another_threshold_is_not_taken_for_the_usual_one(mine: Dataset) -> None:
    usual, odd = trained("popularity"), trained("popularity", relevant_from=4.5)
    again = runs.create("evaluate", runs.evaluation_params(odd.id, "full", "frozen", 3.5))
    worker.work(again.id, foreground=True)
    labels = {row.run.id: row.label for row in comparison.rows(mine)}
    assert labels[usual.id] == "popularity" and labels[again.id] == "popularity (trained on 4.5 or more)"


def test_the_usual_model_judged_elsewhere_does_not_hide_one_trained_there(mine: Dataset) -> None:
    usual, there = trained("popularity"), trained("popularity", relevant_from=4.5)
    again = runs.create("evaluate", runs.evaluation_params(usual.id, "full", "frozen", 4.5))
    worker.work(again.id, foreground=True)
    labels = {row.run.id: row.label for row in comparison.rows(mine)}
    assert labels == {usual.id: "popularity", there.id: "popularity", again.id: "popularity (trained on 3.5 or more)"}


def test_baselines_stand_beside_weights_from_elsewhere(mine: Dataset) -> None:
    options = {"max_epochs": 2, "device": "cpu"}
    elsewhere = trained("mf", split="random:80-10-10", options=options)
    trained("mf", options=options, from_run=elsewhere.id)
    found = comparison.rows(mine)
    key = next(row.key for row in found if row.key.beyond)
    assert comparison.missing_baselines(mine, found, key) == ["popularity", "ease"]
    trained("popularity")
    found = comparison.rows(mine)
    assert comparison.missing_baselines(mine, found, key) == ["ease"]
    usual = comparison.usual_key(mine, found)
    assert usual is not None and not usual.beyond


def test_one_broken_model_file_takes_nothing_down(
    mine: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "broken.py").write_text(
        '"""A model."""\nimport nowhere_at_all\n\n\nclass Broken:\n    """It."""\n'
    )
    monkeypatch.setenv("MMREC_PLUGINS", str(tmp_path))
    assert "popularity" in runs.usable_models(mine) and "broken" not in runs.usable_models(mine)
    for page in ("home", "train", "compare"):
        assert not app(page).exception


def test_shares_of_rows_are_told_apart(mine: Dataset) -> None:
    for fraction in (0.101, 0.104):
        trained("popularity", fraction=fraction)
    assert len(comparison.rows(mine)) == 2


def test_splits_with_equal_rows_but_other_seeds_say_how_they_differ(mine: Dataset) -> None:
    one, other = trained("popularity"), trained("itemknn", split_seed=1)
    rows = {row.run.id: row for row in comparison.rows(mine)}
    assert rows[one.id].key.differs(rows[other.id].key) == ["split user-temporal (seed 1)"]
    assert not comparison.can_be_evaluated_like(rows[other.id], rows[one.id].key)


def test_a_refit_is_drawn_and_told(mine: Dataset) -> None:
    trained("mf", split="random-global:90-0-10", refit=True, options={"max_epochs": 6, "device": "cpu"})
    assert not app("train").exception and not app("compare", part="Cost", view="Learning curves").exception


def test_only_unusual_trainings_and_usual_ones_asked_for(mine: Dataset) -> None:
    trained("itemknn", seed=4)
    shown = app("compare", only_usual="true")
    assert not shown.exception
    assert any("None of these training runs has default settings" in i.value for i in shown.info)


def test_a_model_that_is_gone_hurts_nobody(mine: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    source = (ROOT / "mmrec_core" / "models" / "popularity.py").read_text()
    (tmp_path / "models" / "mine_only.py").write_text(source)
    monkeypatch.setenv("MMREC_PLUGINS", str(tmp_path))
    trained("mine_only")
    monkeypatch.delenv("MMREC_PLUGINS")
    for page in ("train", "compare", "home"):
        assert not app(page).exception


def test_a_worker_that_ends_while_nobody_looks_is_no_zombie(mine: Dataset) -> None:
    """It is waited for by whoever started it, not by the next one to ask for the list of runs."""
    run = runs.start("train", asked())
    pid = runs.get(run.id).record["pid"]
    until(lambda: (run.folder / "result.json").exists(), 120)
    until(lambda: not psutil.pid_exists(pid))
    assert runs.get(run.id).status == "finished"


def test_many_that_wait_are_a_few_processes_and_end_in_their_order(mine: Dataset) -> None:
    """One works, two are ready, and one process looks after the rest; stopped ones do not begin; a killed supervisor is
    replaced."""
    wanted = [runs.start("train", asked(seed=seed)) for seed in range(9)]
    workers = [r for r in map(lambda r: runs.get(r.id), wanted) if r.record.get("pid") is not None]
    assert len(workers) <= 4 and any(runs.get(r.id).record.get("waits") for r in wanted[5:])
    assert all(runs.get(r.id).status in {"queued", "running", "finished"} for r in wanted)
    runs.stop(wanted[7].id)
    until(lambda: bool(supervisors()))
    for process in supervisors():
        process.kill()
    until(lambda: all(runs.get(r.id).status == "finished" for r in wanted if r.id != wanted[7].id), 300)
    assert runs.get(wanted[7].id).status == "stopped" and runs.get(wanted[7].id).result() is None
    begun = [runs.get(r.id).record["started"] for r in wanted if r.id != wanted[7].id]
    assert begun == sorted(begun)
    until(lambda: not supervisors())


def supervisors() -> list[psutil.Process]:
    """Supervisors of this test's home."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            if (process.info["cmdline"] or [])[-1:] == ["supervise"] and process.environ().get("MMREC_HOME") == str(
                settings.home()
            ):
                found.append(process)
    return found
