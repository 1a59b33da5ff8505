"""Evaluate a scorer on a split: metrics, 95 % intervals and results by group.

Protocols: ``full`` ranks all items of the catalog. ``sampled:N`` ranks each relevant item among N sampled negatives,
which are items that the user has no event with, drawn uniformly (``sampled:N:popularity``: in proportion to training
counts). ``shipped`` uses the negatives that were published with the split. The draw depends only on the split's seed,
so all models are ranked on the same candidates. Sampled protocols also give AP and AUC over all pairs at once.

Regimes: ``frozen`` ranks with the events before the test rows only. ``stream`` ranks each test event with all earlier
events known.

In the regime ``frozen`` the argument ``known`` decides for all models alike whether they know the validation rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mmrec_core import metrics as metric_registry
from mmrec_core.data.splits import known_rows, with_validation
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.list_inputs import LENGTH, lists_of
from mmrec_core.evaluation.protocols import FUTURE_MEMORY, Protocol, has_event_memory
from mmrec_core.evaluation.ranker import Ranker, RankingOptions, revealed
from mmrec_core.evaluation.subgroups import COLD_GROUP, click_groups, item_groups, row_groups, user_groups
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
    """Result of an evaluation: means, 95 % intervals, groups, and the values per user."""

    metrics: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    groups: dict[str, dict[str, Any]]
    queries: Array
    """User row of each evaluated query."""
    per_query: dict[str, Array] = field(default_factory=dict)
    calibration: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Per label: ten bins of equal size by predicted probability, with mean prediction and observed rate."""
    row_errors: dict[str, Array] = field(default_factory=dict)
    """Per test row: ``user`` and ``squared_error``, for paired comparisons of RMSE."""
    optimistic: dict[str, float | None] = field(default_factory=dict)
    """Ranking metrics if every tie is broken in favour of the relevant item.

    For comparison with systems that break ties so.
    """
    first: Array = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """Top items of each of ``queries``: item rows ``[Q, K]``, −1 where none is left (protocol ``full``, regime
    ``frozen``)."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Number of relevant test rows that were not evaluated, by reason."""
    cold_items: dict[str, Array] = field(default_factory=dict)
    """On ``cold-item`` splits, ranking metrics by query if cold items are ranked among themselves."""
    seconds: float = 0.0


Known = Literal["training", "training + validation"]


