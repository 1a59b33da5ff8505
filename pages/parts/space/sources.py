"""Embedding spaces of a dataset as pages see them: which exist, their names, their maps and the files of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import features, registry, runs, settings, spaces
from mmrec_core.errors import MMRecError
from mmrec_core.spaces import publish
from mmrec_core.types import Array, Dataset
from pages.parts import owner
from pages.parts.run_card import live_runs

VIEWS = {"text": "Plots", "image": "Posters", "audio": "Audio", "video": "Videos", "both": "Both"}


def view_name(view: spaces.View) -> str:
    """A view's name for people; a modality without one is named as it is stored."""
    return VIEWS.get(view, view.replace("_", " ").capitalize())


@dataclass(frozen=True)
class Source:
    """A space and one of its views."""

    name: str
    """Encoder, pair of encoders, or ``run:ID``."""
    view: spaces.View

    @property
    def key(self) -> str:
        """As a link names it."""
        return f"{self.name}|{self.view}"

    @property
    def label(self) -> str:
        """As people read it."""
        return label(self.name) if self.name.startswith("run:") else f"{self.name}: {view_name(self.view).lower()}"

    @staticmethod
    def of(key: str) -> Source:
        """The source that a link names."""
        name, _, view = key.rpartition("|")
        return Source(name, view)


def available(dataset: Dataset) -> dict[str, list[spaces.View]]:
    """The views of each space that can be shown.

    Spaces are encoders with vectors, pairs of them, and trained models with item vectors. Joint encoders come first,
    because text finds posters there.
    """
    encoded = features.available(dataset)
    views: dict[str, list[spaces.View]] = {}
    for name, info in sorted(encoded.items(), key=lambda pair: (not pair[1]["joint"], pair[0])):
        own: list[spaces.View] = features.in_order(info["modality"])
        views[name] = [*own, "both"] if {"text", "image"} <= set(own) else own
    texts = [name for name, own in views.items() if own == ["text"]]
    images = [name for name, own in views.items() if own == ["image"]]
    pairs: dict[str, list[spaces.View]] = {f"{t}+{i}": ["text", "image", "both"] for t in texts for i in images}
    schemas = registry.schemas("models")
    learned = [run for model, run in runs.finished(dataset).items() if schemas.get(model, {}).get("vectors")]
    return views | pairs | {f"run:{run.id}": ["text"] for run in learned}


def label(name: str) -> str:
    """A space's name for people."""
    if not name.startswith("run:"):
        return name
    try:
        return f"{runs.get(name[4:]).params['model']} (learned from ratings)"
    except MMRecError:
        return name


def map_of(dataset: Dataset, source: Source) -> spaces.Map | None:
    """The map of a space; ``None`` while it is being drawn, which this starts. PCA first, then UMAP."""
    found = spaces.stored(dataset, source.name, source.view)
    if found is None or found.manifest["layout"] != "umap":
        params = runs.projection_params(dataset.name, source.name, source.view)
        tried = [
            run
            for run in runs.all_runs()
            if run.kind == "project" and run.params == params and run.record.get("data") in {None, dataset.checksum}
        ]
        busy = any(run.status in runs.LIVE for run in live_runs() if run.kind in {"encode", "project"})
        startable = not busy and not any(run.status == "failed" for run in tried[-1:])
        if startable and owner.is_owner():
            runs.start("project", params)
        if found is None and startable and not owner.is_owner():
            st.info(
                f"The map of {source.label} is not drawn yet; the owner of this app can draw it.",
                icon=":material/lock:",
            )
        elif found is None:
            st.info(
                f"The map of {source.label} is being drawn; it appears here in a moment.",
                icon=":material/hourglass_top:",
            )
    return found


@st.cache_resource(max_entries=12, show_spinner=False)
def _published(key: str, folder: str, modified_ns: int, _dataset: Dataset, _map: spaces.Map) -> publish.Published:
    return publish.publish(_dataset, _map)


def modified(found: spaces.Map) -> int:
    """When a map was written, in nanoseconds."""
    return (found.folder / "manifest.json").stat().st_mtime_ns


def files_of(dataset: Dataset, source: Source, found: spaces.Map) -> publish.Published:
    """A map's files for the browser, written once; again if they were deleted since."""
    arguments = (source.key, str(found.folder), modified(found), dataset, found)
    files = _published(*arguments)
    paths = (files.files["points"], *files.files["near"], *files.files["films"])
    if not all((settings.static_dir() / path).exists() for path in paths):
        _published.clear()
        files = _published(*arguments)
    return files


@dataclass(frozen=True)
class DrawnMap:
    """A space with its map and the files of the map."""

    source: Source
    map: spaces.Map
    files: publish.Published

    @property
    def neighbours(self) -> int:
        """How many nearest neighbours of each film are known."""
        return int(self.map.near.shape[1])


def drawn(dataset: Dataset, source: Source | None) -> DrawnMap | None:
    """The map of a space; ``None`` while it is being drawn, or without a space."""
    found = map_of(dataset, source) if source is not None else None
    return None if source is None or found is None else DrawnMap(source, found, files_of(dataset, source, found))


@st.cache_data(max_entries=24, show_spinner=False)
def _shared(
    one: str, other: str, modified_ns: tuple[int, int], n_items: int, _one: spaces.Map, _other: spaces.Map
) -> Array:
    found = np.full(n_items, np.nan)
    rows, counts = spaces.shared_neighbours(neighbours(_one), neighbours(_other))
    found[rows] = counts
    return found


def neighbours(found: spaces.Map) -> tuple[Array, Array]:
    """The films of a map ``[N]`` and their nearest neighbours in the original space ``[N, k]``, as catalog rows.

    A film with two points counts by the first, its plot.
    """
    first = np.unique(found.items, return_index=True)[1]
    return found.items[first], found.items[np.asarray(found.near)[first]]


def shared_neighbours(dataset: Dataset, one: DrawnMap, other: DrawnMap) -> Array:
    """By catalog row how many nearest neighbours two spaces have in common; NaN for films in one space alone."""
    stamps = (modified(one.map), modified(other.map))
    found: Array = _shared(one.source.key, other.source.key, stamps, len(dataset.items), one.map, other.map)
    return found


@st.cache_resource(max_entries=3, show_spinner=False)
def encoder(name: str, checksum: str, _dataset: Dataset) -> Any:
    """A loaded encoder, for queries."""
    return features.restore_encoder(_dataset, name)
