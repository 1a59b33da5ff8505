"""The work of each kind of run (:data:`TASKS`), for a local worker, a cluster's job, or one process of several."""

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
    """Prepare a dataset."""
    from mmrec_core.data.preparation import prepare

    params = run.params
    return prepare(
        params["reader"],
        source=Path(params["source"]) if params.get("source") else None,
        name=params.get("dataset"),
        options=params.get("options") or {},
        enrich=params.get("enrich") or (),
        progress=event_logger.progress,
    )


def _train(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Fit a model, save it and evaluate it on the test rows."""
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core import features
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.data.splits import make_split
    from mmrec_core.evaluation.evaluate import evaluate
    from mmrec_core.training import distributed
    from mmrec_core.training.fit import fit
    from mmrec_core.training.snapshots import Snapshots
    from mmrec_core.training.warm_start import donor_file, donor_of

    params, liked = run.params, runs.liked_from(run.params)
    dataset = open_dataset(params["dataset"])
    event_logger.progress(0, 1, "splitting the ratings")
    if run.record.get("data") not in {None, dataset.checksum}:
        raise MMRecError(f"'{dataset.name}' was prepared anew since this run began; start a new one.")
    split = make_split(dataset, params["split"], params["split_seed"], params["filter_from"], liked)
    _same_split(run, split.checksum)
    donor, beyond = None, run.record.get("beyond")
    if params["from_run"] is not None:  # also on resume: a phase without a checkpoint starts from these weights, too
        place = runs.donor_place(params["from_run"])
        donor = donor_of(place, params["from_run"]) if place.is_dir() else donor_file(place)
        if not run.has_checkpoint:
            beyond = _learned_beyond(params["from_run"], dataset.checksum, split.checksum, runs.known_rows(params))
    first = distributed.rank() == 0  # of several processes that train together
    known = runs.known_rows(params)
    if first:
        update(run, data=dataset.checksum, split_checksum=split.checksum, beyond=beyond, known=known)
    callbacks = TrainingCallbacks(
        run.folder / "checkpoints",
        event_logger.log_event,
        event_logger.progress,
        flag,
        Snapshots(run.folder / "snapshots").record,
    )
    try:
        fitted = fit(
            params["model"], dataset, split, options=params["options"], seed=params["seed"], relevant_from=liked,
            refit=params["refit"], fraction=params["fraction"], encoder=params.get("encoder"),
            modality=params.get("modality") or "none", donor=donor, watch=run.record.get("watch"), callbacks=callbacks,
        )  # fmt: skip
    except Interrupted as stopped:
        if stopped.model is not None and first:
            stopped.model.save(run.folder / "model")
        raise
    if not first:
        return {}
    if open_dataset(params["dataset"]).checksum != dataset.checksum:
        raise MMRecError(f"'{dataset.name}' was prepared anew while this training run ran on it; start it again.")
    fitted.model.save(run.folder / "model")
    evaluation = evaluate(
        fitted.model, dataset, split, protocol=params["protocol"], regime=params["regime"], relevant_from=liked,
        known=known, progress=event_logger.progress,
    )  # fmt: skip
    rates = [e["samples_s"] for e in fitted.epochs]
    peak = [e for e in run.events() if e.get("kind") == "tick"]
    memory = {k: max(e[k] for e in peak if k in e) for k in ("host_mib", "gpu_mib") if any(k in e for e in peak)}
    return {
        **report(get(run.id), dataset, split.checksum, evaluation, params["model"], fitted.model),
        "vectors": features.vectors_read(dataset, params.get("encoder"), params.get("modality")),
        "parameters": sum(p.numel() for p in fitted.model.parameters()),
        "bytes": sum(t.numel() * t.element_size() for t in fitted.model.state_dict().values()),
        "seconds": {"fit": round(fitted.seconds, 2), "evaluate": round(evaluation.seconds, 2)},
        "epochs": len(fitted.epochs), "best_epoch": fitted.best_epoch, "batch_size": fitted.batch_size,
        "samples_s": float(np.median(rates)) if rates else None, "memory": memory,
        "warm_start": fitted.adopted.as_dict() if fitted.adopted else None,
        "notes": [e["text"] for e in run.events() if e.get("kind") == "note"],
        "environment": runtime.environment(),
    }  # fmt: skip


def _same_split(trained: Run, checksum: str) -> None:
    """Check that a split is the same as in a training run, because training rows could now be test rows.

    Raises:
        MMRecError: the split has changed.
    """
    if trained.record.get("split_checksum") not in {None, checksum}:
        raise MMRecError(
            f"The split '{trained.params['split']}' has changed since run '{trained.id}' was trained on it; "
            "start a new training."
        )


def _learned_beyond(donor: str, data: str, split_checksum: str, known: str) -> str | None:
    """Why the initial weights may have been trained on this split's test or validation rows; ``None`` if they have not.

    Args:
        donor: id of the run, or path of the weights.
        data: checksum of the dataset.
        split_checksum: checksum of the split.
        known: rows that the new model may know.
    """
    if Path(donor).is_absolute():
        return "weights of unknown origin"
    record = get(donor).record
    if record.get("beyond"):
        return str(record["beyond"])
    if record.get("data") != data:
        return f"weights learned on {get(donor).params['dataset']}, whose ratings may be among these"
    if record.get("split_checksum") != split_checksum:
        return "weights learned on another split, whose training rows may be test rows here"
    if known == "training" and record.get("known") != "training":
        return "weights that learned validation rows"
    return None


def _evaluate(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Evaluate a trained model again under another protocol, or an oracle of generated data."""
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.data.splits import make_split
    from mmrec_core.evaluation.evaluate import evaluate
    from mmrec_core.serving.recommender import load_run_model

    params = run.params
    dataset = open_dataset(params["dataset"])
    trained = get(params["run"]) if params["run"] is not None else None
    how = {**runs.DEFAULT_PARAMS, **(trained.params if trained is not None else params)}
    if trained is not None and trained.record.get("data") != dataset.checksum:
        raise MMRecError(f"'{dataset.name}' was prepared anew since run '{trained.id}'; train it again.")
    update(run, data=dataset.checksum)
    split = make_split(dataset, how["split"], how["split_seed"], how["filter_from"], runs.liked_from(how))
    if trained is not None:
        _same_split(trained, split.checksum)
    threshold = params["relevant_from"] if params["relevant_from"] is not None else runs.liked_from(how)
    if trained is not None:
        scorer, name = load_run_model(trained.folder), how["model"]
    else:
        name = params["oracle"]
        known = registry.load("datasets", dataset.manifest["reader"]).oracles(dataset, split)
        if name not in known:
            raise unknown_name("oracle", name, sorted(known))
        scorer = known[name]
    # runs of an earlier version do not record which rows they know; they are evaluated as they were then
    known = trained.record.get("known") if trained is not None else runs.known_rows(params)
    evaluation = evaluate(
        scorer, dataset, split, protocol=params["protocol"], regime=params["regime"], relevant_from=threshold,
        known=known or "training + validation", progress=event_logger.progress,
    )  # fmt: skip
    serving = None
    if params.get("tables"):
        small, sizes = _shrunk(scorer, params["tables"])
        other = evaluate(
            small, dataset, split, protocol=params["protocol"], regime=params["regime"], relevant_from=threshold,
            known=known or "training + validation", groups=False, intervals=False, progress=event_logger.progress,
        )  # fmt: skip
        serving = {"tables": params["tables"], "bytes": sizes, **_change(evaluation.metrics, other.metrics)}
    result = report(
        run,
        dataset,
        split.checksum,
        evaluation,
        name,
        scorer,
        {**how, **params, "relevant_from": threshold, "options": how["options"]},
        how,
    )
    result["beyond"] = trained.record.get("beyond") if trained is not None else None
    result["known"] = known
    old = (trained.result() or {}) if trained is not None else {}
    result |= {k: old[k] for k in ("settings", "options") if k in old}  # as it was trained, not with today's defaults
    if trained is not None and "options" not in old:
        del result["options"]  # an earlier version recorded as settings what differed from the defaults
    kept = ("vectors", "parameters", "bytes", "epochs", "best_epoch", "samples_s", "memory", "warm_start")
    return {
        **{k: old.get(k) for k in kept},
        **result,
        "run": trained.id if trained is not None else run.id,
        "judged_in": run.id,
        "seconds": {"fit": old.get("seconds", {}).get("fit", 0), "evaluate": round(evaluation.seconds, 2)},
        "serving": serving,
        "environment": runtime.environment(),
    }


def _shrunk(model: Any, tables: str) -> tuple[Any, dict[str, int]]:
    """A copy of a model with smaller embedding tables, and the bytes of the tables by number format."""
    from mmrec_core.serving.quantize import shrink, table_bytes

    small = shrink(model, tables)
    return small, {"fp32": table_bytes(model), tables: table_bytes(small)}


def _change(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> dict[str, Any]:
    """Metrics with smaller tables, and their change."""
    change = {k: v - old for k, v in after.items() if v is not None and (old := before.get(k)) is not None}
    return {"metrics": after, "change": change}


def _encode(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Encode a catalog, and compute the map of each of its views."""
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core import features, spaces
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.encoders.aligned import PREFIX

    params = run.params
    dataset = open_dataset(params["dataset"])
    update(run, data=dataset.checksum)
    device = runtime.device(params["device"])
    if params["encoder"].startswith(PREFIX):
        from mmrec_core.training import alignment

        callbacks = TrainingCallbacks(None, event_logger.log_event, event_logger.progress, flag)
        result = alignment.align(
            dataset, params["encoder"], options=params["options"], device=device, callbacks=callbacks
        )
    else:
        result = features.encode(
            dataset, params["encoder"], options=params["options"], device=device, progress=event_logger.progress
        )
    if params["project"]:
        views = [*result["modality"], *(["both"] if {"text", "image"} <= set(result["modality"]) else [])]
        result["maps"] = {
            v: spaces.project(dataset, params["encoder"], v, progress=event_logger.progress) for v in views
        }
    return result


def _project(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Compute a map of an embedding space."""
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.spaces import project

    params = run.params
    dataset = open_dataset(params["dataset"])
    update(run, data=dataset.checksum)
    return project(
        dataset,
        params["encoder"],
        params["view"],
        dim=params["dim"],
        seed=params["seed"],
        again=params["again"],
        progress=event_logger.progress,
    )


def _train_encoder(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Train a dual encoder on poster–plot pairs."""
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.training import contrastive

    params = run.params
    found = [open_dataset(name) for name in params["datasets"]]
    update(run, data=found[0].checksum)
    callbacks = TrainingCallbacks(run.folder / "checkpoints", event_logger.log_event, event_logger.progress, flag)
    out = Path(params["out"]) if params["out"] else run.folder / f"{params['encoder']}.safetensors"
    result = contrastive.fit(
        found,
        params["encoder"],
        out,
        options=params["options"],
        seed=params["seed"],
        held_out=params["held_out"],
        callbacks=callbacks,
    )
    return {**result, "weights": str(out), "environment": runtime.environment()}


def _crossing(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Compute a cold-start curve."""
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core.analysis.cold_start_curve import crossing
    from mmrec_core.data.preparation import open_dataset

    params = run.params
    dataset = open_dataset(params["dataset"])
    update(run, data=dataset.checksum)
    return crossing(
        dataset, params["models"], params["ks"], params["seed"], params["split_seed"], progress=event_logger.progress
    )


def _tune(run: Run, event_logger: EventLogger, flag: StopFlag) -> dict[str, Any]:
    """Search hyperparameters on validation rows."""
    event_logger.progress(0, 1, "loading libraries")
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.tuning import sweep

    update(run, data=open_dataset(run.params["dataset"]).checksum)
    return {"trials": len(sweep.search(run, event_logger.progress, flag))}


def report(
    run: Run,
    dataset: Any,
    split_checksum: str,
    evaluation: Any,
    model_name: str,
    model: Any,
    params: Mapping[str, Any] | None = None,
    trained_as: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """An evaluation as ``result.json``; values per user are written beside it into ``per_query.npz``.

    Args:
        run: the run that gets the result.
        dataset: the dataset.
        split_checksum: checksum of the split.
        evaluation: the evaluation.
        model_name: name of the model or oracle.
        model: the model or oracle.
        params: parameters; ``None``: those of the run.
        trained_as: parameters of the training run, if they differ.

    Returns:
        The content of ``result.json``.
    """
    from mmrec_core.training.fit import resolved_settings

    params = params or run.params
    _write_arrays(run.folder / "per_query.npz", {"user": evaluation.queries, **evaluation.per_query})
    if len(evaluation.first):
        _write_arrays(
            run.folder / "first.npz", {"user": evaluation.queries, "items": evaluation.first.astype(np.int32)}
        )
    if evaluation.cold_items:
        _write_arrays(run.folder / "cold_items.npz", {"user": evaluation.queries, **evaluation.cold_items})
    if evaluation.row_errors:
        _write_arrays(run.folder / "row_errors.npz", evaluation.row_errors)
    return {
        "run": run.id,
        "dataset": params["dataset"],
        "model": model_name,
        "heads": [h.kind for h in model.scorer_heads()],
        "split": params["split"],
        "seed": params["seed"],
        "split_seed": params["split_seed"],
        "split_checksum": split_checksum,
        "filter_from": params.get("filter_from"),
        "relevant_from": runs.liked_from(params),
        "refit": params["refit"],
        "fraction": params["fraction"],
        "from_run": params["from_run"],
        "encoder": params.get("encoder"),
        "modality": params.get("modality"),
        "beyond": run.record.get("beyond"),
        "trained_from": runs.liked_from(trained_as or params),
        "protocol": params["protocol"],
        "regime": params["regime"],
        "metrics": evaluation.metrics,
        "intervals": evaluation.intervals,
        "groups": evaluation.groups,
        "optimistic": evaluation.optimistic,
        "calibration": evaluation.calibration,
        "known": runs.known_rows(params),
        "left_out": evaluation.left_out,
        "ties": dataset.manifest.get("ties"),
        "settings": {} if params.get("oracle") else resolved_settings(model_name, params["options"]),
        "options": params["options"],
    }


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    storage.write_bytes(path, buffer.getvalue())


TASKS: dict[str, Callable[[Run, EventLogger, StopFlag], dict[str, Any]]] = {
    "prepare": _prepare, "encode": _encode, "project": _project, "train-encoder": _train_encoder, "train": _train,
    "evaluate": _evaluate, "crossing": _crossing, "tune": _tune,
}  # fmt: skip
assert set(TASKS) == set(runs.KINDS)
