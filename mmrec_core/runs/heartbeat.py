"""Whether whoever works on something still lives: by its process on this machine, by its heartbeat on another that shares the home.

Machines of a cluster's file system and containers with one volume see each other's runs, but not each other's processes: a pid found here says nothing of
a worker there. So a worker writes down where it is, and touches a file in its run's folder for as long as it lives.
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
SILENT_S = 60.0
"""Without a beat for so long a worker on another machine is taken for dead; clocks of machines may differ by less."""
GONE_S = 10.0
"""The same of one on this machine, before it was restarted or in a container of the same name: there is one clock."""


def host() -> str:
    """What people call this machine: ``MMREC_HOST``, else its name."""
    return os.environ.get("MMREC_HOST") or socket.gethostname()


def machine() -> str:
    """What is one for all containers of a machine: devices are shared there. ``MMREC_HOST`` tells apart what shares none, such as jobs of a scheduler."""
    return os.environ.get("MMREC_HOST") or _machine()


@functools.lru_cache
def _machine() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}"  # a name may change with the network


def place() -> str:
    """Where process ids mean the same: the machine, and in a container its space of them."""
    try:
        return f"{machine()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return machine()


def elsewhere(told: Mapping[str, Any]) -> str | None:
    """What people call the machine or container on which something is worked on, if it is another."""
    return str(told.get("host") or "another machine") if told.get("place") not in {None, place()} else None


def started(pid: int) -> float:
    """When a process of this machine began, in seconds since 1970; now, if it has ended already."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return time.time()


def here() -> dict[str, str]:
    """What a record says of where its worker is."""
    return {"host": host(), "machine": machine(), "place": place()}


def owner(pid: int | None = None) -> dict[str, Any]:
    """What tells a process from all others: where it is, its number, when it began; this one, if none is named."""
    pid = os.getpid() if pid is None else pid
    return {**here(), "pid": pid, "pid_started": started(pid)}


def same_owner(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records name the same process."""
    return one.get("pid") == other.get("pid") and (one.get("place") or place()) == (other.get("place") or place())


def lives(told: Mapping[str, Any], folder: Path) -> bool:
    """Whether the worker that a record names still lives.

    Args:
        told: what :func:`owner` gave; when it was ``queued`` or ``created``: one that was just asked for is believed in.
        folder: where its heartbeat is looked for.
    """
    import psutil

    if told.get("pid") is None or elsewhere(told) is not None:
        sign = float(told.get("queued") or told.get("created") or 0)
        with contextlib.suppress(OSError):
            sign = max(sign, (folder / "alive").stat().st_mtime)
        near = told.get("pid") is not None and told.get("host") == host()
        return time.time() - sign < (GONE_S if near else SILENT_S)
    try:
        process = psutil.Process(int(told["pid"]))
        return abs(process.create_time() - float(told["pid_started"])) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def beat(folder: Path) -> None:
    """One sign of life."""
    with contextlib.suppress(OSError):  # a full disk or a folder that is being removed ends no work
        (folder / "alive").touch()


@contextlib.contextmanager
def heartbeat(folder: Path, unwanted: Callable[[], bool]) -> Iterator[None]:
    """Signs of life while something is done; that it is not wanted any more is heard, too, where no signal reaches.

    Args:
        unwanted: whether it is to end; then this process is asked to as if by ``kill``, once.
    """
    over, main = threading.Event(), threading.current_thread() is threading.main_thread()

    def go() -> None:
        asked = False
        while not over.wait(BEAT_S):
            beat(folder)
            if main and not asked and unwanted():
                asked = True
                if os.name == "nt":  # there a kill is no signal
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
