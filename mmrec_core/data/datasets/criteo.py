"""Criteo display advertising: clicks as labels of rows with counts and hashed categories."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import settings
from mmrec_core.config import Config, setting
from mmrec_core.data.datasets._base import DatasetReader, RawData
from mmrec_core.data.datasets._columns import ColumnWriter
from mmrec_core.errors import MMRecError
from mmrec_core.reading import input_files
from mmrec_core.types import Array, Progress

NUMBERS = tuple(f"I{at}" for at in range(1, 14))
CATEGORIES = tuple(f"C{at}" for at in range(1, 27))
FILES = ("train.txt", "dac_sample.txt", "criteo_kaggle_train_first_999.txt", "criteo_sample.txt")
"""Possible names of the file: all data, Criteo's sample, the first rows, a sample with a header."""
BLOCK_BYTES = 8 << 20
LICENCE = "Criteo Display Advertising Challenge (Kaggle 2014), Criteo Labs: for non-commercial research."


class Criteo(DatasetReader):
    """Clicks on display advertisements: 13 counts and 26 categories per row, one week in time order (Kaggle 2014).

    The file is read in blocks, so memory use does not grow with it. Categories are hashed into ``buckets`` (0 is
    missing); missing counts are NaN. Codes, means and bins are fitted later, on training rows. The split ``official``
    is the usual
    one: six days for training, the seventh for testing.
    """

    class Config(Config):
        """How categories are hashed."""

        buckets: int = setting(262_144, "largest number of hash values of each category", ge=16, le=1 << 24, log=True)
        max_rows: int = setting(0, "rows to read; 0: all", ge=0, le=10_000_000_000, unit="rows")

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the Kaggle file (tab separated, no header) or a comma-separated one with a header."""
        return self.read_file(self._find(source), draft, progress)

    def read_file(self, file: Path, draft: Path, progress: Progress) -> RawData:
        """Write the columns of a file into ``draft``, block by block."""
        config: Any = self.config
        types = {
            "label.click": "int8",
            **{f"feature.{n}": "float32" for n in NUMBERS},
            **{f"feature.{c}": "int32" for c in CATEGORIES},
        }
        size, seen = max(file.stat().st_size, 1), 0
        with ColumnWriter(draft / "interactions", types) as out:
            for block in self._blocks(file):
                if config.max_rows and out.rows + block.num_rows >= config.max_rows:
                    block = block.slice(0, config.max_rows - out.rows)
                out.append(self._columns(block, out.rows, file, config.buckets))
                seen = min(seen + BLOCK_BYTES, size)
                progress(seen, size, "reading rows")
                if config.max_rows and out.rows >= config.max_rows:
                    break
            n = out.rows
        if n < 2:
            raise MMRecError(f"{file} holds {n} rows; expected at least two.")
        cut = max(round(n * 6 / 7), 1)
        return RawData(
            events=None,
            stored=n,
            labels=("click",),
            features=[*NUMBERS, *CATEGORIES],
            file=str(file),
            licence=LICENCE,
            official={"official": (np.arange(cut), np.arange(cut, n))},
            about={"hashed": dict.fromkeys(CATEGORIES, config.buckets), "counts": list(NUMBERS)},
        )

    def _find(self, source: Path | None) -> Path:
        if source is not None and source.is_file():
            return source
        folders = [source] if source is not None else [place / "criteo" for place in settings.sources()]
        for folder in folders:
            for name in FILES:
                if (folder / name).is_file():
                    return folder / name
        raise MMRecError(
            "The Criteo file was not found. Kaggle's 'Display Advertising Challenge' offers it after you accept its "
            "terms: "
            "unpack train.txt into a folder called criteo under MMREC_SOURCES, or name it with --from."
        )

    def _blocks(self, file: Path) -> Iterator[Any]:
        """Read record batches with typed columns; empty fields are null."""
        import pyarrow as pa
        from pyarrow import csv

        names = ["label", *NUMBERS, *CATEGORIES]
        with file.open("rb") as opened:
            head = opened.readline()
        headed = head.startswith(b"label")
        text = pa.dictionary(pa.int32(), pa.string())
        types: dict[str, Any] = {
            "label": pa.float32(),
            **dict.fromkeys(NUMBERS, pa.float32()),
            **dict.fromkeys(CATEGORIES, text),
        }
        try:
            reader = csv.open_csv(
                pa.PythonFile(_Padded(file, b"," if headed else b"\t", len(names))),
                read_options=csv.ReadOptions(
                    column_names=None if headed else names, block_size=BLOCK_BYTES, use_threads=False
                ),
                parse_options=csv.ParseOptions(delimiter="," if headed else "\t", quote_char=False),
                convert_options=csv.ConvertOptions(
                    column_types=types, strings_can_be_null=True, null_values=[""], include_columns=names
                ),
            )
            yield from reader
        except pa.ArrowException as error:
            raise MMRecError(
                f"{file} is not in Criteo's format (a label, 13 numbers, 26 categories): {input_files.brief(error)}"
            ) from None

    @staticmethod
    def _columns(block: Any, done: int, file: Path, buckets: int) -> dict[str, Array]:
        """Convert a block to columns: labels 0 or 1, numbers with NaN, categories as hashes from 1, 0 where missing.

        Args:
            block: a record batch.
            done: rows before this block.
            file: the file, for messages.
            buckets: number of hash values.
        """
        label = block.column("label").to_numpy(zero_copy_only=False)
        if (bad := ~np.isin(label, (0.0, 1.0))).any():
            at = int(np.flatnonzero(bad)[0])
            raise MMRecError(f"{file}, row {done + at + 1}: the label is {label[at]:g}, expected 0 or 1.")
        found: dict[str, Array] = {"label.click": label}
        for name in NUMBERS:
            found[f"feature.{name}"] = block.column(name).to_numpy(zero_copy_only=False)
        for name in CATEGORIES:
            column = block.column(name)
            values = column.dictionary.to_numpy(zero_copy_only=False)
            codes = column.indices.fill_null(len(values)).to_numpy()
            found[f"feature.{name}"] = np.append(hashes(values, buckets), 0)[codes]
        return found


class _Padded(io.RawIOBase):
    """A file in which some lines lack their last fields, read as if every line had all fields."""

    def __init__(self, file: Path, delimiter: bytes, fields: int) -> None:
        self.file, self.delimiter, self.fields, self.buffer = file.open("rb"), delimiter, fields, b""

    def readable(self) -> bool:
        """Always true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes."""
        if not self.buffer:
            lines = self.file.read(BLOCK_BYTES) + self.file.readline()
            if lines and not lines.endswith(b"\n"):
                lines += b"\n"
            if lines.count(self.delimiter) != lines.count(b"\n") * (self.fields - 1):
                lines = b"".join(self._whole(line) for line in lines.splitlines())
            self.buffer = lines
        part, self.buffer = (self.buffer, b"") if size < 0 else (self.buffer[:size], self.buffer[size:])
        return part

    def _whole(self, line: bytes) -> bytes:
        return line + self.delimiter * max(self.fields - 1 - line.count(self.delimiter), 0) + b"\n"

    def close(self) -> None:
        """Close the file, too."""
        self.file.close()
        super().close()


def hashes(values: Array, buckets: int) -> Array:
    """Hash texts ``[n]`` to numbers from 1 to ``buckets`` − 1, the same on every machine."""
    from pandas.util import hash_array

    if not len(values):
        return np.zeros(0, np.int64)
    mixed: Array = hash_array(np.asarray(values, object), categorize=False) % np.uint64(buckets - 1)
    return mixed.astype(np.int64) + 1
