"""Read user tables: delimited text or Parquet; text may be gzipped or in a zip. Cells stay text until converted.

Separator, encoding and decimal sign are detected, and notes report them. An error names a line with too many or too few
fields. Only empty cells count as missing.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mmrec_core import ids, syntax
from mmrec_core.errors import MMRecError, short
from mmrec_core.reading import input_files
from mmrec_core.types import Array

PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".txt", ".dat")
SEPARATORS = ",;\t|"
PREFERRED = ("ratings.csv", "NetflixViewingHistory.csv", "ViewingActivity.csv")
"""Which table to read if an archive has several: ratings of Letterboxd exports, history of Netflix exports."""
MAX_COLUMNS = 10_000


@dataclass
class Table:
    """A table: columns as they were read, and the line of each row in the file."""

    where: str
    """The file, for messages."""
    names: list[str]
    columns: list[Any]
    """pyarrow chunked arrays; text columns if the file is text."""
    notes: list[str] = field(default_factory=list)
    """Notes about the file, such as its encoding and separator."""
    separator: str = ","
    _lines: Callable[[], list[int]] | None = None
    headed: bool = True

    @property
    def name(self) -> str:
        """The file's name without folders, for notes that visitors see."""
        return Path(self.where).name

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def __contains__(self, name: str) -> bool:
        return name in self.names

    @cached_property
    def _starts(self) -> list[int]:
        return self._lines() if self._lines is not None else []

    def line_of(self, row: int) -> int:
        """The line of a row (from 0); for a Parquet file the row number as if line 1 were the header."""
        starts = self._starts
        return starts[row] if row < len(starts) else row + 1 + self.headed

    def column(self, name: str) -> Any:
        """A column as a pyarrow chunked array.

        Raises:
            MMRecError: no column of that name, or several.
        """
        count = self.names.count(name)
        if count == 0:
            raise MMRecError(
                f"{self.where} has no column '{name}'; it has {listed(self.names)}. "
                "Rename the column, or name the right one."
            )
        if count > 1:
            raise MMRecError(f"{self.where} has {count} columns named '{name}'. Give each a name of its own.")
        return self.columns[self.names.index(name)]

    def ids(self, name: str) -> ids.Ids:
        """A column of ids, as text.

        Raises:
            MMRecError: no such column, or a cell that cannot be an id.
        """
        return ids.of_column(self.column(name), name, self.where, self.line_of)

    def texts(self, name: str) -> list[str | None]:
        """A column as text ``[N]``; ``None`` where a cell is empty. Lists are joined by ", "."""
        return [_text(value) for value in self.values(name)]

    def values(self, name: str) -> list[Any]:
        """A column's cells as Python objects ``[N]``.

        Raises:
            MMRecError: no such column, or a cell that no Python object can hold.
        """
        with input_files.reading(f"{self.where}, column '{name}',", "values that can be shown"):
            return list(self.column(name).to_pylist())

    def lists(self, name: str) -> list[list[str]]:
        """A column of lists: Parquet lists, JSON lists, or text separated by ``|``, else ``;``, else ``,``."""
        column = self.values(name)
        texts = [v for v in column if isinstance(v, str)]
        between = next((s for s in "|;," if any(s in v for v in texts if not v.lstrip().startswith("["))), "|")
        return [_parts(value, between) for value in column]

    def numbers(self, name: str) -> Array:
        """A column as float64 ``[N]``; NaN where a cell is empty.

        Decimal commas are accepted if the separator is not a comma.

        Raises:
            MMRecError: a cell is no number; the message names its line.
        """
        import pandas as pd
        import pyarrow as pa

        column = self.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.combine_chunks().dictionary_decode()
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            found: Array = column.to_pandas().to_numpy(np.float64, na_value=np.nan)
            return found
        if _is_text(column):  # parse each distinct text once
            encoded = column.combine_chunks().dictionary_encode()
            encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
            codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
            texts = pd.Series([*encoded.dictionary.to_pylist(), None], dtype="str").str.strip()
        else:
            codes, texts = np.arange(len(column)), pd.Series(self.texts(name), dtype="str").str.strip()
        empty = texts.isna() | (texts == "") | texts.str.lower().isin(["nan", "na", "null", "none"])
        numbers = _floats(texts)
        bad = numbers.isna() & ~empty
        if bad.any() and self.separator != "," and texts[bad].str.fullmatch(r"[-+]?\d+,\d+").all():
            numbers = _floats(texts.str.replace(",", ".", regex=False))
            bad = numbers.isna() & ~empty
            if not bad.any():
                self.note(f"Numbers of {self.name} have a decimal comma.")
        if bad.any():
            at = int(np.flatnonzero(bad.to_numpy()[codes])[0])
            raise MMRecError(
                f"{self.where}, line {self.line_of(at)}: {name} is '{short(texts.iloc[codes[at]])}', expected a number."
            )
        return numbers.to_numpy(np.float64)[codes]

    def note(self, text: str) -> None:
        """Add a note, unless it is there already."""
        if text not in self.notes:
            self.notes.append(text)


