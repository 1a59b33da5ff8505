"""Runs mirrored into MLflow, and its own pages."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmrec_core import ownership, records, runs, settings, storage
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.runs import Run, heartbeat
from mmrec_core.runs.background import start_detached
from mmrec_core.tuning import sweep

ENDED = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
MIRRORED = {"train", "evaluate", "tune"}
BATCH = 900
"""MLflow takes at most a thousand metrics in one call."""


def store() -> str:
    """Where MLflow keeps its history: ``MLFLOW_TRACKING_URI``, else SQLite in ``MMREC_HOME``."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return named or f"sqlite:///{(storage.open_home() / 'mlflow.db').as_posix()}"


def _mlflow() -> Any:
    settings.silence_telemetry()
    try:
        import mlflow
    except ImportError:
        raise MMRecError("MLflow is not installed here; pip install mlflow, or use the pages' own tables.") from None
    return mlflow


def _name(metric: str) -> str:
    """A metric's name as MLflow allows it."""
    return metric.replace("@", "_at_").replace(":", "/")


def mirror() -> int:
    """Copy training runs and evaluations into MLflow: new ones whole, known ones from where they were left.

    Returns:
        How many runs were written to.

    Raises:
        MMRecError: MLflow is missing, or its store cannot be reached.
    """
    mlflow = _mlflow()
    with storage.locked("mlflow"):
        known = {run.id: _note(run) for run in runs.all_runs() if run.kind in MIRRORED}
        waiting = [run for run in runs.all_runs() if run.id in known and not _is_told(run, known[run.id])]
        if not waiting:
            return 0
        try:
            client = mlflow.MlflowClient(tracking_uri=store())
            for run in waiting:
                _tell(client, run, known[run.id])
        except mlflow.exceptions.MlflowException as error:
            raise MMRecError(f"MLflow at {store()} cannot be written ({str(error).splitlines()[0]}).") from error
    return len(waiting)


def _note(run: Run) -> dict[str, Any]:
    file = run.folder / "mlflow.json"
    found: dict[str, Any] = {}
    if file.exists():
        try:
            found = records.read(file, records.MIRROR)
        except DamagedFile:  # what MLflow has of the run is found by its tag
            storage.set_aside(file)
    lost = store().startswith("sqlite:///") and not Path(store().removeprefix("sqlite:///")).exists()
    return found if found.get("store") == store() and not lost else {}


def _server(file: Path) -> dict[str, Any]:
    """Where MLflow's pages were last brought up; empty where nobody did, or where that cannot be read."""
    try:
        return records.read(file, records.SERVER)
    except MMRecError:
        return {}


def _is_told(run: Run, note: Mapping[str, Any]) -> bool:
    return note.get("status") == run.status and note.get("events") == len(run.events())


