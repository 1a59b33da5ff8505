"""Cold-start latency: milliseconds that each model takes to recommend to a new user.

``python -m benchmarks.cold_latency [DATASET] [--ratings 1,5,10,20] [--repeats 7]``: each model that works on the data
is fitted (gradient models for an epoch: what is learned changes no time), then asked for ten films with so many
ratings known, one thread. Printed: the median and the worst of the repeats in milliseconds, the first answer (which
may fill caches) left out; target: 100 ms on ml-latest-small.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from mmrec_core import features, registry, runs
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.serving import elicitation
from mmrec_core.training.fit import fit
from mmrec_core.types import History


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("dataset", nargs="?", default="ml-latest-small")
    parser.add_argument("--ratings", default="1,5,10,20")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    dataset = preparation.open_dataset(args.dataset)
    split = make_split(dataset, "user-temporal")
    ks = [int(k) for k in args.ratings.split(",")]
    films = elicitation.well_known(dataset, max(ks))
    stars = np.resize(np.array([5.0, 4.0, 2.0, 4.5, 3.0], np.float32), max(ks))
    when = None if dataset.interactions.time is None else 2_000_000_000 + 60 * np.arange(max(ks))
    print(
        "| model | " + " | ".join(f"{k} ratings: median, worst (ms)" for k in ks) + " |\n|---" + "|---" * len(ks) + "|"
    )
    wanted = args.only.split(",") if args.only else runs.usable_models(dataset)
    for name in wanted:
        schema = registry.schema("models", name)
        options = {"max_epochs": 1, "device": "cpu"} if schema["trains"] else {}
        reads = registry.reads_content(schema["needs"])
        model = fit(
            name,
            dataset,
            split,
            options=options,
            encoder=features.default_encoder(dataset) if reads else None,
            modality="both" if reads else "none",
        ).model
        cells = []
        for k in ks:
            history = History(films[:k], stars[:k], None if when is None else when[:k])
            spent = []
            for _ in range(args.repeats + 1):
                start = time.perf_counter()
                model.recommend_rows(model.fold_in([history]), [history.items], 10)
                spent.append(1000 * (time.perf_counter() - start))
            cells.append(f"{np.median(spent[1:]):.1f}, {max(spent[1:]):.1f}")
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