def listed(names: Sequence[str], most: int = 40) -> str:
    """Column names for a message."""
    return ", ".join(short(n, 40) for n in names[:most]) + (" …" if len(names) > most else "")


def _floats(texts: Any) -> Any:
    import pandas as pd

    plain = texts.where(texts.str.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?inf(inity)?", case=False))
    return pd.to_numeric(plain, errors="coerce")


def _is_text(column: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, float):
        return None if value != value else str(int(value)) if value % 1 == 0 and abs(value) < ids.EXACT else repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip() or None
    if isinstance(value, (list, tuple)):
        return ", ".join(t for v in value if (t := _text(v)) is not None) or None
    if isinstance(value, dict):
        return _text(value.get("name"))
    return str(value)


def _parts(value: Any, between: str) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [t for v in value if (t := _text(v)) is not None]
    text = _text(value)
    if text is None:
        return []
    if text.startswith("[") and text.endswith("]"):
        for read in (json.loads, _literal):
            try:
                parsed = read(text)
            except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
                continue
            if isinstance(parsed, (list, tuple)):
                return [t for v in parsed if (t := _text(v)) is not None]
    return [p.strip() for p in text.split(between) if p.strip()]


def _literal(text: str) -> Any:
    return syntax.literal(text) if len(text) < 100_000 else None


def is_table(file: Path) -> bool:
    """Whether a file's name has the ending of a table."""
    name = file.name.lower().removesuffix(".gz").removesuffix(".zip")
    return name.endswith((*PARQUET, *TEXT))


def read(file: Path, only: Sequence[str] | None = None, rows: int | None = None) -> Table:
    """Read a table of any supported format.

    Args:
        file: delimited text or Parquet; text may be gzipped or in a zip.
        only: columns to read; ``None``: all. Used for Parquet only.
        rows: largest number of rows to read, for a preview.

    Raises:
        MMRecError: missing, damaged, encrypted, too large when unpacked, empty, or a line with a wrong number of
            fields.
    """
    if not file.is_file():
        raise MMRecError(f"{file} is not a file; expected a CSV or Parquet table.")
    if file.suffix.lower() in PARQUET:
        return _parquet(file, only, rows)
    return parse(body(file), str(file), rows=rows)


def body(file: Path) -> bytes:
    """The bytes of a text table, unpacked if it is gzipped or in a zip.

    Raises:
        MMRecError: as :func:`read`.
    """
    with input_files.reading(file, "a table"):
        with file.open("rb") as opened:
            head = opened.read(4)
        if head[:2] == b"\x1f\x8b":
            with input_files.gunzip(file) as stream:
                return stream.read()
        if head == b"PK\x03\x04" or file.suffix.lower() == ".zip":
            return _from_zip(file)
        return file.read_bytes()


def _from_zip(file: Path) -> bytes:
    archive = input_files.Archive(file)
    found = [
        n for n in archive.names() if n.lower().endswith(TEXT) and not PurePosixPath(n).name.startswith((".", "_"))
    ]
    preferred = [n for wanted in PREFERRED for n in found if PurePosixPath(n).name == wanted]
    chosen = found[0] if len(found) == 1 else min(preferred, key=len) if preferred else None
    if chosen is None:
        members = ", ".join(PurePosixPath(n).name for n in archive.names()[:8]) or "nothing"
        raise MMRecError(f"{file} holds no single CSV table to read ({members}). Unpack it and name the table.")
    return archive.read(chosen)


def _parquet(file: Path, only: Sequence[str] | None, rows: int | None) -> Table:
    import pyarrow.parquet as pq

    with input_files.reading(file, "a Parquet table", "It is not readable as Parquet; write it again."):
        parquet = pq.ParquetFile(file)
        size = file.stat().st_size
        metadata = parquet.metadata
        unpacked = max(
            sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)),
            metadata.num_rows * max(metadata.num_columns, 1) * 4,
        )
        if metadata.num_columns > MAX_COLUMNS:
            raise MMRecError(f"{file} has {metadata.num_columns:,} columns; at most {MAX_COLUMNS:,} are allowed.")
        if (error := input_files.unpack_limit_error(file, size, unpacked)) is not None:
            raise error
        names = parquet.schema_arrow.names
        wanted = None if only is None or len(set(names)) < len(names) else [n for n in names if n in only]
        if rows is not None:
            batch = next(parquet.iter_batches(batch_size=rows, columns=wanted), None)
            import pyarrow as pa

            table = pa.Table.from_batches(
                [batch] if batch is not None else [], batch.schema if batch is not None else parquet.schema_arrow
            )
        else:
            table = parquet.read(columns=wanted)
        table.validate(full=True)
    return Table(str(file), [str(n) for n in table.schema.names], list(table.columns))


