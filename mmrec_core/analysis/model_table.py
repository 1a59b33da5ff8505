"""A table with one row per model: means over training seeds, tests against a baseline and against the best model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import Key, ModelGroup, Row, group_by_seed
from mmrec_core.analysis.seed_variance import t_interval
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.metrics import metric as metric_of
from mmrec_core.stats import holm, paired
from mmrec_core.types import Dataset

ALPHA = 0.05
"""Differences with a smaller Holm-adjusted p-value are significant."""
DEFAULT_PARAMS = {"ranking": ("ndcg@10", "recall@10", "mrr"), "rating": ("rmse", "mae", "ndcg@10")}
"""Default metrics by the kind of the models."""
PER_USER = {"rmse": "squared_error", "mae": "absolute_error"}
"""Per-user values that stand for a metric over all rows in a paired test."""


@dataclass(frozen=True)
class Estimate:
    """A metric of one model, and its tests."""

    value: float
    """Mean over seeds."""
    seeds: int
    """Number of training runs."""
    interval: tuple[float, float] | None
    """95 % t interval over seeds; of one training run its bootstrap interval over users; ``None`` if there is none."""
    against: Mapping[str, Any] | None = None
    """Paired comparison with the baseline: :func:`mmrec_core.stats.paired` with ``p_holm``; ``None`` if untested."""
    best: bool = False
    """Whether it is the best value among the models (oracles do not count)."""
    tied: bool = False
    """Whether a test finds no significant difference to the best value."""

    @property
    def half_width(self) -> float | None:
        """Half the width of the t interval over seeds; ``None`` for one training run."""
        return (self.interval[1] - self.interval[0]) / 2 if self.interval and self.seeds > 1 else None

    def sign(self, lower_is_better: bool) -> str:
        """``+`` if significantly better than the baseline, ``−`` if significantly worse, else empty."""
        if self.against is None or self.against["p_holm"] >= ALPHA or not self.against["difference"]:
            return ""
        return "+" if (self.against["difference"] < 0) == lower_is_better else "−"


@dataclass(frozen=True)
class ModelTable:
    """The figures of several models under one evaluation setup."""

    dataset: Dataset
    key: Key
    metrics: tuple[str, ...]
    groups: tuple[ModelGroup, ...]
    baseline: str | None
    """Label of the baseline; ``None``: no tests against a baseline."""
    estimates: Mapping[tuple[str, str], Estimate] = field(repr=False)
    """``(label, metric)`` → estimate."""
    noun: str = "model"
    """What a row is, for captions: ``model`` or ``arm``."""

    @property
    def among_cold(self) -> bool:
        """Whether cold items are ranked among themselves (:mod:`mmrec_core.analysis.cold_items`)."""
        return any(row.result.get("among") == comparison.AMONG_COLD for g in self.groups for row in g.rows)

    def get(self, group: ModelGroup, metric: str) -> Estimate | None:
        """The estimate of a model and a metric; ``None`` if the model has no such metric."""
        return self.estimates.get((group.label, metric))

    def tested_users(self, metric: str) -> list[int]:
        """Smallest and largest number of users in the tests against the baseline; empty without tests."""
        users = [e.against["users"] for (_, m), e in self.estimates.items() if m == metric and e.against]
        return [min(users), max(users)] if users else []

    def tests(self, metric: str) -> int:
        """Number of models that are tested against the baseline."""
        return sum(e.against is not None for (_, m), e in self.estimates.items() if m == metric)


def usual_metrics(rows: Sequence[Row]) -> list[str]:
    """Default metrics: those of ranking models, or of rating models if all are; for click models by label."""
    kinds = {row.kind for row in rows if row.kind != "oracle"}
    wanted = DEFAULT_PARAMS["rating" if kinds == {"rating"} else "ranking"]
    return comparison.shown_metrics(rows, wanted) or comparison.shown_metrics(rows)


def known_metrics(rows: Sequence[Row]) -> list[str]:
    """Every metric that a result has, the usual ones first."""
    names = {m for row in rows for m, value in row.result["metrics"].items() if value is not None}
    first = [m for m in (*DEFAULT_PARAMS["ranking"], *DEFAULT_PARAMS["rating"]) if m in names]
    return list(dict.fromkeys([*first, *sorted(names)]))


def model_table(
    dataset: Dataset,
    rows: Sequence[Row],
    *,
    metrics: Sequence[str] | None = None,
    baseline: str | None = "popularity",
    models: Sequence[str] | None = None,
) -> ModelTable:
    """Compute the table of a paper.

    Training runs that differ in their seed alone are averaged. Tests are paired over users, whose values are averaged
    over the seeds of a model. p-values are adjusted for the number of models (Holm), for each metric on its own.

    Args:
        dataset: the dataset of all results.
        rows: results of one evaluation setup; oracles may be among them.
        metrics: names of metrics; ``None``: :func:`usual_metrics`.
        baseline: label or name of the model that the others are tested against; ``None``: no such tests.
        models: labels or names of models, in the order of the rows; ``None``: all, the best in the first metric first.

    Raises:
        MMRecError: no results, results of several setups, or an unknown model, baseline or metric.
    """
    groups = group_by_seed(rows)
    if not any(group.kind != "oracle" for group in groups):
        raise MMRecError(f"There is no finished training run on {dataset.name} to make a table of. Train a model.")
    names = list(metrics) if metrics else usual_metrics(rows)
    for name in names:
        if name not in known_metrics(rows):
            raise unknown_name("metric of these results", name, known_metrics(rows))
    against = _find(groups, baseline) if baseline is not None else []
    if len(against) > 1:
        listed = ", ".join(group.label for group in against)
        raise MMRecError(f"'{baseline}' names several models: {listed}. Name one of them as the baseline.")
    chosen = _chosen(groups, models)
    if against and against[0] not in chosen:
        chosen = [against[0], *chosen]
    table = table_of_groups(dataset, chosen, names, against[0].label if against else None)
    if models is not None:
        return table
    ordered = sorted(table.groups, key=lambda g: _place(table.get(g, names[0]), g, names[0]))
    return replace(table, groups=tuple(ordered))


def table_of_groups(
    dataset: Dataset, groups: Sequence[ModelGroup], metrics: Sequence[str], baseline: str | None, noun: str = "model"
) -> ModelTable:
    """The table of given groups, in their order.

    Args:
        dataset: the dataset of all results.
        groups: results of one evaluation setup, one row of the table each.
        metrics: names of metrics.
        baseline: label of the group that the others are tested against; ``None``: no such tests.
        noun: what a row is.

    Raises:
        MMRecError: results of several setups.
    """
    key = _one_setup(groups)
    estimates = {}
    for name in metrics:
        for label, estimate in _estimates(groups, name, baseline).items():
            estimates[label, name] = estimate
    return ModelTable(dataset, key, tuple(metrics), tuple(groups), baseline, estimates, noun)


def _one_setup(groups: Sequence[ModelGroup]) -> Key:
    """The setup of all groups.

    Raises:
        MMRecError: they differ in more than weights that were learned elsewhere.
    """
    key = next(g for g in groups if g.kind != "oracle").rows[0].key.fair
    for group in groups:
        own = group.rows[0].key
        if own.fair != key and not (group.kind == "oracle" and own.of_oracles == key.of_oracles):
            raise MMRecError(
                f"{groups[0].label} and {group.label} were evaluated differently: {', '.join(key.differs(own))}. "
                "Choose results of one evaluation setup."
            )
    return key


def _find(groups: Sequence[ModelGroup], name: str) -> list[ModelGroup]:
    """Groups of a label, of a training's id or of a model's name."""
    found = [g for g in groups if g.label == name] or [g for g in groups if name in {r.trained for r in g.rows}]
    found = found or [g for g in groups if g.rows[0].model == name]
    if not found:
        raise unknown_name("model of these results", name, [g.label for g in groups])
    return found


def _chosen(groups: Sequence[ModelGroup], models: Sequence[str] | None) -> list[ModelGroup]:
    if models is None:
        return list(groups)
    by_label = {g.label: g for name in models for g in _find(groups, name)}
    return list(by_label.values())


def _place(estimate: Estimate | None, group: ModelGroup, metric: str) -> tuple[bool, bool, float]:
    """Sort key: oracles last, models without the metric before them, else the best first."""
    value = estimate.value if estimate is not None else 0.0
    return group.kind == "oracle", estimate is None, value if metric_of(metric).lower_is_better else -value


def _estimates(groups: Sequence[ModelGroup], metric: str, baseline: str | None) -> dict[str, Estimate]:
    """The estimates of one metric by label, with tests against the baseline and against the best model."""
    values = {g.label: v for g in groups if (v := _by_seed(g, metric))}
    found = {}
    for group in groups:
        if (own := values.get(group.label)) is not None:
            single = group.rows[0].result["intervals"].get(metric)
            interval = t_interval(own) if len(own) > 1 else (single[0], single[1]) if single else None
            found[group.label] = Estimate(float(np.mean(own)), len(own), interval)
    by_user = {g.label: users for g in groups if g.label in found and (users := per_user(g, metric))}
    if baseline is not None:
        for label, pair in _tests(by_user, baseline).items():
            found[label] = replace(found[label], against=pair)
    able = [g.label for g in groups if g.kind != "oracle" and g.label in found]
    if len(able) < 2:
        return found
    best = (min if metric_of(metric).lower_is_better else max)(able, key=lambda label: found[label].value)
    near = _tests({label: users for label, users in by_user.items() if label in able}, best)
    for label in able:
        same = found[label].value == found[best].value
        tied = label in near and near[label]["p_holm"] >= ALPHA
        found[label] = replace(found[label], best=same, tied=tied and not same)
    return found


def _by_seed(group: ModelGroup, metric: str) -> list[float]:
    return [float(v) for row in group.rows if (v := row.result["metrics"].get(metric)) is not None]


def _tests(by_user: Mapping[str, Mapping[int, float]], reference: str) -> dict[str, dict[str, Any]]:
    """Paired comparisons of each model with one, Holm-adjusted over the models."""
    pairs: dict[str, dict[str, Any]] = {}
    for label, own in by_user.items():
        if label != reference and reference in by_user:
            try:
                pairs[label] = paired(own, by_user[reference])
            except MMRecError:  # fewer than two users in common
                continue
    for pair, adjusted in zip(pairs.values(), holm([pair["p"] for pair in pairs.values()]), strict=True):
        pair["p_holm"] = adjusted
    return pairs


def per_user(group: ModelGroup, metric: str) -> dict[int, float]:
    """Values of a metric by user row, averaged over the seeds of a model, of users that have one under every seed.

    RMSE and MAE are over rows; their values per user are the means of squared and of absolute errors.
    """
    per_seed = []
    for row in group.rows:
        if row.result["metrics"].get(metric) is None:
            continue
        own = comparison.absolute_errors(row) if metric == "mae" else None
        per_seed.append(comparison.values(row).get(PER_USER.get(metric, metric), {}) if own is None else own)
    return comparison.mean_by_user(per_seed)
