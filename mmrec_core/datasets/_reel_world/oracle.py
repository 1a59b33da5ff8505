"""What nobody can beat in Reel World: expected stars, and the chance that a film is rated in the test period and liked.

An oracle knows the user, the genres and release dates, and a set of further truths about the films:

=========  ======================================================================
all        everything, and when each rating is given
ids        everything about users and films, but not the time (drift is averaged out)
text       what the plots show; quality, popularity, poster and hidden tastes are unknown
image      what the posters show, likewise
content    both (text + image)
=========  ======================================================================

What is unknown is Gaussian with the world's own prior and enters log-exposure ``L`` and stars ``R`` linearly, so

* being rated tilts the prior: ``R | rated`` is Gaussian with its mean moved by ``cov(L, R)``; hence the expected
  emitted rating is a sum of normal distribution functions over the rounding thresholds;
* picks without replacement are first rings of exponential clocks with rate ``exp(ℓ)``; a film is picked in a session
  with chance ``1 − exp(−θ·exp(ℓ))`` with θ such that the chances sum to the session's size (the clock's law of large
  numbers). The chance of picked *and* liked integrates this over ``L`` by Gauss–Hermite quadrature.

These are references in expectation: on a finite test set a model may come out above one within its paired interval.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.special import ndtr

from mmrec_core.datasets._reel_world import world as law
from mmrec_core.datasets._reel_world.world import World
from mmrec_core.types import Array, Dataset, Head, Interactions, Query, Split, blocks

INFORMATION = ("all", "ids", "text", "image", "content")
KNOWN_PARTS = {"all": (0, 1, 2), "ids": (0, 1, 2), "text": (0,), "image": (1,), "content": (0, 1)}
THRESHOLDS = np.arange(0.75, 5.0, 0.5)
"""Raw stars at which the emitted half-star rating goes up."""


def expected_stars(mean: Array, std: Array | float) -> Array:
    """E[emitted rating] of raw stars ~ N(mean, std²), rounded to half stars and clipped to 0.5 … 5."""
    return 0.5 + 0.5 * ndtr((mean[..., None] - THRESHOLDS) / np.asarray(std)[..., None]).sum(-1)


class Oracle:
    """The best scorer under one information set."""

    def __init__(self, dataset: Dataset, split: Split, information: str) -> None:
        self.world = World.load(dataset.folder / "world.npz")
        self.parts = KNOWN_PARTS[information]
        self.unknown = tuple(p for p in range(len(law.PARTS)) if p not in self.parts)
        self.knows_film = information in {"all", "ids"}
        self.knows_time = information != "ids"
        self.bar = float(dataset.manifest.get("relevant_from") or 3.5)
        self._events, self._split = dataset.interactions, split

    def scorer_heads(self) -> tuple[Head, ...]:
        """One rating."""
        return (Head("rating", "rating"),)

    @cached_property
    def _mean_time(self) -> Array:
        """Each user's average time of rating, all that ``ids`` may know of time."""
        user, time = np.asarray(self._events.need("user")), np.asarray(self._events.need("time"))
        count = np.maximum(np.bincount(user, minlength=len(self.world.kindness)), 1)
        mean: Array = np.bincount(user, weights=time, minlength=len(count)) / count
        return mean

    def _when(self, user: Array, at: Array) -> Array:
        return at if self.knows_time else self._mean_time[user]

    def _unknowns(self, taste: Array) -> tuple[Array, Array, Array]:
        """Variance of log-exposure, variance of stars and their covariance, of what is unknown of a film: each ``[B]``."""
        strength = np.square(taste[:, list(self.unknown)]).sum((1, 2)) if self.unknown else np.zeros(len(taste))
        v_log, v_stars, cov = law.TASTE_PULL**2 * strength, strength.copy(), law.TASTE_PULL * strength
        if not self.knows_film:
            v_log += law.POPULARITY**2
            v_stars += law.QUALITY**2
            cov += law.POPULARITY * law.POPULARITY_OF_QUALITY * law.QUALITY
        return v_log, v_stars, cov

    def score_rows(self, rows: Interactions) -> torch.Tensor:
        """Expected emitted stars ``[N, 1]`` of events that happened."""
        world, user, item = self.world, np.asarray(rows.need("user")), np.asarray(rows.need("item"))
        out = np.empty(len(user))
        for part in blocks(len(user), 65_536):
            u, i = user[part], item[part]
            taste = world.tastes(u, self._when(u, np.asarray(rows.need("time"))[part]))
            share = world.genres[i] / world.genres[i].sum(1, keepdims=True)
            mean = law.MEAN + world.kindness[u] + (world.liking[u] * share).sum(1)
            mean = mean + (taste[:, list(self.parts)] * world.film[i][:, list(self.parts)]).sum((1, 2))
            _, v_stars, cov = self._unknowns(taste)
            mean = mean + (world.quality[i] if self.knows_film else 0.0) + cov
            out[part] = expected_stars(mean, np.sqrt(law.NOISE**2 + v_stars))
        return torch.from_numpy(out[:, None]).float()

    @cached_property
    def _sessions(self) -> dict[int, list[tuple[float, int]]]:
        """Each user's test period: when its sessions begin, and how many films are picked in each."""
        user, time = np.asarray(self._events.need("user")), np.asarray(self._events.need("time"))
        rows = self._split.test[np.lexsort((time[self._split.test], user[self._split.test]))]
        found: dict[int, list[tuple[float, int]]] = {}
        for u, t in zip(user[rows].tolist(), time[rows].tolist(), strict=True):
            sessions = found.setdefault(u, [])
            if sessions and t - sessions[-1][0] < 43_200:
                sessions[-1] = (sessions[-1][0], sessions[-1][1] + 1)
            else:
                sessions.append((float(t), 1))
        return found

    @cached_property
    def _seen(self) -> dict[int, Array]:
        """Films each user rated before the test period; they cannot be picked again."""
        user, item = np.asarray(self._events.need("user")), np.asarray(self._events.need("item"))
        before = np.concatenate([self._split.train, self._split.validation])
        order = before[np.argsort(user[before], kind="stable")]
        users, starts = np.unique(user[order], return_index=True)
        return dict(zip(users.tolist(), np.split(item[order], starts[1:]), strict=True))

    def score_all(self, query: Query) -> torch.Tensor:
        """Chance ``[B, I]`` that each film is rated in the user's test period and liked."""
        return torch.from_numpy(np.stack([self._chances(int(u)) for u in query.user])).float()

    def _chances(self, user: int) -> Array:
        world = self.world
        genre = world.genre_liking(user)
        free = np.ones(len(world.quality), bool)
        free[self._seen.get(user, np.zeros(0, np.int64))] = False
        liked = np.zeros(len(free))
        left = np.ones(len(free))  # chance of not being picked so far
        for at, size in self._sessions.get(user, [(float(law.END), 1)]):
            when = self._when(np.array([user]), np.array([at]))
            taste = world.tastes(np.array([user]), when)
            parts = list(self.parts)
            liking = np.einsum("pk,fpk->f", taste[0, parts], world.film[:, parts])
            age = world.age_years(at)
            mean = law.MEAN + world.kindness[user] + genre + liking + (world.quality if self.knows_film else 0.0)
            pull = law.GENRE_PULL * genre + law.TASTE_PULL * liking - law.FADE * age
            pull = pull + (world.popularity if self.knows_film else 0.0)
            rate = np.where(free & (age >= 0), np.exp(pull), 0.0)
            v_log, v_stars, cov = (float(v[0]) for v in self._unknowns(taste))
            picked, picked_and_liked = _picked(rate, size, mean, v_log, v_stars, cov, self.bar)
            liked += left * picked_and_liked
            left *= 1 - picked
        return liked


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def _picked(
    rate: Array, size: int, mean: Array, v_log: float, v_stars: float, cov: float, bar: float
) -> tuple[Array, Array]:
    """Chance of being picked, and of being picked and liked, for one session of ``size`` picks: each ``[F]``."""
    log_nodes = np.sqrt(v_log) * _NODES
    lift = np.exp(log_nodes)

    def picks(theta: float) -> Array:
        return 1 - np.exp(-theta * rate[:, None] * lift)

    low, high = 0.0, 1.0 / max(rate.max(), 1e-12)
    while (picks(high) @ _WEIGHTS).sum() < min(size, 0.999 * np.count_nonzero(rate)):
        high *= 2
    for _ in range(30):
        middle = (low + high) / 2
        enough = (picks(middle) @ _WEIGHTS).sum() >= size
        low, high = (low, middle) if enough else (middle, high)
    chance = picks(high)
    slope = cov / v_log if v_log > 0 else 0.0
    std = np.sqrt(law.NOISE**2 + max(v_stars - slope * cov, 0.0))
    like = ndtr((mean[:, None] + slope * log_nodes - (bar - 0.25)) / std)
    return chance @ _WEIGHTS, (chance * like) @ _WEIGHTS


def oracles(dataset: Dataset, split: Split) -> dict[str, Oracle]:
    """An oracle for each information set; none where the world was not kept."""
    if not Path(dataset.folder / "world.npz").exists():
        return {}
    return {f"oracle:{name}": Oracle(dataset, split, name) for name in INFORMATION}
