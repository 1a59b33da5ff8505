"""Reader of RecBole's atomic files, which enoche/MMRec (a toolbox of multimodal recommenders) uses as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mmrec_core import ids
from mmrec_core.config import Config, setting
from mmrec_core.data.datasets import _atomic_files, _item_vectors, _times
from mmrec_core.data.datasets._atomic_files import AtomicFile
from mmrec_core.data.datasets._base import DatasetReader, RawData, parse_scale
from mmrec_core.data.datasets._item_vectors import Vectors
from mmrec_core.data.datasets._own import likely_scale, settle_repeats
from mmrec_core.data.datasets._recognise import film_columns, plain, recognise, what_of
from mmrec_core.data.datasets.movielens import split_title
from mmrec_core.errors import MMRecError, short
from mmrec_core.reading.tables import listed
from mmrec_core.types import Array, Progress

PARTS = {"0": 0, "1": 1, "2": 2}
"""Part of a row by its ``x_label``: training, validation, test."""
GENRES = {"class", "classes"}
"""Names that RecBole's own conversions give to genres."""


class RecBole(DatasetReader):
    """RecBole's files (NAME.inter, .item, .user), as enoche/MMRec keeps Baby, Sports and Clothing, too.

    ``x_label`` (0 training, 1 validation, 2 test) becomes the split ``official``. Vectors are read from
    ``image_feat.npy``, ``text_feat.npy``, ``audio_feat.npy`` and the like, whose rows are item numbers, and from
    columns of type ``float_seq``. Other pickles are not read, because a pickle can run programs.
    """

    class Config(Config):
        """What to make of the ratings."""

        ratings: Literal["auto", "keep", "ignore"] = setting(
            "auto",
            "whether ratings are read; auto: unless rows have an x_label, whose published figures count every row as "
            "liked",
        )
        scale: str = setting("", "lowest and highest rating as LOW:HIGH, such as 1:5; empty: as the ratings suggest")
        repeats: Literal["auto", "refused", "latest", "allowed"] = setting(
            "auto",
            "several rows of a user for one item: refused; only the latest kept; all allowed; auto: allowed for events "
            "without ratings, refused for ratings that differ",
        )

    config: Config

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the folder or ``.inter`` file named with ``--from``."""
        if source is None:
            raise MMRecError("Name the folder of the .inter file: prepare recbole --from FOLDER --name NAME.")
        return read_folder(find_inter(source), self.config, progress)


def find_inter(source: Path) -> Path:
    """The ``.inter`` file of a folder.

    Raises:
        MMRecError: none, several, or the file named is a pickle or another file.
    """
    if source.is_file():
        if source.suffix == ".inter":
            return source
        if source.suffix.lower() in _item_vectors.OTHER_PICKLES:
            raise MMRecError(
                f"{source} is a pickle, which can run programs, and was not read. Name the folder of the .inter file."
            )
        raise MMRecError(f"{source} is no .inter file. Name it, or its folder.")
    found = sorted(source.glob("*.inter")) if source.is_dir() else []
    if len(found) > 1 and (own := [f for f in found if f.stem == source.name]):
        found = own
    if len(found) != 1:
        names = ", ".join(f.name for f in found[:6]) or "none"
        raise MMRecError(f"{source} must hold one .inter file (found: {names}). Name the file with --from.")
    return found[0]


def read_folder(inter: Path, config: Any, progress: Progress, licence: str = "Your own data.") -> RawData:
    """Read an ``.inter`` file and what lies beside it.

    Args:
        inter: the file of events.
        config: settings, see :class:`RecBole`.
        progress: progress callback.
        licence: licence of the data.

    Raises:
        MMRecError: damaged, or a column is missing or has a value that does not fit.
    """
    progress(0, 3, f"reading {inter.name}")
    read = _atomic_files.read(inter)
    table, notes = read.table, read.table.notes
    if not len(table):
        raise MMRecError(f"{inter} holds no rows after its header.")
    roles = recognise(table.names).roles
    for role in ("user", "item"):
        if role not in roles:
            raise MMRecError(
                f"{inter} has no column of {role}s; it has {listed(table.names)}. Name it {role}_id:token."
            )
        if read.types[roles[role]] == "token_seq":
            raise MMRecError(
                f"{inter}: column '{roles[role]}' is a sequence; expected one {role} on each line. Convert the "
                "sequences to events first."
            )
    item_file = inter.with_suffix(".item")
    items = _atomic_files.read(item_file) if item_file.is_file() else None
    user, item = table.ids(roles["user"]), table.ids(roles["item"])
    for own, role in ((user, "user"), (item, "item")):
        if (missing := own.missing()).any():
            at = int(np.flatnonzero(missing)[0])
            raise MMRecError(f"{inter}, line {table.line_of(at)}: {roles[role]} is empty, expected an id.")
    key = _id_column(items, roles["item"]) if items is not None else ""
    own_ids = items.table.ids(key) if items is not None else ids.Ids(np.zeros(0, np.int64), [])
    if own_ids.missing().any() or len(own_ids.values) != len(own_ids.codes):
        raise MMRecError(f"{item_file}: an item without an id, or two lines for one item; expected one line each.")
    event_items, table_items = ids.decide(item, own_ids)
    events = pd.DataFrame({"user": ids.decide(user)[0], "item": event_items})
    label = next((n for n in table.names if plain(n) == "xlabel"), None)
    if "time" in roles:
        events["time"] = _times.seconds(table, roles["time"])
    scale = None
    ignored = config.ratings == "ignore" or (config.ratings == "auto" and label is not None)
    if "rating" in roles and not ignored:
        with np.errstate(over="ignore"):  # beyond float32 is infinite, which no scale holds
            events["rating"] = table.numbers(roles["rating"]).astype(np.float32)
        scale = _scale(read, roles["rating"], config, notes)
    elif "rating" in roles and config.ratings == "auto":
        notes.append(
            "Ratings were not read: published figures for a division by x_label count every row as liked. The setting "
            "ratings=keep reads them."
        )
    parts = _parts(read, label) if label is not None else None
    events, rows, repeats = settle_repeats(events, np.arange(len(table)), config.repeats, None, notes)
    progress(1, 3, "reading items and vectors")
    what = what_of([*table.names, *(items.table.names if items is not None else ())], None)
    vectors, vector_notes = _vectors(inter, event_items, items, table_items)
    return RawData(
        events,
        _catalog(items, table_items, key) if items is not None else None,
        _users(inter.with_suffix(".user"), user.canonical),
        scale=scale,
        repeats=repeats,
        official=_official(parts[rows]) if parts is not None else {},
        vectors=vectors,
        file=str(inter),
        first_line=2,
        line_of=lambda at: table.line_of(int(rows[at])),
        licence=licence,
        what=what,
        notes=[*notes, *vector_notes],
        about={"what": what},
    )


def _id_column(items: AtomicFile, wanted: str) -> str:
    """The id column of the item table: named as in the events, or its first column of ids.

    Raises:
        MMRecError: there is none.
    """
    names = items.table.names
    if wanted in names:
        return wanted
    found = recognise(names).roles.get("item")
    if found is None:
        raise MMRecError(f"{items.table.where} has no column '{wanted}'; it has {listed(names)}.")
    return found


def _scale(read: AtomicFile, column: str, config: Any, notes: list[str]) -> tuple[float, float]:
    """The rating scale of the config, or a likely one with a note."""
    if config.scale:
        return parse_scale(config.scale)
    found = likely_scale(read.table, column)
    if found is None:
        raise MMRecError(f"{read.table.where} has ratings of unknown scale; give it as --scale LOW:HIGH, such as 1:5.")
    notes.append(f"Ratings are taken to go from {found[0]:g} to {found[1]:g}; --scale LOW:HIGH says otherwise.")
    return found


def _parts(read: AtomicFile, column: str) -> Array:
    """The part of each row: 0 training, 1 validation, 2 test.

    Raises:
        MMRecError: another value.
    """
    cells = [str(c).removesuffix(".0") for c in read.table.texts(column)]
    found = np.array([PARTS.get(c, -1) for c in cells], np.int64)
    if (bad := found < 0).any():
        at = int(np.flatnonzero(bad)[0])
        raise MMRecError(
            f"{read.table.where}, line {read.table.line_of(at)}: {column} is '{short(cells[at], 40)}', expected 0 "
            "(training), 1 (validation) or 2 (test)."
        )
    return found


def _official(parts: Array) -> dict[str, tuple[Array, ...]]:
    """The split ``official`` from the part of each row; none without training or test rows."""
    rows = tuple(np.flatnonzero(parts == part) for part in range(3))
    return {"official": rows} if len(rows[0]) and len(rows[2]) else {}


def _catalog(items: AtomicFile, own: Array, key: str) -> pd.DataFrame:
    """The item table: id, and title, year, genres and so on as far as they are there."""
    table = items.table
    columns = film_columns(table.names, key)
    if "genres" not in columns and (named := next((n for n in table.names if plain(n) in GENRES), None)):
        columns["genres"] = named
    found = pd.DataFrame({"item": own})
    for column, name in columns.items():
        if items.types[name] == "float_seq":
            continue
        if column in ("genres", "cast", "tags"):
            found[column] = items.lists(name)
        elif column == "year":
            years = pd.to_numeric(pd.Series(table.texts(name), dtype="str").str.extract(r"(\d{4})", expand=False))
            found[column] = years.astype("Int32")
        else:
            found[column] = pd.Series(table.texts(name), dtype=object)
    if "title" in found:
        split = [split_title(t) if isinstance(t, str) else (None, None) for t in found["title"]]
        found["title"] = pd.Series([title for title, _ in split], dtype=object)
        if "year" not in found:
            found["year"] = pd.array([year for _, year in split], dtype="Int32")
    return found


def _users(file: Path, numbers: bool) -> pd.DataFrame | None:
    """Side columns of users from the ``.user`` file; ``None`` without one.

    Args:
        file: the file.
        numbers: whether user ids of the events are numbers.
    """
    if not file.is_file():
        return None
    read = _atomic_files.read(file)
    key = recognise(read.table.names).roles.get("user")
    if key is None:
        raise MMRecError(f"{file} has no column of users; it has {listed(read.table.names)}.")
    own = read.table.ids(key)
    kept = ~own.missing()
    if numbers:  # a user that is no number has no events
        kept &= np.array([*(ids.is_canonical(v) for v in own.values), False])[own.codes]
    texts = np.array([*own.values, ""], object)[own.codes[kept]]
    found = pd.DataFrame({"user": texts.astype(np.int64) if numbers else texts})
    for name in read.table.names:
        if name == key or read.types[name].endswith("_seq"):
            continue
        column = read.table.numbers(name) if read.types[name] == "float" else np.array(read.table.texts(name), object)
        found[name] = column[kept]
    return found


def _vectors(
    inter: Path, event_items: Array, items: AtomicFile | None, table_items: Array
) -> tuple[Vectors, list[str]]:
    """Vectors beside the events and in ``float_seq`` columns of the item table, and notes for users."""
    files, notes = _item_vectors.beside(inter.parent)
    if files and (event_items.dtype.kind != "i" or int(event_items.min()) < 0):
        named = ", ".join(file.name for file in files.values())
        notes.append(f"Vectors were not read ({named}): their rows are item numbers, and these ids are no numbers.")
        files = {}
    found = _item_vectors.numbered(files, event_items)
    for name in items.table.names if items is not None else ():
        assert items is not None
        if items.types[name] == "float_seq" and (vectors := items.vectors(name)) is not None:
            word = name.lower().split("_")[0]
            modality = next((m for m, words in _item_vectors.WORDS.items() if word in words), None)
            if modality is not None and modality not in found.get(_item_vectors.PUBLISHED, {}):
                found.setdefault(_item_vectors.PUBLISHED, {})[modality] = (table_items, vectors)
            else:
                notes.append(f"Column {name} was not read: its name says no modality (image_…, text_…, audio_…).")
    return found, notes
