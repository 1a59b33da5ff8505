"""Import of item embeddings that were made by other software."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import ids, registry, storage
from mmrec_core.encoders._base import unit
from mmrec_core.errors import MMRecError
from mmrec_core.features.store import folder_of, write
from mmrec_core.reading import input_files
from mmrec_core.types import Array, Dataset, Modality

NAMES: tuple[Modality, ...] = ("text", "image", "audio", "video")
"""Modalities that are found by a word in the name of a file."""


def import_folder(dataset: Dataset, source: Path, name: str) -> dict[str, Any]:
    """Import vectors from a folder of ``.npy`` files.

    ``source`` holds one or more of ``…_text_….npy``, ``…_image_….npy``, ``…_audio_….npy``, ``…_video_….npy``, with the
    item ids of their rows in ``…_ids.npy`` beside each, or in one ``*_ids.npy`` for all. If the folder holds several
    sets, ``name`` must occur in their file names.

    Raises:
        MMRecError: no vectors, ids that do not fit the vectors, or none of the ids is in the dataset.
    """
    storage.safe_name(name, "encoder name")
    if name in registry.entries("encoders") and not registry.load("encoders", name).weighs:
        # vectors of public weights, such as minilm's, may be made elsewhere
        raise MMRecError(f"'{name}' is a built-in encoder; import under another name with --as.")
    if not source.is_dir():
        raise MMRecError(f"{source} is not a folder. Name one that holds vectors of items as .npy files.")
    parts: dict[Modality, tuple[Array, Array]] = {}
    files = [f for f in sorted(source.glob("*.npy")) if not f.stem.endswith("_ids")]

    def named(file: Path, word: str) -> bool:
        return f"_{word}_" in f"_{file.stem}_"

    for modality in NAMES:
        own = [f for f in files if named(f, modality)]
        own = [f for f in own if named(f, name)] or (own if not any(named(f, name) for f in files) else [])
        if len(own) > 1:
            raise MMRecError(
                f"{source} holds several {modality} files ({', '.join(f.name for f in own)}); name one of them with "
                "--as."
            )
        if own:
            parts[modality] = _read(dataset, own[0])
    if not parts:
        raise MMRecError(
            f"{source} holds no vectors for '{name}': expected *text*.npy, *image*.npy, "
            "*audio*.npy or *video*.npy with an …_ids.npy beside it."
        )
    folder = folder_of(dataset, name)
    with storage.locked(f"features-{dataset.name}-{name}"):
        manifest = write(
            folder, dataset, name, parts, offers=list(parts), joint=False, version=1, options={}, imported=True
        )
    short = {m: {k: v[k] for k in ("n", "width", "missing")} for m, v in manifest["modality"].items()}
    return {"encoder": name, "dataset": dataset.name, "modality": short, "retrieval": None}


def _read(dataset: Dataset, file: Path) -> tuple[Array, Array]:
    """Catalog rows ``[N]`` and unit vectors ``[N, width]`` of one file."""
    beside = file.with_name(f"{file.stem}_ids.npy")
    shared = sorted(file.parent.glob("*_ids.npy"))
    ids_file = beside if beside.exists() else shared[0] if len(shared) == 1 else None
    if ids_file is None:
        raise MMRecError(f"{file.name} has no ids: expected {beside.name} beside it, or one *_ids.npy for all.")
    vectors, raw = input_files.array(file), input_files.array(ids_file)
    if vectors.ndim != 2 or raw.ndim != 1 or len(vectors) != len(raw) or vectors.dtype.kind not in "f":
        raise MMRecError(
            f"{file.name} is {list(vectors.shape)} of {vectors.dtype} and {ids_file.name} {list(raw.shape)}; "
            f"expected one row of floats for each of {len(raw) if raw.ndim else 0:,} ids in one dimension."
        )
    if vectors.shape[1] == 0 or not len(vectors):
        raise MMRecError(f"{file.name} is {list(vectors.shape)}; expected at least one vector of at least one number.")
    own = ids.of_column(raw, "id", ids_file.name, lambda row: row + 1)
    if (missing := own.missing()).any():
        raise MMRecError(
            f"{ids_file.name} has no id in row {int(np.flatnonzero(missing)[0])}; expected one for each vector."
        )
    if len(own.values) != len(raw):
        at = int(np.flatnonzero(_repeated(own.codes))[0])
        raise MMRecError(f"{ids_file.name} names a film twice: {own.values[own.codes[at]]}.")
    vectors = np.asarray(vectors)
    if not (finite := np.isfinite(vectors).all(1)).all():
        raise MMRecError(f"{file.name} holds NaN or infinity in row {int(np.flatnonzero(~finite)[0])}.")
    texts = np.array([own.values[c] for c in own.codes])
    rows = dataset.items.rows(texts)
    _no_other_form(dataset, rows, texts, ids_file)
    known = (rows >= 0) & (vectors != 0).any(1)  # a row of zeros is a missing film
    if not known.any():
        raise MMRecError(f"None of the ids in {ids_file.name} is a film of {dataset.name}.")
    return rows[known], unit(vectors[known])


def _repeated(codes: Array) -> Array:
    """bool ``[N]``: whether the same code occurred in an earlier row."""
    seen = np.ones(len(codes), bool)
    seen[np.unique(codes, return_index=True)[1]] = False
    return seen


def _no_other_form(dataset: Dataset, rows: Array, texts: Array, file: Path) -> None:
    """Refuse ids such as ``01`` and ``1.0`` that are unknown but probably mean film 1.

    Args:
        dataset: the dataset.
        rows: row of each id, −1 where unknown ``[N]``.
        texts: ids as text ``[N]``.
        file: the file of ids, for the message.
    """
    for text in texts[rows < 0].tolist():
        number = re.fullmatch(r"0*(\d+?)(\.0+)?", text, re.ASCII)
        if number and text != number.group(1) and dataset.items.rows([number.group(1)])[0] >= 0:
            raise MMRecError(
                f"{file.name} names film {number.group(1)} as '{text}'; ids are compared as text. Write it as "
                f"{number.group(1)}, once."
            )
