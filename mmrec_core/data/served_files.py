"""The files of the home that the browser fetches: thumbnails and maps, by name. A thumbnail that is missing is found or made anew.

Earlier, thumbnails lay in ``static/`` of the checkout, and catalogs of older homes name such ones. So a name that is missing here is looked for
there, and else its thumbnail is made of the poster file that the catalog names.
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
"""What :func:`mmrec_core.data.preparation.thumbnail` and :mod:`mmrec_core.spaces.publish` name their files; nothing else is served."""


def find(name: str) -> Path | None:
    """The file of a name such as ``thumbs/ab/ab….jpg`` or ``maps/points-….bin``; ``None`` where there is none, or the name is not of these forms."""
    if NAME.fullmatch(name) is None:
        return None
    file = settings.static_dir() / name
    if not file.exists() and name.startswith("thumbs/"):
        _restore(name)
    return file if file.is_file() and file.resolve().is_relative_to(settings.static_dir().resolve()) else None


def _restore(name: str) -> None:
    """Bring a thumbnail into the home that a catalog of it names, if it can be."""
    source = _posters().get(name)
    if source is None:
        return
    before = settings.ROOT / "static" / name
    try:
        if before.is_file():
            storage.write_bytes(settings.static_dir() / name, before.read_bytes())
        else:
            preparation.thumbnail(Path(source))
    except (MMRecError, OSError) as error:  # a full disk: the page shows the film without its poster
        preparation.log.warning("%s: %s", name, error)


_reading = threading.Lock()
_known: dict[Path, tuple[int, dict[str, str]]] = {}
"""By a dataset's folder: the stamp of its catalog, and each thumbnail's poster file."""


def _posters() -> dict[str, str]:
    """Poster files by the names of their thumbnails, over every dataset of the home; catalogs are read when they have changed."""
    found: dict[str, str] = {}
    with _reading:
        for file in (settings.home() / "datasets").glob("[!.]*/catalog.parquet"):
            try:
                stamp = file.stat().st_mtime_ns
                if (held := _known.get(file.parent)) is None or held[0] != stamp:
                    held = _known[file.parent] = (stamp, _of(Dataset(file.parent)))
            except (MMRecError, OSError):  # damaged, or deleted meanwhile; Home tells it
                continue
            found |= held[1]
    return found


def _of(dataset: Dataset) -> dict[str, str]:
    """Poster files of one catalog by the names of their thumbnails."""
    table = dataset.catalog
    if "poster" not in table:
        return {}
    table = table[table["poster"].notna()]
    return {str(thumb): str(file) for thumb, file in zip(table["poster"], table["poster_file"], strict=True)}
