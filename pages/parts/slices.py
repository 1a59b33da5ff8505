"""Films chosen by hand, kept by name for other screens: small JSON files beside the dataset."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_core import ownership, records, settings, storage
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.types import Array, Dataset

MOST, MOST_PASSING = 100, 400
"""Slices of a dataset beyond which visitors add none, and passing selections of visitors, of which the oldest goes."""
PASSING = ("last selection", "last filter")
"""Names of selections that the next one replaces."""
_PASSING = re.compile(rf"(?:{'|'.join(PASSING)}) [0-9a-z]+")
REMEDY = "Mend it, or set it aside to begin anew: python -m mmrec_core clean --set-aside"


def _file(dataset: Dataset) -> Path:
    return settings.home() / "slices" / f"{dataset.name}.json"


def _all(dataset: Dataset) -> dict[str, list[str]]:
    """Raises ``DamagedFile`` where the file cannot be read, so that nothing is written over it."""
    file = _file(dataset)
    return records.read(file, records.SLICES, REMEDY) if file.exists() else {}


def damage(dataset: Dataset) -> DamagedFile | None:
    """What is wrong with the file of slices; ``None`` where nothing is."""
    try:
        _all(dataset)
    except DamagedFile as error:
        return error
    return None


def names(dataset: Dataset) -> list[str]:
    """Slices there are, alphabetically; none where their file is damaged."""
    return [] if damage(dataset) else sorted(_all(dataset))


def stamp(dataset: Dataset) -> int:
    """Another number whenever a slice was saved or removed, one of the same name among them."""
    file = _file(dataset)
    return file.stat().st_mtime_ns if file.exists() else 0


def load(dataset: Dataset, name: str) -> Array | None:
    """A slice's catalog rows; ``None`` where there is none of that name. Films that are gone are left out."""
    raw = None if damage(dataset) else _all(dataset).get(name)
    if raw is None:
        return None
    rows = dataset.items.rows(raw)
    return np.asarray(rows[rows >= 0])


def passing(name: str) -> str:
    """The name of a selection that the next one replaces: a visitor's is their own."""
    visitor = ownership.visitor()
    return f"{name} {visitor}" if visitor else name


def save(dataset: Dataset, name: str, rows: Array) -> None:
    """Keep films under a name; one of that name is replaced.

    Raises:
        MMRecError: a name that is too long, a slice of somebody else's, or the home cannot be written to.
        DamagedFile: the file cannot be read; it is left as it is.
    """
    if not name or len(name) > 60:
        raise MMRecError("A slice's name has 1 to 60 characters.")
    with storage.locked(f"slices-{dataset.name}"):
        kept, visitor = _all(dataset), ownership.visitor()
        own = bool(visitor) and name in {passing(one) for one in PASSING}
        others = [other for other in kept if _PASSING.fullmatch(other) and other != name]
        named = [other for other in kept if not _PASSING.fullmatch(other)]
        if visitor and not own and (name in kept or _PASSING.fullmatch(name)):
            raise MMRecError(f"There is a slice called {name} already; choose another name.")
        if visitor and not own and len(named) >= MOST:
            raise MMRecError(f"There are {len(named)} slices already; only the owner adds more.")
        kept.pop(name, None)
        if own:  # those of visitors who have long left make room
            for old in others[: max(0, len(others) + 1 - MOST_PASSING)]:
                kept.pop(old)
        storage.write_json(_file(dataset), {**kept, name: [str(raw) for raw in dataset.items.raw[rows].tolist()]})


def remove(dataset: Dataset, name: str) -> None:
    """Forget a slice.

    Raises:
        MMRecError: as :func:`save`.
    """
    ownership.require("delete slices")
    with storage.locked(f"slices-{dataset.name}"):
        storage.write_json(_file(dataset), {k: v for k, v in _all(dataset).items() if k != name})


def table(dataset: Dataset, rows: Array) -> pd.DataFrame:
    """Films as a table to take along."""
    own = dataset.catalog.iloc[rows]
    return own[["item", "title", "year", "n_ratings"]].assign(genres=[", ".join(map(str, g)) for g in own["genres"]])


def parquet(films: pd.DataFrame) -> bytes:
    """A table as Parquet."""
    held = io.BytesIO()
    films.to_parquet(held, index=False)
    return held.getvalue()
