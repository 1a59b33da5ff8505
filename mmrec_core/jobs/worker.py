"""What a worker does: wait for its turn, work, write down how it went.

Neither MLflow nor Streamlit is loaded here; a mirror into MLflow is started as a process of its own once the queue is empty.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
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
from mmrec_core.runs.event_log import STEP_S, EventLogger, NullEventLogger
from mmrec_core.types import Progress, quiet


def work(run_id: str, *, foreground: bool = False, also: Progress = quiet) -> Run:
    """Do a run's work in this process: wait for its turn, work, write the result.

    Args:
        foreground: somebody waits for it, so its priority is not lowered.

    Raises:
        MMRecError: the run failed for a reason a person can mend (it is written down as failed, too).
    """
    run = get(run_id)
    flag = StopFlag()
    with _stoppable(flag, foreground):
        with storage.locked("run"):  # nobody may stop it, or take it, between the look and the answer
            told = runs.read_record(run.folder)
            own = {None, os.getpid(), *([os.getppid()] if os.name == "nt" else [])}  # there a launcher stands before us
            others = (heartbeat.elsewhere(told) is not None or told.get("pid") not in own) and heartbeat.lives(
                told, run.folder
            )
            if told["status"] != "queued" or (others and told.get("pid") is not None):
                return Run(run.folder, told)
            heartbeat.beat(run.folder)
            told |= heartbeat.owner() | {"foreground": foreground}
            storage.write_json(run.folder / "run.json", told)
        run = Run(run.folder, told)
        if not foreground:
            _lower_priority()
        try:
            with heartbeat.heartbeat(run.folder, lambda: _unwanted(run)):
                run = _work(run, flag, also)
        except BaseException:
            _end(run, "stopped")  # while it waited its turn; later endings have been written down already
            raise
        finally:
            if not any(r.status in runs.LIVE for r in runs.all_runs()):
                mirror_soon()
            elif not foreground:
                runs.supervise_soon()  # in case that whoever looked after those who wait was killed
    return run


def _unwanted(run: Run) -> bool:
    """Whether somebody on another machine, whose signals do not reach us, has stopped a run, or has given it to a worker there.

    The latter happens to a process that slept for longer than anybody believed in it.
    """
    try:
        with storage.locked("run"):
            told = runs.read_record(run.folder)
    except (MMRecError, OSError):
        return False
    stopped = told["status"] == "stopped" and told.get("stopped_from") not in {None, heartbeat.place()}
    return bool(stopped or (told.get("pid") is not None and not heartbeat.same_owner(told, run.record)))


def work_all(wanted: Sequence[Mapping[str, Any]], also: Progress = quiet) -> None:
    """Do several trainings in this process, one after the other.

    Raises:
        MMRecError: one of them failed or was stopped; those before it stay done.
    """
    for at, params in enumerate(wanted):

        def told(done: int, total: int, what: str, at: int = at) -> None:
            also(done, total, f"{at + 1} of {len(wanted)}: {what}")

        run = work(runs.create("train", params).id, foreground=True, also=told)
        if run.status != "finished":
            raise MMRecError(f"Training {at + 1} of {len(wanted)} was stopped; ask again to go on with the rest.")


def _work(run: Run, flag: StopFlag, also: Progress) -> Run:
    """Wait for the turn, then do it."""
    with _turn(run, also):
        return _do(run, flag, also)


def _do(run: Run, flag: StopFlag, also: Progress) -> Run:
    """Do it, and write down the end."""
    if not _begin(run):
        return get(run.id)
    for left in run.folder.rglob(".*"):  # drafts of a worker that was killed while it wrote
        if left.is_file() and "tune" not in left.relative_to(run.folder).parts:
            left.unlink()
    with storage.plain_errors(run.folder):
        event_logger = EventLogger(run.folder, also)
    runtime.commit()  # asked before the work, during which somebody may commit
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
    """Why work failed, in a line."""
    plain_one = (
        storage.refused(error, folder)
        if isinstance(error, OSError)
        else error
        if isinstance(error, MMRecError)
        else None
    )
    return str(plain_one) if plain_one is not None else f"{type(error).__name__}: {error}"


def _result(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """What the work gives: done here, by several processes together, or by the cluster."""
    there = bool(os.environ.get("MMREC_ON_RAY"))
    if run.record.get("executor") == "ray" and not there:
        found = _sent(run, event_logger, flag)
    elif run.record.get("workers", 1) > 1:
        found = _together(run, event_logger, flag)
    else:
        found = TASKS[run.kind](run, event_logger, flag)
    return _winner(get(run.id), found, event_logger, flag) if run.kind == "tune" and not there else found


def _sent(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """By a job of the cluster, which this process follows."""
    file = run.folder / "outcome.json"
    file.unlink(missing_ok=True)

    def keep(job: str) -> None:
        update(run, job=job)

    event_logger.progress(0, 1, "waiting for the cluster")
    alone = run.record.get("workers", 1) == 1 and run.kind != "tune"  # others ask for their processes themselves
    gpu = alone and runs.wants_gpu(run.kind, run.params) and any(n.total.get("GPU") for n in ray_cluster.nodes())
    found = ray_cluster.send(
        run.id, cpus=1 if alone else 0, gpus=1 if gpu else 0, read=lambda: storage.read_json(file) if file.exists() else None,
        note=lambda text: event_logger.log_event("note", {"text": text}), keep=keep, earlier=run.record.get("job"), flag=flag,
    )  # fmt: skip
    return _outcome(found)


def _together(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """By several processes that train one model; the first of them writes what came of it."""
    own = run.folder / "together.json"
    own.unlink(missing_ok=True)
    event_logger.progress(0, 1, "starting Ray")
    told = {"run": run.id, "home": str(settings.home()), "stop": str(run.folder / "stop")}
    try:
        ray_cluster.together(
            work_rank, told, run.folder, int(run.record["workers"]), runs.wants_gpu(run.kind, run.params), flag
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
    """Raise the reason that was written down: the others wait for this process, and must not wait in vain."""
    if reason := storage.read_json(file).get("error"):
        raise MMRecError(reason)


def _tried(run: Run, file: Path, do: Callable[[], dict[str, Any]]) -> None:
    """Do it, and leave what came of it in a file for whoever follows this process."""
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
    """A cluster's job: the work of a run whose worker waits elsewhere.

    Raises:
        MMRecError: this machine does not see the run's folder.
    """
    if not (runs.runs_folder() / run_id / "run.json").exists():
        raise MMRecError(
            f"{runs.runs_folder()} on this node does not hold run '{run_id}': MMREC_HOME must be a folder that all nodes share."
        )
    run, flag = get(run_id), StopFlag()
    with _stoppable(flag, foreground=False):
        event_logger = EventLogger(run.folder, quiet)
        _tried(run, run.folder / "outcome.json", lambda: _result(run, event_logger, flag))


class _StopFile(StopFlag):
    """A stop that is asked for by a file, for processes whom no signal reaches."""

    file: Path

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__()

    @property
    def wanted(self) -> bool:
        return self.file.exists()

    @wanted.setter
    def wanted(self, value: bool) -> None:
        """The file says it."""


def work_rank(told: dict[str, Any]) -> None:
    """One of several processes that train one model."""
    from mmrec_core.training import distributed

    os.environ["MMREC_HOME"] = told["home"]
    run, flag = get(told["run"]), _StopFile(Path(told["stop"]))
    first, file = distributed.rank() == 0, run.folder / "together.json"
    if file.exists():  # a reason was given before; asking again would not change it
        raise MMRecError(storage.read_json(file).get("error", "stopped"))
    event_logger = EventLogger(run.folder, quiet) if first else NullEventLogger()
    if first:
        _tried(run, file, lambda: TASKS[run.kind](run, event_logger, flag))
        _outcome_raised(file)
        return
    with contextlib.suppress(Interrupted):
        TASKS[run.kind](run, event_logger, flag)


def _begin(run: Run) -> bool:
    """From queued to running, if it is still queued and still ours."""
    with storage.locked("run"):
        told = runs.read_record(run.folder)
        if told["status"] != "queued" or not heartbeat.same_owner(told, run.record):
            return False
        storage.write_json(run.folder / "run.json", told | {"status": "running", "started": time.time(), "error": None})
    return True


@contextlib.contextmanager
def _stoppable(flag: StopFlag, foreground: bool) -> Iterator[None]:
    """SIGTERM and Ctrl-C: between two steps where somebody looks at the flag, else at once; past the grace, at any cost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def asked(number: int, frame: Any) -> None:
        if flag.awaited and not flag.wanted:
            flag.wanted = True
            if not foreground:  # a notebook or a terminal is never taken down with its run
                timer = threading.Timer(runs.GRACE_S, os._exit, [143])
                timer.daemon = True
                timer.start()
                flag.timer = timer
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            sys.exit(143)

    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        if flag.timer is not None:
            flag.timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _turn(run: Run, also: Progress) -> Iterator[None]:
    """Hold a slot of the run's lane, first come, first served."""
    from filelock import FileLock, Timeout

    lane, here = str(run.record["lane"]), re.sub(r"[^\w.-]+", "-", heartbeat.machine())
    folder = storage.open_home() / "locks"
    with storage.plain_errors(folder):
        folder.mkdir(exist_ok=True)
    earlier = [r.id for r in runs.ahead(run)]
    waited = False
    while True:
        seen = [other for i in earlier if (other := _seen(i)) is not None]
        earlier = [r.id for r in seen if r.status == "queued" and r.place < run.place]  # a resumed one stands behind us
        held = None
        names = runs.slots(lane)
        if not names:
            raise MMRecError("This run wants a GPU, and there is none here any more. Resume it to train on the CPU.")
        for name in names if not earlier else ():
            lock = FileLock(folder / f"lane-{here}-{lane}-{name}.lock")
            try:
                lock.acquire(timeout=0)
                held = (name, lock)
                break
            except Timeout:
                continue
        if held is not None:
            name, lock = held
            before = os.environ.get("CUDA_VISIBLE_DEVICES")
            try:
                alone = (
                    lane == "gpu" and run.record.get("workers", 1) == 1 and run.kind != "tune"
                )  # others take as many as they find
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
            yield  # stopped while it waited; the caller looks again
            return
        time.sleep(STEP_S / 2)


