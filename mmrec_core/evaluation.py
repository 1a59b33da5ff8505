"""One pass, every metric, every group, every interval. It owns the clock: no model decides what it may know when.

Protocols: ``full`` ranks every film of the catalog; ``sampled:N`` ranks each liked film against N films the user has no
event with, drawn uniformly (``shipped``: those that the makers of the split drew), and ``sampled:N:popularity`` in proportion to training counts; the draw depends on the split
seed alone, so that every model meets the same candidates. Regimes: ``frozen``, models know training (and, if they stream,
validation) only; ``stream``, every test event is asked for with all events before it known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrec_core import metrics as metric_room
from mmrec_core.errors import MMRecError
from mmrec_core.intervals import error_intervals, mean_interval, mean_intervals, row_intervals
from mmrec_core.metrics import Metric
from mmrec_core.types import (
    Array,
    ClickRows,
    Dataset,
    History,
    Interactions,
    Progress,
    Query,
    Ranking,
    RatingRows,
    Scorer,
    Split,
    blocks,
    quiet,
)

PRIOR_EDGES = (0, 1, 5, 20)
PRIOR_NAMES = ("0", "1–4", "5–19", "20+")
LOWEST = -3.0e38
"""Masked candidates score this; a model's own −inf is lifted to just above it."""


@dataclass
class Judgement:
    """What an evaluation found: averages, 95 % intervals, groups, and the per-user values behind them."""

    metrics: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    groups: dict[str, dict[str, Any]]
    queries: Array
    """User row of each query that could be judged."""
    per_query: dict[str, Array] = field(default_factory=dict)
    calibration: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Per label: rows in ten equal parts by predicted probability, with what was predicted and what came true."""
    row_errors: dict[str, Array] = field(default_factory=dict)
    """Per test row: ``user`` and ``squared_error``, for paired comparisons of RMSE."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Protocol:
    """Which candidates a liked film is ranked among."""

    negatives: int | None = None
    by_popularity: bool = False
    shipped: bool = False
    """The candidates that a split's makers drew."""

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """``full``, ``shipped``, ``sampled:100`` or ``sampled:100:popularity``.

        Raises:
            MMRecError: anything else.
        """
        parts = text.split(":")
        if parts == ["full"]:
            return cls()
        if parts == ["shipped"]:
            return cls(shipped=True)
        if parts[0] == "sampled" and len(parts) in (2, 3) and parts[1].isdigit() and int(parts[1]) > 0:
            if len(parts) == 2 or parts[2] in {"uniform", "popularity"}:
                return cls(int(parts[1]), parts[-1] == "popularity")
        raise MMRecError(
            f"Unknown protocol '{text}'. Known: full, shipped, sampled:N, sampled:N:popularity (N such as 100)."
        )


def evaluate(
    scorer: Scorer,
    dataset: Dataset,
    split: Split,
    *,
    part: str = "test",
    protocol: str = "full",
    regime: str = "frozen",
    relevant_from: float | None = None,
    reveal: int | None = None,
    only: Sequence[str] | None = None,
    groups: bool = True,
    intervals: bool = True,
    progress: Progress = quiet,
) -> Judgement:
    """Judge a scorer on one part of a split.

    Args:
        scorer: a model or oracle.
        part: ``test`` or ``validation``; what came before it is masked from every ranking, whatever its rating.
        protocol: see the module's text.
        regime: ``frozen`` or ``stream`` (rankings only, over every film).
        relevant_from: ratings from here on count as liked; ignored where there are no ratings.
        reveal: for ``cold-user`` splits, how many first ratings of each user are known; ``None``: all before the targets.
        only: metric names; ``None``: all that apply.
        groups: whether to split results by history length, popularity, genre, decade and missing modality.
        intervals: whether to bootstrap 95 % intervals over users.

    Raises:
        MMRecError: unknown names, or the scorer gives NaN.
    """
    started = time.perf_counter()
    if regime not in {"frozen", "stream"}:
        raise MMRecError(f"Unknown regime '{regime}'. Known: frozen, stream.")
    if regime == "stream" and protocol != "full":
        raise MMRecError(f"Regime 'stream' ranks every film; protocol '{protocol}' goes with 'frozen' only.")
    model: Any = scorer
    kept = model.snapshot() if getattr(scorer, "streams", False) else None
    try:
        if kept is not None and part == "test" and regime == "frozen" and len(split.validation):
            model.observe(dataset.interactions.take(_in_time(dataset, split.validation)))
        found = _judge(
            scorer, dataset, split, part, protocol, regime, relevant_from, reveal, only, groups, intervals, progress
        )
    finally:
        if kept is not None:
            model.restore(kept)
    found.seconds = time.perf_counter() - started
    return found


