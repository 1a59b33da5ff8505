"""Validated parameters of runs, with defaults filled in, so that equal requests give equal parameters."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrec_core import features, ownership, registry
from mmrec_core.data import split_plugins
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.evaluation.protocols import FUTURE_MEMORY, Protocol, full_name, has_event_memory
from mmrec_core.runs.record import DEFAULT_PARAMS, default_params
from mmrec_core.runs.store import get
from mmrec_core.types import Dataset


def training_params(dataset: str, model: str, **requested: Any) -> dict[str, Any]:
    """Parameters of a training run, validated and with defaults filled in.

    Raises:
        MMRecError: unknown dataset or model, or settings out of range.
    """
    from mmrec_core.data.preparation import open_dataset

    opened = open_dataset(dataset)
    registry.entry("models", model)
    if unknown := set(requested) - set(DEFAULT_PARAMS):
        raise unknown_name("training option", sorted(unknown)[0], sorted(DEFAULT_PARAMS))
    named = {k: v for k, v in requested.items() if k != "split" or v is not None}
    params = {"dataset": dataset, "model": model, **default_params(opened), **named}
    if not 0 < params["fraction"] <= 1:
        raise MMRecError(f"--fraction is {params['fraction']:g}; expected more than 0 and at most 1, such as 0.1.")
    if params["from_run"] is not None:
        place = donor_place(params["from_run"])
        params["from_run"] = str(place) if place.is_file() else params["from_run"]
    if str(params["split"]).startswith("file:"):  # the worker has another working directory
        params["split"] = f"file:{ownership.confined(str(params['split'])[5:])}"
    _check_protocol(params["protocol"], params["regime"], opened)
    params["protocol"] = full_name(params["protocol"], opened)
    params["options"] = _typed(model, params["options"])
    params["encoder"], params["modality"] = _content(model, opened, params["encoder"], params["modality"])
    # a split from a file is checked in the evaluation
    by_time = str(params["split"]).partition(":")[0] in {"chronological", "file"}
    if params["regime"] == "stream" and has_event_memory(registry.schema("models", model)["needs"]) and not by_time:
        raise MMRecError(f"'{model}' {FUTURE_MEMORY}")
    strategies = [*split_plugins.BUILT_IN, *split_plugins.strategies()]
    if str(params["split"]).partition(":")[0] not in strategies:
        raise unknown_name("split", str(params["split"]), strategies)
    return params


def _content(model: str, dataset: Dataset, encoder: str | None, modality: str | None) -> tuple[str | None, str | None]:
    """Encoder and modality of the vectors that a model reads; ``None`` and ``None`` for a model that reads none.

    Args:
        model: name of the model.
        dataset: the dataset.
        encoder: the requested encoder; ``None``: the default one.
        modality: the requested modality, or several as ``text+audio``; ``None``: all of them.

    Raises:
        MMRecError: the model does not read the requested vectors, or they do not exist.
    """
    if not registry.reads_content(registry.schema("models", model)["needs"]):
        if encoder is not None or modality not in {None, "none"}:
            raise MMRecError(f"'{model}' reads neither plots nor posters; leave out --encoder and --modality.")
        return None, None
    wanted = features.canonical(modality)
    chosen = None if wanted == "none" else encoder or features.default_encoder(dataset)
    features.content(dataset, chosen, wanted)
    return chosen, wanted


def _check_protocol(protocol: str, regime: str, dataset: Dataset) -> None:
    """Raise now what the evaluation would raise after the training run.

    Raises:
        MMRecError: more negatives than items, an unknown regime, or ``stream`` without times.
    """
    n = Protocol.parse(protocol).negatives or 0
    if n >= dataset.manifest["films"] > 0:
        raise MMRecError(
            f"Protocol '{protocol}' wants {n:,} other films; {dataset.name} has {dataset.manifest['films']:,} in all."
        )
    if regime not in {"frozen", "stream"}:
        raise unknown_name("regime", regime, ["frozen", "stream"])
    if regime == "stream" and "time" not in dataset.manifest["has"]:
        raise MMRecError(f"Regime 'stream' needs times, which {dataset.name} does not have.")


def _typed(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in the types of their config, without those at their default: ``{"dim": "64"}`` can equal ``{}``."""
    schema = registry.schema("models", model)
    known = {**schema.get("train", {}).get("properties", {}), **schema["config"].get("properties", {})}
    found = {}
    for key, value in options.items():
        kind = known.get(key, {}).get("type")
        if isinstance(value, str):
            with contextlib.suppress(ValueError):  # an invalid number is refused later with a better message
                value = {"integer": int, "number": float}.get(kind, str)(value)
            if kind == "boolean":
                value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
                    str(value).lower(), value
                )
        default = schema["preset"].get(key, known.get(key, {}).get("default"))
        if key not in known or value != default:
            found[key] = value
    return found


