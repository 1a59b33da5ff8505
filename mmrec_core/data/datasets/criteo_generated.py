"""Generated rows in Criteo's format with known click probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmrec_core.config import setting
from mmrec_core.data.datasets._base import RawData
from mmrec_core.data.datasets.criteo import CATEGORIES, NUMBERS, Criteo
from mmrec_core.types import Array, Progress

PRESETS: dict[str, dict[str, Any]] = {"criteo-generated": {}}
BLOCK = 50_000
# fmt: off
SIZES = (
    1000, 500, 20_000, 10_000, 300, 20, 8000, 600, 3, 15_000, 4000, 18_000, 3000,
    26, 7000, 16_000, 10, 4000, 2000, 4, 17_000, 16, 15, 12_000, 80, 9000,
)
# fmt: on
"""Number of values of each category, similar to Criteo's."""


class CriteoGenerated(Criteo):
    """Generated rows in Criteo's format, for speed tests and checks; they say nothing about real advertisements.

    Categories follow Zipf's law, counts are heavy-tailed, a tenth of the fields is missing. The log-odds of a click are
    the sum of a weight for each value of eight categories, two counts, and the product of hidden factors of two
    categories, which a linear model cannot learn.
    """

    class Config(Criteo.Config):
        """Number of rows and seed."""

        rows: int = setting(200_000, "rows to generate", ge=100, le=1_000_000_000, unit="rows", log=True)
        world_seed: int = setting(1, "seed of the generated weights", ge=0, le=2**31 - 1)

    generated: ClassVar[bool] = True

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Generate a file, then read it like a real one."""
        config: Any = self.config
        file = draft / "train.txt"
        write_rows(file, config.rows, config.world_seed, progress)
        try:
            raw = self.read_file(file, draft, progress)
        finally:
            file.unlink()
        raw.file, raw.licence = "generated", ""
        return raw


def write_rows(file: Path, n: int, seed: int, progress: Progress) -> None:
    """Write a file of ``n`` rows, block by block; a longer file begins with the same rows.

    Args:
        file: the file to write.
        n: number of rows.
        seed: seed of the weights and rows.
        progress: progress callback.
    """
    import pyarrow as pa
    from pyarrow import csv

    how = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with file.open("wb") as out:
        for at, columns in enumerate(blocks_of(n, seed)):
            csv.write_csv(pa.table(columns), out, how)
            progress(min((at + 1) * BLOCK, n), n, "generating rows")


def blocks_of(n: int, seed: int) -> Iterator[dict[str, Any]]:
    """Generate blocks of columns in Criteo's format, as pyarrow arrays."""
    import pyarrow as pa

    truth = np.random.default_rng([seed, 0])
    weight = [0.5 * truth.standard_normal(size) for size in SIZES[:8]]
    factors = [0.6 * truth.standard_normal((SIZES[at], 3)) for at in (1, 7)]
    names = [pa.array([f"{v:08x}" for v in truth.integers(0, 2**31, size)]) for size in SIZES]
    shares = [1 / np.arange(1, size + 1) ** 1.05 for size in SIZES]
    edges = [np.cumsum(s) / s.sum() for s in shares]
    for at in range(-(-n // BLOCK)):
        rng = np.random.default_rng([seed, 1, at])
        chosen = [np.searchsorted(edge, rng.random(BLOCK)) for edge in edges]
        counts = np.floor(np.exp(rng.normal(1.0, 1.4, (len(NUMBERS), BLOCK)))).astype(np.int64)
        missing = rng.random((len(NUMBERS) + len(CATEGORIES), BLOCK)) < 0.1
        odds = -1.6 + sum(w[c] * ~gone for w, c, gone in zip(weight, chosen, missing[len(NUMBERS) :], strict=False))
        odds = odds + 0.4 * (np.log1p(counts[0]) - 1.2) * ~missing[0] - 0.3 * (np.log1p(counts[1]) - 1.2) * ~missing[1]
        odds = odds + (factors[0][chosen[1]] * factors[1][chosen[7]]).sum(1)
        label: Array = (rng.random(BLOCK) < 1 / (1 + np.exp(-odds))).astype(np.int8)
        size = min(BLOCK, n - at * BLOCK)
        columns: dict[str, Any] = {"label": pa.array(label[:size])}
        for place, name in enumerate(NUMBERS):
            columns[name] = pa.array(counts[place][:size], mask=missing[place][:size])
        for place, name in enumerate(CATEGORIES):
            codes = pa.array(chosen[place][:size], mask=missing[len(NUMBERS) + place][:size])
            columns[name] = names[place].take(codes)
        yield columns
