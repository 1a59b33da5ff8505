"""The table of a paper: averages over seeds, tests against a baseline, and its exports."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrec_core import storage
from mmrec_core.analysis import comparison, text_table
from mmrec_core.analysis import model_table_export as export
from mmrec_core.analysis.comparison import Key, Row, group_by_seed
from mmrec_core.analysis.model_table import model_table
from mmrec_core.analysis.seed_variance import t_interval
from mmrec_core.analysis.text_table import Cell, TextTable
from mmrec_core.errors import MMRecError
from mmrec_core.jobs.tasks import _write_arrays
from mmrec_core.runs import Run
from mmrec_core.stats import holm, paired
from mmrec_core.types import Dataset

KEY = Key("user-temporal", 0, "c0ffee", None, 3.5, "full", "frozen")
USERS = 200


@pytest.fixture
def results(home: Path, demo: Dataset) -> list[Row]:
    """Three models with three seeds each, and popularity once; per-user values with known differences."""
    rng = np.random.default_rng(0)
    ease = rng.uniform(0.2, 0.6, USERS)
    means = {"ease": ease, "bpr": ease - 0.0002 * rng.standard_normal(USERS), "mf": ease - 0.1}
    found = [_row("popularity", 0, ease - 0.15 + 0.01 * rng.standard_normal(USERS))]
    for model, values in means.items():
        noise = 0.0 if model == "ease" else 0.01
        found += [_row(model, seed, values + noise * rng.standard_normal(USERS)) for seed in (1, 2, 3)]
    return comparison.named(found)


def _row(model: str, seed: int, values: np.ndarray, key: Key = KEY, **more: Any) -> Row:
    run = Run(storage.open_home() / "runs" / f"{model}-{seed}", {"kind": "train", "status": "finished", "params": {}})
    run.folder.mkdir(parents=True, exist_ok=True)
    _write_arrays(run.folder / "per_query.npz", {"user": np.arange(len(values)), "ndcg@10": values})
    mean = float(values.mean())
    result = {
        "run": run.id, "model": model, "heads": ["ranking"], "seed": seed, "settings": {}, "modality": None,
        "metrics": {"ndcg@10": mean, "coverage@10": 0.5}, "intervals": {"ndcg@10": (mean - 0.02, mean + 0.03)}, **more,
    }  # fmt: skip
    return Row(key, run, result)


def test_seeds_are_averaged_and_counted_as_one_model(results: list[Row], demo: Dataset) -> None:
    table = model_table(demo, results, metrics=["ndcg@10"], baseline="popularity")
    assert [g.label for g in table.groups] == ["ease", "bpr", "mf", "popularity"]
    by = {g.label: g for g in table.groups}
    values = [row.result["metrics"]["ndcg@10"] for row in by["bpr"].rows]
    found = table.get(by["bpr"], "ndcg@10")
    assert found is not None and found.value == pytest.approx(np.mean(values)) and found.seeds == 3
    assert found.interval == pytest.approx(t_interval(values)) and by["bpr"].seeds == [1, 2, 3]
    single = table.get(by["popularity"], "ndcg@10")
    assert single is not None and single.half_width is None and single.against is None
    assert single.interval == results[0].result["intervals"]["ndcg@10"]
    # p-values: users' values averaged over seeds, and three tests, not nine
    stored = [comparison.values(row)["ndcg@10"] for row in by["bpr"].rows]
    mean = {u: float(np.mean([own[u] for own in stored])) for u in range(USERS)}
    plain = paired(mean, comparison.values(results[0])["ndcg@10"])
    assert found.against is not None and found.against["p"] == plain["p"]
    assert found.against["difference"] == pytest.approx(plain["difference"])
    every = [table.get(by[name], "ndcg@10") for name in ("ease", "bpr", "mf")]
    adjusted = holm([e.against["p"] for e in every if e is not None and e.against])
    assert [e.against["p_holm"] for e in every if e is not None and e.against] == adjusted
    assert table.tests("ndcg@10") == 3


def test_holm_of_runs_counts_models_not_seeds(results: list[Row]) -> None:
    """Nine runs of three models are three tests; a baseline's other seeds are none."""
    found = comparison.paired_with(results, results[0])
    assert len(found) == 9 and {pair["tests"] for pair in found.values()} == {3}
    pair = found["mf-2"]
    others = []
    for model in ("ease", "bpr"):
        stored = [comparison.values(row)["ndcg@10"] for row in results if row.model == model]
        others.append(paired(comparison.mean_by_user(stored), comparison.values(results[0])["ndcg@10"])["p"])
    assert pair["p_holm"] == holm([pair["p"], *others])[0]
    among_own = comparison.paired_with(results, results[4])  # bpr, seed 1
    assert {run: pair["tests"] for run, pair in among_own.items()} == {
        "popularity-0": 3, "bpr-2": 4, "bpr-3": 4, **{f"{m}-{s}": 3 for m in ("ease", "mf") for s in (1, 2, 3)},
    }  # fmt: skip


