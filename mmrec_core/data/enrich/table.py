"""Plots, directors and casts from tables in the formats of TMDb, IMDb and Kaggle."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from mmrec_core.data.enrich._base import (
    EnrichSource,
    Found,
    digits,
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
                table = read_table(file)
            except (MMRecError, OSError) as error:
                found.notes.append(
                    f"{file.name} could not be read ({reason(error, file)}); its films get values of other sources "
                    "only."
                )
                continue
            self._join(table, by, titles, found)
        return found

    def _join(
        self,
        table: pd.DataFrame,
        by: dict[str, dict[str, list[int]]],
        titles: dict[tuple[str, int], list[int]],
        found: Found,
    ) -> None:
        """Add plots, directors and casts of the matching records.

        Args:
            table: the table.
            by: item rows by id, for each id column.
            titles: item rows by title and year.
            found: the result; values are added.
        """
        column = {wanted: next((c for c in names if c in table), None) for wanted, names in COLUMNS.items()}
        actors = [c for c in ACTORS if c in table]
        table.columns = [str(c) for c in table.columns]
        for record in table[_may_match(table, column, by, titles)].to_dict("records"):
            rows: list[int] = []
            for key in ("tmdb_id", "imdb_id"):
                if (name := column[key]) is not None:
                    text = str(record[name]).split("/title/")[-1].split("/")[0]
                    rows = rows or by[key].get(digits(text) or "", [])
            if not rows and column["title"] and column["year"]:
                year = str(record[column["year"]])
                number = next(
                    (int(p[:4]) for p in year.replace("/", "-").split("-") if len(p) >= 4 and p[:4].isdecimal()), None
                )
                rows = titles.get((plain_title(record[column["title"]]), number), []) if number else []
            for row in rows:
                for wanted in ("plot", "director"):
                    if (name := column[wanted]) is not None and isinstance(record[name], str):
                        found.add(wanted, row, record[name].strip())
                if cast := [record[a].strip() for a in actors if isinstance(record[a], str)]:
                    found.add("cast", row, cast)


def _may_match(
    table: pd.DataFrame,
    column: dict[str, str | None],
    by: dict[str, dict[str, list[int]]],
    titles: dict[tuple[str, int], list[int]],
) -> pd.Series:
    """bool ``[N]``: records with an id or a year of the films. Only these are read one by one, which is slow.

    Args:
        table: the table.
        column: its column names by meaning.
        by: item rows by id, for each id column.
        titles: item rows by title and year.
    """
    found = pd.Series(False, index=table.index)
    for key, rows in by.items():
        if (name := column[key]) is not None and rows:
            text = table[name].fillna("").str.split("/title/").str[-1].str.split("/").str[0]
            found |= numbers(text).isin(rows)
    if titles and column["title"] and (name := column["year"]):
        years = {str(year) for _, year in titles}
        found |= table[name].str.contains("|".join(sorted(years)), na=False)
    return found


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
