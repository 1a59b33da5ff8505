"""Stored maps: coordinates, neighbours and measures of a space."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import features, records, storage
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.spaces.coordinates import layout, neighbours, pca
from mmrec_core.spaces.quality import genre_purity, hubness, overlap, trust
from mmrec_core.spaces.vectors import KINDS, Space, View, space
from mmrec_core.types import Array, Dataset, Progress, quiet

REMEDY = "It is drawn again when it is looked at on Space."
RECIPE = 2
"""Version of the computation; raised when the same vectors no longer give the same map."""


@dataclass(frozen=True)
class Map:
    """A stored map."""

    folder: Path
    manifest: Mapping[str, Any]

    def _array(self, name: str) -> Array:
        return records.array(self.folder / f"{name}.npy", REMEDY)

    def check(self, n_items: int) -> None:
        """Check the arrays.

        Raises:
            DamagedFile: one is missing, cannot be read, or does not fit the others or the ``n_items`` films of the
                dataset.
        """
        items = records.array(self.folder / "items.npy", REMEDY, ndim=1, kinds="iu")
        n = len(items)
        for name, ndim, kinds in (
            ("xy", 2, "f"),
            ("pca", 2, "f"),
            ("kind", 1, "iu"),
            ("near", 2, "iu"),
            ("cosine", 2, "f"),
        ):
            records.array(self.folder / f"{name}.npy", REMEDY, length=n, ndim=ndim, kinds=kinds)
        for name, column, rows in (("items", items, n_items), ("near", self.near, n), ("kind", self.kind, len(KINDS))):
            if n and not 0 <= int(column.min()) <= int(column.max()) < rows:
                raise DamagedFile(
                    storage.shown(self.folder / f"{name}.npy"), f"it names rows beyond the {rows:,} there are", REMEDY
                )

    @cached_property
    def xy(self) -> Array:
        """float32 ``[N, 2]``: the layout, or PCA where ``manifest["layout"]`` says so."""
        return self._array("xy")

    @cached_property
    def items(self) -> Array:
        """Catalog rows ``[N]``."""
        return np.asarray(self._array("items"))

    @cached_property
    def kind(self) -> Array:
        """Indices into :data:`KINDS` ``[N]``."""
        return np.asarray(self._array("kind"))

    @cached_property
    def near(self) -> Array:
        """int32 ``[N, k]``: nearest neighbours in the original space, as rows of the map."""
        return self._array("near")

    @cached_property
    def cosine(self) -> Array:
        """float16 ``[N, k]``: their cosine similarities."""
        return self._array("cosine")


def folder_of(dataset: Dataset, name: str, view: View, dim: int = 2) -> Path:
    """Folder of a map."""
    safe = name.replace("/", "--").replace(":", "__")
    return dataset.folder / "maps" / f"{safe}.{view}.{dim}d"


def stored(dataset: Dataset, name: str, view: View, dim: int = 2) -> Map | None:
    """A stored map; ``None`` if there is none, or if it was computed from other vectors."""
    folder = folder_of(dataset, name, view, dim)
    storage.recover(folder)
    try:
        manifest = _read(folder, len(dataset.items))
    except MMRecError:  # missing or damaged: the map is computed again
        return None
    if manifest.get("recipe") != RECIPE or manifest.get("catalog") != dataset.checksum:
        return None
    if not name.startswith("run:"):
        try:
            sides = ("text", "image") if view == "both" else (view,)
            now = "".join(features.checksum_of(dataset, name, side) for side in sides)
        except MMRecError:
            return None
        if manifest["vectors"] != now:
            return None
    return Map(folder, manifest)


_checked: dict[Path, tuple[tuple[int, ...], int]] = {}
"""By map folder: stamps of its files at their last check, and the number of films then."""


def _read(folder: Path, n_items: int) -> dict[str, Any]:
    """A map's manifest; its arrays are checked if one of them has changed.

    Raises:
        MMRecError: there is none.
        DamagedFile: one of its files cannot be read.
    """
    manifest = records.read(folder / "manifest.json", records.MAP, REMEDY)
    if "told" in manifest:  # its name in maps of earlier versions
        manifest["measures"] = manifest.pop("told")
    stamp = tuple(part for f in sorted(folder.glob("*.npy")) for part in (f.stat().st_mtime_ns, f.stat().st_size))
    if _checked.get(folder) != (stamp, n_items):
        Map(folder, manifest).check(n_items)
        _checked[folder] = (stamp, n_items)
    return manifest


def damaged(dataset: Dataset) -> list[DamagedFile]:
    """Damage of stored maps, which :func:`stored` does not give."""
    found = []
    for folder in sorted((dataset.folder / "maps").glob("[!.]*")):
        try:
            _read(folder, len(dataset.items))
        except DamagedFile as error:
            found.append(error)
        except (MMRecError, OSError):  # it is being replaced
            continue
    return found


def project(
    dataset: Dataset,
    name: str,
    view: View = "text",
    *,
    dim: int = 2,
    seed: int = 0,
    again: bool = False,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Compute a map: PCA at once, then neighbours, UMAP and their quality.

    Args:
        dataset: the dataset.
        name: encoder, pair of encoders, or ``run:ID``.
        view: ``text``, ``image`` or ``both``.
        dim: 2 or 3 dimensions.
        seed: seed of UMAP.
        again: compute it even if it is stored.
        progress: called with the progress.

    Returns:
        ``{"points", "trustworthiness", "continuity", "overlap", "seconds", …}``; ``overlap`` is that of the neighbours
        of text and image where the view is ``both`` and both spaces are there, else ``null``.

    Raises:
        MMRecError: nothing is encoded.
    """
    if dim not in (2, 3):
        raise MMRecError(f"A map has 2 or 3 dimensions, not {dim}.")
    started = time.perf_counter()
    folder = folder_of(dataset, name, view, dim)
    with storage.locked(f"map-{dataset.name}-{folder.name}"):
        known = stored(dataset, name, view, dim)
        if known is not None and not again and known.manifest["layout"] == "umap" and known.manifest["seed"] == seed:
            return {**known.manifest["measures"], "seconds": round(time.perf_counter() - started, 3)}
        progress(0, 1, "reading vectors")
        found = space(dataset, name, view)
        if len(found.vectors) < 3:
            raise MMRecError(
                f"'{name}' has {len(found.vectors)} {view} vectors of {dataset.name}; a map needs three at least."
            )
        flat = pca(found.vectors, dim)
        flat = np.pad(flat, ((0, 0), (0, dim - flat.shape[1])))
        near, cosine = neighbours(found.vectors, progress=progress)
        measures: dict[str, Any] = {
            "dataset": dataset.name,
            "encoder": name,
            "modality": view,
            "points": len(found.vectors),
            "films": len(np.unique(found.items)),
            "neighbours": near.shape[1],
            "hubness": hubness(near, len(near)),
            "genre_purity": genre_purity(dataset, found.items, near),
            "modality_gap": _gap(found),
            "overlap": _overlap(dataset, name, view),
        }
        manifest = {
            "recipe": RECIPE,
            "catalog": dataset.checksum,
            "vectors": found.checksum,
            "encoder": name,
            "view": view,
            "dim": dim,
            "seed": seed,
        }
        arrays = {
            "pca": flat,
            "items": found.items,
            "kind": found.kind,
            "near": near,
            "cosine": cosine.astype(np.float16),
        }
        first = {**measures, **trust(found.vectors, flat, sample=500)}
        _write(folder, {**arrays, "xy": flat}, {**manifest, "layout": "pca", "measures": first})
        progress(0, 1, "laying out the map (UMAP)")
        laid = time.perf_counter()
        xy = layout(found.vectors, dim, seed)
        measures["layout_s"] = round(time.perf_counter() - laid, 3)
        progress(0, 1, "measuring its quality")
        measures |= trust(found.vectors, xy)
        measures["seconds"] = round(time.perf_counter() - started, 2)
        _write(folder, {**arrays, "xy": xy}, {**manifest, "layout": "umap", "measures": measures})
        return measures


def _gap(found: Space) -> float | None:
    if set(found.kind.tolist()) != {1, 2}:
        return None
    return float(np.linalg.norm(found.vectors[found.kind == 1].mean(0) - found.vectors[found.kind == 2].mean(0)))


def _overlap(dataset: Dataset, name: str, view: View) -> float | None:
    """Mean Jaccard overlap of the neighbours by text and by image, over films that have both."""
    if view != "both":
        return None
    found = []
    text, image = features.load(dataset, name, "text"), features.load(dataset, name, "image")
    shared, a, b = np.intersect1d(text.items, image.items, return_indices=True)
    for own, rows in ((text, a), (image, b)):
        near, _ = neighbours(own.dense[rows])
        found.append((shared, shared[near]))
    return float(overlap(found[0], found[1])[1].mean()) if len(shared) > 1 else None


def _write(folder: Path, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> None:
    with storage.replacing(folder) as draft:
        for name, array in arrays.items():
            np.save(
                draft / f"{name}.npy",
                np.ascontiguousarray(array, np.float32 if name in {"xy", "pca"} else None),
                allow_pickle=False,
            )
        storage.write_json(draft / "manifest.json", manifest)
