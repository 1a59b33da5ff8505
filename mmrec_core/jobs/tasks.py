"""What each kind of work does (:data:`TASKS`), whoever does it: this machine's worker, a cluster's job, one process of several."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import registry, runs, runtime, storage
from mmrec_core.callbacks import Interrupted, StopFlag, TrainingCallbacks
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.runs import Run, get, update
from mmrec_core.runs.event_log import EventLogger


def _prepare(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    from mmrec_core.data.preparation import prepare

    asked = run.params
    return prepare(
        asked["reader"],
        source=Path(asked["source"]) if asked.get("source") else None,
        name=asked.get("dataset"),
        options=asked.get("options") or {},
        enrich=asked.get("enrich") or (),
        progress=event_logger.progress,
    )


def _train(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.data.splits import make_split
    from mmrec_core.evaluation.evaluate import evaluate
    from mmrec_core.training import distributed
    from mmrec_core.training.fit import fit
    from mmrec_core.training.warm_start import donor_file, donor_of

    asked, liked = run.params, runs.liked_from(run.params)
    dataset = open_dataset(asked["dataset"])
    event_logger.progress(0, 1, "dividing the ratings")
    if run.record.get("data") not in {None, dataset.checksum}:
        raise MMRecError(f"'{dataset.name}' was prepared anew since this run began; start a new one.")
    split = make_split(dataset, asked["split"], asked["split_seed"], asked["filter_from"], liked)
    _same_split(run, split.checksum)
    donor, beyond = None, run.record.get("beyond")
    if asked["from_run"] is not None:  # asked for again on resume: a phase without a checkpoint begins from it, too
        place = runs.donor_place(asked["from_run"])
        donor = donor_of(place, asked["from_run"]) if place.is_dir() else donor_file(place)
        if not run.has_checkpoint:
            beyond = _learned_beyond(asked["from_run"], dataset.checksum, split.checksum, runs.known_rows(asked))
    first = distributed.rank() == 0  # of several processes that train together
    known = runs.known_rows(asked)
    if first:
        update(run, data=dataset.checksum, split_checksum=split.checksum, beyond=beyond, known=known)
    callbacks = TrainingCallbacks(run.folder / "checkpoints", event_logger.log_event, event_logger.progress, flag)
    try:
        fitted = fit(
            asked["model"], dataset, split, options=asked["options"], seed=asked["seed"], relevant_from=liked,
            refit=asked["refit"], fraction=asked["fraction"], encoder=asked.get("encoder"),
            modality=asked.get("modality") or "none", donor=donor, watch=run.record.get("watch"), callbacks=callbacks,
        )  # fmt: skip
    except Interrupted as stopped:
        if stopped.model is not None and first:
            stopped.model.save(run.folder / "model")
        raise
    if not first:
        return {}
    if open_dataset(asked["dataset"]).checksum != dataset.checksum:
        raise MMRecError(f"'{dataset.name}' was prepared anew while this training ran on it; start it again.")
    fitted.model.save(run.folder / "model")
    judged = evaluate(
        fitted.model, dataset, split, protocol=asked["protocol"], regime=asked["regime"], relevant_from=liked,
        known=known, progress=event_logger.progress,
    )  # fmt: skip
    rates = [e["samples_s"] for e in fitted.epochs]
    peak = [e for e in run.events() if e.get("kind") == "tick"]
    memory = {k: max(e[k] for e in peak if k in e) for k in ("host_mib", "gpu_mib") if any(k in e for e in peak)}
    return {
        **report(get(run.id), dataset, split.checksum, judged, asked["model"], fitted.model),
        "parameters": sum(p.numel() for p in fitted.model.parameters()),
        "bytes": sum(t.numel() * t.element_size() for t in fitted.model.state_dict().values()),
        "seconds": {"fit": round(fitted.seconds, 2), "evaluate": round(judged.seconds, 2)},
        "epochs": len(fitted.epochs), "best_epoch": fitted.best_epoch, "batch_size": fitted.batch_size,
        "samples_s": float(np.median(rates)) if rates else None, "memory": memory,
        "warm_start": fitted.adopted.as_dict() if fitted.adopted else None,
        "notes": [e["text"] for e in run.events() if e.get("kind") == "note"],
        "environment": runtime.environment(),
    }  # fmt: skip


def _same_split(trained: Run, checksum: str) -> None:
    """Refuse to go on with, or to judge, a model on rows that are divided otherwise than when it learned: its training rows may
    be test rows now."""
    if trained.record.get("split_checksum") not in {None, checksum}:
        raise MMRecError(
            f"The split '{trained.params['split']}' divides the rows otherwise than when run '{trained.id}' learned from it; "
            "start a new training."
        )


def _learned_beyond(donor: str, data: str, split_checksum: str, known: str) -> str | None:
    """Why weights to begin with may know this split's test rows: what a donor learned from elsewhere nobody can take out."""
    if Path(donor).is_absolute():
        return "weights of unknown origin"
    told = get(donor).record
    if told.get("beyond"):
        return str(told["beyond"])
    if told.get("data") != data:
        return f"weights learned on {get(donor).params['dataset']}, whose ratings may be among these"
    if told.get("split_checksum") != split_checksum:
        return "weights learned on another split, whose training rows may be test rows here"
    if known == "training" and told.get("known") != "training":
        return "weights that learned validation rows"
    return None


