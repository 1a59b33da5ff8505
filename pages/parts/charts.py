"""Charts of comparisons: intervals, groups, cost, curves. Colours are told apart by any eyes; shapes say the same
again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from mmrec_core import metrics
from mmrec_core.analysis.comparison import KINDS, Row

KIND_COLOURS = {"ranking": "#0072B2", "rating": "#E69F00", "click": "#009E73", "oracle": "#8C8C8C"}
KIND_SHAPES = {"ranking": "circle", "rating": "square", "click": "triangle-up", "oracle": "diamond"}
INK = "#7D7D7D"
"""Text within a chart, where Streamlit gives no colour of the theme: readable on light and on dark (4 : 1)."""
SERIES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C", "#7A6A00"]
DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]


def lower_is_better(metric: str) -> bool:
    """Of a metric, or of ``squared_error``, which results hold per person."""
    return metric == "squared_error" or metrics.metric(metric).better == "lower"


MIDDLE = "length(datum.label) > 34 ? slice(datum.label, 0, 16) + '…' + slice(datum.label, -17) : datum.label"
"""Labels of an axis, long ones cut in their middle: training runs of one model differ at their names' ends."""
ACRONYMS = ("ndcg", "mrr", "auc", "gauc", "rmse", "mae", "map", "hr", "ap", "ece")


def metric_name(metric: str) -> str:
    """A metric as people write it: ``NDCG@10``, ``Recall@10``, ``Diversity content@10``."""
    word, at, rest = metric.partition("@")
    word = word.upper() if word in ACRONYMS else word.replace("_", " ").capitalize()
    return f"{word}{at}{rest}"


def arrow(metric: str) -> str:
    """``NDCG@10 ↑``: which way is better."""
    return f"{metric_name(metric)} {'↓' if metrics.metric(metric).better == 'lower' else '↑'}"


def of_kind(rows: Sequence[Row]) -> dict[str, Any]:
    there = {row.kind for row in rows}
    kinds = [k for k in KINDS if k in there]
    names = [KINDS[k] for k in kinds]
    return {
        "color": alt.Color(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=names, range=[KIND_COLOURS[k] for k in kinds]),
            legend=alt.Legend(orient="top", columns=2),
        ),
        "shape": alt.Shape("kind:N", title=None, scale=alt.Scale(domain=names, range=[KIND_SHAPES[k] for k in kinds])),
    }


def intervals(rows: Sequence[Row], metric: str, baseline: str = "popularity") -> alt.LayerChart:
    """One dot per model with its 95 % interval, best on top; a dashed line where the baseline stands."""
    data = pd.DataFrame(
        [
            {
                "model": r.label,
                "kind": KINDS[r.kind],
                "value": r.result["metrics"][metric],
                "low": (r.result["intervals"].get(metric) or [None, None])[0],
                "high": (r.result["intervals"].get(metric) or [None, None])[1],
            }
            for r in rows
            if r.result["metrics"].get(metric) is not None
        ]
    )
    rising = metrics.metric(metric).better == "lower"
    data["is_oracle"] = data["kind"] == KINDS["oracle"]  # references, below the models
    order = data.sort_values(["is_oracle", "value"], ascending=[True, rising])["model"].tolist()
    y = alt.Y("model:N", sort=order, title=None, axis=alt.Axis(labelLimit=230, labelExpr=MIDDLE))
    tip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("value:Q", title=metric.upper(), format=".4f"),
        alt.Tooltip("low:Q", title="95 % from", format=".4f"),
        alt.Tooltip("high:Q", title="to", format=".4f"),
    ]
    base = alt.Chart(data, height=alt.Step(26))
    colours = of_kind(rows)
    bars = base.mark_rule(strokeWidth=2.5).encode(
        y=y,
        x=alt.X("low:Q", title=arrow(metric), scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6)),
        x2="high:Q",
        color=colours["color"],
        tooltip=tip,
    )
    dots = base.mark_point(size=90, filled=True, opacity=1).encode(y=y, x="value:Q", tooltip=tip, **colours)
    layers: list[Any] = [bars, dots]
    mark = data[data["model"] == baseline]
    if len(mark):
        line = (
            alt.Chart(mark)
            .mark_rule(strokeDash=[5, 4], color="#8C8C8C")
            .encode(x="value:Q", tooltip=[alt.Tooltip("model:N", title="Baseline")])
        )
        layers.insert(0, line)
    return alt.layer(*layers)


