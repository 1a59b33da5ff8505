"""Vectors of an embedding space, encoded or learned by a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmrec_core import features, storage
from mmrec_core.encoders._base import unit
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Dataset

View = Literal["text", "image", "both"]
KINDS = ("film", "text", "image")
MEANINGS: dict[str, str] = {
    "trustworthiness": "Of what is near on the map, how much is near in truth (1: all); what is wrongly near counts by how far it is.",
    "continuity": "Of what is near in truth, how much is near on the map (1: all).",
    "genre_purity": "Share of a film's true neighbours that share a genre with it; beside it, what chance would give.",
    "hubness": "Skewness of how often a film is somebody's neighbour; above 1, few films are near everything.",
    "modality_gap": "Distance between the centre of all texts and the centre of all pictures (0: they mix, 2: as far as can be).",
    "overlap": "Share of true neighbours that two spaces have in common (Jaccard).",
}


@dataclass(frozen=True)
class Space:
    """Unit vectors with what they stand for."""

    name: str
    view: View
    vectors: Array
    """float32 ``[N, d]``."""
    items: Array
    """Catalog rows ``[N]``."""
    kind: Array
    """uint8 ``[N]``: places in :data:`KINDS`."""
    checksum: str


def space(dataset: Dataset, name: str, view: View) -> Space:
    """The vectors behind a map.

    ``both`` of a joint encoder stacks texts and pictures in the one space; of a pair of encoders it joins each film's two vectors
    end to end, for films that have both. ``run:ID`` are the item vectors that a trained model has learned.

    Raises:
        MMRecError: not encoded, or the model has no item vectors.
    """
    if name.startswith("run:"):
        return _learned(dataset, name)
    if view != "both":
        own = features.load(dataset, name, view)
        return Space(name, view, own.dense, own.items, np.full(len(own.items), KINDS.index(view), np.uint8), _sum(own))
    text, image = features.load(dataset, name, "text"), features.load(dataset, name, "image")
    told = _sum(text) + _sum(image)
    if text.encoder == image.encoder and text.manifest["joint"]:
        kind = np.repeat(np.array([1, 2], np.uint8), [len(text.items), len(image.items)])
        return Space(
            name, view, np.concatenate([text.dense, image.dense]), np.concatenate([text.items, image.items]), kind, told
        )
    shared, a, b = np.intersect1d(text.items, image.items, return_indices=True)
    if not len(shared):
        raise MMRecError(f"No film of {dataset.name} has both a text and an image vector of '{name}'.")
    joined = np.concatenate([text.dense[a], image.dense[b]], 1) / np.sqrt(2.0)
    return Space(name, view, joined.astype(np.float32), shared, np.zeros(len(shared), np.uint8), told)


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
