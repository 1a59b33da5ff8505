"""The app on the network: under which address others reach it, and a second server for a class beside a local one.

The second server is ``mmrec serve --class`` on another port, with the same home. Everything else stays on localhost.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from mmrec_core import ownership, settings, storage
from mmrec_core.errors import MMRecError
from mmrec_core.runs import heartbeat
from mmrec_core.runs.background import reap, start_detached

FILE, LOG = "class-server.json", "class-server.log"
PORTS = range(8502, 8600)
UP_S = 60.0
"""Seconds that the second server may take to come up."""


def network_name(host: str, names: Sequence[str] = ()) -> str | None:
    """The name or address under which other machines reach the app; ``None`` if it cannot be found out.

    The first of ``names``, else the address to listen on, else this machine's address in its network. No packet is
    sent to find it.
    """
    if names:
        return names[0]
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    if not everywhere:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address of documentation: the system only chooses the way there
            return str(probe.getsockname()[0])
        except OSError:
            return None


def _file() -> Path:
    return settings.home() / FILE


def opened() -> dict[str, Any] | None:
    """The second server, if it runs: ``port`` and ``host``, the link of the host. ``None`` if there is none."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
        alive = heartbeat.lives(found, settings.home())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return found if alive and isinstance(found.get("port"), int) and isinstance(found.get("host"), str) else None


def open_server() -> dict[str, Any]:
    """Start the second server and wait until it answers; returns :func:`opened`.

    Raises:
        MMRecError: the visitor is not the owner, no port is free, or it does not come up.
    """
    ownership.require("open the app to the network")
    with storage.locked("class-server"):
        if (there := opened()) is not None:
            return there
        port = next((p for p in PORTS if _free(p)), None)
        if port is None:
            raise MMRecError(f"No port from {PORTS.start} to {PORTS.stop - 1} is free.")
        command = [sys.executable, "-m", "mmrec_core", "serve", "--class", "--headless", "--port", str(port)]
        log = settings.home() / LOG
        log.touch(0o600)
        log.chmod(0o600)  # the host's link, which is printed into it, holds the token
        own = {"MMREC_LISTENS", "MMREC_PUBLISHED", "MMREC_NAMES", "MMREC_ADDRESS"}  # of this server, not of the new one
        environment = {name: value for name, value in os.environ.items() if name not in own}
        process = start_detached(command, log, settings.ROOT, environment=environment)
        reap(process)
        _wait(process, port)
        name = network_name("0.0.0.0") or socket.gethostname()
        link = f"http://{name}:{port}/class?owner={ownership.token()}"
        storage.write_json(_file(), heartbeat.owner(process.pid) | {"port": port, "host": link})
        _file().chmod(0o600)  # it holds the token
    found = opened()
    if found is None:
        raise MMRecError(f"The server for the class ended at once; MMREC_HOME/{LOG} says why.")
    return found


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + UP_S
    while time.monotonic() < until:
        with (
            contextlib.suppress(OSError, ssl.SSLError),
            urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2),
        ):
            return
        if process.poll() is not None:
            raise MMRecError(f"The server for the class did not come up; MMREC_HOME/{LOG} says why.")
        time.sleep(0.3)
    close(process.pid)
    raise MMRecError(f"The server for the class did not answer within a minute; MMREC_HOME/{LOG} may say why.")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


def close_server() -> None:
    """Stop the second server; nobody else reaches the app then.

    Raises:
        MMRecError: the visitor is not the owner.
    """
    ownership.require("close the app to the network")
    if (there := opened()) is not None:
        close(int(there["pid"]))
    _file().unlink(missing_ok=True)


def close(pid: int) -> None:
    """Stop a server with its processes."""
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        every = [*parent.children(recursive=True), parent]
        for process in every:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(every, timeout=10)[1]:
            process.kill()
