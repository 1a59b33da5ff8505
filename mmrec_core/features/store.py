"""Stored item embeddings of a dataset: find, read and write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from mmrec_core import records, registry, storage
from mmrec_core.data import vector_files
from mmrec_core.encoders._base import MODALITIES, Modality
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.types import Array, Dataset, Field, Side

PAIRS: dict[str, tuple[str, str]] = {
    "sota": ("qwen2", "so400m_siglip"),
    "baseline": ("mpnet", "vit_l_14"),
    "bert+resnet": ("bert", "resnet"),
}
"""Named pairs that take text and image vectors from two encoders; ``A+B`` pairs any two."""


@dataclass(frozen=True)
class Features:
    """The vectors of one modality of one encoder on one dataset."""

    encoder: str
    modality: Modality
    ids: Array
    """Raw item ids ``[N]``."""
    vectors: Array
    """float16 ``[N, width]``, unit rows, memory-mapped."""
    items: Array
    """Catalog rows ``[N]``."""
    manifest: Mapping[str, Any]

    @cached_property
    def dense(self) -> Array:
        """The vectors as float32 in memory, for search."""
        return np.asarray(self.vectors, np.float32)

    def by_item(self, n_items: int) -> Array:
        """Position of each catalog row's vector, int64 ``[I]``; −1 where it is missing."""
        place = np.full(n_items, -1, np.int64)
        place[self.items] = np.arange(len(self.items))
        return place


def folder_of(dataset: Dataset, encoder: str) -> Path:
    """The folder of an encoder's vectors."""
    return dataset.folder / "features" / storage.folder_name(encoder)


