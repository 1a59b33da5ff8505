"""CSV for people to take along: cells that a spreadsheet would run as a formula are written as text.

Spreadsheets take a cell for a formula if it begins with ``=``, ``+``, ``-`` or ``@`` (or with a tab or a carriage return before one), and titles, tags and notes
are other people's words. Such a text gets an apostrophe in front, which spreadsheets hide; :func:`plain` takes it away again. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import pandas as pd

_RUN = re.compile(r"'*[=+\-@\t\r]")
_HIDDEN = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def safe(value: Any) -> Any:
    """A cell as it may be written; anything but text, and text that is a number, stays what it is."""
    if not isinstance(value, str) or not _RUN.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def plain(text: str) -> str:
    """What :func:`safe` was given."""
    return text[1:] if _HIDDEN.match(text) else text


class Writer:
    """Rows to a file, each cell made :func:`safe`."""

    def __init__(self, out: IO[str]) -> None:
        self._rows = csv.writer(out, lineterminator="\n")

    def writerow(self, row: Iterable[Any]) -> None:
        """One row."""
        self._rows.writerow([safe(cell) for cell in row])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Several rows."""
        for row in rows:
            self.writerow(row)


class DictWriter(Writer):
    """Rows by column name."""

    def __init__(self, out: IO[str], columns: Sequence[str]) -> None:
        super().__init__(out)
        self.columns = columns

    def writeheader(self) -> None:
        """The columns' names."""
        self.writerow(self.columns)

    def writerow(self, row: Mapping[str, Any] | Iterable[Any]) -> None:
        """One row; a column that it lacks is left empty."""
        super().writerow([row.get(name, "") for name in self.columns] if isinstance(row, Mapping) else row)


def of_table(table: pd.DataFrame) -> str:
    """A table as CSV, its columns' names made safe, too."""
    shown = table.rename(columns=safe)
    for at, name in enumerate(shown.columns):
        column = shown.iloc[:, at]
        if not pd.api.types.is_numeric_dtype(column):
            shown = shown.assign(**{name: column.map(safe)})
    return str(shown.to_csv(index=False))
