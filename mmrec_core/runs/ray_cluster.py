"""Run work on a Ray cluster: its address, its nodes, and submitting runs as Ray jobs.

``RAY_ADDRESS`` (``HOST:6379``), or the address stored on the Train page, names the cluster. A run keeps its folder and
its worker. The worker submits a Ray job that does the computation on a free node, follows it, and submits it again from
the last checkpoint if its node is lost. All nodes share ``MMREC_HOME`` and have the same checkout, as with the compose
file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrec_core import ownership, records, runtime, settings, storage
from mmrec_core.callbacks import Interrupted, StopFlag
from mmrec_core.errors import DamagedFile, MMRecError

SENT = {"train", "tune", "encode", "evaluate", "crossing", "train-encoder"}
"""Kinds of work that run on a cluster; data are prepared locally."""
TRIES = 4
"""How often a run is submitted at most, if nodes are lost."""
LOOK_S = 0.5
"""Seconds between two looks at a job."""
STOP_S = 8.0
"""How many seconds to wait for a stopping job; a job that never started has nothing to save."""
AGENT = (
    "The agent of its head node is not running. Wait a moment; if another Ray runs on that machine, give this one "
    "its own port (ray start --dashboard-agent-listen-port)."
)
PASSED_ON = ("MMREC_HOME", "MMREC_SOURCES", "MMREC_PLUGINS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

JOB = "MMREC_RAY_JOB"
"""Environment variable that tells a job's process the job's name."""
REMEDY = "Name the cluster again, or forget it: python -m mmrec_core cluster --use HOST:PORT, or --forget."


@dataclass(frozen=True)
class Node:
    """One machine of a cluster."""

    address: str
    alive: bool
    total: Mapping[str, float]
    """``CPU``, ``GPU``, ``memory`` (bytes)."""
    free: Mapping[str, float]


def address() -> str | None:
    """The cluster's address: ``RAY_ADDRESS``, else the one that :func:`name` stored; ``None`` inside one of its jobs.

    Raises:
        DamagedFile: the stored address cannot be read.
    """
    if os.environ.get("MMREC_ON_RAY"):
        return None
    if named := os.environ.get("RAY_ADDRESS"):
        return named
    file = settings.home() / "cluster.json"
    return str(records.read(file, records.CLUSTER, REMEDY)["address"]) if file.exists() else None


def name(where: str | None) -> None:
    """Store a cluster's address, or remove it (``None``). A damaged file is set aside first.

    Raises:
        MMRecError: it is no ``HOST:PORT``, or the home is not writable.
    """
    ownership.require("name a cluster")
    file = settings.home() / "cluster.json"
    if not where:
        _set_aside_damaged(file)
        with storage.plain_errors(file):
            file.unlink(missing_ok=True)
        return
    _, colon, port = where.rpartition(":")
    if not colon or not port.isdecimal() or "//" in where:
        raise MMRecError(f"'{where}' is no address of a Ray cluster; expected HOST:PORT, such as 10.0.0.5:6379.")
    storage.open_home()
    _set_aside_damaged(file)
    storage.write_json(file, {"address": where})


def _set_aside_damaged(file: Path) -> None:
    """Set a damaged file aside."""
    try:
        address()
    except DamagedFile:
        if file.exists():
            storage.set_aside(file)


def executor(kind: str, requested: str | None = None) -> str:
    """Where a kind of work runs: ``local`` or ``ray``.

    Raises:
        MMRecError: ``ray`` was requested and no cluster is named.
    """
    if requested not in {None, "local", "ray"}:
        raise MMRecError(f"--executor is '{requested}'; expected local or ray.")
    if requested == "ray" and address() is None:
        raise MMRecError("No Ray cluster is named. Set RAY_ADDRESS=HOST:6379, or start one here: ray start --head.")
    default = "ray" if address() is not None and kind in SENT else "local"
    return requested or default


def _identified() -> None:
    """Use Ray's token if there is one (``~/.ray/auth_token``): clients send it only if this is set before Ray
    loads."""
    settings.silence_telemetry()
    has = (
        "RAY_AUTH_TOKEN" in os.environ
        or "RAY_AUTH_TOKEN_PATH" in os.environ
        or (Path.home() / ".ray" / "auth_token").exists()
    )
    if has:
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _first_line(error: Exception) -> str:
    """First line of Ray's error message, at most 200 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def nodes(where: str | None = None) -> list[Node]:
    """All nodes with their resources.

    Raises:
        MMRecError: Ray is missing, or the cluster does not answer.
    """
    _identified()
    where = where or address()
    if where is None:
        raise MMRecError("No Ray cluster is named.")
    try:
        from ray.autoscaler.v2.sdk import get_cluster_status
    except ImportError:
        raise MMRecError("Ray is not installed here; pip install -r requirements-cluster.txt.") from None
    _reachable(where)
    try:
        status = _within(8.0, lambda: get_cluster_status(where, timeout=5))
    except Exception as error:  # of many kinds, all of which mean the same
        raise MMRecError(f"The Ray cluster at {where} does not answer ({_first_line(error)}).") from error
    found = [
        Node(n.ip_address, True, n.total_resources(), n.available_resources())
        for n in [*status.active_nodes, *status.idle_nodes]
    ]
    return found + [Node(n.ip_address, False, {}, {}) for n in status.failed_nodes]


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """Call ``ask`` with a time limit, because Ray's client waits long for a server that is no cluster.

    Raises:
        TimeoutError: no answer in time.
    """
    answer: Future[Any] = Future()

    def go() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=go, daemon=True, name="asks a cluster").start()
    try:
        return answer.result(timeout=seconds)
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {seconds:g} s") from error


