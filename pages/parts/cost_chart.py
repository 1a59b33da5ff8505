"""The chart of quality against cost, with names that never cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from mmrec_core import metrics
from mmrec_core.analysis.comparison import KINDS, Row, pareto
from pages.parts.charts import arrow, of_kind

COSTS = {
    "fit": ("Seconds of fitting", lambda r: (r.get("seconds") or {}).get("fit")),
    "parameters": ("Parameters", lambda r: r.get("parameters") or None),
    "bytes": ("Size of the model (MiB)", lambda r: r["bytes"] / 2**20 if r.get("bytes") else None),
    "host": ("Memory while training (MiB)", lambda r: (r.get("memory") or {}).get("host_mib")),
}
HEIGHT, LINE = 340, 15
"""Height of the plot, and of a name, in pixels."""
LEADER = 5
"""A name further than this from its dot, in pixels, is joined to it by a line."""
GREY = "#8C8C8C"


def cost(rows: Sequence[Row], metric: str, what: str) -> alt.LayerChart | None:
    """Quality against cost; the models that no other beats in both are joined by a line.

    Every name has a height of its own, so that names do not cover each other at any width of the chart. ``None`` where
    nothing is known.
    """
    name, of = COSTS[what]
    lower = metrics.metric(metric).better == "lower"
    points = [
        {
            "model": r.label,
            "kind": KINDS[r.kind],
            "cost": of(r.result),
            "value": r.result["metrics"][metric],
            "whole": r.result.get("fraction", 1.0) == 1.0 and not r.result.get("from_run"),
        }
        for r in rows
        if r.kind != "oracle" and r.result["metrics"].get(metric) is not None and of(r.result)
    ]
    if not points:
        return None
    data = pd.DataFrame(points)
    data["cost"] = data["cost"].clip(lower=0.005)
    # quick looks at a share of the rows are no evidence, and a warm start's seconds leave out its donor's
    whole = [at for at, p in enumerate(points) if p["whole"]]
    upwards = (-data["value"] if lower else data["value"]).iloc[whole].tolist()
    front = [whole[at] for at in pareto(data["cost"].iloc[whole].tolist(), upwards)]
    data["front"] = [at in front for at in range(len(data))]
    oracles = _oracles(rows, metric)
    heights = np.array([*data["value"], *(o["value"] for o in oracles)])
    room = 0.06 * (float(np.ptp(heights)) or 1.0)
    low, high = float(heights.min()) - room, float(heights.max()) + room
    pixels = (high - heights) / (high - low) * HEIGHT
    placed = spread(pixels.tolist(), LINE, HEIGHT)
    at_height = [high - p / HEIGHT * (high - low) for p in placed]
    data["label"] = at_height[: len(data)]
    data["moved"] = np.abs(pixels - placed)[: len(data)] > LEADER
    for oracle, height in zip(oracles, at_height[len(data) :], strict=True):
        oracle["label"] = height
    middle = np.log10(data["cost"]).pipe(lambda x: (x.min() + x.max()) / 2)
    data["side"] = np.where(np.log10(data["cost"]) > middle, "left", "right")  # a name stays within the chart

    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("cost:Q", title=name, scale=alt.Scale(type="log", nice=True), axis=alt.Axis(format=",~g", tickCount=6))
    y = alt.Y("value:Q", title=arrow(metric), scale=scale)
    label = alt.Y("label:Q", title=arrow(metric), scale=scale)
    tip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("cost:Q", title=name, format=",.2f"),
        alt.Tooltip("value:Q", title=metric.upper(), format=".4f"),
    ]
    base = alt.Chart(data, height=HEIGHT)
    line = (
        alt.Chart(data.iloc[front]).mark_line(strokeDash=[4, 3], color=GREY, interpolate="step-after").encode(x=x, y=y)
    )
    leaders = (
        base.transform_filter("datum.moved").mark_rule(color=GREY, strokeWidth=1).encode(x=x, y=y, y2=alt.Y2("label:Q"))
    )
    dots = base.mark_point(size=120, filled=True, opacity=1).encode(x=x, y=y, tooltip=tip, **of_kind(rows))
    names = [
        base.transform_filter(alt.datum.side == side)
        .mark_text(align=align, dx=dx, fontSize=12, baseline="middle")
        .encode(x=x, y=label, text="model:N", opacity=alt.condition("datum.front", alt.value(1.0), alt.value(0.75)))
        for side, align, dx in (("right", "left", 10), ("left", "right", -10))
    ]
    return alt.layer(*_oracle_lines(oracles, y, label), line, leaders, dots, *names)


def spread(places: Sequence[float], gap: float, size: float) -> list[float]:
    """Move places as little as needed to lie at least ``gap`` apart, in the same order, within 0 … ``size``.

    If there are too many for that, they are evenly spaced. Overlapping places move as one block around their mean.
    """
    if not places:
        return []
    gap = min(gap, size / max(len(places) - 1, 1))
    order = np.argsort(places, kind="stable")
    blocks: list[list[float]] = []  # sum of (place − offset in the block), number of members
    for at in order:
        blocks.append([float(places[at]), 1.0])
        while len(blocks) > 1:
            (total, n), (own, m) = blocks[-2], blocks[-1]
            if own / m - total / n >= gap * n - 1e-9:
                break
            blocks[-2:] = [[total + own - m * n * gap, n + m]]
    out = np.empty(len(places))
    done = 0
    for total, n in blocks:
        start = total / n
        out[order[done : done + int(n)]] = start + gap * np.arange(int(n))
        done += int(n)
    ordered = out[order]
    ladder = gap * np.arange(len(places))
    ordered = np.maximum(ordered, ladder)  # inside at the top, then at the bottom
    ordered = np.minimum(ordered, size - ladder[::-1])
    out[order] = ordered
    return [float(v) for v in out]


def _oracles(rows: Sequence[Row], metric: str) -> list[dict[str, Any]]:
    return [
        {"value": r.result["metrics"][metric], "name": r.model}
        for r in rows
        if r.kind == "oracle" and r.result["metrics"].get(metric) is not None
    ]


def _oracle_lines(oracles: Sequence[dict[str, Any]], y: alt.Y, label: alt.Y) -> list[Any]:
    """Where each oracle stands, across the whole chart: what nobody can expect to pass with that information."""
    if not oracles:
        return []
    base = alt.Chart(pd.DataFrame(oracles)).encode(tooltip=["name:N", alt.Tooltip("value:Q", format=".4f")])
    name = base.mark_text(align="right", dx=-4, color=GREY, fontSize=11, baseline="bottom").encode(
        x=alt.value("width"), y=label, text="name:N"
    )
    return [base.mark_rule(strokeDash=[2, 3], color=GREY).encode(y=y), name]
