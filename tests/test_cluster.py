"""Runs on a Ray cluster of two local nodes: the same figures as here, a node lost in mid-run, a stop; and several
processes that train one model."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrec_core import runs
from mmrec_core.callbacks import StopFlag
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.runs import ray_cluster
from mmrec_core.training import distributed
from mmrec_core.types import Dataset

os.environ.setdefault("RAY_AUTH_MODE", "token")  # read when Ray loads
os.environ.setdefault("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
pytest.importorskip("ray")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="starts and kills process groups")
ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.time() + seconds
    while not (found := what()):
        assert time.time() < end, "it did not come to pass"
        time.sleep(0.2)
    return found


def until_it(run: runs.Run, what: Callable[[runs.Run], Any], seconds: float = 300) -> None:
    """Wait for something of a run; one that has failed is not waited for."""

    def seen() -> bool:
        now = runs.get(run.id)
        assert now.status != "failed", (now.error, now.log_tail())
        return bool(what(now))

    until(seen, seconds)


class Cluster:
    """Ray's own processes: a head that works on nothing, and nodes that come and go."""

    def __init__(self, log: Path) -> None:
        self.log, self.port, self.started = log, free_port(), []
        self.address = f"127.0.0.1:{self.port}"
        self.head = self._start("--head", "--port", str(self.port), "--num-cpus", "0", "--include-dashboard", "true",
                                "--dashboard-port", str(free_port()))  # fmt: skip

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [
            str(Path(sys.executable).parent / "ray"),
            "start",
            "--block",
            "--disable-usage-stats",
            "--node-ip-address",
            "127.0.0.1",
            "--object-store-memory",
            "80000000",
            "--dashboard-agent-listen-port",
            str(free_port()),
            *words,
        ]
        process = subprocess.Popen(
            command, stdout=self.log.open("ab"), stderr=subprocess.STDOUT, start_new_session=True, cwd="/"
        )
        self.started.append(process)
        return process

    def node(self) -> subprocess.Popen[bytes]:
        """One more node, of one CPU, once it is there."""
        process = self._start("--address", self.address, "--num-cpus", "1")
        until(lambda: self.alive() >= sum(p.poll() is None for p in self.started) - 1)
        return process

    def alive(self) -> int:
        with contextlib.suppress(MMRecError):
            return sum(n.alive and n.total.get("CPU", 0) > 0 for n in ray_cluster.nodes(self.address))
        return 0

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """A machine that goes down: no farewell."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        for key in ("RAY_health_check_period_ms", "RAY_health_check_initial_delay_ms"):  # a lost node is noticed sooner
            patch.setenv(key, "500")
        made = Cluster(tmp_path_factory.mktemp("ray") / "log.txt")
        try:
            until(lambda: cluster_answers(made))
            yield made
        finally:
            for process in made.started[::-1]:
                made.kill(process)


def cluster_answers(made: Cluster) -> bool:
    with contextlib.suppress(MMRecError):
        return bool(ray_cluster.nodes(made.address))
    return False


@pytest.fixture
def home(tmp_path: Path, shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(shared_home / "datasets" / "demo", tmp_path / "home" / "datasets" / "demo")
    monkeypatch.setenv("MMREC_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return tmp_path / "home"


QUICK = {"max_epochs": 4, "patience": 0, "device": "cpu"}


def trained(seed: int = 3, executor: str = "local", workers: int = 1, **options: Any) -> dict[str, Any]:
    asked = runs.training_params("demo", "mf", seed=seed, options={**QUICK, **options})
    run = worker.work(runs.create("train", asked, executor=executor, workers=workers).id, foreground=True)
    assert run.status == "finished", run.log_tail()
    return run.result() or {}


def test_a_run_on_the_cluster_equals_one_here(two: Cluster, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = trained()
    monkeypatch.setenv("RAY_ADDRESS", two.address)
    two.node()
    there = trained(executor="ray")
    assert there["metrics"].keys() == here["metrics"].keys() and there["parameters"] == here["parameters"]
    for name, value in here["metrics"].items():
        assert there["metrics"][name] == (None if value is None else pytest.approx(value, abs=1e-6))
    run = runs.get(there["run"])
    assert run.record["executor"] == "ray" and run.has_model and run.epochs()


def test_a_node_lost_in_mid_run_costs_nothing_but_time(
    two: Cluster, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"max_epochs": 30, "batch_size": 64, "checkpoint_s": 0.1}
    whole = trained(**options)
    monkeypatch.setenv("RAY_ADDRESS", two.address)
    if not two.alive():
        two.node()
    (working,) = [p for p in two.started if p is not two.head and p.poll() is None]
    asked = runs.training_params("demo", "mf", seed=3, options={**QUICK, **options})
    run = runs.start("train", asked, executor="ray")
    until_it(run, lambda now: now.has_checkpoint and len(now.epochs()) > 2)
    two.kill(working)
    assert runs.get(run.id).status == "running"
    two.node()
    until_it(run, lambda now: now.status == "finished")
    notes = [e["text"] for e in run.events() if e["kind"] == "note"]
    assert any("was lost" in n for n in notes) and any("Resumed from its checkpoint" in n for n in notes)
    assert (run.result() or {})["metrics"]["rmse"] == pytest.approx(whole["metrics"]["rmse"], abs=1e-6)


def test_a_stop_reaches_the_cluster_and_resuming_goes_on(
    two: Cluster, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", two.address)
    if not two.alive():
        two.node()
    asked = runs.training_params(
        "demo", "mf", seed=3, options={**QUICK, "max_epochs": 30, "batch_size": 128, "checkpoint_s": 0.5}
    )
    run = runs.start("train", asked)
    assert run.record["executor"] == "ray", "a named cluster is used"
    until_it(run, lambda now: len(now.epochs()) > 3)
    runs.stop(run.id)
    runs.queue._wait_for_end(run)
    run = runs.get(run.id)
    assert run.status == "stopped" and run.has_checkpoint and run.has_model
    until(lambda: any(n.free.get("CPU") for n in ray_cluster.nodes(two.address)))
    runs.resume(run.id)
    until_it(run, lambda now: now.status == "finished")
    with pytest.raises(MMRecError, match="no setting"):  # a reason is told as if it had failed here
        bad = runs.create("train", {**asked, "options": {"nothing": 1}})
        worker.work(bad.id, foreground=True)


def test_a_cluster_that_is_not_there_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MMRecError, match="No Ray cluster is named"):
        ray_cluster.executor("train", "ray")
    assert ray_cluster.executor("train") == "local"
    with pytest.raises(MMRecError, match="HOST:PORT"):
        ray_cluster.name("http://here")
    ray_cluster.name(f"127.0.0.1:{free_port()}")
    assert ray_cluster.executor("train") == "ray" and ray_cluster.executor("prepare") == "local"
    with pytest.raises(MMRecError, match="Nothing answers at"):
        ray_cluster.nodes()
    with pytest.raises(MMRecError, match="Nothing answers at"):
        trained(executor="ray")
    monkeypatch.setenv("MMREC_ON_RAY", "1")
    assert ray_cluster.executor("train") == "local", "a cluster's job does not send itself on"
    monkeypatch.delenv("MMREC_ON_RAY")
    ray_cluster.name(None)
    assert ray_cluster.address() is None
    with pytest.raises(MMRecError, match="--workers"):
        runs.create("train", runs.training_params("demo", "ease"), workers=2)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "status code 500: Traceback:\n  await self.get_target_agent()\nValueError: no room",
            r"took no job \(ValueError: no room\)\.$",
        ),
        ("status code 500: No available agent to submit job", "its own port"),
        ("", "no reason given"),
    ],
)
def test_a_refused_job_says_why(said: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        def submit_job(self, **_: object) -> None:
            raise RuntimeError(said)

    monkeypatch.setattr(ray_cluster, "_client", lambda where: Refuses())
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(MMRecError, match=message):
        ray_cluster.send(
            "run", cpus=1, gpus=0, read=lambda: None, note=print, keep=print, earlier=None, flag=StopFlag()
        )


def test_a_ray_of_this_machine_alone_listens_on_localhost() -> None:
    code = """
