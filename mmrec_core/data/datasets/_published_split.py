"""Reading of multimodal datasets that are published as events in three parts with vectors by item number.

Three forms are read: ``interactions.parquet`` (``user``, ``item``, ``split``), an ``.inter`` file with ``x_label``, and
pickled scipy matrices of users and items (``trnMat.pkl``, ``valMat.pkl``, ``tstMat.pkl``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from mmrec_core import settings
from mmrec_core.data.datasets import _item_vectors
from mmrec_core.data.datasets._base import RawData
from mmrec_core.data.datasets.recbole import read_folder
from mmrec_core.errors import MMRecError, short
from mmrec_core.reading import safe_pickle, tables
from mmrec_core.types import Array, Progress

TABLE = "interactions.parquet"
MATRICES = ("trnMat.pkl", "valMat.pkl", "tstMat.pkl")
"""Training, validation and test matrices, as in DiffMM, MMSSL and LATTICE."""
PARTS = ("train", "valid", "test")
AS_PUBLISHED = SimpleNamespace(ratings="ignore", scale="", repeats="refused")
"""How ``.inter`` files are read here: every row counts as liked."""


def find(source: Path | None, folder: str, inter: str) -> Path:
    """The folder of a dataset.

    Args:
        source: what the user named, or ``None``: ``multimodal/FOLDER`` under ``MMREC_SOURCES``.
        folder: its usual name.
        inter: name of its ``.inter`` file.

    Raises:
        MMRecError: none of the three forms was found.
    """
    places = [source] if source is not None else [s / "multimodal" / folder for s in settings.sources()]
    for place in places:
        place = place.parent if place.name in (TABLE, inter, *MATRICES) else place
        if any((place / name).is_file() for name in (TABLE, inter, MATRICES[0])):
            return place
    raise MMRecError(
        f"{folder} was not found: expected {TABLE}, {inter} or {MATRICES[0]} with {MATRICES[1]} and {MATRICES[2]}. "
        f"Name their folder with --from, or put it as multimodal/{folder} under MMREC_SOURCES."
    )


def read(
    folder: Path,
    inter: str,
    vectors: Mapping[tuple[str, str], Sequence[str]],
    noun: str,
    licence: str,
    progress: Progress,
) -> RawData:
    """Read a dataset whose items have whole numbers from 0 on.

    Args:
        folder: see :func:`find`.
        inter: name of its ``.inter`` file.
        vectors: by name of the set and modality, the names that its file may have.
        noun: what an item is, such as ``Video``.
        licence: licence of the data.
        progress: progress callback.

    Raises:
        MMRecError: damaged, or not in one of the three forms.
    """
    progress(0, 2, "reading events")
    if (folder / TABLE).is_file():
        raw = _from_table(folder / TABLE)
    elif (folder / inter).is_file():
        raw = read_folder(folder / inter, AS_PUBLISHED, progress)
        if "official" not in raw.official:
            raise MMRecError(
                f"{folder / inter} has no x_label with training and test rows; read it with the reader recbole."
            )
    else:
        raw = _from_matrices(folder)
    assert raw.events is not None
    progress(1, 2, "reading vectors")
    item = raw.events["item"].to_numpy()
    if item.dtype.kind != "i" or (len(item) and int(item.min()) < 0):
        raise MMRecError(f"{raw.file} has items that are no whole numbers from 0 on, so no vectors belong to them.")
    files, notes = _item_vectors.beside(folder, MATRICES)
    for key, names in vectors.items():
        if (own := next((folder / n for n in names if (folder / n).is_file()), None)) is not None:
            files[key] = own
    raw.vectors = _item_vectors.numbered(files, item)
    lacking = [f"{modality} ({names[0]})" for (_, modality), names in vectors.items() if (_, modality) not in files]
    if lacking:
        notes.append(f"No vectors of {', '.join(lacking)} are in the folder; models of these modalities need them.")
    numbers = np.unique(np.concatenate([item, *(own for m in raw.vectors.values() for own, _ in m.values())]))
    raw.items = pd.DataFrame({"item": numbers, "title": [f"{noun} {n}" for n in numbers.tolist()]})
    raw.licence, raw.what = licence, "items"
    raw.notes = [*(n for n in raw.notes if n not in notes), *notes]
    raw.about = {"what": "items"}
    return raw


def _from_table(file: Path) -> RawData:
    """Events of ``interactions.parquet``."""
    table = tables.read(file, ("user", "item", "split"))
    columns = {name: table.ids(name) for name in ("user", "item")}
    for name, own in columns.items():
        if own.missing().any() or not own.canonical:
            raise MMRecError(f"{file}: column '{name}' holds a cell that is no whole number.")
    part = np.array([PARTS.index(t) if t in PARTS else -1 for t in table.texts("split")], np.int64)
    if (bad := part < 0).any():
        at = int(np.flatnonzero(bad)[0])
        value = short(str(table.texts("split")[at]), 40)
        raise MMRecError(f"{file}, row {at + 1}: split is '{value}', expected one of {', '.join(PARTS)}.")
    numbers = {n: np.array([int(v) for v in own.values], np.int64)[own.codes] for n, own in columns.items()}
    return _raw(numbers["user"], numbers["item"], part, file)


def _from_matrices(folder: Path) -> RawData:
    """Events of pickled matrices of users and items: each stored value that is not zero is an event.

    Raises:
        MMRecError: a file is missing, holds anything but one matrix, or the shapes differ.
    """
    if missing := [name for name in MATRICES if not (folder / name).is_file()]:
        raise MMRecError(f"{folder / missing[0]} is missing; expected {', '.join(MATRICES)} in one folder.")
    pieces, shape = [], None
    for name in MATRICES:
        matrix = safe_pickle.load(folder / name)
        if not hasattr(matrix, "tocoo"):
            raise MMRecError(f"{folder / name} holds a plain array; expected a sparse matrix of users and items.")
        if shape not in {None, matrix.shape}:
            raise MMRecError(f"{folder / name} is {matrix.shape}, and {MATRICES[0]} is {shape}; expected one shape.")
        shape = matrix.shape
        stored = matrix.data != 0
        pieces.append((matrix.row[stored].astype(np.int64), matrix.col[stored].astype(np.int64)))
    user, item = (np.concatenate([piece[side] for piece in pieces]) for side in range(2))
    part = np.repeat(np.arange(3), [len(piece[0]) for piece in pieces])
    return _raw(user, item, part, folder)


def _raw(user: Array, item: Array, part: Array, file: Path) -> RawData:
    """Events with their division into three parts (0 training, 1 validation, 2 test)."""
    official = tuple(np.flatnonzero(part == at) for at in range(3))
    for rows, name in zip(official, PARTS, strict=True):
        if not len(rows):
            raise MMRecError(f"{file} has no {name} rows.")
    events = pd.DataFrame({"user": user, "item": item})
    if (twice := events.duplicated().to_numpy()).any():
        at = int(np.flatnonzero(twice)[0])
        raise MMRecError(
            f"{file} names user {user[at]} with item {item[at]} twice ({int(twice.sum()):,} such rows); expected each "
            "pair once, in one part."
        )
    return RawData(events, official={"official": official}, file=str(file))
