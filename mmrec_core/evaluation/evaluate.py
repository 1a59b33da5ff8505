"""One pass, every metric, every group, every interval.

Protocols: ``full`` ranks every item of the catalog; ``sampled:N`` ranks each relevant item among N items that the user has no
event with, drawn uniformly (``sampled:N:popularity``: in proportion to training counts; ``shipped``: those that the makers of
the split drew). The draw depends on the split's seed alone, so every model meets the same candidates. Sampled protocols also
give AP and AUC over all pairs at once. Regimes: ``frozen`` ranks with what is known before the test rows, ``stream`` ranks
each test event with all events before it known.

What models know of the validation rows in the regime ``frozen`` is one rule for all of them (``known``): nothing, or all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mmrec_core import metrics as metric_room
from mmrec_core.data.splits import known_rows, with_validation
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.list_inputs import LENGTH, lists_of
from mmrec_core.evaluation.protocols import FUTURE_MEMORY, Protocol, has_event_memory
from mmrec_core.evaluation.ranker import Ranker, revealed
from mmrec_core.evaluation.subgroups import click_groups, item_groups, row_groups, user_groups
from mmrec_core.evaluation.tie_ranks import only_relevant
from mmrec_core.metrics import Metric
from mmrec_core.stats import clustered_interval, error_intervals, mean_interval, mean_intervals, row_intervals, wilson
from mmrec_core.types import (
    Array,
    ClickRows,
    Dataset,
    Interactions,
    Progress,
    Ranking,
    RatingRows,
    Scorer,
    Split,
    blocks,
    quiet,
)


@dataclass
class EvaluationResult:
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
    optimistic: dict[str, float | None] = field(default_factory=dict)
    """Ranking metrics if the liked film came first wherever scores tie: not the figure, but what systems that break ties so would print."""
    first: Array = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """What each of ``queries`` is shown first, item rows ``[Q, K]``, −1 where nothing is left (protocol ``full``, regime ``frozen``)."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Relevant test rows that were not asked about, by reason."""
    seconds: float = 0.0


