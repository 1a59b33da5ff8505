"""The Train and Compare pages as the app runs them, and what Compare rests on."""

from __future__ import annotations

import csv
import io
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from mmrec_core import registry, runs
from mmrec_core.analysis import comparison
from mmrec_core.data import preparation
from mmrec_core.jobs import worker
from mmrec_core.types import Dataset
from pages.parts.model_pictures import PICTURES
from tests.test_pages import app, choose_model, component, model_cards, text


@pytest.fixture
def mine(home: Path, ratings_csv: Path) -> Dataset:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return preparation.open_dataset("mine")


def trained(model: str, **asked: Any) -> runs.Run:
    return worker.work(runs.create("train", runs.training_params("mine", model, **asked)).id, foreground=True)


def press(page: AppTest, label: str) -> AppTest:
    return next(b for b in page.button if b.label == label).click().run()


def wait_for_all(seconds: float = 120) -> None:
    end = time.time() + seconds
    while any(r.status in runs.LIVE for r in runs.all_runs()):
        assert time.time() < end
        time.sleep(0.2)


# Train


def test_the_form_is_the_config(mine: Dataset) -> None:
    shown = app("train")
    assert not shown.exception and "New run" in text(shown)
    labels = {w.label for w in [*shown.number_input, *shown.selectbox, *shown.toggle]}
    assert {
        "dim",
        "L2 regularisation",
        "learning rate (lr)",
        "max epochs (epochs)",
        "batch size (rows)",
        "learning-rate schedule",
        "precision",
        "Split",
        "Seed",
    } <= labels
    helps = [w.help for w in shown.number_input if w.label == "dim"]
    assert helps and "From 1 to 1024" in helps[0]


