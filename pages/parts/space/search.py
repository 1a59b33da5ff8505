"""Search the map by words or by a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import features, spaces
from mmrec_core.errors import MMRecError
from mmrec_core.reading import images
from mmrec_core.spaces import search as space_search
from mmrec_core.types import Dataset
from pages.parts.space import sources
from pages.parts.space.sources import DrawnMap, Source

TOP = 24
MARKED = 12
"""How many of the films found are marked on the map."""


def box() -> tuple[str, Any]:
    """The two fields: words, and an uploaded picture or ``None``."""
    words = st.text_input(
        "Search",
        key="q",
        bind="query-params",
        icon=":material/search:",
        placeholder="Words, such as: night sky",
        help="In a joint space words find posters, in a text space plots. The map flies to what it finds.",
    )
    with st.popover("Search by image", icon=":material/image_search:"):
        picture = st.file_uploader(
            "An image",
            type=["jpg", "jpeg", "png", "webp"],
            key="picture",
            help="Finds similar posters. The picture stays on this machine and is not kept.",
        )
    return words.strip(), picture


def find(dataset: Dataset, source: Source, words: str, picture: Any) -> tuple[space_search.Found | None, str]:
    """Films by the picture, else by the words; ``None`` and the reason where the space cannot be searched."""
    if picture is None and not words:
        return None, ""
    if source.name.startswith("run:"):
        return None, "A model's item vectors cannot be searched by words or pictures; choose an encoder's space."
    side = features.split_pair(source.name)["image" if picture is not None else "text"]
    try:
        with st.spinner("Encoding the picture …" if picture is not None else "Encoding the words …"):
            encoder = sources.encoder(side, dataset.checksum, dataset)
            if picture is not None:
                image = images.open_image(picture.getvalue())
                return space_search.by_image(dataset, source.name, image, TOP, encoder), ""
            return space_search.by_text(dataset, source.name, words, TOP, encoder), ""
    except MMRecError as error:
        return None, str(error)


def film_pin(dataset: Dataset, shown: DrawnMap, row: int) -> dict[str, Any] | None:
    """Where the film shown beside the map lies on it; ``None`` without a film, or one that is not on this map."""
    at = np.flatnonzero(shown.files.items == row)
    if row < 0 or not len(at):
        return None
    text = str(dataset.catalog["title"].iloc[row])
    return {"at": [float(v) for v in shown.files.xy[at[0]]], "text": text if len(text) <= 40 else f"{text[:39]}…"}


def pin(dataset: Dataset, shown: DrawnMap, found: space_search.Found | None, text: str) -> dict[str, Any] | None:
    """Where the query itself lies on the map, if it has a place there."""
    source = shown.source
    if found is None or source.name.startswith("run:") or source.view not in (found.into, "both"):
        return None
    vectors = spaces.space(dataset, source.name, source.view).vectors
    if vectors.shape[1] != len(found.query):
        return None
    place = spaces.place(vectors, shown.files.xy, found.query)
    return {"at": [float(v) for v in place], "text": text[:40]}
