"""Tables of babu-thomas/movielens-posters: addresses of posters and IMDb pages of MovieLens 100K's films."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from mmrec_core import settings, storage
from mmrec_core.data.enrich._base import digits, source_folders
from mmrec_core.data.enrich._web import Failure, PoliteClient
from mmrec_core.errors import MMRecError
from mmrec_core.reading import tables
from mmrec_core.types import Progress

FOLDER = "movielens-posters-urls"
"""The folder that is looked for in ``MMREC_SOURCES``."""
COMMIT = "a55c9ae9bd0545425a2bee7477bdc96fb01289e9"
SHA256 = {
    "movie_poster.csv": "609bb7451946061e881121a0f4fb9cd92c7bdb8330a60cb61ea67a2414db9c8e",
    "movie_url.csv": "422e2ace2f17f5095c20281b011387f0b0f29a14398de7ed221295e58ea0baad",
}
"""Checksums of the files at :data:`COMMIT`."""


def find(name: str, progress: Progress) -> Path:
    """A table, from ``MMREC_SOURCES`` or downloaded once and checked against its checksum.

    Args:
        name: a key of :data:`SHA256`.
        progress: progress callback.

    Raises:
        MMRecError: no network, or the file has another checksum.
    """
    for folder in source_folders(FOLDER):
        if (folder / name).is_file():
            return folder / name
    file = settings.home() / "downloads" / FOLDER / name
    if file.is_file() and _fits(file.read_bytes(), name):
        return file
    progress(0, 1, f"fetching {name}")
    site = os.environ.get("MMREC_GITHUB_RAW", "https://raw.githubusercontent.com")
    todo = f"or put {name} into a folder {FOLDER} under MMREC_SOURCES."
    try:
        body = PoliteClient(4.0).get(f"{site}/babu-thomas/movielens-posters/{COMMIT}/{name}", most_bytes=4 << 20)
    except Failure as failure:
        raise MMRecError(
            f"{name} of MovieLens 100K could not be fetched ({failure.reason}). Check the network and "
            f"prepare again, {todo}"
        ) from None
    if not _fits(body, name):
        raise MMRecError(
            f"{name} of MovieLens 100K arrived with another checksum than expected and was not used. "
            f"Prepare again, {todo}"
        )
    storage.write_bytes(file, body)
    return file


def _fits(body: bytes, name: str) -> bool:
    return hashlib.sha256(body).hexdigest() == SHA256[name]


def imdb_numbers(file: Path) -> dict[str, str]:
    """IMDb number by film id, from the table of IMDb pages.

    Raises:
        MMRecError: it cannot be read.
    """
    pages = tables.parse(tables.body(file), str(file), names=("item", "page"), sep=",", loose_last=True)
    found: dict[str, str] = {}
    for item, page in zip(pages.texts("item"), pages.texts("page"), strict=True):
        number = re.search(r"/tt(\d+)", str(page))
        if number and (key := digits(item)) is not None:
            found.setdefault(key, number.group(1))
    return found
