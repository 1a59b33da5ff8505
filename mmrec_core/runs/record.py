"""One run: its folder, status, events and result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmrec_core import records, settings, storage
from mmrec_core.errors import DamagedFile
from mmrec_core.runs import heartbeat

LIVE = {"queued", "running"}
KINDS = ("prepare", "encode", "project", "train-encoder", "train", "evaluate", "crossing", "tune")
NEEDED = {
    "prepare": ("reader",), "encode": ("model", "encoder"), "project": ("model", "encoder", "view"), "train-encoder": ("model", "encoder"),
    "train": ("model",), "evaluate": ("model",), "crossing": ("model", "models"), "tune": ("model", "space", "trials"),
}  # fmt: skip
"""Of each kind what its ``params`` name beside the dataset."""
GRACE_S = 10.0
"""How long a worker that was asked to stop may take to keep its checkpoint."""


@dataclass(frozen=True)
class Run:
    """One run as its folder tells it."""

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
        """What was asked for."""
        return {**(USUAL if self.kind in {"train", "tune"} else {}), **self.record["params"]}

    @property
    def place(self) -> float:
        """Where it stands in the queue: moments in seconds, earlier ones first."""
        return float(self.record.get("queued") or self.record["created"])

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``finished``, ``failed`` or ``stopped``; a worker that vanished has failed."""
        said = str(self.record["status"])
        return "failed" if said in LIVE and not heartbeat.lives(self.record, self.folder) else said

    @property
    def error(self) -> str | None:
        """Why it failed, in a line."""
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
        """Whether a resumed run would go on from where it was."""
        return any((self.folder / "checkpoints").glob("[!.]*.safetensors")) or (self.folder / "trials.json").exists()

    @property
    def has_model(self) -> bool:
        """Whether it left a model behind."""
        return (self.folder / "model" / "config.json").exists()

    def result(self) -> dict[str, Any] | None:
        """What it found, once finished; ``None`` where there is nothing, or where the file is damaged (see :attr:`damage`)."""
        try:
            return self.read_result()
        except DamagedFile:
            return None

    def read_result(self) -> dict[str, Any] | None:
        """What it found, once finished, read again only when the file changed.

        Raises:
            DamagedFile: ``result.json`` cannot be read, or is no result of such a run.
        """
        return read_result(self.folder, self.kind)

    @property
    def damage(self) -> DamagedFile | None:
        """What is wrong with its result; ``None`` where nothing is."""
        try:
            self.read_result()
        except DamagedFile as error:
            return error
        return None

    def events(self) -> list[dict[str, Any]]:
        """Progress so far, oldest first; a line that is cut short or no news is passed over. Only what is new is read."""
        file = self.folder / "events.jsonl"
        try:
            size = file.stat().st_size
            upto, found = _read_events.get(file, (0, []))
            if size < upto:
                upto, found = 0, []
            if size > upto:
                with file.open("rb") as held:
                    held.seek(upto)
                    new = held.read(size - upto)
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
        """One event per epoch of a phase, in order; an epoch that was repeated after a kill counts once, as it was last."""
        found = {e["epoch"]: e for e in self.events() if e.get("kind") == "epoch" and e.get("phase", "fit") == phase}
        return [found[at] for at in sorted(found)]

    def last(self, kind: str) -> dict[str, Any] | None:
        """The newest event of a kind: ``progress``, ``tick``, ``epoch`` or ``note``."""
        return next((e for e in reversed(self.events()) if e.get("kind") == kind), None)

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the worker's log."""
        file = self.folder / "log.txt"
        try:
            with file.open("rb") as held:
                held.seek(max(0, file.stat().st_size - 20_000))
                return "\n".join(held.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""


_read_events: dict[Path, tuple[int, list[dict[str, Any]]]] = {}


def runs_folder() -> Path:
    """Where run folders live."""
    return settings.home() / "runs"


NEWS = {"progress", "tick", "epoch", "note"}
REMEDY = "Mend it, or delete the run: python -m mmrec_core delete run {}"


def _news(line: bytes) -> dict[str, Any] | None:
    """A line of ``events.jsonl``; ``None`` where it is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
        return None
    return event if event["kind"] not in NEWS or records.fault_of(event, records.NEWS) is None else None


def read_result(folder: Path, kind: str) -> dict[str, Any] | None:
    """What a run of a kind found; see :meth:`Run.read_result`."""
    file = folder / "result.json"
    try:
        told = file.stat()
    except OSError:
        return None
    return _read_result(file, kind, told.st_mtime_ns, told.st_size)


@lru_cache(maxsize=1024)
def _read_result(file: Path, kind: str, modified_ns: int, size: int) -> dict[str, Any]:
    remedy = f"Its figures are left out. Mend it, or delete the run and start it again: python -m mmrec_core delete run {file.parent.name}"
    shape = {
        "train": records.RESULT,
        "evaluate": records.RESULT,
        "crossing": records.CROSSING,
        "tune": records.TUNED,
    }.get(kind, records.OTHER_RESULT)
    return records.read(file, shape, remedy)


def read_record(folder: Path) -> dict[str, Any]:
    """What a run's ``run.json`` says.

    Raises:
        MMRecError: it is missing.
        DamagedFile: it cannot be read, or is no record of a run.
    """
    file, remedy = folder / "run.json", REMEDY.format(folder.name)
    told = records.read(file, records.RUN, remedy)
    if told["kind"] not in KINDS:
        raise DamagedFile(
            storage.shown(file), f"it is a run of the kind {told['kind']!r}; known are {', '.join(KINDS)}", remedy
        )
    lacking = [k for k in NEEDED.get(told["kind"], ()) if told["params"].get(k) is None]
    if lacking:
        raise DamagedFile(storage.shown(file), f"'params.{lacking[0]}' is missing", remedy)
    return told


USUAL: dict[str, Any] = {
    "split": "user-temporal", "split_seed": 0, "seed": 0, "protocol": "full", "regime": "frozen",
    "relevant_from": None, "filter_from": None, "refit": False, "fraction": 1.0, "from_run": None, "encoder": None,
    "modality": None, "options": {},
}  # fmt: skip
"""A training as it is when nothing else is said."""
