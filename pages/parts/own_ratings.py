"""Home's form for one's own ratings: upload, see what is recognised, correct it, look at ten parsed rows, prepare."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from mmrec_core import ownership, registry, settings, storage
from mmrec_core.data.datasets import _own
from mmrec_core.errors import MMRecError
from mmrec_core.reading import input_files
from pages.parts import layout

TYPES = ["csv", "tsv", "txt", "parquet", "gz", "zip"]
ROLES = {"user": "User", "item": "Item", "rating": "Rating", "time": "Time"}
FILM = {
    "title": "Title",
    "year": "Year",
    "genres": "Genres",
    "director": "Director",
    "cast": "Cast",
    "tags": "Tags",
    "plot": "Plot",
    "imdb_id": "IMDb id",
    "tmdb_id": "TMDb id",
}
NONE = {"user": "none: all rows are one user's", "item": "choose …"}
WHAT = {"auto": "as recognised", "films": "films", "books": "books", "items": "other items"}
REPEATS = {"auto": "as fits the data", "refused": "refuse", "latest": "keep the latest", "allowed": "allow"}


def form(start: Callable[[dict[str, object]], None]) -> None:
    """The whole form.

    Args:
        start: queues a preparation by its params.
    """
    st.write(
        "CSV or Parquet with one rating or event per row, or an export of Letterboxd, IMDb, Goodreads or Netflix."
        " Optional: a film table, so that the app shows titles, genres and plots."
    )
    file = st.file_uploader("Ratings", type=TYPES, key="own_ratings")
    films = st.file_uploader("Films (optional)", type=TYPES, key="own_films")
    if file is None:
        return
    try:
        folder, ratings_path, films_path = _kept(file, films)
    except MMRecError as error:  # the home is full or cannot be written to
        layout.show_error(error)
        return
    try:
        _form(start, ratings_path, films_path)
    except MMRecError as error:
        st.error(
            layout.escape(_without(folder, error)),
            title="This file could not be read",
            icon=":material/error:",
        )


def _form(start: Callable[[dict[str, object]], None], ratings: Path, films: Path | None) -> None:
    seen = _look(str(ratings))
    if seen.form:
        st.success(f"Recognised as an export of {seen.form}.", icon=":material/check:")
    st.dataframe(seen.head, hide_index=True, alt="First lines of your file")
    options = _roles(seen)
    ready = bool(options["item"]) and options["user"] is not None
    names, film_key, film_columns = list(seen.columns), "", seen.film
    if films is not None and ready:
        names, film_key, film_columns = _own.look_at_films(
            films, options["item"], registry.config("datasets", "csv", {})
        )
    options |= _films(names, film_key, film_columns, films is not None, seen.blocks)
    options["items"] = f"films/{films.name}" if films is not None else ""
    low_value, high_value = seen.scale or (1.0, 5.0)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name", value=slug(ratings.name.split(".")[0]), key=_key("name"), width=220)
        low = st.number_input(
            "Lowest rating", value=low_value, key=_key("low"), width=140, disabled=not options["rating"]
        )
        high = st.number_input(
            "Highest rating", value=high_value, key=_key("high"), width=140, disabled=not options["rating"]
        )
    options["scale"] = f"{number(low)}:{number(high)}" if options["rating"] else ""
    options |= _more(seen)
    if not ready:
        st.caption(
            ":material/info: Choose the columns of users and of items, at least; or say that all rows are of one user."
        )
    elif len(chosen := [options[r] for r in (*ROLES, "event") if options.get(r)]) > len(set(chosen)):
        st.caption(":material/info: Choose a column of its own for each role.")
        ready = False
    if ready:
        ready = _preview(ratings, options)
    if st.button("Prepare", type="primary", icon=":material/play_arrow:", key="own_go", disabled=not ready):
        st.session_state["own_started"] = ratings.parent
        start({"reader": "csv", "dataset": name, "source": str(ratings), "options": options})


def _roles(seen: _own.Look) -> dict[str, Any]:
    """A column for each role; of users ``None`` where nobody has said yet whose rows they are."""
    if seen.blocks:  # its columns are known
        return {role: seen.roles.get(role, "") for role in ROLES}
    chosen: dict[str, Any] = {}
    for slot, (role, label) in zip(st.columns(4), ROLES.items(), strict=True):
        chosen[role] = slot.selectbox(
            f"Column of {label.lower()}s",
            ["", *seen.columns],
            index=(
                None
                if role == "user" and role not in seen.roles and not seen.form
                else _place(seen.columns, seen.roles.get(role, ""))
            ),
            key=_key(role),
            placeholder="choose …",
            format_func=lambda c, role=role: c or NONE.get(role, "none"),
        )
    return chosen


def _films(names: Sequence[str], key: str, columns: dict[str, str], own_table: bool, blocks: bool) -> dict[str, str]:
    """Which columns describe the items."""
    if blocks and not own_table:
        return dict.fromkeys(FILM, "")
    chosen: dict[str, str] = {}
    found = ", ".join(f"{FILM[c].lower()} ({n})" for c, n in columns.items()) or "none"
    with st.expander(f"Columns that describe the items: {found}"):
        st.caption(
            "Of the film table." if own_table else "Of the ratings file itself; a film table may be uploaded above."
        )
        slots = st.columns(5)
        if own_table:
            chosen["item_id"] = slots[-1].selectbox(
                "Item id", list(names), index=list(names).index(key), key=_key("item_id", films=True)
            )
        for at, (column, label) in enumerate(FILM.items()):
            chosen[column] = slots[at % 5].selectbox(
                label,
                ["", *names],
                index=_place(names, columns.get(column, "")),
                key=_key(f"film_{column}", films=True),
                format_func=lambda c: c or "none",
            )
    return chosen


def _more(seen: _own.Look) -> dict[str, str]:
    """Settings that most files do not need."""
    chosen: dict[str, str] = {"event": seen.roles.get("event", "")}
    with st.expander("More settings", expanded=len(seen.event_types) > 1):
        if seen.event_types:
            kept = st.multiselect("Keep events of type", seen.event_types, default=seen.event_types, key=_key("keep"))
            chosen["keep"] = "|".join(kept) if kept and len(kept) < len(seen.event_types) else ""
        with st.container(horizontal=True):
            chosen["repeats"] = st.selectbox(
                "Repeats",
                list(REPEATS),
                key=_key("repeats"),
                width=190,
                format_func=REPEATS.get,
                help="What to do where a user has several rows for one item.",
            )
            chosen["dates"] = st.selectbox(
                "Dates",
                ["auto", "day first", "month first"],
                key=_key("dates"),
                width=190,
                help="Whether dates such as 3/4/2021 begin with the day or the month.",
            )
            chosen["what"] = st.selectbox(
                "Items are",
                list(WHAT),
                key=_key("what"),
                width=190,
                format_func=WHAT.get,
                help="Plots and posters are looked up for films only.",
            )
    return chosen


def _preview(ratings: Path, options: dict[str, Any]) -> bool:
    """Ten rows as they will be stored, and what was found out about the file; whether they can be."""
    st.markdown("**First ten rows as they will be stored**")
    try:
        rows, notes = _own.preview(ratings, registry.config("datasets", "csv", options))
    except MMRecError as error:
        st.error(
            layout.escape(_without(ratings.parent, error)),
            title="This does not fit yet",
            icon=":material/error:",
        )
        return False
    st.dataframe(rows, hide_index=True, alt="The first ten rows as they will be stored", column_config=_formats(rows))
    if len(rows) and notes:
        st.caption(f"Found in the first {_own.LOOK_ROWS} rows:")
    for note in notes:
        st.caption(f":material/info: {layout.escape(note)}")
    return True


def _formats(rows: pd.DataFrame) -> dict[str, Any]:
    """Ids and years without thousands separators."""
    return {
        c: st.column_config.NumberColumn(format="%d")
        for c in ("user", "item", "year")
        if c in rows and pd.api.types.is_integer_dtype(rows[c])
    }


def _kept(file: Any, films: Any) -> tuple[Path, Path, Path | None]:
    """Uploads written to a folder of their own, once; the folder, the ratings and the film table."""
    asked = (file.file_id, films.file_id if films is not None else None)
    held = st.session_state.get("own_kept")
    if held is None or held[0] != asked or not held[1].exists():
        if held is not None and held[1] != st.session_state.get(
            "own_started"
        ):  # a preparation may still read what it was given
            shutil.rmtree(held[1], ignore_errors=True)
        ratings, both = st.session_state.get("own_counts", (0, 0))
        st.session_state["own_counts"] = (ratings + (held is None or held[0][0] != asked[0]), both + 1)
        ownership.require("bring data")
        with storage.plain_errors(settings.home() / "uploads"):
            folder = Path(tempfile.mkdtemp(prefix="upload-", dir=upload_folder()))
        storage.write_bytes(folder / _safe(file.name), file.getvalue())
        if films is not None:
            storage.write_bytes(folder / "films" / _safe(films.name), films.getvalue())
        held = st.session_state["own_kept"] = (asked, folder)
    folder = held[1]
    return folder, folder / _safe(file.name), folder / "films" / _safe(films.name) if films is not None else None


@st.cache_data(max_entries=8, show_spinner="Reading the file …")
def _look(path: str) -> _own.Look:
    with input_files.outermost(Path(path).name):
        return _own.look(Path(path))


def _safe(name: str) -> str:
    """An upload's name as a file's, its ending kept."""
    stem, dot, ending = name.partition(".")
    return slug(stem) + (dot + re.sub(r"[^A-Za-z0-9.]", "", ending)).lower()


def _without(folder: Path, error: MMRecError) -> str:
    """An error without the server's folders."""
    return str(error).replace(f"{folder}/", "")


def _key(name: str, films: bool = False) -> str:
    """A widget's key, a new one for each upload: the browser keeps what it showed under an old one.

    Args:
        films: whether a new film table makes it new, too.
    """
    ratings, both = st.session_state["own_counts"]
    return f"own_{name}.{both if films else ratings}"


def _place(columns: Sequence[str], name: str) -> int:
    return list(columns).index(name) + 1 if name in columns else 0


def number(value: float) -> str:
    """A number as short as it can be without becoming another."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))


def slug(text: str) -> str:
    """A file's name as a dataset's name."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text).strip("-._")
    return plain[:40] or "mine"


def upload_folder() -> Path:
    """Where uploads wait to be prepared."""
    folder = settings.home() / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