def groups(data: pd.DataFrame, metric: str, order: Sequence[str]) -> alt.LayerChart:
    """Models side by side within each group, with intervals; ``data`` has group, model, value, low, high, n."""
    models = list(dict.fromkeys(data["model"]))
    # Places are numbers of our own: in a band within a band, Vega-Lite puts whiskers beside their bars.
    step = len(models) + 1.2
    data = data.assign(
        place=[order.index(g) * step + models.index(m) for g, m in zip(data["group"], data["model"], strict=True)]
    )
    centres = [at * step + (len(models) - 1) / 2 for at in range(len(order))]
    names = json.dumps([g.split(" ~ ") for g in order])
    axis = alt.Axis(
        values=centres,
        grid=False,
        ticks=False,
        domain=False,
        labelLimit=320,
        labelOverlap=False,
        labelExpr=f"{names}[round((datum.value - {centres[0]}) / {step})]",
    )
    span = alt.Scale(domain=[-1, centres[-1] + step / 2], reverse=True, nice=False, zero=False)
    y = alt.Y("place:Q", title=None, axis=axis, scale=span)
    colour = alt.Color(
        "model:N",
        sort=models,
        title=None,
        scale=alt.Scale(domain=models, range=SERIES[: len(models)]),
        legend=alt.Legend(orient="top", columns=4, labelLimit=220),
    )
    tip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("name:N", title="Group"),
        alt.Tooltip("value:Q", title=metric.upper(), format=".4f"),
        alt.Tooltip("low:Q", title="95 % from", format=".4f"),
        alt.Tooltip("high:Q", title="to", format=".4f"),
        alt.Tooltip("n:N", title="n"),
    ]
    base = alt.Chart(data, height=int(len(order) * step * 11) + 110)  # legend and axis count as height
    bars = base.mark_bar(orient="horizontal", height=8).encode(
        y=y, x=alt.X("value:Q", title=arrow(metric), axis=alt.Axis(tickCount=6)), color=colour, tooltip=tip
    )
    whiskers = base.mark_rule(color="#777777", strokeWidth=1.5).encode(y=y, x="low:Q", x2="high:Q", tooltip=tip)
    return alt.layer(bars, whiskers)


def learning(curves: Mapping[str, list[dict[str, Any]]], metric: str) -> alt.Chart | None:
    """Validation scores by epoch, one line per model; ``None`` where no model has any."""
    rows = [
        {"model": name, "epoch": e["epoch"] + 1, "value": e[metric]}
        for name, epochs in curves.items()
        for e in epochs
        if metric in e
    ]
    if not rows:
        return None
    names = list(dict.fromkeys(r["model"] for r in rows))
    return (
        alt.Chart(pd.DataFrame(rows), height=280)
        .mark_line(point=alt.OverlayMarkDef(size=18))
        .encode(
            x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title=f"Validation {arrow(metric)}", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "model:N",
                title=None,
                scale=alt.Scale(domain=names, range=SERIES[: len(names)]),
                legend=alt.Legend(orient="top"),
            ),
            strokeDash=alt.StrokeDash(
                "model:N", scale=alt.Scale(domain=names, range=DASHES[: len(names)]), legend=None
            ),
            tooltip=["model:N", "epoch:Q", alt.Tooltip("value:Q", format=".4f")],
        )
    )


