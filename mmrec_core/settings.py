"""Folders and environment variables of MMRec, and the switch that turns off telemetry of other libraries.

``MMREC_HOME`` is the folder of everything the app makes. ``MMREC_SOURCES`` is a path list that is searched for raw data
before any download. Both are read on every call, so that a test or a notebook can change them.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

FORMAT = 1
"""The layout of ``MMREC_HOME`` that this version reads and writes."""
INSTALLED = Path(__file__).resolve().with_name("_app")
"""Folder of ``app.py``, ``pages/``, ``assets/`` and ``static/`` in a wheel; a checkout has no such folder."""


def app_folder() -> Path:
    """The folder of ``app.py``, ``pages/``, ``assets/`` and ``static/``; nothing is written there.

    It is the checkout, or a folder of the installed package.
    """
    return INSTALLED if INSTALLED.is_dir() else Path(__file__).resolve().parents[1]


ROOT = app_folder()
TELEMETRY_OFF = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "LITLOGGER_DISABLE_VERSION_CHECK": "1",
}


def silence_telemetry() -> None:
    """Switch off usage reports of other libraries; a value that the user set is kept."""
    for key, value in TELEMETRY_OFF.items():
        os.environ.setdefault(key, value)


def home() -> Path:
    """The folder of everything the app makes: ``MMREC_HOME``, else ``.mmrec`` in the checkout.

    If MMRec is installed as a package, the default is ``.mmrec`` in the user's folder.
    """
    named = os.environ.get("MMREC_HOME")
    if not named:
        return (Path.home() if ROOT == INSTALLED else ROOT) / ".mmrec"
    return _resolved(named, "" if os.path.isabs(named) else f"{os.getcwd()}\0{os.environ.get('HOME')}")


@lru_cache(maxsize=64)
def _resolved(named: str, beside: str) -> Path:
    """A folder with links followed; looked up once, as pages ask hundreds of times.

    Args:
        named: as the user wrote it.
        beside: what it depends on otherwise: the working directory and the user's folder.
    """
    return Path(named).expanduser().resolve()


def sources() -> list[Path]:
    """The folders of ``MMREC_SOURCES`` that exist, in order."""
    named = os.environ.get("MMREC_SOURCES", "")
    return [Path(part).expanduser().resolve() for part in named.split(os.pathsep) if part and Path(part).is_dir()]


def without_paths(text: str) -> str:
    """Replace this machine's folders in a text by their meaning, so that pages do not show server paths.

    The replacements are ``MMREC_HOME/…``, ``MMREC_SOURCES/…``, ``MMREC/…`` (the program), ``TEMP/…`` and ``~/…``.
    """
    import tempfile

    named = [
        (home(), "MMREC_HOME"),
        *((folder, "MMREC_SOURCES") for folder in sources()),
        (ROOT, "MMREC"),
        (Path(tempfile.gettempdir()).resolve(), "TEMP"),
        (Path.home(), "~"),
    ]
    for folder, name in sorted(named, key=lambda pair: -len(str(pair[0]))):
        if folder != Path(folder.anchor):
            text = re.sub(rf"{re.escape(str(folder))}(?=[/\\\s'\":,;.)]|$)", name, text)
    return text


def cpu_runs() -> int:
    """How many runs may train on the CPU at the same time (``MMREC_CPU_RUNS``, by default 1)."""
    named = os.environ.get("MMREC_CPU_RUNS", "1")
    return max(1, int(named)) if named.isascii() and named.isdigit() and len(named) < 5 else 1


def worker_niceness() -> int:
    """By how much background workers lower their priority on a machine that people work at (``MMREC_NICE``, 0 to 19; 19
    by default)."""
    named = os.environ.get("MMREC_NICE", "19")
    return min(int(named), 19) if named.isascii() and named.isdigit() and len(named) < 4 else 19


def static_dir() -> Path:
    """The folder of thumbnails and map files that the browser fetches (:mod:`mmrec_core.data.served_files`)."""
    return home() / "static"