@dataclass(frozen=True)
class _Options:
    """Options of one evaluation; :func:`evaluate` describes each."""

    part: str
    protocol: str
    regime: str
    relevant_from: float | None
    reveal: int | None
    only: Sequence[str] | None
    among: Array | None
    known: Known
    groups: bool
    intervals: bool
    progress: Progress

    @property
    def by_group(self) -> bool:
        """Whether results are given by group: only on the test part."""
        return self.groups and self.part == "test"


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
        dataset: the dataset that the split belongs to.
        split: training, validation and test rows.
        part: ``test`` or ``validation``. Items of earlier rows are no candidates if the protocol hides seen items.
        protocol: see the module's docstring.
        regime: ``frozen`` or ``stream`` (rankings only).
        relevant_from: lowest rating that counts as relevant; ignored if there are no ratings.
        reveal: for ``cold-user`` splits, how many first ratings of each user are known; ``None``: all before the
            targets.
        only: metric names; ``None``: all that apply.
        among: candidate item rows (protocol ``full``, regime ``frozen``); ``None``: all items.
        known: which rows models know in the regime ``frozen``. With ``training + validation``, models that are updated
            by events (``streams``) observe the validation rows first; other models must have been fitted on them
            (``--refit``).
        groups: whether to give results by history length, taste, popularity, genre, decade and missing modality, and
            metrics of the recommended lists.
        intervals: whether to bootstrap 95 % intervals over users.
        progress: called with the progress.

    Returns:
        The result, with its duration in seconds.

    Raises:
        MMRecError: unknown names, or the scorer gives NaN.
    """
    started = time.perf_counter()
    if regime == "stream" and has_event_memory(getattr(scorer, "needs", ())):
        when = np.asarray(dataset.interactions.need("time"))
        if len(split.train) and len(split.test) and when[split.train].max() > when[split.test].min():
            raise MMRecError(f"'{getattr(scorer, 'name', 'The model')}' {FUTURE_MEMORY}")
    if regime == "stream" and part == "test" and known == "training":
        split = with_validation(split, dataset=dataset)  # rows cut off for validation are observed in the stream
    if regime not in {"frozen", "stream"}:
        raise MMRecError(f"Unknown regime '{regime}'. Known: frozen, stream.")
    model: Any = scorer
    options = _Options(part, protocol, regime, relevant_from, reveal, only, among, known, groups, intervals, progress)
    kept = model.snapshot() if getattr(scorer, "streams", False) else None
    try:
        if kept is not None and part == "test" and regime == "frozen" and known != "training" and len(split.validation):
            model.observe(dataset.interactions.take(_in_time(dataset, split.validation)))
        result = _evaluate(scorer, dataset, split, options)
    finally:
        if kept is not None:
            model.restore(kept)
    result.seconds = time.perf_counter() - started
    return result


def _in_time(dataset: Dataset, rows: Array) -> Array:
    """Rows in time order; unchanged if there are no times."""
    time_s = dataset.interactions.time
    return rows if time_s is None else rows[np.argsort(np.asarray(time_s)[rows], kind="stable")]


def _evaluate(scorer: Scorer, dataset: Dataset, split: Split, options: _Options) -> EvaluationResult:
    """:func:`evaluate` without the validation rows that streaming models observe beforehand."""
    part, only, progress = options.part, options.only, options.progress
    if part != "test":  # validation users are known; nothing of theirs is revealed
        split = replace(split, revealed=np.zeros(0, np.int64))
    heads = scorer.scorer_heads()
    for name in only or ():
        metric_registry.metric(name)  # raises if unknown
    result = EvaluationResult({}, {}, {}, np.zeros(0, np.int64))
    test = getattr(split, part)
    learned = known_rows(split, options.known, dataset) if part == "test" else split.train
    by_rows = dataset.interactions.item is None  # a click table may not fit into memory; it is read in blocks
    rows = Interactions() if by_rows else dataset.interactions.take(test)
    rating_head = next((at for at, head in enumerate(heads) if head.kind == "rating"), None)
    if rating_head is not None:
        chosen = _of_kind(only, "ratings")
        has_ratings = dataset.scale is not None and rows.rating is not None and len(rows) > 0
        if has_ratings and chosen and options.regime == "frozen":
            progress(0, 2, "evaluating ratings")
            scores = _row_scores(scorer, dataset, split, rows, options.reveal)[:, rating_head]
            _evaluate_ratings(result, dataset, split, test, scores, chosen, learned, options)
    clicks = [(at, head) for at, head in enumerate(heads) if head.kind == "click"]
    if clicks:
        progress(0, 2, "evaluating clicks")
        _evaluate_clicks(result, scorer, dataset.interactions, test, clicks, _of_kind(only, "clicks"), options)
    chosen = _of_kind(only, "ranking")
    if only is None and options.protocol.startswith("sampled"):  # papers with sampled negatives report these
        chosen += [metric_registry.metric(name) for name in ("ndcg@20", "recall@20")]
    ranks = any(h.kind in {"ranking", "rating"} for h in heads) and rows.item is not None and rows.user is not None
    if ranks and chosen:
        progress(1, 2, "ranking")
        threshold = options.relevant_from
        ranking_options = RankingOptions(
            protocol=Protocol.parse(options.protocol),
            relevance_threshold=threshold if threshold is not None else dataset.manifest.get("relevant_from"),
            part=part,
            reveal=options.reveal,
            regime=options.regime,
            progress=progress,
        )
        ranker = Ranker(scorer, dataset, split, ranking_options)
        result.left_out = ranker.left_out
        ranker.known = np.concatenate([np.setdiff1d(learned, split.revealed), ranker.revealed_rows()])
        _evaluate_rankings(result, ranker, chosen, options)
    return result


def _of_kind(only: Sequence[str] | None, kind: str) -> list[Metric]:
    """The metrics of one kind: those in ``only``, or the default ones."""
    if only is None:
        return metric_registry.usual(kind)
    known = {name for of, name in metric_registry.functions() if of == kind}
    return [metric_registry.metric(name, kind) for name in only if name.partition("@")[0] in known]


# Ratings and clicks


def _row_scores(scorer: Scorer, dataset: Dataset, split: Split, rows: Interactions, reveal: int | None) -> Tensor:
    """Scores of test rows. Users of a cold-user split are folded in from their revealed ratings.

    Args:
        scorer: a model or oracle.
        dataset: the dataset.
        split: its split.
        rows: the test rows.
        reveal: how many ratings are revealed of each cold user; ``None``: all.

    Returns:
        Scores ``[N, heads]``.

    Raises:
        MMRecError: a score is NaN or infinite.
    """
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


def _evaluate_ratings(
    result: EvaluationResult,
    dataset: Dataset,
    split: Split,
    test: Array,
    scores: Tensor,
    chosen: list[Metric],
    learned: Array,
    options: _Options,
) -> None:
    """Fill in rating metrics, such as RMSE, in all and by group.

    Args:
        result: filled in.
        dataset: the dataset.
        split: its split.
        test: evaluated rows ``[N]``.
        scores: predicted ratings ``[N]``.
        chosen: the metrics.
        learned: rows that the model knows.
        options: options of the evaluation.
    """
    rows = dataset.interactions.take(test)
    truth, predicted = np.asarray(rows.need("rating"), np.float64), scores.numpy().astype(np.float64)
    user = np.asarray(rows.user) if rows.user is not None else np.arange(len(truth))
    ones = np.ones(len(truth))
    for metric in chosen:
        result.metrics[metric.name] = metric.compute(RatingRows(truth, predicted, ones))
    if options.intervals:
        for metric, interval in zip(
            chosen,
            row_intervals(user, lambda w: [m.compute(RatingRows(truth, predicted, w)) for m in chosen]),
            strict=True,
        ):
            result.intervals[metric.name] = interval
    result.row_errors = {"user": user, "row": test, "predicted": predicted, "squared_error": (truth - predicted) ** 2}
    if options.by_group and rows.item is not None:
        for name, mask in row_groups(dataset, split, test, learned).items():
            if mask.any():
                values = {m.name: m.compute(RatingRows(truth[mask], predicted[mask], ones[mask])) for m in chosen}
                errors = np.abs(truth[mask] - predicted[mask])
                result.groups.setdefault(name, {}).update({"rows": int(mask.sum()), **values})
                result.groups[name].setdefault("intervals", {}).update(error_intervals(user[mask], errors))


ROWS = 1 << 16
"""Rows of a click table that are scored at once."""
CLICK_RESAMPLES = 100
"""Bootstrap resamples for click metrics."""


def _evaluate_clicks(
    result: EvaluationResult,
    scorer: Scorer,
    events: Interactions,
    test: Array,
    clicks: list[tuple[int, Any]],
    chosen: list[Metric],
    options: _Options,
) -> None:
    """Fill in click metrics of every label, named as ``auc:income``; the plain name is that of the first label.

    Intervals resample rows, because each row stands for one person. Groups are the values of columns with few values.

    Args:
        result: filled in.
        scorer: a model or oracle.
        events: the table.
        test: evaluated rows ``[N]``.
        clicks: position and head of each click label.
        chosen: the metrics.
        options: options of the evaluation.

    Raises:
        MMRecError: a score is NaN or infinite.
    """
    scores = np.concatenate([scorer.score_rows(events.take(test[part])).numpy() for part in blocks(len(test), ROWS)])
    if not np.isfinite(scores).all():
        raise MMRecError("The model predicts NaN or infinity: its training diverged. Train it again with a smaller lr.")
    members = click_groups(events, test) if options.groups else {}
    for position, (at, head) in enumerate(clicks):
        truth, odds = np.asarray(events.labels[head.name])[test].astype(np.float64), scores[:, at].astype(np.float64)
        ones = np.ones(len(truth))
        ranges: list[tuple[float, float] | None] = [None] * len(chosen)
        if options.intervals and chosen:
            weighted = lambda w, t=truth, s=odds: [m.compute(ClickRows(t, s, w)) for m in chosen]
            ranges = [*row_intervals(np.arange(len(truth)), weighted, CLICK_RESAMPLES)]
        for metric, interval in zip(chosen, ranges, strict=True):
            value = metric.compute(ClickRows(truth, odds, ones))
            for name in [f"{metric.name}:{head.name}"] + ([metric.name] if position == 0 else []):
                result.metrics[name], result.intervals[name] = value if np.isfinite(value) else None, interval
        result.calibration[head.name] = calibration(truth, odds)
        for group, mask in members.items():
            values = {
                f"{m.name}:{head.name}": m.compute(ClickRows(truth[mask], odds[mask], ones[mask])) for m in chosen
            }
            entry = result.groups.setdefault(group, {"rows": int(mask.sum())})
            entry.update({k: v if np.isfinite(v) else None for k, v in values.items()})


def calibration(truth: Array, log_odds: Array, parts: int = 10) -> list[dict[str, float]]:
    """Calibration: rows in bins of equal size by predicted probability.

    Args:
        truth: 0 or 1 ``[N]``.
        log_odds: predicted log-odds ``[N]``.
        parts: number of bins.

    Returns:
        Per bin: mean prediction, observed rate with its 95 % Wilson interval, and number of rows.
    """
    probability = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
    bins = []
    for rows in np.array_split(np.argsort(probability, kind="stable"), min(parts, len(probability))):
        n, share = len(rows), float(truth[rows].mean())
        low, high = wilson(share, n)
        predicted = float(probability[rows].mean())
        bins.append({"predicted": predicted, "observed": share, "low": low, "high": high, "n": n})
    return bins


# Rankings


def _evaluate_rankings(result: EvaluationResult, ranker: Ranker, chosen: list[Metric], options: _Options) -> None:
    """Fill in ranking metrics, in all and by group.

    Args:
        result: filled in.
        ranker: gives the rankings.
        chosen: the metrics.
        options: options of the evaluation.
    """
    regime, among = options.regime, options.among
    if not len(ranker.rows):
        for metric in chosen:
            result.metrics[metric.name], result.intervals[metric.name] = None, None
        return
    cut = None if any(m.whole for m in chosen) else max(m.k or 0 for m in chosen)
    members = None
    if among is not None:
        members = np.zeros(ranker.n_items, bool)
        members[among] = True
    keep_lists = options.by_group and regime == "frozen" and members is None
    ranking = ranker.stream() if regime == "stream" else ranker.frozen(cut, members, keep=LENGTH if keep_lists else 0)
    single = regime == "stream" or ranker.protocol.shipped or ranker.protocol.negatives is not None
    owner = ranker.query if single else None
    if ranker.raw_scores:
        truth, scores = ranker.pairs()
        for metric in metric_registry.usual("pooled"):
            result.metrics[metric.name] = metric.compute(ClickRows(truth, scores, np.ones(len(truth))))
            result.intervals[metric.name] = None
    result.queries = ranker.users
    optimistic = replace(ranking, tied=ranking.tied_relevant)  # relevant items first among equal scores
    for metric in chosen:
        values = _by_user(metric.compute(ranking), owner, len(ranker.users))
        result.per_query[metric.name] = values
        result.metrics[metric.name] = _mean(values)
        result.optimistic[metric.name] = _mean(_by_user(metric.compute(optimistic), owner, len(ranker.users)))
    result.first = ranker.first
    if len(ranker.first):
        _evaluate_lists(result, ranker)
    if options.intervals:
        names = list(result.per_query)
        for name, interval in zip(
            names, mean_intervals(np.stack([result.per_query[n] for n in names], 1)), strict=True
        ):
            result.intervals[name] = interval
    if options.by_group:
        _ranking_groups(result, ranker, ranking, chosen, owner)


def _evaluate_lists(result: EvaluationResult, ranker: Ranker) -> None:
    """Fill in metrics of the lists themselves: catalog coverage, novelty, diversity, closeness to the user's taste."""
    lists = lists_of(
        ranker.dataset, ranker.split, ranker.users, ranker.first, ranker.relevance_threshold, ranker.moment
    )
    for metric in metric_registry.usual("lists"):
        value = metric.compute(lists)
        if np.ndim(value):
            result.per_query[metric.name], value = value, _mean(value)
        result.metrics[metric.name] = None if value is None else float(value)
        result.intervals.setdefault(metric.name, None)


