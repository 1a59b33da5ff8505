"""Read untrusted files: limits on unpacked size, and one readable error for all exceptions of the libraries."""

from __future__ import annotations

import contextlib
import gzip
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mmrec_core.errors import MMRecError
from mmrec_core.types import Array

FREE_BYTES = 64 << 20
"""Files up to this unpacked size are read whatever their compression ratio."""
MAX_RATIO = 100
"""Largest compression ratio beyond :data:`FREE_BYTES`; rating tables have about 10, DEFLATE can reach 1,032."""
MAX_BYTES = 8 << 30
"""Largest unpacked size of one file, in bytes."""
PART = 1 << 20
"""Bytes unpacked at a time."""
MAX_MEMBERS = 100_000
"""Largest number of files in one archive."""


@contextlib.contextmanager
def reading(where: object, expected: str, todo: str = "Mend it, or fetch it again.") -> Iterator[None]:
    """Turn the exceptions of a library about a damaged file into an :class:`MMRecError`; use it close around the call.

    Args:
        where: the file, for the message.
        expected: what it should be, such as "a CSV table in UTF-8".
        todo: what to do next.
    """
    try:
        yield
    except MMRecError:
        raise
    except OSError as error:
        import errno

        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:  # errors of writing, which storage reports
            raise
        raise MMRecError(
            f"{where} cannot be read ({error.strerror or brief(error)}); expected {expected}. {todo}"
        ) from error
    except Exception as error:
        if not known(error):
            raise
        raise MMRecError(f"{where} cannot be read ({brief(error)}); expected {expected}. {todo}") from error


@contextlib.contextmanager
def outermost(where: object) -> Iterator[None]:
    """Turn exceptions that only damaged data can cause into an :class:`MMRecError`; use it around a whole reader."""
    try:
        yield
    except MMRecError:
        raise
    except Exception as error:
        if not foreign(error):
            raise
        raise MMRecError(
            f"{where} is damaged or not in the expected format ({brief(error)}). Mend it, or fetch it again."
        ) from error


def known(error: Exception) -> bool:
    """Whether an exception is of a type that libraries raise for bad data."""
    import csv
    import json
    import lzma
    import struct
    import tokenize
    import zlib

    kinds = (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        EOFError,
        SyntaxError,
        NotImplementedError,
        RuntimeError,
        MemoryError,
        ArithmeticError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        tokenize.TokenError,
        csv.Error,
        json.JSONDecodeError,
    )
    return isinstance(error, kinds) or type(error).__module__.partition(".")[0] in {"pyarrow", "pandas", "numpy"}


def foreign(error: BaseException) -> bool:
    """Whether an exception can only come from bad data; a narrower list than :func:`known`, for :func:`outermost`."""
    import csv
    import json
    import lzma
    import tokenize
    import zlib

    kinds = (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        gzip.BadGzipFile,
        EOFError,
        UnicodeError,
        csv.Error,
        json.JSONDecodeError,
        tokenize.TokenError,
    )
    named = type(error).__module__.partition(".")[0] in {"pyarrow"} or type(error).__name__ in {
        "ParserError",
        "EmptyDataError",
        "OutOfBoundsDatetime",
    }
    return isinstance(error, kinds) or named


def brief(error: BaseException) -> str:
    """An exception as one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def unpack_limit_error(where: object, packed: int, unpacked: int) -> MMRecError | None:
    """The error for a file whose unpacked size is over the limits, else ``None``.

    Args:
        where: the file, for the message.
        packed: its size in bytes.
        unpacked: its unpacked size in bytes.
    """
    if unpacked > MAX_BYTES:
        return MMRecError(
            f"{where} unpacks to over {MAX_BYTES >> 30} GiB; it was not read. "
            "Unpack it yourself and name the unpacked file."
        )
    if unpacked > FREE_BYTES and unpacked > MAX_RATIO * max(packed, 1):
        return MMRecError(
            f"{where} unpacks to over {MAX_RATIO} times its size, as a decompression bomb does; it was not read. "
            "If you trust it, unpack it yourself and name the unpacked file."
        )
    return None


class _Counted(io.RawIOBase):
    """A stream of unpacked bytes that raises an error when a size limit is passed."""

    def __init__(self, stream: IO[bytes], packed: int, where: object) -> None:
        self.stream, self.packed, self.where, self.seen = stream, packed, where, 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read unpacked bytes into a buffer."""
        with reading(self.where, "a whole archive"):
            part = self.stream.read(len(buffer))
        self.seen += len(part)
        if (error := unpack_limit_error(self.where, self.packed, self.seen)) is not None:
            raise error
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Close the packed file, too."""
        self.stream.close()
        super().close()


def gunzip(file: Path) -> IO[bytes]:
    """Open a gzip file as a stream of its content, with limits on ratio and size.

    Raises:
        MMRecError: missing; while it is read: damaged, or over a limit.
    """
    with reading(file, "a gzip file"):
        return io.BufferedReader(_Counted(gzip.open(file, "rb"), file.stat().st_size, file), 1 << 20)  # type: ignore[arg-type]


def gunzip_bytes(body: bytes, where: object) -> bytes:
    """Unpack gzip bytes, with limits on ratio and size.

    Raises:
        MMRecError: damaged, or over a limit.
    """
    stream = _Counted(gzip.GzipFile(fileobj=io.BytesIO(body)), len(body), where)  # type: ignore[arg-type]
    return b"".join(iter(lambda: stream.read(PART), b""))


class Archive:
    """A zip file whose members are read one by one, each with limits on ratio and size."""

    def __init__(self, file: Path) -> None:
        """Open the file.

        Raises:
            MMRecError: no zip, damaged, a member that points outside the archive, or a member over a limit.
        """
        self.file = file
        try:
            self.zip = zipfile.ZipFile(file)
            self.members = {m.filename: m for m in self.zip.infolist() if not m.is_dir()}
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise MMRecError(f"{file} is damaged or cut short ({error}). Delete it and fetch it again.") from None
        if len(self.members) > MAX_MEMBERS or any(".." in PurePosixPath(name).parts for name in self.members):
            raise MMRecError(f"{file} holds a member that points outside the archive, or too many members; not opened.")
        for name, member in self.members.items():
            if (error_ := unpack_limit_error(f"{file}:{name}", member.compress_size, member.file_size)) is not None:
                raise error_

    def names(self) -> list[str]:
        """Names of the members as in the archive, without folders."""
        return list(self.members)

    def read(self, name: str) -> bytes:
        """The bytes of a member.

        Raises:
            MMRecError: encrypted, damaged, or of an unknown compression.
        """
        member = self.members[name]
        if member.flag_bits & 0x1:
            raise MMRecError(
                f"{self.file}:{name} is encrypted. Unpack it with its password and name the unpacked file."
            )
        with reading(f"{self.file}:{name}", "a whole zip archive", "It is damaged; delete it and fetch it again."):
            with self.zip.open(member) as handle:
                return _Counted(handle, member.compress_size, f"{self.file}:{name}").readall() or b""


def array(file: Path) -> Array:
    """Open a ``.npy`` file memory-mapped, so that a header with a false shape takes no memory.

    Raises:
        MMRecError: damaged, pickled, or not an array of numbers or text.
    """
    import numpy as np

    with reading(file, "an array of numbers or text as numpy.save writes it", "Write it anew with numpy.save."):
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError(f"it holds {type(found).__name__}, not one array")
        if found.dtype.kind not in "biufSU":
            raise ValueError(f"it holds {found.dtype}")
    return found
