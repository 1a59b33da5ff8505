"""Speed of torch.compile and bf16: rows per second of real training runs in one run, and their validation metrics.

``python -m benchmarks.compile DATASET [--models mf,dlrm,sasrec,bpr] [--epochs 4]``; the first epoch, which compiles,
is args apart.
"""

from __future__ import annotations

import argparse

import numpy as np

from mmrec_core.data.preparation import open_dataset
from mmrec_core.data.splits import make_split
from mmrec_core.training.fit import fit

WAYS = {
    "fp32": {},
    "fp32, compiled": {"compile": True},
    "bf16": {"precision": "bf16"},
    "bf16, compiled": {"precision": "bf16", "compile": True},
}


def main(name: str, models: list[str], epochs: int, settings: dict[str, str]) -> None:
    """Print a line for each model and setting."""
    dataset = open_dataset(name)
    split = make_split(dataset, "user-temporal")
    for model in models:
        base = None
        for way, options in WAYS.items():
            found = fit(
                model, dataset, split, options={"max_epochs": epochs, "patience": epochs, **settings, **options}, seed=1
            )
            rates = [e["samples_s"] for e in found.epochs[1:]]
            rate, first = float(np.median(rates)), found.epochs[0]["seconds"]
            base = base or rate
            last = {k: v for k, v in found.epochs[-1].items() if k in {"rmse", "ndcg@10", "log_loss"}}
            print(
                f"{model:<10} {way:<16} {rate:>12,.0f} rows/s  {rate / base:5.2f} x   first epoch {first:6.1f} s   "
                f"validation {last}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--models", default="mf,dlrm,sasrec,bpr")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    main(args.dataset, args.models.split(","), args.epochs, dict(pair.split("=", 1) for pair in args.set))
