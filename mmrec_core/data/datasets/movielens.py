"""MovieLens datasets of all sizes, as published by GroupLens."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mmrec_core import settings
from mmrec_core.config import Config, setting
from mmrec_core.data.datasets._base import DatasetReader, RawData
from mmrec_core.data.datasets._download import fetch
from mmrec_core.data.datasets._files import RawFiles, read_columns
from mmrec_core.errors import MMRecError
from mmrec_core.reading import input_files
from mmrec_core.types import Array, Progress

PRESETS: dict[str, dict[str, Any]] = {
    "ml-100k": {},
    "ml-1m": {},
    "ml-10m": {},
    "ml-20m": {},
    "ml-25m": {},
    "ml-32m": {},
    "ml-modern": {"subset": "modern"},
    "ml-latest-small": {},
    "ml-latest": {},
}
SUMMARIES = {
    "ml-100k": "MovieLens 100K: 100,000 ratings by 943 users, 1998 (Harper & Konstan 2015).",
    "ml-1m": "MovieLens 1M: 1,000,209 ratings by 6,040 users, 2000 to 2003 (Harper & Konstan 2015).",
    "ml-10m": "MovieLens 10M: 10,000,054 ratings by 69,878 users, to 2009 (Harper & Konstan 2015).",
    "ml-20m": "MovieLens 20M: 20,000,263 ratings by 138,493 users, to 2015 (Harper & Konstan 2015).",
    "ml-25m": "MovieLens 25M: 25,000,095 ratings by 162,541 users, to 2019 (Harper & Konstan 2015).",
    "ml-32m": "MovieLens 32M: 32,000,204 ratings by 200,948 users, to 2023 (Harper & Konstan 2015).",
    "ml-modern": "The last million of MovieLens 32M's ratings since 2018, 10-core, as MM-TGN uses them.",
    "ml-latest-small": "MovieLens latest (small): 100,836 ratings by 610 users, to 2018 (Harper & Konstan 2015).",
    "ml-latest": "MovieLens latest: the newest full release, whose size changes (Harper & Konstan 2015).",
}

COUNTS = {
    "ml-100k": (100_000, 943, 1_682),
    "ml-1m": (1_000_209, 6_040, 3_883),
    "ml-10m": (10_000_054, 69_878, 10_681),
    "ml-20m": (20_000_263, 138_493, 27_278),
    "ml-25m": (25_000_095, 162_541, 62_423),
    "ml-32m": (32_000_204, 200_948, 87_585),
    "ml-modern": (1_000_000, 10_200, 21_969),
    "ml-latest-small": (100_836, 610, 9_742),
}
"""Numbers of ratings, users and films that GroupLens states (ml-modern: as in MM-TGN).

