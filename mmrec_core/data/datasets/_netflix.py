"""The Netflix Prize format: blocks of ``item:`` followed by lines of ``user,rating,date``.

Titles are in a table without header.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_core.errors import MMRecError
from mmrec_core.reading import input_files, tables
from mmrec_core.reading.tables import Table

COLUMNS = ("MovieID", "CustomerID", "Rating", "Date")
SCALE = "1:5"
TITLE_COLUMNS = ("MovieID", "Year", "Title")
TITLES = ("movie_titles.csv", "movie_titles.txt", "netflix_movie_titles.csv", "netflix_movie_titles.txt")
PARTS = ("combined_data_*.txt", "training_set/mv_*.txt", "mv_*.txt")


def is_blocks(file: Path) -> bool:
    """Whether a text file begins with a line such as ``1:``."""
    if file.suffix.lower() in tables.PARQUET:
        return False
    with input_files.reading(file, "a table"), file.open("rb") as opened:
        head = opened.read(200)
    return re.match(rb"\s*\d+:\s*\r?\n", head) is not None


def parts(folder: Path) -> list[Path]:
    """The rating files of the Netflix Prize in a folder, or an empty list."""
    return next((found for pattern in PARTS if (found := sorted(folder.glob(pattern)))), [])


def read_blocks(source: Path) -> Table:
    """Read all ratings of a file, or of the Netflix Prize files in a folder.

    Raises:
        MMRecError: a line that is neither ``item:`` nor ``user,rating,date``, or a rating before the first item.
    """
    files = [source] if source.is_file() else parts(source)
    with input_files.reading(source, "the Netflix Prize's files"):
        raw = b"\n".join(f.read_bytes() for f in files).replace(b"\r\n", b"\n")
    marked = re.sub(rb":[ \t]*(\n|$)", rb",,:\1", raw)  # the first line of a block gets as many fields as a rating
    table = tables.parse(marked, str(source), names=("a", "b", "c"), sep=",")
    one, two, three = (c.to_pandas().astype("str").str.strip() for c in table.columns)
    head = (three == ":").to_numpy(bool)
    if not head[0]:
        raise MMRecError(
            f"{source}, line {table.line_of(0)}: a rating stands before the first item; expected a line such as '1:'."
        )
    if (bad := head & ~one.str.fullmatch(r"\d+").to_numpy(bool)).any():
        at = int(np.flatnonzero(bad)[0])
        raise MMRecError(
            f"{source}, line {table.line_of(at)}: '{one.iloc[at][:40]}:' is not an item number; expected a line such "
            "as '1:'."
        )
    item = one.where(head).ffill()
    rows = np.flatnonzero(~head)
    columns = [_column(c.iloc[rows]) for c in (item, one, two, three)]
    return Table(str(source), list(COLUMNS), columns, table.notes, ",", lambda: [table.line_of(int(r)) for r in rows])


def _column(values: pd.Series) -> object:
    import pyarrow as pa

    return pa.chunked_array([pa.array(values, pa.string())])


def titles_beside(source: Path) -> Path | None:
    """The table of titles beside the ratings, or ``None``."""
    folder = source if source.is_dir() else source.parent
    return next((folder / name for name in TITLES if (folder / name).is_file()), None)


def is_titles(file: Path) -> bool:
    """Whether a file is the Netflix Prize table of titles, which has no header."""
    if file.name.lower() not in TITLES and "titles" not in file.name.lower():
        return False
    with input_files.reading(file, "a table"), file.open("rb") as opened:
        return re.match(rb"\d+,(\d{4}|NULL),", opened.read(100)) is not None


def read_titles(file: Path) -> Table:
    """Read ``id,year,title`` without header; titles may contain commas.

    Raises:
        MMRecError: a line with fewer than three fields.
    """
    return tables.parse(tables.body(file), str(file), names=TITLE_COLUMNS, sep=",", loose_last=True)
