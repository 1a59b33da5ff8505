"""Reading what came from outside: sizes are bounded, and the libraries' many exceptions become one plain error."""

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
"""What may always be unpacked, whatever its ratio."""
MAX_RATIO = 100
"""Bytes unpacked for each packed byte at most, beyond :data:`FREE_BYTES`; rating tables reach about 10, DEFLATE can reach 1,032."""
MAX_BYTES = 8 << 30
"""Bytes of one unpacked file at most."""
MAX_MEMBERS = 100_000
"""Files in one archive at most."""


@contextlib.contextmanager
def reading(where: object, expected: str, todo: str = "Mend it, or fetch it again.") -> Iterator[None]:
    """Turn what libraries raise over a damaged or foreign file into one :class:`MMRecError`; to be put closely around their calls.

    Args:
        where: the file, for the message.
        expected: what it should have been, as "a CSV table in UTF-8".
        todo: what to do next.
    """
    try:
        yield
    except MMRecError:
        raise
    except OSError as error:
        import errno

        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:  # about writing; storage reports those
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
    """Around a whole reader: exceptions that only damaged data can cause become one :class:`MMRecError`; others stay defects of ours."""
    try:
        yield
    except MMRecError:
        raise
    except Exception as error:
        if not foreign(error):
            raise
        raise MMRecError(
            f"{where} is damaged or not in the form expected ({brief(error)}). Mend it, or fetch it again."
        ) from error


def known(error: Exception) -> bool:
    """Whether an exception is one that a library raises over bad data."""
    import csv
    import json
    import lzma
    import struct
    import tokenize
    import zlib

    kinds = (
        ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, SyntaxError, NotImplementedError, RuntimeError, MemoryError,
        ArithmeticError, AttributeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError, csv.Error, json.JSONDecodeError,
    )  # fmt: skip
    return isinstance(error, kinds) or type(error).__module__.partition(".")[0] in {"pyarrow", "pandas", "numpy"}


def foreign(error: BaseException) -> bool:
    """Whether an exception can only come from reading bad data, wherever it is raised: the narrow list, for the outermost place."""
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
    """An exception in one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def too_much(where: object, packed: int, unpacked: int) -> MMRecError | None:
    """The error for a file that unpacks to too much, or ``None``."""
    if unpacked > MAX_BYTES:
        return MMRecError(
            f"{where} unpacks to over {MAX_BYTES >> 30} GiB; it was not read. Unpack it yourself and name the unpacked file."
        )
    if unpacked > FREE_BYTES and unpacked > MAX_RATIO * max(packed, 1):
        return MMRecError(
            f"{where} unpacks to over {MAX_RATIO} times its size, as a decompression bomb does; it was not read. "
            "If you trust it, unpack it yourself and name the unpacked file."
        )
    return None


class _Counted(io.RawIOBase):
    """A stream of unpacked bytes that ends in an error where there are too many."""

    def __init__(self, stream: IO[bytes], packed: int, where: object) -> None:
        self.stream, self.packed, self.where, self.seen = stream, packed, where, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with unpacked bytes."""
        with reading(self.where, "a whole archive"):
            part = self.stream.read(len(buffer))
        self.seen += len(part)
        if (error := too_much(self.where, self.packed, self.seen)) is not None:
            raise error
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """The packed file, too."""
        self.stream.close()
        super().close()


def gunzip(file: Path) -> IO[bytes]:
    """A gzipped file's content as a stream, bounded by ratio and by size.

    Raises:
        MMRecError: missing; while it is read: damaged, or too much.
    """
    with reading(file, "a gzip file"):
        return io.BufferedReader(_Counted(gzip.open(file, "rb"), file.stat().st_size, file), 1 << 20)  # type: ignore[arg-type]


def gunzip_bytes(body: bytes, where: object) -> bytes:
    """Gzipped bytes unpacked, bounded by ratio and by size.

    Raises:
        MMRecError: damaged, or too much.
    """
    return _Counted(gzip.GzipFile(fileobj=io.BytesIO(body)), len(body), where).readall() or b""  # type: ignore[arg-type]


class Archive:
    """A zip file whose members are read one by one, each bounded by ratio and by size."""

    def __init__(self, file: Path) -> None:
        """Open it.

        Raises:
            MMRecError: no zip, damaged, a member that points outside, or one that unpacks to too much.
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
            if (error_ := too_much(f"{file}:{name}", member.compress_size, member.file_size)) is not None:
                raise error_

    def names(self) -> list[str]:
        """Members without folders, as the archive names them."""
        return list(self.members)

    def read(self, name: str) -> bytes:
        """A member's bytes.

        Raises:
            MMRecError: encrypted, damaged, or of a compression nobody here knows.
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
    """A ``.npy`` file's array, memory-mapped: a header that promises more than the file holds takes no memory.

    Raises:
        MMRecError: damaged, pickled, or no array of numbers or text.
    """
    import numpy as np

    with reading(file, "an array of numbers or text as numpy.save writes it", "Write it anew with numpy.save."):
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError(f"it holds {type(found).__name__}, not one array")
        if found.dtype.kind not in "biufSU":
            raise ValueError(f"it holds {found.dtype}")
    return found
