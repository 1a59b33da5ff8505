"""Encoding a dataset in shards that survive an interruption."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec_core import records, registry, storage
from mmrec_core.encoders._base import MODALITIES, Encoder, Modality
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.types import Array, Dataset, Progress, blocks, quiet

if TYPE_CHECKING:
    pass
from mmrec_core.features.images import open_poster
from mmrec_core.features.prompts import rich_text
from mmrec_core.features.store import _asked, _check, _remedy, _safe, _state, folder_of, split_pair, write

SHARD = 256
"""Films between two savings while encoding, which is what a killed run loses at most."""


def make_encoder(encoder: str, options: Mapping[str, Any] | None = None, device: str = "cpu") -> Encoder:
    """An encoder by name: one of the room's, ``hf:ID`` or ``open_clip:MODEL[/WEIGHTS]``.

    Raises:
        MMRecError: unknown, settings out of range, or weights that are not to be had.
    """
    given, name = dict(options or {}), encoder
    if encoder.startswith("hf:"):
        from mmrec_core.encoders._hub import family

        given.setdefault("weights", encoder[3:])
        name = family(str(given["weights"]))
    elif encoder.startswith("open_clip:"):
        model, _, weights = encoder[10:].partition("/")
        given = {"model": model, "weights": weights, **given}
        name = "open_clip"
    cls = registry.load("encoders", name)
    made: Encoder = cls(encoder, registry.config("encoders", name, given), device)
    return made


def encode(
    dataset: Dataset,
    encoder: str,
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "cpu",
    modalities: Sequence[Modality] = MODALITIES,
    progress: Progress = quiet,
    again: bool = False,
) -> dict[str, Any]:
    """Encode a catalog's plots and posters; what is done already is skipped, what was begun is gone on with.

    Returns:
        ``{"encoder", "modality": {name: {"n", "width", "missing"}}, "retrieval": {…} | None, "seconds"}``.

    Raises:
        MMRecError: the encoder is not to be had, or the dataset has neither plots nor posters.
    """
    started = time.perf_counter()
    sides = split_pair(encoder)
    told: dict[str, Any] = {"encoder": encoder, "dataset": dataset.name, "modality": {}, "retrieval": None}
    for name in dict.fromkeys(sides.values()):
        wanted = [m for m in modalities if sides[m] == name]
        manifest = _encode(dataset, name, options or {}, device, wanted, progress, again)
        told["modality"] |= {
            m: {k: v[k] for k in ("n", "width", "missing")} for m, v in manifest["modality"].items() if m in wanted
        }
        told["retrieval"] = manifest["retrieval"] if len(set(sides.values())) == 1 else None
    return {**told, "seconds": round(time.perf_counter() - started, 2)}


def _encode(
    dataset: Dataset, name: str, options: Mapping[str, Any], device: str, wanted: Sequence[Modality], progress: Progress, again: bool
) -> dict[str, Any]:  # fmt: skip
    folder = folder_of(dataset, name)
    with storage.locked(f"features-{dataset.name}-{_safe(name)}"):
        asked = {"encoder": name, "options": dict(options), "catalog": dataset.checksum}
        storage.sweep(folder)
        if not again and (there := _sound(folder)) is not None:
            current = (
                registry.load("encoders", name).version
                if name in registry.entries("encoders")
                else there.get("version")
            )
            if {**asked, "version": current} == {k: there.get(k) for k in (*asked, "version")} and set(wanted) & set(
                there["offers"]
            ) <= set(there["modality"]):
                done: dict[str, Any] = there
                return done
        progress(0, 1, f"loading {name}")
        made = make_encoder(name, options, device)
        offers = [m for m in MODALITIES if m in made.modalities]
        found = _readable(dataset, [m for m in wanted if m in offers])
        if not any(len(rows) for rows in found.values()):
            raise MMRecError(f"{dataset.name} has nothing that '{name}' could encode: it needs {' or '.join(offers)}.")
        begun = folder.with_name(f".{folder.name}.begun")
        if _asked(begun / "asked.json") != {**asked, "version": made.version}:
            _clear(begun)
            storage.write_json(begun / "asked.json", {**asked, "version": made.version})
        state: Mapping[str, Array] = {}
        if made.fits:
            made.fit([rich_text(r) for r in dataset.catalog.to_dict("records")])
            state = made.state()
        parts = {m: _shards(dataset, made, m, rows, begun, progress) for m, rows in found.items() if len(rows)}
        manifest = write(
            folder,
            dataset,
            name,
            parts,
            offers=offers,
            joint=made.joint,
            version=made.version,
            options=dict(options),
            state=state,
        )
        _clear(begun)
    return manifest


def _sound(folder: Path) -> dict[str, Any] | None:
    """An encoder's manifest; ``None`` where there is none, or where one of its files is damaged, so that it is made again."""
    try:
        return _check(folder)
    except MMRecError:
        return None