def test_best_and_what_does_not_differ_from_it(results: list[Row], demo: Dataset) -> None:
    table = model_table(demo, results, metrics=["ndcg@10"])
    marks = {g.label: e for g in table.groups if (e := table.get(g, "ndcg@10"))}
    assert marks["ease"].best and not marks["ease"].tied
    assert marks["bpr"].tied and not marks["bpr"].best
    assert not marks["mf"].tied and not marks["popularity"].tied
    assert {name: e.sign(False) for name, e in marks.items()} == {"ease": "+", "bpr": "+", "mf": "+", "popularity": ""}
    other = model_table(demo, results, metrics=["ndcg@10"], baseline="ease")
    signs = {g.label: e.sign(False) for g in other.groups if (e := other.get(g, "ndcg@10"))}
    assert signs == {"ease": "", "bpr": "", "mf": "−", "popularity": "−"}


def test_rows_and_metrics_can_be_chosen(results: list[Row], demo: Dataset) -> None:
    table = model_table(demo, results, metrics=["coverage@10"], models=["mf", "ease"], baseline=None)
    assert [g.label for g in table.groups] == ["mf", "ease"] and table.metrics == ("coverage@10",)
    assert table.tests("coverage@10") == 0
    with pytest.raises(MMRecError, match="Did you mean 'ease'"):
        model_table(demo, results, models=["eaze"])
    with pytest.raises(MMRecError, match="ndcg@10"):
        model_table(demo, results, metrics=["ndcg@5"])
    with pytest.raises(MMRecError, match="Unknown model"):
        model_table(demo, results, baseline="sasrec")


def test_other_settings_and_setups_are_not_averaged(results: list[Row], demo: Dataset) -> None:
    wide = _row("mf", 4, np.full(USERS, 0.3), settings={"dim": 128})
    groups = group_by_seed([*results, wide])
    assert [g.label for g in groups] == ["popularity", "ease", "bpr", "mf", "mf (dim=128)"]
    elsewhere = _row("mf", 5, np.full(USERS, 0.3), Key("user-temporal", 1, "beef", None, 3.5, "full", "frozen"))
    with pytest.raises(MMRecError, match="evaluated differently"):
        model_table(demo, [*results, elsewhere])
    narrow = _row("mf", 5, np.full(USERS, 0.3), settings={"dim": 8})
    others = [row for row in results if row.model != "mf"]
    with pytest.raises(MMRecError, match="names several models"):
        model_table(demo, [*others, wide, narrow], baseline="mf")


