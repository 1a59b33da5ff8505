"""Files of item vectors: one folder per encoder or set of vectors, with ids, checksums and a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import storage
from mmrec_core.types import Array


def unit(vectors: Array) -> Array:
    """Rows scaled to length one, float32; rows of zeros stay zero."""
    vectors = np.asarray(vectors)
    vectors = vectors.astype(np.float64 if vectors.dtype == np.float64 else np.float32, copy=False)
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    extreme = (largest > 0) & ((largest < 1e-12) | (largest > 1e12))
    vectors = vectors / np.where(
        extreme, largest, 1
    )  # before squaring, so that neither 1e300 nor 1e-300 leaves the range
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def write(
    folder: Path,
    name: str,
    raw_ids: Array,
    parts: Mapping[str, tuple[Array, Array]],
    *,
    catalog: str,
    offers: Sequence[str] | None = None,
    joint: bool = False,
    version: int = 1,
    options: Mapping[str, Any] | None = None,
    state: Mapping[str, Array] | None = None,
    imported: bool = True,
    retrieval: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write vectors with ids, checksums and a manifest into a folder; the caller makes the folder appear atomically.

    Args:
        folder: where to write; made if it is missing.
        name: name of the encoder or of the set of vectors.
        raw_ids: raw ids of all items ``[I]``.
        parts: by modality, item rows ``[N]`` and unit vectors ``[N, width]``.
        catalog: checksum of the dataset.
        offers: modalities that the encoder supports; by default those of ``parts``.
        joint: whether the vectors of all modalities lie in one space.
        version: version of the encoder.
        options: settings of the encoder.
        state: what the encoder learned from the catalog.
        imported: whether the vectors were made elsewhere.
        retrieval: how well text finds the image of its item.

    Returns:
        The manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    modalities: dict[str, Any] = {}
    for modality, (rows, vectors) in parts.items():
        raw = np.ascontiguousarray(raw_ids[rows])
        np.save(folder / f"{modality}.npy", np.ascontiguousarray(vectors, np.float16), allow_pickle=False)
        np.save(folder / f"{modality}_ids.npy", raw, allow_pickle=False)
        modalities[modality] = {
            "n": len(rows),
            "width": int(vectors.shape[1]),
            "missing": len(raw_ids) - len(rows),
            "ids": storage.checksum(raw.tobytes()),
            "checksum": storage.checksum((folder / f"{modality}.npy").read_bytes()),
        }
    if state:
        np.savez(folder / "state.npz", allow_pickle=False, **state)
    manifest = {
        "encoder": name,
        "version": version,
        "options": dict(options or {}),
        "offers": list(parts if offers is None else offers),
        "joint": joint,
        "imported": imported,
        "catalog": catalog,
        "prompt": "rich text",
        "modality": modalities,
        "retrieval": retrieval,
        "state": storage.checksum((folder / "state.npz").read_bytes()) if state else None,
    }
    storage.write_json(folder / "manifest.json", manifest)
    return manifest
