"""The generative model of Reel World: films, user preferences, events and ratings.

A film has three four-dimensional tastes: what its plot shows (``text``), what its poster shows (``image``) and what
neither shows (``hidden``). A person's liking for each drifts linearly over the years. A rating is

    m(u, i, t) = MEAN + quality_i + kindness_u + genre(u, i) + Σ_part ⟨taste_u,part(t), z_i,part⟩,
    stars      = m + NOISE·ε, rounded to half stars, clipped to 0.5 … 5,

and a person picks the films of a session without replacement with probabilities ∝ exp(ℓ), where

    ℓ(u, i, t) = popularity_i + GENRE_PULL·genre(u, i) + TASTE_PULL·Σ_part ⟨taste_u,part(t), z_i,part⟩ − FADE·age_i(t).

Everything unknown is Gaussian and enters ℓ and m linearly; that is what makes the oracles exact (see ``oracle.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from mmrec_core.data.synthetic.reel_world.words import GENRES
from mmrec_core.types import Array, Progress, quiet

PARTS = ("text", "image", "hidden")
WIDTH = 4
MEAN, NOISE = 2.70, 0.70
QUALITY, KINDNESS, TASTE = 0.35, 0.35, 0.19
"""Standard deviations: of quality and kindness in stars; of one coordinate of a taste, in stars per unit of z."""
GENRE_LIKING, GENRE_PULL, TASTE_PULL, FADE = 0.45, 1.6, 1.3, 0.12
POPULARITY, POPULARITY_OF_QUALITY = 1.1, 0.55
"""Standard deviation of log-popularity, and its correlation with quality."""
DRIFT = 0.05
"""Standard deviation of a taste coordinate's change over a year."""
START, END = 1_546_300_800, 1_735_689_600
"""2019-01-01 to 2025-01-01, in seconds: six years of ratings."""
YEAR_S = 365.25 * 86_400


@dataclass(frozen=True)
class World:
    """The ground truth: ``F`` films, ``U`` users, parts in the order of :data:`PARTS`."""

    genres: Array
    """bool ``[F, 17]``."""
    year: Array
    """int ``[F]``."""
    release: Array
    """float ``[F]`` seconds since 1970."""
    film: Array
    """float ``[F, 3, 4]`` what a film offers to each taste."""
    quality: Array
    popularity: Array
    taste: Array
    """float ``[U, 3, 4]`` at the middle of the six years."""
    drift: Array
    """float ``[U, 3, 4]`` per year."""
    liking: Array
    """float ``[U, 17]`` stars per genre."""
    kindness: Array

    def save(self, path: Path) -> None:
        """Write as ``.npz`` without pickles."""
        np.savez(path, allow_pickle=False, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> World:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{f.name: file[f.name] for f in fields(cls)})

    def genre_liking(self, user: Array | int) -> Array:
        """Stars that the genres of every film earn with users: ``[..., F]``."""
        share = self.genres / self.genres.sum(1, keepdims=True)
        liked: Array = self.liking[user] @ share.T
        return liked

    def tastes(self, user: Array | int, at_s: Array | float) -> Array:
        """Tastes of users at times: ``[..., 3, 4]``."""
        years = (np.asarray(at_s, float) - (START + END) / 2) / YEAR_S
        tastes: Array = self.taste[user] + self.drift[user] * years[..., None, None]
        return tastes

    def age_years(self, at_s: Array | float) -> Array:
        """Years since release: ``[..., F]``; negative before it."""
        age: Array = (np.asarray(at_s, float)[..., None] - self.release) / YEAR_S
        return age


