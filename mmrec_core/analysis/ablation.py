"""What counts: one model trained with and without each thing, over several seeds, as one table with intervals.

An ablation is a plan of ordinary trainings, written to ``MMREC_HOME/ablations/<id>.json``; trainings that have been done already
are taken as they are, the rest is queued. Each arm's figures are per-user values averaged over its seeds, with a bootstrap over
users, and paired with the first arm's.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import features, ownership, records, registry, runs, settings, storage
from mmrec_core.analysis import comparison
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.runs import Run
from mmrec_core.stats import mean_intervals, paired
from mmrec_core.types import Dataset

MEASURED = {"rating": ("rmse", "ndcg@10", "recall@10"), "ranking": ("ndcg@10", "recall@10", "mrr"), "click": ()}
"""What the table shows, by the kind of a model's first head; click models bring their labels' figures."""
ARM_LIMIT = 64


@dataclass(frozen=True)
class Arm:
    """One way of training: a value for each thing that is varied."""

    levels: Mapping[str, str]

    @property
    def label(self) -> str:
        """``features=both, fusion=film``."""
        return ", ".join(f"{k}={v}" for k, v in self.levels.items()) or "as it comes"

    def params(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """The training's description, from what all arms share."""
        told = {**base, "options": dict(base.get("options") or {})}
        for name, value in self.levels.items():
            if name == "features":
                told["modality"] = NAMED.get(value, value)
            elif name == "encoder":
                told["encoder"] = value
            else:
                told["options"][name] = value
        return told


NAMED = {"ids": "none"}
"""What an arm of ``features`` is called, where that is not the modality's own name."""


def varied(dataset: Dataset, model: str, over: Sequence[str], encoder: str | None = None) -> dict[str, list[str]]:
    """The values of each thing to vary.

    Args:
        encoder: whose vectors the arms read where encoders are not varied; features go through what it has.
        over: names such as ``features``, ``fusion``, ``encoder``, ``history``, or with values of one's own: ``dim=16:32``.

    Raises:
        MMRecError: the model has no such setting, or it has no few values to go through.
    """
    schema = registry.schema("models", model)
    known = {**schema.get("train", {}).get("properties", {}), **schema["config"].get("properties", {})}
    reads = {m for need in schema["needs"] for m in need.split("|")} & {"text", "image"}
    found: dict[str, list[str]] = {}
    for text in over:
        name, _, values = text.partition("=")
        own = [v for v in values.split(":") if v]
        if name in {"features", "encoder"}:
            if not reads:
                raise MMRecError(f"'{model}' reads neither plots nor posters, so there is no '{name}' to vary.")
            if name == "features":
                found[name] = own or _features(dataset, encoder)
            else:
                found[name] = own or [
                    n for n, told in features.available(dataset).items() if set(told["modality"]) & reads
                ]
        elif name in known:
            told = known[name]
            usual = ["true", "false"] if told.get("type") == "boolean" else [str(v) for v in told.get("enum", [])]
            if not (own or usual):
                raise MMRecError(f"'{name}' of '{model}' is a number; say which values: --over {name}=8:16:32.")
            found[name] = own or usual
        else:
            choice = sorted({"features", "encoder"} if reads else set()) + [
                k for k, v in known.items() if v.get("type") == "boolean" or v.get("enum")
            ]
            raise unknown_name("setting to vary", name, choice)
    return found


def _features(dataset: Dataset, encoder: str | None) -> list[str]:
    """Ids alone, each modality that the encoder has vectors of, and both where it has both."""
    ready, sides = features.available(dataset), features.split_pair(encoder or features.usual(dataset) or "")
    has = [m for m, name in sides.items() if m in ready.get(name, {"modality": ()})["modality"]]
    return ["ids", *has, *(["both"] if len(has) == 2 else [])]


def arms(levels: Mapping[str, Sequence[str]]) -> list[Arm]:
    """Every combination; where only one modality is read there is nothing to fuse, so one fusion stands for all.

    Raises:
        MMRecError: too many of them.
    """
    found: list[Arm] = []
    for values in itertools.product(*levels.values()):
        told = dict(zip(levels, values, strict=True))
        if "fusion" in told and told.get("features", "both") != "both":
            del told["fusion"]
        if "encoder" in told and told.get("features") == "ids":
            del told["encoder"]
        if Arm(told) not in found:
            found.append(Arm(told))
    if len(found) > ARM_LIMIT:
        raise MMRecError(
            f"That makes {len(found)} arms; {ARM_LIMIT} are gone through at most. Vary fewer things at once."
        )
    return found


