"""Paired comparison, on Compare: how far apart, how sure, where, and on whom."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from mmrec_core.analysis import comparison, paired
from mmrec_core.analysis.comparison import Row
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import charts, layout, links, paired_cases


def choose_pair(by: dict[str, Row]) -> tuple[str, str]:
    """Two results, by label; the two with the highest NDCG@10 where nobody chose. Call it in a horizontal container."""
    best = sorted(
        (r for r in by.values() if r.kind != "oracle"), key=lambda r: -(r.result["metrics"].get("ndcg@10") or 0)
    )
    first = best[0].label if best else next(iter(by))
    second = next(n for n in (*(r.label for r in best), *by) if n != first)
    for key in ("pair_a", "pair_b"):
        if st.session_state.get(key) not in by:
            st.session_state.pop(key, None)
    a = st.selectbox("Model", [*by], index=[*by].index(first), key="pair_a", bind="query-params", width=260)
    b = st.selectbox("Compared with", [*by], index=[*by].index(second), key="pair_b", bind="query-params", width=260)
    return a, b


def disagreements(rows: list[Row], dataset: Dataset) -> None:
    """Choose two results; see the films and the users on whom they differ most."""
    by = {r.label: r for r in rows if r.kind != "oracle" and comparison.values(r)}
    if len(by) < 2:
        st.info("Two evaluated models are needed to see where they disagree.", icon=":material/info:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        a, b = choose_pair(by)
    if a == b:
        st.info("Choose two different models.", icon=":material/touch_app:")
        return
    paired_cases.largest(dataset, by[a], by[b])


def paired_comparison(rows: list[Row], dataset: Dataset) -> None:
    """Choose two results; see their paired comparison."""
    able = [r for r in rows if comparison.values(r)]
    if len(able) < 2:
        return
    st.subheader("Paired comparison", anchor=False)
    by = {r.label: r for r in able}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        a, b = choose_pair(by)
        names = paired.metrics_of([by[a], by[b]])
        metric = st.selectbox(
            "Metric",
            names,
            key="pair_metric",
            bind="query-params",
            format_func=charts.metric_name,
            width=190,
            help="Figures that both have for every user.",
        )
    if a == b:
        st.info("Choose two different models.", icon=":material/touch_app:")
        return
    if not names:
        st.info(
            "These two have no figure per user in common: one ranks films, the other predicts stars only.",
            icon=":material/info:",
        )
        return
    try:
        found = compared(dataset.name, by[a].run.id, by[b].run.id, metric, dataset, by[a], by[b])
    except MMRecError as error:
        layout.show_error(error)
        return
    rivals = [r for r in able if r.kind != "oracle" and r.label != b] + [by[a]] * (by[a].kind == "oracle")
    sure = comparison.paired_with(rivals, by[b], metric).get(by[a].run.id, found.summary)
    result_in_words(found, sure, a, b, metric, sure.get("tests", 1))
    left, right = st.columns(2)
    with left:
        st.altair_chart(
            charts.differences(found.difference.tolist(), a, b, metric),
            alt=f"Histogram of per-user differences in {metric} of {a} and {b}",
        )
    with right:
        if found.groups:
            st.altair_chart(
                charts.group_differences(found.groups, a, b, metric), alt=f"Difference in {metric} by group of people"
            )
    users_who_differ(found, dataset, by[a], by[b], metric)


@st.cache_data(max_entries=64, show_spinner="Comparing user by user …")
def compared(name: str, a: str, b: str, metric: str, _dataset: Dataset, _a: Row, _b: Row) -> paired.Pair:
    """Kept as long as the runs are the same."""
    return paired.pair(_dataset, _a, _b, metric)


def result_in_words(found: paired.Pair, sure: dict[str, Any], a: str, b: str, metric: str, tests: int) -> None:
    """The figures, each with what it means."""
    text = found.summary
    low, high = text["interval"]
    lower = charts.lower_is_better(metric)
    wins, losses = (text["losses"], text["wins"]) if lower else (text["wins"], text["losses"])
    with st.container(horizontal=True):
        st.metric(
            f"{charts.metric_name(metric)}: mean difference",
            f"{text['difference']:+.4f}",
            border=True,
            help=f"Mean over {text['users']:,} people of {a} minus {b}.",
        )
        st.metric(
            "95 % interval",
            f"{low:+.3f} … {high:+.3f}",
            border=True,
            help="Paired bootstrap over people, 2,000 resamples. Where it holds zero, neither is shown to be better.",
        )
        st.metric(
            "p",
            format_p_value(text["p"]),
            border=True,
            help=(
                "Permutation test: how often a difference this large comes up if each user’s two values are swapped"
                " at random (10,000 times)."
            ),
        )
        st.metric(
            f"Holm-adjusted p ({tests} comparison{'s' if tests != 1 else ''})",
            format_p_value(sure.get("p_holm", text["p"]), bound=text["p"] <= LEAST_P),
            border=True,
            help=(
                f"The same, raised because {tests} models are compared with {b} at once: one in twenty would come out"
                " below 0.05 by chance."
            ),
        )
        st.metric(
            "Better / same / worse",
            f"{wins:,} / {text['ties']:,} / {losses:,}",
            border=True,
            help=f"People whom {a} serves better than, the same as, and worse than {b}.",
        )


LEAST_P = 0.0001
"""10,000 permutations tell nothing below it."""


def format_p_value(p: float, bound: bool = False) -> str:
    """A p-value; ``bound`` if it is computed from one that is only known to be at most :data:`LEAST_P`."""
    text = f"{max(p, LEAST_P):.4f}"
    return f"≤ {text}" if bound or p <= LEAST_P else text


def users_who_differ(found: paired.Pair, dataset: Dataset, a: Row, b: Row, metric: str) -> None:
    """The users behind the mean."""
    better, worse = found.extremes()
    if charts.lower_is_better(metric):
        better, worse = worse, better
    events = dataset.interactions
    if events.user is None:
        return
    raw = dataset.users.raw
    with st.expander("Users on whom the two differ most: open their lists side by side", icon=":material/groups:"):
        for title, places in ((f"{a.label} is better", better), (f"{b.label} is better", worse)):
            st.markdown(f"**{layout.escape(title)}**")
            if not len(places):
                st.caption("Nobody.")
                continue
            table = pd.DataFrame(
                {
                    "User": [str(raw[u]) for u in found.users[places]],
                    a.label: found.a[places],
                    b.label: found.b[places],
                    "Difference": found.difference[places],
                    "Open": [links.person(dataset, str(raw[u]), a.label, b.label) for u in found.users[places]],
                }
            )
            st.dataframe(
                table,
                hide_index=True,
                height="content",
                key=f"whom.{title[:20]}",
                alt=title,
                column_config={
                    "Open": st.column_config.LinkColumn(
                        display_text="see both lists", help="The user’s history and what both models recommend."
                    ),
                    **{c: st.column_config.NumberColumn(format="%.4f") for c in (a.label, b.label, "Difference")},
                },
            )
