"""Worker of a run: wait for a slot, do the work, write the result.

Neither MLflow nor Streamlit is loaded here. Copying runs into MLflow is a process of its own, started when the queue is
empty.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrec_core import runs, runtime, settings, storage
from mmrec_core.callbacks import Interrupted, StopFlag
from mmrec_core.errors import MMRecError
from mmrec_core.jobs.tasks import TASKS
from mmrec_core.runs import Run, get, heartbeat, plain, ray_cluster, update
from mmrec_core.runs.background import start_detached
from mmrec_core.runs.event_log import STEP_S, EventLogger, NullEventLogger
from mmrec_core.types import Progress, quiet


def work(run_id: str, *, foreground: bool = False, also: Progress = quiet) -> Run:
    """Do a run's work in this process: wait for a slot, work, write the result.

    Args:
        run_id: the run.
        foreground: a user waits for it, so its priority is not lowered.
        also: called with the progress.

    Returns:
        The run as it is afterwards.

    Raises:
        MMRecError: the run failed for a reason that the user can mend; it is recorded as failed, too.
    """
    run = get(run_id)
    flag = StopFlag()
    with _stoppable(flag, foreground):
        with storage.locked("run"):  # no other process may change the run between reading and writing
            record = runs.read_record(run.folder)
            own = {None, os.getpid(), *([os.getppid()] if os.name == "nt" else [])}  # Windows starts us by a launcher
            others = (heartbeat.elsewhere(record) is not None or record.get("pid") not in own) and heartbeat.lives(
                record, run.folder
            )
            if record["status"] != "queued" or (others and record.get("pid") is not None):
                return Run(run.folder, record)
            heartbeat.beat(run.folder)
            record |= heartbeat.owner() | {"foreground": foreground}
            storage.write_json(run.folder / "run.json", record)
        run = Run(run.folder, record)
        if not foreground:
            _lower_priority()
        try:
            with heartbeat.heartbeat(run.folder, lambda: _unwanted(run)):
                run = _work(run, flag, also)
        except BaseException:
            _end(run, "stopped")  # while it waited for a slot; later ends are already recorded
            raise
        finally:
            if not any(r.status in runs.LIVE for r in runs.all_runs()):
                mirror_soon()
            elif not foreground:
                runs.supervise_soon()  # in case the supervisor was killed
    return run


def _unwanted(run: Run) -> bool:
    """Whether a run was stopped on another machine, from where signals do not reach us, or was given to another worker.

    The latter happens if this process was suspended for so long that it counted as dead.
    """
    try:
        with storage.locked("run"):
            record = runs.read_record(run.folder)
    except (MMRecError, OSError):
        return False
    stopped = record["status"] == "stopped" and record.get("stopped_from") not in {None, heartbeat.place()}
    return bool(stopped or (record.get("pid") is not None and not heartbeat.same_owner(record, run.record)))


def work_all(wanted: Sequence[Mapping[str, Any]], also: Progress = quiet) -> None:
    """Do several training runs in this process, one after the other.

    Raises:
        MMRecError: one of them failed or was stopped; those before it are finished.
    """
    for at, params in enumerate(wanted):

        def progress(done: int, total: int, what: str, at: int = at) -> None:
            also(done, total, f"{at + 1} of {len(wanted)}: {what}")

        run = work(runs.create("train", params).id, foreground=True, also=progress)
        if run.status != "finished":
            raise MMRecError(f"Training {at + 1} of {len(wanted)} was stopped; run the command again to do the rest.")


def _work(run: Run, flag: StopFlag, also: Progress) -> Run:
    """Wait for a slot, then do the work."""
    with _turn(run, also):
        return _do(run, flag, also)


def _do(run: Run, flag: StopFlag, also: Progress) -> Run:
    """Do the work, and record how it ended."""
    if not _begin(run):
        return get(run.id)
    for left in run.folder.rglob(".*"):  # incomplete files of a killed worker
        if left.is_file() and "tune" not in left.relative_to(run.folder).parts:
            left.unlink()
    with storage.plain_errors(run.folder):
        event_logger = EventLogger(run.folder, also)
    runtime.commit()  # read before the work, because the checkout may change meanwhile
    try:
        result = _result(get(run.id), event_logger, flag)
        if not heartbeat.same_owner(get(run.id).record, run.record):
            raise Interrupted()
        storage.write_json(run.folder / "result.json", plain(result))
        ended = _end(run, "finished")
        if ended.record["status"] == "finished":
            for done in ("checkpoints", "tune", "trials", "together"):
                shutil.rmtree(run.folder / done, ignore_errors=True)
        return ended
    except (MMRecError, OSError, MemoryError) as error:
        reason = _reason(error, run.folder)
        print(reason, file=sys.stderr, flush=True)
        _end(run, "failed", reason)
        raise MMRecError(reason) from error
    except Interrupted:
        return _end(run, "stopped")
    except BaseException as error:
        by_hand = isinstance(error, (KeyboardInterrupt, SystemExit))
        if not by_hand:
            traceback.print_exc()
        _end(run, "stopped" if by_hand else "failed", None if by_hand else f"{type(error).__name__}: {error}")
        raise


def _reason(error: Exception, folder: Path) -> str:
    """Why the work failed, in one line."""
    if isinstance(error, MMRecError):
        return str(error)
    refused = storage.refused(error, folder) if isinstance(error, OSError) else None
    return str(refused) if refused is not None else f"{type(error).__name__}: {error}"


def _result(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Do the work here, in several processes, or on the cluster, and give its result."""
    on_ray = bool(os.environ.get("MMREC_ON_RAY"))
    if run.record.get("executor") == "ray" and not on_ray:
        found = _sent(run, event_logger, flag)
    elif run.record.get("workers", 1) > 1:
        found = _together(run, event_logger, flag)
    else:
        found = TASKS[run.kind](run, event_logger, flag)
    return _winner(get(run.id), found, event_logger, flag) if run.kind == "tune" and not on_ray else found