import psutil
from mmrec_core.runs import ray_cluster
with ray_cluster.connected():
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    heard = {c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
print(sorted(heard))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    heard = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert heard and heard <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


# Several processes, one model


def test_two_workers_take_the_steps_of_one(home: Path) -> None:
    """Same seed, same global batch; an odd batch size leaves shares that differ."""
    one = trained(batch_size=1001, accumulate=2)  # the last step of an epoch sums fewer batches
    two = trained(batch_size=1001, accumulate=2, workers=2)
    assert two["metrics"]["rmse"] == pytest.approx(one["metrics"]["rmse"], abs=1e-4)
    assert two["metrics"]["ndcg@10"] == pytest.approx(one["metrics"]["ndcg@10"], abs=1e-4)
    losses = [[e["loss"] for e in runs.get(r["run"]).epochs()] for r in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_workers_that_cannot_be_had_and_models_that_cannot_be_shared_are_said(home: Path) -> None:
    asked = runs.training_params("demo", "mf", options=QUICK)
    with pytest.raises(MMRecError, match="64 workers need 64 CPUs"):
        worker.work(runs.create("train", asked, workers=64).id, foreground=True)


def test_shares_make_up_the_batch() -> None:
    import torch

    batch = {
        "user": torch.arange(7),
        "item": torch.arange(14).view(7, 2),
        "scale": torch.tensor(3.0),
        "state": "as it is",
    }
    parts = [distributed.share(batch, at, 3) for at in range(3)]
    assert sorted(torch.cat([p["user"] for p in parts]).tolist()) == list(range(7))
    assert all(
        torch.equal(p["item"], batch["item"][p["user"]]) and p["scale"] == 3 and p["state"] == "as it is" for p in parts
    )
    lonely = distributed.share({"user": torch.arange(1)}, 2, 3)
    assert lonely["user"].tolist() == [0]
    assert distributed.world() == 1 and distributed.rank() == 0 and np.isfinite(1.0)


def test_a_stop_by_file_is_a_stop(tmp_path: Path) -> None:
    flag = worker._StopFile(tmp_path / "stop")
    assert isinstance(flag, StopFlag) and not flag.wanted
    (tmp_path / "stop").touch()
    assert flag.wanted


def test_a_job_whose_run_was_given_to_another_one_writes_nothing_more(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray counts a node as lost before all of its processes have ended."""
    asked = runs.training_params("demo", "mf", seed=3, options={**QUICK, "max_epochs": 5000, "checkpoint_s": 0.1})
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # a run of a cluster; none has to answer
    run = runs.create("train", asked, executor="ray")
    runs.update(run, job="first")
    command = [sys.executable, "-m", "mmrec_core", "work-here", run.id]
    process = subprocess.Popen(command, env={**os.environ, "MMREC_ON_RAY": "1", ray_cluster.JOB: "first"})
    try:
        until_it(run, lambda now: now.has_checkpoint)
        runs.update(run, job="second")
        assert process.wait(60) == 1
    finally:
        process.kill()
    assert runs.get(run.id).has_checkpoint and not (run.folder / "outcome.json").exists()
