"""Posters from a table of addresses: any CSV of ids and URLs."""

from __future__ import annotations

import hashlib
import io
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pandas as pd

from mmrec_core import csv_out, settings, storage
from mmrec_core.config import Config, setting
from mmrec_core.data.enrich import _founding
from mmrec_core.data.enrich._base import EnrichSource, Found, digits, reason, rows_by, source_folders
from mmrec_core.data.enrich._web import Failure, PoliteClient
from mmrec_core.errors import MMRecError
from mmrec_core.reading import tables
from mmrec_core.reading.images import open_image
from mmrec_core.reading.tables import Table
from mmrec_core.types import Progress

TABLES = {"movielens": (("ml1m_mm_features", "ml1m_full_extended_mapping.tsv"),)}
"""Tables that are looked for in ``MMREC_SOURCES`` by id space: folder and file."""
URL_COLUMNS = ("posterurl", "imgurl", "imageurl", "poster", "image", "img", "poster_url", "url", "link", "address")
ID_COLUMNS = ("movieid", "itemid", "filmid", "item", "id", "imdbid", "tconst", "imdb")
SIZE = (480, 720)
"""Posters larger than this, in pixels, are stored at this size."""
FORGET_S = 30 * 86_400
"""After this time, in seconds, an address that gave nothing is requested again."""
SILENT_IN_A_ROW = 8
"""Number of requests in a row without an answer after which a host is left alone."""
IMDB_HOSTS = {"images-na.ssl-images-amazon.com", "ia.media-imdb.com", "m.media-amazon.com"}


@dataclass
class _Host:
    """How requests to one host went."""

    silent: int = 0
    """Requests in a row without an answer."""


@dataclass
class _Outcome:
    """What became of the addresses of one preparation."""

    posters: dict[int, Path] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)


