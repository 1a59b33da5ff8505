"""CSV export without formula injection: a cell that a spreadsheet would run as a formula is written as text.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` (or with a tab or a carriage return). Titles,
tags and notes come from other people. Such a text gets an apostrophe in front, which spreadsheets hide; :func:`plain`
removes it again. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import pandas as pd

_RUN = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
_HIDDEN = re.compile(r"'+[=+\-@\t\r＝＋－＠]")
_LATER = re.compile(r"([;\t|\r\n]\s*)('*[=+\-@＝＋－＠])")
"""A formula after what another spreadsheet takes for the end of a cell."""
_LATER_HIDDEN = re.compile(r"([;\t|\r\n]\s*)'('*[=+\-@＝＋－＠])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def safe(value: Any) -> Any:
    """A cell that a spreadsheet does not run. Values that are not text, and texts that are numbers, are unchanged."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    value = _LATER.sub(r"\1'\2", value)
    return f"'{value}" if _RUN.match(value) else value


def plain(text: str) -> str:
    """The text without the apostrophe that :func:`safe` put in front."""
    text = text[1:] if _HIDDEN.match(text) else text
    return _LATER_HIDDEN.sub(r"\1\2", text)


class Writer:
    """Writes rows to a file; each cell is passed through :func:`safe`."""

    def __init__(self, out: IO[str]) -> None:
        self._rows = csv.writer(out, lineterminator="\n")

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        self._rows.writerow([safe(cell) for cell in row])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write several rows."""
        for row in rows:
            self.writerow(row)


class DictWriter(Writer):
    """Writes rows that are given as values by column name."""

    def __init__(self, out: IO[str], columns: Sequence[str]) -> None:
        super().__init__(out)
        self.columns = columns

    def writeheader(self) -> None:
        """Write the names of the columns."""
        self.writerow(self.columns)

    def writerow(self, row: Mapping[str, Any] | Iterable[Any]) -> None:
        """Write one row; a missing column is left empty."""
        super().writerow([row.get(name, "") for name in self.columns] if isinstance(row, Mapping) else row)


def of_table(table: pd.DataFrame) -> str:
    """A table as CSV text; the names of the columns are made safe, too."""
    shown = table.rename(columns=safe)
    for at, name in enumerate(shown.columns):
        column = shown.iloc[:, at]
        if not pd.api.types.is_numeric_dtype(column):
            shown = shown.assign(**{name: column.map(safe)})
    return str(shown.to_csv(index=False))
