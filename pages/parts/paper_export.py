"""Export of Compare's table for a paper: which models, metrics, baseline, decimals and format."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from mmrec_core.analysis import comparison
from mmrec_core.analysis import model_table_export as writers
from mmrec_core.analysis.cold_items import among_cold_items
from mmrec_core.analysis.comparison import Row, group_by_seed
from mmrec_core.analysis.model_table import known_metrics, model_table, usual_metrics
from mmrec_core.types import Dataset

MODELS, SEEDS, RUNS = "Models", "Each seed", "Every run"
CONTENTS = {
    MODELS: "One row per model: runs that differ only in their seed are averaged and tested against the baseline.",
    SEEDS: "Each training seed's values, with mean, standard deviation and interval.",
    RUNS: "One row a run, with intervals over users and costs.",
}
FORMATS = {
    "LaTeX": ("tex", "application/x-tex"),
    "CSV": ("csv", "text/csv"),
    "Markdown": ("md", "text/markdown"),
}


@dataclass(frozen=True)
class Choice:
    """What is exported, and how."""

    content: str
    models: tuple[str, ...]
    metrics: tuple[str, ...]
    baseline: str | None
    decimals: int
    differences: bool
    ending: str


@st.fragment
def paper_export(rows: list[Row], dataset: Dataset) -> None:
    """A button that opens the form; ``rows`` are results of one evaluation setup."""
    with st.popover("Export table", icon=":material/download:", type="tertiary", help="A table for a paper."):
        choice = _form(rows, dataset)
        if not choice.models or not choice.metrics:
            st.caption("Choose at least one model and one metric.")
            return
        st.download_button(
            "Download",
            data=lambda: table_file(rows, dataset, choice),
            file_name=f"{dataset.name}-{choice.content.lower().replace(' ', '-')}.{choice.ending}",
            mime=next(mime for ending, mime in FORMATS.values() if ending == choice.ending),
            key="export.download",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
        )


def _form(rows: list[Row], dataset: Dataset) -> Choice:
    groups = group_by_seed(rows)
    rows = among_cold_items(rows)
    labels = [g.label for g in groups]
    content = st.segmented_control("Rows", [*CONTENTS], default=MODELS, required=True, key="export.content") or MODELS
    st.caption(CONTENTS[content])
    models = st.multiselect("Models", labels, default=labels, key=f"export.models.{dataset.name}")
    metrics: list[str] = usual_metrics(rows)
    baseline, differences, decimals = None, True, 4
    if content != RUNS:
        metrics = st.multiselect(
            "Metrics",
            known_metrics(rows),
            default=metrics,
            format_func=writers.column,
            key=f"export.metrics.{dataset.name}",
        )
    if content == MODELS:
        able = [g.label for g in groups if g.kind != "oracle"]
        first = next((at for at, g in enumerate(groups) if g.rows[0].model == "popularity"), 0)
        baseline = st.selectbox(
            "Baseline",
            able,
            index=able.index(labels[first]) if labels[first] in able else 0,
            key=f"export.baseline.{dataset.name}",
            help="The others are tested against it: paired over users, with Holm's correction for the models.",
        )
        differences = st.toggle(
            "Differences and p-values", True, key="export.differences", help="Two columns beside each metric."
        )
    kind = st.segmented_control("Format", [*FORMATS], default="LaTeX", required=True, key="export.format") or "LaTeX"
    if kind != "CSV" and content != RUNS:
        decimals = (
            st.segmented_control("Decimals", [*writers.DECIMALS], default=4, required=True, key="export.decimals") or 4
        )
    return Choice(content, tuple(models), tuple(metrics), baseline, decimals, differences, FORMATS[kind][0])


def table_file(rows: list[Row], dataset: Dataset, choice: Choice) -> str:
    """The content of the exported file.

    Raises:
        MMRecError: a model, metric or baseline that the results do not have.
    """
    if choice.content == RUNS:
        chosen = [row for g in group_by_seed(rows) if g.label in choice.models for row in g.rows]
        ordered = sorted(
            chosen, key=lambda r: (r.kind != "ranking", r.kind, -(r.result["metrics"].get("ndcg@10") or 0))
        )
        if choice.ending == "csv":
            return comparison.as_csv(ordered)
        write = comparison.as_latex if choice.ending == "tex" else comparison.as_markdown
        return write(ordered, dataset)
    every = set(choice.models) == {g.label for g in group_by_seed(rows)}
    table = model_table(
        dataset,
        among_cold_items(rows),
        metrics=choice.metrics,
        baseline=choice.baseline,
        models=None if every else choice.models,
    )
    if choice.content == SEEDS:
        return writers.seed_export(table, choice.ending, choice.decimals)
    return writers.FORMATS[choice.ending](table, choice.decimals, choice.differences)
