"""The feature store: encode a catalog once, keep it as float16, memory-map it ever after; ids and checksums checked on every load.

``<dataset>/features/<encoder>/`` holds ``{text,image}.npy`` ``[N, width]`` with unit rows, each with its own
``{text,image}_ids.npy`` (raw item ids), ``state.npz`` for encoders that learned from the catalog, and ``manifest.json``. A film
without a poster or a plot has no row: it is masked, never a zero taken for a vector.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec_core import ids, inputs, records, registry, settings, storage
from mmrec_core.encoders._base import MODALITIES, Encoder, Modality, unit
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.images import open_image
from mmrec_core.types import Array, Dataset, Field, Progress, Side, blocks, quiet

if TYPE_CHECKING:
    from PIL.Image import Image

SHARD = 256
"""Films between two savings while encoding, which is what a killed run loses at most."""
PAIRS: dict[str, tuple[str, str]] = {
    "sota": ("qwen2", "so400m_siglip"),
    "baseline": ("mpnet", "vit_l_14"),
    "bert+resnet": ("bert", "resnet"),
}
"""Founding configurations that take text and image from two encoders; ``A+B`` pairs any two."""


# What an encoder reads


def prompt_lines(film: Mapping[Any, Any]) -> list[str]:
    """The rich text prompt of a catalog row, a line each: movie, year, genres, director, cast, plot; absent ones left out."""
    year = None if _missing(film["year"]) else film["year"]
    lists = {"Genres": film["genres"], "Cast": film["cast"]}
    told = {
        k: ", ".join(str(v) for v in own) if isinstance(own, (list, np.ndarray)) else "" for k, own in lists.items()
    }

    def plain(value: Any) -> str:
        return value.strip() if isinstance(value, str) else ""

    lines = [
        ("Movie", plain(film["title"])), ("Year", "" if year is None else str(int(year))),
        ("Genres", told["Genres"]), ("Director", plain(film["director"])), ("Cast", told["Cast"]), ("Plot", plain(film["plot"])),
    ]  # fmt: skip
    return [f"{name}: {value}" for name, value in lines if value]


def rich_text(film: Mapping[Any, Any]) -> str:
    """The rich text prompt of a catalog row; the same for every encoder."""
    return "\n".join(prompt_lines(film))


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def open_poster(dataset: Dataset, row: int) -> Image | None:
    """A film's poster in RGB at its full size, or its thumbnail where that file has moved; ``None`` where neither can be read."""
    record = dataset.catalog.iloc[row]
    for place in (record["poster_file"], record["poster"]):
        if not isinstance(place, str):
            continue
        try:
            return open_image(Path(place) if place == record["poster_file"] else settings.static_dir() / place)
        except MMRecError:
            continue
    return None


# What is there


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
            stamp = tuple(part for f in sorted(file.parent.glob("*.*")) for part in (f.stat().st_mtime_ns, f.stat().st_size))
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


# What models are given

CONTENT = ("both", "text", "image", "none")
"""Which vectors a model of plots and posters is given."""


def offers(dataset: Dataset) -> set[str]:
    """What a dataset has that a model may need, encoded plots (``text``) and posters (``image``) among it."""
    has = set(dataset.manifest["has"])
    more = (
        {"side", "graph"} | ({"ids"} if {"user", "item"} <= has else set()) | ({"sequence"} if "time" in has else set())
    )
    return has | more | {m for told in available(dataset).values() for m in told["modality"]}


def usual(dataset: Dataset) -> str | None:
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
    encoder = encoder or usual(dataset)
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


# Making them


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


def _asked(file: Path) -> Any:
    """What an encoding that was begun was asked for; ``None`` where that cannot be read, so that it begins anew."""
    try:
        return storage.read_json(file)
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


