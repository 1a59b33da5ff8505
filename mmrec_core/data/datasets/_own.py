"""Read a user's own ratings file and its film table; columns are named by the user or recognised."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mmrec_core import ids
from mmrec_core.data.datasets import _netflix, _recognise, _times
from mmrec_core.data.datasets._base import CATALOG_COLUMNS, parse_scale
from mmrec_core.data.datasets._film_table import films_of_events, read_films, titles_of
from mmrec_core.data.datasets._recognise import ONE_USER, Form, What
from mmrec_core.errors import MMRecError, short
from mmrec_core.reading import tables
from mmrec_core.reading.tables import Table
from mmrec_core.types import Array

AUTO = "auto"
LOOK_ROWS = 200
"""Rows read for a preview."""


@dataclass
class Own:
    """The content of a ratings file and its film table."""

    events: pd.DataFrame
    items: pd.DataFrame | None
    what: What
    repeats: Literal["refused", "allowed"]
    form: str
    scale: str
    notes: list[str]
    rows: Array
    """Row of the table of each event, int64 ``[N]``."""
    table: Table

    def line_of(self, event: int) -> int:
        """The line of an event in the file."""
        return self.table.line_of(int(self.rows[event]))


@dataclass
class Look:
    """What the upload form shows about a file."""

    columns: list[str]
    roles: dict[str, str]
    """Column name by role (``user``, ``item``, ``rating``, ``time``, ``event``), for roles recognised."""
    film: dict[str, str]
    """Column name by catalog column, for film columns recognised."""
    form: str
    """The service that exported the file, or ``""``."""
    scale: tuple[float, float] | None
    event_types: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    head: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The first rows as in the file."""
    blocks: bool = False
    """Whether it is in the Netflix Prize format, which has no column names."""


def _table(source: Path, rows: int | None = None) -> tuple[Table, bool]:
    """Read a ratings table; also returns whether it is in the Netflix Prize format."""
    if source.is_dir() and _netflix.parts(source):
        return _netflix.read_blocks(source), True
    if not source.is_file():
        raise MMRecError(f"{source} is not a file; --from takes a CSV or Parquet file of ratings.")
    if _netflix.is_blocks(source):
        return _netflix.read_blocks(source), True
    return tables.read(source, rows=rows), False


def _film_table(path: Path, rows: int | None = None) -> Table:
    return _netflix.read_titles(path) if _netflix.is_titles(path) else tables.read(path, rows=rows)


def _chosen(config: Any, table: Table, source: Path) -> tuple[Form | None, dict[str, str]]:
    """The recognised format and the column of each role: as named in the config, else as recognised."""
    recognised = _recognise.recognise(table.names)
    roles: dict[str, str] = {}
    for role in ("user", "item", "rating", "time", "event"):
        named = str(getattr(config, role))
        if named != AUTO:
            if named:
                roles[role] = named
            continue
        taken = {str(getattr(config, other)) for other in ("user", "item", "rating", "time", "event")}
        if (column := recognised.roles.get(role)) is not None and column not in taken:
            roles[role] = column
    for role in ("item", "user"):
        if role in roles:
            continue
        if role == "item" or (config.user == AUTO and recognised.form is None):
            more = ", or --set user= if all rows are of one user" if role == "user" else ""
            raise MMRecError(
                f"{source.name}: no column is recognised as the {role} column; it has {tables.listed(table.names)}. "
                f"Name it with --set {role}=COLUMN{more}."
            )
    if len(set(roles.values())) < len(roles):
        raise MMRecError(
            f"Two roles name the same column of {source.name}: {', '.join(f'{r}={c}' for r, c in roles.items())}."
        )
    return recognised.form, roles


