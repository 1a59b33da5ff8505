"""Search good settings: what to search, how it goes while it goes, what won."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from mmrec_core import registry, runs
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import validation_label
from mmrec_core.tuning import search_space, sweep
from mmrec_core.tuning.search_space import Dimension
from mmrec_core.tuning.sweep import Trial
from mmrec_core.types import Dataset
from pages.parts import charts, layout, queued_note
from pages.parts.run_card import pace, run_card, span

ABOUT = (
    "Tries settings on the training rows and evaluates them on the validation rows; the test rows are not there. Trials"
    " that start poorly are stopped early. The best settings are then trained once more and tested once."
)
SHOWN_TRIALS = 200
"""Trials that the picture draws at most, the best ones."""


def tune(dataset: Dataset, splits: Mapping[str, str]) -> None:
    """The whole part: a form, and the searches there are."""
    st.caption(ABOUT)
    left, right = st.columns([1, 1.4], gap="large")
    with left:
        st.fragment(form)(dataset, splits)
    with right:
        st.fragment(searches, run_every=pace())(dataset)


def form(dataset: Dataset, splits: Mapping[str, str]) -> None:
    """What to search, for how long."""
    st.subheader("New search", anchor=False)
    able = [m for m in runs.usable_models(dataset) if search_space.searchable(m)]
    if not able:
        st.info(f"No model that works on {dataset.name} has a setting to search.", icon=":material/block:")
        return
    name = st.selectbox(
        "Model",
        able,
        index=able.index("bpr") if "bpr" in able else 0,
        key="tune.model",
        help="Models that work on these data and have settings to search.",
    )
    known = search_space.searchable(name)
    chosen = st.multiselect(
        "Settings to search",
        list(known),
        default=[n for n in search_space.usual(name) if n in known],
        key=f"tune.over.{name}",
        help="Fewer is better: every further setting wants several times as many trials.",
    )
    over = [span_of(known[n], f"tune.{name}") for n in chosen]
    with st.grid(min_column_width=150):
        trials = st.number_input(
            "Trials",
            1,
            1000,
            12,
            key="tune.trials",
            help="How many settings are tried; the first are the model's usual ones, or the nearest within the ranges.",
        )
        minutes = st.number_input(
            "Minutes at most",
            0.5,
            10_000.0,
            None,
            step=5.0,
            key="tune.minutes",
            placeholder="no bound",
            help="Time budget of the search. What was learned by then counts.",
        )
        how = st.selectbox(
            "Split",
            list(splits),
            key="tune.split",
            help="How ratings are divided. Trials see training and validation only.",
        )
        epochs = None
        if registry.schema("models", name)["trains"]:
            epochs = st.number_input(
                "Epochs at most", 1, 10_000, None, key=f"tune.epochs.{name}", placeholder="usual", help="Of a trial."
            )
        share = st.number_input(
            "Share of rows (%)",
            0.1,
            100.0,
            100.0,
            format="%g",
            key="tune.share",
            help="Trials, and the last training, learn from this share of the training rows.",
        )
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="tune.seed", help="Of the model and of what is tried.")
    if not chosen:
        st.caption("Choose at least one setting to search.")
        return
    try:
        asked = sweep.params(
            dataset.name,
            name,
            trials=int(trials),
            over=over,
            minutes=minutes,
            split=how,
            seed=int(seed),
            fraction=round(share / 100, 6),
            options={} if epochs is None else {"max_epochs": int(epochs)},
        )
    except MMRecError as error:
        layout.show_error(error)
        return
    estimate = runs.expected_seconds(runs.training_params(dataset.name, name, split=how, options=asked["options"]))
    if estimate is not None:
        st.caption(
            f":material/schedule: At most about {span(estimate['seconds'] * int(trials))} for all trials, less with"
            " those stopped early."
        )
    layout.generated_note(dataset)
    if st.button("Start searching", type="primary", icon=":material/travel_explore:", key="tune.start"):
        try:
            run = runs.start("tune", asked)
        except MMRecError as error:
            layout.show_error(error)
            return
        st.session_state["tune.shown"] = run.id
        queued_note.remember("tune", [run])
        st.rerun()
    queued_note.show("tune", linked=False)


def span_of(found: Dimension, key: str) -> str:
    """A range to search, narrowed by hand: ``lr=0.001:0.1``."""
    if found.kind == "choice":
        picked = st.multiselect(
            found.name,
            list(found.values),
            default=list(found.values),
            key=f"{key}.{found.name}.values",
            help=sentence(found.meaning),
        )
        return f"{found.name}={'|'.join(map(str, picked or found.values))}"
    low, high = found.low or 0.0, found.high or 0.0
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = int if found.kind == "int" else float
        a = st.number_input(
            f"{found.name} from",
            None,
            None,
            number(low),
            format=None if number is int else "%g",
            key=f"{key}.{found.name}.low",
            help=f"{sentence(found.meaning)} {'Searched by powers.' if found.log else ''}",
        )
        b = st.number_input(
            "to", None, None, number(high), format=None if number is int else "%g", key=f"{key}.{found.name}.high"
        )
    return f"{found.name}={a!r}:{b!r}"


def sentence(meaning: str) -> str:
    """With a capital and a full stop."""
    return f"{meaning[:1].upper()}{meaning[1:]}." if meaning else ""


def searches(dataset: Dataset) -> None:
    """Those there are on these data, newest first; one of them in full."""
    st.subheader("Searches", anchor=False)
    known = [r for r in runs.all_runs()[::-1] if r.kind == "tune" and r.params["dataset"] == dataset.name]
    if not known:
        st.info(
            "Nothing has been searched on these data yet. Choose a model and start; the picture grows trial by trial.",
            icon=":material/travel_explore:",
        )
        return
    ids = [r.id for r in known]
    asked = st.session_state.pop("tune.shown", None)
    if asked in ids:
        st.session_state["tune.search"] = asked
    names = {
        r.id: f"{r.params['model']} · {r.params['split']} · {r.params['trials']} trials · {r.status}" for r in known
    }
    picked = (
        st.selectbox("Search", ids, format_func=names.__getitem__, key="tune.search", label_visibility="collapsed")
        if len(ids) > 1
        else ids[0]
    )
    run = next(r for r in known if r.id == picked)
    run_card(run)
    try:
        found, metric = sweep.trials_of(run), sweep.metric_of(run)
    except MMRecError as error:
        layout.show_error(error)
        return
    scored = [t for t in found if t.score is not None]
    if metric is None or not scored:
        if run.status in runs.LIVE:
            st.caption(":material/hourglass: The first trial is on its way.")
        return
    best = sweep.best_of(found, metric)
    assert best is not None
    winner(run, found, best, metric)
    if str(run.params["split"]).startswith("chronological") and (
        info := validation_label(*registry.schema("models", run.params["model"])["early_stopping_protocol"])
    ):
        st.caption(f"Validation scores of {run.params['model']} are {info}.")
    st.altair_chart(
        so_far(found, metric), alt=f"Validation {metric} of each trial, and the best so far, which is {best.score:.4f}"
    )
    dims = sweep.dimensions(run.params)
    st.altair_chart(
        parallel(found, dims, metric),
        alt=f"Each trial as a line through its settings ({', '.join(d.name for d in dims)}) to its validation {metric}",
    )
    table(run, found, dims, metric)


def winner(run: runs.Run, found: list[Trial], best: Trial, metric: str) -> None:
    """The best settings so far; once they are tested, what the test says."""
    text = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in best.options.items())
    usual = found[0].score
    gain = f" (usual settings {usual:.4f})" if usual is not None and found[0] is not best else " (the usual settings)"
    st.markdown(f":material/emoji_events: **{layout.escape(text)}**")
    st.caption(
        f"Trial {found.index(best) + 1}: validation {layout.escape(metric.upper())} {best.score:.4f}{gain}. The best of"
        " many tries on the same rows looks better than it is: only the test of the last training counts."
    )
    result = run.result() if run.status == "finished" else None
    if result is None:
        return
    value, interval = (result["metrics"] or {}).get(metric), (result["intervals"] or {}).get(metric)
    with st.container(horizontal=True, vertical_alignment="center"):
        if value is not None:
            bracket = f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
            st.markdown(
                f"Tested once: **{layout.escape(metric.upper())} {value:.4f}{bracket}**",
                help="On the test rows, by the training with the best settings; with its 95 % interval over users.",
            )
        if st.button(
            "Settings into the form",
            icon=":material/tune:",
            type="tertiary",
            key=f"tune.use.{run.id}",
            on_click=use,
            args=(result["winner"],),
        ):
            st.rerun(scope="app")
        if st.button("Compare", icon=":material/leaderboard:", type="tertiary", key=f"tune.compare.{run.id}"):
            st.switch_page(layout.page("compare"), query_params={"dataset": run.params["dataset"]})


def use(winner: str) -> None:
    """To the training form, which begins with the best settings."""
    st.session_state["part"], st.session_state["to_form"] = "Train", winner


SHAPES = {"finished": "circle", "stopped early": "triangle-down", "running": "diamond", "stopped": "square"}


def so_far(found: list[Trial], metric: str) -> alt.LayerChart:
    """A point per trial, and as a step the best up to then."""
    lower = charts.lower_is_better(metric)
    rows, top = [], math.inf if lower else -math.inf
    for at, trial in enumerate(found):
        if trial.score is None:
            continue
        top = min(top, trial.score) if lower else max(top, trial.score)
        rows.append(
            {"trial": at + 1, "score": trial.score, "best": top, "status": trial.status, "epochs": len(trial.curve)}
        )
    data = pd.DataFrame(rows)
    x = alt.X("trial:Q", title="Trial", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y("score:Q", title=f"validation {charts.arrow(metric)}", scale=alt.Scale(zero=False))
    there = [s for s in SHAPES if s in set(data["status"])]
    line = (
        alt.Chart(data, height=190)
        .mark_line(interpolate="step-after", strokeWidth=2, color=charts.SERIES[1])
        .encode(x=x, y=alt.Y("best:Q"))
    )
    dots = (
        alt.Chart(data)
        .mark_point(size=70, filled=True, opacity=0.9, color=charts.SERIES[0])
        .encode(
            x=x,
            y=y,
            shape=alt.Shape(
                "status:N",
                title=None,
                scale=alt.Scale(domain=there, range=[SHAPES[s] for s in there]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                "trial:Q",
                "status:N",
                alt.Tooltip("score:Q", format=".4f"),
                alt.Tooltip("best:Q", format=".4f", title="best so far"),
                "epochs:Q",
            ],
        )
    )
    return alt.layer(line, dots)


def place(found: Dimension, value: Any) -> float:
    """Where a value stands between the ends of its axis, 0 to 1."""
    if found.kind == "choice":
        return found.values.index(value) / max(len(found.values) - 1, 1) if value in found.values else 0.5
    low, high = float(found.low or 0.0), float(found.high or 1.0)
    if found.log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


def parallel(found: list[Trial], dims: list[Dimension], metric: str) -> alt.LayerChart:
    """Every searched setting an axis, every trial a line across them to its score: the better, the higher and the
    nearer to orange."""
    lower = charts.lower_is_better(metric)
    scored = sorted((t for t in found if t.score is not None), key=lambda t: float(t.score or 0.0), reverse=not lower)[
        :SHOWN_TRIALS
    ]
    scores = [float(t.score or 0.0) for t in scored]
    worst, top = (max(scores), min(scores)) if lower else (min(scores), max(scores))
    last = charts.arrow(metric)
    rows = []
    for trial, score in zip(scored, scores, strict=True):
        good = 0.5 if top == worst else (score - worst) / (top - worst)
        summary = {"trial": found.index(trial) + 1, "score": score, "good": good}
        rows += [
            {
                **summary,
                "axis": d.name,
                "share": place(d, trial.options[d.name]),
                "value": _short(trial.options[d.name]),
            }
            for d in dims
        ]
        rows.append({**summary, "axis": last, "share": good, "value": f"{score:.4f}"})
    ends = [{"axis": d.name, "share": s, "text": t} for d in dims for s, t in zip((0, 1), _ends(d), strict=True)]
    ends += [{"axis": last, "share": 0, "text": f"{worst:.4f}"}, {"axis": last, "share": 1, "text": f"{top:.4f}"}]
    order = [*(d.name for d in dims), last]
    x = alt.X(
        "axis:N",
        sort=order,
        title=None,
        axis=alt.Axis(labelAngle=0, orient="top", grid=True, labelFontWeight="bold"),
        scale=alt.Scale(type="point", padding=0.35),
    )
    y = alt.Y("share:Q", axis=None, scale=alt.Scale(domain=[-0.12, 1.1]))
    hover = alt.selection_point(fields=["trial"], on="pointerover", empty=False, clear="pointerout")
    base = alt.Chart(pd.DataFrame(rows), height=280).encode(
        x=x, y=y, tooltip=["trial:Q", "axis:N", "value:N", alt.Tooltip("score:Q", format=".4f", title=metric)]
    )
    colour = alt.Color(
        "good:Q",
        scale=alt.Scale(range=["#8C8C8C", "#56B4E9", "#E69F00"], domain=[0, 0.5, 1], interpolate="rgb"),
        legend=None,
    )
    lines = base.mark_line().encode(
        detail="trial:N",
        color=colour,
        opacity=alt.condition(hover, alt.value(1), alt.value(0.75)),
        strokeWidth=alt.condition(hover, alt.value(4), alt.value(1.8)),
    )
    dots = base.mark_circle(size=36).encode(color=colour).add_params(hover)
    words = alt.Chart(pd.DataFrame(ends)).encode(x=x, y=y, text="text:N")
    low = words.transform_filter("datum.share == 0").mark_text(dy=13, fontSize=11, color="#8C8C8C")
    high = words.transform_filter("datum.share == 1").mark_text(dy=-11, fontSize=11, color="#8C8C8C")
    return alt.layer(lines, dots, low, high)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _ends(found: Dimension) -> tuple[str, str]:
    if found.kind == "choice":
        return str(found.values[0]), str(found.values[-1])
    return f"{found.low:.3g}", f"{found.high:.3g}"


def table(run: runs.Run, found: list[Trial], dims: list[Dimension], metric: str) -> None:
    """Every trial, best first, and the same to take along."""
    with st.expander(f"All {len(found)} trials"):
        rows = [
            {
                "Trial": at + 1,
                metric.upper(): t.score,
                **{d.name: _short(t.options.get(d.name)) for d in dims},
                "Epochs": len(t.curve),
                "How it ended": t.error or t.status,
            }
            for at, t in enumerate(found)
        ]
        data = pd.DataFrame(rows).sort_values(
            metric.upper(), ascending=charts.lower_is_better(metric), na_position="last"
        )
        st.dataframe(
            data,
            hide_index=True,
            key=f"tune.table.{run.id}",
            alt=f"{len(found)} trials with their settings and validation {metric}",
            column_config={metric.upper(): st.column_config.NumberColumn(format="%.4f")},
        )
        st.download_button(
            "CSV",
            data=sweep.as_csv(run),
            file_name=f"{run.id}.csv",
            mime="text/csv",
            key=f"tune.csv.{run.id}",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )
