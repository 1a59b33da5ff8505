"""Nearest neighbours of a film: exact search beside FAISS, at the size of a usual catalog and of a large one.

At 60,000 × 512: median milliseconds of our exact search, of numpy with a full sort, and of FAISS' flat index, and
whether all find the same ten. With ``--large N`` (one million, say) vectors in half precision are written to a file, as
encoders store them, and searched exactly, by our index (:mod:`mmrec_core.features.vector_index`) and by FAISS' HNSW
(``--hnsw``; it needs all vectors in memory): seconds to build, milliseconds a query, recall@10 against exact search on
queries that were not used to choose its settings, megabytes that must be in memory.

    python -m benchmarks.search [--large 1000000] [--width 512] [--hnsw]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.projection import vectors
from mmrec_core.features import vector_index
from mmrec_core.features.nearest_neighbours import nearest
from mmrec_core.types import Array

K = 10
QUERIES = 200


def median_ms(work: Callable[[int], Any], rounds: int = 60) -> float:
    """Median milliseconds of one query."""
    spent = []
    for at in range(rounds):
        started = time.perf_counter()
        work(at)
        spent.append((time.perf_counter() - started) * 1e3)
    return statistics.median(spent)


def usual() -> None:
    """60,000 vectors, all in memory."""
    import faiss

    table = vectors(60_000)
    index = faiss.IndexFlatIP(table.shape[1])
    index.add(table)
    rows = {
        "mmrec": median_ms(lambda at: nearest(table, table[at], K)),
        "numpy, sorting all": median_ms(lambda at: np.argsort(-(table @ table[at]))[:K], 20),
        "faiss-cpu, flat": median_ms(lambda at: index.search(table[at : at + 1], K)),
    }
    same = all(
        set(nearest(table, table[at], K)[0].tolist()) == set(index.search(table[at : at + 1], K)[1][0].tolist())
        for at in range(50)
    )
    for name, spent in rows.items():
        print(f"{name:<22}{spent:>8.1f} ms{rows['mmrec'] / spent:>8.2f} (ours / theirs)")
    print(f"the same ten as faiss for 50 queries: {same}")


def stored(file: Path, n: int, width: int) -> Array:
    """Unit vectors in half precision, in a file; drawn in parts, from one set of clusters."""
    made = np.lib.format.open_memmap(file, "w+", np.float16, (n, width))
    rng = np.random.default_rng(0)
    base = rng.standard_normal((60, width)).astype(np.float32) / np.sqrt(width)
    centres = rng.standard_normal((3_000, 60)).astype(np.float32)
    shares = rng.dirichlet(np.full(3_000, 0.7))
    for start in range(0, n, 50_000):
        size = min(50_000, n - start)
        which = rng.choice(3_000, size, p=shares)
        part = (centres[which] + 0.55 * rng.standard_normal((size, 60), np.float32)) @ base
        part += 0.02 * rng.standard_normal((size, width), np.float32)
        made[start : start + size] = part / np.linalg.norm(part, axis=1, keepdims=True)
    made.flush()
    return np.load(file, mmap_mode="r")


def large(n: int, width: int, hnsw: bool) -> None:
    """Many vectors, in a file."""
    import faiss

    with tempfile.TemporaryDirectory(prefix="mmrec-search-") as folder:
        os.environ["MMREC_HOME"] = folder
        table = stored(Path(folder) / "vectors.npy", n, width)
        asked = np.random.default_rng(99).choice(n, QUERIES, replace=False)
        queries = np.asarray(table[np.sort(asked)], np.float32)
        dense = np.asarray(table, np.float32)
        tenth = vector_index._kth_cosine(table, queries, K) - 1e-6

        def recall(find: Callable[[Array], Array]) -> float:
            cosine = [np.asarray(dense[find(query)] @ query) for query in queries]
            return float(np.mean([np.mean(own >= least) for own, least in zip(cosine, tenth, strict=True)]))

        print(f"\n{n:,} × {width}{'':<10}{'build s':>10}{'ms a query':>12}{'ratio':>8}{'recall@10':>11}{'MB':>9}")
        exact = median_ms(lambda at: nearest(dense, queries[at], K), 30)
        row("exact, float32", 0.0, exact, 1.0, 1.0, dense.nbytes)
        started = time.perf_counter()
        about = vector_index.build(table, "0" * 64)
        spent, found = time.perf_counter() - started, vector_index.load("0" * 64)
        assert found is not None
        index, probes = found
        print(f"  IVF-PQ: {about['cells']:,} cells, {probes} of them searched")
        if probes:
            took = median_ms(lambda at: vector_index.search(index, probes, table, queries[at], K), QUERIES)
            share = recall(lambda query: vector_index.search(index, probes, table, query, K)[0])
            row("our index", spent, took, took / exact, share, about["megabytes"] * 1e6)
        if hnsw:
            started = time.perf_counter()
            graph = faiss.IndexHNSWFlat(width, 32, faiss.METRIC_INNER_PRODUCT)
            graph.hnsw.efConstruction = 80
            graph.add(dense)
            spent = time.perf_counter() - started
            for width_of_search in (64, 256):
                graph.hnsw.efSearch = width_of_search
                took = median_ms(lambda at: graph.search(queries[at : at + 1], K), QUERIES)
                share = recall(lambda query: graph.search(query[None], K)[1][0])
                size = dense.nbytes + graph.hnsw.neighbors.size() * 4
                row(f"HNSW, efSearch {width_of_search}", spent, took, took / exact, share, size)


def row(name: str, build: float, spent: float, ratio: float, recall: float, size: float) -> None:
    """One line of the table."""
    print(f"{name:<24}{build:>10.1f}{spent:>12.2f}{ratio:>8.3f}{recall:>11.4f}{size / 1e6:>9.0f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=int, default=0, help="number of vectors in a file")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--hnsw", action="store_true", help="also FAISS' HNSW, which takes long to build")
    given = parser.parse_args()
    if given.large:
        large(given.large, given.width, given.hnsw)
    else:
        usual()


if __name__ == "__main__":
    main()