def _in_time(dataset: Dataset, rows: Array) -> Array:
    """Rows in time order, as they stand where there are no times."""
    time_s = dataset.interactions.time
    return rows if time_s is None else rows[np.argsort(np.asarray(time_s)[rows], kind="stable")]


def _judge(
    scorer: Scorer,
    dataset: Dataset,
    split: Split,
    part: str,
    protocol: str,
    regime: str,
    relevant_from: float | None,
    reveal: int | None,
    only: Sequence[str] | None,
    groups: bool,
    intervals: bool,
    progress: Progress,
) -> Judgement:
    """All of :func:`evaluate` but what streaming models may observe beforehand."""
    if part != "test":  # validation users are known; nothing of theirs is revealed
        split = replace(split, revealed=np.zeros(0, np.int64))
    heads = scorer.scorer_heads()
    for name in only or ():
        metric_room.metric(name)  # refuses what is unknown
    wanted = only
    found = Judgement({}, {}, {}, np.zeros(0, np.int64))
    test = getattr(split, part)
    by_rows = dataset.interactions.item is None  # a table that memory may not hold is read in blocks
    rows = Interactions() if by_rows else dataset.interactions.take(test)
    schema_scale = dataset.scale
    for kind, at in [("rating", i) for i, h in enumerate(heads) if h.kind == "rating"][:1]:
        chosen = _of_kind(wanted, "ratings")
        if schema_scale is not None and rows.rating is not None and chosen and len(rows) and regime == "frozen":
            progress(0, 2, f"judging {kind}s")
            scores = _row_scores(scorer, dataset, split, rows, test, reveal)[:, at]
            _judge_ratings(found, rows, scores, chosen, groups and part == "test", dataset, split, test, intervals)
    clicks = [(at, head) for at, head in enumerate(heads) if head.kind == "click"]
    if clicks:
        progress(0, 2, "judging clicks")
        _judge_clicks(found, scorer, dataset.interactions, test, clicks, _of_kind(wanted, "clicks"), groups, intervals)
    chosen = _of_kind(wanted, "ranking")
    ranks = any(h.kind in {"ranking", "rating"} for h in heads) and rows.item is not None and rows.user is not None
    if ranks and chosen:
        progress(1, 2, "ranking")
        bar = relevant_from if relevant_from is not None else dataset.manifest.get("relevant_from")
        judge = _Ranker(scorer, dataset, split, part, Protocol.parse(protocol), bar, reveal, progress)
        _judge_rankings(found, judge, regime, chosen, groups and part == "test", intervals)
    return found


def _of_kind(wanted: Sequence[str] | None, kind: str) -> list[Metric]:
    """The metrics of one kind; all usual ones, or those that were asked for."""
    if wanted is None:
        return metric_room.usual(kind)
    known = {name for of, name in metric_room.functions() if of == kind}
    return [metric_room.metric(name, kind) for name in wanted if name.partition("@")[0] in known]


# Ratings and clicks


def _row_scores(
    scorer: Scorer, dataset: Dataset, split: Split, rows: Interactions, test: Array, reveal: int | None
) -> Tensor:
    """Scores of test rows; users of a cold-user split are folded in from what is revealed of them."""
    if not len(split.revealed):
        scores = scorer.score_rows(rows)
    else:
        model: Any = scorer
        user = np.asarray(rows.need("user"))
        users, at = np.unique(user, return_inverse=True)
        state = model.fold_in(_revealed(dataset, split, users, reveal))
        device = model.known_users.device
        batch = {k: v.to(device) for k, v in model.rows(rows).items()}
        batch |= {"user": torch.from_numpy(at).to(device), "state": state.tensors}
        with torch.no_grad():
            scores = model.predict(batch).cpu()
    if not bool(torch.isfinite(scores).all()):
        raise MMRecError("The model predicts NaN or infinity: its training diverged. Train it again with a smaller lr.")
    return scores


def _revealed(dataset: Dataset, split: Split, users: Array, reveal: int | None) -> list[History]:
    """What each cold user has told so far: their first ``reveal`` ratings in time order."""
    events = dataset.interactions.take(split.revealed)
    own_user = np.asarray(events.need("user"))
    order = np.argsort(own_user, kind="stable")
    start, end = np.searchsorted(own_user[order], users), np.searchsorted(own_user[order], users, side="right")
    last = end if reveal is None else np.minimum(end, start + reveal)
    return [history_of(events, order[a:b]) for a, b in zip(start, last, strict=True)]


