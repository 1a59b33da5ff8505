"""Reader of users' own ratings from CSV or Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from mmrec_core.config import Config, setting
from mmrec_core.data.datasets._base import DatasetReader, RawData, parse_scale
from mmrec_core.data.datasets._own import AUTO, Own, read_own
from mmrec_core.errors import MMRecError
from mmrec_core.reading.images import ENDINGS
from mmrec_core.types import Progress


class BringYourOwn(DatasetReader):
    """Your own ratings or events from a CSV or Parquet file, with film table, posters and plots if you have them.

    Exports of Letterboxd, IMDb, Goodreads and Netflix and the Netflix Prize files are recognised. Columns are
    recognised by their names, or named in the config: ``auto`` recognises a column, an empty name means that there is
    none.
    """

    class Config(Config):
        """Columns of the file: auto recognises a column by its name, an empty name means there is none."""

        scale: str = setting(
            "",
            "lowest and highest rating as LOW:HIGH, such as 0.5:5; needed if there are ratings and their scale is not "
            "known",
        )
        user: str = setting(AUTO, "column of user ids; empty: all rows are of one user")
        item: str = setting(AUTO, "column of film ids")
        rating: str = setting(AUTO, "column of ratings; empty if every row is simply a view")
        time: str = setting(
            AUTO, "column of times: dates, or seconds, milliseconds, … since 1970; empty if there is none"
        )
        dates: Literal["auto", "day first", "month first"] = setting(
            "auto", "whether dates such as 3/4/2021 begin with the day or the month; auto: as the whole column allows"
        )
        event: str = setting(AUTO, "column of event types, such as view and buy")
        keep: str = setting("", "event types to keep, separated by '|'; empty: all")
        repeats: Literal["auto", "refused", "latest", "allowed"] = setting(
            "auto",
            "several rows of a user for one film: refused; only the latest kept; all allowed; auto: allowed for events "
            "without ratings, refused for ratings that differ",
        )
        items: str = setting(
            AUTO,
            "CSV or Parquet file of films, beside the ratings or by full path; auto: movies.csv, films.csv or "
            "books.csv "
            "beside it; empty: none",
        )
        item_id: str = setting(AUTO, "its column of film ids; auto: named as in the ratings, or by its name")
        title: str = setting(AUTO, "its column of titles; a year in brackets at the end is read as the year")
        year: str = setting(AUTO, "its column of years")
        genres: str = setting(AUTO, "its column of genres, separated by '|'")
        director: str = setting(AUTO, "its column of directors (of books: authors)")
        cast: str = setting(AUTO, "its column of actors, separated by '|'")
        tags: str = setting(AUTO, "its column of tags, separated by '|'")
        plot: str = setting(AUTO, "its column of plots")
        imdb_id: str = setting(AUTO, "its column of IMDb numbers, for posters and plots from other tables")
        tmdb_id: str = setting(AUTO, "its column of TMDb numbers")
        posters: str = setting("", "folder of poster images named by film id")
        what: Literal["auto", "films", "books", "items"] = setting(
            "auto", "what the items are; plots and posters are looked up for films only"
        )

    config: Config

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the ratings file named with ``--from`` and what the config adds."""
        if source is None:
            raise MMRecError("Name the ratings file: prepare csv --from ratings.csv --name NAME --scale 0.5:5.")
        progress(0, 2, "reading ratings")
        found = read_own(source, self.config)
        events, notes = found.events, found.notes
        progress(1, 2, "reading films")
        posters, poster_notes = self._posters(source.parent, found)
        scale = None
        if "rating" in events:
            text = self.config.scale or found.scale
            if not text:
                low, high = float(events["rating"].min()), float(events["rating"].max())
                raise MMRecError(
                    f"{source.name} has ratings from {low:g} to {high:g}, but their scale is not known. "
                    "Give it as --scale LOW:HIGH, such as 0.5:5."
                )
            scale = parse_scale(text)
        if found.what != "films" and found.items is not None and self.config.what == AUTO:
            kind = "books" if found.what == "books" else "other things than films"
            notes.append(
                f"The items are taken for {kind}, so no plots or posters of films were looked up; "
                "the setting what=films looks them up."
            )
        return RawData(
            events,
            found.items,
            scale=scale,
            repeats=found.repeats,
            file=str(source),
            first_line=2,
            line_of=found.line_of,
            posters=posters,
            licence="Your own data.",
            what=found.what,
            notes=[*notes, *poster_notes],
            about={"what": found.what, "form": found.form},
        )

    def _posters(self, beside: Path, found: Own) -> tuple[dict[Any, Path], list[str]]:
        """Poster files by film id, for films with and without ratings; and notes for users."""
        if not self.config.posters:
            return {}, []
        folder = Path(self.config.posters)
        folder = folder if folder.is_absolute() else beside / folder
        if not folder.is_dir():
            raise MMRecError(f"Poster folder {folder} does not exist.")
        files: dict[str, list[Path]] = {}
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in ENDINGS and file.is_file():
                files.setdefault(file.stem, []).append(file)
        every_item = [
            *([] if found.items is None else found.items["item"].tolist()),
            *found.events["item"].unique().tolist(),
        ]
        posters = {item: files[str(item)][0] for item in dict.fromkeys(every_item) if str(item) in files}
        known = {str(item) for item in posters}
        notes, stray = [], [own[0].name for stem, own in files.items() if stem not in known]
        if stray:
            files_match, were = ("files match", "were") if len(stray) > 1 else ("file matches", "was")
            notes.append(f"{len(stray):,} poster {files_match} no film's id and {were} not used: {_first(stray)}")
        if twice := [own[1].name for stem, own in files.items() if len(own) > 1 and stem in known]:
            films_have = "films have" if len(twice) > 1 else "film has"
            notes.append(
                f"{len(twice):,} {films_have} several poster files; the first by name is used, not {_first(twice)}"
            )
        return posters, notes


def _first(names: list[str]) -> str:
    """The first three names, for a note."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