def make_world(seed: int, n_films: int, n_users: int) -> World:
    """Draw a world; the same arguments give the same world. The films do not depend on the number of users."""
    film_seed, user_seed = np.random.SeedSequence(seed).spawn(2)
    rng = np.random.Generator(np.random.PCG64(film_seed))
    year = 2025 - np.minimum(rng.exponential(16, n_films).astype(int), 65)
    first_day = np.array([np.datetime64(f"{y}-01-01", "s").astype(np.int64) for y in year], float)
    release = first_day + rng.uniform(0, 360, n_films) * 86_400
    genres = np.zeros((n_films, len(GENRES)), bool)
    share = rng.dirichlet(np.full(len(GENRES), 3.0))
    near = rng.dirichlet(np.full(len(GENRES), 0.6), len(GENRES))  # which genres go together
    for film in range(n_films):
        main = rng.choice(len(GENRES), p=share)
        others = rng.choice(len(GENRES), size=rng.choice(3, p=[0.35, 0.45, 0.2]), p=near[main])
        genres[film, [main, *others]] = True
    quality = QUALITY * rng.standard_normal(n_films)
    luck = rng.standard_normal(n_films)
    rho = POPULARITY_OF_QUALITY
    popularity = POPULARITY * (rho * quality / QUALITY + np.sqrt(1 - rho**2) * luck)
    film_taste = rng.standard_normal((n_films, len(PARTS), WIDTH))

    rng = np.random.Generator(np.random.PCG64(user_seed))
    shape = (n_users, len(PARTS), WIDTH)
    return World(
        genres=genres,
        year=year,
        release=release,
        film=film_taste,
        quality=quality,
        popularity=popularity,
        taste=TASTE * rng.standard_normal(shape),
        drift=DRIFT * rng.standard_normal(shape),
        liking=GENRE_LIKING * rng.standard_normal((n_users, len(GENRES))),
        kindness=KINDNESS * rng.standard_normal(n_users),
    )


@dataclass(frozen=True)
class Ratings:
    """Columns of the events, by user and then by time."""

    user: Array
    item: Array
    rating: Array
    time: Array


def live(world: World, seed: int, per_user: float, progress: Progress = quiet) -> Ratings:
    """Simulate six years of ratings: about ``per_user`` per user, at least 20.

    Args:
        world: the ground truth.
        seed: seed of the simulation.
        per_user: mean number of ratings per user.
        progress: progress callback.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed).spawn(3)[2]))
    n_users, n_films = len(world.kindness), len(world.quality)
    n_ratings = 20 + rng.lognormal(0, 0.85, n_users) * (per_user - 20) / np.exp(0.85**2 / 2)
    n_ratings = np.minimum(n_ratings, n_films * 0.35).astype(int)
    columns: list[tuple[Array, Array, Array, Array]] = []
    for user in range(n_users):
        if user % 500 == 0:
            progress(user, n_users, "living through six years of ratings")
        columns.extend(_simulate_user(world, user, int(n_ratings[user]), rng))
    users, items, stars, times = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Ratings(users.astype(np.int32), items.astype(np.int32), stars.astype(np.float32), times.astype(np.int64))


def _simulate_user(
    world: World, user: int, n: int, rng: np.random.Generator
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Simulate the sessions of one user, from joining to the end.

    Args:
        world: the ground truth.
        user: user row.
        n: number of ratings.
        rng: random generator.
    """
    joined = rng.uniform(START, END - 0.3 * YEAR_S)
    n_sessions = 1 + rng.poisson(4)
    begins = np.sort(np.concatenate([[joined], rng.uniform(joined, END - 86_400, n_sessions - 1)]))
    share = rng.dirichlet(np.full(n_sessions, 1.2))
    sizes = np.diff(np.concatenate([[0], np.round(np.cumsum(share) * n).astype(int)]))
    genre = world.genre_liking(user)
    fixed = world.popularity + GENRE_PULL * genre
    seen = np.zeros(len(world.quality), bool)
    for begin, size in zip(begins, sizes, strict=True):
        if size == 0:
            continue
        liking = np.einsum("pk,fpk->f", world.tastes(user, begin), world.film)
        age = world.age_years(begin)
        pull = fixed + TASTE_PULL * liking - FADE * age
        pull[seen | (age < 0)] = -np.inf
        key = pull + rng.gumbel(size=len(pull))  # the largest keys are a draw without replacement ∝ exp(pull)
        size = min(size, int(np.isfinite(key).sum()))
        picked = np.argpartition(-key, size - 1)[:size]
        picked = picked[np.argsort(-key[picked])]
        seen[picked] = True
        mean = MEAN + world.quality[picked] + world.kindness[user] + genre[picked] + liking[picked]
        stars = np.clip(np.round(2 * (mean + NOISE * rng.standard_normal(size))) / 2, 0.5, 5.0)
        at = begin + np.cumsum(rng.integers(8, 60, size))
        yield np.full(size, user), picked, stars, at.astype(np.int64)