``ml-latest`` changes over time.
"""

LICENCE = (
    "MovieLens, © GroupLens, University of Minnesota: for research; no commercial use without permission; acknowledge "
    "Harper & Konstan, 'The MovieLens Datasets', ACM TiiS 5(4), 2015."
)
MODERN_FROM = 1_514_764_800
"""2018-01-01T00:00:00Z."""
AGES = {1: 18, 18: 21, 25: 30, 35: 40, 45: 47, 50: 53, 56: 60}
"""Middle of the age groups of ml-1m, in years."""


class MovieLens(DatasetReader):
    """Ratings that members of movielens.org gave to films, from 100 thousand to 32 million (Harper & Konstan 2015)."""

    class Config(Config):
        """Which part of the data to use."""

        subset: Literal["all", "modern"] = setting(
            "all", "'modern' keeps ratings since 2018, users and films with ten or more, and of those the last million"
        )

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read a folder or zip of GroupLens, found in ``MMREC_SOURCES`` or downloaded."""
        base = "ml-32m" if self.name == "ml-modern" else self.name
        files = RawFiles(source or self._find(base, progress))
        progress(0, 3, "reading ratings")
        if files.has("u.data"):
            raw = self._read_100k(files)
        elif files.has("movies.dat"):
            raw = self._read_dat(files)
        elif files.has("movies.csv"):
            raw = self._read_csv(files)
        else:
            raise MMRecError(
                f"{files.path} holds no MovieLens data: expected ratings.csv, ratings.dat or u.data in it."
            )
        raw.licence = LICENCE
        assert raw.events is not None
        if getattr(self.config, "subset", "all") == "modern":
            raw.events = modern(raw.events)
            if raw.items is not None:
                raw.items = raw.items[raw.items["item"].isin(raw.events["item"].unique())].reset_index(drop=True)
            raw.official = {}
        else:
            self._check_counts(raw, files)
        return raw

    def _find(self, name: str, progress: Progress) -> Path:
        for folder in (*settings.sources(), settings.home() / "downloads"):
            for path in (folder / name, folder / f"{name}.zip"):
                if path.is_file() or (path.is_dir() and any(path.iterdir())):
                    return path
        site = os.environ.get("MMREC_GROUPLENS", "https://files.grouplens.org/datasets/movielens")
        return fetch(f"{site}/{name}.zip", settings.home() / "downloads", progress)

    def _check_counts(self, raw: RawData, files: RawFiles) -> None:
        assert raw.events is not None
        expected = COUNTS.get(self.name)
        found = (len(raw.events), raw.events["user"].nunique(), len(raw.items) if raw.items is not None else 0)
        if expected and found != expected:
            raise MMRecError(
                f"{files.path} has {found[0]:,} ratings, {found[1]:,} users, {found[2]:,} films; GroupLens states "
                f"{expected[0]:,}, {expected[1]:,}, {expected[2]:,} for {self.name}. "
                "The copy is incomplete or another version."
            )

    def _read_csv(self, files: RawFiles) -> RawData:
        """Read ml-20m and later: comma separated, half stars."""
        events = read_columns(
            files.open("ratings.csv"),
            files.where("ratings.csv"),
            {"userId": "int32", "movieId": "int32", "rating": "float32", "timestamp": "int64"},
            rename={"userId": "user", "movieId": "item", "timestamp": "time"},
        )
        columns = {"movieId": "int64", "title": "str", "genres": "str"}
        movies = read_columns(files.open("movies.csv"), files.where("movies.csv"), columns)
        if (twice := movies["movieId"].duplicated()).any():
            raise MMRecError(
                f"{files.where('movies.csv')} names film {movies['movieId'][twice].iloc[0]} twice; "
                "each film needs one row."
            )
        items = film_table(movies["movieId"], movies["title"].fillna(""), movies["genres"].fillna("").str.split("|"))
        if files.has("links.csv"):
            columns = {"movieId": "str", "imdbId": "str", "tmdbId": "str"}
            links = (
                read_columns(files.open("links.csv"), files.where("links.csv"), columns)
                .drop_duplicates("movieId")
                .set_index("movieId")
            )
            keys = items["item"].astype(str)
            items["imdb_id"] = keys.map(links["imdbId"]).to_numpy()
            items["tmdb_id"] = keys.map(links["tmdbId"]).to_numpy()
        items["tags"] = self._tags(files, items)
        return RawData(
            events, items, scale=(0.5, 5.0), file=files.where("ratings.csv"), first_line=2, id_space="movielens"
        )

    def _tags(self, files: RawFiles, items: pd.DataFrame) -> list[list[str]]:
        """Ten tags of each film: the most relevant of the tag genome if there is one, else the most frequent."""
        if files.has("genome-scores.csv") and files.has("genome-tags.csv"):
            tag_names = read_columns(
                files.open("genome-tags.csv"), files.where("genome-tags.csv"), {"tagId": "int16", "tag": "str"}
            )
            names = tag_names.drop_duplicates("tagId").set_index("tagId")["tag"]
            types = {"movieId": "int32", "tagId": "int16", "relevance": "float32"}
            scores = read_columns(files.open("genome-scores.csv"), files.where("genome-scores.csv"), types)
            best = scores.sort_values(["movieId", "relevance"], ascending=[True, False]).groupby("movieId").head(10)
            grouped = best["tagId"].map(names).fillna("").groupby(best["movieId"]).agg(list)
        elif files.has("tags.csv"):
            tags = read_columns(
                files.open("tags.csv"), files.where("tags.csv"), {"movieId": "int64", "tag": "str"}
            ).dropna(subset=["tag"])
            tags["tag"] = tags["tag"].str.strip().str.lower()
            counts = tags.groupby(["movieId", "tag"]).size().rename("n").reset_index()
            counts = counts.sort_values(["movieId", "n", "tag"], ascending=[True, False, True])
            grouped = counts.groupby("movieId").head(10).groupby("movieId")["tag"].agg(list)
        else:
            grouped = pd.Series(dtype=object)
        found = grouped.to_dict()
        return [[t for t in found.get(int(i), []) if t] for i in items["item"]]

    def _read_dat(self, files: RawFiles) -> RawData:
        """Read ml-1m and ml-10m: fields separated by '::'; ml-1m also without its time field."""
        plain = next(
            (
                n
                for n in ("ratings.dat", "ratings_without_timestamp.dat.gz", "ratings_without_timestamp.dat")
                if files.has(n)
            ),
            None,
        )
        if plain is None:
            raise MMRecError(f"{files.where('ratings.dat')} is missing.")
        with files.open(plain) as opened:
            body = opened.read()
        body = input_files.gunzip_bytes(body, files.where(plain)) if plain.endswith(".gz") else body
        n_fields = body[: body.find(b"\n")].count(b"::") + 1
        if n_fields not in (3, 4):
            raise MMRecError(
                f"{files.where(plain)}, line 1: expected UserID::MovieID::Rating[::Timestamp], found {n_fields} fields."
            )
        types = dict(zip(("user", "item", "rating", "time"), ("int32", "int32", "float32", "int64"), strict=True))
        types = dict(list(types.items())[:n_fields])
        events = read_columns(
            io.BytesIO(body.replace(b"::", b"\t")), files.where(plain), types, sep="\t", names=list(types), header=None
        )
        encoding = "latin-1" if self.name == "ml-1m" else "utf-8"
        lines = _records(files, "movies.dat", "::", 3, "MovieID::Title::Genres", encoding)
        items = film_table([int(p[0]) for p in lines], [p[1] for p in lines], [p[2].split("|") for p in lines])
        users = None
        if files.has("users.dat"):
            rows = _records(files, "users.dat", "::", 5, "UserID::Gender::Age::Occupation::Zip", "latin-1")
            people = pd.DataFrame([p[:5] for p in rows], columns=["user", "gender", "age", "occupation", "zip"])
            users = people[["user", "gender", "occupation"]].assign(
                user=people["user"].astype("int64"),
                age=pd.to_numeric(people["age"], errors="coerce").map(AGES).astype(float),
            )
        scale = (1.0, 5.0) if self.name == "ml-1m" else (0.5, 5.0)
        official, candidates = ncf_split(events) if self.name == "ml-1m" else ({}, {})
        return RawData(
            events,
            items,
            users,
            scale=scale,
            official=official,
            candidates=candidates,
            file=files.where(plain),
            id_space="movielens",
        )

    def _read_100k(self, files: RawFiles) -> RawData:
        """Read ml-100k: tab separated, with side features of users and official splits."""
        types = {"user": "int32", "item": "int32", "rating": "float32", "time": "int64"}

        def table(name: str) -> pd.DataFrame:
            return read_columns(files.open(name), files.where(name), types, sep="\t", names=list(types), header=None)

        events = table("u.data")
        genres = [line.split("|")[0] for line in files.lines("u.genre", "latin-1") if "|" in line]
        lines = _records(
            files,
            "u.item",
            "|",
            5 + len(genres),
            f"a number, a title, two dates, a link and {len(genres)} flags",
            "latin-1",
        )
        flags = [[g for g, flag in zip(genres, p[5:], strict=False) if flag == "1" and g != "unknown"] for p in lines]
        items = film_table([int(p[0]) for p in lines], [p[1] for p in lines], flags)
        records = _records(files, "u.user", "|", 5, "user|age|gender|occupation|zip", "latin-1")
        people = pd.DataFrame([p[:5] for p in records], columns=["user", "age", "gender", "occupation", "zip"])
        users = people[["user", "gender", "occupation"]].assign(
            user=people["user"].astype("int64"), age=pd.to_numeric(people["age"], errors="coerce").astype(float)
        )
        key = events["user"].to_numpy(np.int64) << 32 | events["item"].to_numpy(np.int64)
        order = np.argsort(key)

        def rows(name: str) -> Array:
            part = table(name)
            wanted = part["user"].to_numpy(np.int64) << 32 | part["item"].to_numpy(np.int64)
            found: Array = (
                order[np.minimum(np.searchsorted(key, wanted, sorter=order), len(key) - 1)]
                if len(key)
                else np.zeros(0, np.int64)
            )
            if len(found) != len(wanted) or (bad := key[found] != wanted).any():
                at = int(np.flatnonzero(bad)[0]) if len(found) else 0
                raise MMRecError(
                    f"{files.where(name)}, line {at + 1}: names a rating that is not in {files.where('u.data')}. "
                    "The copy is incomplete."
                )
            return found

        official = {
            fold: (np.sort(rows(f"{fold}.base")), np.sort(rows(f"{fold}.test")))
            for fold in ("u1", "u2", "u3", "u4", "u5", "ua", "ub")
            if files.has(f"{fold}.base") and files.has(f"{fold}.test")
        }
        return RawData(
            events, items, users, scale=(1.0, 5.0), official=official, file=files.where("u.data"), id_space="ml-100k"
        )