def test_latex_holds_values_marks_and_the_whole_setup(results: list[Row], demo: Dataset) -> None:
    table = model_table(demo, results, metrics=["ndcg@10", "coverage@10"])
    text = export.as_latex(table)
    lines = text.splitlines()
    best = next(line for line in lines if line.startswith("ease &"))
    assert rf"\textbf{{{table.estimates['ease', 'ndcg@10'].value:.4f}}}$^{{+}}$" in best and r"$\pm$" in best
    assert r"$<$~0.001" in best
    tied = next(line for line in lines if line.startswith("bpr &"))
    assert rf"\underline{{{table.estimates['bpr', 'ndcg@10'].value:.4f}}}" in tied
    single = next(line for line in lines if line.startswith("popularity &"))
    assert "[" in single and single.count("& --") >= 2
    caption = next(line for line in lines if line.startswith(r"\caption"))
    said = (
        "demo", "user-temporal", "split seed 0", "Protocol: full", "regime static", "Candidates: all", "no candidates",
        "3.5 or more", "t interval over training seeds (1, 2, 3)", "bootstrap interval over users", "than popularity",
        "permutation test", "200 users", "Holm", "the 3 models", "Bold: best", "Underlined", "fitted on training rows",
        "Generated data", "Coverage@10",
    )  # fmt: skip
    assert [part for part in said if part not in caption] == []
    assert r"\toprule" in text and text.count(r"\begin{tabular}{lrrrr}") == 1
    assert "c0ffee" in text and "ease-1" in text  # comments: where it comes from
    three = export.as_latex(table, 3, differences=False)
    assert f"{table.estimates['mf', 'ndcg@10'].value:.3f}" in three and r"\begin{tabular}{lrr}" in three


def test_other_forms_hold_the_same_figures(results: list[Row], demo: Dataset) -> None:
    table = model_table(demo, results, metrics=["ndcg@10"])
    read = {r["model"]: r for r in csv.DictReader(io.StringIO(export.as_csv(table)))}
    estimate = table.estimates["mf", "ndcg@10"]
    assert float(read["mf"]["value"]) == estimate.value and read["mf"]["seeds"] == "1 2 3"
    assert estimate.against is not None and float(read["mf"]["p_holm"]) == estimate.against["p_holm"]
    assert read["mf"]["tests"] == "3" and read["popularity"]["interval_kind"] == "bootstrap over users"
    assert read["ease"]["best"] == "True" and read["bpr"]["tied_with_best"] == "True"
    marked = export.as_markdown(table)
    assert f"**{table.estimates['ease', 'ndcg@10'].value:.4f}**+" in marked and "<u>" in marked
    assert marked.count("\n| ") == 4 and "Split: user-temporal" in marked


def test_seed_table(results: list[Row], demo: Dataset) -> None:
    table = model_table(demo, results, metrics=["ndcg@10"])
    read = list(csv.DictReader(io.StringIO(export.seed_export(table, "csv"))))
    assert [(r["model"], r["seed"]) for r in read if r["model"] == "mf"] == [("mf", "1"), ("mf", "2"), ("mf", "3")]
    latex = export.seed_export(table, "tex")
    assert "Seed 2" in latex and "by training seed" in latex and latex.count(r"\\") == 1 + 4
    assert "Seed 0" in latex and export.seed_export(table, "md").count("\n| ") == 4


def test_what_latex_would_read_as_commands_is_escaped() -> None:
    assert text_table.escape(r"a_b & 50% #1 $x$ {y} ~z ^ \w <b> ± −") == (
        r"a\_b \& 50\% \#1 \$x\$ \{y\} \textasciitilde{}z \textasciicircum{} \textbackslash{}w $<$b$>$ $\pm$ $-$"
    )
    table = TextTable(["Model"], [[Cell("mf_50%")]], "100 % & more", "a_b c", ["one\ntwo"])
    text = text_table.as_latex(table)
    assert r"mf\_50\%" in text and r"100 \% \& more" in text and "tab:a-b-c" in text and "% one two" in text
    assert r"a\|b" in text_table.as_markdown(TextTable(["a|b"], [[Cell("c")]], "d", "e"))
