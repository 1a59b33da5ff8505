"""A space as a map: coordinates and true neighbours together, with scores that say how far the map can be trusted.

``<dataset>/maps/<key>/`` holds ``xy.npy`` (UMAP, or PCA while that is not there yet), ``pca.npy``, the films' catalog rows,
``kind.npy`` (whether a point is a text or a picture), exact neighbours in the original space, and ``manifest.json``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmrec_core import features, records, storage
from mmrec_core.encoders._base import unit
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.types import Array, Dataset, Progress, blocks, quiet

View = Literal["text", "image", "both"]
NEIGHBOURS = 15
PCA_WIDTH = 50
MOVES = 1_000_000
"""Points times epochs of a layout, within :data:`EPOCHS`: small maps can afford more epochs, and gain trust by them."""
EPOCHS = (100, 500)
SAMPLE = 2_000
"""Points at most on which trust is measured; each is ranked against all."""
REMEDY = "It is drawn again when it is looked at on Space."
RECIPE = 2
"""Raised when the same vectors no longer give the same map."""
KINDS = ("film", "text", "image")

MEANINGS: dict[str, str] = {
    "trustworthiness": "Of what is near on the map, how much is near in truth (1: all); what is wrongly near counts by how far it is.",
    "continuity": "Of what is near in truth, how much is near on the map (1: all).",
    "genre_purity": "Share of a film's true neighbours that share a genre with it; beside it, what chance would give.",
    "hubness": "Skewness of how often a film is somebody's neighbour; above 1, few films are near everything.",
    "modality_gap": "Distance between the centre of all texts and the centre of all pictures (0: they mix, 2: as far as can be).",
    "overlap": "Share of true neighbours that two spaces have in common (Jaccard).",
}


# Spaces


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


# Neighbours and layout


def neighbours(vectors: Array, k: int = NEIGHBOURS, progress: Progress = quiet) -> tuple[Array, Array]:
    """The ``k`` most like each row, itself left out: int32 ``[N, k]`` and cosines ``[N, k]``; exact."""
    import torch

    table = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    k = min(k, len(table) - 1)
    found, cosines = np.zeros((len(table), k), np.int32), np.zeros((len(table), k), np.float32)
    for part in blocks(len(table), 512):
        progress(part.start, len(table), "finding true neighbours")
        cosine = table[part] @ table.T
        cosine[torch.arange(len(cosine)), torch.arange(part.start, part.start + len(cosine))] = -2.0
        best = torch.topk(cosine, k, dim=1)
        found[part], cosines[part] = best.indices.numpy(), best.values.numpy()
    return found, cosines


def pca(vectors: Array, width: int = PCA_WIDTH) -> Array:
    """The ``width`` directions in which the vectors differ most, float32 ``[N, width]``; signs fixed, so that a map is not mirrored."""
    import torch

    centred = torch.from_numpy(np.ascontiguousarray(vectors - vectors.mean(0), np.float32))
    width = min(width, *centred.shape)
    values, directions = torch.linalg.eigh(centred.T @ centred) if centred.shape[1] <= 4096 else (None, None)
    if directions is None:
        _, _, right = torch.linalg.svd(centred, full_matrices=False)
        chosen = right[:width].T
    else:
        chosen = directions[:, -width:].flip(1)
    strongest = chosen.abs().argmax(0)
    chosen = chosen * torch.sign(chosen[strongest, torch.arange(chosen.shape[1])])
    out: Array = (centred @ chosen).numpy()
    return out


def layout(vectors: Array, dim: int = 2, seed: int = 0) -> Array:
    """UMAP (McInnes et al. 2018) on 50 principal components, with their exact neighbours and their first two as the start.

    Four times faster than UMAP's defaults at nearly their trust: neighbours are not searched for in full width, and the start is good,
    so fewer epochs do. Spaces of fewer than a dozen points are laid out by PCA alone.

    Returns:
        float32 ``[N, dim]``.
    """
    reduced = pca(vectors)
    if len(vectors) < 12:
        return np.pad(reduced[:, :dim], ((0, 0), (0, max(0, dim - reduced.shape[1]))))
    import umap

    k = min(NEIGHBOURS, len(vectors) - 1)
    indices, distances = _near(reduced, k)
    start = reduced[:, :dim] / (np.abs(reduced[:, :dim]).max() + 1e-9) * 10.0
    made = umap.UMAP(
        n_components=dim, n_neighbors=k, n_epochs=int(np.clip(MOVES // len(vectors), *EPOCHS)), init=np.ascontiguousarray(start, np.float32), random_state=seed, n_jobs=1,
        precomputed_knn=(indices, distances, None), metric="euclidean",
    )  # fmt: skip
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out: Array = np.asarray(made.fit_transform(reduced), np.float32)
    return out


def _near(points: Array, k: int) -> tuple[Array, Array]:
    """Exact Euclidean neighbours of points, each itself first, as UMAP wants them."""
    import torch

    table = torch.from_numpy(np.ascontiguousarray(points, np.float32))
    square = (table * table).sum(1)
    indices, distances = np.zeros((len(table), k), np.int32), np.zeros((len(table), k), np.float32)
    for part in blocks(len(table), 512):
        away = square[None] - 2.0 * table[part] @ table.T
        away[torch.arange(len(away)), torch.arange(part.start, part.start + len(away))] = -torch.inf
        best = torch.topk(away, k, dim=1, largest=False)
        real = (best.values + square[part][:, None]).clamp(min=0.0).sqrt()
        real[:, 0] = 0.0
        indices[part], distances[part] = best.indices.numpy(), real.numpy()
    return indices, distances


# How far to trust it


def trust(vectors: Array, xy: Array, k: int = NEIGHBOURS, sample: int = SAMPLE, seed: int = 0) -> dict[str, float]:
    """Trustworthiness and continuity (Venna & Kaski 2001) at ``k``, on a sample of points ranked against all."""
    n = len(vectors)
    k = min(k, (n - 1) // 2)
    if k < 1:
        return {"trustworthiness": 1.0, "continuity": 1.0}
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:sample])
    wrong = [0.0, 0.0]
    for part in blocks(len(chosen), 256):
        rows = chosen[part]
        at = np.arange(len(rows))
        truth = -(vectors[rows] @ vectors.T)
        drawn = ((xy[rows][:, None] - xy[None]) ** 2).sum(2)
        truth[at, rows] = drawn[at, rows] = -np.inf
        for near, other, far in ((drawn, truth, 0), (truth, drawn, 1)):
            closest = np.argpartition(near, k, 1)[:, : k + 1]  # itself among them, whose rank is 0
            for column in closest.T:
                rank = (other < other[at, column][:, None]).sum(1)
                wrong[far] += np.maximum(rank - k, 0).sum()
    scale = 2.0 / (len(chosen) * k * (2 * n - 3 * k - 1))
    return {"trustworthiness": 1.0 - scale * float(wrong[0]), "continuity": 1.0 - scale * float(wrong[1])}


def overlap(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    """Jaccard share of true neighbours that two spaces agree on, film by film.

    Args:
        one, other: ``(catalog rows [N], neighbours [N, k] as catalog rows)`` of each space.

    Returns:
        Catalog rows of the films in both ``[M]`` and their shares ``[M]``.
    """
    shared, a, b = np.intersect1d(one[0], other[0], return_indices=True)
    mine, theirs = one[1][a], other[1][b]
    same = (mine[:, :, None] == theirs[:, None, :]).any(2).sum(1)
    return shared, same / np.maximum(mine.shape[1] + theirs.shape[1] - same, 1)


def genre_purity(dataset: Dataset, items: Array, near: Array) -> dict[str, float] | None:
    """Share of neighbours that share a genre with a film, and the share among all pairs; ``None`` without genres."""
    genres = [set(own) for own in dataset.catalog["genres"]]
    names = sorted(set().union(*genres)) if genres else []
    if not names:
        return None
    has = np.array([[name in own for name in names] for own in genres], np.float32)[items]
    known: Array = np.asarray(has.any(1))
    same: Array = np.asarray((has[:, None, :] * has[near]).any(2))
    usable: Array = known[:, None] & known[near]
    count = max(int(known.sum()), 1)
    sample: Array = np.random.default_rng(0).integers(0, len(items), (min(20_000, 10 * len(items)), 2))
    pair: Array = np.asarray(known[sample].all(1))
    alike: Array = np.asarray((has[sample[:, 0]] * has[sample[:, 1]]).any(1))
    chance = alike[pair].mean() if pair.any() else 0.0
    return {"value": float(same[usable].mean()) if usable.any() else 0.0, "chance": float(chance), "films": count}


def hubness(near: Array, n: int) -> float:
    """Skewness of how often each point is a neighbour (Radovanović et al. 2010)."""
    count = np.bincount(near.ravel(), minlength=n).astype(float)
    spread = count.std()
    return float(((count - count.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0


# On disk


@dataclass(frozen=True)
class Map:
    """A stored map."""

    folder: Path
    manifest: Mapping[str, Any]

    def _array(self, name: str) -> Array:
        return records.array(self.folder / f"{name}.npy", REMEDY)

    def check(self, n_items: int) -> None:
        """Look at its arrays.

        Raises:
            DamagedFile: one is missing, cannot be read, or does not fit the others or the ``n_items`` films of the dataset.
        """
        items = records.array(self.folder / "items.npy", REMEDY, ndim=1, kinds="iu")
        n = len(items)
        for name, ndim, kinds in (("xy", 2, "f"), ("pca", 2, "f"), ("kind", 1, "iu"), ("near", 2, "iu"), ("cosine", 2, "f")):
            records.array(self.folder / f"{name}.npy", REMEDY, length=n, ndim=ndim, kinds=kinds)
        for name, column, rows in (("items", items, n_items), ("near", self.near, n), ("kind", self.kind, len(KINDS))):
            if n and not 0 <= int(column.min()) <= int(column.max()) < rows:
                raise DamagedFile(storage.shown(self.folder / f"{name}.npy"), f"it names rows beyond the {rows:,} there are", REMEDY)

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
        """Places in :data:`KINDS` ``[N]``."""
        return np.asarray(self._array("kind"))

    @cached_property
    def near(self) -> Array:
        """int32 ``[N, k]``: true neighbours, as places on the map."""
        return self._array("near")

    @cached_property
    def cosine(self) -> Array:
        """float16 ``[N, k]``: how like they are."""
        return self._array("cosine")


def folder_of(dataset: Dataset, name: str, view: View, dim: int = 2) -> Path:
    """Where a map lies."""
    safe = name.replace("/", "--").replace(":", "__")
    return dataset.folder / "maps" / f"{safe}.{view}.{dim}d"


def stored(dataset: Dataset, name: str, view: View, dim: int = 2) -> Map | None:
    """A map, if it was made from the vectors that are there now; ``None`` where it has to be made."""
    folder = folder_of(dataset, name, view, dim)
    storage.recover(folder)
    try:
        told = _read(folder, len(dataset.items))
    except MMRecError:  # missing, or damaged: a map is drawn again
        return None
    if told.get("recipe") != RECIPE or told.get("catalog") != dataset.checksum:
        return None
    if not name.startswith("run:"):
        try:
            sides = ("text", "image") if view == "both" else (view,)
            now = "".join(features.checksum_of(dataset, name, side) for side in sides)  # type: ignore[arg-type]
        except MMRecError:
            return None
        if told["vectors"] != now:
            return None
    return Map(folder, told)


_checked: dict[Path, tuple[tuple[int, ...], int]] = {}
"""By map folder: the stamps of its files when they were looked at and fitted, and how many films there were."""


def _read(folder: Path, n_items: int) -> dict[str, Any]:
    """A map's manifest; its arrays are looked at, too, whenever one of them changed.

    Raises:
        MMRecError: there is none.
        DamagedFile: one of its files cannot be read.
    """
    told = records.read(folder / "manifest.json", records.MAP, REMEDY)
    stamp = tuple(part for f in sorted(folder.glob("*.npy")) for part in (f.stat().st_mtime_ns, f.stat().st_size))
    if _checked.get(folder) != (stamp, n_items):
        Map(folder, told).check(n_items)
        _checked[folder] = (stamp, n_items)
    return told


def damaged(dataset: Dataset) -> list[DamagedFile]:
    """What is wrong with maps that :func:`stored` does not give for that reason."""
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
    dataset: Dataset, name: str, view: View = "text", *, dim: int = 2, seed: int = 0, again: bool = False, progress: Progress = quiet
) -> dict[str, Any]:  # fmt: skip
    """Make a map: PCA at once, then neighbours, UMAP and how far to trust them.

    Returns:
        ``{"points", "trustworthiness", "continuity", "overlap", "seconds", …}``; ``overlap`` is that of the neighbours of text and
        image where the view is ``both`` and both spaces are there, else ``null``.

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
            return {**known.manifest["told"], "seconds": round(time.perf_counter() - started, 3)}
        progress(0, 1, "reading vectors")
        found = space(dataset, name, view)
        if len(found.vectors) < 3:
            raise MMRecError(
                f"'{name}' has {len(found.vectors)} {view} vectors of {dataset.name}; a map needs three at least."
            )
        flat = pca(found.vectors, dim)
        flat = np.pad(flat, ((0, 0), (0, dim - flat.shape[1])))
        near, cosine = neighbours(found.vectors, progress=progress)
        told: dict[str, Any] = {
            "dataset": dataset.name, "encoder": name, "modality": view, "points": len(found.vectors), "films": len(np.unique(found.items)),
            "neighbours": near.shape[1], "hubness": hubness(near, len(near)), "genre_purity": genre_purity(dataset, found.items, near),
            "modality_gap": _gap(found), "overlap": _overlap(dataset, name, view),
        }  # fmt: skip
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
        first = {**told, **trust(found.vectors, flat, sample=500)}
        _write(folder, {**arrays, "xy": flat}, {**manifest, "layout": "pca", "told": first})
        progress(0, 1, "laying out the map (UMAP)")
        laid = time.perf_counter()
        xy = layout(found.vectors, dim, seed)
        told["layout_s"] = round(time.perf_counter() - laid, 3)
        progress(0, 1, "measuring how far to trust it")
        told |= trust(found.vectors, xy)
        told["seconds"] = round(time.perf_counter() - started, 2)
        _write(folder, {**arrays, "xy": xy}, {**manifest, "layout": "umap", "told": told})
        return told


def _gap(found: Space) -> float | None:
    if set(found.kind.tolist()) != {1, 2}:
        return None
    return float(np.linalg.norm(found.vectors[found.kind == 1].mean(0) - found.vectors[found.kind == 2].mean(0)))


def _overlap(dataset: Dataset, name: str, view: View) -> float | None:
    """Mean Jaccard share of the true neighbours that text and image agree on, over films that have both."""
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


def place(vectors: Array, xy: Array, query: Array, k: int = 8) -> Array:
    """Where a new point belongs on a map that does not move: between its true neighbours, the nearer the more; float32 ``[2]``."""
    from mmrec_core.retrieval import nearest

    rows, cosine = nearest(vectors, query, k)
    away = np.maximum(1.0 - cosine, 1e-6)
    weight = (away.min() / away) ** 2
    out: Array = (xy[rows] * (weight / weight.sum())[:, None]).sum(0).astype(np.float32)
    return out
