"""Vectors in ``.npy`` files beside a dataset whose rows are item numbers, as multimodal toolboxes keep them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from mmrec_core.errors import MMRecError
from mmrec_core.reading import input_files
from mmrec_core.types import Array

Vectors = dict[str, dict[str, tuple[Array, Array]]]
"""See :attr:`RawData.vectors`."""

PUBLISHED = "published"
"""Name of vectors that came with a dataset and have no name of their own."""
WORDS = {
    "image": ("image", "images", "img", "visual", "vision", "v"),
    "text": ("text", "txt", "t"),
    "audio": ("audio", "acoustic", "a"),
    "video": ("video",),
}
"""First words of the names of files that end in ``_feat`` (``image_feat.npy``, ``v_feat.npy``), by modality."""
OTHER_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib")


def modality_of(file: Path) -> str | None:
    """The modality that a file's name says (``image_feat.npy``, ``text_features.npy``), or ``None``."""
    found = re.fullmatch(r"([a-z]+)_(?:feat|feats|features?)", file.stem.lower())
    return next((m for m, words in WORDS.items() if found and found.group(1) in words), None)


def read_numbered(file: Path, n_items: int) -> Array:
    """Vectors of items 0 to N − 1, float32 ``[N, width]``; row i belongs to item number i.

    Args:
        file: the ``.npy`` file.
        n_items: smallest number of rows, the largest item number plus one.

    Raises:
        MMRecError: damaged, pickled, empty, too few rows, or NaN in it.
    """
    found = input_files.array(file)
    if found.ndim != 2 or found.dtype.kind != "f" or not found.size:
        raise MMRecError(
            f"{file} is {list(found.shape)} of {found.dtype}; expected one row of floats for each item number."
        )
    if len(found) < n_items:
        raise MMRecError(
            f"{file} has {len(found):,} rows, and the events name items up to number {n_items - 1:,}; expected one row "
            "for each item number. Fetch it again, or move it away to continue without it."
        )
    vectors: Array = np.asarray(found, np.float32)
    if not (finite := np.isfinite(vectors).all(1)).all():
        raise MMRecError(f"{file} holds NaN, infinity or values beyond float32 in row {int(np.argmin(finite))}.")
    return vectors


def numbered(files: Mapping[tuple[str, str], Path], item_ids: Array) -> Vectors:
    """Read files of vectors by item number.

    Args:
        files: file by name of the set and modality.
        item_ids: item numbers of the events, int64.

    Returns:
        The vectors, see :attr:`RawData.vectors`.
    """
    found: Vectors = {}
    n_items = int(item_ids.max()) + 1 if files else 0
    for (name, modality), file in files.items():
        vectors = read_numbered(file, n_items)
        found.setdefault(name, {})[modality] = (np.arange(len(vectors), dtype=np.int64), vectors)
    return found


def beside(folder: Path, read: Collection[str] = ()) -> tuple[dict[tuple[str, str], Path], list[str]]:
    """Files ``*_feat.npy`` of a folder by (:data:`PUBLISHED`, modality), and a note about other pickles that lie there.

    Args:
        folder: the folder.
        read: names of pickles that are read by :mod:`mmrec_core.reading.safe_pickle`.

    Raises:
        MMRecError: two files of one modality.
    """
    files: dict[tuple[str, str], Path] = {}
    refused = []
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not file.is_file() or file.name in read:
            continue
        modality = modality_of(file) if file.suffix.lower() == ".npy" else None
        if modality is not None:
            if (PUBLISHED, modality) in files:
                raise MMRecError(
                    f"{folder} holds two files of {modality} vectors ({files[PUBLISHED, modality].name}, {file.name}); "
                    "move one of them away."
                )
            files[PUBLISHED, modality] = file
        elif file.suffix.lower() in OTHER_PICKLES or (file.suffix.lower() == ".npy" and is_pickled(file)):
            refused.append(file.name)
    if not refused:
        return files, []
    named = ", ".join(refused[:5]) + (" …" if len(refused) > 5 else "")
    which, are = ("Files", "are") if len(refused) > 1 else ("File", "is")
    return files, [
        f"{which} not read, because {'they' if are == 'are' else 'it'} {are} pickled and can run programs: {named}."
    ]


def is_pickled(file: Path) -> bool:
    """Whether a ``.npy`` file holds Python objects; only its header is read."""
    try:
        with file.open("rb") as opened:
            major, _ = np.lib.format.read_magic(opened)
            read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            return bool(read(opened)[2].hasobject)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError):
        return False
