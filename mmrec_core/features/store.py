"""Stored vectors of a dataset: find, read, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec_core import records, registry, storage
from mmrec_core.encoders._base import MODALITIES, Modality
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.types import Array, Dataset, Field, Side

if TYPE_CHECKING:
    pass

PAIRS: dict[str, tuple[str, str]] = {
    "sota": ("qwen2", "so400m_siglip"),
    "baseline": ("mpnet", "vit_l_14"),
    "bert+resnet": ("bert", "resnet"),
}
"""Founding configurations that take text and image from two encoders; ``A+B`` pairs any two."""


@dataclass(frozen=True)
class Features:
    """One modality of one encoder on one dataset."""

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
        """The same as float32 in memory, for searching."""
        return np.asarray(self.vectors, np.float32)

    def by_item(self, n_items: int) -> Array:
        """Where each catalog row's vector stands, int64 ``[I]``; −1 where it is missing."""
        place = np.full(n_items, -1, np.int64)
        place[self.items] = np.arange(len(self.items))
        return place


def folder_of(dataset: Dataset, encoder: str) -> Path:
    """Where an encoder's vectors lie."""
    return dataset.folder / "features" / _safe(encoder)


def _safe(encoder: str) -> str:
    """An encoder's name as a folder's: hub names hold slashes and colons."""
    return encoder.replace("/", "--").replace(":", "__")


