"""Nearest neighbours, PCA, and UMAP coordinates."""

from __future__ import annotations

import contextlib
import functools

import numpy as np

from mmrec_core.types import Array, Progress, blocks, quiet

NEIGHBOURS = 15
PCA_WIDTH = 50
MOVES = 1_000_000
"""Points times epochs of a layout, within :data:`EPOCHS`: small maps use more epochs, which raises trustworthiness."""
EPOCHS = (100, 500)


def neighbours(vectors: Array, k: int = NEIGHBOURS, progress: Progress = quiet) -> tuple[Array, Array]:
    """The ``k`` exact nearest neighbours of each row without itself: rows int32 ``[N, k]`` and cosines ``[N, k]``."""
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
    """Principal components float32 ``[N, width]``; their signs are fixed, so that a map is never mirrored."""
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
    """UMAP (McInnes et al. 2018) on 50 principal components, with exact neighbours, initialised by the first
    components.

    Four times faster than UMAP's defaults at nearly the same trustworthiness: neighbours are searched in 50 dimensions,
    and a good start needs fewer epochs. Spaces of fewer than 12 points are laid out by PCA alone.

    Returns:
        float32 ``[N, dim]``.
    """
    reduced = pca(vectors)
    if len(vectors) < 12:
        return np.pad(reduced[:, :dim], ((0, 0), (0, max(0, dim - reduced.shape[1]))))
    import umap

    _keep_compiled()
    k = min(NEIGHBOURS, len(vectors) - 1)
    indices, distances = _near(reduced, k)
    start = reduced[:, :dim] / (np.abs(reduced[:, :dim]).max() + 1e-9) * 10.0
    made = umap.UMAP(
        n_components=dim,
        n_neighbors=k,
        n_epochs=int(np.clip(MOVES // len(vectors), *EPOCHS)),
        init=np.ascontiguousarray(start, np.float32),
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(indices, distances, None),
        metric="euclidean",
    )
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out: Array = np.asarray(made.fit_transform(reduced), np.float32)
    return out


@functools.cache
def _keep_compiled() -> None:
    """Let Numba keep the machine code of UMAP's functions on disk: without it, the first map of each process waits
    several seconds for the compiler.

    Numba looks for a folder that can be written (``NUMBA_CACHE_DIR``, beside the module, the user's cache); without one
    the functions are compiled as before.
    """
    from umap import layouts, umap_

    for module, name in (
        (umap_, "smooth_knn_dist"),
        (umap_, "compute_membership_strengths"),
        (layouts, "_nb_optimize_layout_euclidean_single_epoch"),
    ):
        with contextlib.suppress(AttributeError, RuntimeError, OSError):  # another release of UMAP; no such folder
            getattr(module, name).enable_caching()


def _near(points: Array, k: int) -> tuple[Array, Array]:
    """Exact Euclidean neighbours of points, each point itself first, as UMAP expects."""
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


def place(vectors: Array, xy: Array, query: Array, k: int = 8) -> Array:
    """Coordinates ``[2]`` of a new point on a map: the mean of its nearest neighbours, weighted by nearness."""
    from mmrec_core.features.nearest_neighbours import nearest

    rows, cosine = nearest(vectors, query, k)
    away = np.maximum(1.0 - cosine, 1e-6)
    weight = (away.min() / away) ** 2
    out: Array = (xy[rows] * (weight / weight.sum())[:, None]).sum(0).astype(np.float32)
    return out