class Urls(EnrichSource):
    """Posters from a table of ids and addresses (``urls:FILE``); MovieLens has known tables of its own.

    Ids are those of the items, or IMDb numbers. Posters are fetched a few at a time at a limited rate, checked, and
    kept in ``MMREC_HOME/cache/posters``, so that the next preparation continues where this one stopped.
    """

    class Config(Config):
        """The table, and limits of requests."""

        table: str = setting("", "CSV or TSV of ids and addresses; empty: the known tables of MovieLens")
        per_second: float = setting(8.0, "largest number of requests per second", ge=0.1, le=40.0, unit="requests/s")
        at_once: int = setting(4, "largest number of requests at a time", ge=1, le=8)
        seconds: float = setting(30.0, "time limit of one poster", ge=0.1, le=600.0, unit="s")
        largest: int = setting(10, "largest size of one poster", ge=1, le=100, unit="MiB")
        limit: int = setting(0, "largest number of posters to request; 0: all", ge=0)

    on_request: ClassVar[bool] = True
    order: ClassVar[int] = 3
    argument: ClassVar[str] = "table"
    config: Config

    def find(self, items: pd.DataFrame, id_space: str, progress: Progress) -> Found:
        """Request the poster of every film that lacks one and is in a table.

        Raises:
            MMRecError: the table that was named cannot be read.
        """
        found = Found()
        addresses: dict[int, str] = {}
        for file in self._tables(id_space, found, progress):
            try:
                own = _addresses(file, items)
            except MMRecError as error:
                if self.config.table:
                    raise
                found.notes.append(f"{file.name} was not used ({reason(error, file)}).")
                continue
            for row, url in own.items():
                addresses.setdefault(row, url)
        lacking = {row: url for row, url in sorted(addresses.items()) if not items["poster"].iloc[row]}
        lacking = dict(list(lacking.items())[: self.config.limit or None])
        outcome = self._fetch(lacking, items, progress)
        for row, file in outcome.posters.items():
            found.add("poster", row, file)
        if lacking:
            found.notes += _summary(len(lacking), outcome)
        return found

    def _tables(self, id_space: str, found: Found, progress: Progress) -> Iterator[Path]:
        """The tables to read."""
        if self.config.table:
            yield Path(self.config.table).expanduser()
            return
        for folder_name, name in TABLES.get(id_space, ()):
            for folder in source_folders(folder_name):
                if (folder / name).is_file():
                    yield folder / name
        if id_space == "ml-100k":
            try:
                yield _founding.find("movie_poster.csv", progress)
            except MMRecError as error:
                found.notes.append(str(error))

    def _fetch(self, lacking: dict[int, str], items: pd.DataFrame, progress: Progress) -> _Outcome:
        """Take posters from the cache, or request them; an address that several films share is requested once."""
        outcome, hosts = _Outcome(), dict[str, _Host]()
        client = PoliteClient(self.config.per_second, self.config.seconds)
        rows: dict[str, list[int]] = {}
        for row, url in lacking.items():
            rows.setdefault(url, []).append(row)

        def one(url: str) -> Path:
            host = hosts.setdefault(urlsplit(url).netloc, _Host())
            return self._poster(url, client, host)

        pool = ThreadPoolExecutor(self.config.at_once)
        try:
            waiting: dict[Future[Path], str] = {pool.submit(one, url): url for url in rows}
            for done, future in enumerate(as_completed(waiting), 1):
                url = waiting[future]
                progress(done, len(waiting), "fetching posters")
                try:
                    file = future.result()
                except Failure as failure:
                    outcome.failures += [
                        {"item": str(items["item"].iloc[row]), "url": url, "reason": failure.reason}
                        for row in rows[url]
                    ]
                    continue
                outcome.posters |= dict.fromkeys(rows[url], file)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return outcome

    def _poster(self, url: str, client: PoliteClient, host: _Host) -> Path:
        """The file of a poster, from the cache or by a request.

        Raises:
            Failure: it gave nothing usable, now or less than 30 days ago.
        """
        cached = cache_file(url)
        if cached.exists():
            return cached
        marker = cached.with_suffix(".failed")
        if marker.exists() and time.time() - marker.stat().st_mtime < FORGET_S:
            raise Failure(marker.read_text(encoding="utf-8").strip()[:80] or "missing", lasting=True)
        if host.silent >= SILENT_IN_A_ROW:
            raise Failure("not requested, because its host did not answer")
        try:
            body = self._body(url, client)
            image = _checked(body)
        except Failure as failure:
            host.silent = host.silent + 1 if failure.silent else 0
            if failure.lasting:
                storage.write_bytes(marker, failure.reason.encode())
            raise
        host.silent = 0
        storage.write_bytes(cached, image)
        return cached

    def _body(self, url: str, client: PoliteClient) -> bytes:
        """The bytes of a poster; of IMDb's a small version, if there is one."""
        most = self.config.largest << 20
        if (small := _small(url)) != url:
            try:
                return client.get(small, most_bytes=most)
            except Failure as failure:
                if failure.silent or failure.status not in {400, 403, 404}:
                    raise
        return client.get(url, most_bytes=most)


def cache_file(url: str) -> Path:
    """Where the poster of an address is kept."""
    name = hashlib.sha256(url.encode()).hexdigest()
    return settings.home() / "cache" / "posters" / name[:2] / f"{name}.jpg"


def _small(url: str) -> str:
    """The address of a version of 480 pixels' width, for originals on IMDb's image servers; else the address itself."""
    parts = urlsplit(url)
    if (
        parts.netloc not in IMDB_HOSTS
        or (made := re.fullmatch(r"(/images/M/[\w@,-]+)\.[^/]*\.?jpg", parts.path)) is None
    ):
        return url
    return parts._replace(path=f"{made.group(1)}._V1_UX{SIZE[0]}_.jpg").geturl()