def write(
    folder: Path, dataset: Dataset, name: str, parts: Mapping[Modality, tuple[Array, Array]], *, offers: Sequence[str], joint: bool,
    version: int, options: Mapping[str, Any], state: Mapping[str, Array] | None = None, imported: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Write vectors ``(catalog rows [N], vectors [N, width])`` by modality with their ids and checksums, all of it or nothing."""
    from mmrec_core.retrieval import recall

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


def restored(dataset: Dataset, encoder: str, options: Mapping[str, Any] | None = None) -> Encoder:
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


# Bringing vectors along


def import_folder(dataset: Dataset, source: Path, name: str) -> dict[str, Any]:
    """Take over vectors that somebody else made.

    ``source`` holds ``…_text_….npy`` and/or ``…_image_….npy`` with row ids in ``…_ids.npy`` beside each, or one shared ``*_ids.npy``.
    Several sets in one folder are told apart by ``name``, which must then occur in their file names.

    Raises:
        MMRecError: no vectors, ids that do not fit them, or none of the films is the dataset's.
    """
    storage.safe_name(name, "encoder name")
    if name in registry.entries("encoders"):
        raise MMRecError(f"'{name}' is an encoder of MMRec's own; import under another name with --as.")
    if not source.is_dir():
        raise MMRecError(f"{source} is not a folder. Name one that holds text and image vectors as .npy files.")
    parts: dict[Modality, tuple[Array, Array]] = {}
    files = [f for f in sorted(source.glob("*.npy")) if not f.stem.endswith("_ids")]

    def bears(file: Path, word: str) -> bool:
        return f"_{word}_" in f"_{file.stem}_"

    for modality in MODALITIES:
        own = [f for f in files if bears(f, modality)]
        own = [f for f in own if bears(f, name)] or (own if not any(bears(f, name) for f in files) else [])
        if len(own) > 1:
            raise MMRecError(
                f"{source} holds several {modality} files ({', '.join(f.name for f in own)}); name one of them with --as."
            )
        if own:
            parts[modality] = _take(dataset, own[0])
    if not parts:
        raise MMRecError(
            f"{source} holds no vectors for '{name}': expected *text*.npy or *image*.npy with an …_ids.npy beside it."
        )
    folder = folder_of(dataset, name)
    with storage.locked(f"features-{dataset.name}-{name}"):
        manifest = write(
            folder, dataset, name, parts, offers=list(parts), joint=False, version=1, options={}, imported=True
        )
    short = {m: {k: v[k] for k in ("n", "width", "missing")} for m, v in manifest["modality"].items()}
    return {"encoder": name, "dataset": dataset.name, "modality": short, "retrieval": None}


def _take(dataset: Dataset, file: Path) -> tuple[Array, Array]:
    beside = file.with_name(f"{file.stem}_ids.npy")
    shared = sorted(file.parent.glob("*_ids.npy"))
    ids_file = beside if beside.exists() else shared[0] if len(shared) == 1 else None
    if ids_file is None:
        raise MMRecError(f"{file.name} has no ids: expected {beside.name} beside it, or one *_ids.npy for all.")
    vectors, held = inputs.array(file), inputs.array(ids_file)
    if vectors.ndim != 2 or held.ndim != 1 or len(vectors) != len(held) or vectors.dtype.kind not in "f":
        raise MMRecError(
            f"{file.name} is {list(vectors.shape)} of {vectors.dtype} and {ids_file.name} {list(held.shape)}; expected one row of floats for each of "
            f"{len(held) if held.ndim else 0:,} ids in one dimension."
        )
    if vectors.shape[1] == 0 or not len(vectors):
        raise MMRecError(f"{file.name} is {list(vectors.shape)}; expected at least one vector of at least one number.")
    own = ids.of_column(held, "id", ids_file.name, lambda row: row + 1)
    if (missing := own.missing()).any():
        raise MMRecError(f"{ids_file.name} has no id in row {int(np.flatnonzero(missing)[0])}; expected one for each vector.")
    if len(own.values) != len(held):
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
    """bool ``[N]``: values that occurred before."""
    seen = np.ones(len(codes), bool)
    seen[np.unique(codes, return_index=True)[1]] = False
    return seen


def _no_other_form(dataset: Dataset, rows: Array, texts: Array, file: Path) -> None:
    """Refuse ids such as ``01`` and ``1.0`` that no film of the dataset has, and that were meant for film 1."""
    for text in texts[rows < 0].tolist():
        number = re.fullmatch(r"0*(\d+?)(\.0+)?", text, re.ASCII)
        if number and text != number.group(1) and dataset.items.rows([number.group(1)])[0] >= 0:
            raise MMRecError(f"{file.name} names film {number.group(1)} as '{text}'; ids are compared as they are written. Write it as {number.group(1)}, once.")


def offered(dataset: Dataset) -> dict[str, dict[str, Any]]:
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
