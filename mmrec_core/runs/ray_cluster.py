"""A Ray cluster, where one is named: what it has, and how a run is sent there.

``RAY_ADDRESS`` (``HOST:6379``), or the address kept on the Train page, names it. A run stays the folder and the worker it is: that worker submits a Ray job which
does the arithmetic on whatever node has room, follows it, and sends it again where its node is lost, from the last checkpoint. Nodes share ``MMREC_HOME`` and have
the same checkout (the ready compose file and a cluster's file system both do).
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
"""Kinds of work that a cluster does; preparing data stays where the data are."""
TRIES = 4
"""How often a run is sent, at most, where nodes are lost."""
LOOK_S = 0.5
STOP_S = 8.0
"""How long a job that was asked to stop is waited for; one that never began has nothing to keep."""
AGENT = "Its head's agent is not up: wait a moment; where another Ray runs on that machine, give this one a port of its own (ray start --dashboard-agent-listen-port)."
PASSED_ON = ("MMREC_HOME", "MMREC_SOURCES", "MMREC_PLUGINS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


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
    """The cluster's address: ``RAY_ADDRESS``, else what :func:`name` kept; ``None`` inside one of its jobs, which is there already.

    Raises:
        DamagedFile: what was kept cannot be read.
    """
    if os.environ.get("MMREC_ON_RAY"):
        return None
    if named := os.environ.get("RAY_ADDRESS"):
        return named
    file = settings.home() / "cluster.json"
    return str(records.read(file, records.CLUSTER, REMEDY)["address"]) if file.exists() else None


def name(where: str | None) -> None:
    """Keep a cluster's address, or forget it. A damaged file is set aside first.

    Raises:
        MMRecError: it is no ``HOST:PORT``, or the home cannot be written to.
    """
    ownership.require("name a cluster")
    file = settings.home() / "cluster.json"
    if not where:
        _make_room(file)
        with storage.plain_errors(file):
            file.unlink(missing_ok=True)
        return
    _, colon, port = where.rpartition(":")
    if not colon or not port.isdecimal() or "//" in where:
        raise MMRecError(f"'{where}' is no address of a Ray cluster; expected HOST:PORT, such as 10.0.0.5:6379.")
    storage.open_home()
    _make_room(file)
    storage.write_json(file, {"address": where})


def _make_room(file: Path) -> None:
    """Set a damaged file aside."""
    try:
        address()
    except DamagedFile:
        if file.exists():
            storage.set_aside(file)


def executor(kind: str, asked: str | None = None) -> str:
    """Where a kind of work is done: ``local`` or ``ray``.

    Raises:
        MMRecError: ``ray`` was asked for and no cluster is named.
    """
    if asked not in {None, "local", "ray"}:
        raise MMRecError(f"--executor is '{asked}'; expected local or ray.")
    if asked == "ray" and address() is None:
        raise MMRecError("No Ray cluster is named. Set RAY_ADDRESS=HOST:6379, or start one here: ray start --head.")
    usual = "ray" if address() is not None and kind in SENT else "local"
    return asked or usual


def _identified() -> None:
    """Ray's clusters ask for a token where there is one (``~/.ray/auth_token``); its clients send it only when told so before they load."""
    settings.silence_telemetry()
    has = (
        "RAY_AUTH_TOKEN" in os.environ
        or "RAY_AUTH_TOKEN_PATH" in os.environ
        or (Path.home() / ".ray" / "auth_token").exists()
    )
    if has:
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _first_line(error: Exception) -> str:
    """What Ray says, without its pages of advice."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def nodes(where: str | None = None) -> list[Node]:
    """Every node and what is free on it.

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
    """What a question gives; one that is not answered in time is given up, for Ray's own client waits long for what accepts a connection and is no cluster."""
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
    """Ray's own client waits long for who is not there, and then ends the process."""
    import socket

    host, _, port = where.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=3):
            return
    except (OSError, ValueError) as error:
        raise MMRecError(
            f"Nothing answers at {where} ({error}). Start the cluster (ray start --head), or clear its address to work on this machine."
        ) from None


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Ray of this machine alone for as long as it is needed; in a cluster's job, that cluster.

    Raises:
        MMRecError: Ray is missing, or does not start.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # on a machine that trains something else meanwhile
    if not os.environ.get(
        "MMREC_ON_RAY"
    ):  # read when Ray loads: one machine alone, so that everything it starts listens on localhost
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    settings.silence_telemetry()
    try:
        import ray
    except ImportError:
        raise MMRecError("This needs Ray; pip install -r requirements-cluster.txt.") from None
    told: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not os.environ.get("MMREC_ON_RAY"):
        told |= {"address": "local", "num_cpus": os.cpu_count(), "num_gpus": runtime.gpus(), "include_dashboard": False,
                 "object_store_memory": 128 << 20, "_node_ip_address": "127.0.0.1"}  # fmt: skip
    main = threading.current_thread() is threading.main_thread()
    ours = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(**told)
    except Exception as error:  # of many kinds, all of which mean the same to whoever reads it
        raise MMRecError(
            f"Ray did not start ({_first_line(error)}). Resume the run once the machine has less to do."
        ) from error
    for number, handler in (
        ours.items() if main else ()
    ):  # Ray would end the process at once, and forget what it has not kept
        signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def resources() -> dict[str, float]:
    """What the Ray that this process is connected to has in all: ``CPU``, ``GPU``, …"""
    import ray

    return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]


