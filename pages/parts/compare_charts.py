"""The charts of Compare: intervals, subgroups, learning curves, cost, many metrics at once, seeds, calibration."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from mmrec_core import metrics, runs
from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import Key, Row
from mmrec_core.analysis.seed_variance import over_seeds
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import chart_export, charts, cost_chart, layout

FAMILIES = {
    "User history length": "user with",
    "Number of ratings of the film": "film with",
    "Mainstream or niche taste": "taste ",
    "Popular or rare films": ("head films", "tail films", "films without training"),
    "Genre": "genre ",
    "Decade": "decade ",
    "Missing poster or plot": "films without a p",
    "Known or cold users and films": ("transductive", "inductive", "cold films"),
}
BEYOND = (
    "coverage@10",
    "novelty@10",
    "diversity@10",
    "diversity_content@10",
    "miscalibration@10",
    "popularity_lift@10",
    "future_items@10",
)
"""What lists are like, whoever likes them."""
MOST = 8
"""Models in one chart at most: as many as there are colours that anybody can tell apart."""


def charts_section(rows: list[Row], wanted: tuple[str, ...], dataset: Dataset) -> None:
    """One chart of the wanted ones; each can be downloaded."""
    names = comparison.shown_metrics(rows, (*comparison.SHOWN[2:], *comparison.SHOWN[:2], *BEYOND))
    if not names:
        st.info(
            "No test row is relevant, so there is nothing to rank. Lower the relevance threshold.",
            icon=":material/info:",
        )
        return
    possible = {
        "Parallel coordinates": len(rows) >= 5,
        "Seeds": any(len(details["seeds"]) > 1 for details in over_seeds(rows, names[0])),
        "Calibration": any(r.result.get("calibration") for r in rows),
    }
    views = [view for view in wanted if possible.get(view, True)]
    view = views[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(views) > 1:
            if st.session_state.get("view") not in views:
                st.session_state.pop("view", None)
            chosen = st.segmented_control(
                "Chart", views, default=views[0], required=True, key="view", bind="query-params"
            )
            view = chosen or view
        metric = st.selectbox(
            "Metric",
            names,
            format_func=charts.arrow,
            key="metric",
            bind="query-params",
            width=200,
            help="Which metric the chart shows.",
        )
    assert metric is not None
    st.caption(f"{charts.arrow(metric)}: {metrics.metric(metric).meaning}")
    chart = {
        "Intervals": intervals_view,
        "Groups": groups_view,
        "Learning curves": curves_view,
        "Cost": cost_view,
        "Parallel coordinates": parallel_view,
        "Seeds": seeds_view,
        "Calibration": calibration_view,
    }[view](rows, metric, dataset)
    if chart is not None:
        chart_downloads(chart, dataset, rows[0].key, f"{view.lower().replace(' ', '-')}-{metric}")


def intervals_view(rows: list[Row], metric: str, dataset: Dataset) -> alt.TopLevelMixin | None:
    """Who is better, and how sure that is."""
    chart = charts.intervals(rows, metric)
    with_value = [r for r in rows if r.result["metrics"].get(metric) is not None]
    text = ", ".join(f"{r.label} {comparison.cell(r, metric)}" for r in with_value)
    st.altair_chart(chart, alt=f"{metric} with 95 % intervals: {text}")
    if any(r.kind == "oracle" for r in with_value):
        st.caption(
            "Oracles, in grey, rank films by the truth behind these generated data: oracle:all by all of it, the best"
            " that any model could reach, the others by one part of it. The dashed line is popularity."
        )
    if metric == "ndcg@10":
        st.caption("Two models whose intervals overlap can still differ significantly: see Paired test.")
    return chart


def groups_view(rows: list[Row], metric: str, dataset: Dataset) -> alt.TopLevelMixin | None:
    """Where a model is good and where it is not."""
    able = [r for r in rows if any(metric in g for g in r.result["groups"].values())]
    if not able:
        st.info(f"No result has {metric} by groups.", icon=":material/category:")
        return None
    left, right = st.columns([1, 2])
    known = FAMILIES | {f"By {name}": f"{name} " for name in dataset.interactions.features}
    families = [
        f
        for f, start in known.items()
        if any(g.startswith(start) and metric in v for r in able for g, v in r.result["groups"].items())
    ]
    size = {
        f: len({g for r in able for g, v in r.result["groups"].items() if g.startswith(known[f]) and metric in v})
        for f in families
    }
    telling = next((f for f in families if size[f] > 1), families[0])
    family = left.selectbox("Groups of", families, index=families.index(telling), key=f"family.{dataset.name}.{metric}")
    labels = [r.label for r in able]
    sign = 1 if metrics.metric(metric).better == "lower" else -1
    best = sorted(
        (r for r in able if r.result["metrics"].get(metric) is not None),
        key=lambda r: sign * r.result["metrics"][metric],
    )
    usual = [
        r.label for r in best if r.kind != "oracle" and r.model != "random" and r.result.get("fraction", 1.0) == 1.0
    ][:5]
    chosen = right.multiselect("Models", labels, default=usual, max_selections=MOST, key=f"group_models.{dataset.name}")
    start = known[family]
    of = ("rows",) if metric in {"rmse", "mae", "mse"} or ":" in metric else ("users", "films")
    lines = []
    for row in (r for r in able if r.label in chosen):
        for name, group in row.result["groups"].items():
            if name.startswith(start) and group.get(metric) is not None:
                low, high = (group.get("intervals") or {}).get(metric) or (None, None)
                n = next((group[k] for k in of if k in group), 0)
                lines.append(
                    {
                        "group": f"{short_name(name)} ~ n = {n:,}",
                        "name": name,
                        "model": row.label,
                        "value": group[metric],
                        "low": low,
                        "high": high,
                        "n": n,
                    }
                )
    data = pd.DataFrame(lines)
    if data.empty:
        st.info("Choose a model above.", icon=":material/touch_app:")
        return None
    order = list(dict.fromkeys(data["group"]))
    chart = charts.groups(data, metric, order)
    st.altair_chart(chart, alt=f"{metric} of {', '.join(chosen)} by group")
    st.caption(
        "n: people, liked films or ratings in the group. Whiskers: 95 % intervals (normal approximation); groups of few"
        " are wide."
    )
    with st.expander("The same as a table"):
        wide = data.pivot_table("value", "name", "model", sort=False).rename_axis("Group")
        st.dataframe(wide.style.format("{:.4f}", na_rep="–"))
    return chart


def short_name(name: str) -> str:
    """A group's name without what its family says already."""
    for lead in ("user with ", "film with ", "genre ", "decade ", "films without a "):
        if name.startswith(lead):
            return ("no " if lead == "films without a " else "") + name.removeprefix(lead).replace(
                " training ratings", " in training"
            ).replace(" ratings", "")
    return name.split(" (")[0]


