"""Where work writes down how it goes, and hears that it should stop. Loads nothing heavy: a waiting worker is small."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmrec_core.types import Progress, quiet

Tell = Callable[[str, Mapping[str, Any]], None]
"""Takes a kind of news (``tick``, ``epoch``, ``note``) and its values."""


def silent(kind: str, values: Mapping[str, Any]) -> None:
    """Told to nobody."""


class Interrupted(BaseException):
    """The training was asked to stop and has kept its checkpoint; no error. ``model`` has the best weights so far."""

    def __init__(self, model: Any = None) -> None:
        super().__init__("stopped by hand")
        self.model = model


@dataclass
class StopFlag:
    """Asked for from outside, honoured between two steps."""

    wanted: bool = False
    awaited: bool = False
    """Whether somebody looks at ``wanted`` just now; if not, who wants a stop must end the process."""
    timer: Any = None
    """Ends the process where the stop is not honoured in time."""

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """While this lasts the flag is looked at after every step."""
        self.awaited = True
        try:
            yield
        finally:
            self.awaited = False


@dataclass
class TrainingCallbacks:
    """Where a training writes down how it goes."""

    folder: Path | None = None
    """Where it keeps a checkpoint by the name of its phase; where there is one already, it goes on from that."""
    log_event: Tell = silent
    progress: Progress = quiet
    stop: StopFlag = field(default_factory=StopFlag)
