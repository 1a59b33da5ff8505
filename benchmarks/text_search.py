"""The text path with real MiniLM weights: agreement with vectors made elsewhere, and films found by written queries.

    python -m benchmarks.text_search --vectors FOLDER [--films 300]

``FOLDER`` holds ``ml-latest-small_text_minilm.npy`` and its ids; ml-latest-small is prepared with its plots. Agreement:
the prompt of those vectors (title as MovieLens writes it, year, genres, plot) is encoded here. Search: fifty queries,
each with genres and keywords that were fixed before any result was seen; a film fits if it has one of the genres (where
any are named) and one of the keywords among TMDb's keywords and MovieLens' tags. Only films with TMDb keywords count.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_core import features, settings
from mmrec_core.data.enrich._base import digits
from mmrec_core.data.enrich.table import FOLDERS, read_table
from mmrec_core.data.preparation import open_dataset

QUERIES: list[tuple[str, str, str]] = [
    ("a haunted house with ghosts", "Horror|Thriller|Fantasy", "haunted|ghost"),
    ("astronauts stranded in space", "Sci-Fi|Adventure|Drama", "astronaut|space"),
    ("a bank robbery goes wrong", "Crime|Thriller|Drama", "bank|robber|heist"),
    ("vampires hunting at night", "", "vampire"),
    ("zombies overrun a city", "", "zombie"),
    ("a time traveller changes the past", "", "time travel"),
    ("a lawyer defends an innocent man in court", "", "lawyer|court|trial"),
    ("soldiers in the Vietnam war", "", "vietnam"),
    ("the Second World War and the Nazis", "", "world war ii|nazi"),
    ("a serial killer and the detective who hunts him", "", "serial killer"),
    ("gangsters of the mafia", "", "mafia|gangster|mob"),
    ("a superhero saves the city", "", "superhero|comic"),
    ("dinosaurs on an island", "", "dinosaur"),
    ("a giant shark attacks swimmers", "", "shark"),
    ("robots become self-aware", "", "robot|artificial intelligence|android|cyborg"),
    ("aliens invade the earth", "", "alien|invasion|extraterrestrial"),
    ("a wizard learns magic", "", "magic|wizard|witch"),
    ("pirates search for treasure", "", "pirate|treasure"),
    ("a boxer fights for the title", "", "box"),
    ("a football team and its coach", "", "football|coach|sport"),
    ("a baseball season", "", "baseball"),
    ("high school students and the prom", "", "high school|prom|teen"),
    ("a wedding that brings a family together", "Comedy|Romance|Drama", "wedding|marriage|bride"),
    ("a romance in Paris", "Romance|Comedy|Drama", "paris|france|love"),
    ("a musician and his band", "", "music|band|singer|rock"),
    ("dancers compete", "", "danc"),
    ("a chess or poker player gambles", "", "gambl|poker|casino|chess"),
    ("prisoners plan an escape", "", "prison|escape|jail"),
    ("a spy with secret gadgets", "", "spy|secret agent|espionage|james bond|cia"),
    ("terrorists take hostages", "", "terroris|hostage"),
    ("a cowboy in the old West", "Western", ""),
    ("samurai and swords in Japan", "", "samurai|sword|japan"),
    ("kung fu and martial arts masters", "", "martial art|kung fu"),
    ("an animated film about animals that talk", "Animation|Children", "animal|talking|anthropomorph"),
    ("toys that come to life", "", "toy"),
    ("a dog and its owner", "", "dog|puppy"),
    ("Christmas with the family", "", "christmas|santa|holiday"),
    ("a journalist uncovers a scandal", "", "journalis|newspaper|reporter|scandal"),
    ("the president of the United States", "", "president|white house|politic"),
    ("a deadly virus spreads", "", "virus|epidemic|disease|outbreak|plague"),
    ("survivors after the apocalypse", "", "apocalyp|dystopia|survival"),
    ("a submarine crew", "", "submarine|navy"),
    ("an aeroplane is hijacked or crashes", "", "airplane|plane|hijack|flight|pilot"),
    ("street racing with fast cars", "", "car|racing|race"),
    ("a road trip with friends", "", "road trip|road movie|road"),
    ("a drug dealer and addiction", "", "drug"),
    ("a writer loses touch with reality", "", "writer|author|novelist"),
    ("a teacher inspires her pupils", "", "teacher|school|professor"),
    ("a king and queen of England", "", "king|queen|royal|england|monarch"),
    ("a mountain climber in the snow", "", "mountain|climb|snow"),
]
"""Query, genres of which a film needs one (empty: any), keywords of which it needs one as part of a keyword or tag."""


def tables() -> list[pd.DataFrame]:
    """The tables of films among the sources."""
    folders = [s / name for s in settings.sources() for name in FOLDERS if (s / name).is_dir()]
    return [
        read_table(f) for folder in folders for f in sorted(folder.iterdir()) if f.suffix in {".gz", ".zip", ".csv"}
    ]


def agreement(dataset: object, vectors: np.ndarray, ids: np.ndarray, n: int) -> dict[str, float]:
    """Share of films whose vector is within 1e-3 of the given one, over the plots that the tables have of each film.

    Args:
        dataset: ml-latest-small.
        vectors: unit vectors ``[N, 384]``.
        ids: film ids ``[N]``.
        n: number of films to encode.
    """
    raw = pd.read_csv(next(s for s in settings.sources()) / "ml-latest-small" / "movies.csv").set_index("movieId")
    plots: dict[str, set[str]] = {}
    for table in tables():
        key = next((c for c in ("id", "tmdbId", "tmdb_id") if c in table), None)
        if key is None or "overview" not in table:
            continue
        for number, text in zip(table[key], table["overview"], strict=True):
            if (own := digits(number)) is not None and isinstance(text, str):
                plots.setdefault(own, set()).add(text.strip())
    catalog = dataset.catalog.set_index("item")  # type: ignore[attr-defined]
    chosen = np.random.default_rng(0).choice(len(ids), min(n, len(ids)), replace=False)
    prompts, owner = [], []
    for at in chosen:
        film, title = catalog.loc[ids[at]], raw.loc[ids[at], "title"].rsplit(" (", 1)[0]
        year = "" if pd.isna(film["year"]) else f"\nYear: {film['year']}"
        genres = f"\nGenres: {', '.join(film['genres'])}" if len(film["genres"]) else ""
        for plot in sorted(plots.get(digits(film["tmdb_id"]) or "", set()) | {str(film["plot"])}):
            prompts.append(f"Movie: {title}{year}{genres}\nPlot: {plot}")
            owner.append(at)
    made = features.make_encoder("minilm").encode_text(prompts)
    off = pd.Series(np.abs(made - vectors[owner]).max(1)).groupby(np.array(owner)).min()
    return {"films": len(off), "within_1e-3": float((off < 1e-3).mean()), "median_difference": float(off.median())}


def search(dataset: object, vectors: np.ndarray, ids: np.ndarray) -> tuple[float, float, list[str]]:
    """Precision@5 of the queries, that of a random film, and the films found."""
    catalog = dataset.catalog.set_index("item")  # type: ignore[attr-defined]
    keywords: dict[str, str] = {}
    for table in tables():
        if "keywords" in table and "id" in table:
            for number, text in zip(table["id"], table["keywords"], strict=True):
                words = [w["name"] for w in json.loads(text)] if isinstance(text, str) and text.startswith("[") else []
                if words and (own := digits(number)):
                    keywords[own] = " | ".join(words)
    known = [at for at, i in enumerate(ids) if (digits(catalog.loc[i, "tmdb_id"]) or "") in keywords]
    films = catalog.loc[ids[known]]
    said = [
        f"{keywords[digits(t) or '']} | {' | '.join(tags)}".lower()
        for t, tags in zip(films["tmdb_id"], films["tags"], strict=True)
    ]
    queries = features.make_encoder("minilm").encode_text([text for text, _, _ in QUERIES])
    best = np.argsort(-(queries @ vectors[known].T), axis=1)[:, :5]
    hits, chance, lines = [], [], []
    for (text, genres, words), row in zip(QUERIES, best, strict=True):
        fits = np.array(
            [
                (not genres or bool(set(genres.split("|")) & set(own)))
                and (not words or any(w in s for w in words.split("|")))
                for own, s in zip(films["genres"], said, strict=True)
            ]
        )
        hits.append(float(fits[row].mean()))
        chance.append(float(fits.mean()))
        lines.append(f"{hits[-1]:.1f}  {text}: " + "; ".join(films["title"].iloc[r] for r in row))
    return float(np.mean(hits)), float(np.mean(chance)), lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--films", type=int, default=300)
    given = parser.parse_args()
    vectors_ = np.load(given.vectors / "ml-latest-small_text_minilm.npy").astype(np.float32)
    ids_ = np.load(given.vectors / "ml-latest-small_text_minilm_ids.npy")
    data = open_dataset("ml-latest-small")
    precision, random, found = search(data, vectors_, ids_)
    print("\n".join(found))
    print(f"precision@5 {precision:.3f} (a random film {random:.3f}), {len(QUERIES)} queries")
    print(agreement(data, vectors_, ids_, given.films))