def read_own(source: Path, config: Any, look: int | None = None) -> Own:
    """Read a ratings file and its film table.

    Args:
        source: the ratings file.
        config: config of the reader ``csv``.
        look: largest number of rows to read, for a preview.

    Returns:
        Events, items and notes.

    Raises:
        MMRecError: a file cannot be read, or a column is missing or invalid.
    """
    table, blocks = _table(source, look)
    form, roles = _chosen(config, table, source)
    notes: list[str] = []
    if form is not None:
        notes.append(f"{source.name} is read as an export of {form.name}.")
    rows = np.arange(len(table))
    if not len(rows):
        raise MMRecError(f"{source} holds no rows after its header.")
    whole = table
    if "event" in roles:
        table, rows = _by_event(table, rows, roles["event"], config.keep, notes)
    elif config.keep:
        raise MMRecError(
            f"{source.name} has no column of event types to filter by keep={config.keep}. Name it with --set "
            "event=COLUMN."
        )
    if form is not None and "rating" in roles:
        table, rows = _rated(table, rows, roles["rating"], form, notes)
    item_ids, item_name = _item_ids(table, roles, form)
    _need(table, item_ids, item_name)
    columns: dict[str, Any] = {}
    if "user" in roles:
        users = table.ids(roles["user"])
        _need(table, users, "user")
        columns["user"] = ids.decide(users)[0]
    else:
        columns["user"] = np.full(len(table), ONE_USER, object)
        notes.append("The file has no user column, so all rows are read as data of one user.")
    films, items_what = _films(source, config, table, item_ids, roles, look, notes, blocks)
    if films is not None:
        of_events, of_films = ids.decide(item_ids, films[0])
        items: pd.DataFrame | None = films[1].assign(item=of_films)[["item", *films[1].columns]]
        columns["item"] = of_events
    else:
        columns["item"], items = ids.decide(item_ids)[0], None
    if "rating" in roles:
        columns["rating"] = table.numbers(roles["rating"]).astype(np.float32)
    if "time" in roles:
        columns["time"] = _times.seconds(table, roles["time"], config.dates)
    events = pd.DataFrame({k: columns[k] for k in ("user", "item", "rating", "time") if k in columns})
    events, rows, repeats = settle_repeats(events, rows, config.repeats, form, notes)
    what: What = (
        config.what
        if config.what != AUTO
        else "films"
        if blocks
        else _recognise.what_of([roles["item"], *items_what], form)
    )
    scale = _netflix.SCALE if blocks else form.scale if form is not None else ""
    return Own(
        events,
        items,
        what,
        repeats,
        "Netflix Prize" if blocks else form.name if form else "",
        scale,
        [*notes, *whole.notes],
        rows,
        whole,
    )


def counted(n: int, noun: str, several: str = "") -> str:
    """A count with its noun: ``1 row``, ``2 rows``."""
    return f"{n:,} {noun if n == 1 else several or noun + 's'}"


def _take(table: Table, rows: Array, keep: Array) -> tuple[Table, Array]:
    """Keep some rows of a table, with their lines and notes."""
    rows = rows[keep]
    at = np.flatnonzero(keep)
    return Table(
        table.where,
        table.names,
        [c.take(at) for c in table.columns],
        table.notes,
        table.separator,
        lambda: [table.line_of(int(r)) for r in at],
    ), rows


def _by_event(table: Table, rows: Array, column: str, keep: str, notes: list[str]) -> tuple[Table, Array]:
    """Keep the rows of some event types; a note lists all types.

    Args:
        table: the table.
        rows: row of the file of each table row.
        column: column of event types.
        keep: types to keep, separated by ``|``; ``""``: all.
        notes: notes for users; new ones are appended.
    """
    kinds = table.texts(column)
    counts = Counter(k or "" for k in kinds)
    summary = ", ".join(f"{short(kind) or 'empty'} {count:,}" for kind, count in counts.most_common(8))
    wanted = [k.strip() for k in keep.replace(",", "|").split("|") if k.strip()]
    if not wanted:
        if len(counts) > 1:
            notes.append(
                f"Events of every type are kept ({column}: {summary}); "
                f"the setting keep={short(counts.most_common()[-1][0])} would keep one type."
            )
        return table, rows
    if unknown := [k for k in wanted if k not in counts]:
        raise MMRecError(f"{table.where} holds no event of type '{unknown[0]}'; column '{column}' has {summary}.")
    table, rows = _take(table, rows, np.array([(k or "") in wanted for k in kinds]))
    notes.append(f"Of the events ({column}: {summary}) those of type {', '.join(wanted)} are kept.")
    return table, rows


