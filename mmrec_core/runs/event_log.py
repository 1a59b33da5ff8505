"""Event log of a run: events are appended to its ``events.jsonl``, which pages and the command line read."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmrec_core.runs import plain
from mmrec_core.types import Progress

STEP_S = 0.5
"""Shortest time between two progress events, in seconds."""


class EventLogger:
    """Appends events to ``events.jsonl``; progress at most every :data:`STEP_S` seconds."""

    def __init__(self, folder: Path, also: Progress) -> None:
        path = folder / "events.jsonl"
        torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        self.file = path.open("a", encoding="utf-8")
        if torn:  # an incomplete line of a killed worker
            self.file.write("\n")
        self.last, self.what, self.also = 0.0, "", also

    def log_event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Write one event."""
        entry = {k: round(v, 6) if isinstance(v, float) else v for k, v in plain(values).items()}
        self.file.write(json.dumps({"time": round(time.time(), 3), "kind": kind, **entry}) + "\n")
        self.file.flush()
        if kind == "note":
            print(values["text"], file=sys.stderr, flush=True)

    def progress(self, done: int, total: int, what: str) -> None:
        """Pass progress on, and write it if enough time has passed."""
        self.also(done, total, what)
        if what != self.what or time.time() - self.last > STEP_S or done == total:
            self.last, self.what = time.time(), what
            self.log_event("progress", {"done": done, "total": total, "what": what})


class NullEventLogger(EventLogger):
    """Writes nothing: of several processes only the first one logs."""

    def __init__(self) -> None:
        pass

    def log_event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Does nothing."""

    def progress(self, done: int, total: int, what: str) -> None:
        """Does nothing."""
