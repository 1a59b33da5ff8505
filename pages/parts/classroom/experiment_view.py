"""Which model knows this class? Standings, the curve over ratings, and the film that divides the room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from mmrec_core.classroom import experiment, likeness, store
from mmrec_core.classroom.experiment import BASELINE
from mmrec_core.classroom.store import Classroom, Rating
from mmrec_core.types import Dataset
from pages.parts import layout
from pages.parts.charts import SERIES
from pages.parts.turns import turns


def standings_of(classroom: Classroom, dataset: Dataset, ratings: Sequence[Rating]) -> list[dict[str, Any]]:
    """Standings now, or as they were saved when the class ended."""
    if classroom.results is not None:
        return list(classroom.results["standings"])
    assert classroom.plan is not None
    found = experiment.standings(
        dataset, ratings, classroom.plan["items"], experiment.compared(dataset), between=turns.give_way
    )
    return [vars(s) for s in found]


def leading(found: Sequence[Mapping[str, Any]], ended: bool = False) -> str:
    """The standings in one sentence, with how sure they are."""
    usable = [s for s in found if s["order"] is not None]
    if not usable:
        return "The first results come when somebody has rated a few more films."
    best = usable[0]
    when = "" if ended else " so far"
    name = f"**{layout.escape(best['model'])}** knows this class best{when}: {best['order']:.0%} of pairs in the right"
    people = f" order ({best['people']} {'person' if best['people'] == 1 else 'people'})."
    if best["model"] == BASELINE:
        return f"{name}{people} No model knows it better than popularity."
    if best["over_popularity"] is None:
        return f"{name}{people}"
    if best["over_popularity_interval"] is None:
        return f"{name}{people} Too few people yet to compare it with popularity."
    low, high = best["over_popularity_interval"]
    said = "Significantly more than popularity" if low > 0 else "The difference to popularity is not significant"
    points = f"{100 * best['over_popularity']:+.0f} points [{100 * low:+.0f}, {100 * high:+.0f}]"
    return f"{name}{people} {said}: {points}."


def standings_chart(found: Sequence[Mapping[str, Any]], large: bool = False) -> None:
    """A point and an interval per model; the dashed line is chance.

    Args:
        found: standings.
        large: for a projector.
    """
    usable = [s for s in found if s["order"] is not None]
    if not usable:
        return
    rows = [
        {
            "model": s["model"],
            "order": s["order"],
            "low": s["order_interval"][0] if s["order_interval"] else s["order"],
            "high": s["order_interval"][1] if s["order_interval"] else s["order"],
            "kind": "baseline" if s["model"] == BASELINE else "model",
        }
        for s in usable
    ]
    size = 20 if large else 13
    lowest, highest = min(0.4, *(r["low"] for r in rows)), max(0.9, *(r["high"] for r in rows))
    quality = {
        "type": "quantitative",
        "title": "pairs in the right order",
        "axis": {"format": "%", "labelFontSize": size, "titleFontSize": size},
        "scale": {"domain": [lowest, highest]},
    }
    names = {"labelFontSize": size, "labelLimit": 260, "labelOverlap": False, "labelFlush": False}
    model = {
        "y": {"field": "model", "type": "nominal", "sort": [r["model"] for r in rows], "title": None, "axis": names},
        "color": {
            "field": "kind",
            "type": "nominal",
            "scale": {"domain": ["model", "baseline"], "range": [SERIES[0], SERIES[1]]},
            "legend": None,
        },
        "tooltip": [
            {"field": "model", "type": "nominal"},
            *({"field": name, "type": "quantitative", "format": ".1%"} for name in ("order", "low", "high")),
        ],
    }
    width = 4 if large else 2.5
    spec = {  # a specification rather than Altair's objects: those take 20 ms of each drawing on the wall
        "height": (44 if large else 26) * len(rows),
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": width, "opacity": 0.6},
                "encoding": {**model, "x": {**quality, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 220 if large else 110, "opacity": 1},
                "encoding": {**model, "x": {**quality, "field": "order"}},
            },
            {
                "data": {"values": [{"x": 0.5}]},
                "mark": {"type": "rule", "strokeDash": [5, 4], "color": "#888888"},
                "encoding": {"x": {**quality, "field": "x"}},
            },
        ],
    }
    st.vega_lite_chart(spec=spec, width="stretch", key="class-standings")


def standings_table(found: Sequence[Mapping[str, Any]]) -> None:
    """The same in numbers, with RMSE."""
    number = lambda v, i: "–" if v is None else f"{v:.3f}" + (f" [{i[0]:.3f}, {i[1]:.3f}]" if i else "")
    rows = [
        {
            "Model": s["model"],
            "Pairs in the right order": number(s["order"], s["order_interval"]),
            "RMSE": number(s["rmse"], s["rmse_interval"]),
            "Participants": s["people"],
            "Ratings": s["ratings"],
        }
        for s in found
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    st.caption(
        f"Of each participant’s first {store.RATED} ratings, {store.HELD} at places drawn before they began are held"
        " out; models see the others. Of two held-out films that somebody rated differently, how often does the model"
        " score the better one higher? Chance is 50 %. Brackets: 95 % intervals over participants. – : this model"
        " predicts no ratings."
    )


def curve_section(classroom: Classroom, dataset: Dataset, ratings: Sequence[Rating]) -> None:
    """Quality by number of known ratings, and from which number on a model beats popularity."""
    assert classroom.plan is not None
    if classroom.results is not None:
        found = classroom.results["curve"]
    else:
        found = experiment.curve(dataset, ratings, classroom.plan["items"], experiment.compared(dataset))
    if not found["people"] or not found["models"]:
        most = store.RATED - store.HELD
        st.info(
            f"The curve needs a participant with {most} ratings that are not held out.", icon=":material/hourglass:"
        )
        return
    best = sorted((n for n in found["models"] if n != BASELINE), key=lambda n: -found["models"][n][-1])[
        : len(SERIES) - 1
    ]
    drawn = [n for n in (BASELINE, *best) if n in found["models"]]
    rows = [
        {"model": name, "ratings": k, "order": value}
        for name, values in found["models"].items()
        if name in drawn
        for k, value in zip(found["ks"], values, strict=True)
    ]
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("ratings:Q", title="ratings known to the models", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y(
                "order:Q", title="pairs in the right order", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)
            ),
            color=alt.Color("model:N", sort=drawn, scale=alt.Scale(domain=drawn, range=SERIES[: len(drawn)])),
            strokeDash="model:N",
            tooltip=["model:N", "ratings:Q", alt.Tooltip("order:Q", format=".1%")],
        )
    )
    st.altair_chart(chart, width="stretch", key="class-curve")
    beats = [f"**{layout.escape(n)}** from {k}" for n, k in found["above"].items() if k is not None]
    never = [layout.escape(n) for n, k in found["above"].items() if k is None]
    few = found["people"] < experiment.FEWEST
    said = f"Above popularity in this class: {', '.join(beats)} ratings on." if beats and not few else ""
    if few:
        said, never = "Too few people to say from which number on a model is better than popularity.", []
    st.caption(
        f"{said}{' Not above it: ' + ', '.join(never) + '.' if never else ''} Means over {found['people']} participants"
        " with all their ratings; the same held-out films for every number of ratings."
    )


def dividing_film(dataset: Dataset, ratings: Sequence[Rating]) -> tuple[int, dict[str, Any]] | None:
    """The film whose ratings differ most in the class: its row and numbers; ``None`` without three ratings of one."""
    found = likeness.dividing(ratings)
    return (dataset.items.row(found[0]["item"], "film id"), found[0]) if found and found[0]["sd"] > 0 else None
