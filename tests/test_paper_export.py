"""Exports of Compare for papers: the table's form, and charts as files."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mmrec_core.analysis import comparison
from mmrec_core.data import preparation
from mmrec_core.types import Dataset
from pages.parts import charts, paper_export
from pages.parts.chart_export import WIDTH, picture, prepared
from pages.parts.paper_export import Choice
from tests.test_pages import app
from tests.test_train_and_compare import trained

LONG = "dlrm_multimodal with a name as long as names of results can be, number"


@pytest.fixture
def mine(home: Any, ratings_csv: Any) -> Dataset:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return preparation.open_dataset("mine")


def _size(svg: bytes) -> tuple[float, float]:
    found = re.search(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found is not None
    return float(found[1]), float(found[2])


def test_an_exported_learning_curve_has_the_plot_in_its_middle() -> None:
    """Long names break the legend into columns instead of widening the picture; nothing is cut."""
    epochs = [{"epoch": at, "ndcg@10": 0.01 * at} for at in range(5)]
    chart = charts.learning({f"{LONG} {at}": epochs for at in range(6)}, "ndcg@10")
    assert chart is not None
    setup = "user-temporal (seed 0) · relevant: 3.5 or more · full ranking · frozen · fitted on training rows"
    svg = picture(chart, "svg", "mine", setup)
    wide, high = _size(svg)
    assert WIDTH < wide < WIDTH * 1.25 and high > 280
    words = svg.decode()
    assert all(f"{LONG} {at}" in words for at in range(6)) and "…" not in words
    assert setup.split(" · ")[0] in words and "fitted on training rows" in words
    assert picture(chart, "pdf", "mine", setup).startswith(b"%PDF")
    assert picture(chart, "png").startswith(b"\x89PNG")
    assert "title" not in prepared(chart)


def test_labels_of_models_are_whole_in_pictures(mine: Dataset) -> None:
    trained("popularity")
    trained("ease")
    rows = comparison.rows(mine)
    comparison.rename(rows, rows[0], LONG[:40].strip())
    chart = charts.intervals(comparison.rows(mine), "ndcg@10")
    assert LONG[:40].strip() in picture(chart, "svg").decode()


def test_compare_exports_the_chosen_table(mine: Dataset) -> None:
    for seed in (1, 2):
        for model in ("popularity", "ease", "itemknn"):
            trained(model, seed=seed)
    page = app("compare", dataset="mine")
    assert not page.exception
    models = next(w for w in page.multiselect if w.label == "Models")
    assert models.value == ["popularity", "ease", "itemknn"]
    assert next(w for w in page.selectbox if w.label == "Baseline").value == "popularity"
    assert next(w for w in page.multiselect if w.label == "Metrics").value[0] == "ndcg@10"
    rows = comparison.rows(mine)
    choice = Choice(paper_export.MODELS, ("ease", "itemknn"), ("ndcg@10",), "itemknn", 3, True, "tex")
    text = paper_export.table_file(rows, mine, choice)
    assert "training seeds (1, 2)" in text and "than itemknn" in text and "popularity" not in text
    assert re.search(r"\d\.\d{3}\b", text) and r"\begin{tabular}{lrrr}" in text
    seeds = Choice(paper_export.SEEDS, ("ease",), ("ndcg@10",), None, 4, True, "md")
    assert "Seed 2" in paper_export.table_file(rows, mine, seeds)
    runs = Choice(paper_export.RUNS, ("ease",), (), None, 4, True, "csv")
    assert paper_export.table_file(rows, mine, runs).count("\n") == 3