def _sent(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Do the work as a job of the cluster, which this process follows."""
    file = run.folder / "outcome.json"
    file.unlink(missing_ok=True)

    def keep(job: str) -> None:
        update(run, job=job)

    event_logger.progress(0, 1, "waiting for the cluster")
    alone = run.record.get("workers", 1) == 1 and run.kind != "tune"  # others request their processes by themselves
    gpu = alone and runs.wants_gpu(run.kind, run.params) and any(n.total.get("GPU") for n in ray_cluster.nodes())
    found = ray_cluster.send(
        run.id,
        cpus=1 if alone else 0,
        gpus=1 if gpu else 0,
        read=lambda: storage.read_json(file) if file.exists() else None,
        note=lambda text: event_logger.log_event("note", {"text": text}),
        keep=keep,
        earlier=run.record.get("job"),
        flag=flag,
    )
    return _outcome(found)


def _together(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Do the work in several processes that train one model; the first of them writes the outcome."""
    own = run.folder / "together.json"
    own.unlink(missing_ok=True)
    event_logger.progress(0, 1, "starting Ray")
    config = {"run": run.id, "home": str(settings.home()), "stop": str(run.folder / "stop")}
    try:
        ray_cluster.together(
            work_rank, config, run.folder, int(run.record["workers"]), runs.wants_gpu(run.kind, run.params), flag
        )
    except MMRecError:
        if not own.exists():
            raise
    return _outcome(storage.read_json(own))


def _outcome(found: Mapping[str, Any]) -> dict[str, Any]:
    if "error" in found:
        raise MMRecError(found["error"])
    if found.get("stopped"):
        raise Interrupted()
    return dict(found["result"])


def _outcome_raised(file: Path) -> None:
    """Raise the recorded error, so that the other processes, which wait for this one, end as well."""
    if reason := storage.read_json(file).get("error"):
        raise MMRecError(reason)


def _tried(run: Run, file: Path, do: Callable[[], dict[str, Any]]) -> None:
    """Do the work, and write its outcome into a file for the process that follows this one."""
    outcome: dict[str, Any]
    try:
        outcome = {"result": plain(do())}
    except Interrupted:
        outcome = {"stopped": True}
    except (MMRecError, OSError, MemoryError) as error:
        outcome = {"error": _reason(error, run.folder)}
        print(outcome["error"], file=sys.stderr, flush=True)
    storage.write_json(file, outcome)


def work_here(run_id: str) -> None:
    """Do a run's work inside a cluster's job, while its worker waits on another machine.

    Raises:
        MMRecError: this machine does not have the run's folder.
    """
    if not (runs.runs_folder() / run_id / "run.json").exists():
        raise MMRecError(
            f"{runs.runs_folder()} on this node does not contain run '{run_id}': "
            "MMREC_HOME must be a folder that all nodes share."
        )
    run, flag = get(run_id), StopFlag()
    if job := os.environ.get(ray_cluster.JOB):
        threading.Thread(target=_end_with_job, args=(run, job), daemon=True, name="follows its job").start()
    with _stoppable(flag, foreground=False):
        event_logger = EventLogger(run.folder, quiet)
        _tried(run, run.folder / "outcome.json", lambda: _result(run, event_logger, flag))


def _end_with_job(run: Run, job: str) -> None:
    """End this process once its run was given to another job, without writing anything more.

    Ray counts a node as lost before all of its processes have ended, and two must not write to one folder.
    """
    while True:
        time.sleep(ray_cluster.LOOK_S)
        with contextlib.suppress(MMRecError, OSError):
            if runs.read_record(run.folder).get("job") not in {None, job}:
                os._exit(1)


class _StopFile(StopFlag):
    """A stop request by a file, for processes that signals do not reach."""

    file: Path

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__()

    @property
    def wanted(self) -> bool:
        return self.file.exists()

    @wanted.setter
    def wanted(self, value: bool) -> None:
        """Ignored: only the file counts."""


def work_rank(config: dict[str, Any]) -> None:
    """Do the work of one of several processes that train one model."""
    from mmrec_core.training import distributed

    os.environ["MMREC_HOME"] = config["home"]
    run, flag = get(config["run"]), _StopFile(Path(config["stop"]))
    first, file = distributed.rank() == 0, run.folder / "together.json"
    if file.exists():  # it has failed before; trying again would not change it
        raise MMRecError(storage.read_json(file).get("error", "stopped"))
    event_logger = EventLogger(run.folder, quiet) if first else NullEventLogger()
    if first:
        _tried(run, file, lambda: TASKS[run.kind](run, event_logger, flag))
        _outcome_raised(file)
        return
    with contextlib.suppress(Interrupted):
        TASKS[run.kind](run, event_logger, flag)


def _begin(run: Run) -> bool:
    """Set a run from queued to running, if it is still queued and belongs to this process."""
    with storage.locked("run"):
        record = runs.read_record(run.folder)
        if record["status"] != "queued" or not heartbeat.same_owner(record, run.record):
            return False
        storage.write_json(
            run.folder / "run.json", record | {"status": "running", "started": time.time(), "error": None}
        )
    return True


@contextlib.contextmanager
def _stoppable(flag: StopFlag, foreground: bool) -> Iterator[None]:
    """Handle SIGTERM and Ctrl-C: stop between two steps if the work checks the flag, else at once; exit after the
    grace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        if flag.awaited and not flag.wanted:
            flag.wanted = True
            if not foreground:  # never end a notebook or a terminal with its run
                timer = threading.Timer(runs.GRACE_S, os._exit, [143])
                timer.daemon = True
                timer.start()
                flag.timer = timer
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            sys.exit(143)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        if flag.timer is not None:
            flag.timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _turn(run: Run, also: Progress) -> Iterator[None]:
    """Wait for a slot of the run's lane, in the order of the queue, and hold it.

    Raises:
        MMRecError: the run wants a GPU, and there is none.
    """
    from filelock import FileLock, Timeout

    lane, here = str(run.record["lane"]), re.sub(r"[^\w.-]+", "-", heartbeat.machine())
    folder = storage.open_home() / "locks"
    with storage.plain_errors(folder):
        folder.mkdir(exist_ok=True)
    earlier = [r.id for r in runs.ahead(run)]
    waited = False
    while True:
        seen = [other for i in earlier if (other := _seen(i)) is not None]
        # a resumed run is now behind this one
        earlier = [r.id for r in seen if r.status == "queued" and r.place < run.place]
        slot = None
        names = runs.slots(lane)
        if not names:
            raise MMRecError("This run wants a GPU, but there is none any more. Resume it to train on the CPU.")
        for name in names if not earlier else ():
            lock = FileLock(folder / f"lane-{here}-{lane}-{name}.lock")
            try:
                lock.acquire(timeout=0)
                slot = (name, lock)
                break
            except Timeout:
                continue
        if slot is not None:
            name, lock = slot
            before = os.environ.get("CUDA_VISIBLE_DEVICES")
            try:
                # several workers and searches use all GPUs
                alone = lane == "gpu" and run.record.get("workers", 1) == 1 and run.kind != "tune"
                if alone:
                    os.environ["CUDA_VISIBLE_DEVICES"] = name
                yield
            finally:
                if alone:
                    os.environ.pop("CUDA_VISIBLE_DEVICES")
                    if before is not None:
                        os.environ["CUDA_VISIBLE_DEVICES"] = before
                lock.release()
            return
        if not waited:
            also(0, 1, f"waiting for its turn ({len(runs.ahead(run))} ahead)")
            waited = True
        if get(run.id).record["status"] != "queued":
            yield  # stopped while it waited; the caller checks again
            return
        time.sleep(STEP_S / 2)


def _seen(run_id: str) -> Run | None:
    try:
        return get(run_id)
    except MMRecError:
        return None


def _lower_priority() -> None:
    import psutil

    nice = settings.worker_niceness()
    if not nice:
        return
    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if os.name == "nt" else nice)
    # Linux schedules sessions before the processes in them, and a worker has its own session
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice), encoding="ascii")


def _end(run: Run, status: str, error: str | None = None) -> Run:
    """Record how a run ended, unless it was stopped or given to another worker meanwhile."""
    with storage.locked("run"):
        record = runs.read_record(run.folder)
        if heartbeat.same_owner(record, run.record):
            if record["status"] in runs.LIVE:
                record |= {"status": status, "error": error, "ended": time.time()}
            record |= {"pid": None}  # a notebook's process continues, but is no longer this run's worker
            storage.write_json(run.folder / "run.json", record)
    return Run(run.folder, record)


def mirror_soon() -> None:
    """Start a process that copies new runs into MLflow; nothing if MLflow is missing or ``MMREC_MLFLOW=off``."""
    if os.environ.get("MMREC_MLFLOW") == "off" or importlib.util.find_spec("mlflow") is None:
        return
    start_detached([sys.executable, "-m", "mmrec_core", "mirror"], settings.home() / "mlflow.log", settings.ROOT)


def _winner(run: Run, searched: Mapping[str, Any], event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Train once more with the best settings of a search, in a run of its own, and test that training.

    Args:
        run: the search.
        searched: what the search gave.
        event_logger: event log of the search.
        flag: stop requests.

    Returns:
        The result of the search.

    Raises:
        MMRecError: that training is already running.
        Interrupted: a stop was requested.
    """
    from mmrec_core.tuning import sweep

    params = run.params
    found = sweep.trials_of(run)
    metric = str(sweep.metric_of(run))
    best = sweep.best_of(found, metric)
    assert best is not None
    again = sweep.winner_params(params, best)
    child = _seen(str(run.record.get("winner"))) or runs.create(
        "train", again, executor=str(run.record.get("executor", "local"))
    )
    update(run, winner=child.id)
    if child.status in runs.LIVE and child.record.get("pid") is not None:
        raise MMRecError(
            f"The training with the best settings, '{child.id}', is running; resume the search when it has ended."
        )
    if child.status != "finished":
        # this process is the worker of both runs
        owner = {key: run.record[key] for key in ("host", "machine", "place", "pid", "pid_started")}
        child = update(child, status="queued", tuned_by=run.id, watch=metric, **owner)
        with heartbeat.heartbeat(child.folder, lambda: _unwanted(child)):
            child = _do(child, flag, event_logger.progress)
        if child.status != "finished":
            raise Interrupted()
    tested = child.result() or {}
    return {
        "run": run.id,
        "dataset": params["dataset"],
        "model": params["model"],
        "split": params["split"],
        "seed": params["seed"],
        "split_seed": params["split_seed"],
        "metric": metric,
        "trials": len(found),
        "ended": {s: sum(t.status == s for t in found) for s in sorted({t.status for t in found})},
        "best": {"trial": found.index(best) + 1, "score": best.score, "options": best.options},
        "usual": found[0].score,
        "winner": child.id,
        "metrics": tested.get("metrics"),
        "intervals": tested.get("intervals"),
        "seconds": {
            "search": round(float(get(run.id).record.get("searched_s", 0.0)), 1),
            **(tested.get("seconds") or {}),
        },
        "environment": runtime.environment(),
    }