def _rated(table: Table, rows: Array, column: str, form: Form, notes: list[str]) -> tuple[Table, Array]:
    """Keep the rows with a rating, for exports that also list unrated items.

    Args:
        table: the table.
        rows: row of the file of each table row.
        column: column of ratings.
        form: format of the export.
        notes: notes for users; new ones are appended.
    """
    texts = [t or "" for t in table.texts(column)]
    keep = np.array([t not in form.unrated for t in texts], bool)
    if keep.all():
        return table, rows
    if not keep.any():
        raise MMRecError(
            f"{table.where} holds no rating: '{column}' is empty on every line. "
            "Leave it out with --set rating= to read every row as a view."
        )
    notes.append(f"{counted(int((~keep).sum()), 'row')} without a rating left out.")
    return _take(table, rows, keep)


def _item_ids(table: Table, roles: dict[str, str], form: Form | None) -> tuple[ids.Ids, str]:
    """The item ids and their column; if titles are ids and there is a year column, ids are ``TITLE (YEAR)``."""
    column = roles["item"]
    found = table.ids(column)
    titled = _recognise.plain(column) in {"title", "name"} and not found.canonical
    year = (
        _recognise.find(table.names, ("year", "releaseyear", "jahr"))
        if titled and (form is None or form.item == "name")
        else None
    )
    if year is None:
        return found, column
    own = [
        f"{found.values[c]} ({y})" if y and c >= 0 else found.values[c] if c >= 0 else None
        for c, y in zip(found.codes, table.texts(year), strict=True)
    ]
    import pyarrow as pa

    return ids.of_column(pa.array(own, pa.string()), column, table.where, table.line_of), column


def _need(table: Table, found: ids.Ids, name: str) -> None:
    """Raise if a column of ids has an empty cell."""
    if (missing := found.missing()).any():
        at, count = int(np.flatnonzero(missing)[0]), int(missing.sum())
        raise MMRecError(
            f"{table.where}, line {table.line_of(at)}: {name} is nan, expected a value on every line "
            f"({count:,} such line{'s' if count > 1 else ''}). Correct or remove the line and prepare again."
        )


def _films(
    source: Path,
    config: Any,
    table: Table,
    item_ids: ids.Ids,
    roles: dict[str, str],
    look: int | None,
    notes: list[str],
    blocks: bool,
) -> tuple[tuple[ids.Ids, pd.DataFrame] | None, list[str]]:
    """Ids and catalog columns of the items, from a film table or the ratings file itself.

    Args:
        source: the ratings file.
        config: config of the reader ``csv``.
        table: the ratings table.
        item_ids: item id of each row.
        roles: column name by role.
        look: rows to read at most, for a preview.
        notes: notes for users; new ones are appended.
        blocks: whether the ratings are in the Netflix Prize format.

    Returns:
        The items or ``None``, and the column names that tell what kind of items they are.
    """
    path = _film_path(source, config, blocks)
    if path is not None:
        try:
            films = _film_table(path)
            key = _film_key(config, films, roles["item"])
            columns = _film_columns(config, films, key)
            read = read_films(films, key, columns)
            if config.items == AUTO and not set(read[0].values) & set(item_ids.values):
                raise MMRecError("none of its ids is in the ratings")
        except MMRecError as error:
            if config.items != AUTO:
                raise
            notes.append(f"The film table {path.name} beside the ratings was not used: {str(error).rstrip('.')}.")
        else:
            if config.items == AUTO:
                notes.append(
                    f"Films are described by {path.name}, found beside the ratings; an empty setting items= ignores it."
                )
            notes.extend(n for n in films.notes if n not in notes)
            return read, [key, *films.names]
    columns = {c: str(getattr(config, c)) for c in CATALOG_COLUMNS if getattr(config, c) not in (AUTO, "")}
    taken = {str(getattr(config, c)) for c in CATALOG_COLUMNS}
    others = [c for r, c in roles.items() if r != "item"]
    auto = _recognise.film_columns(table.names, roles["item"], others, _recognise.IN_RATINGS)
    columns |= {c: n for c, n in auto.items() if getattr(config, c) == AUTO and n not in taken}
    for name in columns.values():
        table.column(name)
    titled = _recognise.plain(roles["item"]) in _recognise.TITLES and not item_ids.canonical
    if columns.get("title") == roles["item"] and not titled:
        columns.pop("title")
    if titled and columns.get("title", roles["item"]) == roles["item"]:
        known, more = films_of_events(table, item_ids, {c: n for c, n in columns.items() if c not in ("title", "year")})
        own = titles_of([known.values[c] for c in known.codes])
        if "year" in columns:
            later = films_of_events(table, item_ids, {"year": columns["year"]})[1]["year"]
            own["year"] = own["year"].fillna(later)
        return (known, pd.concat([own, more], axis=1)), table.names
    if "title" in columns or len(columns) > 1:
        return films_of_events(table, item_ids, columns), table.names
    return None, table.names


