"""Names of modalities, the kinds of content that vectors of items are made of."""

from __future__ import annotations

from collections.abc import Iterable

Modality = str
"""Name of one kind of content: ``text``, ``image``, ``audio`` …; lower case letters, digits and underscores."""
MODALITIES: tuple[Modality, ...] = ("text", "image")
"""The modalities that encoders make. Vectors of others are imported, or come with a dataset."""


def in_order(names: Iterable[Modality]) -> list[Modality]:
    """Modalities in the order in which they are read everywhere: text, image, then others by name."""
    return sorted(set(names), key=lambda name: (name not in MODALITIES, name != "text", name))
