"""Two results user by user: how far apart, how sure, for which groups, and for whom."""

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
"""Users that a group must have before a difference is told of it."""


@dataclass(frozen=True)
class Pair:
    """Per-user differences ``a − b`` of a metric over the users both judged."""

    users: Array
    """User rows ``[N]``."""
    a: Array
    b: Array
    summary: dict[str, Any]
    """Mean difference, 95 % interval, p, wins, ties, losses; see :func:`mmrec_core.stats.paired`."""
    groups: list[dict[str, Any]]
    """Of each group of users: name, n, difference, interval, p and, as many are asked, Holm's."""

    @property
    def difference(self) -> Array:
        """``a − b``, ``[N]``."""
        return np.asarray(self.a - self.b)

    def extremes(self, n: int = 10) -> tuple[Array, Array]:
        """Places of the users whom ``a`` serves most better, and most worse, than ``b``."""
        order = np.argsort(-self.difference, kind="stable")
        better, worse = order[:n], order[::-1][:n]
        return better[self.difference[better] > 0], worse[self.difference[worse] < 0]


def split_of(dataset: Dataset, row: Row) -> Split:
    """The division of rows that a result's model learned from and was evaluated on.

    Raises:
        MMRecError: the data divide otherwise now.
    """
    key, trained = row.key, row.result.get("trained_from")  # cold-user divides by what counted as relevant in training
    made = make_split(
        dataset, key.split, key.split_seed, key.filter_from, key.relevant_from if trained is None else trained
    )
    if made.checksum != key.split_checksum:
        raise MMRecError(f"'{dataset.name}' divides otherwise than when these runs learned from it; train them again.")
    return made


def pair(dataset: Dataset, a: Row, b: Row, metric: str = "ndcg@10", split: Split | None = None) -> Pair:
    """Compare two results that share a key.

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
        raise MMRecError(f"{a.label} and {b.label} were judged differently: {', '.join(a.key.differs(b.key))}.")
    own, theirs = comparison.values(a).get(metric), comparison.values(b).get(metric)
    if own is None or theirs is None:
        raise MMRecError(f"{(a if own is None else b).label} has no per-user values of {metric}; judge it again.")
    shared = np.array([u for u in sorted(set(own) & set(theirs)) if np.isfinite(own[u]) and np.isfinite(theirs[u])])
    mine, other = np.array([own[u] for u in shared]), np.array([theirs[u] for u in shared])
    told = paired(own, theirs)
    split = split or split_of(dataset, a)
    known = known_rows(split, a.key.known, dataset)
    groups = [
        {"group": name, **paired(_some(shared, mine, mask), _some(shared, other, mask))}
        for name, mask in user_groups(dataset, split, shared, known, a.key.relevant_from).items()
        if mask.sum() >= FEWEST
    ]
    for group, raised in zip(groups, holm([g["p"] for g in groups]), strict=True):
        group["p_holm"] = raised
    return Pair(shared, mine, other, told, groups)


def _some(users: Array, values: Array, mask: Array) -> dict[int, float]:
    return dict(zip(users[mask].tolist(), values[mask].tolist(), strict=True))


def metrics_of(rows: Sequence[Row]) -> list[str]:
    """Metrics of which every row has a value per user."""
    held = [set(comparison.values(row)) for row in rows]
    shared = set.intersection(*held) if held else set()
    order = ("ndcg@10", "recall@10", "mrr", "auc", "hr@10", "precision@10", "ap", "squared_error")
    return [m for m in order if m in shared] + sorted(shared - set(order))