def history_of(events: Interactions, rows: Array) -> History:
    """Some rows of a table as one user's history."""
    pick: Callable[[Array | None], Array | None] = lambda column: None if column is None else np.asarray(column)[rows]
    items = np.asarray(events.need("item"))[rows].astype(np.int64)
    return History(items, pick(events.rating), pick(events.time))


def _judge_ratings(
    found: Judgement, rows: Interactions, scores: Tensor, chosen: list[Metric], groups: bool,
    dataset: Dataset, split: Split, test: Array, intervals: bool,
) -> None:  # fmt: skip
    truth, predicted = np.asarray(rows.need("rating"), np.float64), scores.numpy().astype(np.float64)
    user = np.asarray(rows.user) if rows.user is not None else np.arange(len(truth))
    ones = np.ones(len(truth))
    for metric in chosen:
        found.metrics[metric.name] = metric.compute(RatingRows(truth, predicted, ones))
    if intervals:
        for metric, interval in zip(
            chosen,
            row_intervals(user, lambda w: [m.compute(RatingRows(truth, predicted, w)) for m in chosen]),
            strict=True,
        ):
            found.intervals[metric.name] = interval
    found.row_errors = {"user": user, "row": test, "squared_error": (truth - predicted) ** 2}
    if groups and rows.item is not None:
        for name, mask in row_groups(dataset, split, test).items():
            if mask.any():
                values = {m.name: m.compute(RatingRows(truth[mask], predicted[mask], ones[mask])) for m in chosen}
                errors = np.abs(truth[mask] - predicted[mask])
                found.groups.setdefault(name, {}).update({"rows": int(mask.sum()), **values})
                found.groups[name].setdefault("intervals", {}).update(error_intervals(user[mask], errors))


ROWS = 1 << 16
"""Rows of a table judged at a time."""
CLICK_RESAMPLES = 100


def _judge_clicks(
    found: Judgement, scorer: Scorer, events: Interactions, test: Array, clicks: list[tuple[int, Any]], chosen: list[Metric],
    groups: bool, intervals: bool,
) -> None:  # fmt: skip
    """Every label's figures as ``auc:income`` …; the plain name is the first label's. Intervals resample rows, which stand for
    people here; groups are the values of columns that have few."""
    scores = np.concatenate([scorer.score_rows(events.take(test[part])).numpy() for part in blocks(len(test), ROWS)])
    if not np.isfinite(scores).all():
        raise MMRecError("The model predicts NaN or infinity: its training diverged. Train it again with a smaller lr.")
    members = click_groups(events, test) if groups else {}
    for place, (at, head) in enumerate(clicks):
        truth, odds = np.asarray(events.labels[head.name])[test].astype(np.float64), scores[:, at].astype(np.float64)
        ones = np.ones(len(truth))
        ranges: list[tuple[float, float] | None] = [None] * len(chosen)
        if intervals and chosen:
            told = lambda w, t=truth, s=odds: [m.compute(ClickRows(t, s, w)) for m in chosen]
            ranges = [*row_intervals(np.arange(len(truth)), told, CLICK_RESAMPLES)]
        for metric, interval in zip(chosen, ranges, strict=True):
            value = metric.compute(ClickRows(truth, odds, ones))
            for name in [f"{metric.name}:{head.name}"] + ([metric.name] if place == 0 else []):
                found.metrics[name], found.intervals[name] = value if np.isfinite(value) else None, interval
        found.calibration[head.name] = calibration(truth, odds)
        for group, mask in members.items():
            values = {
                f"{m.name}:{head.name}": m.compute(ClickRows(truth[mask], odds[mask], ones[mask])) for m in chosen
            }
            held = found.groups.setdefault(group, {"rows": int(mask.sum())})
            held.update({k: v if np.isfinite(v) else None for k, v in values.items()})


def calibration(truth: Array, log_odds: Array, parts: int = 10) -> list[dict[str, float]]:
    """Rows in parts of equal size by predicted probability: mean prediction, share that came true with its 95 % interval (Wilson), size."""
    chance = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
    found = []
    for rows in np.array_split(np.argsort(chance, kind="stable"), min(parts, len(chance))):
        n, share = len(rows), float(truth[rows].mean())
        middle, half = (
            (share + 1.92 / n) / (1 + 3.84 / n),
            1.96 * (share * (1 - share) / n + 0.96 / n**2) ** 0.5 / (1 + 3.84 / n),
        )
        found.append(
            {
                "predicted": float(chance[rows].mean()),
                "observed": share,
                "low": middle - half,
                "high": middle + half,
                "n": n,
            }
        )
    return found


