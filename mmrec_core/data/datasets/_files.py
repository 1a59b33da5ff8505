"""Read raw files from a folder or a zip as typed columns; errors name the line."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import pandas as pd

from mmrec_core.errors import MMRecError, short
from mmrec_core.reading import input_files
from mmrec_core.reading.tables import listed


class RawFiles:
    """The files of one dataset, in a folder or a zip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = input_files.Archive(path) if path.is_file() else None
        self._members = {PurePosixPath(name).name: name for name in self._zip.names()} if self._zip else {}

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return name in self._members if self._zip else (self.path / name).is_file()

    def where(self, name: str) -> str:
        """The path of a file, for messages."""
        return f"{self.path}:{name}" if self._zip else str(self.path / name)

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading.

        Raises:
            MMRecError: it is missing, or its archive is damaged.
        """
        if not self.has(name):
            raise MMRecError(f"{self.where(name)} is missing.")
        if self._zip is None:
            return (self.path / name).open("rb")
        return io.BytesIO(self._zip.read(self._members[name]))

    def text(self, name: str, encoding: str = "utf-8") -> str:
        """A whole file as text.

        Raises:
            MMRecError: as :meth:`open`, or it is not in this encoding.
        """
        with self.open(name) as opened, input_files.reading(self.where(name), f"text in {encoding}"):
            return opened.read().decode(encoding)

    def lines(self, name: str, encoding: str = "utf-8") -> list[str]:
        """The lines of a file, split at line feeds only: titles may contain other line separators of Unicode."""
        return [line.removesuffix("\r") for line in self.text(name, encoding).split("\n")]


def read_columns(
    handle: Any, where: str, types: Mapping[str, str], *, rename: Mapping[str, str] | None = None, **options: Any
) -> pd.DataFrame:
    """Read a delimited file as typed columns. If a value is bad, the file is read again to name its line.

    Args:
        handle: a path or an open binary file that can be rewound.
        where: the file's name, for messages.
        types: numpy type of each column to read, by its name in the file.
        rename: new column names by old ones.
        options: passed to :func:`pandas.read_csv`.

    Returns:
        The columns of ``types``.

    Raises:
        MMRecError: a column is missing, or a value does not fit its column.
    """
    options = {"encoding": "utf-8", "index_col": False, **options}
    headed = options.get("names") is None

    def rewound() -> Any:
        if hasattr(handle, "seek"):
            handle.seek(0)
        return handle

    try:
        if headed:
            head = list(pd.read_csv(rewound(), nrows=0, **options).columns)
            if missing := [c for c in types if c not in head]:
                raise MMRecError(
                    f"{where} has no column '{missing[0]}'; it has {listed([str(h) for h in head])}. Rename the "
                    "column, "
                    "or name the right one."
                )
        with warnings.catch_warnings():
            # lines with more fields than the header would lose their last fields
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # without usecols, which does not count the fields of a line
            frame = pd.read_csv(rewound(), dtype=dict(types), **options)
    except pd.errors.EmptyDataError:
        raise MMRecError(f"{where} is empty.") from None
    except UnicodeDecodeError as error:
        raise MMRecError(f"{where} is not {options['encoding']} text ({error.reason} at byte {error.start}).") from None
    except pd.errors.ParserWarning:
        raise MMRecError(
            f"{where}: its lines have more fields than its header. Put fields that contain the separator into "
            "quotes, or correct the header."
        ) from None
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise MMRecError(
            _diagnose(rewound(), where, types, options, 2 if headed else 1)
            or f"{where}: {input_files.brief(error)}. Correct the line and prepare again."
        ) from None
    return frame[list(types)].rename(columns=dict(rename or {}))


def _diagnose(handle: Any, where: str, types: Mapping[str, str], options: Mapping[str, Any], first: int) -> str | None:
    """The message for the first value that does not fit its type, with its line; ``None`` if none is found.

    Args:
        handle: as in :func:`read_columns`.
        where: the file's name.
        types: as in :func:`read_columns`.
        options: options of :func:`pandas.read_csv`.
        first: line of the first row.
    """
    try:
        text = pd.read_csv(handle, usecols=list(types), dtype=str, **{**options, "keep_default_na": False})
    except (ValueError, OverflowError, pd.errors.ParserError):
        return None
    for column, kind in types.items():
        if np.dtype(kind).kind not in "iuf":
            continue
        values = pd.to_numeric(text[column], errors="coerce")
        bad = values.isna() if np.dtype(kind).kind == "f" else values.isna() | (values % 1 != 0)
        if bad.any():
            at = int(np.flatnonzero(bad.to_numpy())[0])
            wanted = "a whole number" if np.dtype(kind).kind in "iu" else "a number"
            return f"{where}, line {at + first}: {column} is '{short(text[column].iloc[at])}', expected {wanted}."
    return None