def _reachable(where: str) -> None:
    """Check that a server listens, because Ray's client waits long for a missing one and then ends the process.

    Raises:
        MMRecError: nothing answers.
    """
    import socket

    host, _, port = where.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=3):
            return
    except (OSError, ValueError) as error:
        raise MMRecError(
            f"Nothing answers at {where} ({error}). Start the cluster (ray start --head), or clear its address to work "
            "on this machine."
        ) from None


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Connect to a local Ray that is started for the ``with`` block; in a cluster's job, to that cluster.

    Raises:
        MMRecError: Ray is missing, or does not start.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # starting takes long on a busy machine
    if not os.environ.get("MMREC_ON_RAY"):
        # Ray reads this when it loads; on one machine everything it starts listens on localhost
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    settings.silence_telemetry()
    try:
        import ray
    except ImportError:
        raise MMRecError("This needs Ray; pip install -r requirements-cluster.txt.") from None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not os.environ.get("MMREC_ON_RAY"):
        options |= {
            "address": "local",
            "num_cpus": os.cpu_count(),
            "num_gpus": runtime.gpus(),
            "include_dashboard": False,
            "object_store_memory": 128 << 20,
            "_node_ip_address": "127.0.0.1",
        }
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises many kinds of errors here
        raise MMRecError(
            f"Ray did not start ({_first_line(error)}). Resume the run when the machine is less busy."
        ) from error
    for number, handler in handlers.items() if main else ():
        signal.signal(number, handler)  # Ray's own handlers would end the process before it has saved its state
    try:
        yield
    finally:
        ray.shutdown()


def resources() -> dict[str, float]:
    """Total resources of the connected Ray: ``CPU``, ``GPU``, …"""
    import ray

    return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]


def _has_room(available: Mapping[str, float], workers: int, gpu: bool) -> bool:
    """Whether the processes take GPUs: they were wanted, and there are some.

    Raises:
        MMRecError: too few CPUs or GPUs for so many workers.
    """
    gpu = gpu and bool(available.get("GPU"))
    for kind in ("CPU", *(["GPU"] if gpu else [])):
        if available.get(kind, 0) < workers:
            raise MMRecError(
                f"{workers} workers need {workers} {kind}s; there are {available.get(kind, 0):g}. "
                f"Use fewer workers{' or --device cpu' if kind == 'GPU' else ''}."
            )
    return gpu


