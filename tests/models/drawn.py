"""Films with drawn vectors of plots and posters, for tests of models that read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmrec_core import features
from mmrec_core.data import preparation
from mmrec_core.types import Array, Dataset
from tests.models.test_contract import _ratings_csv

WIDTH = 12


def films_with_vectors(folder: Path, rows: Mapping[str, Array] | None = None) -> Dataset:
    """The contract's ratings, prepared as *films*; ``rows`` says which films have a vector of each modality (all, by
    default)."""
    options = {"scale": "0.5:5", "items": "films.csv"}
    preparation.prepare("csv", source=_ratings_csv(folder), name="films", options=options)
    dataset = preparation.open_dataset("films")
    draw_vectors(dataset, folder, rows)
    return dataset


def draw_vectors(dataset: Dataset, folder: Path, rows: Mapping[str, Array] | None = None) -> None:
    """Give a dataset's films vectors of an encoder called *drawn*."""
    rng, source = np.random.default_rng(0), folder / "vectors"
    source.mkdir()
    for modality in ("text", "image"):
        own = np.arange(len(dataset.items)) if rows is None else rows[modality]
        np.save(source / f"x_{modality}_drawn.npy", rng.normal(size=(len(own), WIDTH)).astype(np.float32))
        np.save(source / f"x_{modality}_drawn_ids.npy", dataset.items.raw[own])
    features.import_folder(dataset, source, "drawn")
