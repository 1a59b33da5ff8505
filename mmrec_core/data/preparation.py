"""Prepare datasets (read, check, enrich, make thumbnails, store columns), and list and open prepared ones."""

from __future__ import annotations

import io
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import docstrings, registry, settings, storage
from mmrec_core.data import enrichment, vector_files
from mmrec_core.data.row_order import stored_order, time_ties
from mmrec_core.data.vector_files import unit
from mmrec_core.errors import DamagedFile, MMRecError, unknown_name
from mmrec_core.reading import input_files
from mmrec_core.reading.images import MAX_BYTES as MAX_IMAGE_BYTES
from mmrec_core.reading.images import open_image
from mmrec_core.types import Array, Dataset, IdMap, Progress, Split, quiet

log = logging.getLogger(__name__)

POSTER_SIZE = (320, 480)
THUMB_VERSION = 2
"""Increased when thumbnails are made in another way, so that old files are not reused."""
NOUNS = {"films": "Film", "books": "Book", "items": "Item"}
"""First word of the title of an item without one; its id follows."""
LISTS = ("genres", "cast", "tags")
TEXTS = ("title", "director", "plot", "imdb_id", "tmdb_id")


def prepared() -> list[str]:
    """Names of the prepared datasets in alphabetical order, without those of :func:`damaged`."""
    return [name for name, fault in _checked_datasets().items() if fault is None]


def damaged() -> dict[str, DamagedFile]:
    """Prepared datasets that cannot be opened: the fault of each by name."""
    return {name: fault for name, fault in _checked_datasets().items() if fault is not None}


_checked: dict[Path, tuple[tuple[tuple[str, int, int], ...], DamagedFile | None]] = {}
"""By dataset folder: the stamps of its files when they were checked, and the fault or ``None``."""


def _checked_datasets() -> dict[str, DamagedFile | None]:
    """Every prepared dataset with its fault or ``None``; unchanged files are not checked again."""
    place = settings.home() / "datasets"
    storage.recover_all(place)
    return {file.parent.name: _fault(file.parent) for file in sorted(place.glob("[!.]*/manifest.json"))}


def _fault(folder: Path) -> DamagedFile | None:
    files = (*folder.glob("*.*"), *folder.glob("interactions/*.npy"), *folder.glob("official/*.npy"))
    stamp = tuple((f.name, stat.st_mtime_ns, stat.st_size) for f in files if (stat := _stat(f)) is not None)
    if (cached := _checked.get(folder)) is not None and cached[0] == stamp:
        return cached[1]
    fault = None
    try:
        Dataset(folder).check()
        Dataset(folder).check_rows()
    except DamagedFile as error:
        fault = error
    except MMRecError:
        return None  # its manifest was removed meanwhile
    _checked[folder] = (stamp, fault)
    return fault


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except OSError:
        return None


def open_dataset(name: str) -> Dataset:
    """Open a prepared dataset.

    Raises:
        MMRecError: not prepared; the message lists the prepared datasets, or says how to prepare this one.
        DamagedFile: one of its files cannot be read.
    """
    folder = settings.home() / "datasets" / name
    known = folder.parent == settings.home() / "datasets" and not name.startswith(".")
    if known:
        storage.recover(folder)
        if (fault := _fault(folder)) is not None:
            raise fault
    if not known or not (folder / "manifest.json").exists():
        if name in registry.entries("datasets"):
            raise MMRecError(f"Dataset '{name}' is not prepared yet. Run: python -m mmrec_core prepare {name}")
        raise unknown_name("dataset", name, prepared())
    return Dataset(folder)