def together(
    loop: Callable[[dict[str, Any]], None],
    config: Mapping[str, Any],
    folder: Path,
    workers: int,
    gpu: bool,
    flag: StopFlag,
) -> None:
    """Run ``loop`` in several processes that train one model (Ray Train, DDP).

    If a process is lost, all start again from the last checkpoint.

    Args:
        loop: called with ``config`` in each process, once they are connected.
        config: its argument; ``config["stop"]`` is the path of the stop file.
        folder: folder for Ray's own files.
        workers: number of processes.
        gpu: whether each process takes a GPU, if there is one.
        flag: a stop request is passed on by creating the stop file.

    Raises:
        MMRecError: too few CPUs or GPUs, or the processes failed repeatedly.
    """
    if not os.environ.get("MMREC_ON_RAY"):  # Ray takes seconds to start: it is not started in vain
        _has_room({"CPU": os.cpu_count() or 1, "GPU": runtime.gpus()}, workers, gpu)
    with connected():
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        gpu = _has_room(resources(), workers, gpu)
        Path(config["stop"]).unlink(missing_ok=True)
        over = threading.Event()

        def pass_on() -> None:
            while not over.wait(0.2):
                if flag.wanted:
                    Path(config["stop"]).touch()

        messenger = threading.Thread(target=pass_on, daemon=True)
        messenger.start()
        trainer = TorchTrainer(
            loop,
            train_loop_config=dict(config),
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=workers, use_gpu=gpu, resources_per_worker={"CPU": 1, **({"GPU": 1} if gpu else {})}
            ),
            run_config=RunConfig(
                name="together",
                storage_path=str(folder),
                failure_config=FailureConfig(
                    max_failures=TRIES - 1,
                    controller_failure_limit=TRIES,  # type: ignore[call-arg]
                ),
            ),
        )
        try:
            with flag.watch():
                trainer.fit()
        except Exception as error:
            lines = [line for line in str(error).strip().splitlines() if line.strip()]
            raise MMRecError(
                f"Training with {workers} workers failed ({lines[-1][:300] if lines else type(error).__name__})."
            ) from error
        finally:
            over.set()
            messenger.join()
            Path(config["stop"]).unlink(missing_ok=True)


def _client(where: str) -> Any:
    _identified()
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError:
        raise MMRecError("Sending runs to a cluster needs Ray; pip install -r requirements-cluster.txt.") from None
    _reachable(where)
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        return JobSubmissionClient(where)
    except Exception as error:
        raise MMRecError(
            f"The Ray cluster at {where} takes no jobs ({_first_line(error)}). Its head needs ray[default]."
        ) from error


