"""Base class of sources of posters, plots and credits, and helpers to match films."""

from __future__ import annotations

import abc
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from mmrec_core import settings
from mmrec_core.config import Config as AnyConfig
from mmrec_core.types import Progress


@dataclass
class Found:
    """The result of a source.

    Values by column (``plot``, ``director``, ``cast``, ``imdb_id``, ``poster``…) and item row.
    """

    values: dict[str, dict[int, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Notes for users, such as files that could not be read."""
    licence: str = ""
    """Licence of the values, shown with the dataset's own."""

    def add(self, column: str, row: int, value: Any) -> None:
        """Add a value, unless the row already has one or the value is missing."""
        if value is not None and value != "" and value == value:
            self.values.setdefault(column, {}).setdefault(row, value)


class EnrichSource(abc.ABC):
    """Base class of sources that fill missing catalog values; they never overwrite values of the dataset."""

    Config: ClassVar[type[AnyConfig]] = AnyConfig
    order: ClassVar[int] = 1
    """Sources run in this order; those that supply ids to others come first."""
    on_request: ClassVar[bool] = False
    """Whether the source runs only if the user names it (it needs a key, or the network)."""
    argument: ClassVar[str] = ""
    """The setting that stands after a colon in ``--enrich NAME:VALUE``; ``""``: the source takes none."""

    def __init__(self, config: AnyConfig | None = None) -> None:
        self.config = config or self.Config()

    @abc.abstractmethod
    def find(self, items: pd.DataFrame, id_space: str, progress: Progress) -> Found:
        """Look up the films.

        Args:
            items: the catalog so far, one row per item row, with ``item``, ``title``, ``year``, ``imdb_id``,
                ``tmdb_id``.
            id_space: id space of ``item``: ``movielens``, ``ml-100k``, another dataset's name, or ``""`` (no shared
                space).
            progress: progress callback.
        """


NUMBER = r"^(?:tt)?0*([0-9]+)(?:\.0)?$"


def digits(value: Any) -> str | None:
    """The number in an id, or ``None``: ``"tt0114709"``, ``"0114709"`` and ``114709.0`` all give ``"114709"``."""
    if value is None or value != value:
        return None
    found = re.match(NUMBER, str(value).strip())
    return found.group(1) if found else None


def numbers(column: pd.Series) -> pd.Series:
    """:func:`digits` of a text column; missing where there is no number."""
    return column.str.strip().str.extract(NUMBER, expand=False)


def reason(error: Exception, file: Path) -> str:
    """The message of an error without the folders of its file, for a note."""
    return str(error).replace(f"{file.parent}/", "").rstrip(".")


def rows_by(items: pd.DataFrame, column: str) -> dict[str, list[int]]:
    """Item rows by the number in an id column; several rows may have the same id."""
    found: dict[str, list[int]] = {}
    if column in items:
        for row, value in enumerate(items[column]):
            if (key := digits(value)) is not None:
                found.setdefault(key, []).append(row)
    return found


def rows_by_title(items: pd.DataFrame) -> dict[tuple[str, int], list[int]]:
    """Item rows by normalised title and year."""
    found: dict[tuple[str, int], list[int]] = {}
    for row, (title, year) in enumerate(zip(items["title"], items["year"], strict=True)):
        if year is not None and not pd.isna(year):
            found.setdefault((plain_title(title), int(year)), []).append(row)
    return found


def plain_title(title: Any) -> str:
    """A title normalised for comparison: lower case, without punctuation, brackets and leading article."""
    text = re.sub(r"\(.*?\)", " ", str(title).lower())
    text = re.sub(r"[^\w]+", " ", text).strip()
    return re.sub(r"^(the|a|an|le|la|les|il|el) ", "", text)


def source_folders(name: str) -> Iterator[Path]:
    """Folders of this name directly under ``MMREC_SOURCES``, or those sources themselves."""
    for source in settings.sources():
        for folder in (source / name, source):
            if folder.is_dir() and folder.name == name:
                yield folder


def first_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Files of a folder that match any pattern, by name."""
    return sorted({file for pattern in patterns for file in folder.glob(pattern)})