def _records(files: RawFiles, name: str, between: str, fields: int, expected: str, encoding: str) -> list[list[str]]:
    """Split the lines of a file into fields; the first field is a unique number that fits int32.

    Args:
        files: the files of the dataset.
        name: name of the file.
        between: the separator.
        fields: smallest number of fields of a line.
        expected: description of a line, for messages.
        encoding: encoding of the file.

    Raises:
        MMRecError: a line is not of this form; the message names it.
    """
    found, seen = [], set[str]()
    for at, line in enumerate(files.lines(name, encoding)):
        if not line:
            continue
        parts = line.split(between)
        if len(parts) < fields or not (parts[0].isascii() and parts[0].isdigit() and len(parts[0]) < 10):
            raise MMRecError(f"{files.where(name)}, line {at + 1}: expected {expected}.")
        if (key := str(int(parts[0]))) in seen:
            raise MMRecError(
                f"{files.where(name)}, line {at + 1}: number {key} is on two lines; expected one line each."
            )
        seen.add(key)
        found.append(parts)
    return found


def ncf_split(events: pd.DataFrame) -> tuple[dict[str, tuple[Array, Array]], dict[str, Array]]:
    """The split and candidates of the NCF paper (He et al. 2017), if its files are in a folder ``ncf`` of the sources.

    The test row of each user is the last rating; it is ranked among 99 other films. The paper's files number films by
    first appearance in the ratings, and users from 0. Without the files, both results are empty.
    """
    folders = [place / "ncf" for place in settings.sources()]
    folder = next((f for f in folders if (f / "ml-1m.test.negative.gz").is_file()), None)
    if folder is None:
        return {}, {}
    raw_of = pd.unique(events["item"].to_numpy())
    file = folder / "ml-1m.test.negative.gz"
    with input_files.gunzip(file) as stream, input_files.reading(file, "the NCF paper's lines of a pair and 99 films"):
        lines = [line.split("\t") for line in stream.read().decode("ascii").splitlines()]
        pairs = np.array([line[0].strip("()\n").split(",") for line in lines], np.int64)
        among = raw_of[np.array([line[1:] for line in lines], np.int64)]
    key = events["user"].to_numpy(np.int64) << 32 | events["item"].to_numpy(np.int64)
    order = np.argsort(key)
    wanted = (pairs[:, 0] + 1) << 32 | raw_of[pairs[:, 1]]
    place = np.minimum(np.searchsorted(key, wanted, sorter=order), len(key) - 1)
    test = order[place]
    if not np.array_equal(key[test], wanted):
        return {}, {}  # another copy of the ratings, in another order
    by_row = np.argsort(test)
    train = np.setdiff1d(np.arange(len(events)), test)
    return {"ncf": (train, test[by_row])}, {"ncf": among[by_row]}