def plan(
    dataset: Dataset, model: str, over: Sequence[str], seeds: Sequence[int], base: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The trainings of an ablation, checked: ``{"arm", "seed", "params"}`` each.

    Args:
        base: what all arms share, as :func:`mmrec_core.runs.training_params` takes it.

    Raises:
        MMRecError: anything that one of the trainings would refuse.
    """
    if not seeds:
        raise MMRecError("Name at least one seed, such as --seeds 1,2,3.")
    found = []
    for arm in arms(varied(dataset, model, over, base.get("encoder"))):
        for seed in seeds:
            params = runs.training_params(dataset.name, model, **{**arm.params(base), "seed": seed})
            found.append({"arm": dict(arm.levels), "seed": seed, "params": params})
    return found


def save(dataset: Dataset, model: str, over: Sequence[str], seeds: Sequence[int], base: Mapping[str, Any]) -> str:
    """Write an ablation down and return its id; the same wish has the same id.

    Raises:
        MMRecError: see :func:`plan`; or nobody who may (:mod:`mmrec_core.ownership`).
    """
    ownership.require("start work")
    cells = plan(dataset, model, over, seeds, base)
    told = {
        "dataset": dataset.name,
        "data": dataset.checksum,
        "model": model,
        "over": list(over),
        "seeds": list(seeds),
        "cells": cells,
    }
    name = f"{dataset.name}-{model}-{storage.checksum(repr(told).encode())[:8]}"
    storage.open_home()
    storage.write_json(settings.home() / "ablations" / f"{name}.json", {**told, "created": time.time()})
    return name


def load(name: str) -> dict[str, Any]:
    """What :func:`save` wrote.

    Raises:
        MMRecError: there is none of this name.
        DamagedFile: it cannot be read.
    """
    file = settings.home() / "ablations" / f"{name}.json"
    if not file.is_file():
        raise unknown_name("ablation", name, [told["id"] for told in saved()])
    return {**_read(file), "id": name}


def _read(file: Path) -> dict[str, Any]:
    return records.read(
        file, records.ABLATION, "Mend it, or remove it and ask for the ablation again: its trainings are kept."
    )


def damaged() -> list[DamagedFile]:
    """What is wrong with ablations that :func:`saved` leaves out."""
    found = []
    for file in sorted((settings.home() / "ablations").glob("[!.]*.json")):
        try:
            _read(file)
        except DamagedFile as error:
            found.append(error)
        except MMRecError:
            continue
    return found


def saved(dataset: Dataset | None = None) -> list[dict[str, Any]]:
    """Ablations on a dataset as it is now (or on any), newest first."""
    found = []
    for file in (settings.home() / "ablations").glob("[!.]*.json"):
        try:
            told = _read(file)
        except MMRecError:
            continue
        if dataset is None or (told.get("dataset"), told.get("data")) == (dataset.name, dataset.checksum):
            found.append({**told, "id": file.stem})
    return sorted(found, key=lambda t: -t.get("created", 0))


def runs_of(told: Mapping[str, Any]) -> list[Run | None]:
    """For each cell its newest run on these data: finished if there is one, else one on its way, else whatever ended."""
    known = [
        r
        for r in runs.all_runs()
        if r.kind == "train"
        and r.record.get("data") in {None, told["data"]}
        and (r.status != "finished" or r.record.get("known") is not None)
    ]  # an earlier version did not record what a model knows
    rank = {"finished": 3, "running": 2, "queued": 2}
    found: list[Run | None] = []
    for cell in told["cells"]:
        own = [r for r in known if {**runs.USUAL, **r.params} == cell["params"]]
        found.append(max(own, key=lambda r: (rank.get(r.status, 1), r.place), default=None))
    return found


def start(told: Mapping[str, Any]) -> int:
    """Queue every training that has neither been done nor is on its way; how many."""
    todo = [
        c
        for c, run in zip(told["cells"], runs_of(told), strict=True)
        if run is None or run.status not in {*runs.LIVE, "finished"}
    ]
    for cell in todo:
        runs.start("train", cell["params"])
    return len(todo)


def table(told: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the arms whose trainings are done.

    Returns:
        ``dataset``, ``model``, ``split``, ``split_seed``, ``protocol``, ``seeds``, ``base`` (the arm that others are paired with),
        ``metrics``, ``done`` and ``total`` trainings, and ``rows``: per arm its ``seeds`` done, ``metrics``, ``intervals``
        (95 %, bootstrap over users of their values averaged over seeds), ``spread`` (standard deviation over seeds) and
        ``paired`` (difference to the base arm with its interval; of RMSE the difference of mean squared errors).
    """
    first = told["cells"][0]["params"]
    by_arm: dict[str, list[comparison.Row]] = {}
    levels: dict[str, Mapping[str, str]] = {}
    done = 0
    for cell, run in zip(told["cells"], runs_of(told), strict=True):
        label = Arm(cell["arm"]).label
        levels[label] = cell["arm"]
        own = by_arm.setdefault(label, [])
        if run is not None and run.status == "finished" and (result := run.result()) is not None:
            own.append(comparison.row_of(run, result))
            done += 1
    kinds = [row.kind for own in by_arm.values() for row in own]
    names = [*MEASURED.get(kinds[0] if kinds else "ranking", ())]
    names += [m for m in comparison.shown_metrics([r for own in by_arm.values() for r in own]) if ":" in m]
    base = next(iter(by_arm))
    values = {label: _by_user(own) for label, own in by_arm.items()}
    rows = []
    for label, own in by_arm.items():
        row: dict[str, Any] = {"arm": label, "levels": dict(levels[label]), "seeds": [r.result["seed"] for r in own],
                               "metrics": {}, "intervals": {}, "spread": {}, "paired": {}, "runs": [r.run.id for r in own]}  # fmt: skip
        for name in names if own else ():
            told_by_seed = [v for r in own if (v := r.result["metrics"].get(name)) is not None]
            if not told_by_seed:
                continue
            row["metrics"][name] = float(np.mean(told_by_seed))
            row["spread"][name] = float(np.std(told_by_seed, ddof=1)) if len(told_by_seed) > 1 else None
            row["intervals"][name] = _interval(own, values[label], name)
            of = "squared_error" if name == "rmse" else name
            if label != base and of in values[label] and of in values[base]:
                row["paired"][name] = paired(values[label][of], values[base][of])
        rows.append(row)
    return {"id": told.get("id"), "dataset": told["dataset"], "model": told["model"], "over": told["over"], "seeds": told["seeds"],
            "split": first["split"], "split_seed": first["split_seed"], "protocol": first["protocol"], "base": base, "metrics": names,
            "done": done, "total": len(told["cells"]), "rows": rows}  # fmt: skip


def _by_user(own: Sequence[comparison.Row]) -> dict[str, dict[int, float]]:
    """Per-user values averaged over seeds, for users that every seed judged."""
    held = [comparison.values(row) for row in own]
    found: dict[str, dict[int, float]] = {}
    for name in set.intersection(*(set(h) for h in held)) if held else set():
        users = set.intersection(*(set(h[name]) for h in held))
        found[name] = {u: float(np.mean([h[name][u] for h in held])) for u in users}
    return found


def _interval(
    own: Sequence[comparison.Row], values: Mapping[str, Mapping[int, float]], name: str
) -> list[float] | None:
    """95 % over users of values averaged over seeds; of RMSE and click figures the mean of the seeds' own intervals."""
    if name in values:
        interval = mean_intervals(np.array(list(values[name].values()))[:, None])[0]
        return None if interval is None else [*interval]
    told = [i for row in own if (i := row.result["intervals"].get(name)) is not None]
    return [float(v) for v in np.mean(told, axis=0)] if told else None


# To take along


def as_csv(found: Mapping[str, Any]) -> str:
    """One line per arm: levels, seeds, and for each figure its mean, interval, spread and paired difference."""
    import io

    from mmrec_core import csv_out

    out = io.StringIO()
    write = csv_out.Writer(out)
    parts = ("", "_low", "_high", "_sd_over_seeds", "_minus_base", "_minus_base_low", "_minus_base_high")
    write.writerow(
        [
            "dataset",
            "model",
            "split",
            "split_seed",
            "protocol",
            "arm",
            "seeds",
            *(f"{m}{p}" for m in found["metrics"] for p in parts),
        ]
    )
    for row in found["rows"]:
        cells: list[Any] = []
        for name in found["metrics"]:
            low, high = row["intervals"].get(name) or (None, None)
            pair = row["paired"].get(name)
            cells += [row["metrics"].get(name), low, high, row["spread"].get(name)]
            cells += [pair["difference"], *pair["interval"]] if pair else [None, None, None]
        seeds = " ".join(map(str, row["seeds"]))
        write.writerow(
            [
                found["dataset"],
                found["model"],
                found["split"],
                found["split_seed"],
                found["protocol"],
                row["arm"],
                seeds,
                *cells,
            ]
        )
    return out.getvalue()


def as_markdown(found: Mapping[str, Any]) -> str:
    """A Markdown table, and below it what it rests on."""
    names = found["metrics"]
    lines = [
        "| arm | " + " | ".join(f"{m} | − {found['base']}" for m in names) + " |",
        "|---" * (2 * len(names) + 1) + "|",
    ]
    for row in found["rows"]:
        cells = [c for m in names for c in (cell(row, m), difference(row, m))]
        lines.append("| " + " | ".join([row["arm"], *cells]) + " |")
    seeds = ", ".join(map(str, found["seeds"]))
    return "\n".join([*lines, "", f"{found['model']} on {found['dataset']}, {found['split']} (split seed {found['split_seed']}), protocol "
                      f"{found['protocol']}, seeds {seeds}. Brackets: 95 % over users; differences paired by user; of RMSE the difference of "
                      "mean squared errors."]) + "\n"  # fmt: skip


def cell(row: Mapping[str, Any], name: str) -> str:
    """``.0780 [.0701, .0862]``."""
    return comparison.figure(row["metrics"].get(name), row["intervals"].get(name))


def difference(row: Mapping[str, Any], name: str) -> str:
    """``▲ +0.0245 [+0.0145, +0.0348]``: ▲ better, ▼ worse beyond the interval, ○ neither can be said."""
    from mmrec_core import metrics

    pair = row["paired"].get(name)
    if pair is None:
        return "–"
    low, high = pair["interval"]
    up = metrics.metric(name).better == "higher"
    better, worse = (low > 0, high < 0) if up else (high < 0, low > 0)
    return f"{'▲' if better else '▼' if worse else '○'} {pair['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
