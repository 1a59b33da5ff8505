"""Ablation studies: one model trained with and without each component, over several seeds.

An ablation is a list of ordinary training runs, written to ``MMREC_HOME/ablations/<id>.json``. Training runs that are
finished are reused; the others are queued. The metrics of an arm are per-user values averaged over its seeds, with a
bootstrap over users, and paired with the first arm.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import features, ownership, records, registry, runs, settings, storage
from mmrec_core.analysis import ablation_setup, comparison, text_table
from mmrec_core.analysis.cold_items import among_cold_items
from mmrec_core.analysis.comparison import ModelGroup
from mmrec_core.analysis.model_table import table_of_groups
from mmrec_core.analysis.model_table_export import setup_in_words, text_of
from mmrec_core.data.preparation import open_dataset
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.features import controls
from mmrec_core.runs import Run
from mmrec_core.stats import mean_intervals, paired
from mmrec_core.types import Dataset

MEASURED = {"rating": ("rmse", "ndcg@10", "recall@10"), "ranking": ("ndcg@10", "recall@10", "mrr"), "click": ()}
"""Metrics of the table by the kind of a model's first head. For click models they are added by label."""
ARM_LIMIT = 64


@dataclass(frozen=True)
class Arm:
    """One arm of an ablation: a value for each varied setting."""

    levels: Mapping[str, str]

    @property
    def label(self) -> str:
        """``features=both, fusion=film``."""
        return ", ".join(f"{k}={v}" for k, v in self.levels.items()) or "as it comes"

    def params(self, base: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
        """The parameters of this arm's training, from those that all arms share; ``seed`` draws a control's vectors."""
        params = {**base, "options": dict(base.get("options") or {})}
        for name, value in self.levels.items():
            if name == "features":
                params["modality"] = NAMED.get(value, value)
            elif name == "encoder":
                params["encoder"] = value
            elif name == "content":
                params |= {"modality": "none"} if value == "none" else {}
            else:
                params["options"][name] = value
        control = self.levels.get("content", "real")
        if control in controls.CONTROLS and params.get("modality") != "none":
            params["encoder"] = f"{control}.{seed}:{params['encoder']}"
        return params


NAMED = {"ids": "none"}
"""Arm of ``features`` → modality, where their names differ."""
CONTENT = ("real", *controls.CONTROLS, "none")
"""Arms of ``content``: an encoder's vectors, its controls, no vectors."""


def varied(dataset: Dataset, model: str, over: Sequence[str], encoder: str | None = None) -> dict[str, list[str]]:
    """The values of each setting to vary.

    Args:
        dataset: the dataset.
        model: name of the model.
        over: names such as ``features``, ``fusion``, ``encoder``, ``history``, or with chosen values: ``dim=16:32``.
        encoder: the encoder whose vectors the arms read, unless encoders are varied.

    Returns:
        Setting → values.

    Raises:
        MMRecError: the model has no such setting, or a numeric setting comes without values.
    """
    schema = registry.schema("models", model)
    known = {**schema.get("train", {}).get("properties", {}), **schema["config"].get("properties", {})}
    reads = registry.reads_content(schema["needs"])
    found: dict[str, list[str]] = {}
    for text in over:
        name, _, values = text.partition("=")
        own = [v for v in values.split(":") if v]
        if name in {"features", "encoder", "content"}:
            if not reads:
                raise MMRecError(f"'{model}' reads neither plots nor posters, so there is no '{name}' to vary.")
            if name == "content":
                if unknown := [v for v in own if v not in CONTENT]:
                    raise unknown_name("control of content", unknown[0], list(CONTENT))
                found[name] = ["real", *(v for v in own if v != "real")] if own else list(CONTENT)
            elif name == "features":
                found[name] = own or _features(dataset, encoder)
            else:
                found[name] = own or list(features.available(dataset))
        elif name in known:
            setting = known[name]
            usual = ["true", "false"] if setting.get("type") == "boolean" else [str(v) for v in setting.get("enum", [])]
            if not (own or usual):
                raise MMRecError(f"'{name}' of '{model}' is a number; say which values: --over {name}=8:16:32.")
            found[name] = own or usual
        else:
            choice = sorted({"features", "encoder", "content"} if reads else set()) + [
                k for k, v in known.items() if v.get("type") == "boolean" or v.get("enum")
            ]
            raise unknown_name("setting to vary", name, choice)
    return found


def _features(dataset: Dataset, encoder: str | None) -> list[str]:
    """Values of ``features``: ids alone, each modality that the encoder has vectors of, and all if it has several."""
    has = list(features.sources(dataset, encoder or features.default_encoder(dataset) or ""))
    return ["ids", *has, *(["both" if has == ["text", "image"] else "all"] if len(has) > 1 else [])]


def arms(levels: Mapping[str, Sequence[str]]) -> list[Arm]:
    """All combinations of values. With only one modality there is nothing to fuse, so fusion is not varied there.

    Raises:
        MMRecError: more than :data:`ARM_LIMIT` arms.
    """
    found: list[Arm] = []
    for values in itertools.product(*levels.values()):
        assignment = dict(zip(levels, values, strict=True))
        if "fusion" in assignment and assignment.get("features", "both") not in features.ALL:
            del assignment["fusion"]
        if "encoder" in assignment and (assignment.get("features") == "ids" or assignment.get("content") == "none"):
            del assignment["encoder"]
        if assignment.get("features") == "ids" and "content" in assignment:
            continue  # without vectors there is nothing to exchange
        if Arm(assignment) not in found:
            found.append(Arm(assignment))
    if len(found) > ARM_LIMIT:
        raise MMRecError(f"That makes {len(found)} arms; at most {ARM_LIMIT} are allowed. Vary fewer settings at once.")
    return found


def plan(
    dataset: Dataset, model: str, over: Sequence[str], seeds: Sequence[int], base: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The checked training runs of an ablation.

    Args:
        dataset: the dataset.
        model: name of the model.
        over: see :func:`varied`.
        seeds: training seeds; each arm is trained once for each.
        base: parameters that all arms share, as :func:`mmrec_core.runs.training_params` takes them.

    Returns:
        ``{"arm", "seed", "params"}`` for each training run.

    Raises:
        MMRecError: no seed, or one of the training runs is not possible.
    """
    if not seeds:
        raise MMRecError("Name at least one seed, such as --seeds 1,2,3.")
    found = []
    levels = varied(dataset, model, over, base.get("encoder"))
    if "content" in levels:  # a control is made of a named encoder's vectors
        base = {**base, "encoder": base.get("encoder") or features.default_encoder(dataset)}
    for arm in arms(levels):
        for seed in seeds:
            params = runs.training_params(dataset.name, model, **{**arm.params(base, seed), "seed": seed})
            found.append({"arm": dict(arm.levels), "seed": seed, "params": params})
    return found


def save(dataset: Dataset, model: str, over: Sequence[str], seeds: Sequence[int], base: Mapping[str, Any]) -> str:
    """Save an ablation; its arguments are those of :func:`plan`.

    Returns:
        The id; the same arguments give the same id.

    Raises:
        MMRecError: see :func:`plan`; or the visitor may not start work (:mod:`mmrec_core.ownership`).
    """
    ownership.require("start work")
    cells = plan(dataset, model, over, seeds, base)
    study = {
        "dataset": dataset.name,
        "data": dataset.checksum,
        "model": model,
        "over": list(over),
        "seeds": list(seeds),
        "cells": cells,
    }
    name = f"{dataset.name}-{model}-{storage.checksum(repr(study).encode())[:8]}"
    storage.open_home()
    storage.write_json(settings.home() / "ablations" / f"{name}.json", {**study, "created": time.time()})
    return name


def load(name: str) -> dict[str, Any]:
    """Load an ablation that :func:`save` wrote.

    Raises:
        MMRecError: there is none of this name.
        DamagedFile: it cannot be read.
    """
    file = settings.home() / "ablations" / f"{name}.json"
    if not file.is_file():
        raise unknown_name("ablation", name, [entry["id"] for entry in saved()])
    return {**_read(file), "id": name}


def _read(file: Path) -> dict[str, Any]:
    return records.read(
        file, records.ABLATION, "Repair it, or remove it and start the ablation again: its training runs are kept."
    )


def damaged() -> list[DamagedFile]:
    """Faults of the ablation files that :func:`saved` leaves out."""
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
    """Ablations on the current version of a dataset (or on any dataset), newest first."""
    found = []
    for file in (settings.home() / "ablations").glob("[!.]*.json"):
        try:
            entry = _read(file)
        except MMRecError:
            continue
        if dataset is None or (entry.get("dataset"), entry.get("data")) == (dataset.name, dataset.checksum):
            found.append({**entry, "id": file.stem})
    return sorted(found, key=lambda t: -t.get("created", 0))


def runs_of(study: Mapping[str, Any]) -> list[Run | None]:
    """The best run of each training run: finished, else running or queued, else any other; the newest of several."""
    versions = registry.versions("models", (cell["params"]["model"] for cell in study["cells"]))
    known = [
        r
        for r in runs.all_runs()
        if r.kind == "train"
        and r.record.get("data") in {None, study["data"]}
        and (r.status != "finished" or (r.record.get("known") is not None and not r.is_of_older_model(versions)))
    ]  # an earlier version did not record which rows a model knows; an older model gave other results
    rank = {"finished": 3, "running": 2, "queued": 2}
    found: list[Run | None] = []
    for cell in study["cells"]:
        own = [r for r in known if {**runs.DEFAULT_PARAMS, **r.params} == cell["params"]]
        found.append(max(own, key=lambda r: (rank.get(r.status, 1), r.place), default=None))
    return found


def start(study: Mapping[str, Any]) -> int:
    """Queue every training run that is not finished, running or queued; return how many."""
    todo = [
        c
        for c, run in zip(study["cells"], runs_of(study), strict=True)
        if run is None or run.status not in {*runs.LIVE, "finished"}
    ]
    for cell in todo:
        runs.start("train", cell["params"])
    return len(todo)


def table(study: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics of the arms whose training runs are finished.

    Returns:
        ``dataset``, ``model``, ``split``, ``split_seed``, ``protocol``, ``seeds``, ``base`` (the arm that others are
        paired with), ``metrics``, ``done`` and ``total`` training runs, ``setup`` (what all training runs share and how
        they were evaluated, in words), and ``rows``: per arm its finished ``seeds``,
        ``metrics``, ``intervals``
        (95 %, bootstrap over users of their values averaged over seeds), ``spread`` (standard deviation over seeds) and
        ``paired`` (difference to the base arm with its interval; of RMSE the difference of mean squared errors).
    """
    first = study["cells"][0]["params"]
    levels = {Arm(cell["arm"]).label: cell["arm"] for cell in study["cells"]}
    finished = {group.label: group.rows for group in groups(study)}
    by_arm = {label: finished.get(label, ()) for label in levels}
    every = [row for own in by_arm.values() for row in own]
    names = [*MEASURED.get(every[0].kind if every else "ranking", ())]
    names += [m for m in comparison.shown_metrics(every) if ":" in m]
    base = next(iter(by_arm))
    values = {label: values_by_user(own) for label, own in by_arm.items()}
    rows = []
    for label, own in by_arm.items():
        row: dict[str, Any] = {
            "arm": label,
            "levels": dict(levels[label]),
            "seeds": [r.result["seed"] for r in own],
            "metrics": {},
            "intervals": {},
            "spread": {},
            "paired": {},
            "runs": [r.run.id for r in own],
        }
        for name in names if own else ():
            by_seed = [v for r in own if (v := r.result["metrics"].get(name)) is not None]
            if not by_seed:
                continue
            row["metrics"][name] = float(np.mean(by_seed))
            row["spread"][name] = float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None
            row["intervals"][name] = _interval(own, values[label], name)
            of = "squared_error" if name == "rmse" else name
            if label != base and of in values[label] and of in values[base]:
                row["paired"][name] = paired(values[label][of], values[base][of])
        rows.append(row)
    return {
        "id": study.get("id"),
        **{name: study[name] for name in ("dataset", "model", "over", "seeds")},
        **{name: first[name] for name in ("split", "split_seed", "protocol")},
        "base": base,
        "metrics": names,
        "done": len(every),
        "total": len(study["cells"]),
        "setup": _setup(study, every),
        "rows": rows,
    }


def groups(study: Mapping[str, Any]) -> list[ModelGroup]:
    """The finished training runs of each arm that has any, the base arm first if it has.

    On ``cold-item`` splits cold items are ranked among themselves.
    """
    found: dict[str, list[comparison.Row]] = {}
    for cell, run in zip(study["cells"], runs_of(study), strict=True):
        if run is not None and run.status == "finished" and (result := run.result()) is not None:
            found.setdefault(Arm(cell["arm"]).label, []).append(_row(run, result))
    every = {row.run.id: row for row in among_cold_items([row for own in found.values() for row in own])}
    return [ModelGroup(label, tuple(every[row.run.id] for row in own)) for label, own in found.items()]


def _row(run: Run, result: Mapping[str, Any]) -> comparison.Row:
    """A finished training run as a row; its threshold is the dataset's default where none was asked for."""
    threshold = result.get("relevant_from")
    usual = open_dataset(run.params["dataset"]).manifest.get("relevant_from") if threshold is None else threshold
    return comparison.row_of(run, {**result, "relevant_from": usual})


def _setup(study: Mapping[str, Any], rows: Sequence[comparison.Row]) -> str:
    """Model, settings and evaluation setup of the finished training runs, in words; empty without any."""
    if not rows:
        return ""
    among_cold = rows[0].result.get("among") == comparison.AMONG_COLD
    setup = setup_in_words(open_dataset(study["dataset"]), rows[0].key, among_cold)
    return f"{ablation_setup.in_words(study['model'], study['over'], rows)} {setup}"


def values_by_user(own: Sequence[comparison.Row]) -> dict[str, dict[int, float]]:
    """Per-user values averaged over seeds, for users that were evaluated under every seed."""
    per_seed = [comparison.values(row) for row in own]
    found: dict[str, dict[int, float]] = {}
    for name in set.intersection(*(set(h) for h in per_seed)) if per_seed else set():
        users = set.intersection(*(set(h[name]) for h in per_seed))
        found[name] = {u: float(np.mean([h[name][u] for h in per_seed])) for u in users}
    return found


def _interval(
    own: Sequence[comparison.Row], values: Mapping[str, Mapping[int, float]], name: str
) -> list[float] | None:
    """95 % interval over users of seed averages; for RMSE and click metrics the mean of the seeds' intervals."""
    if name in values:
        interval = mean_intervals(np.array(list(values[name].values()))[:, None])[0]
        return None if interval is None else [*interval]
    intervals = [i for row in own if (i := row.result["intervals"].get(name)) is not None]
    return [float(v) for v in np.mean(intervals, axis=0)] if intervals else None


# Exports


def as_csv(found: Mapping[str, Any]) -> str:
    """CSV with one row for each arm: seeds, and for each metric mean, interval, spread and paired difference."""
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
    """A Markdown table with a line about its setup."""
    names = found["metrics"]
    lines = [
        "| arm | " + " | ".join(f"{m} | − {found['base']}" for m in names) + " |",
        "|---" * (2 * len(names) + 1) + "|",
    ]
    for row in found["rows"]:
        cells = [c for m in names for c in (cell(row, m), difference(row, m))]
        lines.append("| " + " | ".join([row["arm"], *cells]) + " |")
    seeds = ", ".join(map(str, found["seeds"]))
    setup = (
        f"{found['setup']} Seeds {seeds}. Brackets: 95 % intervals over users. "
        "Differences are paired by user; for RMSE they are differences of mean squared errors."
    )
    return "\n".join([*lines, "", setup]) + "\n"


def as_latex(study: Mapping[str, Any], decimals: int = 4) -> str:
    """A LaTeX table (booktabs) of the finished arms: means over seeds, tested against the base arm.

    Args:
        study: the ablation, as :func:`load` gives it.
        decimals: decimals of values, 3 or 4.

    Raises:
        MMRecError: no training is finished.
    """
    arms_ = groups(study)
    if not arms_:
        raise MMRecError(f"No training of the ablation '{study.get('id')}' is finished yet; wait for one, or start it.")
    rows = [row for arm in arms_ for row in arm.rows]
    wanted = [*MEASURED.get(arms_[0].kind, ()), *(m for m in comparison.shown_metrics(rows) if ":" in m)]
    names = [m for m in wanted if any(row.result["metrics"].get(m) is not None for row in rows)]
    table = table_of_groups(open_dataset(study["dataset"]), arms_, names, arms_[0].label, "arm")
    about = ablation_setup.in_words(study["model"], study["over"], rows)
    made = text_of(table, decimals)
    return text_table.as_latex(
        replace(made, caption=f"{about} {made.caption}", label=str(study.get("id") or "ablation"))
    )


def cell(row: Mapping[str, Any], name: str) -> str:
    """``.0780 [.0701, .0862]``."""
    return comparison.figure(row["metrics"].get(name), row["intervals"].get(name))


def difference(row: Mapping[str, Any], name: str) -> str:
    """``▲ +0.0245 [+0.0145, +0.0348]``: ▲ significantly better, ▼ significantly worse, ○ not significant."""
    from mmrec_core import metrics

    pair = row["paired"].get(name)
    if pair is None:
        return "–"
    low, high = pair["interval"]
    up = metrics.metric(name).better == "higher"
    better, worse = (low > 0, high < 0) if up else (high < 0, low > 0)
    return f"{'▲' if better else '▼' if worse else '○'} {pair['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