def send(
    run_id: str, *, cpus: float, gpus: float, read: Callable[[], dict[str, Any] | None], note: Callable[[str], None],
    keep: Callable[[str], None], earlier: str | None, flag: StopFlag,
) -> dict[str, Any]:  # fmt: skip
    """Do a run's work as a job of the cluster, and wait for it.

    Args:
        run_id: the run.
        cpus: CPUs of its process; 0 if the process requests more from Ray by itself.
        gpus: GPUs of its process.
        read: gives the outcome that the job has written into the run's folder, ``None`` before.
        note: called with notes for the event log.
        keep: called with the job's name before it starts, so that a resumed run finds it.
        earlier: a job of this run from an earlier worker; it is ended first, so that two jobs never write to one
            folder.
        flag: stop requests.

    Returns:
        The outcome.

    Raises:
        MMRecError: the job failed, or its nodes were lost too often.
        Interrupted: a stop was requested; the job has been stopped.
    """
    where = address()
    if where is None:
        raise MMRecError(
            "The cluster of this run is not named any more. Set RAY_ADDRESS, or start a new run on this machine."
        )
    client = _client(where)
    if earlier is not None:
        _ended(client, earlier)
    lost = 0
    while lost < TRIES:
        job = f"mmrec-{run_id}-{secrets.token_hex(3)}"
        keep(job)
        try:
            with flag.watch():
                client.submit_job(
                    entrypoint=f"{os.environ.get('MMREC_RAY_PYTHON', sys.executable)} -m mmrec_core work-here {run_id}",
                    submission_id=job,
                    runtime_env={"env_vars": {**_environment(), JOB: job}},
                    entrypoint_num_cpus=cpus or None,
                    entrypoint_num_gpus=gpus or None,
                )
        except RuntimeError as error:  # what its client raises for every refusal
            reason = (str(error).strip() or "no reason given").splitlines()[-1][:300]  # the last line of a traceback
            advice = AGENT if "No available agent" in str(error) else ""
            raise MMRecError(f"The Ray cluster at {where} took no job ({reason}). {advice}".strip()) from error
        end, message = _follow(client, job, flag)
        if flag.wanted:
            raise Interrupted()
        found = read()
        if found is not None:
            return found
        if end == "ended":
            raise MMRecError(f"The cluster's job ended without a result ({message}). {_tail(client, job)}".strip())
        if end == "lost":
            lost += 1
            note(f"The node it ran on was lost ({message}); it continues on another node from its last checkpoint.")
        else:
            note("The cluster had no free node for so long that it gave up; the job is submitted again.")
    raise MMRecError(f"{TRIES} nodes of this run were lost. Resume it when the cluster works again.")


def _ended(client: Any, job: str) -> None:
    """Stop a job if it still runs, and wait until it has ended."""
    with contextlib.suppress(Exception):  # a job that the cluster does not know has ended
        if not client.get_job_info(job).status.is_terminal():
            client.stop_job(job)
        until = time.time() + 60
        while not client.get_job_info(job).status.is_terminal() and time.time() < until:
            time.sleep(LOOK_S)


def _environment() -> dict[str, str]:
    passed = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
    return {
        **passed,
        "MMREC_HOME": str(settings.home()),
        "MMREC_ON_RAY": "1",
        "MMREC_MLFLOW": "off",
        "PYTHONPATH": str(settings.ROOT),
        "PYTHONUNBUFFERED": "1",
        "RAY_JOB_STOP_WAIT_TIME_S": "10",
    }


def _follow(client: Any, job: str, flag: StopFlag) -> tuple[str, str]:
    """Wait for the end of a job.

    Returns:
        ``ended``, ``lost`` (with its node) or ``no room`` (no free node), and Ray's message.

    Raises:
        MMRecError: the cluster does not answer any more.
    """
    stopped_at, silent = 0.0, 0
    with flag.watch():
        while True:
            if flag.wanted and not stopped_at:
                stopped_at = time.time()
                with contextlib.suppress(Exception):  # if the head node does not answer, the loop below waits for it
                    client.stop_job(job)
            if stopped_at and time.time() - stopped_at > STOP_S:
                return "ended", "it did not react to being stopped"
            try:
                info, silent = client.get_job_info(job), 0
            except Exception as error:  # the head node may be busy
                silent += 1
                if silent > 30:
                    raise MMRecError(
                        f"The cluster's head node does not answer any more ({str(error)[:120]}). "
                        "Resume the run when it is back."
                    ) from error
                time.sleep(LOOK_S)
                continue
            if info.status.is_terminal():
                message = (info.message or str(info.status)).strip().splitlines()[0][:200]
                kind = str(getattr(info, "error_type", "") or "")
                if "START_TIMEOUT" in kind:
                    return "no room", message
                lost = str(info.status) == "FAILED" and info.driver_exit_code is None and "RUNTIME_ENV" not in kind
                return ("lost" if lost else "ended"), message
            time.sleep(LOOK_S)


def _tail(client: Any, job: str) -> str:
    """The last line of a job's log."""
    try:
        lines = [line for line in str(client.get_job_logs(job)).splitlines() if line.strip()]
    except Exception:
        return ""
    return f"Last line of its log: {lines[-1][:300]}" if lines else ""
