"""What every dataset reader does: find its raw data, read them, and say what they are."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from mmrec_core.config import Config as AnyConfig
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Dataset, Progress, Scorer, Split

CATALOG_COLUMNS = ("title", "year", "genres", "director", "cast", "tags", "plot", "imdb_id", "tmdb_id")
"""What an item table may hold beside ``item``; ``genres``, ``cast`` and ``tags`` are lists of str."""

END = 3_976_214_400
"""2096-01-01T00:00:00Z: times from here on are taken for mistakes, as those before 1970 are."""


@dataclass
class RawData:
    """Raw data in memory, ids as the makers wrote them."""

    events: pd.DataFrame | None
    """Columns ``user``, ``item``, ``rating``, ``time``, those that exist, plus one per label and feature."""
    items: pd.DataFrame | None = None
    """``item`` and any of :data:`CATALOG_COLUMNS`; the order of its rows becomes the order of item rows."""
    users: pd.DataFrame | None = None
    """``user`` and side columns."""
    labels: Sequence[str] = ()
    features: Sequence[str] = ()
    scale: tuple[float, float] | None = None
    repeats: Literal["refused", "allowed"] = "refused"
    official: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    """Shipped splits: train and test rows of ``events``."""
    candidates: Mapping[str, Array] = field(default_factory=dict)
    """Shipped with a split: for each of its test rows the raw ids of the items it is to be ranked among ``[test rows, n]``."""
    posters: Mapping[Any, Path] = field(default_factory=dict)
    """Image file by raw item id, where the dataset brings its own."""
    file: str = "the ratings"
    """Where the events came from, for error messages."""
    first_line: int = 1
    """Line of the file in which the first event stands."""
    line_of: Callable[[int], int] | None = None
    """The line in which an event (from 0) stands, where it is not simply ``first_line`` plus its number."""
    licence: str = ""
    id_space: str = ""
    """Whose numbers ``item`` holds (``movielens``, …), where several datasets share them; ``""``: this dataset's own."""
    what: Literal["films", "books", "items"] = "films"
    """What the items are: plots and posters are looked up by title for films only."""
    notes: Sequence[str] = ()
    """What people should hear of how the files were read."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """More for the manifest."""
    stored: int | None = None
    """How many rows the reader has written under ``interactions/`` itself, block by block, where ``events`` is ``None``: a table of
    labels and features that memory may not hold."""


class DatasetReader(abc.ABC):
    """Reads one family of raw data. A public subclass in its own file is all that a new dataset needs."""

    Config: ClassVar[type[AnyConfig]] = AnyConfig
    generated: ClassVar[bool] = False
    """Made by us from a seed: said wherever the dataset is shown."""
    oracle_names: ClassVar[tuple[str, ...]] = ()
    """What :meth:`oracles` knows, told without asking."""

    def __init__(self, name: str, config: AnyConfig) -> None:
        self.name = name
        self.config = config

    @abc.abstractmethod
    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the raw data.

        Args:
            source: the folder or file the user named with ``--from``; ``None`` searches and, if need be, downloads.
            draft: the folder being prepared, in which files of the dataset's own (posters, a generated world) may be put.
            progress: told how far it is.

        Raises:
            MMRecError: not found, damaged, or not what the makers describe.
        """

    @classmethod
    def oracles(cls, dataset: Dataset, split: Split) -> Mapping[str, Scorer]:
        """Best possible scorers, where the truth is known because the data are generated; else none."""
        return {}

    @classmethod
    def captions(cls, dataset: Dataset) -> Sequence[Sequence[str]]:
        """By catalog row, what people might say of each poster, where the makers know; else none."""
        return ()


def check_events(raw: RawData) -> None:
    """Refuse events that no honest figure could rest on.

    Raises:
        MMRecError: a missing id, a time before 1970 or after 2095, a NaN or out-of-scale rating, or a repeated (user, item), with its line.
    """
    if raw.stored is not None:  # its reader has checked it, block by block
        return
    events = raw.events
    assert events is not None

    def line(at: int) -> int:
        return raw.line_of(at) if raw.line_of is not None else at + raw.first_line

    def refuse(bad: Array, column: str, expected: str) -> None:
        at = int(np.flatnonzero(bad)[0])
        raise MMRecError(
            f"{raw.file}, line {line(at)}: {column} is {_shown(events[column].iloc[at])}, expected {expected} "
            f"({int(bad.sum()):,} such line{'s' if bad.sum() > 1 else ''}). Mend or remove the line and prepare again."
        )

    if not len(events):
        raise MMRecError(f"{raw.file} holds no rows after its header.")
    for column in ("user", "item", "rating", "time"):
        if column in events and (missing := events[column].isna().to_numpy()).any():
            refuse(missing, column, "a value on every line")
    if "time" in events:
        time = events["time"].to_numpy()
        if (bad := (time < 0) | (time >= END)).any():
            refuse(bad, "time", "seconds since 1970, from 0 to 2095's last")
    if "rating" in events:
        if raw.scale is None:
            raise MMRecError(f"{raw.file} has ratings but no rating scale; give it as --scale LOW:HIGH, such as 0.5:5.")
        low, high = raw.scale
        rating = events["rating"].to_numpy()
        if (bad := (rating < low) | (rating > high)).any():
            refuse(bad, "rating", f"a number from {low:g} to {high:g} (the scale)")
    if raw.repeats == "refused" and {"user", "item"} <= set(events.columns):
        repeated = events.duplicated(["user", "item"]).to_numpy()
        if repeated.any():
            at = int(np.flatnonzero(repeated)[0])
            who = events[["user", "item"]].iloc[at]
            raise MMRecError(
                f"{raw.file}, line {line(at)}: user {who['user']} rates item {who['item']} a second time "
                f"({int(repeated.sum()):,} repeats). Remove repeats, keep the latest with --set repeats=latest, or prepare with --set repeats=allowed."
            )


def _shown(value: Any) -> str:
    """A value as its file has it: ``11``, not ``11.0``."""
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def parse_scale(text: str) -> tuple[float, float]:
    """``"0.5:5"`` → ``(0.5, 5.0)``.

    Raises:
        MMRecError: anything else.
    """
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise MMRecError(f"Rating scale is '{text}'; expected LOW:HIGH, such as 0.5:5.") from None
    if not (np.isfinite(low) and np.isfinite(high)):
        raise MMRecError(f"Rating scale is '{text}'; both ends must be finite numbers.")
    if not low < high:
        raise MMRecError(f"Rating scale is '{text}'; the lowest rating must be below the highest.")
    return low, high
