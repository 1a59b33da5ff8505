"""Recognise the columns of a table by the names that common exports use."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

What = Literal["films", "books", "items"]

ROLES: dict[str, tuple[str, ...]] = {
    "user": (
        "userid", "user", "username", "reviewerid", "reviewer", "customerid", "customer", "visitorid", "visitor",
        "memberid", "member", "personid", "person",
        "profileid", "profilename", "profile", "accountid", "account", "viewerid", "viewer", "uid", "benutzerid",
        "benutzer", "nutzerid", "nutzer", "kunde",
        "utilisateur", "usuario", "utente", "gebruiker",
    ),
    "item": (
        "movieid", "itemid", "filmid", "productid", "parentasin", "asin", "contentid", "showid", "videoid", "trackid",
        "songid", "artistid", "businessid",
        "gameid", "newsid", "articleid", "bookid", "const", "tconst", "letterboxduri", "imdbid", "tmdbid", "isbn13",
        "isbn", "item", "film", "movie", "product",
        "book", "video", "content", "artikelid", "artikel", "buchid", "buch", "pelicula", "filmtitel", "movietitle",
        "filmtitle", "booktitle", "title", "titel",
        "titre", "titulo", "name",
    ),
    "rating": (
        "rating", "yourrating", "myrating", "userrating", "ratings", "score", "stars", "star", "starrating", "overall",
        "ratingvalue", "rate", "bewertung",
        "sterne", "punkte", "note", "puntuacion", "valoracion", "calificacion", "voto", "cijfer", "beoordeling",
    ),
    "time": (
        "timestamp", "time", "eventtime", "eventtimestamp", "datetime", "ts", "ratedat", "daterated", "ratingdate",
        "createdat", "watchedat", "watcheddate",
        "viewedat", "reviewtime", "unixreviewtime", "reviewdate", "starttime", "date", "dateadded", "day",
        "zeitstempel", "zeitpunkt", "zeit", "datum", "fecha",
        "horodatage", "data",
    ),
    "event": (
        "event", "eventtype", "eventname", "action", "actiontype", "behavior", "behaviour", "behaviortype",
        "interaction", "interactiontype", "activity",
    ),
}  # fmt: skip
"""Column names of each role, letters and digits only, the most likely first."""

FILM: dict[str, tuple[str, ...]] = {
    "title": (
        "title", "name", "movietitle", "filmtitle", "booktitle", "movie", "film", "originaltitle", "primarytitle",
        "titel", "filmtitel", "titre", "titulo",
    ),
    "year": (
        "year", "releaseyear", "startyear", "titleyear", "originalpublicationyear", "yearpublished", "publicationyear",
        "yearofpublication", "releasedate",
        "jahr", "erscheinungsjahr", "annee", "ano",
    ),
    "genres": ("genres", "genre", "categories", "category", "gattung", "generos"),
    "director": ("director", "directors", "directorname", "regie", "regisseur", "authors", "author", "realisateur"),
    "cast": ("cast", "actors", "stars", "starring", "darsteller"),
    "tags": ("tags", "keywords"),
    "plot": ("plot", "overview", "description", "synopsis", "summary", "storyline", "beschreibung", "handlung"),
    "imdb_id": ("imdbid", "imdb", "const", "tconst"),
    "tmdb_id": ("tmdbid", "tmdb"),
}  # fmt: skip
IN_RATINGS = ("title", "year", "genres", "director", "cast", "plot", "imdb_id", "tmdb_id")
"""Columns of films that a ratings file may hold; its tags would be those of a rating."""
TITLES = {
    "film",
    "movie",
    "title",
    "name",
    "movietitle",
    "filmtitle",
    "booktitle",
    "filmtitel",
    "titel",
    "titre",
    "titulo",
    "pelicula",
    "book",
    "buch",
}
"""Names of item columns whose ids are titles."""


@dataclass(frozen=True)
class Form:
    """The format of an export of a service."""

    name: str
    columns: frozenset[str]
    """Normalised column names that together identify this format."""
    scale: str = ""
    unrated: tuple[str, ...] = ("",)
    """Values of the rating column for unrated items; such rows are left out."""
    what: What = "films"
    item: str = ""
    """Normalised name of the item column, if the order in :data:`ROLES` would choose another one."""
    exact: bool = False
    """Whether the table must have no other columns."""


FORMS = (
    Form("Letterboxd diary", frozenset({"letterboxduri", "name", "year", "watcheddate"}), "0.5:5", item="name"),
    Form("Letterboxd", frozenset({"letterboxduri", "name", "year"}), "0.5:5"),
    Form("IMDb", frozenset({"const", "yourrating"}), "1:10", item="const"),
    Form("Goodreads", frozenset({"bookid", "myrating", "title"}), "1:5", ("", "0"), what="books", item="bookid"),
    Form("Netflix viewing activity", frozenset({"profilename", "starttime", "title"}), item="title"),
    Form("Netflix viewing history", frozenset({"title", "date"}), item="title", exact=True),
)
ONE_USER = "me"
"""The user id for files with the data of one user and no user column."""


@dataclass(frozen=True)
class Recognised:
    """Roles recognised from the column names of a table."""

    form: Form | None
    roles: dict[str, str] = field(default_factory=dict)
    """Column name by role, for the roles found."""
    film: dict[str, str] = field(default_factory=dict)
    """Column name by catalog column, for film columns found."""


def plain(name: str) -> str:
    """A column name normalised for comparison: ``"User ID"``, ``"user_id"`` and ``"userId"`` are equal."""
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(c for c in decomposed.lower() if c.isalnum() and c.isascii())


def find(names: Sequence[str], wanted: Sequence[str], taken: Collection[str] = ()) -> str | None:
    """The column whose normalised name comes first in ``wanted``; ``None`` if there is none."""
    by = {plain(name): name for name in reversed(names) if name not in taken}
    return next((by[w] for w in wanted if w in by), None)


def recognise(names: Sequence[str]) -> Recognised:
    """Recognise the roles and film columns of a ratings table."""
    have = {plain(n) for n in names}
    form = next((f for f in FORMS if f.columns <= have and (not f.exact or f.columns == have)), None)
    roles: dict[str, str] = {}
    order = ["user", "item", "rating", "time", "event"]
    for role in order:
        wanted = (form.item, *ROLES[role]) if form is not None and role == "item" and form.item else ROLES[role]
        if (column := find(names, wanted, roles.values())) is not None:
            roles[role] = column
    return Recognised(
        form, roles, film_columns(names, roles.get("item"), [c for r, c in roles.items() if r != "item"], IN_RATINGS)
    )


def film_columns(
    names: Sequence[str], item: str | None, taken: Collection[str] = (), wanted: Sequence[str] = tuple(FILM)
) -> dict[str, str]:
    """Column names by catalog column. The item column may also be a title, an IMDb or a TMDb number.

    Args:
        names: column names of the table.
        item: the item column.
        taken: columns with another role.
        wanted: catalog columns to find.
    """
    found: dict[str, str] = {}
    for column in wanted:
        own = [
            c
            for c in (item,)
            if c is not None and not (column in ("imdb_id", "tmdb_id") or (column == "title" and plain(c) in TITLES))
        ]
        name = find(names, FILM[column], [*taken, *found.values(), *own])
        if name is not None:
            found[column] = name
    return found


def what_of(names: Sequence[str], form: Form | None) -> What:
    """Kind of the items by the column names: films, books, or other items."""
    if form is not None:
        return form.what
    words = {plain(n) for n in names}
    if any(
        w.startswith(("book", "isbn", "author", "goodreads", "publisher", "buch")) or w.endswith("publicationyear")
        for w in words
    ):
        return "books"
    signs = ("movie", "film", "imdb", "tmdb", "letterboxd", "director", "pelicula")
    return "films" if any(w.startswith(signs) for w in words) else "items"


TABLE_NAMES = {"movies", "films", "books", "items", "titles", "movietitles", "filmtitles", "products"}
RATING_NAMES = {
    "ratings",
    "rating",
    "interactions",
    "reviews",
    "events",
    "log",
    "combined",
    "data",
    "combineddata",
    "bookratings",
}


def film_table_beside(ratings: Path) -> Path | None:
    """Find the item table beside a ratings file.

    ``movies.csv`` for ``ratings.csv``, ``x_books.csv`` for ``x_ratings.csv``.
    """

    def words(stem: str) -> list[str]:
        return [w for w in re.split(r"[\W_]+", re.sub(r"\d+$", "", stem).lower()) if w]

    own = words(ratings.name.split(".")[0])
    heads = [own[:at] for at in range(len(own)) if "".join(own[at:]) in RATING_NAMES]
    for file in sorted(ratings.parent.iterdir()) if heads else ():
        if (
            file == ratings
            or not file.is_file()
            or not file.name.lower().endswith((".csv", ".tsv", ".txt", ".parquet", ".csv.gz"))
        ):
            continue
        theirs = words(file.name.split(".")[0])
        if any(theirs[: len(head)] == head and "".join(theirs[len(head) :]) in TABLE_NAMES for head in heads):
            return file
    return None