def evaluation_params(
    run_id: str, protocol: str, regime: str, relevant_from: float | None = None, tables: str | None = None
) -> dict[str, Any]:
    """Parameters of another evaluation of a trained model.

    Args:
        run_id: a finished training run.
        protocol: name of the protocol.
        regime: ``frozen`` or ``stream``.
        relevant_from: lowest rating that counts as relevant; ``None``: that of the training run.
        tables: also evaluate with embedding tables in this smaller number format.

    Raises:
        MMRecError: the run is no finished training run.
    """
    run = get(run_id)
    if run.kind != "train" or run.status != "finished":
        raise MMRecError(f"Run '{run_id}' is {run.status}; only a finished training run can be evaluated.")
    from mmrec_core.data.preparation import open_dataset

    opened = open_dataset(run.params["dataset"])
    _check_protocol(protocol, regime, opened)
    return {
        "dataset": run.params["dataset"],
        "model": run.params["model"],
        "run": run_id,
        "protocol": full_name(protocol, opened),
        "regime": regime,
        "relevant_from": relevant_from,
        **({"tables": tables} if tables else {}),
    }


def encoding_params(dataset: str, encoder: str, **requested: Any) -> dict[str, Any]:
    """Parameters of encoding a catalog and computing its maps.

    Raises:
        MMRecError: not prepared.
    """
    from mmrec_core.data.preparation import open_dataset

    open_dataset(dataset)
    return {
        "dataset": dataset,
        "model": encoder,
        "encoder": encoder,
        "options": {},
        "device": "auto",
        "project": True,
        **requested,
    }


def projection_params(dataset: str, encoder: str, view: str, **requested: Any) -> dict[str, Any]:
    """Parameters of computing a map."""
    return {
        "dataset": dataset,
        "model": encoder,
        "encoder": encoder,
        "view": view,
        "dim": 2,
        "seed": 0,
        "again": False,
        **requested,
    }


def encoder_training_params(datasets: Sequence[str], encoder: str, **requested: Any) -> dict[str, Any]:
    """Parameters of training a dual encoder on the poster–plot pairs of one or more datasets.

    Raises:
        MMRecError: not prepared.
    """
    from mmrec_core.data.preparation import open_dataset

    for name in datasets:
        open_dataset(name)
    usual = {"seed": 0, "held_out": 0.2, "options": {}, "out": None}
    return {
        "dataset": datasets[0],
        "datasets": list(datasets),
        "model": encoder,
        "encoder": encoder,
        **usual,
        **requested,
    }


def crossing_params(dataset: str, models: Sequence[str], **requested: Any) -> dict[str, Any]:
    """Parameters of a cold-start curve: quality of models for new users by number of ratings.

    Raises:
        MMRecError: not prepared, or a model that does not work on these data.
    """
    from mmrec_core.data.preparation import open_dataset

    opened = open_dataset(dataset)
    for name in models:
        if name not in usable_models(opened):
            raise unknown_name("model for these data", name, usable_models(opened))
    usual = {"ks": [0, 1, 2, 3, 5, 10, 20], "seed": 0, "split_seed": 0}
    return {"dataset": dataset, "model": "crossing", "models": list(models), **usual, **requested}


def donor_place(name: str) -> Path:
    """Path of the weights of a run (a folder), or of a weights file.

    Raises:
        MMRecError: no such run or file, or the run has no model.
    """
    if Path(name).suffix in {".safetensors", ".pt", ".pth", ".pkl", ".bin", ".ckpt"} or os.sep in name:
        path = ownership.confined(name)
        if not path.is_file():
            raise MMRecError(f"{path} is not a file. Name a run, or weights saved as .safetensors, .pt or .pth.")
        return path
    run = get(name)
    if run.kind != "train" or not run.has_model:
        raise MMRecError(
            f"Run '{name}' is {run.status} and left no model; resume it, or stop it to keep its best weights."
        )
    return run.folder / "model"


SHOWN_FIRST = ("random", "popularity", "bias", "itemknn", "ease", "mf", "bpr", "svdpp", "dlrm")
"""Baseline models that ``train-all`` trains by default: one of each family, without those that take minutes."""


def usual_encoders(dataset: Dataset) -> list[str]:
    """Encoders without downloads that have not encoded this dataset: our own for generated data, else ``classic``."""
    wanted = ["mini_clip", "mini_siglip"] if dataset.manifest["generated"] else ["classic"]
    has = dataset.manifest["posters"] or dataset.manifest["plots"]
    return [name for name in wanted if has and not (dataset.folder / "features" / name / "manifest.json").exists()]


def oracle_names(dataset: Dataset) -> tuple[str, ...]:
    """Oracles (best possible scorers) of a generated dataset; none for real data."""
    if not dataset.manifest["generated"]:
        return ()
    names: tuple[str, ...] = registry.load("datasets", dataset.manifest["reader"]).oracle_names
    return names


def oracle_params(dataset: str, oracle: str, **requested: Any) -> dict[str, Any]:
    """Parameters of evaluating an oracle, with default settings except ``requested``."""
    from mmrec_core.data.preparation import open_dataset

    usual = {
        k: DEFAULT_PARAMS[k] for k in ("split", "split_seed", "filter_from", "relevant_from", "protocol", "regime")
    }
    name = oracle.replace(":", "-").replace("+", "-")
    params = {"dataset": dataset, "model": name, "run": None, "oracle": oracle, **usual, **requested}
    return params | {"protocol": full_name(params["protocol"], open_dataset(dataset))}


def usable_models(dataset: Dataset) -> list[str]:
    """Models whose needs this dataset meets; read from cached schemas without importing the models."""
    offered = features.available_inputs(dataset)
    return [name for name, needs in registry.needs("models").items() if not registry.unmet(needs, offered)]
