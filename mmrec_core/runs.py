"""Work with a memory: every training or preparation is a folder that its worker writes and that anybody may read.

``MMREC_HOME/runs/<id>/`` holds ``run.json`` (what was asked, how it stands), ``events.jsonl`` (progress), ``log.txt`` (what
the worker printed), ``result.json``, ``per_query.npz`` and ``model/``. A worker is a low-priority process in a group of its
own; it outlives the page and the server. Runs wait their turn in the order they were asked for, one at a time, on a file
lock that frees itself when its holder dies.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import registry, settings, storage
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.types import Dataset, Progress, quiet

LIVE = {"queued", "running"}
STEP_S = 0.5
"""How often a worker tells its progress, at most."""


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
        """``prepare``, ``train`` …"""
        return str(self.told["kind"])

    @property
    def params(self) -> dict[str, Any]:
        """What was asked for."""
        return dict(self.told["params"])

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``finished``, ``failed`` or ``stopped``; a worker that vanished has failed."""
        said = str(self.told["status"])
        return "failed" if said in LIVE and not _alive(self.told) else said

    @property
    def error(self) -> str | None:
        """Why it failed, in a line."""
        if self.status != "failed":
            return None
        return str(
            self.told.get("error")
            or "The worker process ended without a word (killed, or out of memory). Start it again."
        )

    def result(self) -> dict[str, Any] | None:
        """What it found, once finished."""
        file = self.folder / "result.json"
        return storage.read_json(file) if file.exists() else None

    def events(self) -> list[dict[str, Any]]:
        """Progress so far, oldest first; a line cut short by a crash is passed over."""
        file = self.folder / "events.jsonl"
        found = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the worker's log."""
        file = self.folder / "log.txt"
        return (
            "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) if file.exists() else ""
        )


def _alive(told: Mapping[str, Any]) -> bool:
    """Whether the worker still lives: the same pid, started at the same moment."""
    import psutil

    if told.get("pid") is None:  # asked for, its worker not yet up: believed for a while
        return time.time() - float(told["created"]) < 60
    try:
        process = psutil.Process(int(told["pid"]))
        return abs(process.create_time() - float(told["pid_started"])) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def runs_folder() -> Path:
    """Where run folders live."""
    return settings.home() / "runs"


def all_runs() -> list[Run]:
    """Every run, oldest first; a folder that cannot be read is passed over."""
    _children[:] = [child for child in _children if child.poll() is None]
    found = []
    for file in sorted(runs_folder().glob("[!.]*/run.json")):
        try:
            found.append(Run(file.parent, storage.read_json(file)))
        except MMRecError:
            continue
    return found


def get(run_id: str) -> Run:
    """One run.

    Raises:
        MMRecError: unknown.
    """
    folder = runs_folder() / run_id
    if not (folder / "run.json").exists() or folder.parent != runs_folder():
        raise unknown_name("run", run_id, [r.id for r in all_runs()][-8:])
    return Run(folder, storage.read_json(folder / "run.json"))


def finished(dataset: Dataset) -> dict[str, Run]:
    """The newest finished training of each model on this very data, by model name; usual settings before special ones."""
    found: dict[str, Run] = {}
    for run in all_runs():
        if run.kind == "train" and run.told["status"] == "finished" and run.params["dataset"] == dataset.name:
            if run.told.get("data") == dataset.checksum and (run.folder / "model" / "config.json").exists():
                model = run.params["model"]
                if _usual(run) or model not in found or not _usual(found[model]):
                    found[model] = run
    return found


def _usual(run: Run) -> bool:
    """Whether a training was asked for with all its usual settings."""
    return run.params == {"dataset": run.params["dataset"], "model": run.params["model"], **USUAL}


def create(kind: str, params: Mapping[str, Any]) -> Run:
    """Write down what is wanted; nothing starts yet."""
    storage.open_home()
    label = "-".join(storage.safe_name(str(params[k]), k) for k in ("dataset", "model") if params.get(k))
    now = time.time_ns()
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 1_000_000_000))
    run_id = f"{moment}-{now % 1_000_000_000:09d}-{label}-{secrets.token_hex(2)}"
    folder = runs_folder() / run_id
    with storage.plain_errors(folder):
        folder.mkdir(parents=True)
        told = {"kind": kind, "params": dict(params), "status": "queued", "created": time.time(), "pid": None}
        storage.write_json(folder / "run.json", told)
    return Run(folder, told)


