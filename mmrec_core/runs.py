"""Work with a memory: every training or preparation is a folder that its worker writes and that anybody may read.

``MMREC_HOME/runs/<id>/`` holds ``run.json`` (what was asked, how it stands), ``events.jsonl`` (progress), ``log.txt`` (what
the worker printed), ``checkpoints/`` while it trains, then ``result.json``, ``per_query.npz`` and ``model/``. A worker is a
low-priority process in a group of its own (:mod:`mmrec_core.work`); it outlives the page and the server. Runs wait their
turn in the order asked for, in a lane per kind of device (one run per GPU, ``MMREC_CPU_RUNS`` on the CPU), on file locks
that free themselves when their holder dies; nothing has to be running for that. Several machines may share a home: each has lanes of its own, and
sees of the others' workers what they write (:mod:`mmrec_core.liveness`). Runs far from their turn have no worker yet (:mod:`mmrec_core.supervision`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from mmrec_core import cluster, features, liveness, ownership, records, registry, settings, storage
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.protocols import AHEAD, Protocol, full_name, remembers
from mmrec_core.types import Dataset

LIVE = {"queued", "running"}
KINDS = ("prepare", "encode", "project", "train-encoder", "train", "evaluate", "crossing", "tune")
NEEDED = {
    "prepare": ("reader",), "encode": ("model", "encoder"), "project": ("model", "encoder", "view"), "train-encoder": ("model", "encoder"),
    "train": ("model",), "evaluate": ("model",), "crossing": ("model", "models"), "tune": ("model", "space", "trials"),
}  # fmt: skip
"""Of each kind what its ``params`` name beside the dataset."""
GRACE_S = 10.0
"""How long a worker that was asked to stop may take to keep its checkpoint."""


@dataclass(frozen=True)
class Run:
    """One run as its folder tells it."""

    folder: Path
    told: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """One of :data:`KINDS`."""
        return str(self.told["kind"])

    @property
    def params(self) -> dict[str, Any]:
        """What was asked for."""
        return {**(USUAL if self.kind in {"train", "tune"} else {}), **self.told["params"]}

    @property
    def place(self) -> float:
        """Where it stands in the queue: moments in seconds, earlier ones first."""
        return float(self.told.get("queued") or self.told["created"])

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``finished``, ``failed`` or ``stopped``; a worker that vanished has failed."""
        said = str(self.told["status"])
        return "failed" if said in LIVE and not liveness.lives(self.told, self.folder) else said

    @property
    def error(self) -> str | None:
        """Why it failed, in a line."""
        if self.status != "failed":
            return None
        if self.told.get("error"):
            return str(self.told["error"])
        last = self.last("progress")
        where = f" while {last['what']}, at {last['done']:,} of {last['total']:,}" if last else ""
        return f"The worker process ended without a word{where}: killed, out of memory, or the machine went down. " + (
            "Resume it to go on from its last checkpoint." if self.has_checkpoint else "Resume it to start again."
        )

    @property
    def has_checkpoint(self) -> bool:
        """Whether a resumed run would go on from where it was."""
        return any((self.folder / "checkpoints").glob("[!.]*.safetensors")) or (self.folder / "trials.json").exists()

    @property
    def has_model(self) -> bool:
        """Whether it left a model behind."""
        return (self.folder / "model" / "config.json").exists()

    def result(self) -> dict[str, Any] | None:
        """What it found, once finished; ``None`` where there is nothing, or where the file is damaged (see :attr:`damage`)."""
        try:
            return self.read_result()
        except DamagedFile:
            return None

    def read_result(self) -> dict[str, Any] | None:
        """What it found, once finished, read again only when the file changed.

        Raises:
            DamagedFile: ``result.json`` cannot be read, or is no result of such a run.
        """
        return read_result(self.folder, self.kind)

    @property
    def damage(self) -> DamagedFile | None:
        """What is wrong with its result; ``None`` where nothing is."""
        try:
            self.read_result()
        except DamagedFile as error:
            return error
        return None

    def events(self) -> list[dict[str, Any]]:
        """Progress so far, oldest first; a line that is cut short or no news is passed over. Only what is new is read."""
        file = self.folder / "events.jsonl"
        try:
            size = file.stat().st_size
            upto, found = _read_events.get(file, (0, []))
            if size < upto:
                upto, found = 0, []
            if size > upto:
                with file.open("rb") as held:
                    held.seek(upto)
                    new = held.read(size - upto)
                whole = new[: new.rfind(b"\n") + 1]
                found = [*found, *(event for line in whole.splitlines() if (event := _news(line)) is not None)]
                upto += len(whole)
                _read_events[file] = (upto, found)
                while len(_read_events) > 64:
                    _read_events.pop(next(iter(_read_events)))
        except OSError:
            return []
        return found

    def epochs(self, phase: str = "fit") -> list[dict[str, Any]]:
        """One event per epoch of a phase, in order; an epoch that was repeated after a kill counts once, as it was last."""
        found = {e["epoch"]: e for e in self.events() if e.get("kind") == "epoch" and e.get("phase", "fit") == phase}
        return [found[at] for at in sorted(found)]

    def last(self, kind: str) -> dict[str, Any] | None:
        """The newest event of a kind: ``progress``, ``tick``, ``epoch`` or ``note``."""
        return next((e for e in reversed(self.events()) if e.get("kind") == kind), None)

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the worker's log."""
        file = self.folder / "log.txt"
        try:
            with file.open("rb") as held:
                held.seek(max(0, file.stat().st_size - 20_000))
                return "\n".join(held.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""


_read_events: dict[Path, tuple[int, list[dict[str, Any]]]] = {}


def runs_folder() -> Path:
    """Where run folders live."""
    return settings.home() / "runs"


_read_runs: dict[Path, tuple[tuple[int, int], dict[str, Any] | DamagedFile]] = {}
NEWS = {"progress", "tick", "epoch", "note"}
REMEDY = "Mend it, or delete the run: python -m mmrec_core delete run {}"


def _news(line: bytes) -> dict[str, Any] | None:
    """A line of ``events.jsonl``; ``None`` where it is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
        return None
    return event if event["kind"] not in NEWS or records.fault_of(event, records.NEWS) is None else None


def read_result(folder: Path, kind: str) -> dict[str, Any] | None:
    """What a run of a kind found; see :meth:`Run.read_result`."""
    file = folder / "result.json"
    try:
        told = file.stat()
    except OSError:
        return None
    return _read_result(file, kind, told.st_mtime_ns, told.st_size)


@lru_cache(maxsize=1024)
def _read_result(file: Path, kind: str, modified_ns: int, size: int) -> dict[str, Any]:
    remedy = f"Its figures are left out. Mend it, or delete the run and start it again: python -m mmrec_core delete run {file.parent.name}"
    shape = {"train": records.RESULT, "evaluate": records.RESULT, "crossing": records.CROSSING, "tune": records.TUNED}.get(kind, records.OTHER_RESULT)
    return records.read(file, shape, remedy)


def read_told(folder: Path) -> dict[str, Any]:
    """What a run's ``run.json`` says.

    Raises:
        MMRecError: it is missing.
        DamagedFile: it cannot be read, or is no record of a run.
    """
    file, remedy = folder / "run.json", REMEDY.format(folder.name)
    told = records.read(file, records.RUN, remedy)
    if told["kind"] not in KINDS:
        raise DamagedFile(storage.shown(file), f"it is a run of the kind {told['kind']!r}; known are {', '.join(KINDS)}", remedy)
    lacking = [k for k in NEEDED.get(told["kind"], ()) if told["params"].get(k) is None]
    if lacking:
        raise DamagedFile(storage.shown(file), f"'params.{lacking[0]}' is missing", remedy)
    return told


def _looked_at() -> list[tuple[Path, dict[str, Any] | DamagedFile]]:
    """Every run's folder with what its ``run.json`` says, or why that cannot be read; a file that did not change is not read again."""
    found = []
    for file in sorted(runs_folder().glob("[!.]*/run.json")):
        try:
            stat = file.stat()
        except OSError:
            continue  # it has just been removed
        stamp = (stat.st_mtime_ns, stat.st_size)
        held = _read_runs.get(file)
        if held is None or held[0] != stamp:
            told: dict[str, Any] | DamagedFile
            try:
                told = read_told(file.parent)
            except DamagedFile as error:
                told = error
            except MMRecError:
                continue
            held = _read_runs[file] = (stamp, told)
        found.append((file.parent, held[1]))
    return found


def all_runs() -> list[Run]:
    """Every run, oldest first, but those of :func:`damaged_runs`."""
    return [Run(folder, told) for folder, told in _looked_at() if not isinstance(told, DamagedFile)]


def damaged_runs() -> dict[str, DamagedFile]:
    """Runs whose ``run.json`` cannot be read, by id, and what is wrong with it; their folders are left as they are."""
    return {folder.name: told for folder, told in _looked_at() if isinstance(told, DamagedFile)}


def get(run_id: str) -> Run:
    """One run.

    Raises:
        MMRecError: unknown.
        DamagedFile: its ``run.json`` cannot be read.
    """
    folder = runs_folder() / run_id
    if folder.parent != runs_folder() or not (folder / "run.json").exists():
        raise unknown_name("run", run_id, [r.id for r in all_runs()][-8:])
    return Run(folder, read_told(folder))


def finished(dataset: Dataset) -> dict[str, Run]:
    """The newest finished training of each model on this very data, by model name; usual settings before special ones."""
    full = full_name(USUAL["protocol"], dataset)
    found: dict[str, Run] = {}
    for run in all_runs():
        if run.kind == "train" and run.told["status"] == "finished" and run.params["dataset"] == dataset.name:
            if run.told.get("data") == dataset.checksum and run.has_model:
                model = run.params["model"]
                if _usual(run, full) or model not in found or not _usual(found[model], full):
                    found[model] = run
    return found


def _usual(run: Run, full: str) -> bool:
    """Whether a training was asked for with all its usual settings, and recorded which rows it knows, as results of today do.

    Args:
        full: what the usual protocol is called on these data (:func:`mmrec_core.protocols.full_name`).
    """
    params = run.params
    usual = {"dataset": params["dataset"], "model": params["model"], **USUAL, "protocol": full}
    return params == usual and run.told.get("known") is not None


# The queue


def lane(kind: str, params: Mapping[str, Any], executor: str = "local") -> str:
    """Which queue a run waits in: ``prepare``, ``cpu`` or ``gpu``; ``ray`` where a cluster has a queue of its own."""
    if kind == "prepare" or executor == "ray":
        return "prepare" if kind == "prepare" else "ray"
    return "gpu" if settings.gpus() and wants_gpu(kind, params) else "cpu"


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
        return settings.visible_gpus()
    return [str(at) for at in range({"cpu": settings.cpu_runs(), "ray": 64}.get(lane_name, 1))]


def ahead(run: Run) -> list[Run]:
    """Runs that must end or begin before this queued one may begin, in their order; other machines have lanes of their own."""
    own = {key: run.told.get(key) for key in ("lane", "machine")}
    live = [r for r in all_runs() if r.id != run.id and {key: r.told.get(key) for key in own} == own and r.status in LIVE]
    return sorted((r for r in live if r.status == "running" or r.place < run.place), key=lambda r: r.place)


def create(kind: str, params: Mapping[str, Any], *, executor: str | None = None, workers: int = 1) -> Run:
    """Write down what is wanted; nothing starts yet.

    Args:
        executor: ``local`` or ``ray``; ``None``: the cluster where one is named.
        workers: processes that train one model together (DDP).

    Raises:
        MMRecError: an executor that is not there, or workers for what one process does.
    """
    where = cluster.executor(kind, executor)
    if workers != 1 and (kind != "train" or not 1 < workers <= 1024 or not registry.schema("models", params["model"])["trains"]):
        raise MMRecError(f"--workers {workers}: several processes can train a gradient model together; nothing else, and at most 1024.")
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
                "created": now / 1e9, "queued": now / 1e9, **liveness.here(), "pid": None, "executor": where,
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
            raise MMRecError(f"{waiting} runs are waiting already. Wait until some have ended, stop some, or raise MMREC_MOST_QUEUED.")
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
        if run.told.get("data") is not None:
            from mmrec_core.preparation import open_dataset

            if open_dataset(run.params["dataset"]).checksum != run.told["data"]:
                raise MMRecError(f"'{run.params['dataset']}' was prepared anew since run '{run_id}'; start a new run.")
        _wait_for_end(run)
        run = update(run, status="queued", queued=time.time(), **liveness.here(), pid=None, waits=False, stopped_from=None, error=None, ended=None,
                     lane=lane(run.kind, run.params, str(run.told.get("executor", "local"))), resumed=int(run.told.get("resumed", 0)) + 1)  # fmt: skip
        return _launch(run) if background else run


def revive() -> list[Run]:
    """Give queued runs whose worker vanished before its turn (a reboot) a new one."""
    with storage.locked("start"):
        lost = [
            r
            for r in all_runs()
            if r.told["status"] == "queued" and r.status == "failed" and not r.told.get("foreground")
        ]
        begun = []
        for run in lost:
            liveness.beat(run.folder)  # nobody else is to take it for lost before its worker is up
            try:
                begun.append(_launch(update(run, **liveness.here(), pid=None, waits=False, lane=lane(run.kind, run.params, str(run.told.get("executor", "local"))))))
            except MMRecError as error:  # its model is gone; nobody else has to suffer for that
                update(run, status="failed", error=str(error))
    supervise_soon()
    return begun


def workers(lane_name: str) -> int:
    """Processes of this machine that work in a lane, or wait there."""
    return sum(r.told.get("lane") == lane_name and r.told.get("machine") == liveness.machine() and r.told.get("pid") is not None and r.status in LIVE for r in all_runs())


def most_workers(lane_name: str) -> int:
    """How many processes a lane may have: one for each slot, and two that are ready when slots fall free, for short work ends before another has started."""
    return len(slots(lane_name)) + 2


def _launch(run: Run) -> Run:
    """A worker process for a queued run; where enough of its lane wait already it gets one when its turn comes near (:mod:`mmrec_core.supervision`)."""
    lane_name = str(run.told["lane"])
    if workers(lane_name) < most_workers(lane_name) and not any(r.told["lane"] == lane_name for r in waiting()):
        return spawn(run)
    liveness.beat(run.folder)
    run = update(run, waits=True)
    supervise_soon()
    return run


def waiting() -> list[Run]:
    """Runs of this place that have no worker yet, in their order."""
    there = (r for r in all_runs() if r.told["status"] == "queued" and r.told.get("waits") and r.told.get("place") == liveness.place())
    return sorted(there, key=lambda r: r.place)


def supervisor_lock() -> FileLock:
    """Held by the one process that looks after this place's waiting runs."""
    folder = storage.open_home() / "locks"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / f"supervisor-{re.sub(r'[^A-Za-z0-9.-]+', '-', liveness.place())}.lock")


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
    options: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x00000200 | 0x00004000}
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MMREC_HOME": str(settings.home())}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) - 1)))  # one core stays with the app
    return subprocess.Popen([sys.executable, "-m", "mmrec_core", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=settings.ROOT, env=environment, **options)


def spawn(run: Run) -> Run:
    """A worker process for a queued run, now."""
    liveness.beat(run.folder)
    with storage.plain_errors(run.folder), (run.folder / "log.txt").open("ab") as log:
        process = _background(["work", run.id], log)
    _reap(process)
    with storage.locked("run"):
        told = read_told(run.folder)
        if told.get("pid") is None and told["status"] == "queued":  # a quick worker has written its own already
            told |= liveness.owner(process.pid)
            storage.write_json(run.folder / "run.json", told)
    return Run(run.folder, told)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for a worker in the background: one that ends while nobody looks does not linger as a zombie."""
    threading.Thread(target=process.wait, daemon=True, name=f"reaper of {process.pid}").start()


def update(run: Run, **changes: Any) -> Run:
    """Change what ``run.json`` tells; one writer at a time."""
    with storage.locked("run"):
        told = {**read_told(run.folder), **changes}
        storage.write_json(run.folder / "run.json", told)
    return Run(run.folder, told)


def stop(run_id: str) -> Run:
    """Stop a queued or running run; a training keeps its best weights and its checkpoint. One that has ended stays as it is."""
    ownership.require("stop work")
    run = get(run_id)
    if run.status not in LIVE:
        return run
    with storage.locked("run"):
        told = read_told(run.folder)
        if told["status"] not in LIVE:  # it ended meanwhile
            return Run(run.folder, told)
        told |= {"status": "stopped", "stopped_from": liveness.place(), "ended": time.time()}
        storage.write_json(run.folder / "run.json", told)
    pid = told.get("pid")
    if liveness.elsewhere(told) is None and pid is not None and pid != os.getpid():  # a worker elsewhere looks at what is written
        _signal(int(pid), signal.SIGTERM, group=run.kind != "tune" and told.get("workers", 1) == 1)  # Ray's processes are ended by the worker, in their order
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
    own = liveness.owner()
    while (run := get(run.id)).told.get("pid") is not None and not liveness.same_owner(run.told, own) and liveness.lives(run.told, run.folder):
        if time.time() > until:
            there = liveness.elsewhere(run.told)
            if there or run.told.get("foreground"):
                raise MMRecError(f"Run '{run.id}' is still ending {f'on {there}' if there else 'in the terminal or notebook that started it'}; try again.")
            _signal(int(run.told["pid"]), getattr(signal, "SIGKILL", signal.SIGTERM))
            until = time.time() + 5
        time.sleep(0.05)


# How long


def remaining(run: Run) -> float | None:
    """Seconds a running training may still take, at most: early stopping may end it sooner. ``None`` while nobody knows."""
    steps = [e for e in run.events() if e.get("kind") == "progress" and e.get("total")]
    since = float(run.told.get("started") or 0)
    steps = [e for e in steps if e["time"] >= since]
    if len(steps) < 2 or steps[-1]["what"] != steps[-2]["what"]:
        return None
    same = [e for e in steps[-200:] if e["what"] == steps[-1]["what"]]
    done, spent = same[-1]["done"] - same[0]["done"], same[-1]["time"] - same[0]["time"]
    return (same[-1]["total"] - same[-1]["done"]) * spent / done if done > 0 and spent > 0 else None


def usual_seconds(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """What earlier finished trainings say of how long this one takes: ``{"seconds", "most", "runs"}``; ``None`` where there
    are none of this model on this dataset. ``most`` counts every allowed epoch; early stopping mostly ends sooner."""
    alike = [r for r in all_runs() if r.kind == "train" and r.told["status"] == "finished"
             and (r.params["dataset"], r.params["model"]) == (params["dataset"], params["model"])]  # fmt: skip
    shape = ("dim", "batch_size", "negatives")
    own = params.get("options") or {}
    same = [r for r in alike if all((r.params["options"] or {}).get(k) == own.get(k) for k in shape)
            and r.params["fraction"] == params.get("fraction", 1.0)]  # fmt: skip
    results = [(r, found) for r in (same or alike)[-5:] if (found := r.result())]
    if not results:
        return None
    share = {
        r.id: params.get("fraction", 1.0) / r.params["fraction"] for r, _ in results
    }  # rows to learn from, against theirs
    spent = [found["seconds"]["fit"] * share[r.id] + found["seconds"]["evaluate"] for r, found in results]
    told = {"seconds": float(np.median(spent)), "most": None, "runs": len(results), "same": bool(same)}
    per_epoch = [found["seconds"]["fit"] * share[r.id] / found["epochs"] for r, found in results if found.get("epochs")]
    if per_epoch:
        trainer = registry.schema("models", params["model"])["train"]["properties"]
        epochs, patience = (int(own.get(k, trainer[k]["default"])) for k in ("max_epochs", "patience"))
        told["most"] = float(np.median(per_epoch)) * epochs + float(
            np.median([f["seconds"]["evaluate"] for _, f in results])
        )
        most = float(told["most"] or 0.0)
        told["seconds"] = most if patience == 0 else min(float(told["seconds"] or 0.0), most)
    return told


def plain(value: Any) -> Any:
    """Numbers JSON knows; NaN and infinity become ``null``."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.floating, float)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def liked_from(asked: Mapping[str, Any]) -> float | None:
    """The threshold of liking that was asked for; where low ratings were dropped instead, whatever was kept is liked."""
    return asked.get("relevant_from") if asked.get("relevant_from") is not None else asked.get("filter_from")


NAME_LENGTH = 40


def rename(run_id: str, name: str) -> Run:
    """Give a run a name of one's own, shown wherever its result is; an empty one takes it back.

    Raises:
        MMRecError: an unknown run, a name that is too long or holds control characters.
    """
    ownership.require("rename results")
    name = " ".join(name.split())
    if len(name) > NAME_LENGTH or not name.isprintable():
        raise MMRecError(f"A name has at most {NAME_LENGTH} printable characters; this one has {len(name)}.")
    run = get(run_id)
    if name in registry.names("models"):
        raise MMRecError(f"'{name}' is the name of a model; choose another.")
    return update(run, name=name or None)


def known_rows(asked: Mapping[str, Any]) -> Literal["training", "training + validation"]:
    """Which rows a model knows when it is tested in the regime ``frozen``."""
    return "training + validation" if asked.get("refit") else "training"


# What may be asked for


USUAL: dict[str, Any] = {
    "split": "user-temporal", "split_seed": 0, "seed": 0, "protocol": "full", "regime": "frozen",
    "relevant_from": None, "filter_from": None, "refit": False, "fraction": 1.0, "from_run": None, "encoder": None,
    "modality": None, "options": {},
}  # fmt: skip
"""A training as it is when nothing else is said."""
SPLITS = (
    "user-temporal", "random", "random-global", "chronological", "leave-one-out", "cold-user", "cold-item", "folds", "official", "file",
)  # fmt: skip


def training_params(dataset: str, model: str, **asked: Any) -> dict[str, Any]:
    """The full description of a training, defaults filled in and settings checked, so that equal wishes are equal runs.

    Raises:
        MMRecError: unknown dataset or model, or settings out of range.
    """
    from mmrec_core.preparation import open_dataset

    opened = open_dataset(dataset)
    registry.entry("models", model)
    if unknown := set(asked) - set(USUAL):
        raise unknown_name("training option", sorted(unknown)[0], sorted(USUAL))
    params = {"dataset": dataset, "model": model, **USUAL, **asked}
    if not 0 < params["fraction"] <= 1:
        raise MMRecError(f"--fraction is {params['fraction']:g}; expected more than 0 and at most 1, such as 0.1.")
    if params["from_run"] is not None:
        place = donor_place(params["from_run"])
        params["from_run"] = str(place) if place.is_file() else params["from_run"]
    if str(params["split"]).startswith("file:"):  # the worker stands elsewhere
        params["split"] = f"file:{ownership.confined(str(params['split'])[5:])}"
    _check_protocol(params["protocol"], params["regime"], opened)
    params["protocol"] = full_name(params["protocol"], opened)
    params["options"] = _typed(model, params["options"])
    params["encoder"], params["modality"] = _content(model, opened, params["encoder"], params["modality"])
    by_time = str(params["split"]).partition(":")[0] in {"chronological", "file"}  # of a file evaluation will tell
    if params["regime"] == "stream" and remembers(registry.schema("models", model)["needs"]) and not by_time:
        raise MMRecError(f"'{model}' {AHEAD}")
    if str(params["split"]).partition(":")[0] not in SPLITS:
        raise unknown_name("split", str(params["split"]), list(SPLITS))
    return params


def _content(model: str, dataset: Dataset, encoder: str | None, modality: str | None) -> tuple[str | None, str | None]:
    """Whose vectors, and which, a model of plots and posters is given; ``None`` for a model that reads none.

    Raises:
        MMRecError: vectors were asked for that the model does not read, or that are not there.
    """
    reads = {m for need in registry.schema("models", model)["needs"] for m in need.split("|")} & {"text", "image"}
    if not reads:
        if encoder is not None or modality not in {None, "none"}:
            raise MMRecError(f"'{model}' reads neither plots nor posters; leave out --encoder and --modality.")
        return None, None
    wanted = modality or "both"
    chosen = None if wanted == "none" else encoder or features.usual(dataset)
    features.content(dataset, chosen, wanted)
    return chosen, wanted


def _check_protocol(protocol: str, regime: str, dataset: Dataset) -> None:
    """Refuse what evaluation would refuse once the training is over."""
    n = Protocol.parse(protocol).negatives or 0
    if n >= dataset.manifest["films"] > 0:
        raise MMRecError(
            f"Protocol '{protocol}' wants {n:,} other films; {dataset.name} has {dataset.manifest['films']:,} in all."
        )
    if regime not in {"frozen", "stream"}:
        raise unknown_name("regime", regime, ["frozen", "stream"])
    if regime == "stream" and "time" not in dataset.manifest["has"]:
        raise MMRecError(f"Regime 'stream' needs times, which {dataset.name} does not have.")


def _typed(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as their config has them, those at their default left out: ``{"dim": "64"}`` and ``{}`` are one wish."""
    told = registry.schema("models", model)
    known = {**told.get("train", {}).get("properties", {}), **told["config"].get("properties", {})}
    found = {}
    for key, value in options.items():
        kind = known.get(key, {}).get("type")
        if isinstance(value, str):
            with contextlib.suppress(ValueError):  # what is no number is refused later, with what was expected
                value = {"integer": int, "number": float}.get(kind, str)(value)
            if kind == "boolean":
                value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
                    str(value).lower(), value
                )
        default = told["preset"].get(key, known.get(key, {}).get("default"))
        if key not in known or value != default:
            found[key] = value
    return found


def evaluation_params(
    run_id: str, protocol: str, regime: str, relevant_from: float | None = None, tables: str | None = None
) -> dict[str, Any]:
    """The full description of judging a trained model again; with ``tables`` also with smaller embedding tables.

    Raises:
        MMRecError: the run is no finished training.
    """
    run = get(run_id)
    if run.kind != "train" or run.status != "finished":
        raise MMRecError(f"Run '{run_id}' is {run.status}; only a finished training can be judged.")
    from mmrec_core.preparation import open_dataset

    opened = open_dataset(run.params["dataset"])
    _check_protocol(protocol, regime, opened)
    return {"dataset": run.params["dataset"], "model": run.params["model"], "run": run_id, "protocol": full_name(protocol, opened),
            "regime": regime, "relevant_from": relevant_from, **({"tables": tables} if tables else {})}  # fmt: skip


def encoding_params(dataset: str, encoder: str, **asked: Any) -> dict[str, Any]:
    """The full description of encoding a catalog, and of drawing its maps afterwards.

    Raises:
        MMRecError: not prepared.
    """
    from mmrec_core.preparation import open_dataset

    open_dataset(dataset)
    return {
        "dataset": dataset,
        "model": encoder,
        "encoder": encoder,
        "options": {},
        "device": "auto",
        "project": True,
        **asked,
    }


def projection_params(dataset: str, encoder: str, view: str, **asked: Any) -> dict[str, Any]:
    """The full description of drawing a map."""
    return {
        "dataset": dataset,
        "model": encoder,
        "encoder": encoder,
        "view": view,
        "dim": 2,
        "seed": 0,
        "again": False,
        **asked,
    }


def encoder_training_params(datasets: Sequence[str], encoder: str, **asked: Any) -> dict[str, Any]:
    """The full description of training a dual encoder on the poster–plot pairs of one or more datasets.

    Raises:
        MMRecError: not prepared.
    """
    from mmrec_core.preparation import open_dataset

    for name in datasets:
        open_dataset(name)
    usual = {"seed": 0, "held_out": 0.2, "options": {}, "out": None}
    return {"dataset": datasets[0], "datasets": list(datasets), "model": encoder, "encoder": encoder, **usual, **asked}


def crossing_params(dataset: str, models: Sequence[str], **asked: Any) -> dict[str, Any]:
    """The full description of drawing a crossing: how good models are for newcomers, rating by rating.

    Raises:
        MMRecError: not prepared, or a model that does not work on these data.
    """
    from mmrec_core.preparation import open_dataset

    opened = open_dataset(dataset)
    for name in models:
        if name not in usable_models(opened):
            raise unknown_name("model for these data", name, usable_models(opened))
    usual = {"ks": [0, 1, 2, 3, 5, 10, 20], "seed": 0, "split_seed": 0}
    return {"dataset": dataset, "model": "crossing", "models": list(models), **usual, **asked}


def donor_place(name: str) -> Path:
    """Where the weights of a run, or of a file, lie.

    Raises:
        MMRecError: no such run or file, or the run left no model.
    """
    if Path(name).suffix in {".safetensors", ".pt", ".pth", ".pkl", ".bin", ".ckpt"} or os.sep in name:
        path = ownership.confined(name)
        if not path.is_file():
            raise MMRecError(f"{path} is not a file. Name a run, or weights saved as .safetensors, .pt or .pth.")
        return path
    run = get(name)
    if run.kind != "train" or not run.has_model:
        raise MMRecError(
            f"Run '{name}' is {run.status} and left no model; resume it, or stop it to keep its best weights."
        )
    return run.folder / "model"


SHOWN_FIRST = ("random", "popularity", "bias", "itemknn", "ease", "mf", "bpr", "svdpp", "dlrm")
"""One model of films of each family, those that take minutes left out: what ``train-all`` trains where nobody names models."""


def start_all(dataset: str, models: Sequence[str] = ()) -> list[Run]:
    """Train one model of each family (or these) with its usual settings in the background, unless that is done or under way."""
    from mmrec_core.preparation import open_dataset

    opened = open_dataset(dataset)
    full = full_name(USUAL["protocol"], opened)
    done = {model for model, run in finished(opened).items() if _usual(run, full)}
    known, films = registry.builtin("models"), bool(opened.manifest["films"])
    usual = [m for m in usable_models(opened) if m in SHOWN_FIRST or m not in known or not films]
    cheap_first = sorted(models or usual, key=lambda m: bool(registry.schema("models", m)["trains"]))
    begun = [start("train", training_params(dataset, m)) for m in cheap_first if m not in done]
    judged = {r.params.get("oracle") for r in all_runs() if r.kind == "evaluate" and r.told["status"] == "finished"
              and r.told.get("data") == opened.checksum}  # fmt: skip
    if models:
        return begun
    begun += [start("encode", encoding_params(dataset, name)) for name in usual_encoders(opened)]
    return begun + [
        start("evaluate", oracle_params(dataset, name)) for name in oracle_names(opened) if name not in judged
    ]


def usual_encoders(dataset: Dataset) -> list[str]:
    """Encoders that need nobody's weights and have not encoded these data: our own on the worlds they know, else ``classic``."""
    wanted = ["mini_clip", "mini_siglip"] if dataset.manifest["generated"] else ["classic"]
    has = dataset.manifest["posters"] or dataset.manifest["plots"]
    return [name for name in wanted if has and not (dataset.folder / "features" / name / "manifest.json").exists()]


def oracle_names(dataset: Dataset) -> tuple[str, ...]:
    """The best possible scorers that these data know; none where they are real."""
    if not dataset.manifest["generated"]:
        return ()
    names: tuple[str, ...] = registry.load("datasets", dataset.manifest["reader"]).oracle_names
    return names


def oracle_params(dataset: str, oracle: str, **asked: Any) -> dict[str, Any]:
    """The full description of asking an oracle, in the usual way unless said otherwise."""
    from mmrec_core.preparation import open_dataset

    usual = {k: USUAL[k] for k in ("split", "split_seed", "filter_from", "relevant_from", "protocol", "regime")}
    name = oracle.replace(":", "-").replace("+", "-")
    params = {"dataset": dataset, "model": name, "run": None, "oracle": oracle, **usual, **asked}
    return params | {"protocol": full_name(params["protocol"], open_dataset(dataset))}


def usable_models(dataset: Dataset) -> list[str]:
    """Models whose needs this dataset meets, without importing any (schemas are cached)."""
    there = features.offers(dataset)
    return [name for name, told in registry.schemas("models").items() if not registry.unmet(told["needs"], there)]
