"""Plots, directors and casts from tables in the formats of TMDb, IMDb and Kaggle."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mmrec_core.data.enrich._base import (
    EnrichSource,
    Found,
    first_files,
    numbers,
    plain_title,
    reason,
    rows_by,
    rows_by_title,
    source_folders,
)
from mmrec_core.errors import MMRecError
from mmrec_core.reading import input_files
from mmrec_core.types import Progress

COLUMNS = {
    "plot": ("overview", "plot", "description"),
    "director": ("director_name", "director"),
    "tmdb_id": ("id", "tmdbId", "tmdb_id"),
    "imdb_id": ("imdb_id", "imdbId", "movie_imdb_link"),
    "title": ("title", "movie_title"),
    "year": ("release_date", "title_year", "year"),
}
ACTORS = ("actor_1_name", "actor_2_name", "actor_3_name")
FOLDERS = ("movie_text", "movie_credits")


class Table(EnrichSource):
    """CSV tables in ``movie_text/`` and ``movie_credits/``, joined by TMDb number, IMDb number, or title and year."""

    def find(self, items: pd.DataFrame, id_space: str, progress: Progress) -> Found:
        """Read every table; the first one with a film's plot or credits is used."""
        found = Found()
        files = [
            f
            for name in FOLDERS
            for folder in source_folders(name)
            for f in first_files(folder, ("*.csv", "*.csv.gz", "*.zip"))
        ]
        by = {column: rows_by(items, column) for column in ("tmdb_id", "imdb_id")}
        titles = rows_by_title(items)
        if not any(by.values()) and not titles:
            return found  # nothing to join by
        for done, file in enumerate(files):
            progress(done, len(files), f"reading {file.name}")
            try:
                stat = file.stat()
                records = _records(file, stat.st_mtime_ns, stat.st_size)
            except (MMRecError, OSError) as error:
                found.notes.append(
                    f"{file.name} could not be read ({reason(error, file)}); its films get values of other sources "
                    "only."
                )
                continue
            self._join(records, by, titles, found)
        return found

    def _join(
        self,
        records: _Records,
        by: dict[str, dict[str, list[int]]],
        titles: dict[tuple[str, int], list[int]],
        found: Found,
    ) -> None:
        """Add plots, directors and casts of the matching records.

        Args:
            records: the records of a table.
            by: item rows by id, for each id column.
            titles: item rows by title and year.
            found: the result; values are added.
        """
        for at in records.may_match(by, titles):
            rows: list[int] = []
            for key, ids in records.ids.items():
                rows = rows or by[key].get(ids[at] or "", [])
            if not rows and records.titles:
                rows = titles.get(records.titles[at], [])
            for row in rows:
                for wanted, texts in records.texts.items():
                    if isinstance(texts[at], str):
                        found.add(wanted, row, texts[at].strip())
                if cast := [names[at].strip() for names in records.actors if isinstance(names[at], str)]:
                    found.add("cast", row, cast)


@dataclass(frozen=True)
class _Records:
    """The records of a table, by what they are joined by and what they give; lists have one value a record."""

    ids: dict[str, list[str | None]]
    """Numbers by id column (``tmdb_id``, ``imdb_id``); ``None`` where there is none."""
    titles: list[tuple[str, int]]
    """Normalised title and year (0: none); empty where the table lacks one of them."""
    texts: dict[str, list[Any]]
    """Plots and directors."""
    actors: list[list[Any]]
    """Up to three names of actors."""

    @classmethod
    def of(cls, table: pd.DataFrame) -> _Records:
        """Take what is used from a table of text columns."""
        table.columns = [str(c) for c in table.columns]
        column = {wanted: next((c for c in names if c in table), None) for wanted, names in COLUMNS.items()}
        ids = {
            key: [None if value != value else value for value in _numbers(table[name]).tolist()]
            for key in ("tmdb_id", "imdb_id")
            if (name := column[key]) is not None
        }
        titles = []
        if column["title"] and column["year"]:
            titles = [
                (plain_title(title), _year(str(value)))
                for title, value in zip(table[column["title"]].tolist(), table[column["year"]].tolist(), strict=True)
            ]
        texts = {key: table[name].tolist() for key in ("plot", "director") if (name := column[key]) is not None}
        return cls(ids, titles, texts, [table[c].tolist() for c in ACTORS if c in table])

    def may_match(self, by: dict[str, dict[str, list[int]]], titles: dict[tuple[str, int], list[int]]) -> list[int]:
        """Records with an id, or a title and year, of the films, in the order of the table.

        Args:
            by: item rows by id, for each id column.
            titles: item rows by title and year.
        """
        places = {at for key, ids in self.ids.items() if (rows := by[key]) for at, n in enumerate(ids) if n in rows}
        if titles:
            places |= {at for at, key in enumerate(self.titles) if key[1] and key in titles}
        return sorted(places)


def _numbers(column: pd.Series) -> pd.Series:
    """Id numbers of a text column of ids or of IMDb addresses."""
    return numbers(column.fillna("").str.split("/title/").str[-1].str.split("/").str[0])


def _year(text: str) -> int:
    """The first year in a date or a number; 0 where there is none."""
    parts = text.replace("/", "-").split("-")
    return next((int(p[:4]) for p in parts if len(p) >= 4 and p[:4].isdecimal()), 0)


@functools.lru_cache(maxsize=8)
def _records(file: Path, changed: int, size: int) -> _Records:
    """The records of a table file; kept, as one process may prepare several datasets.

    Args:
        file: the table.
        changed: when it was changed, in nanoseconds.
        size: its size in bytes.
    """
    return _Records.of(read_table(file))


def read_table(file: Path) -> pd.DataFrame:
    """Read a CSV (plain, gzipped or in a zip) as text columns, in UTF-8 or else Latin-1."""
    if file.suffix == ".zip":
        archive = input_files.Archive(file)
        name = next((n for n in archive.names() if n.endswith(".csv")), None)
        if name is None:
            raise MMRecError(f"{file} holds no CSV table.")
        body = archive.read(name)
    else:
        body = file.read_bytes()
        body = input_files.gunzip_bytes(body, file) if file.suffix == ".gz" else body
    try:
        body.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "latin-1"
    with input_files.reading(file, "a CSV table with a header"):
        return pd.read_csv(io.BytesIO(body), dtype=str, encoding=encoding, on_bad_lines="skip", index_col=False)
