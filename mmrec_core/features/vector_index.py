"""Approximate nearest neighbours for large catalogs: a FAISS index beside exact search, used if it finds the same.

Below :data:`EXACT_UNTIL` vectors search is exact. From there on the first search starts the construction of an inverted
file with product quantization (IVF-PQ; Jégou, Douze & Schmid 2011) in a background thread and searches exactly
meanwhile. Candidates of the index are ranked again by their stored vectors. As many cells are searched as it takes for
a recall@10 against exact search whose 95 % interval lies above :data:`RECALL`, with sampled films as queries; where no
number of cells has it, search stays exact. The index lies in the home's cache under the checksum of the vectors, so
that a changed catalog never meets it.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import settings, storage
from mmrec_core.errors import MMRecError
from mmrec_core.features import controls
from mmrec_core.features.nearest_neighbours import nearest
from mmrec_core.features.store import Features
from mmrec_core.types import Array, Progress, blocks, quiet

EXACT_UNTIL = 100_000
"""Number of vectors from which an index is used."""
RECALL = 0.99
CANDIDATES = 50
"""Candidates from the index for each wanted neighbour."""
BLOCK = 65_536
QUERIES = 500
"""Sampled queries that decide how many cells are searched."""
_building: dict[str, threading.Thread] = {}
_loaded: dict[str, tuple[Any, int]] = {}
_guard = threading.Lock()


def nearest_films(own: Features, query: Array, k: int) -> tuple[Array, Array]:
    """The ``k`` rows of stored unit vectors nearest to a unit query ``[d]``, best first, and their cosines.

    Exact below :data:`EXACT_UNTIL` vectors, while there is no index, and for content controls, whose vectors are not
    those that the manifest's checksum is of.
    """
    if len(own.vectors) < EXACT_UNTIL or controls.parse(own.encoder) or not available():
        return nearest(own.dense, query, k)
    checksum = str(own.manifest["modality"][own.modality]["checksum"])
    if (found := load(checksum)) is None:
        build_in_background(own.vectors, checksum)
        return nearest(own.dense, query, k)
    index, probes = found
    return search(index, probes, own.vectors, query, k) if probes else nearest(own.dense, query, k)


def available() -> bool:
    """Whether FAISS is installed."""
    from importlib.util import find_spec

    return find_spec("faiss") is not None


def search(index: Any, probes: int, vectors: Array, query: Array, k: int) -> tuple[Array, Array]:
    """Candidates of the index, ranked by their own vectors.

    Args:
        index: the FAISS index.
        probes: cells to search.
        vectors: unit vectors ``[N, d]``, which may be memory-mapped.
        query: unit vector ``[d]``.
        k: number of neighbours.

    Returns:
        Rows ``[k]``, best first, and their cosines ``[k]``.
    """
    import faiss

    wanted: Any = faiss.SearchParametersIVF()
    wanted.nprobe = probes
    _, rows = index.search(query[None].astype(np.float32), CANDIDATES * k, params=wanted)
    rows = np.sort(rows[0][rows[0] >= 0])  # in order of the file
    best, cosine = nearest(np.asarray(vectors[rows], np.float32), query, k)
    return rows[best], cosine


def file_of(checksum: str) -> Path:
    """Where the index of vectors with this checksum lies."""
    return settings.home() / "cache" / "indexes" / f"{checksum}.faiss"


def load(checksum: str) -> tuple[Any, int] | None:
    """An index and the cells to search (0: search exactly); ``None`` without one, or if its file is damaged."""
    import faiss

    file = file_of(checksum)
    if checksum not in _loaded:
        try:
            about = storage.read_json(file.with_suffix(".json"))
            data = file.read_bytes()
        except (MMRecError, OSError):
            return None
        if storage.checksum(data) != about.get("checksum"):
            return None
        _loaded.clear()  # one is kept: it is large
        _loaded[checksum] = (faiss.deserialize_index(np.frombuffer(data, np.uint8)), int(about["probes"]))
    return _loaded[checksum]


def build_in_background(vectors: Array, checksum: str) -> threading.Thread:
    """Start :func:`build` in a thread, once for each set of vectors."""
    with _guard:
        if checksum not in _building:
            _building[checksum] = threading.Thread(target=_build_quietly, args=(vectors, checksum), daemon=True)
            _building[checksum].start()
        return _building[checksum]


def _build_quietly(vectors: Array, checksum: str) -> None:
    import logging
    import os

    import faiss

    faiss.omp_set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # the pages go first; it holds for this thread alone
    try:
        build(vectors, checksum)
    except MMRecError as error:  # no space, or a home that cannot be written: search stays exact
        logging.getLogger(__name__).warning("No index for search: %s", error)


def build(vectors: Array, checksum: str, progress: Progress = quiet) -> dict[str, Any]:
    """Build an index and store it.

    Args:
        vectors: unit vectors ``[N, d]``, which may be memory-mapped.
        checksum: of the vectors.
        progress: progress callback.

    Returns:
        ``{"n", "cells", "probes", "recall@10", "megabytes", "checksum"}``; ``probes`` 0 if no number of cells reaches
        :data:`RECALL`.
    """
    import faiss

    with storage.locked(f"index-{checksum[:16]}"):
        if (found := load(checksum)) is not None:
            return dict(storage.read_json(file_of(checksum).with_suffix(".json")), probes=found[1])
        n, width = vectors.shape
        cells = cells_for(n)
        rng = np.random.default_rng(0)
        index = faiss.index_factory(width, f"IVF{cells},PQ{_pieces(width)}x8", faiss.METRIC_INNER_PRODUCT)
        sample = np.sort(rng.choice(n, min(n, 64 * cells), replace=False))
        progress(0, n, "training the index")
        index.train(np.asarray(vectors[sample], np.float32))
        for part in blocks(n, BLOCK):
            progress(part.start, n, "adding vectors to the index")
            index.add(np.asarray(vectors[part], np.float32))
        probes, recall = _probes(index, vectors, cells, rng)
        data = faiss.serialize_index(index).tobytes()
        about = {
            "n": n,
            "cells": cells,
            "probes": probes,
            "recall@10": recall,
            "megabytes": round(len(data) / 1e6, 1),
            "checksum": storage.checksum(data),
        }
        file = file_of(checksum)
        storage.write_bytes(file, data)
        storage.write_json(file.with_suffix(".json"), about)
        progress(n, n, "adding vectors to the index")
    return about


def cells_for(n: int) -> int:
    """Cells of an index of ``n`` vectors: the power of two nearest to 4·√n."""
    return int(2 ** round(math.log2(4 * math.sqrt(n))))


def _pieces(width: int) -> int:
    """Pieces that a vector is divided into, one byte each: eight numbers a piece, or as near as divides ``width``."""
    return max(p for p in range(1, width + 1) if width % p == 0 and p <= max(1, width // 8))


def _probes(index: Any, vectors: Array, cells: int, rng: np.random.Generator) -> tuple[int, float]:
    """The fewest cells with enough recall@10 on sampled queries, 0 if none has it, and the recall.

    A film counts as found if it is as similar as the exact tenth, so that equal vectors may replace each other.
    """
    sample = np.sort(rng.choice(len(vectors), min(QUERIES, len(vectors)), replace=False))
    queries = np.asarray(vectors[sample], np.float32)
    tenth, probes, recall = _kth_cosine(vectors, queries, 10) - 1e-6, 8, 0.0
    while probes <= cells // 4:
        cosine = [search(index, probes, vectors, query, 10)[1] for query in queries]
        shares = np.array([np.mean(own >= least) for own, least in zip(cosine, tenth, strict=True)])
        recall = float(shares.mean())
        if recall - 1.96 * float(shares.std()) / math.sqrt(len(shares)) >= RECALL:
            return probes, recall
        probes *= 2
    return 0, recall


def _kth_cosine(vectors: Array, queries: Array, k: int) -> Array:
    """The cosine of the exact ``k``-th neighbour of each query ``[Q]``, block by block."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    for part in blocks(len(vectors), BLOCK):
        cosine = np.concatenate([best, queries @ np.asarray(vectors[part], np.float32).T], 1)
        best = -np.partition(-cosine, k - 1, 1)[:, :k]
    return np.asarray(best[:, k - 1])
