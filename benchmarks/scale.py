"""Scale benchmark: a dataset of MovieLens 32M's size on one machine; seconds and peak memory of each stage.

The stages are: generate, prepare, split, train for an epoch, evaluate.

``python -m benchmarks.scale [MILLIONS] [--people 10000]``. Ratings are generated in GroupLens's format (as many
people and films per rating as in ml-32m) from a few latent factors; every stage is a separate command, as a user
would run it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
USERS, FILMS, RATINGS = 200_948, 87_585, 32_000_204
"""GroupLens's figures of ml-32m."""
NAME = "generated-32m"
BATCH = {"dlrm": 131_072}
"""Batch sizes; by default 8,192. DLRM sums all histories again at every step, so few large steps cost less."""


def generate(folder: Path, n: int) -> int:
    """Write ``ratings.csv``, ``movies.csv`` and ``links.csv``; return the number of ratings."""
    import pandas as pd

    rng = np.random.default_rng(0)
    users, films = round(USERS * n / RATINGS), min(FILMS, max(round(FILMS * (n / RATINGS) ** 0.5), 100))
    activity = rng.lognormal(0, 1.1, users)
    user = np.repeat(
        np.arange(users, dtype=np.int32), np.maximum(rng.poisson(1.12 * n * activity / activity.sum()), 20)
    )
    film = (films * rng.power(0.28, len(user))).astype(np.int32)  # few are seen by many
    key = np.unique(user.astype(np.int64) * films + film)
    key = np.sort(rng.choice(key, n, replace=False)) if len(key) > n else key
    user, film = (key // films).astype(np.int32), (key % films).astype(np.int32)
    tastes, traits = (
        rng.normal(0, 0.3, (users, 8)).astype(np.float32),
        rng.normal(0, 0.6, (films, 8)).astype(np.float32),
    )
    about = (
        3.5 + rng.normal(0, 0.35, users).astype(np.float32)[user] + rng.normal(0, 0.4, films).astype(np.float32)[film]
    )
    for at in range(8):
        about += tastes[user, at] * traits[film, at]
    stars = np.clip(np.round((about + rng.normal(0, 0.7, len(user)).astype(np.float32)) * 2) / 2, 0.5, 5)
    times = rng.integers(789_652_009, 1_697_164_147, users)[user] + rng.integers(0, 10_000_000, len(user))
    shuffled = rng.permutation(films) + 1
    pd.DataFrame({"userId": user + 1, "movieId": shuffled[film], "rating": stars, "timestamp": times}).to_csv(
        folder / "ratings.csv", index=False
    )
    genres = np.array(["Drama", "Comedy", "Thriller", "Action", "Romance", "Horror", "Documentary", "Sci-Fi"])
    titles = [f"Generated {i} ({1930 + i % 95})" for i in range(1, films + 1)]
    pd.DataFrame({"movieId": np.arange(1, films + 1), "title": titles, "genres": genres[np.arange(films) % 8]}).to_csv(
        folder / "movies.csv", index=False
    )
    pd.DataFrame(
        {"movieId": np.arange(1, films + 1), "imdbId": np.arange(1, films + 1), "tmdbId": np.arange(1, films + 1)}
    ).to_csv(folder / "links.csv", index=False)
    return len(user)


def stage(name: str, *words: str, env: dict[str, str]) -> dict[str, Any]:
    """Run one command; its result, seconds, peak memory in GiB, and how often it result how far it was."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen([sys.executable, "-m", *words, "--json"], stdout=out, stderr=err, cwd=ROOT, env=env)
        _, status, used = os.wait4(process.pid, 0)
        out.seek(0)
        err.seek(0)
        said = err.read()
        if status:
            raise SystemExit(f"{name} failed: {said[-800:]}")
        result = {
            "result": json.loads(out.read()),
            "seconds": time.perf_counter() - started,
            "gib": used.ru_maxrss / 2**20,
            "steps": len(said.splitlines()),
        }
    print(
        f"{name:<28} {result['seconds']:8.1f} s   peak {result['gib']:5.2f} GiB   result {result['steps']} steps",
        flush=True,
    )
    return result


def main(millions: float, people: int, models: list[str]) -> None:
    """Run all stages in order."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "MMREC_HOME": str(Path(folder) / "home"), "MMREC_MLFLOW": "off", "MMREC_SOURCES": ""}
        raw = Path(folder) / "ml-latest"
        raw.mkdir()
        started = time.perf_counter()
        n = generate(raw, round(millions * 1e6))
        size = sum(f.stat().st_size for f in raw.iterdir()) / 2**20
        print(
            f"{'generate':<28} {time.perf_counter() - started:8.1f} s   {n:,} ratings, {size:,.0f} MiB of CSV",
            flush=True,
        )
        core = "mmrec_core"
        made = stage("prepare", core, "prepare", "ml-latest", "--from", str(raw), "--name", NAME, env=env)
        print(f"{'':<28} {made['result']['users']:,} people, {made['result']['films']:,} films", flush=True)
        stage("split (user-temporal)", core, "split", NAME, env=env)
        for model in models:
            trains = (
                []
                if model in {"popularity", "bias", "ease", "itemknn"}
                else ["--set", "max_epochs=1", "--set", "patience=0", "--set", f"batch_size={BATCH.get(model, 8192)}"]
            )
            result = stage(
                f"{model}: an epoch, evaluated",
                core,
                "train",
                NAME,
                model,
                "--protocol",
                f"full:of={people}",
                *trains,
                env=env,
            )
            found = result["result"]
            rate = f", {found['samples_s']:,.0f} ratings/s" if found["samples_s"] else ""
            figures = ", ".join(
                f"{k} {found['metrics'][k]:.4f} {[round(v, 4) for v in found['intervals'][k]]}"
                for k in ("rmse", "ndcg@10")
                if found["metrics"].get(k) is not None
            )
            print(
                f"{'':<28} fit {found['seconds']['fit']:.1f} s{rate}, evaluated in {found['seconds']['evaluate']:.1f} "
                f"s: {figures}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("millions", nargs="?", type=float, default=32.0)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--models", nargs="*", default=["mf", "dlrm"])
    args = parser.parse_args()
    main(args.millions, args.people, args.models)