def _tell(client: Any, run: Run, note: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    status, events = run.status, run.events()
    experiment = f"mmrec/{run.params['dataset']}"
    known = client.get_experiment_by_name(experiment)
    place = (settings.home() / "mlflow-artifacts").as_uri()
    if known and known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    experiment_id = known.experiment_id if known else client.create_experiment(experiment, artifact_location=place)
    if "run_id" not in note:
        there = client.search_runs([experiment_id], f"tags.`mmrec.run` = '{run.id}'", max_results=1)
        if there:
            note = {"run_id": there[0].info.run_id, "events": 0}
        else:
            made = client.create_run(
                experiment_id, int(float(run.record["created"]) * 1000), {"mmrec.run": run.id, "mmrec.kind": run.kind},
                run_name=f"{run.params['model']} {run.id[:15]}",
            )  # fmt: skip
            note = {"run_id": made.info.run_id, "events": 0}
        asked = {k: v for k, v in run.params.items() if k not in {"options", "space"}} | (
            run.params.get("options") or {}
        )
        asked |= {f"search {d.name}": d.words() for d in sweep.dimensions(run.params)} if run.kind == "tune" else {}
        params = [Param(k, str(v)[:500]) for k, v in asked.items() if v is not None]
        client.log_batch(note["run_id"], params=params)
    metrics = [
        Metric(_name(key), float(value), int(event["time"] * 1000), int(event["epoch"]))
        for event in events[note["events"] :]
        if event.get("kind") == "epoch" and event.get("phase", "fit") == "fit"
        for key, value in event.items()
        if key not in {"time", "kind", "epoch"} and isinstance(value, (int, float))
    ]
    result = run.result() if status == "finished" else None
    if result is not None:
        at = int(float(run.record.get("ended", time.time())) * 1000)
        metrics += [Metric(_name(key), value, at, 0) for key, value in _figures(result)]
        tags = [
            RunTag(f"mmrec.{key}", str(result[key]))
            for key in ("split_checksum", "protocol", "regime", "relevant_from", "known", "winner")
            if key in result
        ]
        client.log_batch(note["run_id"], tags=tags)
    for start in range(0, len(metrics), BATCH):
        client.log_batch(note["run_id"], metrics=metrics[start : start + BATCH])
    if status in ENDED:
        if run.error:
            client.set_tag(note["run_id"], "mmrec.error", run.error[:4000])
        client.set_terminated(note["run_id"], ENDED[status], int(float(run.record.get("ended") or time.time()) * 1000))
    elif note["events"]:
        client.update_run(note["run_id"], "RUNNING")  # a stopped one that was resumed
    summary = {"store": store(), "run_id": note["run_id"], "events": len(events), "status": status}
    if run.kind == "tune":
        summary["trials"] = _tell_trials(client, run, experiment_id, note)
    storage.write_json(run.folder / "mlflow.json", summary)


def _tell_trials(client: Any, run: Run, experiment_id: str, note: Mapping[str, Any]) -> dict[str, Any]:
    """Trials of a search as child runs, each with its curve; known ones from where they were left."""
    from mlflow.entities import Metric, Param

    summary: dict[str, Any] = dict(note.get("trials") or {})
    name = _name(f"validation {sweep.metric_of(run)}")
    for at, trial in enumerate(sweep.trials_of(run)):
        known = summary.get(trial.id)
        if known is not None and known == {**known, "status": trial.status, "epochs": len(trial.curve)}:
            continue
        if known is None:
            tags = {"mlflow.parentRunId": note["run_id"], "mmrec.run": f"{run.id}/{trial.id}", "mmrec.kind": "trial"}
            made = client.create_run(experiment_id, int(time.time() * 1000), tags, run_name=f"trial {at + 1}")
            known = {"run_id": made.info.run_id, "epochs": 0}
            client.log_batch(known["run_id"], params=[Param(k, str(v)) for k, v in trial.options.items()])
        now = int(time.time() * 1000)
        values = [Metric(name, v, now, e) for e, v in enumerate(trial.curve) if e >= known["epochs"]]
        for start in range(0, len(values), BATCH):
            client.log_batch(known["run_id"], metrics=values[start : start + BATCH])
        ended = {"failed": "FAILED", "stopped": "KILLED"}.get(trial.status, "FINISHED")
        if trial.status in {"running", "waiting"}:
            client.update_run(known["run_id"], "RUNNING")
        else:
            client.set_tag(known["run_id"], "mmrec.ended", trial.status)
            client.set_terminated(known["run_id"], ended)
        summary[trial.id] = {"run_id": known["run_id"], "epochs": len(trial.curve), "status": trial.status}
    return summary


def _figures(result: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Test metrics with their intervals, and what it took."""
    for name, value in result["metrics"].items():
        if value is not None:
            yield f"test {name}", float(value)
        interval = result["intervals"].get(name)
        if interval:
            yield f"test {name} low", float(interval[0])
            yield f"test {name} high", float(interval[1])
    for name in ("parameters", "samples_s"):
        if result.get(name) is not None:
            yield name, float(result[name])
    for name, value in result["seconds"].items():
        yield f"seconds {name}", float(value)


def open_mlflow() -> str:
    """MLflow's own pages on localhost, started if they are not up; mirrors what is new first.

    Returns:
        Their address.

    Raises:
        MMRecError: MLflow is missing, did not come up, or nobody who may (:mod:`mmrec_core.ownership`).
    """
    ownership.require("start MLflow's pages")
    mirror()
    if store().startswith("http"):
        return store()
    file = (
        storage.open_home() / f"mlflow-ui-{re.sub(r'[^A-Za-z0-9.-]+', '-', heartbeat.host())}.json"
    )  # each machine has pages of its own
    with storage.locked("mlflow-ui"):
        info = _server(file)
        if info and info["store"] == store() and heartbeat.lives(info, settings.home()):
            return str(info["url"])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store()),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--default-artifact-root", (settings.home() / "mlflow-artifacts").as_uri()),
        ]
        process = start_detached(command, settings.home() / "mlflow.log", settings.home())
        url = f"http://localhost:{port}"
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                if process.poll() is not None:
                    raise MMRecError(f"MLflow did not come up; {settings.home() / 'mlflow.log'} says why.") from None
                time.sleep(0.25)
        else:
            process.terminate()
            raise MMRecError(f"MLflow did not answer within a minute; {settings.home() / 'mlflow.log'} may say why.")
        info = heartbeat.owner(process.pid) | {"url": url, "store": store()}
        storage.write_json(file, info)
    return url
