"""IMDb and TMDb numbers of MovieLens films; other sources are joined by them."""

from __future__ import annotations

from typing import ClassVar

import pandas as pd

from mmrec_core import settings
from mmrec_core.data.enrich import _founding
from mmrec_core.data.enrich._base import EnrichSource, Found, digits, numbers, reason, rows_by, source_folders
from mmrec_core.errors import MMRecError
from mmrec_core.reading import tables
from mmrec_core.types import Progress


class Links(EnrichSource):
    """``links.csv`` of any MovieLens release, and the IMDb pages of ml-100k's films."""

    order: ClassVar[int] = 0

    def find(self, items: pd.DataFrame, id_space: str, progress: Progress) -> Found:
        """Find IMDb numbers by film id, then TMDb numbers by film id or IMDb number."""
        found = Found()
        imdb = rows_by(items, "imdb_id")
        if id_space == "ml-100k":
            own = rows_by(items, "item")
            for folder in source_folders(_founding.FOLDER):
                file = folder / "movie_url.csv"
                try:
                    numbers_of = _founding.imdb_numbers(file)
                except MMRecError as error:
                    found.notes.append(f"{file.name} could not be read and was not used ({reason(error, file)}).")
                    continue
                for item, number in numbers_of.items():
                    for row in own.get(item, ()):
                        found.add("imdb_id", row, number)
                        imdb.setdefault(digits(number) or "", []).append(row)
        own = rows_by(items, "item") if id_space == "movielens" else {}
        if not own and not imdb:
            return found  # nothing to join by
        for source in settings.sources():
            for file in sorted(source.glob("*/links.csv")):
                try:
                    read = tables.read(file)
                    if not all(name in read for name in ("movieId", "imdbId", "tmdbId")):
                        continue
                    links = pd.DataFrame(
                        {name: pd.Series(read.texts(name), dtype="str") for name in ("movieId", "imdbId", "tmdbId")}
                    )
                except MMRecError as error:
                    found.notes.append(
                        f"{file.parent.name}/{file.name} could not be read and was not used ({reason(error, file)})."
                    )
                    continue
                links = links[numbers(links["movieId"]).isin(own) | numbers(links["imdbId"]).isin(imdb)]
                for movie, imdb_id, tmdb_id in zip(links["movieId"], links["imdbId"], links["tmdbId"], strict=True):
                    for row in own.get(digits(movie) or "", ()):
                        found.add("imdb_id", row, imdb_id)
                        found.add("tmdb_id", row, tmdb_id)
                    for row in imdb.get(digits(imdb_id) or "", ()):
                        found.add("tmdb_id", row, tmdb_id)
        return found