def available(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Manifests of stored vectors by encoder name, without those of :func:`damaged`."""
    return {str(found["encoder"]): found for found in _checked(dataset) if not isinstance(found, DamagedFile)}


def damaged(dataset: Dataset) -> list[DamagedFile]:
    """The faults of vectors that :func:`available` leaves out."""
    return [found for found in _checked(dataset) if isinstance(found, DamagedFile)]


_read: dict[Path, tuple[tuple[int, ...], dict[str, Any] | DamagedFile]] = {}
"""By manifest file: the stamps of the encoder's files when they were checked, and the manifest or the fault."""


def _checked(dataset: Dataset) -> list[dict[str, Any] | DamagedFile]:
    """Every encoder's manifest, or the fault of its files; unchanged files are not checked again."""
    place, found = dataset.folder / "features", []
    storage.recover_all(place)
    for file in sorted(place.glob("[!.]*/manifest.json")):
        try:
            stamp = tuple(
                part for f in sorted(file.parent.glob("*.*")) for part in (f.stat().st_mtime_ns, f.stat().st_size)
            )
        except OSError:
            continue  # it is being replaced
        cached = _read.get(file)
        if cached is None or cached[0] != stamp:
            manifest: dict[str, Any] | DamagedFile
            try:
                manifest = _check(file.parent)
            except DamagedFile as error:
                manifest = error
            except MMRecError:
                continue
            cached = _read[file] = (stamp, manifest)
        found.append(cached[1])
    return found


def _remedy(folder: Path) -> str:
    """What to do if one of an encoder's files is damaged, for messages."""
    dataset = folder.parent.parent.name
    return f"Encode {dataset} with it again, or import its vectors again: python -m mmrec_core encode {dataset}"


def _check(folder: Path) -> dict[str, Any]:
    """An encoder's manifest, after a check of the headers of its files.

    Raises:
        MMRecError: there is no manifest.
        DamagedFile: a file cannot be read, or has another shape than in the manifest.
    """
    manifest = records.read(folder / "manifest.json", records.FEATURES, _remedy(folder))
    for modality, own in manifest["modality"].items():
        records.array(folder / f"{modality}.npy", _remedy(folder), length=own["n"], ndim=2, kinds="f")
        records.array(folder / f"{modality}_ids.npy", _remedy(folder), length=own["n"], ndim=1, kinds="iuU")
    if (folder / "state.npz").exists():
        _state(folder, manifest)
    return manifest


def _state(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays that an encoder learned from the catalog.

    Raises:
        DamagedFile: it cannot be read, or was changed since it was written.
    """
    if manifest.get("state") not in {None, _digest(folder / "state.npz")}:  # older manifests have no checksum
        raise DamagedFile(storage.shown(folder / "state.npz"), "it was changed since it was written", _remedy(folder))
    return records.archive(folder / "state.npz", _remedy(folder))


def split_pair(encoder: str) -> dict[Modality, str]:
    """The encoder of each modality: ``minilm+mobilenet_v1`` takes text from the first, image from the second."""
    if encoder in PAIRS:
        text, image = PAIRS[encoder]
    elif "+" in encoder and not encoder.startswith(("hf:", "open_clip:")):
        text, _, image = encoder.partition("+")
    else:
        text = image = encoder
    return {"text": text, "image": image}


def load(dataset: Dataset, encoder: str, modality: Modality) -> Features:
    """Load and check the vectors of one modality.

    Raises:
        MMRecError: not encoded, ids that are not in the dataset, or files that were changed since they were written.
    """
    name = split_pair(encoder)[modality]
    folder = folder_of(dataset, name)
    if not (folder / "manifest.json").exists():
        raise MMRecError(
            f"'{name}' has not encoded {dataset.name}. Run: python -m mmrec_core encode {dataset.name} --encoder "
            f"{name}. "
            f"Encoded: {', '.join(available(dataset)) or 'nothing'}."
        )
    manifest = _check(folder)
    if modality not in manifest["modality"]:
        raise MMRecError(
            f"'{name}' has no {modality} vectors of {dataset.name}; it has {', '.join(manifest['modality'])}."
        )
    own = manifest["modality"][modality]
    vectors = records.array(folder / f"{modality}.npy", _remedy(folder))
    raw = records.array(folder / f"{modality}_ids.npy", _remedy(folder), mapped=False)
    if storage.checksum(np.ascontiguousarray(raw).tobytes()) != own["ids"]:
        raise MMRecError(
            f"{folder / f'{modality}_ids.npy'} was changed since it was written; encode {dataset.name} again."
        )
    if vectors.shape != (own["n"], own["width"]) or _digest(folder / f"{modality}.npy") != own["checksum"]:
        raise MMRecError(f"{folder / f'{modality}.npy'} was changed since it was written; encode {dataset.name} again.")
    items = dataset.items.rows(raw)
    if len(items) and int(items.min()) < 0:
        raise MMRecError(f"Vectors of '{name}' are of films that {dataset.name} does not have; encode it again.")
    return Features(name, modality, raw, vectors, items, manifest)


def checksum_of(dataset: Dataset, encoder: str, modality: Modality) -> str:
    """The checksum of one modality's vectors, from the manifest.

    Raises:
        MMRecError: not encoded.
    """
    folder = folder_of(dataset, split_pair(encoder)[modality])
    modalities = records.read(folder / "manifest.json", records.FEATURES, _remedy(folder))["modality"]
    if modality not in modalities:
        raise MMRecError(f"'{encoder}' has no {modality} vectors of {dataset.name}.")
    return str(modalities[modality]["checksum"])


_digests: dict[tuple[str, int, int], str] = {}


def _digest(file: Path) -> str:
    """A file's checksum; the file is read again only when it changed."""
    stat = file.stat()
    key = (str(file), stat.st_mtime_ns, stat.st_size)
    if key not in _digests:
        while len(_digests) > 256:
            _digests.pop(next(iter(_digests)))
        _digests[key] = storage.checksum(file.read_bytes())
    return _digests[key]


CONTENT = ("both", "text", "image", "none")
"""Which vectors a multimodal model uses."""


def available_inputs(dataset: Dataset) -> set[str]:
    """All inputs that a dataset can give to a model, including encoded plots (``text``) and posters (``image``)."""
    has = set(dataset.manifest["has"])
    more = (
        {"side", "graph"} | ({"ids"} if {"user", "item"} <= has else set()) | ({"sequence"} if "time" in has else set())
    )
    return has | more | {m for manifest in available(dataset).values() for m in manifest["modality"]}


def default_encoder(dataset: Dataset) -> str | None:
    """The encoder that models use by default: the first with both modalities, else the first; ``None`` without any."""
    ready = available(dataset)
    return next((n for n, manifest in ready.items() if len(manifest["modality"]) == 2), next(iter(ready), None))


def content(dataset: Dataset, encoder: str | None, modality: str = "both") -> Side:
    """Vectors of plots and posters as item fields ``text`` and ``image``.

    Raises:
        MMRecError: not encoded, or the encoder has no vectors of the requested modality.
    """
    if modality not in CONTENT:
        raise unknown_name("modality", modality, list(CONTENT))
    if modality == "none":
        return ()
    encoder = encoder or default_encoder(dataset)
    if encoder is None:
        raise MMRecError(
            f"Nothing has encoded {dataset.name} yet. Run: python -m mmrec_core encode {dataset.name} --encoder classic"
        )
    found = []
    for wanted in MODALITIES:
        if modality not in ("both", wanted):
            continue
        own = split_pair(encoder)[wanted]
        if modality == "both" and own in (ready := available(dataset)) and wanted not in ready[own]["modality"]:
            continue  # this encoder has only one modality
        loaded = load(dataset, encoder, wanted)
        place = loaded.by_item(len(dataset.items))
        found.append(Field(wanted, "item", "vector", width=loaded.vectors.shape[1], data=loaded.vectors, place=place))
    return tuple(found)


def vectors_read(dataset: Dataset, encoder: str | None, modality: str | None) -> dict[str, dict[str, Any]]:
    """The vectors that :func:`content` gives: modality → ``encoder``, ``width`` and ``checksum``."""
    if encoder is None or modality in (None, "none"):
        return {}
    return {
        field.name: {
            "encoder": split_pair(encoder)[cast(Modality, field.name)],
            "width": field.width,
            "checksum": checksum_of(dataset, encoder, cast(Modality, field.name)),
        }
        for field in content(dataset, encoder, modality)
    }


def _read_request(file: Path) -> Any:
    """The request of an interrupted encoding; ``None`` if it cannot be read, so that the encoding starts again."""
    try:
        return storage.read_json(file)
    except MMRecError:
        return None


def write(
    folder: Path,
    dataset: Dataset,
    name: str,
    parts: Mapping[Modality, tuple[Array, Array]],
    *,
    offers: Sequence[str],
    joint: bool,
    version: int,
    options: Mapping[str, Any],
    state: Mapping[str, Array] | None = None,
    imported: bool = False,
) -> dict[str, Any]:
    """Write the vectors of an encoder with ids, checksums and a manifest; atomic.

    Args:
        folder: see :func:`folder_of`.
        dataset: the dataset.
        name: name of the encoder.
        parts: by modality, catalog rows ``[N]`` and vectors ``[N, width]``.
        offers: modalities that the encoder supports.
        joint: whether text and image vectors lie in one space.
        version: version of the encoder.
        options: settings of the encoder.
        state: what the encoder learned from the catalog.
        imported: whether the vectors were imported.

    Returns:
        The manifest.
    """
    from mmrec_core.features.nearest_neighbours import recall

    both = joint and set(parts) == set(MODALITIES)
    retrieval = recall(*paired(parts["text"], parts["image"])) if both else None
    with storage.replacing(folder) as draft:
        return vector_files.write(
            draft,
            name,
            dataset.items.raw,
            cast(Mapping[str, tuple[Array, Array]], parts),
            catalog=dataset.checksum,
            offers=offers,
            joint=joint,
            version=version,
            options=options,
            state=state,
            imported=imported,
            retrieval=retrieval,
        )


def paired(text: tuple[Array, Array], image: tuple[Array, Array]) -> tuple[Array, Array]:
    """Text and image vectors ``[M, width]`` of the films that have both, in the same order, as float32."""
    shared, a, b = np.intersect1d(text[0], image[0], return_indices=True)
    return np.asarray(text[1][a], np.float32), np.asarray(image[1][b], np.float32)


def encoder_list(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """All encoders by name, with whether the dataset is encoded (``ready``), a description, and a fault or ``None``."""
    ready = available(dataset)
    found: dict[str, dict[str, Any]] = {}
    for name, entry in registry.entries("encoders").items():
        found[name] = {"ready": name in ready, "about": entry.summary, "fault": entry.fault}
    for name, manifest in ready.items():
        found.setdefault(
            name, {"ready": True, "about": "imported" if manifest["imported"] else "from the hub", "fault": None}
        )
    return found