def _by_user(values: Array, owner: Array | None, n: int) -> Array:
    """Means of per-event values by user; per-user values unchanged (``owner`` is ``None``)."""
    if owner is None:
        return values
    averaged: Array = np.bincount(owner, weights=values, minlength=n) / np.bincount(owner, minlength=n)
    return averaged


def _ranking_groups(
    result: EvaluationResult, ranker: Ranker, ranking: Ranking, chosen: list[Metric], owner: Array | None
) -> None:
    """Fill in ranking metrics by group of users and by group of relevant items (other items stay candidates).

    Args:
        result: filled in.
        ranker: gave the ranking.
        ranking: ranks of the relevant items.
        chosen: the metrics.
        owner: user of each ranking, where every relevant item has its own ranking; ``None``: one ranking a user.
    """
    threshold = ranker.relevance_threshold
    for name, mask in user_groups(ranker.dataset, ranker.split, ranker.users, ranker.known, threshold).items():
        if mask.any():
            values = {m: v[mask] for m, v in result.per_query.items()}
            group = result.groups.setdefault(name, {})
            group.update({"users": int(mask.sum()), **{m: _mean(v) for m, v in values.items()}})
            group.setdefault("intervals", {}).update({m: mean_interval(v) for m, v in values.items()})
    if owner is not None:
        _event_groups(result, ranker, ranking, chosen)
        return
    of_items = item_groups(ranker.dataset, ranker.split)
    item = ranker.item[ranker.rows]
    for name, members in of_items.items():
        keep = members[item]
        if not keep.any():
            continue
        part = only_relevant(ranking, keep)
        with np.errstate(invalid="ignore", divide="ignore"):  # users without relevant items in this group do not count
            by_user = {m.name: m.compute(part)[part.n_relevant > 0] for m in chosen}
        group = result.groups.setdefault(name, {})
        group.update({"films": int(keep.sum()), **{m: _mean(v) for m, v in by_user.items()}})
        group.setdefault("intervals", {}).update({m: mean_interval(v) for m, v in by_user.items()})
    if len(ranker.split.cold_items):
        members = np.zeros(ranker.n_items, bool)
        members[ranker.split.cold_items] = True
        among = ranker.frozen(ranking.cut, members)
        own = {m.name: m.compute(among) for m in chosen}
        result.cold_items = own
        result.groups[COLD_GROUP] = {
            "films": len(ranker.rows), **{m: _mean(v) for m, v in own.items()},
            "intervals": {m: mean_interval(v) for m, v in own.items()},
        }  # fmt: skip


def _event_groups(result: EvaluationResult, ranker: Ranker, ranking: Ranking, chosen: list[Metric]) -> None:
    """Fill in groups of events where every relevant event has its own ranking: by history at that time and by item.

    Args:
        result: filled in.
        ranker: gave the ranking.
        ranking: ranks of the relevant items.
        chosen: the metrics.
    """
    values = {m.name: m.compute(ranking) for m in chosen}
    user = ranker.user[ranker.rows]
    for name, mask in row_groups(ranker.dataset, ranker.split, ranker.rows, ranker.known).items():
        if not mask.any():
            continue
        group = result.groups.setdefault(name, {})
        group.update({"films": int(mask.sum()), **{m: _mean(v[mask]) for m, v in values.items()}})
        of_events = {m: clustered_interval(user[mask], v[mask]) for m, v in values.items()}
        group.setdefault("intervals", {}).update(of_events)


def _mean(values: Array) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None
