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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

BEAT_S = 2.0
SILENT_S = 60.0
"""Without a beat for so long a worker elsewhere is taken for dead; clocks of machines may differ by less."""
NEW_S = 60.0
"""A worker that was just asked for is believed in for so long before its first sign of life."""


@functools.lru_cache
def _here(named: str | None) -> str:
    try:
        space = os.readlink("/proc/self/ns/pid")  # containers may share a name
    except OSError:
        space = ""
    return f"{named or socket.gethostname()} {space}".strip()


def here() -> str:
    """Where this process is: its machine (``MMREC_HOST``, else the host's name) and, in a container, its space of process ids."""
    return _here(os.environ.get("MMREC_HOST"))


def elsewhere(told: Mapping[str, Any]) -> str | None:
    """The name of the machine on which something is worked on, if it is another."""
    host = told.get("host")
    return str(host).split(" ")[0] if host not in {None, here()} else None


def started(pid: int) -> float:
    """When a process of this machine began, in seconds since 1970; now, if it has ended already."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return time.time()


def owner(pid: int | None = None) -> dict[str, Any]:
    """What tells a process from all others: where it is, its number, when it began; this one, if none is named."""
    pid = os.getpid() if pid is None else pid
    return {"host": here(), "pid": pid, "pid_started": started(pid)}


def same_owner(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records name the same process."""
    return one.get("pid") == other.get("pid") and (one.get("host") or here()) == (other.get("host") or here())


def lives(told: Mapping[str, Any], folder: Path) -> bool:
    """Whether the worker that a record names still lives.

    Args:
        told: ``pid``, ``pid_started`` and ``host`` of :func:`owner`; when it was ``queued`` or ``created``.
        folder: where its heartbeat is looked for.
    """
    import psutil

    asked = float(told.get("queued") or told.get("created") or 0)
    if told.get("pid") is None:
        return time.time() - asked < NEW_S
    if elsewhere(told) is not None:
        try:
            return time.time() - (folder / "alive").stat().st_mtime < SILENT_S
        except OSError:
            return time.time() - asked < NEW_S
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
def heartbeat(folder: Path, unwanted: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Signs of life while something is done; whoever asks from another machine that it be stopped is heard, too.

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
        with contextlib.suppress(OSError):
            (folder / "alive").unlink(missing_ok=True)