def _seen(run_id: str) -> Run | None:
    try:
        return get(run_id)
    except MMRecError:
        return None


def _lower_priority() -> None:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if os.name == "nt" else 19)
    # Linux weighs sessions against each other before it looks at the processes in them, and a worker has a session of its own.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")


def _end(run: Run, status: str, error: str | None = None) -> Run:
    """Write down how a run ended, unless somebody stopped it or gave it to another worker meanwhile."""
    with storage.locked("run"):
        told = runs.read_record(run.folder)
        if heartbeat.same_owner(told, run.record):
            if told["status"] in runs.LIVE:
                told |= {"status": status, "error": error, "ended": time.time()}
            told |= {"pid": None}  # a notebook's process lives on, and is not this run any more
            storage.write_json(run.folder / "run.json", told)
    return Run(run.folder, told)


def mirror_soon() -> None:
    """Copy what is new into MLflow, in a process of its own; nothing where MLflow is missing or ``MMREC_MLFLOW=off``."""
    if os.environ.get("MMREC_MLFLOW") == "off" or importlib.util.find_spec("mlflow") is None:
        return
    log = (settings.home() / "mlflow.log").open("ab")
    options: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x00000208}
    subprocess.Popen(
        [sys.executable, "-m", "mmrec_core", "mirror"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=settings.ROOT, **options,
    )  # fmt: skip
    log.close()


def _winner(run: Run, searched: Mapping[str, Any], event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Train with the best settings once more, in a run of its own where the search's was, and test that once."""
    from mmrec_core.tuning import sweep

    asked = run.params
    found = sweep.trials_of(run)
    metric = str(sweep.metric_of(run))
    best = sweep.best_of(found, metric)
    assert best is not None
    again = sweep.winner_params(asked, best)
    child = _seen(str(run.record.get("winner"))) or runs.create(
        "train", again, executor=str(run.record.get("executor", "local"))
    )
    update(run, winner=child.id)
    if child.status in runs.LIVE and child.record.get("pid") is not None:
        raise MMRecError(
            f"The training with the best settings, '{child.id}', is under way by itself; resume the search once it has ended."
        )
    if child.status != "finished":
        owner = {
            key: run.record[key] for key in ("host", "machine", "place", "pid", "pid_started")
        }  # who waits for the search waits for this, too
        child = update(child, status="queued", tuned_by=run.id, watch=metric, **owner)
        with heartbeat.heartbeat(child.folder, lambda: _unwanted(child)):
            child = _do(child, flag, event_logger.progress)
        if child.status != "finished":
            raise Interrupted()
    tested = child.result() or {}
    return {
        "run": run.id, "dataset": asked["dataset"], "model": asked["model"], "split": asked["split"], "seed": asked["seed"],
        "split_seed": asked["split_seed"], "metric": metric, "trials": len(found),
        "ended": {s: sum(t.status == s for t in found) for s in sorted({t.status for t in found})},
        "best": {"trial": found.index(best) + 1, "score": best.score, "options": best.options},
        "usual": found[0].score, "winner": child.id, "metrics": tested.get("metrics"), "intervals": tested.get("intervals"),
        "seconds": {"search": round(float(get(run.id).record.get("searched_s", 0.0)), 1), **(tested.get("seconds") or {})},
        "environment": runtime.environment(),
    }  # fmt: skip
