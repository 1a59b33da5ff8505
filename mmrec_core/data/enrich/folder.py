"""Posters from folders of image files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mmrec_core.data.enrich._base import EnrichSource, Found, digits, reason, rows_by, source_folders
from mmrec_core.errors import MMRecError
from mmrec_core.reading import tables
from mmrec_core.reading.images import ENDINGS
from mmrec_core.types import Progress


class Folder(EnrichSource):
    """Images in ``posters/`` named by IMDb number (``tt0114709.jpg``), MovieLens id, or TMDb number (in ``tmdb/``)."""

    def find(self, items: pd.DataFrame, id_space: str, progress: Progress) -> Found:
        """Match every image file by its name; a plain number is a MovieLens id."""
        found = Found()
        imdb, tmdb = rows_by(items, "imdb_id"), rows_by(items, "tmdb_id")
        own = rows_by(items, "item") if id_space == "movielens" else {}
        if not imdb and not tmdb and not own:
            return found  # nothing to join by
        for folder in source_folders("posters"):
            self._from_index(folder, {"imdbId": imdb, "tmdbId": tmdb, "movieId": own}, found)
            for file in sorted(folder.rglob("*")):
                if file.suffix.lower() not in ENDINGS or (number := digits(file.stem)) is None:
                    continue
                by = imdb if file.stem.startswith("tt") else tmdb if file.parent.name == "tmdb" else own
                for row in by.get(number, ()):
                    found.add("poster", row, file)
        return found

    def _from_index(self, folder: Path, by: dict[str, dict[str, list[int]]], found: Found) -> None:
        """Match posters by ``index.csv`` if there is one; it may list more ids of a file than its name."""
        index = folder / "index.csv"
        if not index.is_file():
            return
        try:
            read = tables.read(index)
            table = pd.DataFrame({name: read.texts(name) for name in ("file", *by) if name in read})
        except MMRecError as error:
            found.notes.append(
                f"{index.name} of the poster folder was not used ({reason(error, index)}); "
                "posters are matched by their names alone."
            )
            return
        if "file" not in read:
            found.notes.append(
                f"{index.name} of the poster folder has no column 'file' and was not used; "
                "posters are matched by their names alone."
            )
            return
        whole = folder.resolve()
        for record in table.to_dict("records"):
            rows = next((r for key, rows in by.items() if (r := rows.get(digits(record.get(key)) or ""))), [])
            if not rows:
                continue
            path = (folder / str(record["file"])).resolve()
            if path.is_relative_to(whole) and path.is_file():
                for row in rows:
                    found.add("poster", row, path)