def _film_path(source: Path, config: Any, blocks: bool) -> Path | None:
    if not config.items:
        return None
    if config.items == AUTO:
        return _netflix.titles_beside(source) if blocks else _recognise.film_table_beside(source)
    path = Path(config.items)
    path = path if path.is_absolute() else source.parent / path
    if not path.is_file():
        raise MMRecError(f"Film table {path} is not a file.")
    return path


def _film_key(config: Any, films: Table, item: str) -> str:
    """The id column of the film table: as named in the config, named as in the ratings, or recognised."""
    if config.item_id not in (AUTO, ""):
        films.column(config.item_id)
        return str(config.item_id)
    if item in films:
        return item
    same = _recognise.find(films.names, (_recognise.plain(item),))
    found = same or _recognise.find(
        films.names, [n for n in _recognise.ROLES["item"] if n not in _recognise.TITLES] + ["id"]
    )
    if found is None:
        films.column(item)  # raises with the list of columns
    return str(found)


def _film_columns(config: Any, films: Table, key: str) -> dict[str, str]:
    """Columns of the film table by catalog column: as named in the config, else as recognised."""
    named = {c: str(getattr(config, c)) for c in CATALOG_COLUMNS}
    taken = [n for n in named.values() if n and n != AUTO]
    auto = _recognise.film_columns(films.names, key, taken)
    columns = {c: n for c, n in named.items() if n and n != AUTO} | {c: n for c, n in auto.items() if named[c] == AUTO}
    for name in columns.values():
        films.column(name)
    return columns


def settle_repeats(
    events: pd.DataFrame, rows: Array, wanted: str, form: Form | None, notes: list[str]
) -> tuple[pd.DataFrame, Array, Literal["refused", "allowed"]]:
    """Handle repeated (user, item) events as the config says; ``auto`` chooses by the kind of events.

    Args:
        events: the events.
        rows: table row of each event.
        wanted: the setting ``repeats``.
        form: format of the export, if it is one.
        notes: notes for users; new ones are appended.

    Returns:
        The events that are kept, their table rows, and whether repeats are allowed.
    """
    if wanted == "allowed":
        return events, rows, "allowed"
    repeated = events.duplicated(["user", "item"], keep=False).to_numpy()
    if wanted == "refused" or not repeated.any():
        return events, rows, "refused"
    if wanted == AUTO and "rating" not in events:
        notes.append(
            f"{counted(int(events.duplicated(['user', 'item']).sum()), 'event')} of a user and an item met before; "
            "all are kept. The setting repeats=latest keeps the latest of each."
        )
        return events, rows, "allowed"
    if wanted == AUTO and form is None:
        copies = events.duplicated().to_numpy()
        if copies.any():
            notes.append(f"{counted(int(copies.sum()), 'copy', 'copies')} of whole lines left out.")
        # other repeats are refused later by check_events, with their line
        return events[~copies].reset_index(drop=True), rows[~copies], "refused"
    order = np.argsort(events["time"].to_numpy(), kind="stable") if "time" in events else np.arange(len(events))
    last = ~events.iloc[order].duplicated(["user", "item"], keep="last").to_numpy()
    keep = np.sort(order[last])
    notes.append(
        f"Of a user's several rows for one item the latest is kept; {counted(len(events) - len(keep), 'row')} left out."
    )
    return events.iloc[keep].reset_index(drop=True), rows[keep], "refused"