def _evaluate(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Judge a trained model again, under another protocol; or an oracle, where the truth is known."""
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.data.splits import make_split
    from mmrec_core.evaluation.evaluate import evaluate
    from mmrec_core.serving.recommender import load_run_model

    asked = run.params
    dataset = open_dataset(asked["dataset"])
    trained = get(asked["run"]) if asked["run"] is not None else None
    how = {**runs.USUAL, **(trained.params if trained is not None else asked)}
    if trained is not None and trained.record.get("data") != dataset.checksum:
        raise MMRecError(f"'{dataset.name}' was prepared anew since run '{trained.id}'; train it again.")
    update(run, data=dataset.checksum)
    split = make_split(dataset, how["split"], how["split_seed"], how["filter_from"], runs.liked_from(how))
    if trained is not None:
        _same_split(trained, split.checksum)
    bar = asked["relevant_from"] if asked["relevant_from"] is not None else runs.liked_from(how)
    if trained is not None:
        scorer, name = load_run_model(trained.folder), how["model"]
    else:
        name = asked["oracle"]
        known = registry.load("datasets", dataset.manifest["reader"]).oracles(dataset, split)
        if name not in known:
            raise unknown_name("oracle", name, sorted(known))
        scorer = known[name]
    # a run of an earlier version did not record which rows it knows; it is evaluated as it was then, and said so
    known = trained.record.get("known") if trained is not None else runs.known_rows(asked)
    judged = evaluate(
        scorer, dataset, split, protocol=asked["protocol"], regime=asked["regime"], relevant_from=bar,
        known=known or "training + validation", progress=event_logger.progress,
    )  # fmt: skip
    serving = (
        _serving(
            known or "training + validation", scorer, judged, asked["tables"], dataset, split, asked, bar, event_logger
        )
        if asked.get("tables")
        else None
    )
    told = report(
        run,
        dataset,
        split.checksum,
        judged,
        name,
        scorer,
        {**how, **asked, "relevant_from": bar, "options": how["options"]},
        how,
    )
    told["beyond"] = trained.record.get("beyond") if trained is not None else None
    told["known"] = known
    old = (trained.result() or {}) if trained is not None else {}
    kept = ("parameters", "bytes", "epochs", "best_epoch", "samples_s", "memory", "warm_start")
    return {
        **{k: old.get(k) for k in kept}, **told, "run": trained.id if trained is not None else run.id, "judged_in": run.id,
        "seconds": {"fit": old.get("seconds", {}).get("fit", 0), "evaluate": round(judged.seconds, 2)},
        "serving": serving, "environment": runtime.environment(),
    }  # fmt: skip


def _serving(
    known: Any, model: Any, judged: Any, tables: str, dataset: Any, split: Any, asked: Mapping[str, Any], bar: float | None, event_logger: EventLogger
) -> dict[str, Any]:  # fmt: skip
    """What smaller tables would cost: bytes, and each figure's change."""
    from mmrec_core.evaluation.evaluate import evaluate
    from mmrec_core.serving.quantize import shrink, table_bytes

    small = shrink(model, tables)
    other = evaluate(small, dataset, split, protocol=asked["protocol"], regime=asked["regime"], relevant_from=bar, known=known, groups=False,
                     intervals=False, progress=event_logger.progress)  # fmt: skip
    change = {
        k: v - judged.metrics[k]
        for k, v in other.metrics.items()
        if v is not None and judged.metrics.get(k) is not None
    }
    return {
        "tables": tables,
        "bytes": {"fp32": table_bytes(model), tables: table_bytes(small)},
        "metrics": other.metrics,
        "change": change,
    }


def _encode(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Encode a catalog; then draw a map of each of its views, so that somebody who opens the space finds it there."""
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core import features, spaces
    from mmrec_core.data.preparation import open_dataset

    asked = run.params
    dataset = open_dataset(asked["dataset"])
    update(run, data=dataset.checksum)
    device = runtime.device(asked["device"])
    told = features.encode(
        dataset, asked["encoder"], options=asked["options"], device=device, progress=event_logger.progress
    )
    if asked["project"]:
        views = [*told["modality"], *(["both"] if len(told["modality"]) == 2 else [])]
        told["maps"] = {v: spaces.project(dataset, asked["encoder"], v, progress=event_logger.progress) for v in views}
    return told


def _project(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.spaces import project

    asked = run.params
    dataset = open_dataset(asked["dataset"])
    update(run, data=dataset.checksum)
    return project(
        dataset,
        asked["encoder"],
        asked["view"],
        dim=asked["dim"],
        seed=asked["seed"],
        again=asked["again"],
        progress=event_logger.progress,
    )


def _train_encoder(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.training import contrastive

    asked = run.params
    found = [open_dataset(name) for name in asked["datasets"]]
    update(run, data=found[0].checksum)
    callbacks = TrainingCallbacks(run.folder / "checkpoints", event_logger.log_event, event_logger.progress, flag)
    out = Path(asked["out"]) if asked["out"] else run.folder / f"{asked['encoder']}.safetensors"
    told = contrastive.fit(
        found,
        asked["encoder"],
        out,
        options=asked["options"],
        seed=asked["seed"],
        held_out=asked["held_out"],
        callbacks=callbacks,
    )
    return {**told, "weights": str(out), "environment": runtime.environment()}


def _crossing(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core.analysis.cold_start_curve import crossing
    from mmrec_core.data.preparation import open_dataset

    asked = run.params
    dataset = open_dataset(asked["dataset"])
    update(run, data=dataset.checksum)
    return crossing(
        dataset, asked["models"], asked["ks"], asked["seed"], asked["split_seed"], progress=event_logger.progress
    )


def _tune(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Search good settings on validation rows."""
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.tuning import sweep

    update(run, data=open_dataset(run.params["dataset"]).checksum)
    return {"trials": len(sweep.search(run, event_logger.progress, flag))}


def report(
    run: Run, dataset: Any, split_checksum: str, judged: Any, model_name: str, model: Any, asked: Mapping[str, Any] | None = None,
    trained_as: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """An evaluation as the command line prints it; per-user values go beside it into ``per_query.npz``."""
    asked = asked or run.params
    _write_arrays(run.folder / "per_query.npz", {"user": judged.queries, **judged.per_query})
    if len(judged.first):
        _write_arrays(run.folder / "first.npz", {"user": judged.queries, "items": judged.first.astype(np.int32)})
    if judged.row_errors:
        _write_arrays(run.folder / "row_errors.npz", judged.row_errors)
    return {
        "run": run.id, "dataset": asked["dataset"], "model": model_name, "heads": [h.kind for h in model.scorer_heads()],
        "split": asked["split"], "seed": asked["seed"], "split_seed": asked["split_seed"], "split_checksum": split_checksum,
        "filter_from": asked.get("filter_from"), "relevant_from": runs.liked_from(asked), "refit": asked["refit"],
        "fraction": asked["fraction"], "from_run": asked["from_run"], "encoder": asked.get("encoder"), "modality": asked.get("modality"), "beyond": run.record.get("beyond"),
        "trained_from": runs.liked_from(trained_as or asked), "protocol": asked["protocol"],
        "regime": asked["regime"], "metrics": judged.metrics, "intervals": judged.intervals, "groups": judged.groups, "optimistic": judged.optimistic,
        "calibration": judged.calibration,
        "known": runs.known_rows(asked), "left_out": judged.left_out, "ties": dataset.manifest.get("ties"),
        "settings": asked["options"],
    }  # fmt: skip


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    held = io.BytesIO()
    np.savez_compressed(held, allow_pickle=False, **arrays)
    storage.write_bytes(path, held.getvalue())


TASKS: dict[str, Callable[[Run, EventLogger, StopFlag], dict[str, Any]]] = {
    "prepare": _prepare, "encode": _encode, "project": _project, "train-encoder": _train_encoder, "train": _train,
    "evaluate": _evaluate, "crossing": _crossing, "tune": _tune,
}  # fmt: skip
assert set(TASKS) == set(runs.KINDS)