Known = Literal["training", "training + validation"]


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
    among: Array | None = None,
    known: Known = "training",
    groups: bool = True,
    intervals: bool = True,
    progress: Progress = quiet,
) -> EvaluationResult:
    """Evaluate a scorer on one part of a split.

    Args:
        scorer: a model or oracle.
        part: ``test`` or ``validation``; what came before it is hidden from every ranking where the protocol hides what was seen.
        protocol: see the module's text.
        regime: ``frozen`` or ``stream`` (rankings only).
        relevant_from: ratings from here on count as liked; ignored where there are no ratings.
        reveal: for ``cold-user`` splits, how many first ratings of each user are known; ``None``: all before the targets.
        only: metric names; ``None``: all that apply.
        among: item rows that liked ones are ranked among (protocol ``full``, regime ``frozen``); ``None``: every item.
        known: which rows models know in the regime ``frozen``. With ``training + validation`` those that take in events
            (``streams``) observe the validation rows first; others must have been fitted on them (``--refit``).
        groups: whether to split results by history length, taste, popularity, genre, decade and missing modality, and to
            look at what the lists themselves are like.
        intervals: whether to bootstrap 95 % intervals over users.

    Raises:
        MMRecError: unknown names, or the scorer gives NaN.
    """
    started = time.perf_counter()
    if regime == "stream" and has_event_memory(getattr(scorer, "needs", ())):
        when = np.asarray(dataset.interactions.need("time"))
        if len(split.train) and len(split.test) and when[split.train].max() > when[split.test].min():
            raise MMRecError(f"'{getattr(scorer, 'name', 'The model')}' {FUTURE_MEMORY}")
    if (
        regime == "stream" and part == "test" and known == "training"
    ):  # what was cut off for validation is observed in its turn
        split = with_validation(split, dataset=dataset)
    if regime not in {"frozen", "stream"}:
        raise MMRecError(f"Unknown regime '{regime}'. Known: frozen, stream.")
    model: Any = scorer
    kept = model.snapshot() if getattr(scorer, "streams", False) else None
    try:
        if kept is not None and part == "test" and regime == "frozen" and known != "training" and len(split.validation):
            model.observe(dataset.interactions.take(_in_time(dataset, split.validation)))
        found = _judge(
            scorer,
            dataset,
            split,
            part,
            protocol,
            regime,
            relevant_from,
            reveal,
            only,
            among,
            known,
            groups,
            intervals,
            progress,
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
    among: Array | None,
    known: Known,
    groups: bool,
    intervals: bool,
    progress: Progress,
) -> EvaluationResult:
    """All of :func:`evaluate` but what streaming models may observe beforehand."""
    if part != "test":  # validation users are known; nothing of theirs is revealed
        split = replace(split, revealed=np.zeros(0, np.int64))
    heads = scorer.scorer_heads()
    for name in only or ():
        metric_room.metric(name)  # refuses what is unknown
    wanted = only
    found = EvaluationResult({}, {}, {}, np.zeros(0, np.int64))
    test = getattr(split, part)
    learned = known_rows(split, known, dataset) if part == "test" else split.train
    by_rows = dataset.interactions.item is None  # a table that memory may not hold is read in blocks
    rows = Interactions() if by_rows else dataset.interactions.take(test)
    schema_scale = dataset.scale
    for kind, at in [("rating", i) for i, h in enumerate(heads) if h.kind == "rating"][:1]:
        chosen = _of_kind(wanted, "ratings")
        if schema_scale is not None and rows.rating is not None and chosen and len(rows) and regime == "frozen":
            progress(0, 2, f"judging {kind}s")
            scores = _row_scores(scorer, dataset, split, rows, test, reveal)[:, at]
            _judge_ratings(
                found, rows, scores, chosen, groups and part == "test", dataset, split, test, intervals, learned
            )
    clicks = [(at, head) for at, head in enumerate(heads) if head.kind == "click"]
    if clicks:
        progress(0, 2, "judging clicks")
        _judge_clicks(found, scorer, dataset.interactions, test, clicks, _of_kind(wanted, "clicks"), groups, intervals)
    chosen = _of_kind(wanted, "ranking")
    if wanted is None and protocol.startswith("sampled"):  # as papers that sample report them
        chosen += [metric_room.metric(name) for name in ("ndcg@20", "recall@20")]
    ranks = any(h.kind in {"ranking", "rating"} for h in heads) and rows.item is not None and rows.user is not None
    if ranks and chosen:
        progress(1, 2, "ranking")
        bar = relevant_from if relevant_from is not None else dataset.manifest.get("relevant_from")
        judge = Ranker(scorer, dataset, split, part, Protocol.parse(protocol), bar, reveal, progress, regime)
        found.left_out = judge.left_out
        judge.known = np.concatenate([np.setdiff1d(learned, split.revealed), judge.revealed_rows()])
        _judge_rankings(found, judge, regime, among, chosen, groups and part == "test", intervals)
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
        state = model.fold_in(revealed(dataset, split, users, reveal))
        device = model.known_users.device
        batch = {k: v.to(device) for k, v in model.rows(rows).items()}
        batch |= {"user": torch.from_numpy(at).to(device), "state": state.tensors}
        with torch.no_grad():
            scores = model.predict(batch).cpu()
    if not bool(torch.isfinite(scores).all()):
        raise MMRecError("The model predicts NaN or infinity: its training diverged. Train it again with a smaller lr.")
    return scores