def click_groups(events: Interactions, rows: Array, most: int = 12) -> dict[str, Array]:
    """Masks over rows: the values of every text column that has at most ``most`` of them."""
    found: dict[str, Array] = {}
    for name, column in events.features.items():
        if column.dtype.kind not in "US":
            continue
        values = np.asarray(column)[rows]
        there = np.unique(values)
        if 1 < len(there) <= most:
            found |= {f"{name} {value or 'missing'}": values == value for value in there.tolist()}
    return found


# Rankings


def rank_scores(
    scores: Tensor, hidden: tuple[Tensor, Tensor] | None, liked: tuple[Tensor, Tensor], cut: int | None
) -> tuple[Array, Array, Array, Array]:
    """Where liked items stand among candidates, exactly, ties counted.

    Args:
        scores: ``[B, I]``, changed in place.
        hidden: rows and columns of items that are no candidates.
        liked: rows (sorted) and columns of liked items ``[P]``.
        cut: only ranks up to here are wanted; ``None``: all.

    Returns:
        Indices into ``liked`` of the items reported, and for each how many score higher, how many score the same, and
        how many of those are liked.
    """
    if scores.dtype not in (torch.float32, torch.float64):
        scores = scores.float()
    lowest = LOWEST
    if hidden is not None:
        scores[hidden] = lowest
    row, column = liked
    n, width = scores.shape
    whole = torch.ones(n, dtype=torch.bool)
    reported: list[tuple[Array, Array, Array, Array]] = []
    if cut is not None and width > cut + 1:
        best, at = largest(scores, cut + 1)
        whole = (best[:, 1:] == best[:, :-1]).any(1)  # a tie within or across the cut: count it in full below
        key, entry = row * width + column, torch.arange(len(row))
        if bool((key[1:] < key[:-1]).any()):
            key, entry = torch.sort(key)
        asked = at[:, :cut] + torch.arange(0, n * width, width)[:, None]
        found = torch.searchsorted(key, asked).clamp_(max=max(len(key) - 1, 0))
        hit = (key[found] == asked) & ~whole[:, None] if len(key) else torch.zeros_like(asked, dtype=torch.bool)
        r, place = torch.nonzero(hit, as_tuple=True)
        which = entry[found[r, place]].numpy()
        ones = np.ones(len(which), np.int64)
        reported.append((which, place.numpy(), ones, ones))
    if bool(whole.any()):
        reported.append(_rank_whole(scores, row, column, whole))
    which, above, tied, tied_liked = (np.concatenate(parts) for parts in zip(*reported, strict=True))
    order = np.argsort(which, kind="stable")
    return which[order], above[order], tied[order], tied_liked[order]


CHUNK = 64


def largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest values of each row and their columns, ``[B, k]`` each, as ``torch.topk`` gives them; on wide rows in
    half its time, because only the ``k`` chunks of a row with the largest maxima need to be looked into."""
    n, width = scores.shape
    whole = width // CHUNK
    if whole < 4 * k or not scores.is_contiguous():
        return torch.topk(scores, k, dim=1)
    inside = scores[:, : whole * CHUNK].view(n, whole, CHUNK)
    chunk = inside.amax(2).topk(k, dim=1, sorted=False).indices
    first = chunk * CHUNK + torch.arange(0, n * width, width)[:, None]
    windows = scores.view(-1).unfold(0, CHUNK, 1)  # a view: the row of a chunk's first element is the chunk
    found = torch.cat([windows.index_select(0, first.view(-1)).view(n, -1), scores[:, whole * CHUNK :]], 1)
    best, at = found.topk(k, dim=1)
    column = chunk.gather(1, (at // CHUNK).clamp_(max=k - 1)) * CHUNK + at % CHUNK
    return best, torch.where(at < k * CHUNK, column, at + (whole - k) * CHUNK)


def _rank_whole(scores: Tensor, row: Tensor, column: Tensor, wanted: Tensor) -> tuple[Array, Array, Array, Array]:
    """Exact places in the chosen rows by sorting them."""
    which = torch.nonzero(wanted[row], as_tuple=True)[0]
    r, c = row[which], column[which]
    new = torch.cumsum(wanted.long(), 0) - 1
    table = scores[wanted]
    value = scores[r, c]
    start = torch.searchsorted(r, r)
    place = torch.arange(len(r)) - start
    width = int(place.max()) + 1 if len(r) else 0
    asked = torch.full((len(table), width), torch.inf, dtype=scores.dtype)
    asked[new[r], place] = value
    ordered = torch.sort(table, dim=1).values
    below = torch.searchsorted(ordered, asked)[new[r], place]
    upto = torch.searchsorted(ordered, asked, right=True)[new[r], place]
    own = torch.sort(asked, dim=1).values
    liked_below = torch.searchsorted(own, asked)[new[r], place]
    liked_upto = torch.searchsorted(own, asked, right=True)[new[r], place]
    above = scores.shape[1] - upto
    return which.numpy(), above.numpy(), (upto - below).numpy(), (liked_upto - liked_below).numpy()


class _Ranker:
    """Asks a scorer for rankings and turns them into :class:`Ranking`."""

    def __init__(
        self, scorer: Any, dataset: Dataset, split: Split, part: str, protocol: Protocol, bar: float | None,
        reveal: int | None, progress: Progress,
    ) -> None:  # fmt: skip
        self.scorer, self.dataset, self.split, self.part = scorer, dataset, split, part
        self.protocol, self.reveal, self.progress = protocol, reveal, progress
        self.n_items = len(dataset.items)
        events = dataset.interactions
        self.user, self.item = np.asarray(events.need("user")), np.asarray(events.need("item"))
        self.rating = None if events.rating is None else np.asarray(events.rating)
        before = [split.train] if part == "validation" else [split.train, split.validation]
        self.before = np.concatenate(before)
        rows = getattr(split, part)
        if self.rating is not None and bar is not None:
            rows = rows[self.rating[rows] >= bar]
        rows = rows[np.argsort(self.user[rows], kind="stable")]
        _, first = np.unique(self.user[rows].astype(np.int64) * self.n_items + self.item[rows], return_index=True)
        self.rows = rows[np.sort(first)]  # a film liked twice is one liked film
        self.users, self.query = np.unique(self.user[self.rows], return_inverse=True)

    def hidden_rows(self) -> Array:
        """Events whose films a user cannot be recommended again: everything before the judged part, whatever its rating."""
        revealed = self.split.revealed
        if len(revealed) and self.reveal is not None:
            order = revealed  # in time order by user
            user = self.user[order]
            place = np.arange(len(order)) - np.searchsorted(user, user)
            revealed = order[place < self.reveal]
        return np.concatenate([self.before, revealed])

    def states(self, users: Array) -> Any:
        """What to ask about: known users, or states folded in from what is revealed."""
        if len(self.split.revealed):
            return self.scorer.fold_in(_revealed(self.dataset, self.split, users, self.reveal))
        return Query(users)

    def frozen(self, cut: int | None, candidates: Array | None = None, size: int = 512) -> Ranking:
        """One ranking per user, all liked films of the part in it."""
        if self.protocol.shipped:
            return self._shipped(size)
        if self.protocol.negatives is not None:
            return self._sampled(size)
        hidden = self.hidden_rows()
        hidden = hidden[np.argsort(self.user[hidden], kind="stable")]
        hidden_user = self.user[hidden]
        n_hidden = np.zeros(len(self.users), np.int64)
        parts: list[tuple[Array, ...]] = []
        excluded = None if candidates is None else torch.from_numpy(~candidates)
        for done in blocks(len(self.users), size):
            self.progress(done.start, len(self.users), "ranking")
            users = self.users[done]
            scores = self._scores(self.states(users))
            a, b = np.searchsorted(hidden_user, [users[0], users[-1] + 1])
            own = np.searchsorted(users, hidden_user[a:b])
            mine = users[np.minimum(own, len(users) - 1)] == hidden_user[a:b]
            rows = own[mine]
            columns = self.item[hidden[a:b]][mine]
            if excluded is not None:
                scores[:, excluded] = LOWEST
            p, q = np.searchsorted(self.query, [done.start, done.stop])
            liked = (
                torch.from_numpy(self.query[p:q] - done.start),
                torch.from_numpy(self.item[self.rows[p:q]].astype(np.int64)),
            )
            if self.dataset.manifest["repeats"] == "allowed":  # a film liked again stays a candidate
                fresh = ~np.isin(rows * self.n_items + columns, (liked[0] * self.n_items + liked[1]).numpy())
                rows, columns = rows[fresh], columns[fresh]
            pairs = (
                np.unique(rows.astype(np.int64) * self.n_items + columns)
                if self.dataset.manifest["repeats"] == "allowed"
                else None
            )
            n_hidden[done] = np.bincount(rows if pairs is None else pairs // self.n_items, minlength=len(users))
            if excluded is not None and candidates is not None:
                n_hidden[done] = np.bincount(rows, weights=candidates[columns], minlength=len(users)).astype(np.int64)
            index = (torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(columns.astype(np.int64)))
            which, *places = rank_scores(scores, index, liked, cut)
            parts.append((which + p, *places))
        total = self.n_items if candidates is None else int(candidates.sum())
        return self._ranking(parts, self.query, total - n_hidden, cut)

    def _scores(self, asked: Any) -> Tensor:
        scores: Tensor = self.scorer.score_all(asked).detach().cpu()
        if bool(torch.isnan(scores).any()):
            raise MMRecError("The model scores films as NaN: its training diverged. Train it again with a smaller lr.")
        return scores.clamp_(min=LOWEST * 0.99) if scores.is_floating_point() else scores.float()

    def _ranking(self, parts: list[tuple[Array, ...]], query: Array, n_candidates: Array, cut: int | None) -> Ranking:
        empty = (np.zeros(0, np.int64),) * 4
        which, above, tied, tied_liked = (np.concatenate(p) for p in zip(*(parts or [empty]), strict=True))
        gain = np.ones(len(self.rows)) if self.rating is None else self.rating[self.rows].astype(np.float64)
        return Ranking(query, gain, which, above, tied, tied_liked, n_candidates, cut)

    def _sampled(self, size: int) -> Ranking:
        """Each liked film against its own negatives, films the user has no event with in any part."""
        n = self.protocol.negatives or 0
        rng = np.random.default_rng([self.split.seed, n, self.protocol.by_popularity])
        counts = np.bincount(self.item[self.split.train], minlength=self.n_items).astype(float)
        order = np.argsort(self.user, kind="stable")
        sorted_user = self.user[order]
        chance = counts / counts.sum() if self.protocol.by_popularity else None
        parts: list[tuple[Array, ...]] = []
        for done in blocks(len(self.users), size):
            users = self.users[done]
            scores = self._scores(self.states(users))
            for at, user in enumerate(users):
                a, b = np.searchsorted(sorted_user, [user, user + 1])
                free = np.ones(self.n_items, bool)
                free[self.item[order[a:b]]] = False
                pool = np.flatnonzero(free if chance is None else free & (chance > 0))
                if not len(pool):
                    raise MMRecError(
                        f"The sampled protocol finds no other film for user {self.dataset.users.raw[user]}, who has events with "
                        "all of them; use full."
                    )
                for p in range(*np.searchsorted(self.query, [done.start + at, done.start + at + 1])):
                    if chance is None:
                        drawn = pool[rng.integers(0, len(pool), n)]
                    else:
                        drawn = rng.choice(pool, n, p=chance[pool] / chance[pool].sum())
                    mine, theirs = scores[at, int(self.item[self.rows[p]])], scores[at, torch.from_numpy(drawn)]
                    parts.append(
                        tuple(
                            np.array([v]) for v in (p, int((theirs > mine).sum()), 1 + int((theirs == mine).sum()), 1)
                        )
                    )
        query = np.arange(len(self.rows))
        return self._ranking(parts, query, np.full(len(self.rows), n + 1), None)

    def _shipped(self, size: int) -> Ranking:
        """Each liked film against the films its split's makers drew for it.

        Raises:
            MMRecError: they drew none.
        """
        name = self.split.strategy.removeprefix("folds:")
        drawn = self.dataset.candidates(name) if self.part == "test" else None
        if drawn is None:
            raise MMRecError(
                f"Protocol 'shipped' needs candidates drawn by a split's makers; '{self.split.strategy}' brings none. Use full or sampled:N."
            )
        place = np.searchsorted(self.split.test, self.rows)
        parts: list[tuple[Array, ...]] = []
        for done in blocks(len(self.users), size):
            scores = self._scores(self.states(self.users[done]))
            p, q = np.searchsorted(self.query, [done.start, done.stop])
            row = torch.from_numpy(self.query[p:q] - done.start)
            mine = scores[row, torch.from_numpy(self.item[self.rows[p:q]].astype(np.int64))][:, None]
            theirs = scores[row[:, None], torch.from_numpy(np.asarray(drawn[place[p:q]]).astype(np.int64))]
            above, tied = (theirs > mine).sum(1).numpy(), 1 + (theirs == mine).sum(1).numpy()
            parts.append((np.arange(p, q), above, tied, np.ones(q - p, np.int64)))
        return self._ranking(parts, np.arange(len(self.rows)), np.full(len(self.rows), drawn.shape[1] + 1), None)

    def stream(self, size: int = 256) -> Ranking:
        """One ranking per liked test event, everything before it known: by observing, else by folding in anew."""
        time_s = np.asarray(self.dataset.interactions.need("time"))
        scored = self.rows[np.argsort(time_s[self.rows], kind="stable")]
        everything = np.argsort(time_s, kind="stable")
        by_user = everything[np.argsort(self.user[everything], kind="stable")]
        sorted_user = self.user[by_user]
        events = self.dataset.interactions
        streams = bool(getattr(self.scorer, "streams", False))
        later = np.setdiff1d(everything, self.split.train, assume_unique=True)
        later = later[np.argsort(time_s[later], kind="stable")]
        seen_until = 0
        parts: list[tuple[Array, ...]] = []
        n_candidates = np.zeros(len(scored), np.int64)
        for done in blocks(len(scored), size):
            self.progress(done.start, len(scored), "ranking the stream")
            asked = scored[done]
            if streams:  # within a block nothing later than its first event is observed
                upto = int(np.searchsorted(time_s[later], time_s[asked[0]]))
                self.scorer.observe(events.take(later[seen_until:upto]))
                seen_until = upto
            histories, hidden_row, hidden_column = [], [], []
            for at, row in enumerate(asked):
                a, b = np.searchsorted(sorted_user, [self.user[row], self.user[row] + 1])
                own = by_user[a:b]
                own = own[time_s[own] < time_s[row]]
                histories.append(history_of(events, own))
                hidden_row.append(np.full(len(own), at))
                hidden_column.append(self.item[own])
            known = Query(self.user[asked], time_s[asked])
            scores = self._scores(known if streams else self.scorer.fold_in(histories))
            r, c = np.concatenate(hidden_row), np.concatenate(hidden_column).astype(np.int64)
            wanted = torch.from_numpy(self.item[asked].astype(np.int64))
            again = c == self.item[asked][r]
            r, c = r[~again], c[~again]
            n_candidates[done] = self.n_items - np.bincount(r, minlength=len(asked))
            liked = (torch.arange(len(asked)), wanted)
            which, *places = rank_scores(scores, (torch.from_numpy(r), torch.from_numpy(c)), liked, None)
            parts.append((which + done.start, *places))
        self.rows = scored
        self.users, self.query = np.unique(self.user[scored], return_inverse=True)
        return self._ranking(parts, np.arange(len(scored)), n_candidates, None)


def _judge_rankings(
    found: Judgement, judge: _Ranker, regime: str, chosen: list[Metric], groups: bool, intervals: bool
) -> None:
    if not len(judge.rows):
        for metric in chosen:
            found.metrics[metric.name], found.intervals[metric.name] = None, None
        return
    cut = None if any(m.whole for m in chosen) else max(m.k or 0 for m in chosen)
    ranking = judge.stream() if regime == "stream" else judge.frozen(cut)
    single = regime == "stream" or judge.protocol.shipped or judge.protocol.negatives is not None
    owner = judge.query if single else None
    found.queries = judge.users
    for metric in chosen:
        values = _by_user(metric.compute(ranking), owner, len(judge.users))
        found.per_query[metric.name] = values
        found.metrics[metric.name] = float(np.nanmean(values)) if np.isfinite(values).any() else None
    if intervals:
        names = list(found.per_query)
        for name, interval in zip(names, mean_intervals(np.stack([found.per_query[n] for n in names], 1)), strict=True):
            found.intervals[name] = interval
    if groups:
        _ranking_groups(found, judge, ranking, chosen, owner)


def _by_user(values: Array, owner: Array | None, n: int) -> Array:
    """Per-event values averaged by user; per-user values as they are."""
    if owner is None:
        return values
    averaged: Array = np.bincount(owner, weights=values, minlength=n) / np.bincount(owner, minlength=n)
    return averaged


def _ranking_groups(
    found: Judgement, judge: _Ranker, ranking: Ranking, chosen: list[Metric], owner: Array | None
) -> None:
    """Users by how much was known of them; liked films by what they are (others stay candidates)."""
    counts = np.bincount(judge.user[judge.hidden_rows()], minlength=len(judge.dataset.users))[judge.users]
    bins = np.digitize(counts, PRIOR_EDGES) - 1
    for at, name in enumerate(PRIOR_NAMES):
        mask = bins == at
        if mask.any():
            values = {m.name: _mean(found.per_query[m.name][mask]) for m in chosen}
            group = found.groups.setdefault(f"user with {name} ratings", {})
            group.update({"users": int(mask.sum()), **values})
            of_users = {m.name: mean_interval(found.per_query[m.name][mask]) for m in chosen}
            group.setdefault("intervals", {}).update(of_users)
    of_items = item_groups(judge.dataset, judge.split)
    item = judge.item[judge.rows]
    for name, members in of_items.items():
        keep = members[item]
        if not keep.any():
            continue
        part = only_relevant(ranking, keep)
        with np.errstate(invalid="ignore", divide="ignore"):  # users who liked none of this group count nowhere
            by_user = {m.name: m.compute(part)[part.n_relevant > 0] for m in chosen}
        group = found.groups.setdefault(name, {})
        group.update({"films": int(keep.sum()), **{m: _mean(v) for m, v in by_user.items()}})
        group.setdefault("intervals", {}).update(
            {m: mean_interval(v) if owner is None else None for m, v in by_user.items()}
        )
    if len(judge.split.cold_items) and owner is None:
        members = np.zeros(judge.n_items, bool)
        members[judge.split.cold_items] = True
        among = judge.frozen(ranking.cut, members)
        found.groups["cold films, ranked among themselves"] = {
            "films": len(judge.rows), **{m.name: _mean(m.compute(among)) for m in chosen}
        }  # fmt: skip


def _mean(values: Array) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def only_relevant(ranking: Ranking, keep: Array) -> Ranking:
    """The same ranking with only some liked films counted as liked; the others stay candidates like any film."""
    inside = keep[ranking.entry]
    block = np.stack([ranking.query, ranking.above], 1)
    _, at = np.unique(block, axis=0, return_inverse=True)
    tied_kept = np.bincount(at.ravel(), weights=inside)[at.ravel()].astype(np.int64)
    return Ranking(
        relevant_query=ranking.relevant_query[keep],
        relevant_gain=ranking.relevant_gain[keep],
        entry=(np.cumsum(keep) - 1)[ranking.entry[inside]],
        above=ranking.above[inside],
        tied=ranking.tied[inside],
        tied_relevant=tied_kept[inside],
        n_candidates=ranking.n_candidates,
        cut=ranking.cut,
    )


def prior_counts(dataset: Dataset, rows: Array) -> tuple[Array, Array]:
    """How many events of the row's user, and of its item, lie strictly before its time: ``[N]`` each."""
    events = dataset.interactions
    user, item = np.asarray(events.need("user")), np.asarray(events.need("item"))
    time_s = np.asarray(events.need("time"))
    out = []
    for owner in (user, item):
        order = np.lexsort((time_s, owner))
        o, t = owner[order], time_s[order]
        start = np.searchsorted(o, o)
        new = np.concatenate([[True], (o[1:] != o[:-1]) | (t[1:] != t[:-1])])
        first = np.maximum.accumulate(np.where(new, np.arange(len(o)), 0))
        count = np.empty(len(o), np.int64)
        count[order] = first - start
        out.append(count[rows])
    return out[0], out[1]


