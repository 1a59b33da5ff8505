"""Runs told to MLflow and TensorBoard: whole, once, and taken up again where a mirror was left."""

from __future__ import annotations

import contextlib
import struct
import urllib.request
from pathlib import Path

import psutil
import pytest

from mmrec_core import runs, storage
from mmrec_core.data import preparation
from mmrec_core.jobs import tracking, worker

mlflow = pytest.importorskip("mlflow")


@pytest.fixture
def ran(home: Path, ratings_csv: Path, monkeypatch: pytest.MonkeyPatch) -> runs.Run:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    asked = runs.training_params("mine", "mf", options={"max_epochs": 3, "patience": 0, "device": "cpu"})
    return worker.work(runs.create("train", asked).id, foreground=True)


def test_a_mirror_is_whole_and_idempotent(ran: runs.Run) -> None:
    assert tracking.mirror() == 1 and tracking.mirror() == 0
    (ran.folder / "mlflow.json").unlink()  # the mirror's own memory is lost
    assert tracking.mirror() == 1
    client = mlflow.MlflowClient(tracking_uri=tracking.store())
    experiment = client.get_experiment_by_name("mmrec/mine")
    found = client.search_runs([experiment.experiment_id])
    assert len(found) == 1, "told twice"
    info, result = found[0], ran.result()
    assert result is not None
    assert info.info.status == "FINISHED" and info.data.params["model"] == "mf"
    assert info.data.metrics["test rmse"] == pytest.approx(result["metrics"]["rmse"])
    assert info.data.metrics["test rmse low"] == pytest.approx(result["intervals"]["rmse"][0])
    assert info.data.tags["mmrec.split_checksum"] == result["split_checksum"]
    losses = client.get_metric_history(info.info.run_id, "loss")
    assert sorted({m.step for m in losses}) == [0, 1, 2]


def test_failed_and_stopped_runs_are_told_as_such(ran: runs.Run) -> None:
    broken = runs.create(
        "train", runs.training_params("mine", "mf", options={"lr": 10, "max_epochs": 500, "patience": 0})
    )
    runs.update(broken, status="failed", error="Training diverged", ended=1.0)
    stopped = runs.create("train", runs.training_params("mine", "bpr"))
    runs.update(stopped, status="stopped", ended=1.0)
    assert tracking.mirror() == 3
    client = mlflow.MlflowClient(tracking_uri=tracking.store())
    found = client.search_runs([client.get_experiment_by_name("mmrec/mine").experiment_id])
    assert sorted(r.info.status for r in found) == ["FAILED", "FINISHED", "KILLED"]
    assert any("diverged" in r.data.tags.get("mmrec.error", "") for r in found)


def test_mlflow_opens_on_localhost_once(ran: runs.Run) -> None:
    address = tracking.open_mlflow()
    try:
        assert address.startswith("http://localhost:") and tracking.open_mlflow() == address
        with urllib.request.urlopen(address.replace("localhost", "127.0.0.1") + "/health", timeout=10) as answer:
            assert answer.status == 200
        server = psutil.Process(int(storage.read_json(next(storage.open_home().glob("mlflow-ui-*.json")))["pid"]))
        listening = [
            c.laddr.ip
            for p in [server, *server.children(recursive=True)]
            for c in p.net_connections("inet")
            if c.status == "LISTEN"
        ]
        assert listening and set(listening) <= {"127.0.0.1", "::1"}
    finally:
        server = psutil.Process(int(storage.read_json(next(storage.open_home().glob("mlflow-ui-*.json")))["pid"]))
        for process in [*server.children(recursive=True), server]:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
                process.kill()


def records(file: Path) -> list[bytes]:
    """The records of a TensorBoard event file: length, checksum, bytes, checksum."""
    data, at, found = file.read_bytes(), 0, []
    while at < len(data):
        (size,) = struct.unpack("<Q", data[at : at + 8])
        found.append(data[at + 12 : at + 12 + size])
        at += 16 + size
    return found


def test_tensorboard_can_read_the_export(ran: runs.Run, tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event

    assert tracking.to_tensorboard(tmp_path / "tb") == 1
    events = [Event.FromString(r) for f in (tmp_path / "tb" / ran.id).glob("events.*") for r in records(f)]
    values = [(v.tag, e.step, v.simple_value) for e in events for v in e.summary.value]
    assert sorted(step for tag, step, _ in values if tag == "train/loss") == [0, 1, 2]
    result = ran.result()
    assert result is not None
    assert next(v for tag, _, v in values if tag == "test/rmse") == pytest.approx(result["metrics"]["rmse"], rel=1e-6)
