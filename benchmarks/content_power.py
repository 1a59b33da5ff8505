"""How often the content verdict finds planted content, and how often it claims content where there is none.

``python -m benchmarks.content_power [--worlds 40] [--users 900] [--films 1200]``: in each generated world users like
films by eight hidden traits, and each has 25 likes. In half of the runs the films' vectors are a noisy linear map of
these traits, in the other half of traits that nobody cares about. ``ease_content`` is trained on the vectors and on
the same ones shuffled among films; the verdict is *used* if the real vectors are better by NDCG@10, paired by user,
p < .05. Prints the share of worlds with that verdict, with 95 % Wilson intervals. Everything is generated and left in
a temporary home.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_core import features
from mmrec_core.data.preparation import open_dataset, prepare
from mmrec_core.data.splits import make_split
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.stats import paired
from mmrec_core.training.fit import fit
from mmrec_core.types import Dataset

TRAITS, SHOWN, WIDTH, LIKES = 8, 8, 32, 25


def world(folder: Path, seed: int, users: int, films: int, planted: bool) -> Dataset:
    """A prepared dataset of likes with vectors called *seen*."""
    rng = np.random.default_rng([seed, planted])
    item, user = rng.normal(size=(films, TRAITS)), rng.normal(size=(users, TRAITS))
    popular = 0.8 * rng.normal(size=films)
    score = 0.9 * user @ item.T + popular + rng.gumbel(size=(users, films))
    liked = np.argsort(-score, 1)[:, :LIKES]
    rows = [
        (u, int(i), 1_000_000_000 + u + 86_400 * place)
        for u in range(users)
        for place, i in enumerate(rng.permutation(liked[u]))
    ]
    pd.DataFrame(rows, columns=["userId", "movieId", "timestamp"]).to_csv(folder / "likes.csv", index=False)
    name = f"world-{seed}-{int(planted)}"
    prepare("csv", source=folder / "likes.csv", name=name)
    dataset = open_dataset(name)
    traits = item[:, :SHOWN] if planted else rng.normal(size=(films, SHOWN))
    vectors = traits @ rng.normal(size=(SHOWN, WIDTH)) + 0.5 * rng.normal(size=(films, WIDTH))
    (source := folder / name).mkdir()
    np.save(source / "x_text_seen.npy", vectors[dataset.items.raw].astype(np.float32))
    np.save(source / "x_text_seen_ids.npy", dataset.items.raw)
    features.import_folder(dataset, source, "seen")
    return dataset


def used(dataset: Dataset, seed: int) -> tuple[bool, float]:
    """The verdict, and the difference of NDCG@10."""
    split = make_split(dataset, "user-temporal")
    found = []
    for encoder in ("seen", f"shuffled.{seed}:seen"):
        model = fit("ease_content", dataset, split, options={"l2": 100.0}, encoder=encoder).model
        result = evaluate(model, dataset, split, only=["ndcg@10"], groups=False, intervals=False)
        found.append(dict(zip(result.queries.tolist(), result.per_query["ndcg@10"].tolist(), strict=True)))
    pair = paired(*found)
    return bool(pair["p"] < 0.05 and pair["difference"] > 0), float(pair["difference"])


def wilson(k: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def main() -> None:
    """Run the worlds and print both shares."""
    asks = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks.add_argument("--worlds", type=int, default=40)
    asks.add_argument("--users", type=int, default=900)
    asks.add_argument("--films", type=int, default=1200)
    given = asks.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["MMREC_HOME"] = str(Path(place) / "home")
        for planted in (True, False):
            verdicts = []
            for seed in range(given.worlds):
                dataset = world(Path(place), seed, given.users, given.films, planted)
                verdicts.append(used(dataset, seed))
            k, differences = sum(v for v, _ in verdicts), [d for _, d in verdicts]
            low, high = wilson(k, given.worlds)
            print(
                f"content {'planted' if planted else 'without meaning'}: found in {k} of {given.worlds} worlds, share "
                f"{k / given.worlds:.3f} [{low:.3f}, {high:.3f}]; NDCG@10 real - shuffled: mean "
                f"{np.mean(differences):+.4f}, from {min(differences):+.4f} to {max(differences):+.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
