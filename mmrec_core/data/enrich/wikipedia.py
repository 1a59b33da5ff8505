"""Plots from Wikipedia, found by IMDb number through Wikidata; no key is needed."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

import pandas as pd

from mmrec_core import settings, storage
from mmrec_core.config import Config, setting
from mmrec_core.data.enrich import _founding
from mmrec_core.data.enrich._base import EnrichSource, Found, digits
from mmrec_core.data.enrich._web import Failure, PoliteClient
from mmrec_core.errors import MMRecError
from mmrec_core.types import Progress

SECTIONS: dict[str, tuple[str, ...]] = {
    "en": ("plot", "plot summary", "synopsis", "story", "premise", "summary", "plot synopsis", "storyline"),
    "de": ("handlung", "inhalt"),
    "fr": ("synopsis", "résumé", "intrigue", "résumé détaillé"),
    "es": ("argumento", "sinopsis", "trama"),
    "it": ("trama",),
    "pt": ("enredo", "sinopse"),
    "nl": ("verhaal", "plot", "synopsis"),
    "pl": ("fabuła", "opis fabuły"),
    "sv": ("handling",),
    "ru": ("сюжет",),
    "ja": ("あらすじ", "ストーリー", "概要"),
    "zh": ("剧情", "劇情", "情节", "故事"),
    "ko": ("줄거리",),
}
"""Headings of the plot section by language, lower case."""
LICENCE = (
    "Plots are from Wikipedia ({language}.wikipedia.org) under CC BY-SA 4.0 "
    "(creativecommons.org/licenses/by-sa/4.0), shortened; each film names its article, whose history lists the authors."
)
BATCH = 100
"""IMDb numbers in one request to Wikidata."""
FORGET_S = 30 * 86_400
"""After this time, in seconds, a film without an article is looked up again."""
BAD_IN_A_ROW = 5
"""Number of failed requests in a row after which the source stops."""
THROTTLED = {"ratelimited", "maxlag", "readonly"}
"""Codes of MediaWiki's errors that mean: later."""
TRIES = 4


