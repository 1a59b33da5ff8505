"""Bring your own ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mmrec_core.config import Config, setting
from mmrec_core.datasets._base import CATALOG_COLUMNS, DatasetReader, RawData, parse_scale
from mmrec_core.datasets._files import read_columns
from mmrec_core.datasets.movielens import split_title
from mmrec_core.errors import MMRecError
from mmrec_core.types import Progress

LISTS = {"genres", "cast", "tags"}


class BringYourOwn(DatasetReader):
    """Your own ratings from a CSV or Parquet file, with film table, posters and plots if you have them."""

    class Config(Config):
        """Which column is which; an empty name means there is none."""

        scale: str = setting("", "lowest and highest rating as LOW:HIGH, such as 0.5:5; needed when there are ratings")
        user: str = setting("userId", "column of user ids")
        item: str = setting("movieId", "column of film ids")
        rating: str = setting("rating", "column of ratings; empty if every row is simply a view")
        time: str = setting("timestamp", "column of times in seconds since 1970; empty if there is none")
        repeats: Literal["refused", "allowed"] = setting("refused", "whether a user may rate the same film twice")
        items: str = setting("", "CSV or Parquet file of films, beside the ratings or by full path")
        item_id: str = setting("", "its column of film ids; empty: named as in the ratings")
        title: str = setting("title", "its column of titles; a year in brackets at the end is taken apart")
        year: str = setting("year", "its column of years")
        genres: str = setting("genres", "its column of genres, separated by '|'")
        director: str = setting("director", "its column of directors")
        cast: str = setting("cast", "its column of actors, separated by '|'")
        tags: str = setting("tags", "its column of tags, separated by '|'")
        plot: str = setting("plot", "its column of plots")
        imdb_id: str = setting("imdbId", "its column of IMDb numbers, for posters and plots from other tables")
        tmdb_id: str = setting("tmdbId", "its column of TMDb numbers")
        posters: str = setting("", "folder of poster images named by film id")

    config: Config

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the ratings file named with ``--from`` and what the config adds."""
        if source is None:
            raise MMRecError(
                "Say which ratings file to read: prepare csv --from ratings.csv --name NAME --scale 0.5:5."
            )
        if not source.is_file():
            raise MMRecError(f"{source} is not a file; --from takes a CSV or Parquet file of ratings.")
        named = {role: str(getattr(self.config, role)) for role in ("user", "item", "rating", "time")}
        columns = {column: role for role, column in named.items() if column}
        for role in ("user", "item"):
            if not named[role]:
                raise MMRecError(f"Say which column of {source.name} holds the {role}s: --set {role}=COLUMN.")
        if len(columns) < sum(bool(c) for c in named.values()):
            raise MMRecError(
                f"Two roles name the same column of {source.name}: {', '.join(f'{r}={c}' for r, c in named.items() if c)}."
            )
        progress(0, 2, "reading ratings")
        events = self._events(source, columns)
        scale = None
        if "rating" in events:
            if not self.config.scale:
                raise MMRecError(
                    f"{source.name} has ratings, but their scale is not known. Give it as --scale LOW:HIGH, such as 0.5:5."
                )
            scale = parse_scale(self.config.scale)
        items = self._items(source.parent) if self.config.items else None
        return RawData(
            events, items, scale=scale, repeats=self.config.repeats, file=str(source), first_line=2,
            posters=self._posters(source.parent, events), licence="Your own data.",
        )  # fmt: skip

    def _events(self, source: Path, columns: dict[str, str]) -> pd.DataFrame:
        if source.suffix in {".parquet", ".pq"}:
            frame = _read_parquet(source)
            self._need(frame, list(columns), source)
            events = frame[list(columns)].rename(columns=columns)
        else:
            types = {c: {"rating": "float64", "time": "float64"}.get(role, "str") for c, role in columns.items()}
            events = read_columns(source, str(source), types, rename=columns, sep=separator(source))
        for role in ("user", "item"):
            events[role] = _ids(events[role])
        if "rating" in events:
            events["rating"] = pd.to_numeric(events["rating"], errors="coerce").astype("float32")
        return events

    def _need(self, frame: pd.DataFrame, columns: list[str], source: Path) -> None:
        if missing := [c for c in columns if c not in frame]:
            raise MMRecError(
                f"{source} has no column '{missing[0]}'; it has {', '.join(map(str, frame.columns))}. Rename the column, or "
                "say which one it is."
            )

    def _items(self, beside: Path) -> pd.DataFrame:
        path = Path(self.config.items)
        path = path if path.is_absolute() else beside / path
        if not path.is_file():
            raise MMRecError(f"Film table {path} is not a file.")
        frame = _read_parquet(path) if path.suffix in {".parquet", ".pq"} else pd.read_csv(path, dtype=str)
        key = self.config.item_id or self.config.item
        self._need(frame, [key], path)
        table = pd.DataFrame({"item": _ids(frame[key])})
        for column in CATALOG_COLUMNS:
            named = getattr(self.config, column)
            if not named or named not in frame:
                continue
            values = frame[named]
            if column in LISTS:
                table[column] = [
                    [p.strip() for p in str(v).split("|") if p.strip()] if pd.notna(v) else [] for v in values
                ]
            elif column == "year":
                table[column] = pd.to_numeric(values, errors="coerce").round().astype("Int32")
            else:
                table[column] = values
        if "title" in table and "year" not in table:
            split = [split_title(str(t)) for t in table["title"]]
            table["title"], table["year"] = [t for t, _ in split], pd.array([y for _, y in split], dtype="Int32")
        if (repeated := table["item"].duplicated()).any():
            raise MMRecError(f"{path} names film {table['item'][repeated].iloc[0]} twice; each film needs one row.")
        return table

    def _posters(self, beside: Path, events: pd.DataFrame) -> dict[Any, Path]:
        if not self.config.posters:
            return {}
        folder = Path(self.config.posters)
        folder = folder if folder.is_absolute() else beside / folder
        if not folder.is_dir():
            raise MMRecError(f"Poster folder {folder} does not exist.")
        files = {f.stem: f for f in sorted(folder.iterdir()) if f.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}}
        return {item: files[str(item)] for item in events["item"].unique() if str(item) in files}


def separator(file: Path) -> str:
    """What separates the columns of a text file: the most frequent of comma, semicolon, tab and bar in its first line."""
    with file.open("rb") as handle:
        line = handle.readline(100_000).decode("utf-8", errors="replace")
    return max(",;\t|", key=line.count)


def _ids(values: pd.Series) -> pd.Series:
    """Ids as int64 where all are whole numbers, else as text; missing ones stay missing, for the check to name."""
    number = pd.to_numeric(values, errors="coerce")
    if number.notna().eq(values.notna()).all() and np.all(number.dropna() % 1 == 0):
        return number.astype("int64") if number.notna().all() else number
    return values.astype("str").where(values.notna())


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        raise MMRecError(f"{path} is not readable as Parquet ({error}).") from None
