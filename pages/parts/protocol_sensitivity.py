"""The protocol lab on Compare: the same models, evaluated under other protocols, and how their order changes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from mmrec_core import metrics
from mmrec_core.analysis import protocol_sensitivity
from mmrec_core.analysis.comparison import Row, figure
from mmrec_core.analysis.protocol_sensitivity import WAYS, Cell
from mmrec_core.types import Dataset
from pages.parts import charts
from pages.parts.run_card import live_runs, start_these

METRICS = ("ndcg@10", "recall@10", "hr@10", "auc", "mrr")
MOST = 8


def protocol_sensitivity_view(found: list[Row], rows: list[Row], dataset: Dataset) -> None:
    """Choose models and a metric; evaluate what is missing; see the order change."""
    able = [
        r for r in rows if r.kind in {"ranking", "rating", "oracle"} and r.result["metrics"].get("ndcg@10") is not None
    ]
    if len(able) < 2:
        return
    st.subheader("Protocol lab", anchor=False)
    st.caption(
        "How much does the ranking of models depend on the protocol? The same models, evaluated under other protocols."
        " Every figure is computed, none is copied."
    )
    best = sorted((r for r in able if r.kind != "oracle"), key=lambda r: -r.result["metrics"]["ndcg@10"])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.multiselect(
            "Models",
            [r.label for r in able],
            default=[r.label for r in best[:6]],
            max_selections=MOST,
            key=f"lab.models.{dataset.name}",
        )
        metric = st.selectbox(
            "Metric", METRICS, key="lab_metric", bind="query-params", format_func=charts.arrow, width=190
        )
    names = [w.name for w in WAYS]
    ways = st.pills(
        "Protocol",
        names,
        default=names[:5],
        selection_mode="multi",
        key="lab.ways",
        help=" · ".join(f"**{w.name}**: {w.about}" for w in WAYS),
    )
    picked = [w for w in WAYS if w.name in (ways or [])]
    models = [r for r in able if r.label in chosen]
    if not picked or not models:
        st.info("Choose models and protocols.", icon=":material/touch_app:")
        return
    table = protocol_sensitivity.lab(dataset, found, models, metric, picked)
    missing = [c.wanted for cells in table.values() for c in cells.values() if c.wanted is not None]
    start_missing(missing)
    places = protocol_sensitivity.ranks(table, metric)
    chart_and_table(table, places, picked, metric)
    moved = [w.name for w in picked if any(w.name in p for p in places.values())]
    if len(moved) > 1:
        st.altair_chart(
            charts.bump(places, moved),
            alt="Ranks of the models by protocol: "
            + "; ".join(f"{m} {', '.join(f'{w} {p[w]}' for w in moved if w in p)}" for m, p in places.items()),
        )
        st.caption("A line that crosses another is a pair of models whose order depends on the protocol.")
    if any(w.protocol == "sampled:1" for w in picked):
        one_negative(found, models, dataset)


def start_missing(missing: list[tuple[str, dict[str, Any]]]) -> None:
    """A button for what has not been evaluated or trained yet."""
    live = [(r.kind, r.params) for r in live_runs()]
    waiting = [w for w in missing if w in live]
    due = [w for w in missing if w not in live]
    if waiting:
        st.caption(f":material/hourglass_empty: {len(waiting)} on their way; the table fills as they come in.")
    if not due:
        return
    trains = sum(kind == "train" for kind, _ in due)
    judges = len(due) - trains
    says = " and ".join([f"evaluate {judges}"] * (judges > 0) + [f"train {trains}"] * (trains > 0))
    if st.button(
        f"{says[:1].upper()}{says[1:]} in the background",
        icon=":material/gavel:",
        key="lab.ask",
        type="primary",
        help="Other candidates need another look at a trained model, another split a training run of its own.",
    ):
        start_these(due)


def chart_and_table(
    table: dict[str, dict[str, Cell]],
    places: dict[str, dict[str, int]],
    ways: list[protocol_sensitivity.Way],
    metric: str,
) -> None:
    """Models by ways: place, figure, interval."""
    data: dict[str, list[str]] = {"Model": [*table]}
    for way in ways:
        data[way.name] = [cell_text(cells[way.name], places[label].get(way.name)) for label, cells in table.items()]
    st.dataframe(
        pd.DataFrame(data),
        hide_index=True,
        height="content",
        key="lab.table",
        alt=f"{metric} by model and protocol",
        column_config={
            "Model": st.column_config.TextColumn(pinned=True),
            **{w.name: st.column_config.TextColumn(help=w.about) for w in ways},
        },
    )
    st.caption(
        f"{charts.arrow(metric)}: {metrics.metric(metric).meaning} In front: the model’s place. Brackets: 95 % over"
        " people. Figures of different columns answer different questions; only places may be compared across them,"
        " and they stand once a whole column is evaluated. Brackets hold the people, not the draw of films. Drawn films"
        " are ones a user never met; among every film are also those they met later and did not like, which is a"
        " little harder."
    )


def cell_text(cell: Cell, place: int | None) -> str:
    """``2.  0.0780 [0.0701, 0.0862]``."""
    if cell.value is None:
        return "not evaluated yet" if cell.wanted is not None else "–"
    return (f"{place}.  " if place is not None else "") + figure(cell.value, cell.interval)


def one_negative(found: list[Row], models: list[Row], dataset: Dataset) -> None:
    """With one film drawn, MRR is a line of AUC; see it happen."""
    pair = {
        name: protocol_sensitivity.lab(dataset, found, models, name, [w for w in WAYS if w.protocol == "sampled:1"])
        for name in ("auc", "mrr")
    }
    rows = [
        {"Model": label, "AUC": auc, "MRR": mrr, "(1 + AUC) / 2": (1 + auc) / 2}
        for label in pair["auc"]
        if (auc := pair["auc"][label]["1 sampled negative"].value) is not None
        and (mrr := pair["mrr"][label]["1 sampled negative"].value) is not None
    ]
    if rows:
        with st.expander(
            "The one-negative trap: MRR says nothing that AUC does not", icon=":material/warning:", expanded=True
        ):
            st.dataframe(
                pd.DataFrame(rows),
                hide_index=True,
                height="content",
                alt="AUC and MRR with one negative",
                column_config={
                    c: st.column_config.NumberColumn(format="%.6f") for c in ("AUC", "MRR", "(1 + AUC) / 2")
                },
            )
            st.caption(
                "Against one film the liked one is first or second: reciprocal rank 1 or ½, a tie between them ¾ on"
                " average. So the mean is (1 + AUC) / 2, and no model can fall below .5."
            )
