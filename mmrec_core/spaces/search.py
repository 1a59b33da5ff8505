"""Search an embedding space by film, by text or by image, in the original space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmrec_core import features
from mmrec_core.encoders._base import Encoder
from mmrec_core.errors import MMRecError
from mmrec_core.features.vector_index import nearest_films
from mmrec_core.types import Array, Dataset, Modality

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Found:
    """Films by similarity to a query."""

    items: Array
    """Catalog rows, best first."""
    cosine: Array
    into: Modality
    """Which vectors were searched: posters (``image``) or plots (``text``)."""
    query: Array
    """Vector of the query."""


def by_text(dataset: Dataset, encoder: str, words: str, top: int = 10, made: Encoder | None = None) -> Found:
    """Search posters by text in a joint space, plots by text in a text space.

    Args:
        dataset: the dataset.
        encoder: encoder, or pair of encoders.
        words: the text.
        top: number of films.
        made: the encoder, if it is already loaded.

    Raises:
        MMRecError: no text, nothing encoded, or an encoder that is not available.
    """
    if not words.strip():
        raise MMRecError("Say what to search for: a word or two at least.")
    name = features.split_pair(encoder)["text"]
    made = made or features.restore_encoder(dataset, name)
    into: Modality = "image" if made.joint and "image" in features.available(dataset)[name]["modality"] else "text"
    return _found(dataset, name, into, made.encode_text([words])[0], top)


def by_image(dataset: Dataset, encoder: str, image: Image, top: int = 10, made: Encoder | None = None) -> Found:
    """Search posters by image.

    Args:
        dataset: the dataset.
        encoder: encoder, or pair of encoders.
        image: the image.
        top: number of films.
        made: the encoder, if it is already loaded.

    Raises:
        MMRecError: nothing encoded, or an encoder that reads no images.
    """
    name = features.split_pair(encoder)["image"]
    made = made or features.restore_encoder(dataset, name)
    if "image" not in made.modalities:
        raise MMRecError(f"'{name}' reads no pictures.")
    return _found(dataset, name, "image", made.encode_images([image])[0], top)


def by_film(dataset: Dataset, encoder: str, row: int, top: int = 10, modality: Modality = "image") -> Found:
    """Films similar to a film by plot or by poster, without the film itself.

    Args:
        dataset: the dataset.
        encoder: encoder, or pair of encoders.
        row: catalog row of the film.
        top: number of films.
        modality: ``image`` or ``text``.

    Raises:
        MMRecError: the film has no such vector.
    """
    own = features.load(dataset, encoder, modality)
    at = own.by_item(len(dataset.items))[row]
    if at < 0:
        missing = "plot" if modality == "text" else "poster"
        raise MMRecError(
            f"'{dataset.catalog['title'].iloc[row]}' has no {missing}, so '{encoder}' knows no {modality} of it."
        )
    query = np.asarray(own.vectors[at], np.float32)
    rows, cosine = nearest_films(own, query, top + 1)
    keep = rows != at
    return Found(own.items[rows[keep][:top]], cosine[keep][:top], modality, query)


def _found(dataset: Dataset, name: str, into: Modality, query: Array, top: int) -> Found:
    if not query.any():
        raise MMRecError("None of these words occurs in the catalog; try others.")
    own = features.load(dataset, name, into)
    rows, cosine = nearest_films(own, query, top)
    return Found(own.items[rows], cosine, into, query)
