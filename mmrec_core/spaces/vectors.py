"""Vectors of an embedding space, encoded or learned by a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmrec_core import features, storage
from mmrec_core.encoders._base import unit
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Dataset

View = str
"""A modality (``text``, ``image`` …), or ``both`` text and image."""
KINDS = ("film", "text", "image")
MEANINGS: dict[str, str] = {
    "trustworthiness": "Share of neighbours on the map that are neighbours in the original space (1: all); "
    "false neighbours count by their rank.",
    "continuity": "Share of neighbours in the original space that are neighbours on the map (1: all).",
    "genre_purity": "Share of a film's nearest neighbours that share a genre with it, next to the value by chance.",
    "hubness": "Skewness of how often a film is a neighbour of others; above 1, few films are near everything.",
    "modality_gap": "Distance between the means of all text vectors and of all image vectors (0: mixed, 2: largest).",
    "overlap": "Share of nearest neighbours that two spaces have in common (Jaccard).",
}
"""What each quality measure of a map means, for pages."""


def kind_of(view: View) -> int:
    """Index into :data:`KINDS` of the points of a view; points of other modalities than text and image are films."""
    return KINDS.index(view) if view in KINDS else 0


@dataclass(frozen=True)
class Space:
    """Unit vectors with the items they belong to."""

    name: str
    view: View
    vectors: Array
    """float32 ``[N, d]``."""
    items: Array
    """Catalog rows ``[N]``."""
    kind: Array
    """uint8 ``[N]``: indices into :data:`KINDS`."""
    checksum: str


def space(dataset: Dataset, name: str, view: View) -> Space:
    """The vectors of an embedding space.

    ``both`` of a joint encoder stacks text and image vectors in one space; of a pair of encoders it concatenates the
    two vectors of each film that has both. ``run:ID`` gives the item vectors of a trained model.

    Raises:
        MMRecError: not encoded, or the model has no item vectors.
    """
    if name.startswith("run:"):
        return _learned(dataset, name)
    if view != "both":
        own = features.load(dataset, name, view)
        return Space(name, view, own.dense, own.items, np.full(len(own.items), kind_of(view), np.uint8), _sum(own))
    text, image = features.load(dataset, name, "text"), features.load(dataset, name, "image")
    checksum = _sum(text) + _sum(image)
    if text.encoder == image.encoder and text.manifest["joint"]:
        kind = np.repeat(np.array([1, 2], np.uint8), [len(text.items), len(image.items)])
        return Space(
            name,
            view,
            np.concatenate([text.dense, image.dense]),
            np.concatenate([text.items, image.items]),
            kind,
            checksum,
        )
    shared, a, b = np.intersect1d(text.items, image.items, return_indices=True)
    if not len(shared):
        raise MMRecError(f"No film of {dataset.name} has both a text and an image vector of '{name}'.")
    joined = np.concatenate([text.dense[a], image.dense[b]], 1) / np.sqrt(2.0)
    return Space(name, view, joined.astype(np.float32), shared, np.zeros(len(shared), np.uint8), checksum)


def _sum(own: features.Features) -> str:
    return str(own.manifest["modality"][own.modality]["checksum"])


def _learned(dataset: Dataset, name: str) -> Space:
    from mmrec_core import settings
    from mmrec_core.models._base import load_model

    runs_folder = settings.home() / "runs"
    folder = runs_folder / name[4:] / "model"
    if folder.parent.parent != runs_folder or not (folder / "config.json").exists():
        raise MMRecError(f"Run '{name[4:]}' left no model.")
    model = load_model(folder)
    model.require(dataset, name[4:])
    found = model.item_vectors()
    if found is None:
        raise MMRecError(f"'{model.name}' has no vectors of films: it does not learn any.")
    known = np.flatnonzero(model.known_items[:-1].numpy())
    vectors = unit(found.detach().cpu().numpy()[known])
    return Space(name, "text", vectors, known, np.zeros(len(known), np.uint8), storage.checksum(vectors.tobytes()))