def start(kind: str, params: Mapping[str, Any]) -> Run:
    """Start work in the background; asking again for what is already queued or running gives that run."""
    if kind not in KINDS:
        raise unknown_name("kind of run", kind, sorted(KINDS))
    with storage.locked("start"):
        for run in all_runs():
            if run.kind == kind and run.params == dict(params) and run.status in LIVE:
                return run
        run = create(kind, params)
        log = (run.folder / "log.txt").open("ab")
        options: dict[str, Any] = (
            {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x00000200 | 0x00004000}
        )
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MMREC_HOME": str(settings.home())}
        process = subprocess.Popen(
            [sys.executable, "-m", "mmrec_core", "work", run.id],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=settings.ROOT, env=environment, **options,
        )  # fmt: skip
        log.close()
        _children.append(process)
        run = _update(run, pid=process.pid, pid_started=_started(process.pid))
    return run


def _started(pid: int) -> float:
    """When a process began, in seconds since 1970; now, if it has ended already."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return time.time()


_children: list[subprocess.Popen[bytes]] = []
"""Workers this process started, polled so that ended ones do not linger as zombies."""


def _update(run: Run, **changes: Any) -> Run:
    told = {**storage.read_json(run.folder / "run.json"), **changes}
    storage.write_json(run.folder / "run.json", told)
    return Run(run.folder, told)


def _end(run: Run, status: str, error: str | None = None) -> Run:
    """Write down how a run ended, unless somebody stopped it: then it was stopped, whatever it says with its last breath."""
    if get(run.id).told["status"] == "stopped":
        return get(run.id)
    return _update(run, status=status, error=error, ended=time.time())


class _Teller:
    """Appends progress to ``events.jsonl``, not more often than people can read."""

    def __init__(self, folder: Path) -> None:
        self.file = (folder / "events.jsonl").open("a", encoding="utf-8")
        self.last, self.what = 0.0, ""

    def event(self, **values: Any) -> None:
        self.file.write(json.dumps({"time": round(time.time(), 3), **values}) + "\n")
        self.file.flush()

    def __call__(self, done: int, total: int, what: str) -> None:
        if what != self.what or time.time() - self.last > STEP_S or done == total:
            self.last, self.what = time.time(), what
            self.event(done=done, total=total, what=what)


def work(run_id: str, *, wait: bool = True, also: Progress = quiet) -> Run:
    """Do a run's work in this process: wait for its turn, work, write the result.

    Raises:
        MMRecError: the run failed for a reason a person can mend (it is written down as failed, too).
    """
    import psutil

    run = get(run_id)
    me = psutil.Process()
    if os.name == "posix" and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half-written is cleaned up
    run = _update(run, pid=me.pid, pid_started=me.create_time())
    if wait:
        _lower_priority()
        while any(other.status in LIVE for other in all_runs() if other.id < run.id and other.kind == run.kind):
            time.sleep(STEP_S)
    with storage.locked(f"queue-{run.kind}"):
        if get(run_id).told["status"] == "stopped":
            return get(run_id)
        run = _update(run, status="running", started=time.time())
        teller = _Teller(run.folder)

        def tell(done: int, total: int, what: str) -> None:
            teller(done, total, what)
            also(done, total, what)

        try:
            result = KINDS[run.kind](run, tell, teller)
            storage.write_json(run.folder / "result.json", plain(result))
            return _end(run, "finished")
        except (MMRecError, OSError, MemoryError) as error:
            reason = str(error) if isinstance(error, MMRecError) else f"{type(error).__name__}: {error}"
            _end(run, "failed", reason)
            raise MMRecError(reason) from error
        except BaseException as error:
            by_hand = isinstance(error, (KeyboardInterrupt, SystemExit))
            if not by_hand:
                traceback.print_exc()
            _end(
                run,
                "stopped" if by_hand else "failed",
                "stopped by hand" if by_hand else f"{type(error).__name__}: {error}",
            )
            raise


def _lower_priority() -> None:
    import psutil

    try:
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if os.name == "nt" else 10)
    except (psutil.Error, OSError):
        pass


def stop(run_id: str) -> Run:
    """Stop a queued or running run; one that has ended already is left as it is."""
    run = get(run_id)
    if run.status not in LIVE:
        return run
    pid = run.told.get("pid")
    run = _update(run, status="stopped", ended=time.time())
    if pid is not None and pid != os.getpid():
        try:
            if os.name == "posix" and os.getpgid(int(pid)) == int(pid):
                os.killpg(int(pid), signal.SIGTERM)
            else:
                os.kill(int(pid), signal.SIGTERM)
        except (ProcessLookupError, PermissionError):
            pass
    return run


def plain(value: Any) -> Any:
    """Numbers JSON knows; NaN and infinity become ``null``."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.floating, float)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


# The kinds of work


def _prepare(run: Run, progress: Progress, teller: _Teller) -> dict[str, Any]:
    from mmrec_core.preparation import prepare

    asked = run.params
    return prepare(
        asked["reader"],
        source=Path(asked["source"]) if asked.get("source") else None,
        name=asked.get("dataset"),
        options=asked.get("options") or {},
        enrich=asked.get("enrich") or (),
        progress=progress,
    )


