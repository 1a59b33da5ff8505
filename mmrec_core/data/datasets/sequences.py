"""Sequences of user and item from text files with one event per line, in time order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import settings
from mmrec_core.config import Config, setting
from mmrec_core.data.datasets._base import DatasetReader, RawData
from mmrec_core.data.datasets._files import read_columns
from mmrec_core.errors import MMRecError
from mmrec_core.types import Progress

PRESETS: dict[str, dict[str, Any]] = {"sequences": {}, "wikipedia": {"file": "wikipedia.txt"}}
SUMMARIES = {
    "wikipedia": "Edits of Wikipedia pages as sequences, a text file with user item on each line, in time order.",
}
LICENCES = {"wikipedia": "Wikipedia edits (Kumar et al. 2019, JODIE), as published with SASRec.pytorch (Apache-2.0)."}


class Sequences(DatasetReader):
    """A text file with ``user item`` on each line, in time order, as in SASRec; no times, no ratings.

    The line number is stored as the time, in seconds: the order is real, durations are not. A pair may occur several
    times.
    """

    class Config(Config):
        """Which file."""

        file: str = setting(
            "", "name of the file where the folder given by --from, or MMREC_SOURCES/sasrec, has several"
        )

    config: Config

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the file named with ``--from``, or found by its name in ``MMREC_SOURCES``."""
        file = self._find(source)
        progress(0, 1, "reading events")
        with file.open("rb") as opened:
            events = read_columns(
                opened, str(file), {"user": "int64", "item": "int64"}, names=["user", "item"], header=None, sep=r"\s+"
            )
        events["time"] = np.arange(len(events), dtype=np.int64)
        return RawData(
            events,
            repeats="allowed",
            what="items",
            file=str(file),
            licence=LICENCES.get(self.name, "Your own data."),
            about={"times": "a line's number, one second each: the order is real, durations are not"},
        )

    def _find(self, source: Path | None) -> Path:
        name = self.config.file
        folders = [source] if source is not None else [place / "sasrec" for place in settings.sources()]
        for place in folders:
            if place.is_file():
                return place
            if name and (place / name).is_file():
                return place / name
            own = [f for f in place.glob("*.txt") if f.is_file()] if source is not None and not name else []
            if len(own) == 1:
                return own[0]
        raise MMRecError(
            f"{name or 'The file of events'} was not found. Name a text file with 'user item' on each line: "
            "prepare sequences --from FILE --name NAME, or put it into a folder called sasrec under MMREC_SOURCES."
        )
