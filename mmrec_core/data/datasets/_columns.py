"""Write columns block by block, so that memory use does not grow with the file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mmrec_core.types import Array

CHUNK = 1 << 22


class ColumnWriter:
    """Appends blocks to one ``.npy`` file per column; the number of rows is written at the end."""

    def __init__(self, folder: Path, types: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.types = {name: np.dtype(kind) for name, kind in types.items()}
        self.files = {name: (folder / f"{name}.npy").open("wb") for name in types}
        self.rows = 0
        for name in types:
            self._header(name)

    def _header(self, name: str) -> None:
        descr = np.lib.format.dtype_to_descr(self.types[name])
        header = {"descr": descr, "fortran_order": False, "shape": (self.rows,)}
        text = f"{header!r}".ljust(117) + "\n"  # always 128 bytes with its prefix, so that it can be overwritten
        self.files[name].write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1"))

    def append(self, columns: Mapping[str, Array]) -> None:
        """Append one block; all columns have the same length."""
        for name, values in columns.items():
            self.files[name].write(np.ascontiguousarray(values, self.types[name]).tobytes())
        self.rows += len(next(iter(columns.values())))

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, file in self.files.items():
            file.seek(0)
            self._header(name)
            file.close()


def digest(folder: Path) -> str:
    """Checksum of the columns in a folder, read in blocks."""
    found: Any = hashlib.sha256()
    for file in sorted(folder.glob("*.npy")):
        found.update(file.name.encode())
        with file.open("rb") as opened:
            while block := opened.read(CHUNK):
                found.update(block)
    return str(found.hexdigest())
