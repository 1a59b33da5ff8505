"""Plots from Wikipedia: against a local server that answers as Wikidata and MediaWiki do."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from mmrec_core.data import preparation
from mmrec_core.data.enrich import _web, wikipedia
from mmrec_core.data.enrich._base import Found
from mmrec_core.errors import MMRecError
from mmrec_core.types import quiet

TOY = (
    "Toy Story is a 1995 American animated film.\nIt was directed by John Lasseter.\n\n\n== Plot ==\n"
    "Toys live when nobody looks.\nWoody is jealous.\n\n\n=== Ending ===\nThey drive home.\n\n\n"
    "== Cast ==\nTom Hanks.\n"
)
PAGES: dict[str, dict[str, Any]] = {
    "Toy Story": {"extract": TOY},
    "Jumanji (film)": {"extract": "Jumanji is a film about a game.\n\n\n== Reception ==\nMixed.\n"},
    "Heat": {"extract": "Heat may refer to:", "pageprops": {"disambiguation": ""}},
    "Ghost": {"missing": True},
    "Empty": {"extract": ""},
    "L'Été": {"extract": "Un film.\n\n\n== Synopsis ==\nC'est l'été.\n"},
}
ARTICLES = {
    "0000001": "Toy_Story", "0000002": "Jumanji_(old)", "0000003": "Heat", "0000004": "Ghost", "0000006": "Empty",
    "12345678": "Toy_Story",
}  # fmt: skip
REDIRECTS = {"Jumanji (old)": "Jumanji (film)"}


class _Wiki(http.server.BaseHTTPRequestHandler):
    asked: list[tuple[str, dict[str, str]]] = []
    agents: set[str] = set()
    throttle = 0
    limited = 0
    broken: Any = None

    def do_GET(self) -> None:
        cls = type(self)
        url = urlsplit(self.path)
        params = {k: v[0] for k, v in parse_qs(url.query).items()}
        cls.asked.append((url.path, params))
        cls.agents.add(self.headers["User-Agent"])
        if cls.throttle:
            cls.throttle -= 1
            return self.reply(429, b"", {"Retry-After": "0"})
        if cls.broken is not None:
            return self.reply(200, cls.broken if isinstance(cls.broken, bytes) else json.dumps(cls.broken).encode())
        if url.path == "/sparql":
            language = re.search(r"https://(\w+)\.wikipedia\.org/", params["query"])
            assert language is not None
            known = ARTICLES if language[1] == "en" else {"0000001": "L%27%C3%89t%C3%A9"}
            rows = [
                {
                    "imdb": {"type": "literal", "value": f"tt{number}"},
                    "article": {"type": "uri", "value": f"https://{language[1]}.wikipedia.org/wiki/{known[number]}"},
                }
                for number in re.findall(r'"tt(\d+)"', params["query"])
                if number in known
            ]
            return self.reply(200, json.dumps({"results": {"bindings": rows}}).encode())
        if cls.limited:
            cls.limited -= 1
            return self.reply(200, json.dumps({"error": {"code": "ratelimited", "info": "slow down"}}).encode())
        title = REDIRECTS.get(params["titles"], params["titles"])
        page = {"title": title, **PAGES.get(title, {"missing": True})}
        return self.reply(200, json.dumps({"batchcomplete": True, "query": {"pages": [page]}}).encode())

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Silent."""


