"""Atomic writes of files and folders, locks, checksums, and readable error messages."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmrec_core import settings
from mmrec_core.errors import DamagedFile, MMRecError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.EIO,
    errno.EBUSY,
    errno.ENAMETOOLONG,
    errno.ENXIO,
    errno.ESTALE,
}
MAKE_AGAIN = "Remove it and make it again."
SETTLED_S = 10.0
"""After this time, in seconds, a folder that is still moved aside belongs to a process that was killed."""


def shown(path: Path) -> str:
    """A path for messages: relative to ``MMREC_HOME`` if it lies in there."""
    home = settings.home()
    return (
        f"MMREC_HOME/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) and path != home else str(path)
    )


@contextlib.contextmanager
def plain_errors(where: Path) -> Iterator[None]:
    """Turn an ``OSError`` of a failed write into an :class:`MMRecError` that says what to do."""
    try:
        yield
    except OSError as error:
        if (plain := refused(error, where)) is not None:
            raise plain from error
        raise


def refused(error: OSError, where: Path) -> MMRecError | None:
    """The message for an ``OSError`` of a failed write; ``None`` for any other error."""
    if error.errno in FULL:
        return MMRecError(
            f"The disk that holds {where} is full. Free some space, or set MMREC_HOME to another disk; "
            "what was there before is untouched."
        )
    if error.errno in REFUSED:
        return MMRecError(
            f"Cannot write to {where} ({os.strerror(error.errno or 0)}). Set MMREC_HOME to a folder you may write to."
        )
    return None


def open_home() -> Path:
    """The home folder: created if missing, its format checked. A damaged ``format.json`` is ignored.

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
    if (found := home_format(marker)) is not None and found > settings.FORMAT:
        raise MMRecError(
            f"{folder} was made by a newer MMRec (format {found}; this one reads up to {settings.FORMAT}). "
            "Update MMRec, or set MMREC_HOME to another folder."
        )
    return folder


def home_format(marker: Path) -> int | None:
    """The layout version in ``format.json``; ``None`` if the file is damaged."""
    try:
        content = read_json(marker)
    except DamagedFile:
        return None
    found = content.get("format") if isinstance(content, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: to a temporary file beside it, flushed, then renamed. Missing folders are created.

    Raises:
        MMRecError: the disk is full, or the place cannot be written to; what was there before is untouched.
    """
    draft = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:8]}")
    with plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            draft.replace(path)
        finally:
            with contextlib.suppress(OSError):  # keep the error of the write itself
                draft.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN is refused, because it is not valid JSON."""
    write_bytes(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        MMRecError: the file is missing, or cannot be read (:class:`DamagedFile`).
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MMRecError(f"{shown(path)} is missing.") from None
    except OSError as error:
        raise DamagedFile(shown(path), f"it cannot be read ({os.strerror(error.errno or 0)})", MAKE_AGAIN) from None
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, numbers or nesting beyond what Python reads
        empty = path.stat().st_size == 0
        raise DamagedFile(
            shown(path), "it is empty" if empty else f"it is not readable as JSON ({error})", MAKE_AGAIN
        ) from None


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A draft folder that replaces ``folder`` if the block succeeds, and is removed if it fails.

    Raises:
        MMRecError: the disk is full, or the place cannot be written to; what was there before is untouched.
    """
    recover(folder)
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


_LEFT = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}(?P<old>\.old)?")
"""Names that :func:`replacing` gives to its drafts and to the folders that it moves aside."""


def leftovers(parent: Path) -> Iterator[tuple[Path, Path, bool]]:
    """Drafts and folders moved aside in ``parent``: each with its target folder, and whether it is ``.old``."""
    for left in sorted(parent.glob(".*")):
        if (found := _LEFT.fullmatch(left.name)) is not None and left.is_dir():
            yield left, parent / found["name"], found["old"] is not None


def recover(folder: Path) -> None:
    """Restore a folder that a killed :func:`replacing` had moved aside."""
    if not folder.exists():
        recover_all(folder.parent, folder.name)


def recover_all(parent: Path, name: str | None = None) -> None:
    """:func:`recover` for every folder in ``parent``, or for the one called ``name``.

    Folders that were moved aside less than :data:`SETTLED_S` ago are left to the process that moved them.
    """
    for left, folder, old in leftovers(parent):
        if old and name in {None, folder.name} and not folder.exists():
            with contextlib.suppress(OSError):  # another process was first, or nothing may be written here
                if time.time() - left.stat().st_ctime >= SETTLED_S:
                    left.replace(folder)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of one target (a dataset, a device) across processes; it is released if the process dies."""
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
    """Remove what a killed :func:`replacing` of ``folder`` left, or restore the old folder.

    The caller holds its lock.
    """
    for left, owner, old in leftovers(folder.parent):
        if owner != folder:
            continue
        if old and not folder.exists():
            left.replace(folder)
        else:
            shutil.rmtree(left, ignore_errors=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that a new one can replace it.

    Returns:
        Where the damaged file is now.

    Raises:
        MMRecError: it cannot be renamed.
    """
    moment = time.strftime("%Y%m%d-%H%M%S")
    moved = path.with_name(f"{path.name}.damaged-{moment}-{uuid.uuid4().hex[:4]}")
    with plain_errors(path):
        path.replace(moved)
    return moved


def checksum(*parts: bytes) -> str:
    """A short checksum: the first 16 hex digits of the SHA-256 of the parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


def folder_name(name: str) -> str:
    """An encoder's name as the name of a folder or file: hub names hold slashes and colons."""
    return name.replace("/", "--").replace(":", "__")


def safe_name(name: str, kind: str = "name") -> str:
    """Check that a name can be a folder on every operating system, and return it.

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