def _train(run: Run, progress: Progress, teller: _Teller) -> dict[str, Any]:
    from mmrec_core.evaluation import evaluate
    from mmrec_core.preparation import open_dataset
    from mmrec_core.splits import make_split
    from mmrec_core.training import fit

    asked = run.params
    dataset = open_dataset(asked["dataset"])
    _update(run, data=dataset.checksum)
    split = make_split(dataset, asked["split"], asked["split_seed"], asked.get("filter_from"), liked_from(asked))
    fitted = fit(
        asked["model"], dataset, split,
        options=asked.get("options") or {}, seed=asked["seed"], relevant_from=liked_from(asked),
        refit=asked.get("refit", False), progress=progress, on_epoch=lambda entry: teller.event(kind="epoch", **entry),
    )  # fmt: skip
    if open_dataset(asked["dataset"]).checksum != dataset.checksum:
        raise MMRecError(f"'{dataset.name}' was prepared anew while this training ran on it; start it again.")
    fitted.model.save(run.folder / "model")
    judged = evaluate(
        fitted.model, dataset, split, protocol=asked["protocol"], regime=asked["regime"],
        relevant_from=liked_from(asked), progress=progress,
    )  # fmt: skip
    return {**report(run, split.checksum, judged), "parameters": sum(p.numel() for p in fitted.model.parameters()),
            "seconds": {"fit": round(fitted.seconds, 2), "evaluate": round(judged.seconds, 2)},
            "epochs": len(fitted.epochs), "best_epoch": fitted.best_epoch, "environment": settings.environment()}  # fmt: skip


def report(run: Run, split_checksum: str, judged: Any) -> dict[str, Any]:
    """An evaluation as the command line prints it; per-user values go beside it into ``per_query.npz``."""
    asked = run.params
    np.savez_compressed(run.folder / "per_query.npz", allow_pickle=False, user=judged.queries, **judged.per_query)
    if judged.row_errors:
        np.savez_compressed(run.folder / "row_errors.npz", allow_pickle=False, **judged.row_errors)
    return {
        "run": run.id, "dataset": asked["dataset"], "model": asked["model"], "split": asked["split"], "seed": asked["seed"],
        "split_seed": asked["split_seed"], "split_checksum": split_checksum, "filter_from": asked.get("filter_from"),
        "relevant_from": liked_from(asked), "refit": asked.get("refit", False), "protocol": asked["protocol"],
        "regime": asked["regime"], "metrics": judged.metrics, "intervals": judged.intervals, "groups": judged.groups,
        "settings": asked.get("options") or {},
    }  # fmt: skip


def liked_from(asked: Mapping[str, Any]) -> float | None:
    """The threshold of liking that was asked for; where low ratings were dropped instead, whatever was kept is liked."""
    return asked.get("relevant_from") if asked.get("relevant_from") is not None else asked.get("filter_from")


KINDS: dict[str, Callable[[Run, Progress, _Teller], dict[str, Any]]] = {"prepare": _prepare, "train": _train}


USUAL: dict[str, Any] = {
    "split": "user-temporal", "split_seed": 0, "seed": 0, "protocol": "full", "regime": "frozen",
    "relevant_from": None, "filter_from": None, "refit": False, "options": {},
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

    open_dataset(dataset)
    registry.entry("models", model)
    if unknown := set(asked) - set(USUAL):
        raise unknown_name("training option", sorted(unknown)[0], sorted(USUAL))
    params = {"dataset": dataset, "model": model, **USUAL, **asked}
    if params["regime"] not in {"frozen", "stream"}:
        raise unknown_name("regime", str(params["regime"]), ["frozen", "stream"])
    if str(params["split"]).partition(":")[0] not in SPLITS:
        raise unknown_name("split", str(params["split"]), list(SPLITS))
    return params


def start_all(dataset: str, models: Sequence[str] = ()) -> list[Run]:
    """Train every model (or these) with its usual settings in the background, unless that is done or under way."""
    from mmrec_core.preparation import open_dataset

    opened = open_dataset(dataset)
    done = {model for model, run in finished(opened).items() if _usual(run)}
    cheap_first = sorted(models or usable_models(opened), key=lambda m: bool(registry.schema("models", m)["trains"]))
    return [start("train", training_params(dataset, m)) for m in cheap_first if m not in done]


def usable_models(dataset: Dataset) -> list[str]:
    """Models whose needs this dataset meets, without importing any (schemas are cached)."""
    has = set(dataset.manifest["has"])
    there = (
        has
        | {"side", "graph"}
        | ({"ids"} if {"user", "item"} <= has else set())
        | ({"sequence"} if "time" in has else set())
    )
    return [name for name in registry.names("models") if not set(registry.schema("models", name)["needs"]) - there]
