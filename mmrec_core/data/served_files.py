"""Files of the home that the browser fetches: thumbnails and maps, by name.

Older versions wrote thumbnails to ``static/`` of the checkout, and catalogs of older homes name such files. A thumbnail
that is missing in the home is copied from there, or made again from the poster file that the catalog names.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

from mmrec_core import settings, storage
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset

NAME = re.compile(r"thumbs/([0-9a-f]{2})/\1[0-9a-f]{14}\.jpg|maps/[a-z]+-[0-9a-f]{16}\.(bin|json)")
"""What :func:`mmrec_core.data.preparation.thumbnail` and :mod:`mmrec_core.spaces.publish` name their files.

Other names are not served.
"""


def find(name: str) -> Path | None:
    """The file of a name such as ``thumbs/ab/ab….jpg`` or ``maps/points-….bin``; ``None`` if there is none."""
    if NAME.fullmatch(name) is None:
        return None
    file = settings.static_dir() / name
    if not file.exists() and name.startswith("thumbs/"):
        _restore(name)
    return file if file.is_file() and file.resolve().is_relative_to(settings.static_dir().resolve()) else None


def _restore(name: str) -> None:
    """Restore a missing thumbnail that a catalog of the home names, if possible."""
    source = _posters().get(name)
    if source is None:
        return
    old = settings.ROOT / "static" / name
    try:
        if old.is_file():
            storage.write_bytes(settings.static_dir() / name, old.read_bytes())
        else:
            preparation.thumbnail(Path(source))
    except (MMRecError, OSError) as error:  # a full disk: the page shows the film without its poster
        preparation.log.warning("%s: %s", name, error)


_reading = threading.Lock()
_known: dict[Path, tuple[int, dict[str, str]]] = {}
"""By dataset folder: the time stamp of its catalog, and the poster file of each thumbnail."""


def _posters() -> dict[str, str]:
    """Poster files by thumbnail name, over all datasets of the home; catalogs are read again when they changed."""
    found: dict[str, str] = {}
    with _reading:
        for file in (settings.home() / "datasets").glob("[!.]*/catalog.parquet"):
            try:
                stamp = file.stat().st_mtime_ns
                if (cached := _known.get(file.parent)) is None or cached[0] != stamp:
                    cached = _known[file.parent] = (stamp, _posters_of(Dataset(file.parent)))
            except (MMRecError, OSError):  # damaged (Home reports it), or deleted meanwhile
                continue
            found |= cached[1]
    return found


def _posters_of(dataset: Dataset) -> dict[str, str]:
    """Poster files of one catalog by thumbnail name."""
    table = dataset.catalog
    if "poster" not in table:
        return {}
    table = table[table["poster"].notna()]
    return {str(thumb): str(file) for thumb, file in zip(table["poster"], table["poster_file"], strict=True)}
