"""Writing that cannot half-happen: atomic files and folders, locks, checksums, and errors in plain words."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmrec_core import settings
from mmrec_core.errors import MMRecError


@contextlib.contextmanager
def plain_errors(where: Path) -> Iterator[None]:
    """Turn an operating-system refusal to write into a line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise MMRecError(
                f"The disk that holds {where} is full. Free some space, or set MMREC_HOME to another disk; "
                "what was there before is untouched."
            ) from error
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}:
            raise MMRecError(
                f"Cannot write to {where} ({os.strerror(error.errno or 0)}). "
                "Set MMREC_HOME to a folder you may write to."
            ) from error
        raise


def open_home() -> Path:
    """The home folder, made if missing, its format checked.

    Raises:
        MMRecError: it cannot be written, or a newer version of MMRec made it.
    """
    folder = settings.home()
    marker = folder / "format.json"
    with plain_errors(folder):
        if not marker.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_json(marker, {"format": settings.FORMAT})
            return folder
    told = read_json(marker)
    found = told.get("format") if isinstance(told, dict) else told
    if not isinstance(found, int) or found > settings.FORMAT:
        raise MMRecError(
            f"{folder} was made by a newer MMRec (format {found}; this one reads up to {settings.FORMAT}). "
            "Update MMRec, or set MMREC_HOME to another folder."
        )
    return folder


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or none of it: to a sibling, flushed, then renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with draft.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN is refused, because no reader agrees on it."""
    write_bytes(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        MMRecError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MMRecError(f"{path} is missing.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MMRecError(f"{path} is not readable as JSON ({error}). Remove it and make it again.") from None


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A draft folder beside ``folder`` that takes its place when the block ends well, and vanishes when not."""
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    with plain_errors(folder.parent):
        draft.mkdir(parents=True)
        try:
            yield draft
            old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.old")
            if folder.exists():
                folder.replace(old)
            try:
                draft.replace(folder)
            except BaseException:
                if old.exists():
                    old.replace(folder)
                raise
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of one target (a dataset, a device), across processes; it frees itself if its holder dies."""
    from filelock import FileLock

    folder = open_home() / "locks"
    lock = FileLock(folder / f"{name}.lock")
    with plain_errors(folder):
        folder.mkdir(exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def sweep(folder: Path) -> None:
    """Clear away what a killed :func:`replacing` of ``folder`` left beside it; bring back the old one if it was between."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        if left.name.endswith(".old") and not folder.exists():
            left.replace(folder)
        else:
            shutil.rmtree(left, ignore_errors=True)


def checksum(*parts: bytes) -> str:
    """A short, stable name for content: the first 16 hex digits of its SHA-256."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


def safe_name(name: str, kind: str = "name") -> str:
    """The name itself, if it can be a folder on every system.

    Raises:
        MMRecError: it holds anything but letters, digits, dot, dash and underscore, or is reserved on Windows.
    """
    plain = name and all(c.isascii() and (c.isalnum() or c in "._-") for c in name) and name[0].isalnum()
    if not plain or len(name) > 64 or name.split(".")[0].upper() in {"CON", "PRN", "AUX", "NUL"}:
        raise MMRecError(
            f"'{name}' cannot be a {kind}: use 1–64 letters, digits, dots, dashes or underscores, starting with a "
            "letter or digit."
        )
    return name
