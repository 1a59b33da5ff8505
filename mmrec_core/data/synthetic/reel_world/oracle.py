"""Oracles of Reel World: best possible scores given the ground truth.

They give expected ratings, and the probability that a film is rated in the test period and liked.

An oracle knows the user, the genres and release dates, and a set of further truths about the films:

=========  ======================================================================
all        everything, and when each rating is given
ids        everything about users and films, but not the time (drift is averaged out)
text       what the plots show; quality, popularity, poster and hidden tastes are unknown
image      what the posters show, likewise
content    both (text + image)
=========  ======================================================================

What is unknown is Gaussian with the world's own prior and enters log-exposure ``L`` and stars ``R`` linearly. Picks
without replacement are first rings of exponential clocks with rate ``exp(ℓ)``: in a session a film still free is picked
with chance ``1 − exp(−θ·exp(ℓ))``, with θ such that the chances sum to the session's size (the clock's law of large
numbers; θ belongs to the session, so it is solved with the full truth and shared by all information sets). For each
film the unknown part of ``L`` is integrated by Gauss–Hermite quadrature, given that earlier sessions passed the film
over:

* chance of picked and liked = E over L of  survival(L) · pick(L) · P(stars ≥ threshold | L), normalised by survival;
* expected stars of a row    = E over L of  survival(L) · pick(L) · E[emitted | L],     normalised by survival · pick,
  where E[emitted | L] sums normal distribution functions over the rounding thresholds.

These are references in expectation: on a finite test set a model may come out above one within its paired interval.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy.special import ndtr

from mmrec_core.data.synthetic.reel_world import world as law
from mmrec_core.data.synthetic.reel_world.world import World
from mmrec_core.types import Array, Dataset, Head, Interactions, Query, Split

INFORMATION = ("all", "ids", "text", "image", "content")
KNOWN_PARTS = {"all": (0, 1, 2), "ids": (0, 1, 2), "text": (0,), "image": (1,), "content": (0, 1)}
SAME_SESSION_S = 43_200
THRESHOLDS = np.arange(0.75, 5.0, 0.5)
"""Raw stars at which the emitted half-star rating goes up."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(11)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def expected_stars(mean: Array, std: Array | float) -> Array:
    """E[emitted rating] of raw stars ~ N(mean, std²), rounded to half stars and clipped to 0.5 … 5."""
    return 0.5 + 0.5 * ndtr((mean[..., None] - THRESHOLDS) / np.asarray(std)[..., None]).sum(-1)


def clock(rate: Array, size: int) -> float:
    """θ with Σ 1 − exp(−θ·rate) = ``size`` (a little less than all where all are picked)."""
    wanted = min(size, 0.999 * np.count_nonzero(rate))
    low, high = 0.0, 1.0 / max(float(rate.max()), 1e-300)
    while (1 - np.exp(-high * rate)).sum() < wanted:
        low, high = high, high * 2
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (low, middle) if (1 - np.exp(-middle * rate)).sum() >= wanted else (middle, high)
    return high


class Session:
    """One session of a user: its start, its films, and its clock rate θ."""

    def __init__(self, begin: float, items: list[int]) -> None:
        self.begin, self.items, self.theta = begin, items, 0.0


@lru_cache(maxsize=2)
def sessions_of(folder: Path, modified_ns: int) -> dict[int, list[Session]]:
    """Every user's sessions in order, with clocks solved from the full truth."""
    world, dataset = World.load(folder / "world.npz"), Dataset(folder)
    events = dataset.interactions
    user, item, time = (np.asarray(events.need(role)) for role in ("user", "item", "time"))
    found: dict[int, list[Session]] = {}
    for row in np.lexsort((time, user)):
        own = found.setdefault(int(user[row]), [])
        if not own or time[row] - own[-1].begin > SAME_SESSION_S:
            own.append(Session(float(time[row]), []))
        own[-1].items.append(int(item[row]))
    for who, own in found.items():
        free = np.ones(len(world.quality), bool)
        fixed = world.popularity + law.GENRE_PULL * world.genre_liking(who)
        for session in own:
            age = world.age_years(session.begin)
            liking = np.einsum("pk,fpk->f", world.tastes(who, session.begin), world.film)
            rate = np.where(free & (age >= 0), np.exp(fixed + law.TASTE_PULL * liking - law.FADE * age), 0.0)
            session.theta = clock(rate, len(session.items))
            free[session.items] = False
    return found


