"""Whether a worker is alive: by its process id on this machine, by its heartbeat file on another machine.

Machines with a shared file system and containers with a shared volume see each other's runs, but not each other's
processes. So a worker records where it runs, and touches a file in its run's folder while it is alive.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

BEAT_S = 2.0
"""Seconds between two heartbeats."""
SILENT_S = 60.0
"""After so many seconds without heartbeat a worker on another machine counts as dead; clocks may differ by less."""
GONE_S = 10.0
"""The same for a worker on this machine before a reboot, or in a container of the same name, which share one clock."""


def host() -> str:
    """Name of this machine: ``MMREC_HOST``, else the host name."""
    return os.environ.get("MMREC_HOST") or socket.gethostname()


def machine() -> str:
    """Id of this machine, the same in all its containers, because they share devices.

    ``MMREC_HOST`` overrides it for jobs that share no devices, such as those of a scheduler.
    """
    return os.environ.get("MMREC_HOST") or _machine()


@functools.lru_cache
def _machine() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}"  # a name may change with the network


def place() -> str:
    """Id of the namespace of process ids: the machine and, in a container, the container."""
    try:
        return f"{machine()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return machine()


def elsewhere(record: Mapping[str, Any]) -> str | None:
    """Name of the other machine or container on which a record's worker runs; ``None`` if it runs here."""
    return str(record.get("host") or "another machine") if record.get("place") not in {None, place()} else None


def started(pid: int) -> float:
    """Start time of a process of this machine in seconds since 1970; the current time if it has ended."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return time.time()


def here() -> dict[str, str]:
    """Entries of a record that say where its worker runs."""
    return {"host": host(), "machine": machine(), "place": place()}


def owner(pid: int | None = None) -> dict[str, Any]:
    """Entries of a record that identify a process: where it runs, its id and start time; by default this process."""
    pid = os.getpid() if pid is None else pid
    return {**here(), "pid": pid, "pid_started": started(pid)}


def same_owner(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records name the same process."""
    return one.get("pid") == other.get("pid") and (one.get("place") or place()) == (other.get("place") or place())


def lives(record: Mapping[str, Any], folder: Path) -> bool:
    """Whether the worker of a record is alive.

    Args:
        record: with the entries of :func:`owner`. A run that was ``queued`` or ``created`` just now counts as alive.
        folder: folder of its heartbeat file.
    """
    import psutil

    if record.get("pid") is None or elsewhere(record) is not None:
        latest = float(record.get("queued") or record.get("created") or 0)
        with contextlib.suppress(OSError):
            latest = max(latest, (folder / "alive").stat().st_mtime)
        near = record.get("pid") is not None and record.get("host") == host()
        return time.time() - latest < (GONE_S if near else SILENT_S)
    try:
        process = psutil.Process(int(record["pid"]))
        return (
            abs(process.create_time() - float(record["pid_started"])) < 2 and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False


def beat(folder: Path) -> None:
    """Touch the heartbeat file."""
    with contextlib.suppress(OSError):  # a full disk or a folder that is being removed must not end the work
        (folder / "alive").touch()


@contextlib.contextmanager
def heartbeat(folder: Path, unwanted: Callable[[], bool]) -> Iterator[None]:
    """Touch the heartbeat file regularly inside a ``with`` block, and end the work if it is unwanted.

    Args:
        folder: folder of the heartbeat file.
        unwanted: whether the work is to end; then this process gets SIGTERM, once. It reaches workers that signals from
            another machine do not.
    """
    over, main = threading.Event(), threading.current_thread() is threading.main_thread()

    def go() -> None:
        signalled = False
        while not over.wait(BEAT_S):
            beat(folder)
            if main and not signalled and unwanted():
                signalled = True
                if os.name == "nt":  # on Windows os.kill ends the process without a signal
                    signal.raise_signal(signal.SIGTERM)
                else:
                    os.kill(os.getpid(), signal.SIGTERM)

    beat(folder)
    heart = threading.Thread(target=go, daemon=True, name="heartbeat")
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()
