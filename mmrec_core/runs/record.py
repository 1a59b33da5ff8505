"""One run: its folder, status, events and result."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrec_core import records, settings, storage
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.runs import heartbeat

if TYPE_CHECKING:
    from mmrec_core.types import Dataset

LIVE = {"queued", "running"}
KINDS = ("prepare", "encode", "project", "train-encoder", "train", "evaluate", "crossing", "tune")
NEEDED = {
    "prepare": ("reader",),
    "encode": ("model", "encoder"),
    "project": ("model", "encoder", "view"),
    "train-encoder": ("model", "encoder"),
    "train": ("model",),
    "evaluate": ("model",),
    "crossing": ("model", "models"),
    "tune": ("model", "space", "trials"),
}
"""Required entries of ``params`` by kind, besides the dataset."""
GRACE_S = 10.0
"""Seconds that a stopping worker may take to write its checkpoint."""


@dataclass(frozen=True)
class Run:
    """One run: its folder and its ``run.json``."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """One of :data:`KINDS`."""
        return str(self.record["kind"])

    @property
    def params(self) -> dict[str, Any]:
        """The requested parameters, with defaults for training runs and searches."""
        return {**(DEFAULT_PARAMS if self.kind in {"train", "tune"} else {}), **self.record["params"]}

    @property
    def place(self) -> float:
        """Position in the queue: the time it was queued, in seconds; earlier runs are first."""
        return float(self.record.get("queued") or self.record["created"])

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``finished``, ``failed`` or ``stopped``; without a living worker it has failed."""
        recorded = str(self.record["status"])
        return "failed" if recorded in LIVE and not heartbeat.lives(self.record, self.folder) else recorded

    @property
    def error(self) -> str | None:
        """Why it failed, in one line; ``None`` if it has not."""
        if self.status != "failed":
            return None
        if self.record.get("error"):
            return str(self.record["error"])
        last = self.last("progress")
        where = f" while {last['what']}, at {last['done']:,} of {last['total']:,}" if last else ""
        return f"The worker process ended without a word{where}: killed, out of memory, or the machine went down. " + (
            "Resume it to go on from its last checkpoint." if self.has_checkpoint else "Resume it to start again."
        )

    @property
    def has_checkpoint(self) -> bool:
        """Whether a resumed run continues from a checkpoint."""
        return any((self.folder / "checkpoints").glob("[!.]*.safetensors")) or (self.folder / "trials.json").exists()

    @property
    def has_model(self) -> bool:
        """Whether the run has a saved model."""
        return os.path.exists(f"{self.folder}/model/config.json")

    @property
    def model_version(self) -> int | None:
        """The ``version`` of the model that the run saved; ``None`` without a saved model."""
        file = f"{self.folder}/model/config.json"
        try:
            return _saved_version(file, os.stat(file).st_mtime_ns)
        except (OSError, MMRecError):
            return None

    def is_of_older_model(self, versions: Mapping[str, int]) -> bool:
        """Whether the run saved a model of another version than today's: its weights and results are not what the model
        gives today. ``False`` without a saved model, or where the model is not installed.

        Args:
            versions: today's version of each model (:func:`mmrec_core.registry.versions`).
        """
        saved, today = self.model_version, versions.get(self.params["model"])
        return saved is not None and today is not None and saved != today

    def result(self) -> dict[str, Any] | None:
        """Result of a finished run; ``None`` if there is none or its file is damaged (see :attr:`damage`)."""
        try:
            return self.read_result()
        except DamagedFile:
            return None

    def read_result(self) -> dict[str, Any] | None:
        """Result of a finished run, ``None`` if there is none. The file is read again only when it changed.

        Raises:
            DamagedFile: ``result.json`` cannot be read, or is no result of this kind of run.
        """
        return read_result(self.folder, self.kind)

    @property
    def damage(self) -> DamagedFile | None:
        """Damage of its result file; ``None`` if it is not damaged."""
        try:
            self.read_result()
        except DamagedFile as error:
            return error
        return None

    def events(self) -> list[dict[str, Any]]:
        """Events so far, oldest first. Incomplete and invalid lines are skipped; only new lines are read from disk."""
        file = self.folder / "events.jsonl"
        try:
            size = file.stat().st_size
            upto, found = _read_events.get(file, (0, []))
            if size < upto:
                upto, found = 0, []
            if size > upto:
                with file.open("rb") as opened:
                    opened.seek(upto)
                    new = opened.read(size - upto)
                whole = new[: new.rfind(b"\n") + 1]
                found = [*found, *(event for line in whole.splitlines() if (event := _news(line)) is not None)]
                upto += len(whole)
                _read_events[file] = (upto, found)
                while len(_read_events) > 64:
                    _read_events.pop(next(iter(_read_events)))
        except OSError:
            return []
        return found

    def epochs(self, phase: str = "fit") -> list[dict[str, Any]]:
        """One event per epoch of a phase, in order; the last event counts if an epoch was repeated after a kill."""
        found = {e["epoch"]: e for e in self.events() if e.get("kind") == "epoch" and e.get("phase", "fit") == phase}
        return [found[at] for at in sorted(found)]

    def last(self, kind: str) -> dict[str, Any] | None:
        """The newest event of a kind: ``progress``, ``tick``, ``epoch`` or ``note``."""
        return next((e for e in reversed(self.events()) if e.get("kind") == kind), None)

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the worker's log."""
        file = self.folder / "log.txt"
        try:
            with file.open("rb") as opened:
                opened.seek(max(0, file.stat().st_size - 20_000))
                return "\n".join(opened.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""


_read_events: dict[Path, tuple[int, list[dict[str, Any]]]] = {}


def runs_folder() -> Path:
    """Folder of all runs."""
    return settings.home() / "runs"


NEWS = {"progress", "tick", "epoch", "note"}
REMEDY = "Mend it, or delete the run: python -m mmrec_core delete run {}"


def _news(line: bytes) -> dict[str, Any] | None:
    """The event in a line of ``events.jsonl``; ``None`` if it is invalid."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
        return None
    return event if event["kind"] not in NEWS or records.fault_of(event, records.NEWS) is None else None


def read_result(folder: Path, kind: str) -> dict[str, Any] | None:
    """Result in a run's folder; see :meth:`Run.read_result`."""
    file = folder / "result.json"
    try:
        stat = file.stat()
    except OSError:
        return None
    return _read_result(file, kind, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _read_result(file: Path, kind: str, modified_ns: int, size: int) -> dict[str, Any]:
    remedy = (
        "Its figures are left out. Mend it, or delete the run and start it again: "
        f"python -m mmrec_core delete run {file.parent.name}"
    )
    shape = {
        "train": records.RESULT,
        "evaluate": records.RESULT,
        "crossing": records.CROSSING,
        "tune": records.TUNED,
    }.get(kind, records.OTHER_RESULT)
    return records.read(file, shape, remedy)


def read_record(folder: Path) -> dict[str, Any]:
    """Content of a run's ``run.json``.

    Raises:
        MMRecError: it is missing.
        DamagedFile: it cannot be read, or is no record of a run.
    """
    file, remedy = folder / "run.json", REMEDY.format(folder.name)
    record = records.read(file, records.RUN, remedy)
    if record["kind"] not in KINDS:
        raise DamagedFile(
            storage.shown(file), f"it is a run of the kind {record['kind']!r}; known are {', '.join(KINDS)}", remedy
        )
    lacking = [k for k in NEEDED.get(record["kind"], ()) if record["params"].get(k) is None]
    if lacking:
        raise DamagedFile(storage.shown(file), f"'params.{lacking[0]}' is missing", remedy)
    return record


DEFAULT_PARAMS: dict[str, Any] = {
    "split": "user-temporal", "split_seed": 0, "seed": 0, "protocol": "full", "regime": "frozen",
    "relevant_from": None, "filter_from": None, "refit": False, "fraction": 1.0, "from_run": None, "encoder": None,
    "modality": None, "options": {},
}  # fmt: skip
"""Default parameters of a training run; the split and the protocol depend on the dataset, see
:func:`default_params`."""


def default_params(dataset: Dataset) -> dict[str, Any]:
    """Default parameters of a training run on a dataset: its default split, and the protocol with its full name."""
    from mmrec_core.data.splits import default_split
    from mmrec_core.evaluation.protocols import full_name

    return {
        **DEFAULT_PARAMS,
        "split": default_split(dataset),
        "protocol": full_name(DEFAULT_PARAMS["protocol"], dataset),
    }


@lru_cache(maxsize=4096)
def _saved_version(file: str, modified_ns: int) -> int | None:
    """The version of a saved model; ``None`` if its file cannot be read."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8")).get("version")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) else None
