"""Stored item embeddings of a dataset: find, read and write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import records, registry, storage
from mmrec_core.data import vector_files
from mmrec_core.encoders import aligned
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.features import controls
from mmrec_core.types import MODALITIES, Array, Dataset, Field, Modality, Side, in_order

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


ONE_NAME = ("hf:", "open_clip:", "aligned:")
"""Beginnings of names that stand for one encoder, even if they hold a ``+``."""


def parts_of(encoder: str) -> list[str]:
    """The encoders of a combination: ``minilm+mobilenet_v1`` → both names; one name for a single encoder."""
    if encoder in PAIRS:
        return list(PAIRS[encoder])
    return encoder.split("+") if "+" in encoder and not encoder.startswith(ONE_NAME) else [encoder]


def encoders_behind(encoder: str) -> list[str]:
    """The encoders that read a new text or image for this one: two of ``aligned:TEXT+IMAGE``, else itself."""
    return [*aligned.parts(encoder).values()] if encoder.startswith(aligned.PREFIX) else [encoder]


def split_pair(encoder: str) -> dict[Modality, str]:
    """The encoder of texts and of images: ``minilm+mobilenet_v1`` takes text from the first, image from the second."""
    parts = parts_of(encoder)
    return {"text": parts[0], "image": parts[1] if len(parts) > 1 else parts[0]}


def sources(dataset: Dataset, encoder: str) -> dict[Modality, str]:
    """The encoder that each modality's vectors are taken from, for every modality that a combination has vectors of.

    Of a pair, text comes from the first and image from the second; every other modality comes from the first that has
    it. ``minilm+whisper`` takes text from the first and audio from the second.
    """
    if control := controls.parse(encoder):
        real = sources(dataset, control.encoder)
        return {m: encoder.replace(control.encoder, name) for m, name in real.items()}
    parts, ready = parts_of(encoder), available(dataset)
    has = {part: set(ready[part]["modality"]) if part in ready else set() for part in parts}
    found = {}
    for modality in in_order(set().union(*has.values())):
        own = [part for part in parts if modality in has[part]]
        if len(parts) == 2 and modality in MODALITIES:
            own = [part for part in own if part == split_pair(encoder)[modality]]
        if own:
            found[modality] = own[0]
    return found


def load(dataset: Dataset, encoder: str, modality: Modality) -> Features:
    """Load and check the vectors of one modality.

    Raises:
        MMRecError: not encoded, ids that are not in the dataset, or files that were changed since they were written.
    """
    if control := controls.parse(encoder):
        real = load(dataset, control.encoder, modality)
        return replace(real, encoder=encoder, vectors=controls.replaced(control, real.vectors, modality))
    name = sources(dataset, encoder).get(modality) or split_pair(encoder).get(modality, encoder)
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
    if control := controls.parse(encoder):
        own = checksum_of(dataset, control.encoder, modality)
        return storage.checksum(f"{control.kind}.{control.seed}:{own}".encode())
    folder = folder_of(dataset, sources(dataset, encoder).get(modality, parts_of(encoder)[0]))
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


ALL = ("both", "all")
"""Values of the setting ``modality`` that mean every modality there is."""


def canonical(modality: str | None) -> str:
    """The setting ``modality`` in the form that runs store: ``both`` for all modalities, names in their order."""
    if modality is None or modality in ALL:
        return "both"
    return "+".join(in_order(modality.split("+")))


def content_choices(dataset: Dataset) -> list[str]:
    """Values of the setting ``modality`` for a dataset: all, one of those that are encoded, none."""
    found = in_order(m for manifest in available(dataset).values() for m in manifest["modality"])
    return ["both", *found, "none"]


def available_inputs(dataset: Dataset) -> set[str]:
    """All inputs that a dataset can give to a model, with the modalities of stored vectors (``text``, ``image`` …)."""
    has = set(dataset.manifest["has"])
    more = (
        {"side", "graph"} | ({"ids"} if {"user", "item"} <= has else set()) | ({"sequence"} if "time" in has else set())
    )
    content = {m for manifest in available(dataset).values() for m in manifest["modality"]}
    return has | more | content | ({"content"} if content else set())


def default_encoder(dataset: Dataset) -> str | None:
    """The encoder that models use by default: the first of those with the most modalities; ``None`` without any."""
    ready = available(dataset)
    return max(ready, key=lambda name: len(ready[name]["modality"]), default=None)


def content(dataset: Dataset, encoder: str | None, modality: str = "both") -> Side:
    """Vectors of content as item fields named by modality: ``text``, ``image`` …

    Args:
        dataset: the dataset.
        encoder: whose vectors; ``None``: :func:`default_encoder`.
        modality: ``both`` or ``all`` for every modality, ``none``, or names: ``text``, ``text+audio``.

    Raises:
        MMRecError: not encoded, or the encoder has no vectors of the requested modality.
    """
    if modality == "none":
        return ()
    encoder = encoder or default_encoder(dataset)
    if encoder is None:
        raise MMRecError(
            f"Nothing has encoded {dataset.name} yet. Run: python -m mmrec_core encode {dataset.name} --encoder classic"
        )
    own, control = sources(dataset, encoder), controls.parse(encoder)
    for part in parts_of(control.encoder if control else encoder):
        if part not in available(dataset):
            load(dataset, part, next(iter(own), "text"))  # raises the error that says how to encode it
    wanted_ones = list(own) if modality in ALL else in_order(modality.split("+"))
    if modality not in ALL and (unknown := [m for m in wanted_ones if m not in {*own, *MODALITIES}]):
        raise unknown_name("modality", unknown[0], ["both", *own, "none"])
    found = []
    for wanted in wanted_ones:
        loaded = load(dataset, encoder, wanted)
        place = loaded.by_item(len(dataset.items))
        found.append(Field(wanted, "item", "vector", width=loaded.vectors.shape[1], data=loaded.vectors, place=place))
    return tuple(found)


def vectors_read(dataset: Dataset, encoder: str | None, modality: str | None) -> dict[str, dict[str, Any]]:
    """The vectors that :func:`content` gives: modality → ``encoder``, ``width`` and ``checksum``."""
    if encoder is None or modality in (None, "none"):
        return {}
    own = sources(dataset, encoder)
    return {
        field.name: {
            "encoder": own[field.name],
            "width": field.width,
            "checksum": checksum_of(dataset, encoder, field.name),
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
    retrieval: Mapping[str, Any] | None = None,
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
        retrieval: how well texts and images of the same item find each other, where it was measured on held-out
            pairs; otherwise it is computed here over all items of a joint space.

    Returns:
        The manifest.
    """
    from mmrec_core.features.nearest_neighbours import recall

    both = joint and set(parts) == set(MODALITIES)
    if retrieval is None and both:
        retrieval = recall(*paired(parts["text"], parts["image"]))
    with storage.replacing(folder) as draft:
        return vector_files.write(
            draft,
            name,
            dataset.items.raw,
            parts,
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
