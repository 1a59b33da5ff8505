"""Starting, queueing, resuming and stopping runs."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from filelock import FileLock, Timeout

from mmrec_core import ownership, registry, runtime, settings, storage
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.evaluation.protocols import full_name
from mmrec_core.runs import heartbeat, ray_cluster
from mmrec_core.runs.record import GRACE_S, KINDS, LIVE, USUAL, Run, read_record, runs_folder
from mmrec_core.runs.requests import (
    SHOWN_FIRST,
    encoding_params,
    oracle_names,
    oracle_params,
    training_params,
    usable_models,
    usual_encoders,
)
from mmrec_core.runs.store import _usual, all_runs, finished, get, update


def lane(kind: str, params: Mapping[str, Any], executor: str = "local") -> str:
    """Which queue a run waits in: ``prepare``, ``cpu`` or ``gpu``; ``ray`` where a cluster has a queue of its own."""
    if kind == "prepare" or executor == "ray":
        return "prepare" if kind == "prepare" else "ray"
    return "gpu" if runtime.gpus() and wants_gpu(kind, params) else "cpu"


def wants_gpu(kind: str, params: Mapping[str, Any]) -> bool:
    """Whether this work would go to a GPU where there is one."""
    if kind in {"encode", "train-encoder"}:
        return params.get("device", "auto") in {"auto", "cuda"}
    if kind in {"train", "tune"} and (params.get("options") or {}).get("device", "auto") in {"auto", "cuda"}:
        return bool(registry.schema("models", params["model"])["trains"])
    return False


def slots(lane_name: str) -> list[str]:
    """The places of a lane, as many as runs may work in it at a time; those of ``gpu`` are the devices' own names."""
    if lane_name == "gpu":
        return runtime.visible_gpus()
    return [str(at) for at in range({"cpu": settings.cpu_runs(), "ray": 64}.get(lane_name, 1))]


def ahead(run: Run) -> list[Run]:
    """Runs that must end or begin before this queued one may begin, in their order; other machines have lanes of their own."""
    own = {key: run.record.get(key) for key in ("lane", "machine")}
    live = [
        r for r in all_runs() if r.id != run.id and {key: r.record.get(key) for key in own} == own and r.status in LIVE
    ]
    return sorted((r for r in live if r.status == "running" or r.place < run.place), key=lambda r: r.place)


def create(kind: str, params: Mapping[str, Any], *, executor: str | None = None, workers: int = 1) -> Run:
    """Write down what is wanted; nothing starts yet.

    Args:
        executor: ``local`` or ``ray``; ``None``: the cluster where one is named.
        workers: processes that train one model together (DDP).

    Raises:
        MMRecError: an executor that is not there, or workers for what one process does.
    """
    where = ray_cluster.executor(kind, executor)
    if workers != 1 and (
        kind != "train" or not 1 < workers <= 1024 or not registry.schema("models", params["model"])["trains"]
    ):
        raise MMRecError(
            f"--workers {workers}: several processes can train a gradient model together; nothing else, and at most 1024."
        )
    storage.open_home()
    named = {k: str(params[k]) for k in ("dataset", "model") if params.get(k)}
    if "encoder" in params:  # hub names and pairs hold slashes, colons and plus signs
        named["model"] = re.sub(r"[^A-Za-z0-9._-]+", "-", named["model"]).strip("-.")[:64] or "encoder"
    label = "-".join(storage.safe_name(name, kind) for kind, name in named.items())
    now = time.time_ns()
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 1_000_000_000))
    run_id = f"{moment}-{now % 1_000_000_000:09d}-{label}-{secrets.token_hex(2)}"
    folder = runs_folder() / run_id
    with storage.plain_errors(folder):
        folder.mkdir(parents=True)
        told = {"kind": kind, "params": dict(params), "lane": lane(kind, params, where), "status": "queued",
                "created": now / 1e9, "queued": now / 1e9, **heartbeat.here(), "pid": None, "executor": where,
                "workers": workers}  # fmt: skip
        storage.write_json(folder / "run.json", told)
    return Run(folder, told)


