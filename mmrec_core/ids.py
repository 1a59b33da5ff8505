"""The one rule for raw ids: text, unless every id of a kind over all files of a dataset is a canonical integer that fits int64.

A canonical integer is written as Python would print it: ``0``, ``42``, ``-7``. ``007``, ``1e3``, ``+7``, ``7.0`` (as text) and numbers
beyond int64 are not canonical, so a dataset that holds one of them has text ids: ``007`` and ``7`` stay two ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec_core.errors import MMRecError

Array = npt.NDArray[Any]

CANONICAL = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
LARGEST = 2**63 - 1
EXACT = 2**53
"""Whole numbers up to this one differ in float64; beyond it two ids may share one float."""
LONGEST = 500
"""Characters of an id at most."""

LineOf = Callable[[int], int]
"""The line of a file (or row of a Parquet file) in which a row of its table stands."""


@dataclass(frozen=True)
class Ids:
    """One column of ids, as text: row ``i`` holds ``values[codes[i]]``; −1 where the cell is empty."""

    codes: Array
    """int64 ``[N]``."""
    values: list[str]
    """Distinct ids, spaces around them removed."""

    @property
    def canonical(self) -> bool:
        """Whether every id is a canonical integer that fits int64."""
        return all(is_canonical(value) for value in self.values)

    def missing(self) -> Array:
        """bool ``[N]``: empty cells."""
        missing: Array = self.codes < 0
        return missing


def is_canonical(text: str) -> bool:
    """Whether an id is an integer in its one usual form, and fits int64."""
    return CANONICAL.fullmatch(text) is not None and -LARGEST <= int(text) <= LARGEST


def of_column(column: Any, name: str, where: str, line_of: LineOf) -> Ids:
    """Ids out of a column of any type.

    Args:
        column: a pyarrow array or anything pyarrow or numpy makes one of ``[N]``.
        name: the column's name, for messages.
        where: the file, for messages.
        line_of: the line in which a row stands, for messages.

    Raises:
        MMRecError: fractions, floats too large to be exact, control characters, ids over 500 characters, or a type that holds no ids.
    """
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    elif not isinstance(column, pa.Array):
        held = np.asarray(column)
        column = pa.array(held.astype(held.dtype.newbyteorder("=")) if held.dtype.kind in "iuf" else held.tolist())
    if not pa.types.is_dictionary(column.type):
        try:
            column = column.dictionary_encode()
        except pa.ArrowException:
            raise MMRecError(f"{where}: column '{name}' is of type {column.type}, which cannot hold ids.") from None
    try:
        raw = column.dictionary.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        raise MMRecError(
            f"{where}: column '{name}' holds values of type {column.type.value_type} that cannot be ids."
        ) from None
    codes = column.indices.to_numpy(zero_copy_only=False)
    codes = np.where(np.isnan(codes), -1, codes).astype(np.int64) if codes.dtype.kind == "f" else codes.astype(np.int64)
    place: dict[str, int] = {}
    moved = np.full(len(raw) + 1, -1, np.int64)  # the last one stands for an empty cell
    for at, value in enumerate(raw):
        try:
            text = as_text(value)
        except ValueError as error:
            hits = np.flatnonzero(codes == at)
            line = f", line {line_of(int(hits[0]))}" if len(hits) else ""
            raise MMRecError(f"{where}{line}: {name} is {_shown(value)}, {error}.") from None
        if text is not None:
            moved[at] = place.setdefault(text, len(place))
    return Ids(moved[codes], list(place))


def as_text(value: Any) -> str | None:
    """One raw id as text; ``None`` where it is empty.

    Raises:
        ValueError: it cannot be an id; the message goes after "X is VALUE, ".
    """
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        raise ValueError("which is true or false; expected an id")
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if number != number:
            return None
        if number % 1 or abs(number) >= EXACT:
            raise ValueError(
                "expected a whole number, or ids as text: a fraction or a float beyond 2^53 names no item exactly"
            )
        return str(int(number))
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("expected an id in UTF-8") from None
    if not isinstance(value, str):
        raise ValueError("expected an id: text or a whole number")
    text = value.strip()
    if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in text):
        raise ValueError("expected an id without control characters")
    if len(text) > LONGEST:
        raise ValueError(f"expected an id of at most {LONGEST} characters")
    return text or None


def decide(*columns: Ids) -> list[Array]:
    """Columns of the same kind of id, all int64 or all text; an empty cell is refused before.

    Returns:
        one array ``[N]`` for each column: int64, or Python strings (object).
    """
    number = all(column.canonical for column in columns)
    kind = np.int64 if number else object
    return [np.array([int(v) for v in c.values] if number else c.values, kind)[c.codes] for c in columns]


def _shown(value: Any) -> str:
    return repr(value if not isinstance(value, (str, bytes)) or len(value) <= 60 else value[:60])
