"""Multimodal models on published datasets with the authors' split: recall@20 and ndcg@20 over all items.

    MMREC_SOURCES=… python -m benchmarks.multimodal tiktok --models popularity,ease,lightgcn,mgcn --seeds 1,2,3

Datasets must be prepared. Settings may be given per model as ``ease:l2=100``. Early stopping uses the validation rows;
test rows are read once, after training. Prints one row per model and seed with 95 % intervals over users.
"""

from __future__ import annotations

import argparse
import time

from mmrec_core.data.preparation import open_dataset
from mmrec_core.data.splits import default_split, make_split
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.training.fit import fit

METRICS = ["recall@20", "ndcg@20"]


def main() -> None:
    """Train and evaluate each model with each seed."""
    asks = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks.add_argument("dataset")
    asks.add_argument(
        "--models", default="popularity,ease,bpr,lightgcn,vbpr,lattice,freedom,bm3,mgcn,lightgt,ease_content"
    )
    asks.add_argument("--seeds", default="1")
    asks.add_argument("--split", default=None)
    asks.add_argument("--encoder", default=None, help="whose vectors; default: the first set with the most modalities")
    asks.add_argument("--modality", default="both", help="both, none, or names such as image or image+audio")
    given = asks.parse_args()
    dataset = open_dataset(given.dataset)
    split = make_split(dataset, given.split or default_split(dataset))
    print(f"{dataset.name}, split {split.strategy} ({split.checksum[:8]}), full ranking, {len(split.test):,} test rows")
    print("| model | seed | epochs | s | val recall@20 | " + " | ".join(METRICS) + " |")
    print("|---|---|---|---|---|---|---|")
    for text in given.models.split(","):
        name, *settings = text.split(":")
        options = dict(part.split("=", 1) for part in settings)
        for seed in (int(s) for s in given.seeds.split(",")):
            start = time.perf_counter()
            fitted = fit(
                name, dataset, split, options=options, seed=seed, encoder=given.encoder, modality=given.modality
            )
            seconds = time.perf_counter() - start
            chosen = evaluate(
                fitted.model, dataset, split, part="validation", only=METRICS[:1], groups=False, intervals=False
            )
            found = evaluate(fitted.model, dataset, split, only=METRICS, groups=False)
            cells = [
                f"{found.metrics[m]:.4f} [{found.intervals[m][0]:.4f}, {found.intervals[m][1]:.4f}]" for m in METRICS
            ]
            print(
                f"| {text} | {seed} | {len(fitted.epochs or [])} | {seconds:.0f} | {chosen.metrics[METRICS[0]]:.4f} | "
                + " | ".join(cells)
                + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