def film_table(ids: Any, titles: Any, genres: Any) -> pd.DataFrame:
    """The film table with titles and years split: ``"Matrix, The (1999)"`` → title ``The Matrix``, year 1999."""
    split = [split_title(str(title)) for title in titles]
    return pd.DataFrame(
        {
            "item": np.asarray(list(ids), np.int64),
            "title": [title for title, _ in split],
            "year": pd.array([year for _, year in split], dtype="Int32"),
            "genres": [[g for g in row if g and g != "(no genres listed)"] for row in genres],
        }
    )


def split_title(text: str) -> tuple[str, int | None]:
    """The title with its article in front, and the year or ``None``."""
    found = re.match(r"^(.*?)\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*$", text.strip())
    title, year = (found.group(1), int(found.group(2))) if found else (text.strip(), None)
    moved = re.match(r"^(.*), (The|A|An|Le|La|Les|Il|El|Das|Der|Die|Los|Las|Un|Une)((?: \(.*\))?)$", title)
    return (f"{moved.group(2)} {moved.group(1)}{moved.group(3)}" if moved else title), year


def modern(events: pd.DataFrame, since: int = MODERN_FROM, core: int = 10, last: int = 1_000_000) -> pd.DataFrame:
    """The ML-Modern subset of MM-TGN: ratings since 2018, 10-core, then the last million in time order.

    After the last step some users and films have fewer than ten ratings, as in the original.

    Args:
        events: all ratings.
        since: first time kept, in seconds since 1970.
        core: smallest number of ratings of every user and film before the last step.
        last: number of ratings kept in the last step.
    """
    kept = events[events["time"] >= since]
    while len(kept):
        users, items = kept["user"].map(kept["user"].value_counts()), kept["item"].map(kept["item"].value_counts())
        enough = (users >= core) & (items >= core)
        if enough.all():
            break
        kept = kept[enough]
    return kept.sort_values("time", kind="stable").tail(last).reset_index(drop=True)