def prepare(
    reader_name: str,
    *,
    source: Path | None = None,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    enrich: Sequence[str] = (),
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Prepare a dataset under ``MMREC_HOME/datasets/<name>``; atomic.

    Args:
        reader_name: an entry of kind ``datasets`` in the registry.
        source: a folder or file to read; ``None`` searches ``MMREC_SOURCES``.
        name: name of the dataset; by default the reader's name.
        options: settings of the reader's config.
        enrich: sources of posters and plots to use in addition to the default ones.
        progress: progress callback.

    Returns:
        ``{"dataset", "ratings", "users", "films", "posters", "plots", "coverage", "seconds"}``.

    Raises:
        MMRecError: anything the user can correct; an earlier version of the dataset is unchanged.
    """
    started = time.perf_counter()
    target = storage.safe_name(name or reader_name, "dataset name")
    if target in registry.entries("datasets") and target != reader_name:
        raise MMRecError(f"'{target}' is the name of a built-in dataset; choose another with --name.")
    reader = registry.load("datasets", reader_name)(
        reader_name, registry.config("datasets", reader_name, options or {})
    )
    enrichment.check_sources(enrich)
    folder = storage.open_home() / "datasets" / target
    with storage.locked(f"dataset-{target}"):
        storage.sweep(folder)
        return _prepare(reader, reader_name, source, folder, enrich, progress, started)


def _prepare(
    reader: Any,
    reader_name: str,
    source: Path | None,
    folder: Path,
    enrich: Sequence[str],
    progress: Progress,
    started: float,
) -> dict[str, Any]:
    """Read, enrich and write one dataset into ``folder``; arguments as in :func:`prepare`."""
    from mmrec_core.data.datasets._base import check_events

    with storage.replacing(folder) as draft:
        with input_files.outermost(source or reader_name):
            raw = reader.read(source, draft, progress)
            check_events(raw)
            users, items, catalog = _tables(raw)
        notes = list(raw.notes)
        offered = not reader.generated and raw.what == "films"
        found = enrichment.fill(catalog, enrich, raw.id_space, progress, offered=offered)
        notes += found.notes
        raw.licence = " ".join(text for text in (raw.licence, found.licence) if text)
        notes += _thumbnails(catalog, draft, folder, progress)
        manifest = _write(draft, raw, users, items, catalog, progress)
        notes += _vectors(draft, raw, items, str(manifest["checksum"]))
        manifest |= {
            "dataset": folder.name,
            "reader": reader_name,
            "config": reader.config.model_dump(),
            "generated": reader.generated,
            "about": docstrings.summary(reader.__doc__),
            "notes": notes,
            "id_space": raw.id_space,
            **raw.about,
        }
        storage.write_json(draft / "manifest.json", manifest)
    keys = ("dataset", "ratings", "users", "films", "posters", "plots", "coverage")
    return {**{key: manifest[key] for key in keys}, "notes": notes, "seconds": round(time.perf_counter() - started, 2)}


def _tables(raw: Any) -> tuple[IdMap, IdMap, Any]:
    """User ids, item ids and the catalog: items of the item table in its order, then items that only have events."""
    import pandas as pd

    events = raw.events if raw.stored is None else pd.DataFrame()
    users = (
        IdMap(_plain_ids(pd.unique(np.sort(events["user"].to_numpy()))))
        if "user" in events
        else IdMap(np.zeros(0, np.int64))
    )
    if "item" not in events:
        return users, IdMap(np.zeros(0, np.int64)), pd.DataFrame()
    table = raw.items.reset_index(drop=True) if raw.items is not None else pd.DataFrame({"item": []})
    if len(table) and (table["item"].dtype.kind in "iu") != (events["item"].dtype.kind in "iu"):
        # 10 and "10" are one film
        table["item"], events["item"] = table["item"].astype(str), events["item"].astype(str)
    known = set(table["item"].tolist())
    extra = [i for i in pd.unique(np.sort(events["item"].to_numpy())).tolist() if i not in known]
    if extra:
        table = (
            pd.concat([table, pd.DataFrame({"item": extra})], ignore_index=True)
            if len(table)
            else pd.DataFrame({"item": extra})
        )
    ids = IdMap(_plain_ids(table["item"].to_numpy()))
    catalog = pd.DataFrame({"item": ids.raw})
    for column in TEXTS:
        values = table[column] if column in table else pd.Series([None] * len(ids))
        catalog[column] = [
            str(v).strip()
            if isinstance(v, str) and v.strip()
            else str(v)
            if isinstance(v, (int, float)) and v == v
            else None
            for v in values
        ]
    catalog["title"] = [
        t if isinstance(t, str) and t else f"{NOUNS[raw.what]} {i}"
        for t, i in zip(catalog["title"], ids.raw, strict=True)
    ]
    catalog["year"] = pd.Series(table["year"] if "year" in table else [None] * len(ids)).astype("Int32").array
    for column in LISTS:
        values = table[column].tolist() if column in table else [[]] * len(ids)
        catalog[column] = [list(v) if isinstance(v, (list, tuple, np.ndarray)) else [] for v in values]
    catalog["poster"] = [raw.posters.get(i) for i in table["item"].tolist()]
    return users, ids, catalog


def _plain_ids(values: Array) -> Array:
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    if values.dtype.kind == "f" and np.all(values % 1 == 0):
        return values.astype(np.int64)
    return values.astype(str)


def _thumbnails(catalog: Any, draft: Path, folder: Path, progress: Progress) -> list[str]:
    """Replace ``poster`` (an image file) by its thumbnail's path under ``static/``.

    ``poster_file`` keeps the image file.

    Args:
        catalog: one row per item, changed in place.
        draft: the folder being prepared.
        folder: the folder that the draft will replace.
        progress: progress callback.
    """
    if catalog.empty:
        return []
    jobs = [(row, Path(file)) for row, file in enumerate(catalog["poster"]) if file is not None]
    thumbs: list[str | None] = [None] * len(catalog)
    files: list[str | None] = [None] * len(catalog)
    unreadable: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        for done, ((row, file), thumb) in enumerate(
            zip(jobs, pool.map(lambda job: thumbnail(job[1]), jobs), strict=True)
        ):
            progress(done + 1, len(jobs), "making thumbnails")
            if thumb is None:
                unreadable.append(file.name)
                continue
            thumbs[row] = thumb
            files[row] = str(folder / file.relative_to(draft)) if file.is_relative_to(draft) else str(file)
    catalog["poster"], catalog["poster_file"] = thumbs, files
    if not unreadable:
        return []
    listed = ", ".join(unreadable[:3]) + (" …" if len(unreadable) > 3 else "")
    files_read = f"{len(unreadable)} poster file{'s' if len(unreadable) > 1 else ''}"
    return [f"{files_read} could not be read and count as missing: {listed}"]


def thumbnail(file: Path) -> str | None:
    """Make the thumbnail of an image once, named by the image's content.

    The image is decoded and encoded again, so only pixels reach the browser.

    Returns:
        Its path under ``static/`` of the home, or ``None`` if the image cannot be read.
    """
    try:
        if file.stat().st_size > MAX_IMAGE_BYTES:
            return None
        body = file.read_bytes()
        name = storage.checksum(body, repr((THUMB_VERSION, POSTER_SIZE)).encode())
        path = settings.static_dir() / "thumbs" / name[:2] / f"{name}.jpg"
        if not path.exists():
            small = open_image(body, (POSTER_SIZE[0] * 2, POSTER_SIZE[1] * 2))
            small.thumbnail(POSTER_SIZE)
            out = io.BytesIO()
            small.save(out, "JPEG", quality=86)
            storage.write_bytes(path, out.getvalue())
        return f"thumbs/{name[:2]}/{name}.jpg"
    except MMRecError as error:
        log.warning("%s: %s", file.name, error)
        return None
    except OSError as error:
        import errno

        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}:
            raise
        log.warning("%s is not a readable image: %s", file, error)
        return None


def _write(draft: Path, raw: Any, users: IdMap, items: IdMap, catalog: Any, progress: Progress) -> dict[str, Any]:
    """Write ids, columns and tables into the draft folder; returns the counts for the manifest.

    Args:
        draft: the folder being prepared.
        raw: what the reader returned.
        users: user ids.
        items: item ids.
        catalog: one row per item.
        progress: progress callback.
    """
    progress(0, 1, "writing columns")
    events = raw.events if raw.stored is None else {}
    columns: dict[str, Array] = {}
    if "user" in events:
        columns["user"] = users.rows(events["user"].to_numpy()).astype(np.int32)
    if "item" in events:
        columns["item"] = items.rows(events["item"].to_numpy()).astype(np.int32)
    if "rating" in events:
        columns["rating"] = events["rating"].to_numpy(np.float32)
    if "time" in events:
        columns["time"] = events["time"].to_numpy().astype(np.int64)
    if raw.stored is None:
        columns |= {f"label.{n}": events[n].to_numpy() for n in raw.labels}
        columns |= {f"feature.{n}": _plain_column(events[n].to_numpy()) for n in raw.features}
    ties = None
    official, candidates = _official(raw), dict(raw.candidates)
    if {"user", "item"} <= columns.keys():  # from here on, nothing depends on the order of the file
        order = stored_order(users, items, columns)
        columns = {name: values[order] for name, values in columns.items()}
        official, candidates = _reordered(official, candidates, order)
        ties = time_ties(columns["user"], columns["time"]) if "time" in columns else None
    for part, arrays in (("interactions", columns), ("official", official)):
        (draft / part).mkdir(exist_ok=True)
        for column, values in arrays.items():
            np.save(draft / part / f"{column}.npy", values, allow_pickle=False)
    for name, among in candidates.items():
        np.save(draft / "official" / f"{name}.candidates.npy", items.rows(among).astype(np.int32), allow_pickle=False)
    for kind, ids in (("user", users), ("item", items)):
        if len(ids):
            np.save(draft / f"{kind}_ids.npy", ids.raw, allow_pickle=False)
    n, item = len(events) if raw.stored is None else raw.stored, columns.get("item")
    counts = np.bincount(item, minlength=len(items)) if item is not None else np.zeros(0, np.int64)
    coverage: dict[str, Any] = {}
    if not catalog.empty:
        catalog["n_ratings"] = counts
        catalog["n_users"] = _users_per_item(columns, len(items)) if raw.repeats == "allowed" else counts
        if "rating" in columns:
            total = np.bincount(columns["item"], weights=columns["rating"], minlength=len(items))
            catalog["mean_rating"] = np.where(counts > 0, total / np.maximum(counts, 1), np.nan).astype(np.float32)
        catalog.to_parquet(draft / "catalog.parquet", index=False)
        for column in ("poster", "plot", "director", "genres", "tags", "year", "imdb_id", "tmdb_id"):
            filled = np.array([_is_filled(v) for v in catalog[column]])
            coverage[column] = {
                "films": round(float(filled.mean()), 4),
                "ratings": round(float(counts[filled].sum() / max(n, 1)), 4),
            }
    if raw.users is not None and len(users):
        table = raw.users.drop_duplicates("user").set_index("user").reindex(users.raw).reset_index()
        table.to_parquet(draft / "users.parquet", index=False)
    digest = storage.checksum(
        users.raw.tobytes(), items.raw.tobytes(), *(np.ascontiguousarray(c).tobytes() for c in columns.values())
    )
    if raw.stored is not None:
        from mmrec_core.data.datasets._columns import digest as digest_of

        digest = storage.checksum(digest_of(draft / "interactions").encode())
    has_rating = "rating" in columns
    manifest = {
        "ratings": n,
        "users": len(users),
        "films": len(items),
        "posters": int(catalog["poster"].notna().sum()) if not catalog.empty else 0,
        "plots": int(catalog["plot"].notna().sum()) if not catalog.empty else 0,
        "coverage": coverage,
        "has": sorted(set(c for c in columns if "." not in c) | ({"labels"} if raw.labels else set())),
        "scale": list(raw.scale) if raw.scale and has_rating else None,
        "relevant_from": relevant_from(raw.scale) if has_rating else None,
        "mean_rating": float(np.mean(columns["rating"])) if has_rating else None,
        "first_time": int(columns["time"].min()) if "time" in columns else None,
        "last_time": int(columns["time"].max()) if "time" in columns else None,
        "repeats": "allowed" if raw.repeats == "allowed" and _repeat(columns) else "refused",
        "ties": ties,
        "licence": raw.licence,
        "checksum": digest,
    }
    return json.loads(json.dumps(manifest))


def _vectors(draft: Path, raw: Any, items: IdMap, data: str) -> list[str]:
    """Write the vectors that came with the dataset as imported features.

    Args:
        draft: the folder being prepared.
        raw: what the reader returned.
        items: item ids.
        data: the checksum of ids and events.

    Returns:
        Notes for users.
    """
    notes = []
    for name, modalities in raw.vectors.items():
        storage.safe_name(name, "name of vectors")
        parts = {}
        for modality, (own, vectors) in modalities.items():
            rows = items.rows(own)
            there = (rows >= 0) & (vectors != 0).any(1)  # a row of zeros is a missing item
            if there.any():
                parts[modality] = (rows[there], unit(vectors[there]))
            else:
                notes.append(f"The {modality} vectors '{name}' belong to none of the items and were left out.")
        if parts:
            vector_files.write(draft / "features" / storage.folder_name(name), name, items.raw, parts, catalog=data)
    return notes


def _users_per_item(columns: Mapping[str, Array], n_items: int) -> Array:
    """Number of users with an event of each item, int64 ``[I]``."""
    if "user" not in columns:
        return np.bincount(columns["item"], minlength=n_items)
    pairs = np.unique(columns["item"].astype(np.int64) << 32 | columns["user"])
    return np.bincount(pairs >> 32, minlength=n_items)


def relevant_from(scale: tuple[float, float] | None) -> float | None:
    """The default relevance threshold of a rating scale: 3.5 for MovieLens, else ``low + 0.625 * (high - low)``."""
    if scale is None:
        return None
    low, high = scale
    return 3.5 if high == 5.0 and low in (0.5, 1.0) else round(low + 0.625 * (high - low), 3)


def _official(raw: Any) -> dict[str, Array]:
    return {
        f"{name}.{part}": np.asarray(rows, np.int64)
        for name, parts in raw.official.items()
        for part, rows in zip(("train", "test") if len(parts) == 2 else Split.PARTS[:3], parts, strict=True)
    }


def _reordered(
    official: dict[str, Array], candidates: dict[str, Array], order: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Official splits and their candidates (one row per test row) after the events were reordered."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    among = {name: rows[np.argsort(place[official[f"{name}.test"]])] for name, rows in candidates.items()}
    return {name: np.sort(place[rows]) for name, rows in official.items()}, among


def _repeat(columns: Mapping[str, Array]) -> bool:
    """Whether a user has several events of one item; then items of the user's history stay candidates."""
    if not {"user", "item"} <= columns.keys():
        return False
    pair = columns["user"].astype(np.int64) << 32 | columns["item"]
    return len(np.unique(pair)) < len(pair)


def _plain_column(values: Array) -> Array:
    return values.astype(str) if values.dtype.kind in "OUT" else values


def _is_filled(value: Any) -> bool:
    import pandas as pd

    return len(value) > 0 if isinstance(value, (list, tuple, np.ndarray)) else value is not None and not pd.isna(value)