def row_groups(dataset: Dataset, split: Split, rows: Array) -> dict[str, Array]:
    """Masks over test rows: by what was known of the user and the film at that moment, and by what the film is."""
    events = dataset.interactions
    user, item = np.asarray(events.need("user"))[rows], np.asarray(events.need("item"))[rows]
    found: dict[str, Array] = {}
    if events.time is not None:
        for kind, counts in zip(("user", "film"), prior_counts(dataset, rows), strict=True):
            bins = np.digitize(counts, PRIOR_EDGES) - 1
            found |= {f"{kind} with {name} ratings before": bins == at for at, name in enumerate(PRIOR_NAMES)}
    train = np.concatenate([split.train, split.validation])
    known_user = np.isin(user, np.unique(np.asarray(events.need("user"))[train]))
    known_item = np.isin(item, np.unique(np.asarray(events.need("item"))[train]))
    found["transductive (user and film known)"] = known_user & known_item
    found["inductive (user or film new)"] = ~(known_user & known_item)
    return found | {name: members[item] for name, members in item_groups(dataset, split).items()}


def item_groups(dataset: Dataset, split: Split) -> dict[str, Array]:
    """Masks over items: tail (films that make up the least-rated fifth of training ratings), genre, decade, what is missing."""
    catalog = dataset.catalog
    counts = np.bincount(np.asarray(dataset.interactions.need("item"))[split.train], minlength=len(dataset.items))
    order = np.argsort(counts, kind="stable")
    tail = np.zeros(len(counts), bool)
    tail[order[np.cumsum(counts[order]) <= 0.2 * counts.sum()]] = True
    found = {"tail films": tail, "head films": ~tail, "films without training ratings": counts == 0}
    found |= {
        "films without a poster": catalog["poster"].isna().to_numpy(),
        "films without a plot": catalog["plot"].isna().to_numpy(),
    }
    genres = [set(g) for g in catalog["genres"]]
    for genre in sorted(set().union(*genres)) if genres else []:
        found[f"genre {genre}"] = np.array([genre in own for own in genres])
    decade = catalog["year"].astype("float64").to_numpy(na_value=np.nan) // 10 * 10
    for start in np.unique(decade[np.isfinite(decade)]):
        found[f"decade {int(start)}s"] = decade == start
    return found