class Wikipedia(EnrichSource):
    """Plots from Wikipedia without a key: IMDb number, Wikidata, article, plot section or introduction (CC BY-SA 4.0).

    Another language is named after a colon, ``wikipedia:de``. Answers are kept in ``MMREC_HOME/cache/wikipedia``, so
    that the next preparation continues where this one stopped.
    """

    class Config(Config):
        """The language, the length of plots, and limits of requests."""

        language: str = setting("en", "code of the Wikipedia to read, such as en, de or fr")
        longest: int = setting(
            1500, "largest length of a plot; longer ones end at a sentence", ge=100, unit="characters"
        )
        per_second: float = setting(5.0, "largest number of requests per second", ge=0.1, le=20.0, unit="requests/s")
        limit: int = setting(0, "largest number of films to look up; 0: all", ge=0)

    on_request: ClassVar[bool] = True
    order: ClassVar[int] = 4
    argument: ClassVar[str] = "language"
    config: Config

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        if not re.fullmatch(r"[a-z]{2,3}(-[a-z]{2,10})?", self.config.language):
            raise MMRecError(
                f"'{self.config.language}' is no language code of a Wikipedia; expected one such as en, de or fr."
            )
        self._client = PoliteClient(self.config.per_second)

    def find(self, items: pd.DataFrame, id_space: str, progress: Progress) -> Found:
        """Look up every film that has an IMDb number and lacks a plot; what fails is counted in a note."""
        found = Found(licence=LICENCE.format(language=self.config.language))
        ids = items["imdb_id"].tolist()
        if id_space == "ml-100k" and not any(map(digits, ids)):
            ids = self._numbers_of_100k(items, found, progress)
        lacking = [
            (row, number)
            for row, (imdb, plot) in enumerate(zip(ids, items["plot"], strict=True))
            if (number := digits(imdb)) and not (isinstance(plot, str) and plot)
        ]
        lacking = lacking[: self.config.limit or None]
        if not lacking:
            return found
        reasons: Counter[str] = Counter()
        articles = self._articles(list(dict.fromkeys(number for _, number in lacking)), reasons, progress)
        bad = 0
        for done, (row, number) in enumerate(lacking, 1):
            progress(done, len(lacking), "reading Wikipedia")
            if number not in articles:
                continue  # Wikidata was not reached
            title, plot = articles[number], None
            if title is None:
                reasons["without an article"] += 1
                continue
            if bad >= BAD_IN_A_ROW and self._cached("plots", number) is None:
                reasons["not requested, because Wikipedia did not answer"] += 1
                continue
            try:
                plot, bad = self._plot(number, title), 0
            except Failure as failure:
                reasons[failure.reason] += 1
                bad += 1
                continue
            if plot is None:
                reasons["without a plot"] += 1
                continue
            found.add("plot", row, shortened(plot["text"], self.config.longest))
            found.add("plot_source", row, plot["page"])
        got = len(found.values.get("plot", {}))
        found.notes.append(f"Plots from Wikipedia ({self.config.language}): {got:,} of {len(lacking):,} films.")
        if reasons:
            why = ", ".join(f"{count:,} {what}" for what, count in reasons.most_common())
            found.notes.append(f"Films that got no plot from Wikipedia: {why}. Prepare again to continue.")
        return found

    def _numbers_of_100k(self, items: pd.DataFrame, found: Found, progress: Progress) -> list[str | None]:
        """IMDb numbers of MovieLens 100K's films, which its own files do not hold; they are added to the result."""
        try:
            numbers = _founding.imdb_numbers(_founding.find("movie_url.csv", progress))
        except MMRecError as error:
            found.notes.append(str(error))
            return [None] * len(items)
        ids = [numbers.get(str(item)) for item in items["item"].tolist()]
        for row, number in enumerate(ids):
            found.add("imdb_id", row, number)
        return ids

    def _cache(self, kind: str, number: str) -> Path:
        """The file of an answer about a film; ``kind`` is ``articles`` or ``plots``."""
        folder = settings.home() / "cache" / "wikipedia" / self.config.language / kind
        return folder / number[-2:].rjust(2, "0") / f"{number}.json"

    def _cached(self, kind: str, number: str) -> dict[str, Any] | None:
        """A kept answer; ``None`` if there is none, or if it says that there is nothing and is a month old."""
        file = self._cache(kind, number)
        with contextlib.suppress(MMRecError, OSError):
            found = storage.read_json(file)
            if isinstance(found, dict) and all(v is None or isinstance(v, str) for v in found.values()):
                empty = all(value is None for value in found.values())
                if not empty or time.time() - file.stat().st_mtime < FORGET_S:
                    return found
        return None

    def _articles(self, numbers: Sequence[str], reasons: Counter[str], progress: Progress) -> dict[str, str | None]:
        """Titles of articles by IMDb number; ``None`` for films without one. Failed batches are left out.

        Args:
            numbers: IMDb numbers.
            reasons: numbers of films by reason why they got no plot; added to.
            progress: progress callback.
        """
        found: dict[str, str | None] = {}
        for number in numbers:
            if (kept := self._cached("articles", number)) is not None:
                found[number] = kept.get("title")
        left, bad = [n for n in numbers if n not in found], 0
        for start in range(0, len(left), BATCH):
            batch = left[start : start + BATCH]
            progress(start, len(left), "asking Wikidata")
            if bad >= BAD_IN_A_ROW:
                reasons["not requested, because Wikidata did not answer"] += len(batch)
                continue
            try:
                titles, bad = self._ask_wikidata(batch), 0
            except Failure as failure:
                reasons[f"{failure.reason} (Wikidata)"] += len(batch)
                bad += 1
                continue
            for number in batch:
                found[number] = titles.get(number)
                storage.write_json(self._cache("articles", number), {"title": titles.get(number)})
        return found

    def _ask_wikidata(self, numbers: Sequence[str]) -> dict[str, str]:
        """Titles of articles by IMDb number, for the films that have one.

        Raises:
            Failure: no answer, or one in another format.
        """
        site = os.environ.get("MMREC_WIKIDATA", "https://query.wikidata.org/sparql")
        ids = " ".join(f'"tt{number.zfill(7)}"' for number in numbers)
        query = (
            f"SELECT ?imdb ?article WHERE {{ VALUES ?imdb {{ {ids} }} ?film wdt:P345 ?imdb . "
            f"?article schema:about ?film ; schema:isPartOf <https://{self.config.language}.wikipedia.org/> . }}"
        )
        answer = self._client.json(site, {"query": query, "format": "json"})
        try:
            rows = answer["results"]["bindings"]
            pairs = [(row["imdb"]["value"], row["article"]["value"]) for row in rows]
            return {
                number: unquote(urlsplit(article).path.removeprefix("/wiki/")).replace("_", " ")
                for imdb, article in reversed(pairs)
                if (number := digits(imdb)) and "/wiki/" in article
            }
        except (KeyError, TypeError, AttributeError):
            raise Failure("an answer in another format") from None

    def _plot(self, number: str, title: str) -> dict[str, str] | None:
        """Text and address of a plot; ``None`` if the article is missing, a disambiguation page, or empty.

        Raises:
            Failure: no answer, or one in another format.
        """
        if (kept := self._cached("plots", number)) is not None:
            return {"text": kept["text"], "page": kept.get("page") or ""} if kept.get("text") else None
        page = self._ask_wikipedia(title)
        text = plot_of(page.get("extract") or "", self.config.language)
        pageprops = page.get("pageprops") or {}
        if page.get("missing") or page.get("invalid") or "disambiguation" in pageprops or not text:
            storage.write_json(self._cache("plots", number), {"text": None, "page": None})
            return None
        address = f"https://{self.config.language}.wikipedia.org/wiki/{quote(str(page['title']).replace(' ', '_'))}"
        storage.write_json(self._cache("plots", number), {"text": text, "page": address})
        return {"text": text, "page": address}

    def _ask_wikipedia(self, title: str) -> dict[str, Any]:
        """The page of a title, redirects followed: ``title``, ``extract`` (plain text with headings), ``pageprops``.

        Raises:
            Failure: no answer, or one in another format.
        """
        site = os.environ.get("MMREC_WIKIPEDIA", f"https://{self.config.language}.wikipedia.org/w/api.php")
        params = {
            "action": "query", "format": "json", "formatversion": "2", "prop": "extracts|pageprops", "titles": title,
            "redirects": "1", "explaintext": "1", "exsectionformat": "wiki", "ppprop": "disambiguation", "maxlag": "5",
        }  # fmt: skip
        for attempt in range(TRIES):
            answer = self._client.json(site, params)
            error = answer.get("error") if isinstance(answer, dict) else None
            if isinstance(error, dict) and error.get("code") in THROTTLED:
                self._client.pause(2.0**attempt * PAUSE_S)
                continue
            try:
                page = answer["query"]["pages"][0]
            except (KeyError, TypeError, IndexError):
                raise Failure("an answer in another format") from None
            fine = isinstance(page, dict) and isinstance(page.get("title"), str)
            if not fine or not isinstance(page.get("extract") or "", str):
                raise Failure("an answer in another format")
            return dict(page)
        raise Failure("too many requests")