def decoded(raw: bytes, where: str) -> tuple[str, str, list[str]]:
    """The text, the name of its encoding, and a note if that is not UTF-8."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        with input_files.reading(where, "text in UTF-8 or UTF-16"):
            return raw.decode("utf-16"), "utf-16", [f"{Path(where).name} is UTF-16 text."]
    try:
        return raw.decode("utf-8-sig"), "utf-8", []
    except UnicodeDecodeError:
        pass
    try:
        text, name = raw.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        text, name = raw.decode("latin-1"), "Latin-1"
    return (
        text,
        name,
        [f"{Path(where).name} is no UTF-8 text and was read as {name}; save it as UTF-8 if letters look wrong."],
    )


def separator(raw: bytes) -> str:
    """The separator: the most frequent of comma, semicolon, tab and bar outside quotes in the first line."""
    line = next((part for part in raw[:200_000].splitlines() if part.strip()), b"").decode("utf-8", "replace")
    line = re.sub(r'"[^"]*"', "", line)
    return max(SEPARATORS, key=line.count)


def parse(
    raw: bytes,
    where: str,
    *,
    rows: int | None = None,
    names: Sequence[str] | None = None,
    sep: str | None = None,
    loose_last: bool = False,
) -> Table:
    """Parse delimited text as a table of text columns.

    Args:
        raw: the file's bytes.
        where: the file, for messages.
        rows: largest number of rows to read; ``None``: all.
        names: names of the columns, if the text has no header.
        sep: the separator, if it is known.
        loose_last: whether the last column may contain the separator.

    Returns:
        The table.

    Raises:
        MMRecError: empty, a line with a wrong number of fields, or quotes that are not closed.
    """
    text, encoding, notes = decoded(raw, where)
    if not text.strip():
        raise MMRecError(f"{where} is empty.")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise MMRecError(f"{where}, line {line}: holds a NUL byte; expected text. It is damaged, or no CSV table.")
    sep = sep or separator(raw)
    if sep != ",":
        noun = {";": "semicolons", "\t": "tabs", "|": "bars"}.get(sep, repr(sep))
        notes.append(f"Columns of {Path(where).name} are separated by {noun}.")
    plain = encoding == "utf-8" and not raw.startswith(b"\xef\xbb\xbf")
    return _with_arrow(raw, plain, text, where, sep, notes, rows, names, loose_last)


def _with_arrow(
    raw: bytes,
    utf8: bool,
    text: str,
    where: str,
    sep: str,
    notes: list[str],
    rows: int | None,
    names: Sequence[str] | None,
    loose_last: bool,
) -> Table:
    """Parse with pyarrow, which is fast and strict.

    If it fails, with Python's ``csv``, which can name the line at fault.

    Args:
        raw: the file's bytes.
        utf8: whether they are UTF-8 without a byte order mark.
        text: the decoded text.
        where: the file, for messages.
        sep: the separator.
        notes: notes about the file.
        rows: see :func:`parse`.
        names: see :func:`parse`.
        loose_last: see :func:`parse`.
    """
    import pyarrow as pa
    from pyarrow import csv as fast

    if rows is not None or loose_last or len(text) < 1 << 16:  # small: Python's reader also records lines
        return _with_python(text, where, sep, notes, rows, names, loose_last)
    head = next(csv.reader(io.StringIO(text, newline=""), delimiter=sep), [])
    named = list(names) if names is not None else [h.strip() for h in head]
    encoded = raw if utf8 else text.encode("utf-8")
    del text
    try:
        found = fast.read_csv(
            pa.BufferReader(encoded),
            read_options=fast.ReadOptions(
                column_names=[str(at) for at in range(len(named))],
                skip_rows=0 if names is not None else 1,
                block_size=32 << 20,
            ),
            parse_options=fast.ParseOptions(delimiter=sep, newlines_in_values=b'"' in encoded),
            convert_options=fast.ConvertOptions(
                column_types={str(at): pa.string() for at in range(len(named))}, strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, ValueError, KeyError):
        return _with_python(encoded.decode("utf-8"), where, sep, notes, None, names, loose_last)
    return Table(
        where,
        named,
        list(found.columns),
        notes,
        sep,
        lambda: _lines(encoded.decode("utf-8"), sep, names is None),
        names is None,
    )


def _with_python(
    text: str, where: str, sep: str, notes: list[str], rows: int | None, names: Sequence[str] | None, loose_last: bool
) -> Table:
    """Parse with Python's ``csv``, which records the line of each row.

    Args:
        text: the decoded text.
        where: the file, for messages.
        sep: the separator.
        notes: notes about the file.
        rows: see :func:`parse`.
        names: see :func:`parse`.
        loose_last: see :func:`parse`.
    """
    import pyarrow as pa

    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep)
    named = list(names) if names is not None else None
    records: list[list[str]] = []
    starts: list[int] = []
    before = 0
    with input_files.reading(
        f"{where}, line {before + 1} or later", "one record on each line, in quotes where a field holds the separator"
    ):
        for record in reader:
            line, before = before + 1, reader.line_num
            if not record or record == [""]:
                continue
            if named is None:
                named = [h.strip() for h in record]
                if len(named) > MAX_COLUMNS:
                    raise MMRecError(f"{where} has {len(named):,} columns; at most {MAX_COLUMNS:,} are allowed.")
                continue
            if loose_last and len(record) > len(named):
                record = [*record[: len(named) - 1], sep.join(record[len(named) - 1 :])]
            if len(record) == len(named) + 1 and record[-1] == "":
                record.pop()  # a separator at the end of the line
            if len(record) != len(named):
                raise MMRecError(
                    f"{where}, line {line}: {len(record)} fields where {len(named)} are expected ({listed(named, 8)}). "
                    "Put a field that contains the separator into quotes, or correct the line."
                )
            records.append(record)
            starts.append(line)
            if rows is not None and len(records) >= rows:
                break
    if named is None:
        raise MMRecError(f"{where} is empty.")
    whole = list(zip(*records, strict=True)) if records else [() for _ in named]
    columns = [pa.chunked_array([pa.array(list(column), pa.string())]) for column in whole]
    return Table(where, named, columns, notes, sep, lambda: starts, names is None)


def _lines(text: str, sep: str, headed: bool) -> list[int]:
    """The first line of each record, for messages; the text is parsed again, as this is rarely needed."""
    reader, found, before = csv.reader(io.StringIO(text, newline=""), delimiter=sep), list[int](), 0
    try:
        for record in reader:
            if record and record != [""]:
                found.append(before + 1)
            before = reader.line_num
    except csv.Error:
        return found[headed:]
    return found[headed:]