def start(kind: str, params: Mapping[str, Any], *, executor: str | None = None, workers: int = 1) -> Run:
    """Start work in the background; asking again for what is already queued or running gives that run.

    Raises:
        MMRecError: an unknown kind, nobody who may (:mod:`mmrec_core.ownership`), a path that may not be named, or too many runs that wait already.
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
                f"{waiting} runs are waiting already. Wait until some have ended, stop some, or raise MMREC_MOST_QUEUED."
            )
        return _launch(create(kind, params, executor=executor, workers=workers))


def resume(run_id: str, *, background: bool = True) -> Run:
    """Queue a failed or stopped run again; a training goes on from its last checkpoint.

    Raises:
        MMRecError: it is finished, or its data were prepared anew since.
    """
    ownership.require("resume work")
    with storage.locked("start"):
        run = get(run_id)
        if run.status in LIVE:
            return run
        if run.status == "finished":
            raise MMRecError(
                f"Run '{run_id}' is finished. To train on from it, start a new one with --from-run {run_id}."
            )
        if run.record.get("data") is not None:
            from mmrec_core.data.preparation import open_dataset

            if open_dataset(run.params["dataset"]).checksum != run.record["data"]:
                raise MMRecError(f"'{run.params['dataset']}' was prepared anew since run '{run_id}'; start a new run.")
        _wait_for_end(run)
        run = update(run, status="queued", queued=time.time(), **heartbeat.here(), pid=None, waits=False, stopped_from=None, error=None, ended=None,
                     lane=lane(run.kind, run.params, str(run.record.get("executor", "local"))), resumed=int(run.record.get("resumed", 0)) + 1)  # fmt: skip
        return _launch(run) if background else run


def relaunch_orphaned() -> list[Run]:
    """Give queued runs whose worker vanished before its turn (a reboot) a new one."""
    with storage.locked("start"):
        lost = [
            r
            for r in all_runs()
            if r.record["status"] == "queued" and r.status == "failed" and not r.record.get("foreground")
        ]
        begun = []
        for run in lost:
            heartbeat.beat(run.folder)  # nobody else is to take it for lost before its worker is up
            try:
                begun.append(
                    _launch(
                        update(
                            run,
                            **heartbeat.here(),
                            pid=None,
                            waits=False,
                            lane=lane(run.kind, run.params, str(run.record.get("executor", "local"))),
                        )
                    )
                )
            except MMRecError as error:  # its model is gone; nobody else has to suffer for that
                update(run, status="failed", error=str(error))
    supervise_soon()
    return begun


def workers(lane_name: str) -> int:
    """Processes of this machine that work in a lane, or wait there."""
    return sum(
        r.record.get("lane") == lane_name
        and r.record.get("machine") == heartbeat.machine()
        and r.record.get("pid") is not None
        and r.status in LIVE
        for r in all_runs()
    )


def most_workers(lane_name: str) -> int:
    """How many processes a lane may have: one for each slot, and two that are ready when slots fall free, for short work ends before another has started."""
    return len(slots(lane_name)) + 2


def _launch(run: Run) -> Run:
    """A worker process for a queued run; where enough of its lane wait already it gets one when its turn comes near (:mod:`mmrec_core.runs.supervisor`)."""
    lane_name = str(run.record["lane"])
    if workers(lane_name) < most_workers(lane_name) and not any(r.record["lane"] == lane_name for r in waiting()):
        return spawn(run)
    heartbeat.beat(run.folder)
    run = update(run, waits=True)
    supervise_soon()
    return run


def waiting() -> list[Run]:
    """Runs of this place that have no worker yet, in their order."""
    there = (
        r
        for r in all_runs()
        if r.record["status"] == "queued" and r.record.get("waits") and r.record.get("place") == heartbeat.place()
    )
    return sorted(there, key=lambda r: r.place)


def supervisor_lock() -> FileLock:
    """Held by the one process that looks after this place's waiting runs."""
    folder = storage.open_home() / "locks"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / f"supervisor-{re.sub(r'[^A-Za-z0-9.-]+', '-', heartbeat.place())}.lock")


def supervise_soon() -> None:
    """See to it that somebody looks after the runs that wait, in a process of its own."""
    if not waiting():
        return
    try:
        with supervisor_lock().acquire(timeout=0):
            pass
    except Timeout:
        return  # whoever holds it looks once more after letting go
    with (settings.home() / "supervisor.log").open("ab") as log:
        _reap(_background(["supervise"], log))


