"""Every run of the home: list, find, change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmrec_core import ownership, registry, storage
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.evaluation.protocols import full_name
from mmrec_core.runs.record import USUAL, Run, read_record, runs_folder
from mmrec_core.types import Dataset

_read_runs: dict[Path, tuple[tuple[int, int], dict[str, Any] | DamagedFile]] = {}


def _looked_at() -> list[tuple[Path, dict[str, Any] | DamagedFile]]:
    """Every run's folder with what its ``run.json`` says, or why that cannot be read; a file that did not change is not read again."""
    found = []
    for file in sorted(runs_folder().glob("[!.]*/run.json")):
        try:
            stat = file.stat()
        except OSError:
            continue  # it has just been removed
        stamp = (stat.st_mtime_ns, stat.st_size)
        held = _read_runs.get(file)
        if held is None or held[0] != stamp:
            told: dict[str, Any] | DamagedFile
            try:
                told = read_record(file.parent)
            except DamagedFile as error:
                told = error
            except MMRecError:
                continue
            held = _read_runs[file] = (stamp, told)
        found.append((file.parent, held[1]))
    return found


def all_runs() -> list[Run]:
    """Every run, oldest first, but those of :func:`damaged_runs`."""
    return [Run(folder, told) for folder, told in _looked_at() if not isinstance(told, DamagedFile)]


def damaged_runs() -> dict[str, DamagedFile]:
    """Runs whose ``run.json`` cannot be read, by id, and what is wrong with it; their folders are left as they are."""
    return {folder.name: told for folder, told in _looked_at() if isinstance(told, DamagedFile)}


def get(run_id: str) -> Run:
    """One run.

    Raises:
        MMRecError: unknown.
        DamagedFile: its ``run.json`` cannot be read.
    """
    folder = runs_folder() / run_id
    if folder.parent != runs_folder() or not (folder / "run.json").exists():
        raise unknown_name("run", run_id, [r.id for r in all_runs()][-8:])
    return Run(folder, read_record(folder))


def finished(dataset: Dataset) -> dict[str, Run]:
    """The newest finished training of each model on this very data, by model name; usual settings before special ones."""
    full = full_name(USUAL["protocol"], dataset)
    found: dict[str, Run] = {}
    for run in all_runs():
        if run.kind == "train" and run.record["status"] == "finished" and run.params["dataset"] == dataset.name:
            if run.record.get("data") == dataset.checksum and run.has_model:
                model = run.params["model"]
                if _usual(run, full) or model not in found or not _usual(found[model], full):
                    found[model] = run
    return found


def _usual(run: Run, full: str) -> bool:
    """Whether a training was asked for with all its usual settings, and recorded which rows it knows, as results of today do.

    Args:
        full: what the usual protocol is called on these data (:func:`mmrec_core.evaluation.protocols.full_name`).
    """
    params = run.params
    usual = {"dataset": params["dataset"], "model": params["model"], **USUAL, "protocol": full}
    return params == usual and run.record.get("known") is not None


def update(run: Run, **changes: Any) -> Run:
    """Change what ``run.json`` tells; one writer at a time."""
    with storage.locked("run"):
        told = {**read_record(run.folder), **changes}
        storage.write_json(run.folder / "run.json", told)
    return Run(run.folder, told)


def plain(value: Any) -> Any:
    """Numbers JSON knows; NaN and infinity become ``null``."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.floating, float)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def liked_from(asked: Mapping[str, Any]) -> float | None:
    """The threshold of liking that was asked for; where low ratings were dropped instead, whatever was kept is liked."""
    return asked.get("relevant_from") if asked.get("relevant_from") is not None else asked.get("filter_from")


NAME_LENGTH = 40


def rename(run_id: str, name: str) -> Run:
    """Give a run a name of one's own, shown wherever its result is; an empty one takes it back.

    Raises:
        MMRecError: an unknown run, a name that is too long or holds control characters.
    """
    ownership.require("rename results")
    name = " ".join(name.split())
    if len(name) > NAME_LENGTH or not name.isprintable():
        raise MMRecError(f"A name has at most {NAME_LENGTH} printable characters; this one has {len(name)}.")
    run = get(run_id)
    if name in registry.names("models"):
        raise MMRecError(f"'{name}' is the name of a model; choose another.")
    return update(run, name=name or None)


def known_rows(asked: Mapping[str, Any]) -> Literal["training", "training + validation"]:
    """Which rows a model knows when it is tested in the regime ``frozen``."""
    return "training + validation" if asked.get("refit") else "training"


SPLITS = (
    "user-temporal", "random", "random-global", "chronological", "leave-one-out", "cold-user", "cold-item", "folds", "official", "file",
)  # fmt: skip
