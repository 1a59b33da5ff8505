"""News of a piece of work: appended to its ``events.jsonl``, which pages and the command line read while it goes on."""

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
"""How often a worker tells its progress, at most."""


class EventLogger:
    """Appends news to ``events.jsonl``; progress not more often than people can read."""

    def __init__(self, folder: Path, also: Progress) -> None:
        path = folder / "events.jsonl"
        torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        self.file = path.open("a", encoding="utf-8")
        if torn:  # a killed worker's half line
            self.file.write("\n")
        self.last, self.what, self.also = 0.0, "", also

    def log_event(self, kind: str, values: Mapping[str, Any]) -> None:
        """One piece of news."""
        told = {k: round(v, 6) if isinstance(v, float) else v for k, v in plain(values).items()}
        self.file.write(json.dumps({"time": round(time.time(), 3), "kind": kind, **told}) + "\n")
        self.file.flush()
        if kind == "note":
            print(values["text"], file=sys.stderr, flush=True)

    def progress(self, done: int, total: int, what: str) -> None:
        """How far it is."""
        self.also(done, total, what)
        if what != self.what or time.time() - self.last > STEP_S or done == total:
            self.last, self.what = time.time(), what
            self.log_event("progress", {"done": done, "total": total, "what": what})


class NullEventLogger(EventLogger):
    """Says nothing: of several processes the first one speaks."""

    def __init__(self) -> None:
        pass

    def log_event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def progress(self, done: int, total: int, what: str) -> None:
        """Nothing."""