def _checked(body: bytes) -> bytes:
    """The bytes of an image, made smaller where it is larger than :data:`SIZE`.

    Raises:
        Failure: no image, or a damaged one.
    """
    try:
        image = open_image(body, near=SIZE)
        whole = open_image(body) if image.size[0] <= SIZE[0] and image.size[1] <= SIZE[1] else image
    except MMRecError:
        cut = body.startswith((b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8"))
        raise Failure("cut short" if cut else "no image", lasting=not cut, status=200) from None
    whole.thumbnail(SIZE)
    out = io.BytesIO()
    whole.save(out, "JPEG", quality=90)
    return out.getvalue()


def _is_url(cell: Any) -> bool:
    return isinstance(cell, str) and cell.lower().startswith(("http://", "https://"))


def read_table(file: Path) -> tuple[Table, str, str]:
    """A table of addresses, with or without header; with the names of its id column and its column of addresses.

    Raises:
        MMRecError: it cannot be read, or has no column of addresses or of ids.
    """
    if not file.is_file():
        raise MMRecError(f"{file} is not a file; expected a table of ids and addresses.")
    if file.suffix.lower() in tables.PARQUET:
        table = tables.read(file)
    else:
        body = tables.body(file)
        first = tables.parse(body, str(file), names=None, rows=1)
        if any(_is_url(name) for name in first.names):  # no header
            width = len(first.names)
            names = [f"column {at + 1}" for at in range(width)]
            table = tables.parse(body, str(file), names=names, sep=first.separator, loose_last=_is_url(first.names[-1]))
        else:
            table = tables.parse(body, str(file))
    unique = [n for n in table.names if table.names.count(n) == 1]
    shares = {n: sum(map(_is_url, table.texts(n))) for n in unique}
    with_urls = [n for n in unique if shares[n]]
    if not with_urls:
        raise MMRecError(
            f"{file} has no column of addresses (http://… or https://…); it has {tables.listed(table.names)}."
        )

    def rank(name: str, wanted: tuple[str, ...]) -> int:
        plain = re.sub(r"[\W_]", "", name.lower())
        return wanted.index(plain) if plain in wanted else len(wanted)

    url = min(with_urls, key=lambda n: (rank(n, URL_COLUMNS), -shares[n]))
    others = [n for n in unique if not shares[n]]
    if not others:
        raise MMRecError(f"{file} has no column of ids beside its addresses; it has {tables.listed(table.names)}.")
    return table, min(others, key=lambda n: (rank(n, ID_COLUMNS), unique.index(n))), url


def _addresses(file: Path, items: pd.DataFrame) -> dict[int, str]:
    """The address of each item row that the table names; the first one counts."""
    table, id_column, url_column = read_table(file)
    imdb_named = "imdb" in id_column.lower() or "tconst" in id_column.lower()
    own = {str(item): row for row, item in enumerate(items["item"].tolist())}
    imdb = rows_by(items, "imdb_id")
    found: dict[int, str] = {}
    for cell, url in zip(table.texts(id_column), table.texts(url_column), strict=True):
        if cell is None or not _is_url(url):
            continue
        if imdb_named or re.fullmatch(r"tt\d+", cell):
            rows = imdb.get(digits(cell) or "", [])
        else:
            rows = [own[cell]] if cell in own else []
        for row in rows:
            found.setdefault(row, str(url))
    return found


def _summary(asked: int, outcome: _Outcome) -> list[str]:
    """Notes about what was found, with the list of failures in a file of the cache."""
    notes = [f"Posters from addresses: {len(outcome.posters):,} of {asked:,} films."]
    if outcome.failures:
        ordered = sorted(outcome.failures, key=lambda failure: (failure["reason"], failure["item"]))
        listed = pd.DataFrame.from_records(ordered, columns=["item", "url", "reason"])
        file = settings.home() / "cache" / "posters" / "failures.csv"
        storage.write_bytes(file, csv_out.of_table(listed).encode())
        counts = Counter(f["reason"] for f in outcome.failures)
        why = ", ".join(f"{count:,} {what}" for what, count in counts.most_common())
        notes.append(
            f"{len(outcome.failures):,} posters could not be fetched ({why}). They are listed in "
            f"{storage.shown(file)}. Prepare again to continue."
        )
    return notes
