"""The chart of quality against cost, with names that never cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from mmrec_core import metrics
from mmrec_core.analysis.comparison import KINDS, Row, pareto
from pages.parts.charts import INK, arrow, of_kind
from pages.parts.label_places import GAP, Name, places

COSTS = {
    "fit": ("Seconds of fitting", lambda r: (r.get("seconds") or {}).get("fit")),
    "parameters": ("Parameters", lambda r: r.get("parameters") or None),
    "bytes": ("Size of the model (MiB)", lambda r: r["bytes"] / 2**20 if r.get("bytes") else None),
    "host": ("Memory while training (MiB)", lambda r: (r.get("memory") or {}).get("host_mib")),
}
HEIGHT, AROUND = 320, 145
"""Height of the plot, and of its legend and axis, in pixels."""
ABOVE = 8
"""How far the name of a line stands above it, in pixels."""
LEADER = 12
"""A name further than this from its dot, in pixels, is joined to it by a line."""
GREY = "#8C8C8C"


def cost(rows: Sequence[Row], metric: str, what: str) -> alt.LayerChart | None:
    """Quality against cost; the models that no other beats in both are joined by a line.

    Names do not cover each other at any width of the chart. ``None`` where nothing is known.
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
    heights = np.array([*(o["value"] for o in oracles), *data["value"]])
    room = 0.06 * (float(np.ptp(heights)) or 1.0)
    low, high = float(heights.min()) - room, float(heights.max()) + room
    pixel = lambda value: (high - value) / (high - low) * HEIGHT
    x_log = np.log10(data["cost"].to_numpy())
    ends = np.floor(x_log.min()), max(np.ceil(x_log.max()), np.floor(x_log.min()) + 1)  # as Vega's scale has them
    names = [Name(o["name"], 1.0, pixel(o["value"]) - ABOVE, edge=True) for o in oracles]
    names += [
        Name(model, float((x - ends[0]) / (ends[1] - ends[0])), pixel(value) - (ABOVE if on_front else 0))
        for model, x, value, on_front in zip(data["model"], x_log, data["value"], data["front"], strict=True)
    ]
    placed = places(names, HEIGHT)
    at_height = [high - p.y / HEIGHT * (high - low) for p in placed]
    for oracle, at in zip(oracles, at_height, strict=False):
        oracle["label"] = at
    own = placed[len(oracles) :]
    data["label"], data["side"] = at_height[len(oracles) :], [p.side for p in own]
    data["moved"] = [abs(p.y - pixel(value)) > LEADER for p, value in zip(own, data["value"], strict=True)]

    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("cost:Q", title=name, scale=alt.Scale(type="log", nice=True), axis=alt.Axis(format=",~g", tickCount=6))
    y = alt.Y("value:Q", title=arrow(metric), scale=scale)
    label = alt.Y("label:Q", title=arrow(metric), scale=scale)
    tip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("cost:Q", title=name, format=",.2f"),
        alt.Tooltip("value:Q", title=metric.upper(), format=".4f"),
    ]
    base = alt.Chart(data, height=HEIGHT + AROUND)
    line = (
        alt.Chart(data.iloc[front]).mark_line(strokeDash=[4, 3], color=GREY, interpolate="step-after").encode(x=x, y=y)
    )
    leaders = (
        # hidden from screen readers: where no name moved, the group is empty, and an empty picture has no name
        base.transform_filter("datum.moved")
        .mark_rule(color=GREY, strokeWidth=1, aria=False)
        .encode(x=x, y=y, y2=alt.Y2("label:Q"))
    )
    dots = base.mark_point(size=120, filled=True, opacity=1).encode(x=x, y=y, tooltip=tip, **of_kind(rows))
    written = [
        base.transform_filter((alt.datum.side == side) & (alt.datum.front == on_front))
        .mark_text(align=align, dx=dx, fontSize=12, baseline="middle", color=INK, fontWeight=weight)
        .encode(x=x, y=label, text="model:N")
        for side, align, dx in (("right", "left", GAP), ("left", "right", -GAP))
        for on_front, weight in ((True, "bold"), (False, "normal"))
    ]
    return alt.layer(*_oracle_lines(oracles, y, label), line, leaders, dots, *written)


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
    name = base.mark_text(align="right", color=INK, fontSize=12, baseline="middle").encode(
        x=alt.value("width"), y=label, text="name:N"
    )
    return [base.mark_rule(strokeDash=[2, 3], color=GREY).encode(y=y), name]
