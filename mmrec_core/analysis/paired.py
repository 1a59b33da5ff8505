"""Paired comparison of two results: per-user differences, significance, and differences by group of users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import Row
from mmrec_core.data.splits import known_rows, make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.subgroups import user_groups
from mmrec_core.stats import holm, paired
from mmrec_core.types import Array, Dataset, Split

FEWEST = 5
"""Smallest group of users for which a difference is computed."""


@dataclass(frozen=True)
class Pair:
    """Per-user differences ``a − b`` of a metric, over the users of both results."""

    users: Array
    """User rows ``[N]``."""
    a: Array
    b: Array
    summary: dict[str, Any]
    """Mean difference, 95 % interval, p, wins, ties, losses; see :func:`mmrec_core.stats.paired`."""
    groups: list[dict[str, Any]]
    """For each group of users: name, n, difference, interval, p and Holm-adjusted p."""

    @property
    def difference(self) -> Array:
        """``a − b``, ``[N]``."""
        return np.asarray(self.a - self.b)

    def extremes(self, n: int = 10) -> tuple[Array, Array]:
        """Indices of the users with the largest gains and the largest losses of ``a`` against ``b``."""
        order = np.argsort(-self.difference, kind="stable")
        better, worse = order[:n], order[::-1][:n]
        return better[self.difference[better] > 0], worse[self.difference[worse] < 0]


def split_of(dataset: Dataset, row: Row) -> Split:
    """The split that a result's model was trained and evaluated on.

    Raises:
        MMRecError: the dataset is split differently now.
    """
    key, trained = row.key, row.result.get("trained_from")  # cold-user splits by the threshold of the training
    made = make_split(
        dataset, key.split, key.split_seed, key.filter_from, key.relevant_from if trained is None else trained
    )
    if made.checksum != key.split_checksum:
        raise MMRecError(
            f"'{dataset.name}' is split differently now than when these models were trained; train them again."
        )
    return made


def pair(dataset: Dataset, a: Row, b: Row, metric: str = "ndcg@10", split: Split | None = None) -> Pair:
    """Compare two results with the same key.

    Args:
        dataset: the dataset of both.
        a: the first result.
        b: the second result, which is subtracted.
        metric: a metric with per-user values.
        split: the split of both, if it is known already.

    Raises:
        MMRecError: keys differ, a result has no such per-user values, or fewer than two users are shared.
    """
    known_alike = "oracle" in {a.kind, b.kind} or a.key.known == b.key.known
    if (
        not known_alike
        or a.key.rows_key != b.key.rows_key
        or a.key.protocol != b.key.protocol
        or a.key.regime != b.key.regime
    ):
        raise MMRecError(f"{a.label} and {b.label} were evaluated differently: {', '.join(a.key.differs(b.key))}.")
    own, theirs = comparison.values(a).get(metric), comparison.values(b).get(metric)
    if own is None or theirs is None:
        raise MMRecError(f"{(a if own is None else b).label} has no per-user values of {metric}; evaluate it again.")
    shared = np.array([u for u in sorted(set(own) & set(theirs)) if np.isfinite(own[u]) and np.isfinite(theirs[u])])
    mine, other = np.array([own[u] for u in shared]), np.array([theirs[u] for u in shared])
    summary = paired(own, theirs)
    split = split or split_of(dataset, a)
    known = known_rows(split, a.key.known, dataset)
    groups = [
        {"group": name, **paired(_some(shared, mine, mask), _some(shared, other, mask))}
        for name, mask in user_groups(dataset, split, shared, known, a.key.relevant_from).items()
        if mask.sum() >= FEWEST
    ]
    for group, raised in zip(groups, holm([g["p"] for g in groups]), strict=True):
        group["p_holm"] = raised
    return Pair(shared, mine, other, summary, groups)


def _some(users: Array, values: Array, mask: Array) -> dict[int, float]:
    return dict(zip(users[mask].tolist(), values[mask].tolist(), strict=True))


def metrics_of(rows: Sequence[Row]) -> list[str]:
    """Metrics of which every row has per-user values."""
    names = [set(comparison.values(row)) for row in rows]
    shared = set.intersection(*names) if names else set()
    order = ("ndcg@10", "recall@10", "mrr", "auc", "hr@10", "precision@10", "ap", "squared_error")
    return [m for m in order if m in shared] + sorted(shared - set(order))