def calibration(curves: Mapping[str, list[dict[str, float]]], label: str) -> alt.LayerChart:
    """Observed share against predicted chance, one line per model, with the diagonal on which they agree."""
    data = pd.DataFrame([{"model": name, **part} for name, parts in curves.items() for part in parts])
    names = list(curves)
    ends = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    ideal = alt.Chart(ends).mark_line(strokeDash=[5, 4], color="#8C8C8C").encode(x="x:Q", y="y:Q")
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=names, range=SERIES[: len(names)]),
        legend=alt.Legend(orient="top", columns=4, labelLimit=220),
    )
    base = alt.Chart(data, height=340).encode(
        x=alt.X(
            "predicted:Q",
            title=f"Predicted chance of {label}",
            axis=alt.Axis(format="%"),
            scale=alt.Scale(domain=[0, 1]),
        ),
        color=colour,
        tooltip=[
            "model:N",
            alt.Tooltip("predicted:Q", format=".3f"),
            alt.Tooltip("observed:Q", format=".3f"),
            alt.Tooltip("n:Q", title="rows"),
        ],
    )
    y = alt.Y("observed:Q", title="Share that came true", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    lines = base.mark_line(point=alt.OverlayMarkDef(size=40)).encode(
        y=y,
        strokeDash=alt.StrokeDash("model:N", scale=alt.Scale(domain=names, range=DASHES[: len(names)]), legend=None),
    )
    return alt.layer(ideal, base.mark_rule(strokeWidth=1).encode(y="low:Q", y2="high:Q"), lines)


def differences(values: Sequence[float], a: str, b: str, metric: str) -> alt.LayerChart:
    """How many users a model serves better, and by how much: a histogram of per-user differences.

    Users with the same value under both models are a number beside the line at zero: as a bar they dwarf the rest.
    """
    info = np.asarray(values, np.float64)
    width = max(float(np.ptp(info)), 1e-9) / 40
    side = np.sign(info) * (-1 if lower_is_better(metric) else 1)
    middle = np.sign(info) * (np.floor(np.abs(info) / width) + 0.5) * width  # bars begin at zero, one side each
    names = [f"{a} better", f"{b} better"]
    data = pd.DataFrame(
        {
            "low": middle - width / 2,
            "high": middle + width / 2,
            "for": np.where(side > 0, names[0], names[1]),
        }
    )
    same = int((side == 0).sum())
    data = data[side != 0]
    data = data.groupby(["low", "high", "for"], as_index=False).size().rename(columns={"size": "people"})
    bars = (
        alt.Chart(data, height=220)
        .mark_rect()
        .encode(
            x=alt.X("low:Q", title=f"{metric.upper()}: {a} − {b}"),
            x2="high:Q",
            y=alt.Y("people:Q", title="Users"),
            y2=alt.datum(0),
            color=alt.Color(
                "for:N",
                title=None,
                scale=alt.Scale(domain=names, range=["#0072B2", "#E69F00"]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                alt.Tooltip("for:N", title="Who"),
                alt.Tooltip("people:Q", title="Users"),
                alt.Tooltip("low:Q", title="from", format="+.3f"),
                alt.Tooltip("high:Q", title="to", format="+.3f"),
            ],
        )
    )
    at_zero = alt.Chart(pd.DataFrame({"x": [0.0], "text": [f"{same:,} the same"]}))
    zero = at_zero.mark_rule(strokeDash=[5, 4], color="#8C8C8C").encode(x="x:Q")
    label = at_zero.mark_text(baseline="bottom", dy=-4, fontSize=12, color=INK).encode(
        x="x:Q", y=alt.value(0), text="text:N"
    )
    return alt.layer(bars, zero, *([label] if same else []))


def group_differences(groups: Sequence[Mapping[str, Any]], a: str, b: str, metric: str) -> alt.LayerChart:
    """The difference in each group of people with its paired 95 % interval; filled where Holm's p is below .05."""
    data = pd.DataFrame(
        [
            {
                "group": f"{g['group']} (n = {g['users']:,})",
                "value": g["difference"],
                "low": g["interval"][0],
                "high": g["interval"][1],
                "p": g["p_holm"],
                "sure": "p < 0.05 (Holm)" if g["p_holm"] < 0.05 else "not significant",
            }
            for g in groups
        ]
    )
    y = alt.Y("group:N", sort=data["group"].tolist(), title=None, axis=alt.Axis(labelLimit=320))
    tip = [
        alt.Tooltip("group:N"),
        alt.Tooltip("value:Q", title="difference", format="+.4f"),
        alt.Tooltip("low:Q", title="95 % from", format="+.4f"),
        alt.Tooltip("high:Q", title="to", format="+.4f"),
        alt.Tooltip("p:Q", title="p (Holm)", format=".4f"),
    ]
    base = alt.Chart(data, height=alt.Step(28))
    rule = base.mark_rule(strokeWidth=2.5, color="#0072B2").encode(
        y=y,
        x=alt.X("low:Q", title=f"{metric.upper()}: {a} − {b}", axis=alt.Axis(tickCount=6)),
        x2="high:Q",
        tooltip=tip,
    )
    dot = base.mark_point(size=110, filled=True, opacity=1).encode(
        y=y,
        x="value:Q",
        tooltip=tip,
        color=alt.value("#0072B2"),
        shape=alt.Shape(
            "sure:N",
            title=None,
            scale=alt.Scale(domain=["p < 0.05 (Holm)", "not significant"], range=["circle", "cross"]),
            legend=alt.Legend(orient="top", columns=1),
        ),
    )
    zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(strokeDash=[5, 4], color="#8C8C8C").encode(x="x:Q")
    return alt.layer(zero, rule, dot)


def bump(places: Mapping[str, Mapping[str, int]], ways: Sequence[str]) -> alt.LayerChart:
    """How the order of models changes from one protocol to the next: a line per model, the best on top."""
    rows = [{"model": m, "way": w, "place": p[w]} for m, p in places.items() for w in ways if w in p]
    names = [m for m in places if any(r["model"] == m for r in rows)]
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=names, range=[SERIES[i % len(SERIES)] for i in range(len(names))]),
        legend=alt.Legend(orient="top", columns=4, labelLimit=220),
    )
    dash = alt.StrokeDash(
        "model:N",
        legend=None,
        scale=alt.Scale(domain=names, range=[DASHES[(i // len(SERIES) + i) % len(DASHES)] for i in range(len(names))]),
    )
    most = max((r["place"] for r in rows), default=1)
    base = alt.Chart(pd.DataFrame(rows), height=max(160, 30 * most)).encode(
        x=alt.X("way:N", sort=list(ways), title=None, axis=alt.Axis(labelAngle=0, labelLimit=110, grid=True)),
        y=alt.Y(
            "place:Q",
            title="Rank",
            scale=alt.Scale(domain=[0.5, most + 0.5], reverse=True),
            axis=alt.Axis(tickMinStep=1, format="d"),
        ),
        tooltip=["model:N", alt.Tooltip("way:N", title="Protocol"), alt.Tooltip("place:Q", title="Rank")],
    )
    return alt.layer(
        base.mark_line(strokeWidth=2.5).encode(color=colour, strokeDash=dash),
        base.mark_circle(size=120, opacity=1).encode(color=colour),
    )


def crossing(data: pd.DataFrame, metric: str, baseline: str = "popularity") -> alt.LayerChart:
    """Quality against the number of ratings known, a band of 95 % around each line; the baseline dashed and grey."""
    ks = sorted(data["k"].unique().tolist())
    data = data.assign(
        place=[ks.index(k) for k in data["k"]]
    )  # 0, 1, 2, 3, 5, 10, 20: evenly apart, or the start is a blot
    models = [m for m in dict.fromkeys(data["model"]) if m != baseline]
    names = [baseline, *models]
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=names, range=["#8C8C8C", *[SERIES[i % (len(SERIES) - 2)] for i in range(len(models))]]),
        legend=alt.Legend(orient="top", columns=3, symbolOpacity=1, symbolType="circle"),
    )
    axis = alt.Axis(
        values=list(range(len(ks))), labelExpr=f"{json.dumps([str(k) for k in ks])}[datum.value]", grid=False
    )
    x = alt.X(
        "place:Q",
        title="Ratings known of the newcomer",
        axis=axis,
        scale=alt.Scale(domain=[0, max(len(ks) - 1, 1)], nice=False),
    )
    y = alt.Y("value:Q", title=arrow(metric), scale=alt.Scale(zero=False))
    tip = [
        "model:N",
        alt.Tooltip("k:Q", title="ratings"),
        alt.Tooltip("value:Q", format=".4f"),
        alt.Tooltip("low:Q", format=".4f"),
        alt.Tooltip("high:Q", format=".4f"),
    ]
    base = alt.Chart(data, height=340)
    dash = alt.StrokeDash(
        "model:N",
        legend=None,
        scale=alt.Scale(domain=names, range=[[6, 4], *[DASHES[0 if i < 6 else 1] for i in range(len(models))]]),
    )
    return alt.layer(
        base.mark_area(opacity=0.13).encode(
            x=x, y=alt.Y("low:Q", title=arrow(metric), scale=alt.Scale(zero=False)), y2="high:Q", color=colour
        ),
        base.mark_line(strokeWidth=2.5).encode(x=x, y=y, color=colour, strokeDash=dash),
        base.mark_circle(size=70, opacity=1).encode(x=x, y=y, color=colour, tooltip=tip),
    )


def parallel(rows: Sequence[Row], names: Sequence[str]) -> alt.LayerChart:
    """Every metric an axis from its worst to its best value, every model a line across them: up is better
    everywhere."""
    parts = []
    for name in names:
        values = {r.label: r.result["metrics"][name] for r in rows if r.result["metrics"].get(name) is not None}
        low, high = min(values.values()), max(values.values())
        for label, value in values.items():
            share = 0.5 if high == low else (value - low) / (high - low)
            parts.append(
                {
                    "model": label,
                    "metric": arrow(name),
                    "value": value,
                    "share": 1 - share if metrics.metric(name).better == "lower" else share,
                }
            )
    models = list(dict.fromkeys(t["model"] for t in parts))
    pick = alt.selection_point(fields=["model"], bind="legend")
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=models, range=[SERIES[i % len(SERIES)] for i in range(len(models))]),
        legend=alt.Legend(orient="top", columns=4, labelLimit=220),
    )
    # More models than colours: the second of a colour is dashed, the third dotted.
    dashes = [DASHES[(i // len(SERIES)) % len(DASHES)] for i in range(len(models))]
    dash = alt.StrokeDash("model:N", title=None, scale=alt.Scale(domain=models, range=dashes))
    base = alt.Chart(pd.DataFrame(parts), height=300).encode(
        x=alt.X("metric:N", sort=[arrow(n) for n in names], title=None, axis=alt.Axis(labelAngle=0, grid=True)),
        y=alt.Y("share:Q", title="worst → best", axis=alt.Axis(labels=False, ticks=False)),
        opacity=alt.condition(pick, alt.value(0.95), alt.value(0.12)),
        tooltip=["model:N", "metric:N", alt.Tooltip("value:Q", format=".4f")],
    )
    lines = base.mark_line(strokeWidth=2).encode(color=colour, strokeDash=dash, detail="model:N")
    return alt.layer(lines, base.mark_circle(size=60).encode(color=colour)).add_params(pick)


def rating_effects(data: pd.DataFrame) -> alt.Chart:
    """Bars of what each rating of a history does to a film's score, in the order of the rows.

    Args:
        data: ``film``, ``change`` (score with the rating minus score without it), ``places`` (places lost without it),
            and ``does``: "raises the score" or "lowers the score".
    """
    return (
        alt.Chart(data, height=alt.Step(24))
        .mark_bar()
        .encode(
            y=alt.Y("film:N", sort=data["film"].tolist(), title=None, axis=alt.Axis(labelLimit=170)),
            x=alt.X("change:Q", title="score with it − without it", axis=alt.Axis(tickCount=5)),
            color=alt.Color(
                "does:N",
                title=None,
                scale=alt.Scale(domain=["raises the score", "lowers the score"], range=["#0072B2", "#E69F00"]),
                legend=alt.Legend(orient="top", columns=1),
            ),
            tooltip=[
                "film:N",
                alt.Tooltip("change:Q", title="change of score", format="+.4f"),
                alt.Tooltip("places:Q", title="places lost without it", format="+.1f"),
            ],
        )
    )