def _judge_ratings(
    found: EvaluationResult, rows: Interactions, scores: Tensor, chosen: list[Metric], groups: bool,
    dataset: Dataset, split: Split, test: Array, intervals: bool, learned: Array,
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
    found.row_errors = {"user": user, "row": test, "predicted": predicted, "squared_error": (truth - predicted) ** 2}
    if groups and rows.item is not None:
        for name, mask in row_groups(dataset, split, test, learned).items():
            if mask.any():
                values = {m.name: m.compute(RatingRows(truth[mask], predicted[mask], ones[mask])) for m in chosen}
                errors = np.abs(truth[mask] - predicted[mask])
                found.groups.setdefault(name, {}).update({"rows": int(mask.sum()), **values})
                found.groups[name].setdefault("intervals", {}).update(error_intervals(user[mask], errors))


ROWS = 1 << 16
"""Rows of a table judged at a time."""
CLICK_RESAMPLES = 100


def _judge_clicks(
    found: EvaluationResult, scorer: Scorer, events: Interactions, test: Array, clicks: list[tuple[int, Any]], chosen: list[Metric],
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
        low, high = wilson(share, n)
        found.append(
            {
                "predicted": float(chance[rows].mean()),
                "observed": share,
                "low": low,
                "high": high,
                "n": n,
            }
        )
    return found


# Rankings


def _judge_rankings(
    found: EvaluationResult,
    judge: Ranker,
    regime: str,
    among: Array | None,
    chosen: list[Metric],
    groups: bool,
    intervals: bool,
) -> None:
    if not len(judge.rows):
        for metric in chosen:
            found.metrics[metric.name], found.intervals[metric.name] = None, None
        return
    cut = None if any(m.whole for m in chosen) else max(m.k or 0 for m in chosen)
    members = None
    if among is not None:
        members = np.zeros(judge.n_items, bool)
        members[among] = True
    whole = groups and regime == "frozen" and members is None
    ranking = judge.stream() if regime == "stream" else judge.frozen(cut, members, keep=LENGTH if whole else 0)
    single = regime == "stream" or judge.protocol.shipped or judge.protocol.negatives is not None
    owner = judge.query if single else None
    if judge.raw_scores:
        truth, scores = judge.pairs()
        for metric in metric_room.usual("pooled"):
            found.metrics[metric.name] = metric.compute(ClickRows(truth, scores, np.ones(len(truth))))
            found.intervals[metric.name] = None
    found.queries = judge.users
    lucky = replace(ranking, tied=ranking.tied_relevant)
    for metric in chosen:
        values = _by_user(metric.compute(ranking), owner, len(judge.users))
        found.per_query[metric.name] = values
        found.metrics[metric.name] = _mean(values)
        found.optimistic[metric.name] = _mean(_by_user(metric.compute(lucky), owner, len(judge.users)))
    found.first = judge.first
    if len(judge.first):
        _look_at_lists(found, judge)
    if intervals:
        names = list(found.per_query)
        for name, interval in zip(names, mean_intervals(np.stack([found.per_query[n] for n in names], 1)), strict=True):
            found.intervals[name] = interval
    if groups:
        _ranking_groups(found, judge, ranking, chosen, owner)


def _look_at_lists(found: EvaluationResult, judge: Ranker) -> None:
    """What is shown, whoever likes it: how much of the catalog, how little known, how unlike each other, how like the user's taste."""
    lists = lists_of(judge.dataset, judge.split, judge.users, judge.first, judge.bar, judge.moment)
    for metric in metric_room.usual("lists"):
        value = metric.compute(lists)
        if np.ndim(value):
            found.per_query[metric.name], value = value, _mean(value)
        found.metrics[metric.name] = None if value is None else float(value)
        found.intervals.setdefault(metric.name, None)


def _by_user(values: Array, owner: Array | None, n: int) -> Array:
    """Per-event values averaged by user; per-user values as they are."""
    if owner is None:
        return values
    averaged: Array = np.bincount(owner, weights=values, minlength=n) / np.bincount(owner, minlength=n)
    return averaged


def _ranking_groups(
    found: EvaluationResult, judge: Ranker, ranking: Ranking, chosen: list[Metric], owner: Array | None
) -> None:
    """Users by how much was known of them; liked films by what they are (others stay candidates)."""
    for name, mask in user_groups(judge.dataset, judge.split, judge.users, judge.known, judge.bar).items():
        if mask.any():
            values = {m: v[mask] for m, v in found.per_query.items()}
            group = found.groups.setdefault(name, {})
            group.update({"users": int(mask.sum()), **{m: _mean(v) for m, v in values.items()}})
            group.setdefault("intervals", {}).update({m: mean_interval(v) for m, v in values.items()})
    if owner is not None:
        _event_groups(found, judge, ranking, chosen)
        return
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
        group.setdefault("intervals", {}).update({m: mean_interval(v) for m, v in by_user.items()})
    if len(judge.split.cold_items):
        members = np.zeros(judge.n_items, bool)
        members[judge.split.cold_items] = True
        among = judge.frozen(ranking.cut, members)
        own = {m.name: m.compute(among) for m in chosen}
        found.groups["cold films, ranked among themselves"] = {
            "films": len(judge.rows), **{m: _mean(v) for m, v in own.items()},
            "intervals": {m: mean_interval(v) for m, v in own.items()},
        }  # fmt: skip


def _event_groups(found: EvaluationResult, judge: Ranker, ranking: Ranking, chosen: list[Metric]) -> None:
    """Where every liked event has a ranking of its own: events by what was known at their moment and by what the film is."""
    values = {m.name: m.compute(ranking) for m in chosen}
    user = judge.user[judge.rows]
    for name, mask in row_groups(judge.dataset, judge.split, judge.rows, judge.known).items():
        if not mask.any():
            continue
        group = found.groups.setdefault(name, {})
        group.update({"films": int(mask.sum()), **{m: _mean(v[mask]) for m, v in values.items()}})
        of_events = {m: clustered_interval(user[mask], v[mask]) for m, v in values.items()}
        group.setdefault("intervals", {}).update(of_events)


def _mean(values: Array) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None
