"""Results of ``cold-item`` splits with cold items ranked among themselves instead of among all items.

A model that has learned from ids gives an item without training rows a low score, so no cold item is among the first
ten of all items, and figures of the full ranking are near zero for every model. Evaluations of these splits also rank
each user's relevant items among the cold items alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmrec_core.analysis.comparison.results import AMONG_COLD, Row
from mmrec_core.evaluation.subgroups import COLD_GROUP

RATINGS = ("rmse", "mae")
"""Metrics of predicted ratings, which do not depend on the candidates."""


def among_cold_items(rows: Sequence[Row]) -> list[Row]:
    """The same results with the metrics of cold items ranked among themselves.

    Metrics of lists among all items, such as coverage, are left out. Unchanged if a result has no such figures: another
    split, or an evaluation without groups.
    """
    if not rows or not all(_has(row) for row in rows):
        return list(rows)
    found = []
    for row in rows:
        group, metrics = row.result["groups"][COLD_GROUP], row.result["metrics"]
        intervals = group.get("intervals") or {}
        names = [m for m in metrics if m in group]
        ratings = [m for m in RATINGS if metrics.get(m) is not None]
        own = {
            "metrics": {**{m: metrics[m] for m in ratings}, **{m: group[m] for m in names}},
            "intervals": {
                **{m: row.result["intervals"].get(m) for m in ratings},
                **{m: intervals.get(m) for m in names},
            },
            "among": AMONG_COLD,
        }
        found.append(replace(row, result={**row.result, **own}))
    return found


def _has(row: Row) -> bool:
    return COLD_GROUP in (row.result.get("groups") or {})
