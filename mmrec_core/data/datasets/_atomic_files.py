"""RecBole's atomic files: tab-separated tables whose header says ``name:type``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmrec_core.errors import MMRecError, short
from mmrec_core.reading import tables
from mmrec_core.reading.tables import Table
from mmrec_core.types import Array

TYPES = ("token", "token_seq", "float", "float_seq")


@dataclass
class AtomicFile:
    """A table with a type for each column; the type is ``""`` where the header names none."""

    table: Table
    types: dict[str, str] = field(default_factory=dict)

    def lists(self, name: str) -> list[list[str]]:
        """A column of lists; RecBole separates by spaces, converters of other data also by commas or bars."""
        cells = self.table.texts(name)
        if any(c is not None and any(s in c for s in "|;,[") for c in cells):
            return self.table.lists(name)
        return [c.split() if c is not None else [] for c in cells]

    def vectors(self, name: str) -> Array | None:
        """A ``float_seq`` column as float32 ``[N, width]``; empty cells are rows of zeros.

        ``None`` if the lengths differ, so that the column is no vector.

        Raises:
            MMRecError: a cell that holds anything but numbers.
        """
        cells = [(c or "").replace(",", " ").split() for c in self.table.texts(name)]
        widths = {len(c) for c in cells if c}
        if len(widths) != 1:
            return None
        found = np.zeros((len(cells), widths.pop()), np.float32)
        for row, cell in enumerate(cells):
            if not cell:
                continue
            try:
                with np.errstate(over="ignore"):  # beyond float32 is infinite, which is refused below
                    found[row] = np.array(cell, np.float64)
            except ValueError:
                raise self._bad(name, row, "numbers separated by spaces") from None
        if not (finite := np.isfinite(found).all(1)).all():
            raise self._bad(name, int(np.argmin(finite)), "finite numbers")
        return found

    def _bad(self, name: str, row: int, expected: str) -> MMRecError:
        value = short(str(self.table.texts(name)[row]), 40)
        return MMRecError(
            f"{self.table.where}, line {self.table.line_of(row)}: {name} is '{value}', expected {expected}."
        )


def read(file: Path) -> AtomicFile:
    """Read an atomic file.

    Raises:
        MMRecError: damaged, no table, an unknown type, or a column named twice.
    """
    found = tables.parse(tables.body(file), str(file), sep="\t")
    found.notes = [note for note in found.notes if "separated by tabs" not in note]
    types: dict[str, str] = {}
    names = []
    for head in found.names:
        name, colon, kind = head.partition(":")
        name, kind = name.strip(), kind.strip()
        if colon and kind not in TYPES:
            raise MMRecError(
                f"{file}, line 1: column '{short(head, 60)}' has the type '{short(kind, 20)}'; expected one of "
                f"{', '.join(TYPES)}."
            )
        if name in types:
            raise MMRecError(f"{file} has two columns named '{short(name, 60)}'. Give each a name of its own.")
        types[name] = kind
        names.append(name)
    found.names = names
    return AtomicFile(found, types)