def curves_view(rows: list[Row], metric: str, dataset: Dataset) -> alt.TopLevelMixin | None:
    """Validation scores while they learned."""
    learned = {r.label: run.epochs() for r in rows if (run := training_of(r)) is not None}
    watched = [m for m in ("ndcg@10", "rmse", "log_loss") if any(m in e for es in learned.values() for e in es)]
    if not watched:
        st.info(
            "Closed forms have no learning curves; train a gradient model such as bpr.", icon=":material/show_chart:"
        )
        return None
    mine = metric if metric in watched else watched[0]
    if mine != metric:
        st.caption(f"Models watch {', '.join(watched)} while they train; this shows {mine}.")
    curves = {name: epochs for name, epochs in learned.items() if any(mine in e for e in epochs)}
    chart = charts.learning(dict(list(curves.items())[:MOST]), mine)
    if chart is not None:
        st.altair_chart(chart, alt=f"Validation {mine} by epoch of {', '.join(curves)}")
        st.caption("On validation rows, on which early stopping chooses: never compare these with test figures.")
        replayed(rows, dataset)
        others = {name: epochs[0]["judged"] for name, epochs in curves.items() if epochs[0].get("judged")}
        if others:
            ways = "; ".join(f"{layout.escape(name)} {judged}" for name, judged in others.items())
            st.caption(
                f"Not all curves are of one kind: {ways}; the others by full ranking, static. Their heights tell"
                " nothing of each other."
            )
    return chart


def replayed(rows: list[Row], dataset: Dataset) -> None:
    """Links to the replays of training runs that kept snapshots."""
    kept = [run for row in rows if (run := training_of(row)) is not None and (run.folder / "snapshots").is_dir()]
    with st.container(horizontal=True):
        for run in kept[:MOST]:
            link = {"dataset": dataset.name, "view": "Training replay", "run": run.id}
            st.page_link(
                layout.page("inside"),
                label=f"Replay {run.params['model']}",
                icon=":material/movie:",
                query_params=link,
            )


def training_of(row: Row) -> runs.Run | None:
    """The training behind a result; ``None`` for an oracle, or where its folder was deleted."""
    try:
        return runs.get(row.trained) if row.trained else None
    except MMRecError:
        return None


