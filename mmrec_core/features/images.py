"""Posters as images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmrec_core import settings
from mmrec_core.errors import MMRecError
from mmrec_core.reading.images import open_image
from mmrec_core.types import Dataset

if TYPE_CHECKING:
    from PIL.Image import Image


def open_poster(dataset: Dataset, row: int) -> Image | None:
    """A film's poster in RGB at full size, else its thumbnail; ``None`` if neither can be read."""
    record = dataset.catalog.iloc[row]
    for place in (record["poster_file"], record["poster"]):
        if not isinstance(place, str):
            continue
        try:
            return open_image(Path(place) if place == record["poster_file"] else settings.static_dir() / place)
        except MMRecError:
            continue
    return None