def look(source: Path) -> Look:
    """Inspect a ratings file for the upload form: recognised columns, likely scale, first rows.

    Raises:
        MMRecError: the file cannot be read.
    """
    table, blocks = _table(source, None)
    recognised = _recognise.recognise(table.names)
    text = _netflix.SCALE if blocks else recognised.form.scale if recognised.form is not None else ""
    scale = parse_scale(text) if text else None
    if scale is None and "rating" in recognised.roles:
        scale = likely_scale(table, recognised.roles["rating"])
    kinds = sorted({k for k in table.texts(recognised.roles["event"]) if k}) if "event" in recognised.roles else []
    first = Table(table.where, table.names, [c.slice(0, 5) for c in table.columns])
    head = pd.DataFrame({n: [_plain(v) for v in first.values(n)] for n in table.names if table.names.count(n) == 1})
    form = "Netflix Prize" if blocks else recognised.form.name if recognised.form else ""
    return Look(table.names, recognised.roles, recognised.film, form, scale, kinds[:50], table.notes, head, blocks)


def look_at_films(path: Path, item: str, config: Any) -> tuple[list[str], str, dict[str, str]]:
    """Inspect a film table: its columns, its id column, and its columns by catalog column.

    Raises:
        MMRecError: the file cannot be read, or has no column of ids.
    """
    films = _film_table(path, LOOK_ROWS)
    key = _film_key(config, films, item)
    return films.names, key, _film_columns(config, films, key)


def likely_scale(table: Table, column: str) -> tuple[float, float] | None:
    """A likely rating scale: five stars if the ratings fit, else from lowest to highest; ``None`` without numbers."""
    try:
        found = table.numbers(column)
    except MMRecError:
        return None
    with np.errstate(over="ignore"):  # ratings are float32; what is beyond is infinite and refused with its line
        found = found.astype(np.float32).astype(np.float64)
    found = found[np.isfinite(found)]
    if not len(found) or found.min() == found.max():
        return (0.5, 5.0) if not len(found) or 0.5 <= found.min() <= 5 else None
    if found.min() >= 0.5 and 4 < found.max() <= 5:
        return (1.0, 5.0) if (found % 1 == 0).all() else (0.5, 5.0)
    return float(found.min()), float(found.max())


def preview(source: Path, config: Any, rows: int = 10) -> tuple[pd.DataFrame, list[str]]:
    """The first rows as they will be stored (ids, title, rating, time as a date), and notes about the file.

    Raises:
        MMRecError: as :func:`mmrec_core.data.preparation.prepare`.
    """
    found = read_own(source, config, LOOK_ROWS)
    head = found.events.head(rows).copy()
    if found.items is not None and "title" in found.items:
        titles = dict(zip(found.items["item"], found.items["title"], strict=True))
        head.insert(2, "title", [titles.get(i) for i in head["item"]])
        if "year" in found.items and found.items["year"].notna().any():
            years = dict(zip(found.items["item"], found.items["year"], strict=True))
            head.insert(3, "year", pd.Series([years.get(i) for i in head["item"]], dtype="Int32", index=head.index))
    if "time" in head:
        head["time"] = pd.to_datetime(head["time"], unit="s", utc=True).dt.strftime("%Y-%m-%d %H:%M:%S")
    if "rating" in head:
        head["rating"] = head["rating"].astype(float)
    return head, found.notes


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
