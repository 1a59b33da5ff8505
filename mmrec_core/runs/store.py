"""All runs of the home: list, find, update."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmrec_core import ownership, registry, storage
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.features import controls
from mmrec_core.runs.record import Run, default_params, read_record, runs_folder
from mmrec_core.types import Dataset

_read_runs: dict[str, tuple[tuple[int, int, int], dict[str, Any] | DamagedFile]] = {}


def _record(folder: str) -> dict[str, Any] | DamagedFile | None:
    """Content of a run's ``run.json``, or its damage, or ``None`` without one; read again only if the file changed."""
    file = f"{folder}/run.json"
    try:
        stat = os.stat(file)
    except OSError:
        return None
    stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)  # each write makes a new file
    cached = _read_runs.get(file)
    if cached is None or cached[0] != stamp:
        record: dict[str, Any] | DamagedFile
        try:
            record = read_record(Path(folder))
        except DamagedFile as error:
            record = error
        except MMRecError:
            return None
        cached = _read_runs[file] = (stamp, record)
    return cached[1]


def _records() -> list[tuple[Path, dict[str, Any] | DamagedFile]]:
    """All run folders with the content of ``run.json``, or with its damage."""
    folder = runs_folder()
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []
    found = ((folder / name, _record(f"{folder}/{name}")) for name in names)
    return [(own, record) for own, record in found if record is not None]


def all_runs() -> list[Run]:
    """All runs, oldest first, without :func:`damaged_runs`."""
    return [Run(folder, record) for folder, record in _records() if not isinstance(record, DamagedFile)]


def damaged_runs() -> dict[str, DamagedFile]:
    """Damage of ``run.json`` by id of the run; the folders are left unchanged."""
    return {folder.name: record for folder, record in _records() if isinstance(record, DamagedFile)}


def get(run_id: str) -> Run:
    """One run.

    Raises:
        MMRecError: unknown.
        DamagedFile: its ``run.json`` cannot be read.
    """
    folder = runs_folder() / run_id
    record = _record(str(folder)) if folder.parent == runs_folder() else None
    if record is None:
        raise unknown_name("run", run_id, [r.id for r in all_runs()][-8:])
    if isinstance(record, DamagedFile):
        raise DamagedFile(record.place, record.fault, record.remedy)
    return Run(folder, record)


def finished(dataset: Dataset) -> dict[str, Run]:
    """The newest finished training run of each model on this version of the data.

    Training runs by today's version of a model are preferred. Among them come those with default settings first, then
    those in the default evaluation setup with other settings, before arms of ablations that read less, other splits,
    seeds and so on.
    """
    usual = default_params(dataset)
    able = [
        run
        for run in all_runs()
        if run.kind == "train"
        and run.record["status"] == "finished"
        and run.params["dataset"] == dataset.name
        and run.record.get("data") == dataset.checksum
        and run.has_model
    ]
    versions = registry.versions("models", (run.params["model"] for run in able))
    found: dict[str, tuple[int, Run]] = {}
    for run in able:
        rank, model = (
            2 * has_default_params(run, usual) or int(has_default_params(run, usual, options=False)),
            run.params["model"],
        )
        rank += 0 if run.is_of_older_model(versions) else 4
        if model not in found or rank >= found[model][0]:
            found[model] = (rank, run)
    return {model: run for model, (_, run) in found.items()}


def has_default_params(run: Run, usual: Mapping[str, Any], options: bool = True) -> bool:
    """Whether a training run has default settings only and records which rows it knows, as results of today do.

    The vectors of any encoder are default, if all its modalities are read; those of a control are not.

    Args:
        run: the training.
        usual: default parameters on its dataset (:func:`mmrec_core.runs.record.default_params`).
        options: whether settings of model and trainer must be the defaults, too.
    """
    params = run.params
    default = {"dataset": params["dataset"], "model": params["model"], **usual}
    encoder = params.get("encoder")
    if params.get("modality") == "both" and (encoder is None or controls.parse(encoder) is None):
        default |= {"modality": "both", "encoder": encoder}
    if not options:
        default["options"] = params.get("options")
    return params == default and run.record.get("known") is not None


def update(run: Run, **changes: Any) -> Run:
    """Change entries of ``run.json`` under a lock."""
    with storage.locked("run"):
        record = {**read_record(run.folder), **changes}
        storage.write_json(run.folder / "run.json", record)
    return Run(run.folder, record)


def plain(value: Any) -> Any:
    """A value as JSON types: NumPy numbers become Python numbers, NaN and infinity become ``None``."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.floating, float)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def liked_from(params: Mapping[str, Any]) -> float | None:
    """Relevance threshold of a run's parameters: ``relevant_from``, else ``filter_from`` (all kept ratings are
    relevant)."""
    return params.get("relevant_from") if params.get("relevant_from") is not None else params.get("filter_from")


NAME_LENGTH = 40
"""Most characters of a run's name."""


def rename(run_id: str, name: str) -> Run:
    """Give a run a name that is shown with its result; an empty name removes it.

    Raises:
        MMRecError: an unknown run, or a name that is too long, has control characters, or is a model's.
    """
    ownership.require("rename results")
    name = " ".join(name.split())
    if len(name) > NAME_LENGTH or not name.isprintable():
        raise MMRecError(f"A name has at most {NAME_LENGTH} printable characters; this one has {len(name)}.")
    run = get(run_id)
    if name in registry.names("models"):
        raise MMRecError(f"'{name}' is the name of a model; choose another.")
    return update(run, name=name or None)


def known_rows(params: Mapping[str, Any]) -> Literal["training", "training + validation"]:
    """Rows that a model knows when it is tested in the regime ``frozen``."""
    return "training + validation" if params.get("refit") else "training"
