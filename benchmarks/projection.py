"""UMAP of 10,000 × 512 unit vectors: our recipe beside umap-learn's defaults, both warm, in one run.

The vectors are drawn like CLIP's: a few hundred clusters of unlike size with isotropic residue. Prints seconds
(minimum of three rounds) and trustworthiness at 15 neighbours on 2,000 of the points.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np

from mmrec_core import spaces
from mmrec_core.encoders._base import unit
from mmrec_core.types import Array


def vectors(n: int, width: int = 512, seed: int = 0) -> Array:
    """Unit vectors in clusters on a 60-dimensional base."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((60, width)) / np.sqrt(width)
    centres = rng.standard_normal((300, 60))
    which = rng.choice(300, n, p=rng.dirichlet(np.full(300, 0.7)))
    return unit((centres[which] + 0.55 * rng.standard_normal((n, 60))) @ base + 0.02 * rng.standard_normal((n, width)))


def main(n: int) -> None:
    """Measure and print."""
    import umap

    warnings.simplefilter("ignore")
    table = vectors(n)
    recipes = {
        "mmrec": lambda: spaces.layout(table),
        "umap-learn, its defaults": lambda: umap.UMAP().fit_transform(table),
        "umap-learn, one thread, seeded": lambda: umap.UMAP(random_state=0, n_jobs=1).fit_transform(table),
    }
    small = vectors(600)
    spaces.layout(small)  # compiles
    umap.UMAP().fit_transform(small)
    found = {}
    for name, work in recipes.items():
        times = []
        for _ in range(3):
            started = time.perf_counter()
            xy = work()
            times.append(time.perf_counter() - started)
        found[name] = (min(times), spaces.trust(table, np.asarray(xy, np.float32))["trustworthiness"])
    ours = found["mmrec"]
    print(f"{n:,} × 512{'':<22}{'s':>8}{'times ours':>12}{'trustworthiness@15':>20}")
    for name, (spent, trust) in found.items():
        print(f"{name:<32}{spent:>8.2f}{spent / ours[0]:>12.1f}{trust:>20.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
