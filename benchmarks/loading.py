"""Opening 25 million prepared ratings against pandas reading their CSV with types: seconds and memory, in one run.

Each measurement is a process of its own, page cache warm. ``python -m benchmarks.loading [MILLIONS]``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
HEAD = """
import json, sys, time
def settle():  # resident and peak memory, in MiB
    status = dict(l.split(":") for l in open("/proc/self/status") if ":" in l)
    return int(status["VmRSS"].split()[0]) / 1024
"""
OURS = """
import numpy as np
from pathlib import Path
from mmrec_core.types import Dataset
before, started = settle(), time.perf_counter()
events = Dataset(Path(sys.argv[1])).interactions
opened = time.perf_counter() - started
total = float(np.sum(events.rating)) + int(np.max(events.user)) + int(np.max(events.item)) + int(np.max(events.time))
print(json.dumps({"open": opened, "open and read all": time.perf_counter() - started, "MiB": settle() - before}))
"""
PANDAS = """
import pandas as pd
before, started = settle(), time.perf_counter()
types = {"userId": "int32", "movieId": "int32", "rating": "float32", "timestamp": "int64"}
frame = pd.read_csv(sys.argv[1], dtype=types)
print(json.dumps({"read": time.perf_counter() - started, "MiB": settle() - before}))
"""


def measure(script: str, argument: str, rounds: int = 3) -> dict[str, float]:
    """The fastest of several fresh processes."""
    found = []
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-c", HEAD + script, argument], capture_output=True, text=True, check=True, cwd=ROOT
        )
        found.append(json.loads(done.stdout))
    return {key: min(f[key] for f in found) for key in found[0]}


def main(millions: float) -> None:
    """Generate, prepare, measure."""
    n = int(millions * 1e6)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMREC_HOME"] = str(Path(folder) / "home")
        rng = np.random.default_rng(0)
        users, items = max(n // 154, 10), max(n // 400, 10)
        key = np.unique(rng.integers(0, users, n, dtype=np.int64) * items + (items * rng.power(3, n)).astype(np.int64))
        raw = Path(folder) / "ratings.csv"
        import pandas as pd

        table = pd.DataFrame(
            {
                "userId": key // items + 1,
                "movieId": key % items + 1,
                "rating": rng.integers(1, 11, len(key)) / 2,
                "timestamp": rng.integers(789_652_009, 1_574_327_703, len(key)),
            }
        )
        table.to_csv(raw, index=False)
        from mmrec_core.data.preparation import prepare

        manifest = prepare("csv", source=raw, name="big", options={"scale": "0.5:5"})
        prepared = Path(os.environ["MMREC_HOME"]) / "datasets" / "big"
        columns = sum(f.stat().st_size for f in (prepared / "interactions").glob("*.npy")) / 2**20
        mine, theirs = measure(OURS, str(prepared)), measure(PANDAS, str(raw))
        print(
            f"{len(key):,} ratings, CSV {raw.stat().st_size / 2**20:.0f} MiB, columns {columns:.0f} MiB, prepared in "
            f"{manifest['seconds']} s"
        )
        print("ours  ", {k: round(v, 4) for k, v in mine.items()})
        print("pandas", {k: round(v, 4) for k, v in theirs.items()})
        print(
            f"open / read_csv: {mine['open'] / theirs['read']:.5f}   open and read all / read_csv: "
            f"{mine['open and read all'] / theirs['read']:.4f}   memory / columns: {mine['MiB'] / columns:.3f}"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 25)
