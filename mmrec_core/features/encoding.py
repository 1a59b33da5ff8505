"""Encode the plots and posters of a dataset in shards, so that an interrupted encoding can continue."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import records, registry, storage
from mmrec_core.encoders._base import Encoder
from mmrec_core.encoders.aligned import PREFIX, Aligned
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.features.images import open_poster
from mmrec_core.features.prompts import rich_text
from mmrec_core.features.store import (
    _check,
    _read_request,
    _remedy,
    _state,
    available,
    folder_of,
    load,
    split_pair,
    write,
)
from mmrec_core.types import MODALITIES, Array, Dataset, Modality, Progress, blocks, quiet

SHARD = 256
"""Films per shard; a killed encoding loses at most one shard."""
CHECKED, SAME = 6, 0.99
"""Films by which imported vectors are compared with those of the encoder they are named after, and the median cosine
from which they are its own. Another wording of a prompt changes a vector more."""


def make_encoder(encoder: str, options: Mapping[str, Any] | None = None, device: str = "cpu") -> Encoder:
    """Make an encoder by name: a registered one, ``hf:ID``, ``open_clip:MODEL[/WEIGHTS]`` or ``aligned:TEXT+IMAGE``.

    Raises:
        MMRecError: unknown name, settings out of range, or weights that are not available.
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
    elif encoder.startswith(PREFIX):
        name = "aligned"
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
    """Encode a catalog's plots and posters. Finished encodings are reused, interrupted ones are continued.

    Args:
        dataset: the dataset.
        encoder: an encoder's name, or a pair ``TEXT+IMAGE``.
        options: settings of the encoder's config.
        device: torch device.
        modalities: which of ``text`` and ``image`` to encode.
        progress: progress callback.
        again: whether to encode even if the vectors are up to date.

    Returns:
        ``{"encoder", "modality": {name: {"n", "width", "missing"}}, "retrieval": {…} | None, "seconds"}``.

    Raises:
        MMRecError: the encoder is not available, or the dataset has neither plots nor posters.
    """
    started = time.perf_counter()
    sides = split_pair(encoder)
    summary: dict[str, Any] = {"encoder": encoder, "dataset": dataset.name, "modality": {}, "retrieval": None}
    for name in dict.fromkeys(sides.values()):
        wanted = [m for m in modalities if sides[m] == name]
        manifest = _encode(dataset, name, options or {}, device, wanted, progress, again)
        summary["modality"] |= {
            m: {k: v[k] for k in ("n", "width", "missing")} for m, v in manifest["modality"].items() if m in wanted
        }
        summary["retrieval"] = manifest["retrieval"] if len(set(sides.values())) == 1 else None
    return {**summary, "seconds": round(time.perf_counter() - started, 2)}


def _encode(
    dataset: Dataset,
    name: str,
    options: Mapping[str, Any],
    device: str,
    wanted: Sequence[Modality],
    progress: Progress,
    again: bool,
) -> dict[str, Any]:
    """Encode with one encoder (not a pair); arguments as in :func:`encode`. Returns the manifest."""
    folder = folder_of(dataset, name)
    with storage.locked(f"features-{dataset.name}-{storage.folder_name(name)}"):
        request = {"encoder": name, "options": dict(options), "catalog": dataset.checksum}
        storage.sweep(folder)
        if not again and (stored := _valid_manifest(folder)) is not None:
            current = (
                registry.load("encoders", name).version
                if name in registry.entries("encoders")
                else stored.get("version")
            )
            same = {**request, "version": current} == {k: stored.get(k) for k in (*request, "version")}
            if same and set(wanted) & set(stored["offers"]) <= set(stored["modality"]):
                return stored
        progress(0, 1, f"loading {name}")
        made = make_encoder(name, options, device)
        offers = [m for m in MODALITIES if m in made.modalities]
        found = _encodable_rows(dataset, [m for m in wanted if m in offers])
        if not any(len(rows) for rows in found.values()):
            raise MMRecError(f"{dataset.name} has nothing that '{name}' could encode: it needs {' or '.join(offers)}.")
        begun = folder.with_name(f".{folder.name}.begun")
        if _read_request(begun / "asked.json") != {**request, "version": made.version}:
            _clear(begun)
            storage.write_json(begun / "asked.json", {**request, "version": made.version})
        state: Mapping[str, Array] = {}
        if made.fits:
            made.fit([rich_text(r) for r in dataset.catalog.to_dict("records")])
            state = made.state()
        parts = {m: _encode_shards(dataset, made, m, rows, begun, progress) for m, rows in found.items() if len(rows)}
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


def _valid_manifest(folder: Path) -> dict[str, Any] | None:
    """An encoder's manifest; ``None`` if there is none or one of its files is damaged, so that it is encoded again."""
    try:
        return _check(folder)
    except MMRecError:
        return None


def _encodable_rows(dataset: Dataset, wanted: Sequence[Modality]) -> dict[Modality, Array]:
    """Catalog rows with a plot (``text``) or a poster (``image``), by modality."""
    column = {"text": "plot", "image": "poster"}
    catalog = dataset.catalog
    return {
        m: np.flatnonzero(catalog[column[m]].notna().to_numpy()) if len(catalog) else np.zeros(0, np.int64)
        for m in wanted
    }


