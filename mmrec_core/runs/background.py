"""Start processes that outlive the one that starts them."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WINDOWS_GROUP, WINDOWS_DETACHED, WINDOWS_LOW_PRIORITY = 0x00000200, 0x00000008, 0x00004000


def start_detached(
    command: Sequence[str],
    log: Path,
    cwd: Path,
    *,
    environment: Mapping[str, str] | None = None,
    low_priority: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that it outlives this one.

    Args:
        command: program and arguments.
        log: file to which its output is appended.
        cwd: its working directory.
        environment: its environment variables; ``None``: those of this process.
        low_priority: on Windows, start it below normal priority. Elsewhere a worker lowers its own priority.

    Returns:
        The process; pass it to :func:`reap` if nobody waits for it.

    Raises:
        OSError: the log cannot be written, or the process does not start.
    """
    flags = WINDOWS_GROUP | (WINDOWS_LOW_PRIORITY if low_priority else WINDOWS_DETACHED)
    options: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {"creationflags": flags}
    with log.open("ab") as file:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=cwd, env=environment, **options
        )


def reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process in a thread, so that it does not stay as a zombie when it ends."""
    threading.Thread(target=process.wait, daemon=True, name=f"reaper of {process.pid}").start()
