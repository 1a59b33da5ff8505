"""Read a table of films (or books, or other items) as columns of the catalog."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmrec_core.data.datasets.movielens import split_title
from mmrec_core.errors import MMRecError
from mmrec_core.ids import Ids
from mmrec_core.reading.tables import Table

LISTS = {"genres", "cast", "tags"}
YEARS = range(1000, 2101)


def read_films(table: Table, key: str, columns: Mapping[str, str]) -> tuple[Ids, pd.DataFrame]:
    """Read ids and catalog columns from a film table with one row per item.

    Args:
        table: the film table.
        key: its column of ids.
        columns: its column names by catalog column.

    Raises:
        MMRecError: an empty id, or an item on two rows; the message names the line.
    """
    ids = table.ids(key)
    if (missing := ids.missing()).any():
        at = int(np.flatnonzero(missing)[0])
        raise MMRecError(
            f"{table.where}, line {table.line_of(at)}: {key} is empty; every row needs its id. Fill it in or remove "
            "the line."
        )
    first = pd.Series(ids.codes).duplicated().to_numpy()
    if first.any():
        at = int(np.flatnonzero(first)[0])
        raise MMRecError(
            f"{table.where}, line {table.line_of(at)}: names film {ids.values[ids.codes[at]]} twice; each film needs "
            "one row. Remove one of the two."
        )
    return ids, catalog_columns(table, columns)


def films_of_events(table: Table, ids: Ids, columns: Mapping[str, str]) -> tuple[Ids, pd.DataFrame]:
    """Read items from a ratings table that also has film columns: the first row of each item."""
    first = pd.Series(ids.codes).drop_duplicates().index.to_numpy()
    own = Table(
        table.where,
        table.names,
        [c.take(first) for c in table.columns],
        table.notes,
        table.separator,
        lambda: [table.line_of(int(r)) for r in first],
    )
    return Ids(ids.codes[first], ids.values), catalog_columns(own, columns)


def catalog_columns(table: Table, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read the catalog columns from a table, one row per row of the table."""
    filled: dict[str, object] = {}
    for column, name in columns.items():
        if column in LISTS:
            filled[column] = table.lists(name)
        elif column == "year":
            filled[column] = years(table, name)
        else:
            filled[column] = pd.Series(table.texts(name), dtype=object)
    found = pd.DataFrame(filled, index=range(len(table)))
    if "title" in found and "year" not in found:
        pairs = [split_title(t) if t is not None else (None, None) for t in found["title"]]
        found["title"] = pd.Series([t for t, _ in pairs], dtype=object)
        found["year"] = pd.array([y for _, y in pairs], dtype="Int32")
    return found


def years(table: Table, name: str) -> pd.arrays.IntegerArray:
    """Read years from 1000 to 2100 from numbers, dates or text ``[N]``; others become missing, with a note."""
    found = [year_of(text) for text in table.texts(name)]
    odd = [
        at
        for at, (text, year) in enumerate(zip(table.texts(name), found, strict=True))
        if year is None and text is not None and text.upper() != "NULL"
    ]
    if odd:
        text = str(table.texts(name)[odd[0]])[:30]
        several = len(odd) > 1
        table.note(
            f"{len(odd):,} year{'s' if several else ''} of {table.name} could not be read and "
            f"count{'' if several else 's'} as missing (line {table.line_of(odd[0])}: '{text}')."
        )
    return pd.array(found, dtype="Int32")


def year_of(text: str | None) -> int | None:
    """Parse a year: ``"1995"``, ``"1995.0"``, ``"1995-10-30"``, ``"30/10/1995"`` → 1995; else ``None``."""
    if text is None:
        return None
    if re.fullmatch(r"[-+]?\d+(\.0*)?", text, re.ASCII):
        number = int(text.split(".")[0]) if len(text) < 20 else 0
        return number if number in YEARS else None
    hit = re.search(r"(?<!\d)([12]\d{3})(?!\d)", text, re.ASCII)
    return int(hit.group(1)) if hit and int(hit.group(1)) in YEARS else None


def titles_of(values: Sequence[str]) -> pd.DataFrame:
    """Titles and years of items whose ids are their titles."""
    pairs = [split_title(v) for v in values]
    return pd.DataFrame({"title": [t for t, _ in pairs], "year": pd.array([y for _, y in pairs], dtype="Int32")})