def _readable(dataset: Dataset, wanted: Sequence[Modality]) -> dict[Modality, Array]:
    """Catalog rows that have something to encode. Text needs more than a title: a plot."""
    column = {"text": "plot", "image": "poster"}
    catalog = dataset.catalog
    return {
        m: np.flatnonzero(catalog[column[m]].notna().to_numpy()) if len(catalog) else np.zeros(0, np.int64)
        for m in wanted
    }


def _shards(
    dataset: Dataset, made: Encoder, modality: Modality, rows: Array, begun: Path, progress: Progress
) -> tuple[Array, Array]:
    """Vectors of some rows, shard by shard; a shard that is there already is not made again."""
    kept_rows, vectors = [], []
    catalog = dataset.catalog
    for part in blocks(len(rows), SHARD):
        progress(part.start, len(rows), f"encoding {modality} with {made.name}")
        file = begun / f"{modality}-{part.start:08d}.npz"
        if (held := _shard(file, set(rows[part].tolist()))) is not None:
            kept_rows.append(held["rows"])
            vectors.append(held["vectors"])
            continue
        if modality == "text":
            good = rows[part]
            made_here = made.encode_text([rich_text(r) for r in catalog.iloc[good].to_dict("records")])
        else:
            opened = [(row, image) for row in rows[part] if (image := open_poster(dataset, int(row))) is not None]
            good = np.array([row for row, _ in opened], np.int64)
            images = [image for _, image in opened]
            made_here = made.encode_images(images) if images else np.zeros((0, made.width(modality)), np.float32)
        if not np.isfinite(made_here).all():
            raise MMRecError(
                f"'{made.name}' gave vectors that are not numbers; its weights are damaged, or half precision is too little."
            )
        held_bytes = io.BytesIO()
        np.savez(held_bytes, allow_pickle=False, rows=good, vectors=made_here.astype(np.float16))
        storage.write_bytes(file, held_bytes.getvalue())
        kept_rows.append(good)
        vectors.append(made_here.astype(np.float16))
    progress(len(rows), len(rows), f"encoding {modality} with {made.name}")
    return np.concatenate(kept_rows), np.concatenate(vectors)


def _shard(file: Path, rows: set[int]) -> dict[str, Array] | None:
    """A shard of these catalog rows that is there already; ``None`` where it has to be made, a damaged one among them."""
    if not file.exists():
        return None
    try:
        held = records.arrays(file, ("rows", "vectors"), storage.MAKE_AGAIN)
    except DamagedFile:
        return None
    return held if held["vectors"].ndim == 2 and set(held["rows"].tolist()) <= rows else None


def _clear(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def restore_encoder(dataset: Dataset, encoder: str, options: Mapping[str, Any] | None = None) -> Encoder:
    """The encoder behind stored vectors, ready for queries, with what it learned from the catalog.

    Raises:
        MMRecError: the vectors were imported, so that nobody here can encode a query.
    """
    folder = folder_of(dataset, encoder)
    told = records.read(folder / "manifest.json", records.FEATURES, _remedy(folder))
    if told["imported"]:
        raise MMRecError(
            f"The vectors of '{encoder}' were imported; the encoder that made them is not here, so it cannot read a query."
        )
    made = make_encoder(encoder, {**told["options"], **(options or {})})
    if (folder / "state.npz").exists():
        made.restore(_state(folder, told))
    return made
