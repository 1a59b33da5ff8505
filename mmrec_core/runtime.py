"""Facts about this machine and environment: GPUs, devices, library versions, commit, memory."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from functools import cache, lru_cache

from mmrec_core import settings


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` names them; counted by NVML, without torch."""
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
    except Exception:  # no NVML, no driver or no GPU
        return 0


def gpus() -> int:
    """How many NVIDIA GPUs may be used."""
    return len(visible_gpus())


def device(name: str = "auto") -> str:
    """The torch device to use: ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        MMRecError: unknown name, or this machine has no such device.
    """
    import torch

    from mmrec_core.errors import MMRecError

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise MMRecError("Device 'cuda' was requested, but PyTorch sees no NVIDIA GPU here. Use --device cpu or auto.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise MMRecError("Device 'mps' was requested, but there is none here. Use --device cpu or auto.")
    if name not in {"cpu", "cuda", "mps"}:
        raise MMRecError(f"Unknown device '{name}'. Known: auto, cpu, cuda, mps.")
    return name


def environment() -> dict[str, object]:
    """What a result records so that it can be reproduced: package versions, git commit, threads and device."""
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
    """The git commit of this code, read once per process, with ``+changes`` if there are uncommitted changes.

    ``None`` outside a checkout, without git, or if git refuses a folder that belongs to another user.
    """
    import subprocess

    def git(*words: str) -> str:
        with suppress(OSError):
            return subprocess.run(
                ["git", *words], cwd=settings.ROOT, capture_output=True, text=True, check=False
            ).stdout.strip()
        return ""

    head = (
        "" if settings.ROOT == settings.INSTALLED else git("rev-parse", "HEAD")
    )  # an installed package may lie inside another repository
    return (head + ("+changes" if git("status", "--porcelain", "--", "mmrec_core") else "")) if head else None


def ask_no_missing_driver() -> None:
    """On a machine without a GPU, let torch remember that there is none.

    Fabric has torch ask NVIDIA's management library instead of the driver (a process that asked the driver cannot
    fork). Where that library is missing, torch looks for it again at each step of an optimiser: a tenth of a small
    step. There is no driver to keep a process from forking there, so the plain question is as good.
    """
    import torch

    if not torch.cuda.is_available():
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


@cache
def keep_memory() -> bool:
    """Let this process keep freed memory for reuse instead of returning it to the system (glibc only).

    Training allocates the same large blocks at every step. Getting them from the system each time costs a page fault
    per 4 KiB: a fifth of a full-softmax epoch on a CPU.

    Returns:
        Whether the C library accepted it.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        mmap_max, trim_threshold, top_pad = -4, -1, -2  # constants of malloc.h
        return bool(
            libc.mallopt(mmap_max, 0) and libc.mallopt(trim_threshold, 2**31 - 1) and libc.mallopt(top_pad, 64 << 20)
        )
    except (OSError, AttributeError):
        return False


def serve_many() -> None:
    """Settings of a process that serves many visitors, each in threads of their own; call it before they start.

    Python's lock: a page releases it at each of its dozens of reads and writes, and waits for it as long as another
    thread may keep it; computations of other visitors keep it for the whole interval (by default .005 s). Memory (glibc
    only): threads share two pools instead of eight per core, so that what one visitor freed serves the next one.
    """
    sys.setswitchinterval(0.0005)
    arena_max = -8  # constant of malloc.h
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(arena_max, 2)