@pytest.fixture
def wiki(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    handler = type("Wiki", (_Wiki,), {"asked": [], "agents": set()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("MMREC_WIKIDATA", f"{root}/sparql")
    monkeypatch.setenv("MMREC_WIKIPEDIA", f"{root}/w/api.php")
    monkeypatch.setenv("MMREC_SOURCES", "")
    monkeypatch.setattr(_web, "BACKOFF_S", 0.01)
    monkeypatch.setattr(wikipedia, "PAUSE_S", 0.01)
    yield handler
    server.shutdown()


def films(n: int = 7, **more: object) -> pd.DataFrame:
    base = {
        "item": list(range(1, n + 1)),
        "title": [f"Film {i}" for i in range(1, n + 1)],
        "imdb_id": [f"tt000000{i}" for i in range(1, n)] + [None],
        "plot": [None] * n,
    }
    return pd.DataFrame({**base, **more})


def find(items: pd.DataFrame, **config: Any) -> Found:
    return wikipedia.Wikipedia(wikipedia.Wikipedia.Config(per_second=20.0, **config)).find(items, "", quiet)


def test_plot_section_or_introduction_with_redirects_and_without_the_rest(home: Path, wiki: Any) -> None:
    found = find(films())
    assert found.values["plot"] == {
        0: "Toys live when nobody looks. Woody is jealous. They drive home.",
        1: "Jumanji is a film about a game.",
    }
    assert found.values["plot_source"][1] == "https://en.wikipedia.org/wiki/Jumanji_%28film%29"
    assert found.notes == [
        "Plots from Wikipedia (en): 2 of 6 films.",
        "Films that got no plot from Wikipedia: 3 without a plot, 1 without an article. Prepare again to continue.",
    ]
    assert "CC BY-SA 4.0" in found.licence
    assert len([path for path, _ in wiki.asked if path == "/sparql"]) == 1, "one request for all numbers"
    assert all(agent.startswith("MMRec/") for agent in wiki.agents)


def test_a_second_run_asks_nothing(home: Path, wiki: Any) -> None:
    first = find(films())
    count = len(wiki.asked)
    assert find(films()).values == first.values and len(wiki.asked) == count


def test_films_with_a_plot_are_left_alone(home: Path, wiki: Any) -> None:
    assert find(films(plot=["Own plot."] * 7)).values == {} and wiki.asked == []


def test_batches_and_long_imdb_numbers(home: Path, wiki: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikipedia, "BATCH", 2)
    items = films(3, imdb_id=["1", "12345678", "tt0000002"])
    assert set(find(items).values["plot"]) == {0, 1, 2}
    assert len([path for path, _ in wiki.asked if path == "/sparql"]) == 2


def test_throttling_is_waited_for(home: Path, wiki: Any) -> None:
    wiki.throttle, wiki.limited = 2, 2
    assert set(find(films()).values["plot"]) == {0, 1}
    wiki.limited = 1000
    found = find(films(imdb_id=["tt0000001"] + ["tt12345678"] + [None] * 5))
    assert set(found.values["plot"]) == {0} and "1 too many requests" in found.notes[1]


def test_a_site_that_is_down_stops_the_requests_and_a_later_run_continues(
    home: Path, wiki: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [f"{i:07}" for i in range(10, 40)]
    monkeypatch.setattr(f"{__name__}.ARTICLES", dict.fromkeys(numbers, "Toy_Story"))
    items = films(30, imdb_id=numbers)
    find(items, limit=3)
    monkeypatch.setenv("MMREC_WIKIPEDIA", "http://127.0.0.1:9/api.php")
    found = find(items)
    assert set(found.values["plot"]) == {0, 1, 2}, "what is kept is used"
    assert "5 no connection" in found.notes[1] and "22 not requested" in found.notes[1]
    monkeypatch.setenv("MMREC_WIKIPEDIA", "http://127.0.0.1:9/api.php")
    monkeypatch.setenv("MMREC_WIKIDATA", "http://127.0.0.1:9/sparql")
    other = find(films(2, imdb_id=["tt0000001", None]))
    assert other.values == {} and "1 no connection (Wikidata)" in other.notes[1]


@pytest.mark.parametrize(
    "answer", [b"<html>", [], {}, {"query": {"pages": []}}, {"query": {"pages": [3]}}, {"results": {"bindings": [{}]}}]
)
def test_answers_in_another_format_are_counted_and_not_kept(home: Path, wiki: Any, answer: Any) -> None:
    wiki.broken = answer
    found = find(films())
    assert found.values == {} and "Films that got no plot" in found.notes[1]
    wiki.broken = None
    assert set(find(films()).values["plot"]) == {0, 1}


def test_another_language(home: Path, wiki: Any) -> None:
    found = find(films(), language="fr")
    assert found.values["plot"] == {0: "C'est l'été."} and "fr.wikipedia.org" in found.licence
    assert found.values["plot_source"] == {0: "https://fr.wikipedia.org/wiki/L%27%C3%89t%C3%A9"}
    with pytest.raises(MMRecError, match="no language code"):
        find(films(), language="http://x")


@pytest.mark.parametrize(
    ("extract", "language", "plot"),
    [
        ("Intro.\n\n== Plot ==\n\n== Cast ==\nx\n", "en", "Intro."),
        ("Intro.\n== Synopsis ==\nA.\n==== Deep ====\nB.\n== C ==\nD.", "en", "A. B."),
        ("Intro.\n== Handlung ==\nEs war einmal.", "de", "Es war einmal."),
        ("Intro.\n== Plot ==\nX.", "xx", "Intro."),
        ("", "en", ""),
        ("== Plot ==\na == b is no heading\nC.", "en", "a == b is no heading C."),
    ],
)
def test_which_part_of_an_article_is_the_plot(extract: str, language: str, plot: str) -> None:
    assert wikipedia.plot_of(extract, language) == plot


def test_long_plots_end_at_a_sentence() -> None:
    text = "One sentence here. Another one there! " * 20
    cut = wikipedia.shortened(text, 100)
    assert len(cut) <= 100 and cut.endswith(("here.", "there!"))
    assert wikipedia.shortened("word " * 100, 102) == ("word " * 20).strip()
    assert wikipedia.shortened("x" * 200, 100) == "x" * 100


def test_prepare_stores_plot_source_and_licence(home: Path, tmp_path: Path, wiki: Any) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n1,1,4\n2,2,4\n3,3,4\n")
    (tmp_path / "movies.csv").write_text("movieId,title,imdbId\n1,Toy Story,0000001\n2,Jumanji,2\n3,Own,\n")
    preparation.prepare(
        "csv", source=tmp_path / "ratings.csv", name="mine", options={"scale": "1:5"}, enrich=["wikipedia:en"]
    )
    dataset = preparation.open_dataset("mine")
    catalog = dataset.catalog.set_index("item")
    assert catalog.loc[1, "plot"].startswith("Toys live") and catalog.loc[1, "plot_source"].endswith("/Toy_Story")
    assert pd.isna(catalog.loc[3, "plot"]) and dataset.manifest["plots"] == 2
    assert "CC BY-SA 4.0" in dataset.manifest["licence"] and dataset.manifest["licence"].startswith("Your own data.")


def test_movielens_100k_gets_its_imdb_numbers(
    home: Path, tmp_path: Path, wiki: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own files hold none; the founding table has them, at hand or fetched."""
    items = films(imdb_id=[None] * 7)
    monkeypatch.setenv("MMREC_GITHUB_RAW", "http://127.0.0.1:9")
    source = wikipedia.Wikipedia(wikipedia.Wikipedia.Config(per_second=20.0))
    found = source.find(items, "ml-100k", quiet)
    assert "movie_url.csv of MovieLens 100K could not be fetched (no connection)" in found.notes[0]
    folder = tmp_path / "sources" / "movielens-posters-urls"
    folder.mkdir(parents=True)
    (folder / "movie_url.csv").write_text("1,http://www.imdb.com/title/tt0000001/?x\n2,http://www.imdb.com/nothing\n")
    monkeypatch.setenv("MMREC_SOURCES", str(tmp_path / "sources"))
    found = source.find(items, "ml-100k", quiet)
    assert found.values["imdb_id"] == {0: "0000001"} and set(found.values["plot"]) == {0}
