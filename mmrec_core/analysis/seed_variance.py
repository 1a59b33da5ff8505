"""Variance over training seeds: mean, values and t-interval of results that differ in their seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmrec_core.analysis.comparison import Row


def over_seeds(rows: Sequence[Row], metric: str) -> list[dict[str, Any]]:
    """Group results that differ in their training seed alone.

    The interval shows how much training runs differ on the same test rows. (Intervals over users show the uncertainty
    of one training's metric.)

    Returns:
        For each group ``label``, ``seeds``, ``values``, ``mean``, and ``interval``: the 95 % t-interval of the mean
        over seeds (``None`` for one seed).
    """
    found: dict[tuple[Any, str], list[Row]] = {}
    for row in rows:
        plain = replace(row, result={**row.result, "seed": 0})
        if row.result["metrics"].get(metric) is not None:
            found.setdefault((row.key, plain.description), []).append(row)
    result = []
    for (_, label), own in found.items():
        own = sorted(own, key=lambda r: r.result.get("seed") or 0)
        values = np.array([r.result["metrics"][metric] for r in own])
        result.append(
            {
                "label": label,
                "seeds": [r.result.get("seed") or 0 for r in own],
                "values": values.tolist(),
                "mean": float(values.mean()),
                "interval": t_interval(values),
            }
        )
    return result


def t_interval(values: Any) -> tuple[float, float] | None:
    """95 % t-interval of a mean; ``None`` for fewer than two values."""
    from scipy.stats import t

    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return None
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return float(values.mean()) - half, float(values.mean()) + half
