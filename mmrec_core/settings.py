"""Where things live, which device is used, and every library's telemetry switched off.

``MMREC_HOME`` holds all that the app makes; ``MMREC_SOURCES`` is a path list searched for raw data before any
download. Both are read anew on every call, so that a test or a notebook can change them.
"""

from __future__ import annotations

import ctypes
import os
import re
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

FORMAT = 1
"""The layout of ``MMREC_HOME`` that this version reads and writes."""

INSTALLED = Path(__file__).resolve().with_name("_app")
"""Where a wheel puts ``app.py``, ``server.py``, ``pages/``, ``assets/`` and ``static/``; a checkout has no such folder."""


def app_folder() -> Path:
    """The folder of ``app.py``, ``pages/``, ``assets/`` and ``static/``: the checkout, or a folder of the installed package. Nothing is written there."""
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
    """Switch off the usage reports of the libraries we use; a value the user set is kept."""
    for key, value in TELEMETRY_OFF.items():
        os.environ.setdefault(key, value)


def home() -> Path:
    """The folder for everything the app makes: ``MMREC_HOME``, else ``.mmrec`` in the checkout, or in the user's folder where MMRec is installed."""
    named = os.environ.get("MMREC_HOME")
    return Path(named).expanduser().resolve() if named else (Path.home() if ROOT == INSTALLED else ROOT) / ".mmrec"


def sources() -> list[Path]:
    """The folders of ``MMREC_SOURCES`` that exist, in order."""
    named = os.environ.get("MMREC_SOURCES", "")
    return [Path(part).expanduser().resolve() for part in named.split(os.pathsep) if part and Path(part).is_dir()]


def without_paths(text: str) -> str:
    """A text for people with this machine's folders named by what they are: ``MMREC_HOME/…``, ``MMREC_SOURCES/…``, ``MMREC/…`` (the
    program), ``TEMP/…``, ``~/…``. Logs and errors may hold them, and nobody who looks at a page needs to know them."""
    import tempfile

    named = [(home(), "MMREC_HOME"), *((folder, "MMREC_SOURCES") for folder in sources()), (ROOT, "MMREC"),
             (Path(tempfile.gettempdir()).resolve(), "TEMP"), (Path.home(), "~")]  # fmt: skip
    for folder, name in sorted(named, key=lambda pair: -len(str(pair[0]))):
        if folder != Path(folder.anchor):
            text = re.sub(rf"{re.escape(str(folder))}(?=[/\\\s'\":,;.)]|$)", name, text)
    return text


def cpu_runs() -> int:
    """How many runs may train on the CPU at a time (``MMREC_CPU_RUNS``, usually 1)."""
    named = os.environ.get("MMREC_CPU_RUNS", "1")
    return max(1, int(named)) if named.isascii() and named.isdigit() and len(named) < 5 else 1


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` names them; asked of NVML, so without loading torch."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [part.strip() for part in named.split(",") if part.strip() and part.strip() != "-1"]
    return [str(at) for at in range(_count_gpus())]


@lru_cache(maxsize=1)
def _count_gpus() -> int:
    try:
        import pynvml

        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except Exception:  # no NVML, no driver, no GPU: all the same to us
        return 0


def gpus() -> int:
    """How many NVIDIA GPUs may be used."""
    return len(visible_gpus())


def static_dir() -> Path:
    """Thumbnails and files of maps, which the browser fetches (:mod:`mmrec_core.home_files`); part of the home."""
    return home() / "static"


def device(name: str = "auto") -> str:
    """The torch device to use: ``auto`` takes CUDA, then Apple's MPS, then the CPU."""
    import torch

    from mmrec_core.errors import MMRecError

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise MMRecError("Device 'cuda' was asked for, but PyTorch sees no NVIDIA GPU here. Use --device cpu or auto.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise MMRecError("Device 'mps' was asked for, but there is none here. Use --device cpu or auto.")
    if name not in {"cpu", "cuda", "mps"}:
        raise MMRecError(f"Unknown device '{name}'. Known: auto, cpu, cuda, mps.")
    return name


def environment() -> dict[str, object]:
    """What a result must record to be repeated: package versions, git commit, threads and device."""
    import platform
    from importlib import metadata

    import torch

    versions = {}
    for package in ("torch", "lightning-fabric", "numpy", "scipy", "pandas", "pillow", "streamlit"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "commit": commit(),
        "threads": torch.get_num_threads(),
        "device": device(),
    }


@cache
def commit() -> str | None:
    """The commit this code is at, asked for once in a process; ``+changes`` where the code holds what no commit does. ``None`` outside a checkout, without git,
    or where git refuses a folder of somebody else's."""
    import subprocess

    def git(*words: str) -> str:
        with suppress(OSError):
            return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
        return ""

    head = "" if ROOT == INSTALLED else git("rev-parse", "HEAD")  # an environment may lie in somebody's repository
    return (head + ("+changes" if git("status", "--porcelain", "--", "mmrec_core") else "")) if head else None


@cache
def keep_memory() -> bool:
    """Let this process keep what it frees, where the C library is glibc: a training asks for the same large blocks at every step, and getting them anew
    from the system each time costs a page fault per 4 KiB (a fifth of a full-softmax epoch on a CPU). What is freed is used again, not given back.

    Returns:
        whether it was done.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        mmap_max, trim_threshold, top_pad = -4, -1, -2  # names of malloc.h
        return bool(libc.mallopt(mmap_max, 0) and libc.mallopt(trim_threshold, 2**31 - 1) and libc.mallopt(top_pad, 64 << 20))
    except (OSError, AttributeError):
        return False