class Oracle:
    """The best possible scorer given one information set."""

    def __init__(self, dataset: Dataset, split: Split, information: str) -> None:
        truth = dataset.folder / "world.npz"
        self.world = World.load(truth)
        self.sessions = sessions_of(dataset.folder, truth.stat().st_mtime_ns)
        self.parts = list(KNOWN_PARTS[information])
        self.unknown = [p for p in range(len(law.PARTS)) if p not in self.parts]
        self.knows_film = information in {"all", "ids"}
        self.knows_time = information != "ids"
        self.relevance_threshold = float(dataset.manifest.get("relevant_from") or 3.5)
        events = dataset.interactions
        user, time = np.asarray(events.need("user")), np.asarray(events.need("time"))
        before = np.concatenate([split.train, split.validation])
        self.test_from = np.full(len(dataset.users), np.inf)
        np.minimum.at(self.test_from, user[split.test], time[split.test].astype(float))
        self.before = (user[before], np.asarray(events.need("item"))[before])
        n = np.maximum(np.bincount(user, minlength=len(dataset.users)), 1)
        self.mean_time = np.bincount(user, weights=time, minlength=len(n)) / n
        spread = np.bincount(user, weights=(time - self.mean_time[user]) ** 2, minlength=len(n)) / n
        self.years_variance = spread / law.YEAR_S**2

    def scorer_heads(self) -> tuple[Head, ...]:
        """One rating."""
        return (Head("rating", "rating"),)

    def _known(self, user: int, at: float) -> tuple[Array, Array, Array, Array, Array]:
        """Known log-exposure and stars, and variances and covariance of the unknown part, of every film ``[F]``."""
        world = self.world
        taste = world.tastes(user, at if self.knows_time else self.mean_time[user])
        genre = world.genre_liking(user)
        liking = np.einsum("pk,fpk->f", taste[self.parts], world.film[:, self.parts])
        log_rate = law.GENRE_PULL * genre + law.TASTE_PULL * liking - law.FADE * world.age_years(at)
        stars = law.MEAN + world.kindness[user] + genre + liking
        v_stars = np.full(len(genre), float(np.square(taste[self.unknown]).sum()))
        if not self.knows_time:
            drift = np.einsum("pk,fpk->f", world.drift[user], world.film)
            v_stars = v_stars + drift**2 * self.years_variance[user]
        v_log, cov = law.TASTE_PULL**2 * v_stars, law.TASTE_PULL * v_stars
        if self.knows_film:
            log_rate, stars = log_rate + world.popularity, stars + world.quality
        else:
            v_log, v_stars = v_log + law.POPULARITY**2, v_stars + law.QUALITY**2
            cov = cov + law.POPULARITY * law.POPULARITY_OF_QUALITY * law.QUALITY
        return log_rate, stars, v_log, v_stars, cov

    def _session(self, user: int, session: Session) -> tuple[Array, Array, Array]:
        """Chance of being picked, mean and standard deviation of stars, by film and quadrature node ``[F, Q]``."""
        log_rate, stars, v_log, v_stars, cov = self._known(user, session.begin)
        offset = np.sqrt(v_log)[:, None] * _NODES
        out = self.world.release > session.begin
        rate = np.where(out[:, None], 0.0, np.exp(log_rate[:, None] + offset))
        picked = 1 - np.exp(-session.theta * rate)
        slope = np.divide(cov, v_log, out=np.zeros_like(cov), where=v_log > 0)
        mean = stars[:, None] + slope[:, None] * offset
        std = np.sqrt(law.NOISE**2 + np.maximum(v_stars - slope * cov, 0.0))
        return picked, mean, std

    def score_rows(self, rows: Interactions) -> torch.Tensor:
        """Expected emitted stars ``[N, 1]`` of events that happened."""
        user, item, time = (np.asarray(rows.need(role)) for role in ("user", "item", "time"))
        out = np.full(len(user), law.MEAN)
        order = np.argsort(user, kind="stable")
        users, starts = np.unique(user[order], return_index=True)
        for who, own in zip(users.tolist(), np.split(order, starts[1:]), strict=True):
            survival = np.ones((len(self.world.quality), len(_NODES)))
            for session in self.sessions.get(who, []):
                picked, mean, std = self._session(who, session)
                inside = own[(time[own] >= session.begin) & (time[own] <= session.begin + SAME_SESSION_S)]
                if len(inside):
                    film = item[inside]
                    weight = _WEIGHTS * survival[film] * np.maximum(picked[film], 1e-300)
                    value = expected_stars(mean[film], np.broadcast_to(std[film, None], mean[film].shape))
                    out[inside] = (weight * value).sum(1) / weight.sum(1)
                survival *= 1 - picked
        return torch.from_numpy(out[:, None]).float()

    def score_all(self, query: Query) -> torch.Tensor:
        """Chance ``[B, I]`` that each film is rated in the user's test period and liked."""
        return torch.from_numpy(np.stack([self._chances(int(u)) for u in query.user])).float()

    def _chances(self, user: int) -> Array:
        n_films = len(self.world.quality)
        free = np.ones(n_films, bool)
        free[self.before[1][self.before[0] == user]] = False
        survival = np.ones((n_films, len(_NODES)))
        liked, scale = np.zeros(n_films), np.ones(n_films)
        for session in self.sessions.get(user, []):
            picked, mean, std = self._session(user, session)
            if session.begin + SAME_SESSION_S >= self.test_from[user]:
                if not liked.any():
                    scale = np.maximum(survival @ _WEIGHTS, 1e-300)
                like = ndtr((mean - (self.relevance_threshold - 0.25)) / std[:, None])
                liked += (survival * picked * like) @ _WEIGHTS
            survival *= 1 - picked
        chances: Array = np.where(free, liked / scale, 0.0)
        return chances


def oracles(dataset: Dataset, split: Split) -> dict[str, Oracle]:
    """An oracle for each information set; none where the world was not kept."""
    if not (dataset.folder / "world.npz").exists():
        return {}
    return {f"oracle:{name}": Oracle(dataset, split, name) for name in INFORMATION}