def _encode_shards(
    dataset: Dataset, made: Encoder, modality: Modality, rows: Array, begun: Path, progress: Progress
) -> tuple[Array, Array]:
    """Catalog rows ``[N]`` and their vectors ``[N, width]``, shard by shard.

    Finished shards are read, not encoded again.

    Args:
        dataset: the dataset.
        made: the encoder.
        modality: ``text`` or ``image``.
        rows: catalog rows to encode, int64 ``[N]``.
        begun: folder of the shards.
        progress: progress callback.
    """
    kept_rows, vectors = [], []
    catalog = dataset.catalog
    for part in blocks(len(rows), SHARD):
        progress(part.start, len(rows), f"encoding {modality} with {made.name}")
        file = begun / f"{modality}-{part.start:08d}.npz"
        if (shard := _read_shard(file, set(rows[part].tolist()))) is not None:
            kept_rows.append(shard["rows"])
            vectors.append(shard["vectors"])
            continue
        if modality == "text":
            good = rows[part]
            encoded = made.encode_text([rich_text(r) for r in catalog.iloc[good].to_dict("records")])
        else:
            opened = [(row, image) for row in rows[part] if (image := open_poster(dataset, int(row))) is not None]
            good = np.array([row for row, _ in opened], np.int64)
            images = [image for _, image in opened]
            encoded = made.encode_images(images) if images else np.zeros((0, made.width(modality)), np.float32)
        if not np.isfinite(encoded).all():
            raise MMRecError(
                f"'{made.name}' gave vectors with NaN or infinity; its weights are damaged, or half precision is not "
                "enough."
            )
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, rows=good, vectors=encoded.astype(np.float16))
        storage.write_bytes(file, buffer.getvalue())
        kept_rows.append(good)
        vectors.append(encoded.astype(np.float16))
    progress(len(rows), len(rows), f"encoding {modality} with {made.name}")
    return np.concatenate(kept_rows), np.concatenate(vectors)


def _read_shard(file: Path, rows: set[int]) -> dict[str, Array] | None:
    """A finished shard of these catalog rows; ``None`` if it is missing or damaged."""
    if not file.exists():
        return None
    try:
        shard = records.arrays(file, ("rows", "vectors"), storage.MAKE_AGAIN)
    except DamagedFile:
        return None
    return shard if shard["vectors"].ndim == 2 and set(shard["rows"].tolist()) <= rows else None


def _clear(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def restore_encoder(dataset: Dataset, encoder: str, options: Mapping[str, Any] | None = None) -> Encoder:
    """The encoder of stored vectors, ready to encode queries, with the state that it learned from the catalog.

    Raises:
        MMRecError: the vectors were imported, so their encoder is not available; or there are none.
    """
    folder = folder_of(dataset, encoder)
    manifest = records.read(folder / "manifest.json", records.FEATURES, _remedy(folder))
    if manifest["imported"]:
        return _encoder_of_imported(dataset, encoder)
    made = make_encoder(encoder, {**manifest["options"], **(options or {})})
    if (folder / "state.npz").exists():
        made.restore(_state(folder, manifest))
    if isinstance(made, Aligned):
        made.connect(_encoders_of(dataset, made))
    return made


def _encoder_of_imported(dataset: Dataset, encoder: str) -> Encoder:
    """The encoder that imported vectors are named after, if it gives the same vectors for some of the films.

    Raises:
        MMRecError: there is no encoder of that name, its weights are not at hand, or it gives other vectors.
    """
    cannot = f"The vectors of '{encoder}' were imported, so a query cannot be encoded: "
    if encoder not in registry.entries("encoders"):
        raise MMRecError(f"{cannot}the encoder that made them is not available.")
    try:
        made = make_encoder(encoder)
    except MMRecError as error:
        raise MMRecError(f"{cannot}{error}") from None
    for modality in [m for m in made.modalities if m in available(dataset)[encoder]["modality"]]:
        own = load(dataset, encoder, modality)
        films = [at for at, row in enumerate(own.items[:CHECKED]) if _reads(dataset, int(row), modality)]
        if modality == "text":
            texts = [rich_text(dataset.catalog.iloc[int(own.items[at])].to_dict()) for at in films]
            again = made.encode_text(texts)
        else:
            again = made.encode_images(
                [i for at in films if (i := open_poster(dataset, int(own.items[at]))) is not None]
            )
        if len(again) != len(films) or not films or np.median((again * own.dense[films]).sum(1)) < SAME:
            raise MMRecError(f"{cannot}'{encoder}' gives other vectors than those that were imported.")
    return made


def _reads(dataset: Dataset, row: int, modality: Modality) -> bool:
    """Whether a film has a plot or a poster."""
    return bool(dataset.catalog["plot" if modality == "text" else "poster"].notna().iloc[row])


def _encoders_of(dataset: Dataset, made: Aligned) -> dict[Modality, Encoder]:
    """The encoders behind a joint space; without those whose vectors were imported, which read nothing new.

    Raises:
        MMRecError: neither is available.
    """
    found, reasons = {}, []
    for modality, name in made.parts.items():
        try:
            found[modality] = restore_encoder(dataset, name)
        except MMRecError as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    return found
