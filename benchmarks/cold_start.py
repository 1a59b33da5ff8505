"""Cold-start ranking: content-based temporal models against all others, by the number of known ratings.

``python -m benchmarks.cold_start DATASET [--encoder E] [--seeds 1,2,3] [--only "mm_tgn vanilla,ease"]``: one point in
time divides the data (chronological 70/15/15). Every model is fitted on the same rows and evaluated on the same liked
test events: among 100 films the user has no event with, and among every film; ``frozen`` (training and validation
known) and ``stream`` (everything before the event known). Prints NDCG@10 with 95 % intervals (users as clusters,
averaged over seeds), and by how many events film and user had before; then differences to popularity and to the
vanilla arm, paired by user. ``--split cold-item``: a tenth of the films leaves training instead, and each user's
liked ones are ranked among these films alone. Writes all of it as JSON to ``--out``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.stats import paired
from mmrec_core.training.fit import fit

QUICK = {"max_epochs": 12, "patience": 5}
"""Settings of MM-TGN, the same for every arm; chosen on validation (ml-latest-small's events, seed 1)."""
UNSEEN = {"score": "dot", "content_dropout": 0.5, "alone": 0.5}
"""Additional settings if only cold films are ranked; chosen on validation (demo's cold films, seeds 1 and 2)."""
ARMS: dict[str, dict[str, Any]] = {
    "popularity": {"model": "popularity"},
    "itemknn": {"model": "itemknn"},
    "ease": {"model": "ease"},
    "lightgcn": {"model": "lightgcn", "options": {"max_epochs": 100}},
    "lightgcn_multimodal": {"model": "lightgcn_multimodal", "options": {"max_epochs": 100}},
    "mmgcn": {"model": "mmgcn", "options": {"max_epochs": 100}},
    # frozen only: it would be folded in anew by gradient steps for every event of a stream
    "dlrm_multimodal": {
        "model": "dlrm_multimodal",
        "ways": "frozen",
        "options": {"max_epochs": 20, "batch_size": 1024, "patience": 5},
    },
    "sasrec": {"model": "sasrec_ce", "options": {"max_epochs": 100, "batch_size": 32}},
    "sasrec_multimodal": {"model": "sasrec_multimodal", "options": {"max_epochs": 100, "batch_size": 32, "loss": "ce"}},
    "mm_tgn vanilla": {"model": "mm_tgn", "modality": "none", "options": QUICK},
    "mm_tgn mlp": {"model": "mm_tgn", "options": {**QUICK, "fusion": "mlp"}},
    "mm_tgn film": {"model": "mm_tgn", "options": {**QUICK, "fusion": "film"}},
    "mm_tgn gated": {"model": "mm_tgn", "options": {**QUICK, "fusion": "gated"}},
}
WAYS = [(regime, protocol) for protocol in ("sampled:100", "full") for regime in ("frozen", "stream")]
COLD = "cold films, ranked among themselves"
BINS = [f"{owner} with {n} ratings by then" for owner in ("film", "user") for n in ("0", "1–4", "5–19", "20+")]


def ways(split: str) -> list[tuple[str, str]]:
    """Regimes and protocols to evaluate on a split."""
    return [("frozen", "full")] if split == "cold-item" else WAYS


def evaluated(arm: dict[str, Any], dataset: Any, split: Any, encoder: str | None, seed: int) -> dict[str, Any]:
    """Train one arm once and evaluate it under every regime and protocol."""
    started = time.perf_counter()
    unseen = UNSEEN if arm["model"] == "mm_tgn" and split.strategy == "cold-item" else {}
    fitted = fit(
        arm["model"],
        dataset,
        split,
        options={**arm.get("options", {}), **unseen},
        seed=seed,
        encoder=encoder,
        modality=arm.get("modality", "both"),
    )
    result: dict[str, Any] = {"fit_s": time.perf_counter() - started, "best_epoch": fitted.best_epoch}
    for regime, protocol in ways(split.strategy):
        if not regime.startswith(arm.get("ways", "")):
            continue
        found = evaluate(fitted.model, dataset, split, protocol=protocol, regime=regime)
        result[f"{regime} {protocol}"] = {
            "metrics": found.metrics,
            "intervals": found.intervals,
            "seconds": found.seconds,
            "users": {"user": found.queries.tolist(), "ndcg@10": found.per_query["ndcg@10"].tolist()},
            "groups": {
                n: g for n, g in found.groups.items() if n in (*BINS, COLD) or n.startswith(("induct", "transd"))
            },
        }
    return result


def cell(runs: list[dict[str, Any]], way: str, group: str | None, metric: str = "ndcg@10") -> str:
    """Mean over seeds with the mean of their intervals."""
    if not all(way in r for r in runs):
        return "–"
    parts = [
        r[way] if group is None else {"metrics": r[way]["groups"].get(group, {}), **r[way]["groups"].get(group, {})}
        for r in runs
    ]
    values = [p["metrics"].get(metric) for p in parts]
    if not values or None in values:
        return "–"
    ranges = [p.get("intervals", {}).get(metric) for p in parts]
    mean = f"{np.mean(values):.3f}"
    return (
        mean
        if None in ranges
        else f"{mean} [{np.mean([r[0] for r in ranges]):.3f}, {np.mean([r[1] for r in ranges]):.3f}]"
    )


def against(one: list[dict[str, Any]], other: list[dict[str, Any]], way: str) -> str:
    """Mean difference by user of NDCG@10, averaged over seeds first, with its paired 95 % interval."""

    def by_user(runs: list[dict[str, Any]]) -> dict[int, float]:
        tables = [dict(zip(r[way]["users"]["user"], r[way]["users"]["ndcg@10"], strict=True)) for r in runs]
        return {u: float(np.mean([t[u] for t in tables])) for u in tables[0]}

    found = paired(by_user(one), by_user(other))
    return f"{found['difference']:+.4f} [{found['interval'][0]:+.4f}, {found['interval'][1]:+.4f}]"


def main() -> None:
    """Train, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--encoder")
    parser.add_argument("--split", default="chronological:70-15-15")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=Path("cold_start.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dataset = preparation.open_dataset(args.dataset)
    split = make_split(dataset, args.split)
    only = set(args.only.split(",")) if args.only else set(ARMS)
    wanted = [a for a in ARMS if {a, a.split(" ")[0]} & only]
    done: dict[str, list[dict[str, Any]]] = json.loads(args.out.read_text()) if args.out.exists() else {}
    for name in wanted:
        seeds = [int(s) for s in args.seeds.split(",")][: None if "tgn" in name else 1]
        done[name] = []
        for seed in seeds:
            done[name].append(evaluated(ARMS[name], dataset, split, args.encoder, seed))
            print(
                f"{name} seed {seed}: {done[name][-1]['fit_s']:.0f} s, then "
                + ", ".join(
                    f"{w} {part['seconds']:.0f} s" for w, part in done[name][-1].items() if isinstance(part, dict)
                ),
                flush=True,
            )
            args.out.write_text(json.dumps(done))
    for way in (f"{r} {p}" for r, p in ways(args.split)):
        print(f"\n{args.dataset}, {way}, NDCG@10\n")
        heads = ["all", COLD] if args.split == "cold-item" else ["all", *BINS] if way != "frozen full" else ["all"]
        print("| model | " + " | ".join(h.replace(" ratings by then", "") for h in heads) + " |")
        print("|---" * (len(heads) + 1) + "|")
        for name in (n for n in ARMS if n in done):
            cells = [cell(done[name], way, None if h == "all" else h) for h in heads]
            print(f"| `{name}` ({len(done[name])}) | " + " | ".join(cells) + " |")
        for baseline in (r for r in ("popularity", "mm_tgn vanilla") if r in done):
            for name in (
                n
                for n in done
                if n != baseline and all("users" in run.get(way, {}) for run in (*done[n], *done[baseline]))
            ):
                print(f"{name} − {baseline}, by user: {against(done[name], done[baseline], way)}")


if __name__ == "__main__":
    main()
