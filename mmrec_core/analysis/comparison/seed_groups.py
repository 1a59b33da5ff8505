"""Results that differ in their training seed alone, as one model; paired tests with Holm's correction over models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmrec_core.analysis.comparison.results import Key, Row, given_name, short_names, values
from mmrec_core.errors import MMRecError
from mmrec_core.stats import holm, paired


@dataclass(frozen=True)
class ModelGroup:
    """Results that differ in their training seed alone."""

    label: str
    rows: tuple[Row, ...]
    """Sorted by seed."""

    @property
    def kind(self) -> str:
        """``rating``, ``ranking``, ``click`` or ``oracle``."""
        return self.rows[0].kind

    @property
    def seeds(self) -> list[int]:
        """The training seeds."""
        return [row.result.get("seed") or 0 for row in self.rows]


def group_by_seed(rows: Sequence[Row]) -> list[ModelGroup]:
    """Group results of one evaluation setup that differ in their training seed alone, in the order of their first row.

    The label of several training runs is the model with those of its settings in which it differs from another group of
    the same model; a name that a user gave is kept only for a group of one training run.
    """
    found: dict[tuple[Key, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.key, _seedless(row).description), []).append(row)
    members = [tuple(sorted(own, key=lambda r: r.result.get("seed") or 0)) for own in found.values()]
    names = short_names([_seedless(own[0]) for own in members])
    labels: list[str] = []
    for own, name in zip(members, names, strict=True):
        label = (given_name(own[0]) if len(own) == 1 else "") or name
        labels.append(label if label not in labels else f"{_seedless(own[0]).description}{_beyond(own[0])}")
    return [ModelGroup(label, own) for label, own in zip(labels, members, strict=True)]


def _seedless(row: Row) -> Row:
    return replace(row, result={**row.result, "seed": 0}, name="")


def _beyond(row: Row) -> str:
    return f" [{row.key.beyond}]" if row.key.beyond else ""


def mean_by_user(per_seed: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Values by user row, averaged over seeds, of the users that have one under every seed."""
    if len(per_seed) == 1:
        return {u: float(per_seed[0][u]) for u in sorted(per_seed[0])}
    users = set.intersection(*(set(own) for own in per_seed)) if per_seed else set()
    return {u: float(np.mean([own[u] for own in per_seed])) for u in sorted(users)}


def paired_with(rows_: Sequence[Row], baseline: Row, metric: str = "ndcg@10") -> dict[str, dict[str, Any]]:
    """Paired per-user differences to a baseline.

    The family of tests is one per model: training runs that differ in their seed alone count once, with their values
    averaged over seeds. A run's p-value is adjusted among the models other than its own.

    Returns:
        Run id → :func:`mmrec_core.stats.paired` with ``p_holm``, the Holm-adjusted p-value, and ``tests``, the number
        of models in its family.
    """
    theirs = values(baseline).get(metric)
    if theirs is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    by_model: list[tuple[list[str], float]] = []
    for group in group_by_seed([row for row in rows_ if row is not baseline]):
        stored = {row.run.id: own for row in group.rows if (own := values(row).get(metric)) is not None}
        pairs = {run: pair for run, own in stored.items() if (pair := _paired(own, theirs)) is not None}
        if not pairs:
            continue
        found |= pairs
        mean = _paired(mean_by_user([stored[run] for run in pairs]), theirs) if len(pairs) > 1 else None
        if not _same_model(group.rows[0], baseline):
            by_model.append(([*pairs], (mean or next(iter(pairs.values())))["p"]))
    for run, pair in found.items():
        others = [p for runs, p in by_model if run not in runs]
        pair["p_holm"], pair["tests"] = holm([pair["p"], *others])[0], len(others) + 1
    return found


def _paired(own: Mapping[int, float], theirs: Mapping[int, float]) -> dict[str, Any] | None:
    """The paired comparison; ``None`` with fewer than two users in common."""
    try:
        return paired(own, theirs)
    except MMRecError:
        return None


def _same_model(row: Row, other: Row) -> bool:
    """Whether two results differ in their seed alone."""
    return row.key == other.key and _seedless(row).description == _seedless(other).description
