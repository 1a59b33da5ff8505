"""Callbacks of a training run: events, progress, and requests to stop.

This module imports no torch, so that a worker that waits in the queue stays small.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmrec_core.types import Progress, quiet

EventCallback = Callable[[str, Mapping[str, Any]], None]
"""Takes the kind of an event (``tick``, ``epoch``, ``note``) and its values."""


SnapshotCallback = Callable[[Any, int, str], None]
"""Takes the model, the number of epochs done and the phase: before the first epoch and after each."""


def ignore_snapshot(model: Any, epochs: int, phase: str) -> None:
    """A snapshot callback that does nothing."""


def ignore_event(kind: str, values: Mapping[str, Any]) -> None:
    """An event callback that does nothing."""


class Interrupted(BaseException):
    """Raised when a training run stops on request, after its checkpoint is saved. It is no error.

    ``model`` has the best weights so far.
    """

    def __init__(self, model: Any = None) -> None:
        super().__init__("stopped by hand")
        self.model = model


@dataclass
class StopFlag:
    """A request to stop, set by another thread or process and read between two training steps."""

    wanted: bool = False
    awaited: bool = False
    """Whether the training run reads ``wanted`` at the moment. If not, only ending the process stops the run."""
    timer: Any = None
    """Ends the process if the training does not stop in time."""

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Mark the flag as read after every step inside this block."""
        self.awaited = True
        try:
            yield
        finally:
            self.awaited = False


@dataclass
class TrainingCallbacks:
    """Callbacks of a training run: logging, progress, stop requests, and where checkpoints go."""

    folder: Path | None = None
    """Where it keeps a checkpoint by the name of its phase; where there is one already, it goes on from that."""
    log_event: EventCallback = ignore_event
    progress: Progress = quiet
    stop: StopFlag = field(default_factory=StopFlag)
    snapshot: SnapshotCallback = ignore_snapshot