def _background(words: Sequence[str], log: Any) -> subprocess.Popen[bytes]:
    """A process of ours that outlives the one that starts it."""
    options: dict[str, Any] = (
        {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x00000200 | 0x00004000}
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MMREC_HOME": str(settings.home())}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) - 1)))  # one core stays with the app
    return subprocess.Popen(
        [sys.executable, "-m", "mmrec_core", *words],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=settings.ROOT,
        env=environment,
        **options,
    )


def spawn(run: Run) -> Run:
    """A worker process for a queued run, now."""
    heartbeat.beat(run.folder)
    with storage.plain_errors(run.folder), (run.folder / "log.txt").open("ab") as log:
        process = _background(["work", run.id], log)
    _reap(process)
    with storage.locked("run"):
        told = read_record(run.folder)
        if told.get("pid") is None and told["status"] == "queued":  # a quick worker has written its own already
            told |= heartbeat.owner(process.pid)
            storage.write_json(run.folder / "run.json", told)
    return Run(run.folder, told)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for a worker in the background: one that ends while nobody looks does not linger as a zombie."""
    threading.Thread(target=process.wait, daemon=True, name=f"reaper of {process.pid}").start()


def stop(run_id: str) -> Run:
    """Stop a queued or running run; a training keeps its best weights and its checkpoint. One that has ended stays as it is."""
    ownership.require("stop work")
    run = get(run_id)
    if run.status not in LIVE:
        return run
    with storage.locked("run"):
        told = read_record(run.folder)
        if told["status"] not in LIVE:  # it ended meanwhile
            return Run(run.folder, told)
        told |= {"status": "stopped", "stopped_from": heartbeat.place(), "ended": time.time()}
        storage.write_json(run.folder / "run.json", told)
    pid = told.get("pid")
    if (
        heartbeat.elsewhere(told) is None and pid is not None and pid != os.getpid()
    ):  # a worker elsewhere looks at what is written
        _signal(
            int(pid), signal.SIGTERM, group=run.kind != "tune" and told.get("workers", 1) == 1
        )  # Ray's processes are ended by the worker, in their order
    return Run(run.folder, told)


def _signal(pid: int, what: int, group: bool = True) -> None:
    try:
        if group and os.name == "posix" and os.getpgid(pid) == pid:
            os.killpg(pid, what)
        else:
            os.kill(pid, what)
    except (ProcessLookupError, PermissionError):
        pass


def _wait_for_end(run: Run) -> None:
    """Until a worker that was asked to stop is gone; past its grace it is killed, its last checkpoint stands."""
    until = time.time() + GRACE_S + 5
    own = heartbeat.owner()
    while (
        (run := get(run.id)).record.get("pid") is not None
        and not heartbeat.same_owner(run.record, own)
        and heartbeat.lives(run.record, run.folder)
    ):
        if time.time() > until:
            there = heartbeat.elsewhere(run.record)
            if there or run.record.get("foreground"):
                raise MMRecError(
                    f"Run '{run.id}' is still ending {f'on {there}' if there else 'in the terminal or notebook that started it'}; try again."
                )
            _signal(int(run.record["pid"]), getattr(signal, "SIGKILL", signal.SIGTERM))
            until = time.time() + 5
        time.sleep(0.05)


def start_all(dataset: str, models: Sequence[str] = ()) -> list[Run]:
    """Train one model of each family (or these) with its usual settings in the background, unless that is done or under way."""
    from mmrec_core.data.preparation import open_dataset

    opened = open_dataset(dataset)
    full = full_name(USUAL["protocol"], opened)
    done = {model for model, run in finished(opened).items() if _usual(run, full)}
    known, films = registry.builtin("models"), bool(opened.manifest["films"])
    usual = [m for m in usable_models(opened) if m in SHOWN_FIRST or m not in known or not films]
    cheap_first = sorted(models or usual, key=lambda m: bool(registry.schema("models", m)["trains"]))
    begun = [start("train", training_params(dataset, m)) for m in cheap_first if m not in done]
    judged = {r.params.get("oracle") for r in all_runs() if r.kind == "evaluate" and r.record["status"] == "finished"
              and r.record.get("data") == opened.checksum}  # fmt: skip
    if models:
        return begun
    begun += [start("encode", encoding_params(dataset, name)) for name in usual_encoders(opened)]
    return begun + [
        start("evaluate", oracle_params(dataset, name)) for name in oracle_names(opened) if name not in judged
    ]
