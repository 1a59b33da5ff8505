"""Posters, plots and credits from The Movie Database, with the user's own key."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from mmrec_core import records, settings, storage
from mmrec_core.config import Config, setting
from mmrec_core.data.enrich._base import EnrichSource, Found, digits
from mmrec_core.data.enrich._web import Failure, PoliteClient
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.types import Progress

PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF")
"""First bytes of JPEG, PNG and WebP files."""
BAD_IN_A_ROW = 5
"""Number of consecutive unusable answers after which the source stops."""


class _Hidden(logging.Filter):
    """A logging filter that removes the API key: urllib3 logs whole URLs at debug level."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def filter(self, record: logging.LogRecord) -> bool:
        """Remove the key from a log record."""
        record.msg, record.args = record.getMessage().replace(self.key, "…"), ()
        return True


def hide(key: str) -> None:
    """Keep an API key out of the log of requests from now on."""
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        log = logging.getLogger(name)
        if not any(isinstance(known, _Hidden) and known.key == key for known in log.filters):
            log.addFilter(_Hidden(key))


class Tmdb(EnrichSource):
    """TMDb's API: needs TMDB_API_KEY; limits its request rate, caches answers, and can be continued."""

    class Config(Config):
        """Limits of requests."""

        per_second: float = setting(20.0, "largest number of requests per second", ge=0.1, le=40.0, unit="requests/s")
        limit: int = setting(0, "largest number of films to request; 0: all", ge=0)

    on_request: ClassVar[bool] = True
    config: Config

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self._client = PoliteClient(self.config.per_second)

    def find(self, items: pd.DataFrame, id_space: str, progress: Progress) -> Found:
        """Request every film that has a TMDb number and lacks a plot or poster.

        Raises:
            MMRecError: no key, a refused key, or no answer; answers received so far are cached.
        """
        if not os.environ.get("TMDB_API_KEY"):
            raise MMRecError("TMDb needs a key: get one at themoviedb.org and set TMDB_API_KEY, then run this again.")
        cache = settings.home() / "cache" / "tmdb"
        found = Found()
        lacking = [
            (row, number)
            for row, record in enumerate(items.to_dict("records"))
            if (number := digits(record.get("tmdb_id"))) and not (record.get("plot") and record.get("poster"))
        ]
        lacking = lacking[: self.config.limit or None]
        unusable = refused = 0
        for done, (row, number) in enumerate(lacking):
            progress(done, len(lacking), "asking TMDb")
            try:
                film, refused = self._film(number, cache), 0
            except DamagedFile as error:
                unusable, refused = unusable + 1, refused + 1
                if refused == BAD_IN_A_ROW:
                    raise MMRecError(
                        f"{BAD_IN_A_ROW} answers of TMDb in a row had another format than expected: {error.fault}. "
                        "Run this again later: it continues where it stopped."
                    ) from None
                continue
            found.add("plot", row, film.get("overview"))
            crew = film.get("credits") or {}
            found.add(
                "director", row, next((p["name"] for p in crew.get("crew", []) if p.get("job") == "Director"), None)
            )
            found.add("cast", row, [p["name"] for p in crew.get("cast", [])[:4]] or None)
            found.add("poster", row, self._poster(number, film.get("poster_path"), cache))
        if unusable:
            found.notes.append(
                f"TMDb's answers about {unusable:,} films could not be used; prepare again to request them again."
            )
        return found

    def _film(self, number: str, cache: Path) -> dict[str, Any]:
        """The TMDb record of a film, from the cache or by a request; only valid answers are cached.

        Raises:
            DamagedFile: the answer has another format.
        """
        cached = cache / f"{number}.json"
        with contextlib.suppress(MMRecError):
            return records.read(cached, records.FILM)
        site = os.environ.get("MMREC_TMDB", "https://api.themoviedb.org/3")
        answer = self._request(f"{site}/movie/{number}", {"append_to_response": "credits"})
        film: Any = {}
        if answer is not None:
            try:
                film = json.loads(answer)
            except (ValueError, RecursionError):
                film = None
        if (fault := records.fault_of(film, records.FILM)) is not None:
            raise DamagedFile(f"TMDb's answer about film {number}", fault, "Run this again later.")
        storage.write_json(cached, film)
        return dict(film)

    def _poster(self, number: str, path: str | None, cache: Path) -> Path | None:
        if not path:
            return None
        cached = cache / f"{number}.jpg"
        if not cached.exists():
            site = os.environ.get("MMREC_TMDB_IMAGES", "https://image.tmdb.org/t/p/w342")
            answer = self._request(f"{site}{path}", {}, keyed=False)
            if answer is None or not answer.startswith(PICTURES):  # an error page must not be cached
                return None
            storage.write_bytes(cached, answer)
        return cached

    def _request(self, url: str, params: dict[str, str], keyed: bool = True) -> bytes | None:
        """The body of one answer, at the limited rate; ``None`` if TMDb has no such film.

        The key never appears in a message, and images are requested without it.
        """
        key = os.environ["TMDB_API_KEY"]
        # TMDb takes an API Read Access Token in a header, and a v3 key only as the query parameter api_key
        long = len(key) > 40
        hide(key)
        try:
            return self._client.get(
                url,
                {**params, "api_key": key} if keyed and not long else params,
                {"Authorization": f"Bearer {key}"} if keyed and long else {},
            )
        except Failure as failure:
            if failure.status == 404:
                return None
            if failure.status == 401:
                raise MMRecError(
                    "TMDb refused the key in TMDB_API_KEY. Check it at themoviedb.org and run this again."
                ) from None
            raise MMRecError(
                f"TMDb did not give what was requested ({failure.reason}). Run this again later: it continues where it "
                "stopped."
            ) from None