def cost_view(rows: list[Row], metric: str, dataset: Dataset) -> alt.TopLevelMixin | None:
    """What quality costs."""
    what = st.segmented_control(
        "Cost",
        [*cost_chart.COSTS],
        format_func=lambda c: cost_chart.COSTS[c][0],
        default="fit",
        required=True,
        key="cost",
    )
    chart = cost_chart.cost(rows, metric, what or "fit")
    if chart is None:
        st.info("No result tells this cost.", icon=":material/payments:")
        return None
    st.altair_chart(chart, alt=f"{metric} against {cost_chart.COSTS[what or 'fit'][0].lower()}")
    st.caption(
        "The dashed line joins the models that no other beats in both: the Pareto front. Measured on the machine that"
        " trained them."
    )
    return chart


def parallel_view(rows: list[Row], metric: str, dataset: Dataset) -> alt.TopLevelMixin | None:
    """Many models over many metrics at once."""
    able = [r for r in rows if r.kind != "oracle"]
    wanted = (
        "ndcg@10",
        "recall@10",
        "auc",
        "mrr",
        "coverage@10",
        "novelty@10",
        "diversity@10",
        "miscalibration@10",
        "rmse",
    )
    names = [n for n in wanted if sum(r.result["metrics"].get(n) is not None for r in able) > 1]
    if len(names) < 2:
        st.info("These models share no two metrics.", icon=":material/info:")
        return None
    chart = charts.parallel(able, names)
    st.altair_chart(chart, alt=f"Parallel coordinates of {', '.join(r.label for r in able)} over {', '.join(names)}")
    st.caption(
        "Each axis runs from the worst to the best of these models, up is better on all. Choose a name in the legend to"
        " follow one line."
    )
    return chart


def seeds_view(rows: list[Row], metric: str, dataset: Dataset) -> alt.TopLevelMixin | None:
    """The same training under several seeds."""
    lines = [t for t in over_seeds(rows, metric) if len(t["seeds"]) > 1]
    if not lines:
        st.info(
            f"No model has {metric} under several seeds. Train one again with another seed.", icon=":material/casino:"
        )
        return None
    data = pd.DataFrame(
        {
            "Model": [t["label"] for t in lines],
            f"Mean {charts.arrow(metric)}": [comparison.figure(t["mean"], t["interval"]) for t in lines],
            "Seeds": [", ".join(map(str, t["seeds"])) for t in lines],
            "Each": [", ".join(f"{v:.4f}" for v in t["values"]) for t in lines],
        }
    )
    st.dataframe(data, hide_index=True, height="content", alt=f"{metric} over seeds", key="seeds.table")
    st.caption(
        "Brackets: 95 % t-interval of the mean over seeds, on the same test rows. It says how much training runs"
        " differ, not how much people do."
    )
    return None


def beyond_accuracy(rows: list[Row]) -> None:
    """What the lists are like."""
    names = comparison.shown_metrics(rows, BEYOND)
    able = [r for r in rows if any(r.result["metrics"].get(n) is not None for n in names)]
    if not names or not able:
        return
    with st.container():
        st.subheader("Beyond accuracy: what the lists are like", anchor=False)
        data = {
            "Model": [r.label for r in able],
            **{charts.arrow(n): [comparison.cell(r, n) for r in able] for n in names},
        }
        st.dataframe(
            pd.DataFrame(data),
            hide_index=True,
            height="content",
            key="beyond",
            alt=f"Beyond accuracy: {', '.join(names)}",
            column_config={
                "Model": st.column_config.TextColumn(pinned=True),
                **{charts.arrow(n): st.column_config.TextColumn(help=metrics.metric(n).meaning) for n in names},
            },
        )
        st.caption(
            "Of everybody’s first ten films. None of these says whether the films are liked: a random list is diverse."
            " Groups shows each of them for users of mainstream and niche taste."
        )


def calibration_view(rows: list[Row], metric: str, dataset: Dataset) -> alt.TopLevelMixin | None:
    """Whether a predicted chance of 30 % comes true in 30 of 100 cases."""
    summary = {label for r in rows for label in r.result.get("calibration") or {}}
    label = metric.partition(":")[2]
    label = label if label in summary else sorted(summary)[0]
    able = [r for r in rows if label in (r.result.get("calibration") or {})][:MOST]
    chart = charts.calibration({r.label: r.result["calibration"][label] for r in able}, label)
    st.altair_chart(chart, alt=f"Predicted against observed share of {label} for {', '.join(r.label for r in able)}")
    st.caption(
        f"{label}: test rows in ten equal parts by predicted chance. On the dashed line predictions come true as often"
        " as they say; whiskers are 95 % intervals of the observed share."
    )
    return chart


def chart_downloads(chart: alt.TopLevelMixin, dataset: Dataset, key: Key, name: str) -> None:
    """The picture as PNG, SVG or PDF, with the evaluation setup below its title."""
    chart_export.chart_downloads(chart, f"{dataset.name}-{name}", dataset.name, str(key))
