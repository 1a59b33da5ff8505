"""Amazon product reviews as sequences of items without names (5-core, as prepared for S3-Rec)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmrec_core import settings, storage
from mmrec_core.config import Config, setting
from mmrec_core.data.datasets._base import DatasetReader, RawData
from mmrec_core.errors import MMRecError
from mmrec_core.ids import is_canonical
from mmrec_core.reading import input_files
from mmrec_core.types import Progress

PRESETS: dict[str, dict[str, Any]] = {
    "amazon-beauty": {"file": "Beauty"},
    "amazon-sports": {"file": "Sports_and_Outdoors"},
    "amazon-toys": {"file": "Toys_and_Games"},
}
SUMMARIES = {
    "amazon-beauty": "Amazon purchase sequences of beauty products, 5-core (McAuley et al. 2015; S3-Rec's files).",
    "amazon-sports": "Amazon purchase sequences of sports goods, 5-core (McAuley et al. 2015; S3-Rec's files).",
    "amazon-toys": "Amazon purchase sequences of toys, 5-core (McAuley et al. 2015; S3-Rec's files).",
}


class Amazon(DatasetReader):
    """Amazon purchase sequences, 5-core (McAuley et al. 2015, as prepared by the authors of S3-Rec).

    The file has one line per user, ``user item item …`` in time order; ``…_item2attributes.json`` beside it has item
    attributes. There are no times and no ratings. An event's position in its user's line is stored as its time in
    seconds, so only the order within a user is real.
    """

    class Config(Config):
        """Which of the files."""

        file: str = setting(
            "Beauty",
            "name of the file without its ending, in the folder given by --from or in MMREC_SOURCES/amazon_seq",
        )

    config: Config

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the file named with ``--from``, or found by its name in ``MMREC_SOURCES``."""
        file = self._find(source)
        progress(0, 1, "reading sequences")
        user: list[int] = []
        item: list[int] = []
        time: list[int] = []
        with input_files.reading(file, "text in UTF-8"):
            lines = file.read_text(encoding="utf-8").split("\n")
        for line, text in enumerate(lines, 1):
            if not text.strip():
                continue
            try:
                if not all(is_canonical(part) for part in text.split()):
                    raise ValueError
                who, *what = (int(part) for part in text.split())
            except ValueError:
                raise MMRecError(
                    f"{file}, line {line}: expected a user's number and the numbers of their items, not '{text[:60]}'."
                ) from None
            user += [who] * len(what)
            item += what
            time += range(len(what))
        events = pd.DataFrame(
            {"user": np.array(user, np.int64), "item": np.array(item, np.int64), "time": np.array(time, np.int64)}
        )
        return RawData(
            events,
            items=self._products(file, events),
            repeats="allowed",
            what="items",
            file=str(file),
            licence="Amazon product reviews (McAuley et al. 2015), as prepared by the authors of S3-Rec; research use.",
            about={
                "times": "an event's place in its user's sequence, in seconds: the order within a user is real, "
                "nothing else"
            },
        )

    def _products(self, file: Path, events: pd.DataFrame) -> pd.DataFrame:
        """Every product, with its attributes as tags if they are known."""
        beside = file.with_name(f"{file.stem}_item2attributes.json")
        known: dict[str, list[int]] = {}
        if beside.is_file():
            content = storage.read_json(beside)
            if not isinstance(content, dict) or not all(isinstance(v, list) for v in content.values()):
                raise MMRecError(
                    f"{beside} holds no lists of attributes by product. Move it away to continue without attributes."
                )
            known = content
        items = np.unique(events["item"].to_numpy())
        tags = [[f"attribute {a}" for a in known.get(str(i), [])] for i in items.tolist()]
        return pd.DataFrame({"item": items, "title": [f"Product {i}" for i in items.tolist()], "tags": tags})

    def _find(self, source: Path | None) -> Path:
        name = self.config.file
        if source is not None and source.is_file():
            return source
        folders = [source] if source is not None else [place / "amazon_seq" for place in settings.sources()]
        for place in folders:
            if (place / f"{name}.txt").is_file():
                return place / f"{name}.txt"
        raise MMRecError(
            f"{name}.txt was not found. Name its folder with --from, or put it into a folder called amazon_seq under "
            "MMREC_SOURCES."
        )
