"""Create, queue, start, resume and stop runs."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mmrec_core import ownership, registry, runtime, settings, storage
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.runs import heartbeat, ray_cluster
from mmrec_core.runs.background import reap, start_detached
from mmrec_core.runs.record import GRACE_S, KINDS, LIVE, Run, default_params, read_record, runs_folder
from mmrec_core.runs.requests import (
    SHOWN_FIRST,
    encoding_params,
    oracle_names,
    oracle_params,
    training_params,
    usable_models,
    usual_encoders,
)
from mmrec_core.runs.store import all_runs, finished, get, has_default_params, update


def lane(kind: str, params: Mapping[str, Any], executor: str = "local") -> str:
    """The queue of a run: ``prepare``, ``cpu`` or ``gpu``; ``ray`` for a cluster, which has its own queue."""
    if kind == "prepare" or executor == "ray":
        return "prepare" if kind == "prepare" else "ray"
    return "gpu" if runtime.gpus() and wants_gpu(kind, params) else "cpu"


def wants_gpu(kind: str, params: Mapping[str, Any]) -> bool:
    """Whether this work uses a GPU if there is one."""
    if kind in {"encode", "train-encoder"}:
        return params.get("device", "auto") in {"auto", "cuda"}
    if kind in {"train", "tune"} and (params.get("options") or {}).get("device", "auto") in {"auto", "cuda"}:
        return bool(registry.schema("models", params["model"])["trains"])
    return False


def slots(lane_name: str) -> list[str]:
    """The slots of a lane: as many runs work in it at once. Those of ``gpu`` have the names of the devices."""
    if lane_name == "gpu":
        return runtime.visible_gpus()
    return [str(at) for at in range({"cpu": settings.cpu_runs(), "ray": 64}.get(lane_name, 1))]


def ahead(run: Run) -> list[Run]:
    """Runs ahead of a queued run in its lane, in order. Each machine has its own lanes."""
    own = {key: run.record.get(key) for key in ("lane", "machine")}
    live = [
        r for r in all_runs() if r.id != run.id and {key: r.record.get(key) for key in own} == own and r.status in LIVE
    ]
    return sorted((r for r in live if r.status == "running" or r.place < run.place), key=lambda r: r.place)


def create(kind: str, params: Mapping[str, Any], *, executor: str | None = None, workers: int = 1) -> Run:
    """Create a queued run without starting it.

    Args:
        kind: kind of work.
        params: its parameters.
        executor: ``local`` or ``ray``; ``None``: the cluster if one is configured.
        workers: processes that train one model together (DDP).

    Returns:
        The run.

    Raises:
        MMRecError: the executor does not exist, or several workers for work of one process.
    """
    where = ray_cluster.executor(kind, executor)
    if workers != 1 and (
        kind != "train" or not 1 < workers <= 1024 or not registry.schema("models", params["model"])["trains"]
    ):
        raise MMRecError(
            f"--workers {workers}: only gradient models can be trained by several processes, at most 1024."
        )
    storage.open_home()
    named = {k: str(params[k]) for k in ("dataset", "model") if params.get(k)}
    if "encoder" in params:  # names of hub models and of pairs contain slashes, colons and plus signs
        named["model"] = re.sub(r"[^A-Za-z0-9._-]+", "-", named["model"]).strip("-.")[:64] or "encoder"
    label = "-".join(storage.safe_name(name, kind) for kind, name in named.items())
    now = time.time_ns()
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 1_000_000_000))
    run_id = f"{moment}-{now % 1_000_000_000:09d}-{label}-{secrets.token_hex(2)}"
    folder = runs_folder() / run_id
    with storage.plain_errors(folder):
        folder.mkdir(parents=True)
        record = {
            "kind": kind,
            "params": dict(params),
            "lane": lane(kind, params, where),
            "status": "queued",
            "created": now / 1e9,
            "queued": now / 1e9,
            **heartbeat.here(),
            "pid": None,
            "executor": where,
            "workers": workers,
        }
        storage.write_json(folder / "run.json", record)
    return Run(folder, record)


def start(kind: str, params: Mapping[str, Any], *, executor: str | None = None, workers: int = 1) -> Run:
    """Start work in the background. If the same work is already queued or running, that run is returned.

    Args:
        kind: kind of work.
        params: its parameters.
        executor: see :func:`create`.
        workers: see :func:`create`.

    Returns:
        The run.

    Raises:
        MMRecError: an unknown kind, no permission (:mod:`mmrec_core.ownership`), a path outside the allowed folders, or
            too many queued runs.
    """
    if kind not in KINDS:
        raise unknown_name("kind of run", kind, list(KINDS))
    ownership.require("start work")
    ownership.check_paths(params)
    with storage.locked("start"):
        live = [run for run in all_runs() if run.status in LIVE]
        for run in live:
            if run.kind == kind and run.params == dict(params):
                return run
        if (waiting := sum(run.status == "queued" for run in live)) >= ownership.most_queued():
            raise MMRecError(
                f"{waiting} runs are already waiting. Wait until some end, stop some, or raise MMREC_MOST_QUEUED."
            )
        return _launch(create(kind, params, executor=executor, workers=workers))


def resume(run_id: str, *, background: bool = True) -> Run:
    """Queue a failed or stopped run again; a training run continues from its last checkpoint.

    Raises:
        MMRecError: the run is finished, or its dataset was prepared again since.
    """
    ownership.require("resume work")
    with storage.locked("start"):
        run = get(run_id)
        if run.status in LIVE:
            return run
        if run.status == "finished":
            raise MMRecError(
                f"Run '{run_id}' is finished. To continue from its weights, start a new run with --from-run {run_id}."
            )
        if run.record.get("data") is not None:
            from mmrec_core.data.preparation import open_dataset

            if open_dataset(run.params["dataset"]).checksum != run.record["data"]:
                raise MMRecError(f"'{run.params['dataset']}' was prepared anew since run '{run_id}'; start a new run.")
        _wait_for_end(run)
        run = update(
            run,
            status="queued",
            queued=time.time(),
            **heartbeat.here(),
            pid=None,
            waits=False,
            stopped_from=None,
            error=None,
            ended=None,
            lane=_lane_of(run),
            resumed=int(run.record.get("resumed", 0)) + 1,
        )
        return _launch(run) if background else run


def _lane_of(run: Run) -> str:
    """The lane of an existing run on this machine."""
    return lane(run.kind, run.params, str(run.record.get("executor", "local")))


def relaunch_orphaned() -> list[Run]:
    """Start new workers for queued runs whose worker is gone, for example after a reboot; returns these runs."""
    with storage.locked("start"):
        lost = [
            r
            for r in all_runs()
            if r.record["status"] == "queued" and r.status == "failed" and not r.record.get("foreground")
        ]
        launched = []
        for run in lost:
            heartbeat.beat(run.folder)  # no other process may relaunch it before its worker is up
            try:
                run = update(run, **heartbeat.here(), pid=None, waits=False, lane=_lane_of(run))
                launched.append(_launch(run))
            except MMRecError as error:  # its model does not exist any more; the other runs must still start
                update(run, status="failed", error=str(error))
    supervise_soon()
    return launched


def workers(lane_name: str) -> int:
    """Number of worker processes of this machine in a lane, working or waiting."""
    return sum(
        r.record.get("lane") == lane_name
        and r.record.get("machine") == heartbeat.machine()
        and r.record.get("pid") is not None
        and r.status in LIVE
        for r in all_runs()
    )


def most_workers(lane_name: str) -> int:
    """Most worker processes in a lane: one for each slot, and two that wait ready.

    Without the two, short work would end before the next worker has started.
    """
    return len(slots(lane_name)) + 2


def _launch(run: Run) -> Run:
    """Start a worker process for a queued run.

    If its lane has enough workers, the supervisor (:mod:`mmrec_core.runs.supervisor`) starts it when its turn is near.
    """
    lane_name = str(run.record["lane"])
    if workers(lane_name) < most_workers(lane_name) and not any(r.record["lane"] == lane_name for r in waiting()):
        return spawn(run)
    heartbeat.beat(run.folder)
    run = update(run, waits=True)
    supervise_soon()
    return run


def waiting() -> list[Run]:
    """Queued runs of this machine or container that have no worker yet, in order."""
    found = (
        r
        for r in all_runs()
        if r.record["status"] == "queued" and r.record.get("waits") and r.record.get("place") == heartbeat.place()
    )
    return sorted(found, key=lambda r: r.place)


def supervisor_lock() -> FileLock:
    """Lock of the supervisor process of this machine or container."""
    folder = storage.open_home() / "locks"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / f"supervisor-{re.sub(r'[^A-Za-z0-9.-]+', '-', heartbeat.place())}.lock")


def supervise_soon() -> None:
    """Start the supervisor process if runs wait and none is running."""
    if not waiting():
        return
    try:
        with supervisor_lock().acquire(timeout=0):
            pass
    except Timeout:
        return  # the supervisor looks for waiting runs once more after it has released the lock
    _background(["supervise"], settings.home() / "supervisor.log")


def _background(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start ``python -m mmrec_core`` with ``words`` in the background."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MMREC_HOME": str(settings.home())}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) - 1)))  # leave one core to the app
    command = [sys.executable, "-m", "mmrec_core", *words]
    process = start_detached(command, log, settings.ROOT, environment=environment, low_priority=True)
    reap(process)
    return process


def spawn(run: Run) -> Run:
    """Start a worker process for a queued run now."""
    heartbeat.beat(run.folder)
    with storage.plain_errors(run.folder):
        process = _background(["work", run.id], run.folder / "log.txt")
    with storage.locked("run"):
        record = read_record(run.folder)
        if record.get("pid") is None and record["status"] == "queued":  # a quick worker has already written its own
            record |= heartbeat.owner(process.pid)
            storage.write_json(run.folder / "run.json", record)
    return Run(run.folder, record)


def stop(run_id: str) -> Run:
    """Stop a queued or running run.

    A training run keeps its best weights and its checkpoint; an ended run is not changed.
    """
    ownership.require("stop work")
    run = get(run_id)
    if run.status not in LIVE:
        return run
    with storage.locked("run"):
        record = read_record(run.folder)
        if record["status"] not in LIVE:  # it ended meanwhile
            return Run(run.folder, record)
        record |= {"status": "stopped", "stopped_from": heartbeat.place(), "ended": time.time()}
        storage.write_json(run.folder / "run.json", record)
    pid = record.get("pid")
    if heartbeat.elsewhere(record) is None and pid is not None and pid != os.getpid():
        # a worker on another machine reads run.json; Ray's processes are ended by the worker in the right order
        _signal(int(pid), signal.SIGTERM, group=run.kind != "tune" and record.get("workers", 1) == 1)
    return Run(run.folder, record)


def _signal(pid: int, what: int, group: bool = True) -> None:
    try:
        if group and os.name == "posix" and os.getpgid(pid) == pid:
            os.killpg(pid, what)
        else:
            os.kill(pid, what)
    except (ProcessLookupError, PermissionError):
        pass


def _wait_for_end(run: Run) -> None:
    """Wait for a worker that was asked to stop; after its grace period it is killed. Its last checkpoint stays.

    Raises:
        MMRecError: it is still ending where it cannot be killed.
    """
    until = time.time() + GRACE_S + 5
    own = heartbeat.owner()
    while (
        (run := get(run.id)).record.get("pid") is not None
        and not heartbeat.same_owner(run.record, own)
        and heartbeat.lives(run.record, run.folder)
    ):
        if time.time() > until:
            other = heartbeat.elsewhere(run.record)
            if other or run.record.get("foreground"):
                where = f"on {other}" if other else "in the terminal or notebook that started it"
                raise MMRecError(f"Run '{run.id}' is still ending {where}; try again.")
            _signal(int(run.record["pid"]), getattr(signal, "SIGKILL", signal.SIGTERM))
            until = time.time() + 5
        time.sleep(0.05)


def start_all(dataset: str, models: Sequence[str] = ()) -> list[Run]:
    """Start training runs of baseline models (or of ``models``) with default settings, without those that are done or
    running."""
    from mmrec_core.data.preparation import open_dataset

    opened = open_dataset(dataset)
    default = default_params(opened)
    done = {model for model, run in finished(opened).items() if has_default_params(run, default)}
    known, films = registry.builtin("models"), bool(opened.manifest["films"])
    usual = [m for m in usable_models(opened) if m in SHOWN_FIRST or m not in known or not films]
    cheap_first = sorted(models or usual, key=lambda m: bool(registry.schema("models", m)["trains"]))
    started = [start("train", training_params(dataset, m)) for m in cheap_first if m not in done]
    if models:
        return started
    evaluated = {
        r.params.get("oracle")
        for r in all_runs()
        if r.kind == "evaluate" and r.record["status"] == "finished" and r.record.get("data") == opened.checksum
    }
    started += [start("encode", encoding_params(dataset, name)) for name in usual_encoders(opened)]
    return started + [
        start("evaluate", oracle_params(dataset, name)) for name in oracle_names(opened) if name not in evaluated
    ]
