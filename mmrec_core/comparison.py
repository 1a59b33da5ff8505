"""Runs side by side, ranked together only where dataset, split, threshold, candidates, protocol and regime agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmrec_core import metrics, registry, runs
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation import Judgement, evaluate, paired
from mmrec_core.preparation import open_dataset
from mmrec_core.splits import make_split
from mmrec_core.types import Array, Progress, quiet

SHOWN = ("rmse", "mae", "ndcg@10", "recall@10", "mrr", "auc")


def evaluate_run(
    run_id: str, protocol: str, regime: str, relevant_from: float | None, progress: Progress = quiet
) -> dict[str, Any]:
    """Judge a finished run's model again under another protocol; the run itself is left as it is.

    Raises:
        MMRecError: the run is not finished, or its data have changed since.
    """
    from mmrec_core.cold_start import load_run_model

    run = runs.get(run_id)
    if run.kind != "train" or run.status != "finished":
        raise MMRecError(f"Run '{run_id}' is {run.status}; only a finished training can be judged.")
    asked = run.params
    dataset = open_dataset(asked["dataset"])
    if run.told.get("data") != dataset.checksum:
        raise MMRecError(f"'{dataset.name}' was prepared anew since run '{run_id}'; train it again.")
    split = make_split(dataset, asked["split"], asked["split_seed"], asked["filter_from"], runs.liked_from(asked))
    bar = relevant_from if relevant_from is not None else runs.liked_from(asked)
    judged = evaluate(
        load_run_model(run.folder),
        dataset,
        split,
        protocol=protocol,
        regime=regime,
        relevant_from=bar,
        progress=progress,
    )
    old = run.result() or {}
    return runs.plain({**old, "protocol": protocol, "regime": regime, "relevant_from": bar, "metrics": judged.metrics,
            "intervals": judged.intervals, "groups": judged.groups, "seconds": {"fit": 0, "evaluate": round(judged.seconds, 2)}})  # fmt: skip


def compare(dataset_name: str, how: str, protocol: str, against: str, progress: Progress = quiet) -> dict[str, Any]:
    """The newest run of each model and seed on one split, with paired differences to ``against``, and the data's oracles.

    Raises:
        MMRecError: nothing to compare, or nothing of the yardstick's name.
    """
    dataset = open_dataset(dataset_name)
    split = make_split(dataset, how)
    chosen: dict[str, tuple[dict[str, Any], dict[str, dict[int, float]]]] = {}
    for run in runs.all_runs():
        result = run.result() if run.kind == "train" and run.status == "finished" else None
        if (
            result
            and result["dataset"] == dataset_name
            and result["split_checksum"] == split.checksum
            and result["protocol"] == protocol
        ):
            if (
                result["regime"] == "frozen"
                and run.told.get("data") == dataset.checksum
                and result["relevant_from"] is None
            ):
                label = result["model"] + (f" (seed {result['seed']})" if result["seed"] else "")
                chosen[label] = (result, _values(run))
    if not chosen:
        raise MMRecError(
            f"No finished run on {dataset_name} with split {how} and protocol {protocol}. Train some first: train-all {dataset_name}"
        )
    for name, oracle in registry.load("datasets", dataset.manifest["reader"]).oracles(dataset, split).items():
        progress(0, 1, f"asking {name}")
        judged = evaluate(oracle, dataset, split, protocol=protocol, groups=False)
        chosen[name] = (
            {"model": name, "metrics": judged.metrics, "intervals": judged.intervals, "run": None},
            _of(judged),
        )
    if against not in chosen:
        raise MMRecError(f"There is no finished run of '{against}' to pair with. There are: {', '.join(chosen)}.")
    rows = []
    for label, (result, values) in chosen.items():
        row = {
            "model": label,
            "run": result.get("run"),
            "metrics": result["metrics"],
            "intervals": result["intervals"],
            "paired": {},
        }
        for rival in dict.fromkeys([against, *(n for n in chosen if n.startswith("oracle:"))]):
            if rival == label:
                continue
            theirs = chosen[rival][1]
            row["paired"][rival] = {
                m: paired(values[m], theirs[m]) for m in ("ndcg@10", "squared_error") if m in values and m in theirs
            }
        rows.append(row)
    rows.sort(key=lambda r: -(r["metrics"].get("ndcg@10") or 0))
    return {"dataset": dataset_name, "generated": dataset.manifest["generated"], "split": how, "split_seed": split.seed,
            "split_checksum": split.checksum, "protocol": protocol, "regime": "frozen", "against": against, "rows": rows}  # fmt: skip


def _values(run: runs.Run) -> dict[str, dict[int, float]]:
    """Per-user values of a run, by metric and user row."""
    found: dict[str, dict[int, float]] = {}
    file = run.folder / "per_query.npz"
    if file.exists():
        with np.load(file, allow_pickle=False) as held:
            found = {
                m: dict(zip(held["user"].tolist(), held[m].tolist(), strict=True)) for m in held.files if m != "user"
            }
    errors = run.folder / "row_errors.npz"
    if errors.exists():
        with np.load(errors, allow_pickle=False) as held:
            found["squared_error"] = _mean_by_user(held["user"], held["squared_error"])
    return found


def _of(judged: Judgement) -> dict[str, dict[int, float]]:
    found = {m: dict(zip(judged.queries.tolist(), v.tolist(), strict=True)) for m, v in judged.per_query.items()}
    if judged.row_errors:
        found["squared_error"] = _mean_by_user(judged.row_errors["user"], judged.row_errors["squared_error"])
    return found


def _mean_by_user(user: Array, value: Array) -> dict[int, float]:
    users, at = np.unique(user, return_inverse=True)
    return dict(zip(users.tolist(), (np.bincount(at, value) / np.bincount(at)).tolist(), strict=True))


def as_table(result: dict[str, Any]) -> str:
    """A comparison as plain text, intervals in brackets, stars where the paired interval to the yardstick excludes zero."""
    shown = [m for m in SHOWN if any(r["metrics"].get(m) is not None for r in result["rows"])]
    note = " (generated data: a check of the method, not evidence about films)" if result["generated"] else ""
    lines = [
        f"{result['dataset']}{note}, split {result['split']}, protocol {result['protocol']}, regime {result['regime']}"
    ]
    lines.append(
        f"{'model':<18}"
        + "".join(f"{m + (' ↓' if metrics.metric(m).better == 'lower' else ' ↑'):>26}" for m in shown)
        + f"   ndcg@10 − {result['against']}"
    )
    for row in result["rows"]:
        cells = []
        for name in shown:
            value, interval = row["metrics"].get(name), row["intervals"].get(name)
            cells.append(
                "–"
                if value is None
                else f"{value:.4f} [{interval[0]:.4f}, {interval[1]:.4f}]"
                if interval
                else f"{value:.4f}"
            )
        pair = row["paired"].get(result["against"], {}).get("ndcg@10")
        told = (
            ""
            if pair is None
            else f"   {pair['difference']:+.4f} [{pair['interval'][0]:+.4f}, {pair['interval'][1]:+.4f}]{'*' if pair['interval'][0] * pair['interval'][1] > 0 else ''}"
        )
        lines.append(f"{row['model']:<18}" + "".join(f"{c:>26}" for c in cells) + told)
    return "\n".join(lines)