def test_models_are_grouped_by_the_family_that_they_declare(
    mine: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with a drawing of its own; a plugin's family stands after them, and a plugin that declares none is other."""
    (tmp_path / "plugins" / "models").mkdir(parents=True)
    for name, declared in (("mine_own", '    family = "diffusion"\n'), ("plain", "")):
        (tmp_path / "plugins" / "models" / f"{name}.py").write_text(
            "from mmrec_core.models.popularity import Popularity\nfrom mmrec_core.models._base import Model\n\n\n"
            f'class Own({"Popularity" if declared else "Model"}):\n    """A model of our own."""\n\n{declared}'
        )
    monkeypatch.setenv("MMREC_PLUGINS", str(tmp_path / "plugins"))
    shown = app("train")
    assert not shown.exception
    cards = model_cards(shown)
    assert {cards[n]["family"] for n in ("sasrec_multimodal", "mmgcn", "mm_tgn")} == {"multimodal"}
    assert cards["svdpp"]["family"] == "matrix factorisation" and cards["itemknn"]["family"] == "item-item"
    assert cards["mine_own"]["family"] == "diffusion" and cards["plain"]["family"] == "other"
    assert cards["mine_own"]["line"] == "A model of our own."
    names = [family["name"] for family in component(shown, "model..cards")["families"]]
    assert names == [*PICTURES, "diffusion", "other"], "every family of the package has a drawing"
    assert set(PICTURES) == {registry.schema("models", n)["family"] for n in registry.builtin("models")}


def test_a_start_says_beside_its_button_what_was_queued(mine: Dataset) -> None:
    shown = choose_model(app("train"), "itemknn")
    press(shown, "Start training")
    first = runs.all_runs()[0]
    line = next(m.value for m in shown.markdown if "Train mine · itemknn" in m.value and "See it" in m.value)
    assert "with popularity, ease" in line
    assert f"(#job-{first.id})" in line and any(f'id="job-{first.id}"' in h.proto.body for h in shown.get("html"))
    wait_for_all()
    shown.run()
    assert any(m.value.endswith(f"(#job-{first.id})") and "**Finished:**" in m.value for m in shown.markdown)


def test_a_start_is_one_run_however_often_it_is_pressed(mine: Dataset) -> None:
    one, other = app("train"), app("train")
    for shown in (one, other):
        choose_model(shown, "bpr")
        next(w for w in shown.number_input if w.label == "max epochs (epochs)").set_value(7).run()
        next(t for t in shown.toggle if t.label == "Also train baselines").set_value(False).run()
    press(press(one, "Start training"), "Start training")
    press(other, "Start training")
    started = [r for r in runs.all_runs() if r.kind == "train"]
    assert len(started) == 1 and started[0].params["options"] == {"max_epochs": 7}
    wait_for_all()
    assert runs.get(started[0].id).status == "finished", runs.get(started[0].id).log_tail()


def test_baselines_come_along(mine: Dataset, workers_here: None) -> None:
    shown = app("train")
    choose_model(shown, "itemknn")
    press(shown, "Start training")
    assert not shown.exception
    assert [r.params["model"] for r in runs.all_runs()] == ["itemknn", "popularity", "ease"]
    assert {r.status for r in runs.all_runs()} == {"finished"}


def test_settings_of_an_earlier_run_fill_the_form(mine: Dataset) -> None:
    run = trained("mf", seed=3, options={"dim": 12, "max_epochs": 2, "device": "cpu"})
    shown = app("train", like=run.id, begin=run.id)
    values = {w.label: w.value for w in shown.number_input}
    assert values["dim"] == 12 and values["max epochs (epochs)"] == 2 and values["Seed"] == 3
    assert next(s for s in shown.selectbox if s.label == "Start from the weights of run").value == run.id
    assert not app("train", like="no-such-run").exception


def test_a_failed_run_shows_cause_and_log_and_can_be_resumed(mine: Dataset) -> None:
    run = runs.create("train", runs.training_params("mine", "mf"))
    runs.update(run, status="failed", error="Training diverged in epoch 3 (the loss is nan).", ended=time.time())
    (run.folder / "log.txt").write_text("the last words\n")
    shown = app("train")
    assert "diverged" in text(shown) and any("the last words" in c.value for c in shown.code)
    assert any(b.label in {"Resume", "Start again"} for b in shown.button)


def test_what_the_data_lack_is_said(home: Path, tmp_path: Path) -> None:
    (tmp_path / "clicks.csv").write_text(
        "user,item\n" + "\n".join(f"{u},{i}" for u in range(20) for i in range(12) if (u + i) % 3)
    )
    preparation.prepare(
        "csv",
        source=tmp_path / "clicks.csv",
        name="clicks",
        options={"user": "user", "item": "item", "rating": "", "time": ""},
    )
    shown = app("train")
    assert not shown.exception
    cards = model_cards(shown)
    assert cards["mf"]["lacks"] == "These data lack rating" and cards["bpr"]["lacks"] == ""
    assert "user-temporal" not in next(s for s in shown.selectbox if s.label == "Split").options


def test_what_wants_encoding_first_is_told_apart(home: Path, shared_home: Path, demo: Dataset) -> None:
    """A model of plots and posters is not "not for these data" where the films have both."""
    shutil.copytree(
        shared_home / "datasets" / "demo", home / "datasets" / "demo", ignore=shutil.ignore_patterns("features")
    )
    shown = app("train")
    cards = model_cards(shown)
    assert not shown.exception and cards["gbdt"]["lacks"] == "These data lack labels"
    assert cards["mm_tgn"]["lacks"] == "Encode plots or posters first"


# Compare


def test_compare_without_results_says_what_to_do(mine: Dataset) -> None:
    shown = app("compare")
    assert "Nothing has been evaluated" in text(shown) and any(b.label == "Train baseline models" for b in shown.button)


def test_tables_by_head_with_baselines_in_each(mine: Dataset) -> None:
    for model in ("popularity", "ease", "bias"):
        trained(model)
    shown = app("compare")
    assert not shown.exception and not shown.error
    ranking, rating = (frame.value for frame in shown.dataframe[:2])
    assert set(ranking["Model"]) == {"popularity", "ease"} and "RMSE ↓" not in ranking
    assert set(rating["Model"]) == {
        "bias",
        "popularity",
        "ease",
    } and "films are sorted by predicted stars" in text(shown)
    cell = ranking.set_index("Model").loc["ease", "NDCG@10 ↑"]
    result = runs.finished(mine)["ease"].result()
    assert result is not None and cell.lstrip("★☆ ").startswith(
        f"{result['metrics']['ndcg@10']:.3f} [{result['intervals']['ndcg@10'][0]:.3f}"
    )
    assert ranking.set_index("Model").loc["popularity", "NDCG@10 − popularity"] == "baseline"


def test_a_missing_baseline_is_asked_for(mine: Dataset, workers_here: None) -> None:
    trained("itemknn")
    shown = app("compare")
    assert "Without popularity and ease nobody can tell" in text(shown)
    press(shown, "Fit popularity and ease")
    assert {"popularity", "ease"} <= set(runs.finished(mine))


def test_what_cannot_be_ranked_together_is_kept_apart_and_can_be_judged_again(
    mine: Dataset, workers_here: None
) -> None:
    trained("popularity")
    trained("ease")
    trained("itemknn", protocol="sampled:10")
    trained("bias", split="random:80-10-10")
    shown = app("compare")
    assert "2 results of other evaluation setups cannot be" in text(shown)
    assert all("itemknn" not in set(frame.value.get("Model", ())) for frame in shown.dataframe)
    shown = app("compare", part="Protocols")
    said = text(shown)
    assert "differs in protocol sampled:10" in said and "differs in split random:80-10-10 (seed 0)" in said
    assert all("itemknn" not in set(frame.value.get("Model", ())) for frame in shown.dataframe)
    press(shown, "Evaluate it as above")
    again = app("compare")
    assert "itemknn" in set(again.dataframe[0].value["Model"]), "judged anew, it stands with the others"
    labels = [b.label for b in app("compare", part="Protocols").button]
    assert "Train it on this split" in labels and "Evaluate it as above" not in labels


@pytest.mark.parametrize(
    "part", ["Overview", "Disagreements", "Paired test", "Groups", "Protocols", "Ablations", "Cost", "Beyond accuracy"]
)
def test_every_section_is_drawn_or_says_why_not(mine: Dataset, part: str) -> None:
    trained("popularity")
    trained("ease")
    shown = app("compare", part=part)
    assert not shown.exception and not shown.error
    trained("bpr", options={"max_epochs": 3, "device": "cpu"})
    for view in {"Overview": ("Intervals", "Parallel coordinates"), "Cost": ("Cost", "Learning curves")}.get(
        part, ("",)
    ):
        assert not app("compare", part=part, view=view).exception


def test_results_of_data_prepared_anew_do_not_mix(mine: Dataset, ratings_csv: Path) -> None:
    trained("popularity")
    lines = ratings_csv.read_text().splitlines()
    ratings_csv.write_text("\n".join(lines[:-5]) + "\n")
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    now = preparation.open_dataset("mine")
    assert comparison.rows(now) == [] and [r.params["model"] for r in comparison.outdated(now)] == ["popularity"]


def test_labels_tell_what_is_unusual(mine: Dataset) -> None:
    trained("mf", seed=2, fraction=0.5, options={"dim": 4, "max_epochs": 2, "device": "cpu"})
    (row,) = comparison.rows(mine)
    assert row.label == "mf (dim=4, max_epochs=2, seed 2, 50% of rows)" and row.kind == "rating"


def test_exports_hold_the_figures_and_what_they_rest_on(mine: Dataset) -> None:
    trained("popularity")
    trained("bias")
    rows = comparison.rows(mine)
    table = list(csv.DictReader(io.StringIO(comparison.as_csv(rows))))
    assert {r["model"] for r in table} == {"popularity", "bias"}
    result = runs.finished(mine)["popularity"].result()
    assert result is not None
    mine_row = next(r for r in table if r["model"] == "popularity")
    assert float(mine_row["ndcg@10"]) == result["metrics"]["ndcg@10"] and mine_row["rmse"] == ""
    assert mine_row["split_checksum"] == result["split_checksum"] and float(mine_row["ndcg@10_low"]) <= float(
        mine_row["ndcg@10"]
    )
    marked = comparison.as_markdown(rows, mine)
    assert marked.count("\n| ") == 2 and "user-temporal (seed 0)" in marked and "RMSE" not in marked.splitlines()[1]
    latex = comparison.as_latex(rows, mine)
    assert r"\begin{tabular}" in latex and latex.count(r"\\") == 3 and "rmse $\\downarrow$" in latex


def test_the_pareto_front_by_hand() -> None:
    cost, quality = [5, 1, 3, 3, 10], [0.5, 0.2, 0.4, 0.3, 0.5]
    assert comparison.pareto(cost, quality) == [1, 2, 0]


def test_the_oracles_are_named_as_they_answer(demo: Dataset) -> None:
    from mmrec_core.data.splits import make_split

    reader = registry.load("datasets", demo.manifest["reader"])
    assert set(reader.oracle_names) == set(reader.oracles(demo, make_split(demo, "user-temporal")))


def test_live_curves_send_few_points() -> None:
    from pages.parts.run_card import POINTS, thin

    events = [{"epoch": at} for at in range(10_001)]
    kept = thin(events)
    assert len(kept) <= POINTS and kept[-1] == events[-1] and thin([]) == []