PAUSE_S = 2.0
"""Pause after MediaWiki's first request to come later, in seconds; it doubles with each further one."""


def _sections(extract: str) -> Iterator[tuple[int, str, str]]:
    """Level, heading and text of each section; the introduction has level 1 and no heading."""
    parts = re.split(r"^(={2,6})[ \t]*(.*?)[ \t]*\1[ \t]*$", extract, flags=re.MULTILINE)
    yield 1, "", parts[0]
    for at in range(1, len(parts) - 2, 3):
        yield len(parts[at]), parts[at + 1], parts[at + 2]


def plot_of(extract: str, language: str) -> str:
    """The plot section of an article with its subsections, or its introduction; ``""`` if there is neither.

    Args:
        extract: the article as plain text with headings between equals signs.
        language: language of the article.
    """
    wanted = SECTIONS.get(language.partition("-")[0], ())
    sections = list(_sections(extract))
    for at, (level, heading, text) in enumerate(sections):
        if heading.casefold() in wanted:
            inside = [text]
            for deeper, _, more in sections[at + 1 :]:
                if deeper <= level:
                    break
                inside.append(more)
            if plot := _plain(" ".join(inside)):
                return plot
    return _plain(sections[0][2])


def _plain(text: str) -> str:
    return " ".join(text.split())


def shortened(text: str, longest: int) -> str:
    """A text of at most ``longest`` characters, cut at the end of a sentence, else of a word."""
    if len(text) <= longest:
        return text
    head = text[:longest]
    ends = [m.end() for m in re.finditer(r"[.!?。！？]['\"”’)]*(?=\s|$)|[。！？]", head)]
    if ends and ends[-1] > longest // 3:
        return head[: ends[-1]]
    return head.rsplit(" ", 1)[0] if " " in head else head
