"""Raw ids: text, unless every user id (or every item id) of a dataset is a canonical integer that fits int64.

A canonical integer is written as Python prints it: ``0``, ``42``, ``-7``. ``007``, ``1e3``, ``+7``, ``7.0`` (as text)
and numbers beyond int64 are not canonical. A dataset with one of them has text ids, so ``007`` and ``7`` stay two ids.
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
"""Float64 holds whole numbers exactly below this one; beyond it two ids may become one float."""
LONGEST = 500
"""Largest number of characters of an id."""

LineOf = Callable[[int], int]
"""The line of the file (of a Parquet file: the row) that a row of the table comes from."""


@dataclass(frozen=True)
class Ids:
    """A column of ids as text: row ``i`` has the id ``values[codes[i]]``; code −1 is an empty cell."""

    codes: Array
    """int64 ``[N]``."""
    values: list[str]
    """Distinct ids, without spaces around them."""

    @property
    def canonical(self) -> bool:
        """Whether every id is a canonical integer that fits int64."""
        return all(is_canonical(value) for value in self.values)

    def missing(self) -> Array:
        """bool ``[N]``: empty cells."""
        missing: Array = self.codes < 0
        return missing


def is_canonical(text: str) -> bool:
    """Whether an id is an integer as Python prints it, and fits int64."""
    return CANONICAL.fullmatch(text) is not None and -LARGEST <= int(text) <= LARGEST


def of_column(column: Any, name: str, where: str, line_of: LineOf) -> Ids:
    """Read a column of any type as ids.

    Args:
        column: ``[N]``, a pyarrow array or anything that pyarrow or numpy converts to one.
        name: the column's name, for messages.
        where: the file, for messages.
        line_of: the line that a row comes from, for messages.

    Returns:
        The ids ``[N]``.

    Raises:
        MMRecError: fractions, floats too large to be exact, control characters, ids over 500 characters, or a type that
            cannot hold ids.
    """
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    elif not isinstance(column, pa.Array):
        given = np.asarray(column)
        native = given.dtype.newbyteorder("=")
        column = pa.array(given.astype(native) if given.dtype.kind in "iuf" else given.tolist())
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
    code_of: dict[str, int] = {}
    new_code = np.full(len(raw) + 1, -1, np.int64)  # the last one is for empty cells
    for at, value in enumerate(raw):
        try:
            text = as_text(value)
        except ValueError as error:
            hits = np.flatnonzero(codes == at)
            line = f", line {line_of(int(hits[0]))}" if len(hits) else ""
            raise MMRecError(f"{where}{line}: {name} is {_shown(value)}, {error}.") from None
        if text is not None:
            new_code[at] = code_of.setdefault(text, len(code_of))
    return Ids(new_code[codes], list(code_of))


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
    """Convert columns of user ids (or of item ids) together: all int64 or all text. There must be no empty cells.

    Returns:
        one array ``[N]`` for each column: int64, or Python strings (object).
    """
    number = all(column.canonical for column in columns)
    kind = np.int64 if number else object
    return [np.array([int(v) for v in c.values] if number else c.values, kind)[c.codes] for c in columns]


def _shown(value: Any) -> str:
    return repr(value if not isinstance(value, (str, bytes)) or len(value) <= 60 else value[:60])
