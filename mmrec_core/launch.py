"""Bring the app up, and the demo with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from mmrec_core import runs, settings
from mmrec_core.errors import MMRecError


def check_port(port: int, address: str = "localhost") -> None:
    """Refuse a port that somebody else listens on.

    Raises:
        MMRecError: it is taken, or it needs rights we do not have.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            raise MMRecError(f"Port {port} needs administrator rights; choose one above 1023 with --port.") from None
        except OSError:
            raise MMRecError(
                f"Port {port} is in use, perhaps by MMRec itself (see http://localhost:{port}). Stop that, or choose another: --port {port + 1}."
            ) from None


def serve(port: int, showcase: str | None = None, headless: bool = False) -> int:
    """Run the app until it is stopped; once it is up, train ``showcase``'s models in the background.

    Raises:
        MMRecError: the port is taken.
    """
    check_port(port)
    command = [sys.executable, "-m", "streamlit", "run", str(settings.ROOT / "app.py"), "--server.port", str(port)]
    _warm_up()
    app = subprocess.Popen(
        [*command, *(["--server.headless", "true"] if headless else [])], cwd=settings.ROOT, env=os.environ.copy()
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: app.terminate())
    if showcase:
        threading.Thread(target=_train_once_up, args=(app, port, showcase), daemon=True).start()
    try:
        return app.wait()
    except KeyboardInterrupt:
        app.terminate()
        return 0


def _warm_up() -> None:
    """Read every model's settings beside the starting app, so that its first page need not wait for torch."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, "-m", "mmrec_core", "models", "--json"], cwd=settings.ROOT, **quiet)  # type: ignore[call-overload]


def _train_once_up(app: subprocess.Popen[bytes], port: int, dataset: str) -> None:
    while app.poll() is None:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    break
        except OSError:
            time.sleep(0.5)
    time.sleep(3)  # the first page comes first
    if app.poll() is None:
        runs.start_all(dataset)
