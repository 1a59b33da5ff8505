"""Ablations on Compare: choose what to vary, queue the training runs, see the table grow."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from mmrec_core import features, registry, runs
from mmrec_core.analysis import ablation, content_use
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import charts, layout
from pages.parts.chart_export import chart_downloads

USUAL_SEEDS = "1, 2, 3"


def ablations(dataset: Dataset, split: str) -> None:
    """The whole part: a form, and the ablations there are."""
    st.subheader("Ablations", anchor=False)
    st.caption(
        "One model trained with and without each thing, over several seeds: what counts, and how sure that is."
        " Training runs that have been done already are taken as they are."
    )
    with st.expander("New ablation", icon=":material/science:"):
        form(dataset, split)
    known = ablation.saved(dataset)
    if not known:
        return
    names = [info["id"] for info in known]
    chosen = st.selectbox(
        "Ablation",
        names,
        format_func=lambda n: called(next(t for t in known if t["id"] == n)),
        key=f"ablation.{dataset.name}",
    )
    show(next(t for t in known if t["id"] == chosen), dataset)


def called(summary: dict[str, Any]) -> str:
    """``dlrm_multimodal: features × fusion, cold-item, seeds 1, 2, 3``."""
    split = summary["cells"][0]["params"]["split"]
    return (
        f"{summary['model']}: {' × '.join(o.partition('=')[0] for o in summary['over'])}, {split}, seeds"
        f" {', '.join(map(str, summary['seeds']))}"
    )


def form(dataset: Dataset, split: str) -> None:
    """What to vary."""
    schemas = registry.schemas("models")
    able = [m for m in runs.usable_models(dataset) if choices(schemas[m])]
    if not able:
        st.info("No model that works on these data has anything to vary.", icon=":material/info:")
        return
    usual = next((m for m in able if "features" in choices(schemas[m])), able[0])
    model = st.selectbox("Model", able, index=able.index(usual), key="ablate.model")
    known = choices(schemas[model])
    start = [c for c in ("features", "fusion") if c in known] or known[:1]
    over = st.multiselect(
        "Vary",
        known,
        default=start,
        key=f"ablate.over.{model}",
        help=(
            "Every combination is an arm. features: ids alone, with plots, with posters, with both; where only one of"
            " them is read there is nothing to fuse. content: the encoder's vectors against the same ones shuffled"
            " among films, noise, one constant vector, and none."
        ),
    )
    with st.container(horizontal=True):
        seeds = st.text_input(
            "Seeds", USUAL_SEEDS, key="ablate.seeds", help="Of the model; each arm is trained once per seed."
        )
        how = st.text_input(
            "Split", split, key=f"ablate.split.{split}", help="As on Train, such as user-temporal or cold-item."
        )
        epochs = st.number_input("Epochs at most", 1, 1000, None, key="ablate.epochs", placeholder="usual")
        ready = list(features.available(dataset))
        reads = "features" in known
        encoder = (
            st.selectbox("Encoder", ready, key="ablate.encoder", disabled="encoder" in over)
            if reads and ready
            else None
        )
    if not over:
        st.caption("Choose what to vary.")
        return
    try:
        numbers = [int(s) for s in seeds.replace(" ", "").split(",") if s]
        base = {
            "split": how,
            "encoder": None if "encoder" in over else encoder,
            "options": {} if epochs is None else {"max_epochs": int(epochs)},
        }
        cells = ablation.plan(dataset, model, over, numbers, base)
    except ValueError:
        st.error("Seeds are whole numbers separated by commas, such as 1, 2, 3.", icon=":material/error:")
        return
    except MMRecError as error:
        layout.show_error(error)
        return
    arms = len(cells) // len(numbers)
    if st.button(
        f"Start {len(cells)} training runs ({arms} arms × {len(numbers)} seeds)",
        type="primary",
        icon=":material/play_arrow:",
        key="ablate.start",
    ):
        details = ablation.load(ablation.save(dataset, model, over, numbers, base))
        n = ablation.start(details)
        st.toast(
            f"{n} training{'s' if n != 1 else ''} queued, {len(cells) - n} done already.", icon=":material/science:"
        )
        st.rerun()


def choices(schema: dict[str, Any]) -> list[str]:
    """What a model has to vary: vectors it reads, switches, settings with few values."""
    reads = registry.reads_content(schema["needs"])
    known = schema["config"].get("properties", {})
    return (["features", "encoder", "content"] if reads else []) + [
        k for k, v in known.items() if v.get("type") == "boolean" or v.get("enum")
    ]


def show(summary: dict[str, Any], dataset: Dataset) -> None:
    """Table and picture of one ablation, as far as it has come."""
    found = ablation.table(summary)
    if found["done"] < found["total"]:
        left = st.container(horizontal=True, vertical_alignment="center")
        left.progress(found["done"] / found["total"], f"{found['done']} of {found['total']} training runs done")
        on_their_way = [r for r in ablation.runs_of(summary) if r is not None and r.status in runs.LIVE]
        if not on_their_way and left.button("Go on", icon=":material/play_arrow:", key="ablate.go_on"):
            ablation.start(summary)
            st.rerun()
    rows = [row for row in found["rows"] if row["metrics"]]
    if not rows:
        st.info("No training of this ablation is done yet; the table fills as they end.", icon=":material/hourglass:")
        return
    data: dict[str, list[Any]] = {"Arm": [r["arm"] for r in rows], "Seeds": [len(r["seeds"]) for r in rows]}
    for name in found["metrics"]:
        data[charts.arrow(name)] = [ablation.cell(r, name) for r in rows]
        if any(name in r["paired"] for r in rows):
            data[f"{name.upper()} − base"] = [ablation.difference(r, name) for r in rows]
    st.dataframe(
        pd.DataFrame(data),
        hide_index=True,
        height="content",
        placeholder="–",
        key="table.ablation",
        alt=f"Ablation of {summary['model']}: {', '.join(data['Arm'])}",
        column_config={"Arm": st.column_config.TextColumn(pinned=True)},
    )
    if sentence := content_use.verdict(summary):
        st.markdown(f"**{layout.escape(sentence)}**")
    st.caption(layout.escape(found["setup"]))
    st.caption(
        f"Base: {layout.escape(found['base'])}. Brackets: 95 % over users of values averaged over seeds; differences"
        " are paired by user (of RMSE: of mean squared errors). ▲ better, ▼ worse beyond the interval, ○ neither can"
        " be said."
    )
    metric = st.segmented_control(
        "Figure",
        found["metrics"],
        default=found["metrics"][0],
        format_func=charts.arrow,
        required=True,
        key=f"ablate.metric.{summary['id']}",
    )
    chart = picture(rows, metric or found["metrics"][0])
    if chart is not None:
        st.altair_chart(chart, alt=f"{metric} of each arm with 95 % intervals")
        chart_downloads(
            chart, f"{summary['id']}-{metric}", f"{dataset.name}: {summary['model']}", found["setup"], "ablate.picture"
        )
    layout.generated_note(dataset)
    with st.container(horizontal=True):
        for suffix, mime, body in (
            ("csv", "text/csv", ablation.as_csv(found)),
            ("md", "text/markdown", ablation.as_markdown(found)),
            ("tex", "application/x-tex", lambda: ablation.as_latex(summary)),
        ):
            st.download_button(
                suffix.upper(),
                data=body,
                file_name=f"{summary['id']}.{suffix}",
                mime=mime,
                key=f"ablate.{suffix}",
                icon=":material/download:",
                type="tertiary",
                on_click="ignore",
            )


def picture(rows: list[dict[str, Any]], metric: str) -> alt.LayerChart | None:
    """Arms in their order, a dot and an interval each; the base as a dashed line."""
    lines = [
        {
            "arm": r["arm"],
            "value": r["metrics"][metric],
            "low": (r["intervals"].get(metric) or [None, None])[0],
            "high": (r["intervals"].get(metric) or [None, None])[1],
        }
        for r in rows
        if metric in r["metrics"]
    ]
    if not lines:
        return None
    data = pd.DataFrame(lines)
    y = alt.Y("arm:N", sort=data["arm"].tolist(), title=None, axis=alt.Axis(labelLimit=260))
    tip = [
        "arm:N",
        alt.Tooltip("value:Q", format=".4f"),
        alt.Tooltip("low:Q", format=".4f"),
        alt.Tooltip("high:Q", format=".4f"),
    ]
    base = alt.Chart(data, height=alt.Step(26)).encode(y=y, tooltip=tip)
    bars = base.mark_rule(strokeWidth=2.5, color=charts.SERIES[0]).encode(
        x=alt.X("low:Q", title=charts.arrow(metric), scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6)),
        x2="high:Q",
    )
    dots = base.mark_point(size=90, filled=True, opacity=1, color=charts.SERIES[0]).encode(x="value:Q")
    line = alt.Chart(data.head(1)).mark_rule(strokeDash=[5, 4], color="#8C8C8C").encode(x="value:Q")
    return alt.layer(line, bars, dots)