def available(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Manifests of what is encoded or imported, by encoder name, but those of :func:`damaged`."""
    return {str(told["encoder"]): told for told in _looked_at(dataset) if not isinstance(told, DamagedFile)}


def damaged(dataset: Dataset) -> list[DamagedFile]:
    """What is wrong with vectors that :func:`available` leaves out."""
    return [told for told in _looked_at(dataset) if isinstance(told, DamagedFile)]


_read: dict[Path, tuple[tuple[int, ...], dict[str, Any] | DamagedFile]] = {}


def _looked_at(dataset: Dataset) -> list[dict[str, Any] | DamagedFile]:
    """Every encoder's manifest, or what is wrong with its files; those that did not change are not looked at again."""
    place, found = dataset.folder / "features", []
    storage.recover_all(place)
    for file in sorted(place.glob("[!.]*/manifest.json")):
        try:
            stamp = tuple(
                part for f in sorted(file.parent.glob("*.*")) for part in (f.stat().st_mtime_ns, f.stat().st_size)
            )
        except OSError:
            continue  # it is being replaced
        held = _read.get(file)
        if held is None or held[0] != stamp:
            told: dict[str, Any] | DamagedFile
            try:
                told = _check(file.parent)
            except DamagedFile as error:
                told = error
            except MMRecError:
                continue
            held = _read[file] = (stamp, told)
        found.append(held[1])
    return found


def _remedy(folder: Path) -> str:
    """What to do where one of an encoder's files is damaged."""
    dataset = folder.parent.parent.name
    return f"Encode {dataset} with it again, or import its vectors again: python -m mmrec_core encode {dataset}"


def _check(folder: Path) -> dict[str, Any]:
    """An encoder's manifest, once the headers of its files have been looked at.

    Raises:
        MMRecError: there is none.
        DamagedFile: one of the files cannot be read, or is of another shape than the manifest says.
    """
    told = records.read(folder / "manifest.json", records.FEATURES, _remedy(folder))
    for modality, own in told["modality"].items():
        records.array(folder / f"{modality}.npy", _remedy(folder), length=own["n"], ndim=2, kinds="f")
        records.array(folder / f"{modality}_ids.npy", _remedy(folder), length=own["n"], ndim=1, kinds="iuU")
    if (folder / "state.npz").exists():
        _state(folder, told)
    return told


def _state(folder: Path, told: Mapping[str, Any]) -> dict[str, Array]:
    """What an encoder learned from the catalog.

    Raises:
        DamagedFile: it cannot be read, or was changed since it was written.
    """
    if told.get("state") not in {None, _digest(folder / "state.npz")}:  # manifests of earlier versions do not name it
        raise DamagedFile(storage.shown(folder / "state.npz"), "it was changed since it was written", _remedy(folder))
    return records.archive(folder / "state.npz", _remedy(folder))


def split_pair(encoder: str) -> dict[Modality, str]:
    """Which encoder each modality comes from: ``minilm+mobilenet_v1`` → text from the first, image from the second."""
    if encoder in PAIRS:
        text, image = PAIRS[encoder]
    elif "+" in encoder and not encoder.startswith(("hf:", "open_clip:")):
        text, _, image = encoder.partition("+")
    else:
        text = image = encoder
    return {"text": text, "image": image}


def load(dataset: Dataset, encoder: str, modality: Modality) -> Features:
    """One modality's vectors, checked.

    Raises:
        MMRecError: not encoded, ids that are not the dataset's, or files that are not those that were written.
    """
    name = split_pair(encoder)[modality]
    folder = folder_of(dataset, name)
    if not (folder / "manifest.json").exists():
        raise MMRecError(
            f"'{name}' has not encoded {dataset.name}. Run: python -m mmrec_core encode {dataset.name} --encoder {name}. "
            f"Encoded: {', '.join(available(dataset)) or 'nothing'}."
        )
    told = _check(folder)
    if modality not in told["modality"]:
        raise MMRecError(f"'{name}' has no {modality} vectors of {dataset.name}; it has {', '.join(told['modality'])}.")
    own = told["modality"][modality]
    vectors = records.array(folder / f"{modality}.npy", _remedy(folder))
    held = records.array(folder / f"{modality}_ids.npy", _remedy(folder), mapped=False)
    if storage.checksum(np.ascontiguousarray(held).tobytes()) != own["ids"]:
        raise MMRecError(
            f"{folder / f'{modality}_ids.npy'} was changed since it was written; encode {dataset.name} again."
        )
    if vectors.shape != (own["n"], own["width"]) or _digest(folder / f"{modality}.npy") != own["checksum"]:
        raise MMRecError(f"{folder / f'{modality}.npy'} was changed since it was written; encode {dataset.name} again.")
    items = dataset.items.rows(held)
    if len(items) and int(items.min()) < 0:
        raise MMRecError(f"Vectors of '{name}' are of films that {dataset.name} does not have; encode it again.")
    return Features(name, modality, held, vectors, items, told)


def checksum_of(dataset: Dataset, encoder: str, modality: Modality) -> str:
    """What names one modality's vectors, without reading them.

    Raises:
        MMRecError: not encoded.
    """
    folder = folder_of(dataset, split_pair(encoder)[modality])
    told = records.read(folder / "manifest.json", records.FEATURES, _remedy(folder))["modality"]
    if modality not in told:
        raise MMRecError(f"'{encoder}' has no {modality} vectors of {dataset.name}.")
    return str(told[modality]["checksum"])


_digests: dict[tuple[str, int, int], str] = {}


def _digest(file: Path) -> str:
    """A file's checksum; read again only when the file changed."""
    told = file.stat()
    key = (str(file), told.st_mtime_ns, told.st_size)
    if key not in _digests:
        while len(_digests) > 256:
            _digests.pop(next(iter(_digests)))
        _digests[key] = storage.checksum(file.read_bytes())
    return _digests[key]


CONTENT = ("both", "text", "image", "none")
"""Which vectors a model of plots and posters is given."""


def available_inputs(dataset: Dataset) -> set[str]:
    """What a dataset has that a model may need, encoded plots (``text``) and posters (``image``) among it."""
    has = set(dataset.manifest["has"])
    more = (
        {"side", "graph"} | ({"ids"} if {"user", "item"} <= has else set()) | ({"sequence"} if "time" in has else set())
    )
    return has | more | {m for told in available(dataset).values() for m in told["modality"]}


def default_encoder(dataset: Dataset) -> str | None:
    """The encoder whose vectors a model gets when nobody names one: the first with both modalities, else the first."""
    ready = available(dataset)
    return next((n for n, told in ready.items() if len(told["modality"]) == 2), next(iter(ready), None))


def content(dataset: Dataset, encoder: str | None, modality: str = "both") -> Side:
    """Vectors of plots and posters as fields ``text`` and ``image`` of items.

    Raises:
        MMRecError: not encoded, or the encoder has no vectors of the modality asked for.
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
            continue  # an encoder of texts alone gives texts alone
        loaded = load(dataset, encoder, wanted)
        found.append(Field(wanted, "item", "vector", width=loaded.vectors.shape[1], data=loaded.vectors,
                           place=loaded.by_item(len(dataset.items))))  # fmt: skip
    return tuple(found)


def _asked(file: Path) -> Any:
    """What an encoding that was begun was asked for; ``None`` where that cannot be read, so that it begins anew."""
    try:
        return storage.read_json(file)
    except MMRecError:
        return None


def write(
    folder: Path, dataset: Dataset, name: str, parts: Mapping[Modality, tuple[Array, Array]], *, offers: Sequence[str], joint: bool,
    version: int, options: Mapping[str, Any], state: Mapping[str, Array] | None = None, imported: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Write vectors ``(catalog rows [N], vectors [N, width])`` by modality with their ids and checksums, all of it or nothing."""
    from mmrec_core.features.nearest_neighbours import recall

    told: dict[str, Any] = {}
    with storage.replacing(folder) as draft:
        for modality, (rows, vectors) in parts.items():
            raw = np.ascontiguousarray(dataset.items.raw[rows])
            np.save(draft / f"{modality}.npy", np.ascontiguousarray(vectors, np.float16), allow_pickle=False)
            np.save(draft / f"{modality}_ids.npy", raw, allow_pickle=False)
            told[modality] = {
                "n": len(rows), "width": int(vectors.shape[1]), "missing": len(dataset.items) - len(rows),
                "ids": storage.checksum(raw.tobytes()), "checksum": storage.checksum((draft / f"{modality}.npy").read_bytes()),
            }  # fmt: skip
        if state:
            np.savez(draft / "state.npz", allow_pickle=False, **state)
        both = joint and set(parts) == set(MODALITIES)
        retrieval = recall(*paired(parts["text"], parts["image"])) if both else None
        manifest = {
            "encoder": name, "version": version, "options": dict(options), "offers": list(offers), "joint": joint, "imported": imported,
            "catalog": dataset.checksum, "prompt": "rich text", "modality": told, "retrieval": retrieval,
            "state": storage.checksum((draft / "state.npz").read_bytes()) if state else None,
        }  # fmt: skip
        storage.write_json(draft / "manifest.json", manifest)
    return manifest


def paired(text: tuple[Array, Array], image: tuple[Array, Array]) -> tuple[Array, Array]:
    """Vectors of the films that have both, in one order."""
    shared, a, b = np.intersect1d(text[0], image[0], return_indices=True)
    return np.asarray(text[1][a], np.float32), np.asarray(image[1][b], np.float32)


def encoder_list(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Every encoder one might use, with whether it is encoded, is joint, and what it needs; unusable ones with the reason."""
    ready = available(dataset)
    told: dict[str, dict[str, Any]] = {}
    for name, entry in registry.entries("encoders").items():
        told[name] = {"ready": name in ready, "about": entry.summary, "fault": entry.fault}
    for name, manifest in ready.items():
        told.setdefault(
            name, {"ready": True, "about": "imported" if manifest["imported"] else "from the hub", "fault": None}
        )
    return told
