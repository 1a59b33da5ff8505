"""What the results of one evaluation setup say, in a sentence or two: which model is best, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmrec_core.analysis.comparison import Row
from mmrec_core.analysis.model_table import ALPHA, Estimate, ModelTable, model_table, table_of_groups
from mmrec_core.metrics import metric as metric_of
from mmrec_core.stats import p_value
from mmrec_core.types import Dataset

POWER = 0.8
"""Power at which the smallest detectable difference is stated."""
NAMED = 3
"""Models that a sentence names; of more it gives the number."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of the comparison on one metric."""

    metric: str
    best: str
    """Label of the model with the best value."""
    value: float
    tied: tuple[tuple[str, float], ...]
    """Models without a significant difference to the best, each with its Holm-adjusted p-value."""
    worse: tuple[str, ...]
    """Models that are significantly worse than the best."""
    untested: tuple[str, ...]
    """Models that no paired test compares with the best, because the metric has no value per user."""
    baseline: str | None
    better: tuple[str, ...]
    """Models that are significantly better than the baseline."""
    not_better: tuple[str, ...]
    """Models that are not."""
    users: int
    """Users in the paired tests; 0 without tests."""
    rival: str | None
    """The model with the next best value, which a paired test compares with the best; ``None`` without one."""
    detectable: float | None
    """Smallest true difference between the best and :attr:`rival` that their test would detect with a probability of
    80 %; ``None`` for RMSE and MAE, whose tests are on errors by user, and without tests."""

    def sentence(self) -> str:
        """The verdict in plain words."""
        name = self.metric.upper()
        word = "lowest" if metric_of(self.metric).lower_is_better else "highest"
        if self.tied:
            leaders = _listed([self.best, *(label for label, _ in self.tied)])
            p = p_value(min(p for _, p in self.tied))
            test = f"adjusted {p}" if len(self.tied) == 1 else f"smallest adjusted {p}"
            text = f"{leaders} are not significantly different in {name} ({test}); {self.best} has the {word} value,"
            text += f" {self.value:.3f}."
            if self.worse:
                text += " All other models of this table are significantly worse."
        elif self.worse:
            others = "every other model is" if len(self.worse) > 1 else f"{self.worse[0]} is"
            text = f"{self.best} is best in {name} ({self.value:.3f}); {others} significantly worse."
        elif self.untested:
            text = f"{self.best} has the {word} {name}, {self.value:.3f}. There is no test of the differences."
        else:
            text = f"{self.best} has {name} {self.value:.3f}; there is no other model to compare it with."
        if self.baseline is not None and (self.better or self.not_better):
            text += " " + self._against_baseline()
        if self.detectable is not None:
            text += (
                f" With {self.users:,} users, the smallest difference that the test of {self.best} and"
                f" {self.rival} would usually detect is {self.detectable:.{_digits(self.detectable)}f}."
            )
        return text

    def _against_baseline(self) -> str:
        if not self.not_better:
            return (
                f"{_listed(self.better)} {'beats' if len(self.better) == 1 else 'beat'} the baseline {self.baseline}."
            )
        if not self.better:
            return f"No model is significantly better than the baseline {self.baseline}."
        verb = "beats" if len(self.better) == 1 else "beat"
        do = "does" if len(self.not_better) == 1 else "do"
        return f"{_listed(self.better)} {verb} the baseline {self.baseline}; {_listed(self.not_better)} {do} not."


def verdict(dataset: Dataset, rows: Sequence[Row], metric: str, baseline: str | None = "popularity") -> Verdict | None:
    """Compare the models of one evaluation setup on one metric.

    Args:
        dataset: their dataset.
        rows: results of one evaluation setup; oracles are ignored, training runs that differ in their seed are
            averaged.
        metric: name of the metric.
        baseline: name of the baseline; it is left out where no result has it.

    Returns:
        The verdict; ``None`` if no model has the metric.
    """
    able = [r for r in rows if r.kind != "oracle" and r.result["metrics"].get(metric) is not None]
    if not able:
        return None
    known = [r for r in able if r.model == baseline]
    reference = next((r.trained for r in known if r.usual), known[0].trained if known else None)
    table = model_table(dataset, able, metrics=[metric], baseline=reference)
    estimates = [(g.label, e) for g in table.groups if (e := table.get(g, metric)) is not None]
    best = next((label for label, e in estimates if e.best), estimates[0][0])
    to_best = _differences_to(table, metric, best)
    near = {label: float(pair["p_holm"]) for label, pair in to_best.items()}
    rival = next((label for label, _ in _in_order(estimates, metric) if label in to_best), None)
    rivals = [(label, e) for label, e in estimates if label != table.baseline and e.against is not None]
    better = tuple(label for label, e in rivals if e.sign(metric_of(metric).lower_is_better) == "+")
    return Verdict(
        metric,
        best,
        dict(estimates)[best].value,
        tuple((label, near[label]) for label, e in estimates if e.tied),
        tuple(label for label, e in estimates if label != best and not e.tied and label in near),
        tuple(label for label, e in estimates if label != best and label not in near),
        table.baseline,
        better,
        tuple(label for label, _ in rivals if label not in better),
        max(table.tested_users(metric), default=0),
        rival,
        _detectable(to_best[rival], metric) if rival is not None else None,
    )


def _differences_to(table: ModelTable, metric: str, best: str) -> dict[str, Mapping[str, Any]]:
    """Paired tests of the other models against the best, p-values adjusted by Holm's method."""
    again = table_of_groups(table.dataset, table.groups, [metric], best)
    return {g.label: e.against for g in table.groups if (e := again.get(g, metric)) is not None and e.against}


def _in_order(estimates: Sequence[tuple[str, Estimate]], metric: str) -> list[tuple[str, Estimate]]:
    """The best value first."""
    return sorted(estimates, key=lambda pair: pair[1].value, reverse=not metric_of(metric).lower_is_better)


def _detectable(pair: Mapping[str, Any], metric: str) -> float | None:
    """The smallest true difference that a paired test with this interval detects with a probability of 80 %."""
    from scipy.stats import norm

    low, high = pair["interval"]
    if metric in {"rmse", "mae"} or high <= low:
        return None
    error = (high - low) / (2 * norm.ppf(1 - ALPHA / 2))
    return float(error * (norm.ppf(1 - ALPHA / 2) + norm.ppf(POWER)))


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``; of many the first ones and how many others."""
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} others"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _digits(value: float) -> int:
    """Decimals that show one significant digit, at least three."""
    from math import floor, log10

    return max(3, -floor(log10(value))) if value > 0 else 3