def together(
    loop: Callable[[dict[str, Any]], None],
    told: Mapping[str, Any],
    folder: Path,
    workers: int,
    gpu: bool,
    flag: StopFlag,
) -> None:
    """Run ``loop`` in several processes that train one model (Ray Train, DDP); where one is lost all begin again, from the last checkpoint.

    Args:
        loop: takes ``told``; runs in each process once they are connected.
        folder: for Ray's own record.
        flag: a stop is passed on as the file ``told["stop"]``.

    Raises:
        MMRecError: they failed, and failed again.
    """
    with connected():
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        there = resources()
        gpu = gpu and bool(there.get("GPU"))
        for kind in ("CPU", *(["GPU"] if gpu else [])):
            if there.get(kind, 0) < workers:
                raise MMRecError(
                    f"{workers} workers need {workers} {kind}s; there are {there.get(kind, 0):g}. Use fewer workers{' or --device cpu' if kind == 'GPU' else ''}."
                )
        Path(told["stop"]).unlink(missing_ok=True)
        over = threading.Event()

        def pass_on() -> None:
            while not over.wait(0.2):
                if flag.wanted:
                    Path(told["stop"]).touch()

        messenger = threading.Thread(target=pass_on, daemon=True)
        messenger.start()
        trainer = TorchTrainer(
            loop, train_loop_config=dict(told), torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker={"CPU": 1, **({"GPU": 1} if gpu else {})}),
            run_config=RunConfig(name="together", storage_path=str(folder),
                                 failure_config=FailureConfig(max_failures=TRIES - 1, controller_failure_limit=TRIES)),  # type: ignore[call-arg]
        )  # fmt: skip
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
            Path(told["stop"]).unlink(missing_ok=True)


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
    """Have a run's work done by the cluster, and wait for it.

    Args:
        cpus, gpus: what its process needs; 0 and 0 for one that asks Ray for more by itself.
        read: what the job has left in the run's folder, once it has.
        note: takes what people should know.
        keep: is told the job's name before it begins, so that whoever resumes the run finds it.
        earlier: a job of this run that an earlier worker followed; it is ended first, for two must not write one folder.

    Returns:
        what ``read`` gave.

    Raises:
        MMRecError: it failed, or its nodes were lost too often.
        Interrupted: a stop was asked for; the job has been stopped.
    """
    where = address()
    if where is None:
        raise MMRecError(
            "The cluster that this run was to go to is not named any more. Set RAY_ADDRESS, or start it anew on this machine."
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
                    entrypoint=f"{os.environ.get('MMREC_RAY_PYTHON', sys.executable)} -m mmrec_core work-here {run_id}", submission_id=job,
                    runtime_env={"env_vars": _environment()}, entrypoint_num_cpus=cpus or None, entrypoint_num_gpus=gpus or None,
                )  # fmt: skip
        except RuntimeError as error:  # what its client raises for every refusal
            said = (str(error).strip() or "no reason given").splitlines()[-1][
                :300
            ]  # a reason, or a traceback that ends in one
            raise MMRecError(
                f"The Ray cluster at {where} took no job ({said}). {AGENT if 'No available agent' in str(error) else ''}".strip()
            ) from error
        how, told = _follow(client, job, flag)
        if flag.wanted:
            raise Interrupted()
        found = read()
        if found is not None:
            return found
        if how == "ended":
            raise MMRecError(f"The cluster's job ended without a result ({told}). {_tail(client, job)}".strip())
        if how == "lost":
            lost += 1
            note(f"The node it ran on was lost ({told}); it goes on elsewhere from its last checkpoint.")
        else:
            note("The cluster had no room for so long that it gave up; it is asked again.")
    raise MMRecError(f"{TRIES} nodes were lost under this run. Resume it once the cluster is well again.")


def _ended(client: Any, job: str) -> None:
    """Make sure that a job is over."""
    with contextlib.suppress(Exception):  # one that the cluster does not know is over
        if not client.get_job_info(job).status.is_terminal():
            client.stop_job(job)
        until = time.time() + 60
        while not client.get_job_info(job).status.is_terminal() and time.time() < until:
            time.sleep(LOOK_S)


def _environment() -> dict[str, str]:
    passed = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
    return {**passed, "MMREC_HOME": str(settings.home()), "MMREC_ON_RAY": "1", "MMREC_MLFLOW": "off", "PYTHONPATH": str(settings.ROOT),
            "PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": "10"}  # fmt: skip


def _follow(client: Any, job: str, flag: StopFlag) -> tuple[str, str]:
    """Until a job is over: ``ended``, ``lost`` with its node, or ``no room`` was found for it; and what Ray says of it."""
    asked, silent = 0.0, 0
    with flag.watch():
        while True:
            if flag.wanted and not asked:
                asked = time.time()
                with contextlib.suppress(Exception):  # a head that does not answer is waited for below
                    client.stop_job(job)
            if asked and time.time() - asked > STOP_S:
                return "ended", "it did not answer to being stopped"
            try:
                told, silent = client.get_job_info(job), 0
            except Exception as error:  # the head may be busy; it is given time
                silent += 1
                if silent > 30:
                    raise MMRecError(
                        f"The cluster's head does not answer any more ({str(error)[:120]}). Resume the run once it is back."
                    ) from error
                time.sleep(LOOK_S)
                continue
            if told.status.is_terminal():
                message = (told.message or str(told.status)).strip().splitlines()[0][:200]
                kind = str(getattr(told, "error_type", "") or "")
                if "START_TIMEOUT" in kind:
                    return "no room", message
                lost = str(told.status) == "FAILED" and told.driver_exit_code is None and "RUNTIME_ENV" not in kind
                return ("lost" if lost else "ended"), message
            time.sleep(LOOK_S)


def _tail(client: Any, job: str) -> str:
    """The job's last words."""
    try:
        lines = [line for line in str(client.get_job_logs(job)).splitlines() if line.strip()]
    except Exception:
        return ""
    return f"Its last words: {lines[-1][:300]}" if lines else ""
