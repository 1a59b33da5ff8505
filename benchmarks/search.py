"""Exact nearest neighbours among 60,000 × 512 unit vectors: median milliseconds, with a full sort and faiss's flat
index.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.projection import vectors
from mmrec_core.features.nearest_neighbours import nearest

K = 10


def median_ms(work: Callable[[int], Any], rounds: int = 60) -> float:
    """Median milliseconds of one query."""
    spent = []
    for at in range(rounds):
        started = time.perf_counter()
        work(at)
        spent.append((time.perf_counter() - started) * 1e3)
    return statistics.median(spent)


def main() -> None:
    """Measure and print."""
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


if __name__ == "__main__":
    main()
