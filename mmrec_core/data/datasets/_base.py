"""Base class of dataset readers, the raw data they return, and checks of events."""

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
"""2096-01-01T00:00:00Z: later times, and times before 1970, are refused as errors."""


@dataclass
class RawData:
    """Raw data in memory, with raw ids."""

    events: pd.DataFrame | None
    """Columns ``user``, ``item``, ``rating``, ``time`` as far as they exist, and one column per label and feature."""
    items: pd.DataFrame | None = None
    """``item`` and any of :data:`CATALOG_COLUMNS`; the order of its rows becomes the order of item rows."""
    users: pd.DataFrame | None = None
    """``user`` and side columns."""
    labels: Sequence[str] = ()
    features: Sequence[str] = ()
    scale: tuple[float, float] | None = None
    repeats: Literal["refused", "allowed"] = "refused"
    official: Mapping[str, tuple[Array, ...]] = field(default_factory=dict)
    """Official splits: training and test rows of ``events``, or training, validation and test rows."""
    candidates: Mapping[str, Array] = field(default_factory=dict)
    """Candidates of an official split: raw ids of the items that each test row is ranked among ``[test rows, n]``."""
    vectors: Mapping[str, Mapping[str, tuple[Array, Array]]] = field(default_factory=dict)
    """Vectors of items that come with the dataset.

    By name of the set and by modality (``text``, ``image``, ``audio``, …): raw item ids ``[N]`` and float vectors
    ``[N, width]``. Rows of zeros are items without one. They are stored as imported features.
    """
    posters: Mapping[Any, Path] = field(default_factory=dict)
    """Image file by raw item id, if the dataset has posters."""
    file: str = "the ratings"
    """The file of the events, for error messages."""
    first_line: int = 1
    """Line of the first event in the file."""
    line_of: Callable[[int], int] | None = None
    """The line of an event (from 0), if it is not ``first_line`` plus its number."""
    licence: str = ""
    id_space: str = ""
    """Id space of ``item`` (``movielens``, …) if several datasets share it; ``""``: ids of this dataset only."""
    what: Literal["films", "books", "items"] = "films"
    """Kind of the items; plots and posters are looked up by title for films only."""
    notes: Sequence[str] = ()
    """Notes for users about how the files were read."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """More keys for the manifest."""
    stored: int | None = None
    """Number of rows that the reader has written to ``interactions/`` itself; then ``events`` is ``None``.

    For tables of labels and features that are larger than memory.
    """


class DatasetReader(abc.ABC):
    """Base class of dataset readers. A new dataset needs one public subclass in a file of its own."""

    Config: ClassVar[type[AnyConfig]] = AnyConfig
    generated: ClassVar[bool] = False
    """Whether the data are generated; pages say so wherever the dataset is shown."""
    oracle_names: ClassVar[tuple[str, ...]] = ()
    """Names of the scorers that :meth:`oracles` returns."""

    def __init__(self, name: str, config: AnyConfig) -> None:
        self.name = name
        self.config = config

    @abc.abstractmethod
    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the raw data.

        Args:
            source: the folder or file that the user named with ``--from``; ``None`` searches, and downloads if
                necessary.
            draft: the folder being prepared; the reader may write files of its own there (posters, a generated world).
            progress: progress callback.

        Raises:
            MMRecError: not found, damaged, or not in the documented format.
        """

    @classmethod
    def oracles(cls, dataset: Dataset, split: Split) -> Mapping[str, Scorer]:
        """Best possible scorers by name, if the data are generated and the ground truth is known; else none."""
        return {}

    @classmethod
    def captions(cls, dataset: Dataset) -> Sequence[Sequence[str]]:
        """Captions of each poster by catalog row, if the data are generated; else none."""
        return ()


def check_events(raw: RawData) -> None:
    """Check events and refuse invalid ones.

    Raises:
        MMRecError: a missing id, a time before 1970 or after 2095, a NaN or out-of-scale rating, or a repeated (user,
            item), with its line.
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
            f"({int(bad.sum()):,} such line{'s' if bad.sum() > 1 else ''}). Correct or remove the line and prepare "
            "again."
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
                f"({int(repeated.sum()):,} repeats). Remove repeats, keep the latest with --set repeats=latest, "
                "or prepare with --set repeats=allowed."
            )


def _shown(value: Any) -> str:
    """A value as in the file: ``11``, not ``11.0``."""
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def parse_scale(text: str) -> tuple[float, float]:
    """Parse a rating scale: ``"0.5:5"`` → ``(0.5, 5.0)``.

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
