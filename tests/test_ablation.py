"""Ablations: the arms, reuse of finished training runs, means over seeds and their intervals."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec_core import features, registry, runs, storage
from mmrec_core.analysis import ablation, comparison
from mmrec_core.analysis.cold_items import among_cold_items
from mmrec_core.data.preparation import open_dataset, prepare
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.subgroups import COLD_GROUP
from mmrec_core.jobs import worker
from mmrec_core.training.fit import fit
from mmrec_core.types import Dataset, Query
from tests.models.test_contract import _ratings_csv
from tests.test_pages import app, text

QUICK = {"options": {"max_epochs": 1, "patience": 0, "device": "cpu"}}


@pytest.fixture
def films(home: Path, tmp_path: Path) -> Dataset:
    """A small set with plots, encoded."""
    prepare("csv", source=_ratings_csv(tmp_path), name="films", options={"scale": "0.5:5", "items": "films.csv"})
    features.encode(open_dataset("films"), "classic")
    return open_dataset("films")


def test_arms_are_what_can_differ(films: Dataset) -> None:
    """Fusions only where there are two modalities to fuse; encoders only where any is read."""
    levels = ablation.varied(films, "dlrm_multimodal", ["features", "fusion"])
    assert levels == {
        "features": ["ids", "text"],
        "fusion": ["concat", "mlp", "film", "gated"],
    }  # these films have no posters
    levels["features"] = ["ids", "text", "image", "both"]
    labels = [arm.label for arm in ablation.arms(levels)]
    assert labels[:3] == ["features=ids", "features=text", "features=image"] and len(labels) == 7
    assert ablation.varied(films, "svdpp", ["history", "dim=4:8"]) == {"history": ["true", "false"], "dim": ["4", "8"]}
    asked = ablation.arms(levels)[0].params({"options": {"lr": 0.1}})
    assert asked["modality"] == "none" and asked["options"] == {"lr": 0.1}


@pytest.mark.parametrize(
    ("model", "over", "said"),
    [
        ("svdpp", "features", "reads neither plots nor posters"),
        ("svdpp", "dim", "which values"),
        ("svdpp", "nonsense", "Unknown setting to vary"),
        ("dlrm_multimodal", "dim=" + ":".join(map(str, range(2, 70))), "arms"),
    ],
)
def test_what_cannot_be_varied_is_refused(films: Dataset, model: str, over: str, said: str) -> None:
    with pytest.raises(MMRecError, match=said):
        ablation.plan(films, model, [over], [1], QUICK)


def test_table_of_an_ablation(films: Dataset) -> None:
    """Means over seeds, paired differences to the first arm, reuse of finished training runs, exports."""
    name = ablation.save(films, "svdpp", ["history"], [1, 2], QUICK)
    study = ablation.load(name)
    assert ablation.table(study)["done"] == 0
    worker.work_all([cell["params"] for cell in study["cells"][:2]])
    half = ablation.table(study)
    assert (half["done"], half["total"]) == (2, 4) and not half["rows"][1]["metrics"]
    worker.work_all([c["params"] for c, r in zip(study["cells"], ablation.runs_of(study), strict=True) if r is None])
    before = len(runs.all_runs())
    assert ablation.start(study) == 0 and len(runs.all_runs()) == before
    found = ablation.table(study)
    for row in found["rows"]:
        own = [(runs.get(r).result() or {})["metrics"]["rmse"] for r in row["runs"]]
        assert row["metrics"]["rmse"] == pytest.approx(np.mean(own)) and row["spread"]["rmse"] == pytest.approx(
            np.std(own, ddof=1)
        )
        low, high = row["intervals"]["rmse"]
        assert low < row["metrics"]["rmse"] < high
    pair = found["rows"][1]["paired"]["rmse"]
    assert (
        found["base"] == "history=true"
        and pair["users"] > 10
        and pair["interval"][0] <= pair["difference"] <= pair["interval"][1]
    )
    csv = ablation.as_csv(found).splitlines()
    assert len(csv) == 3 and "history=false" in csv[2] and f"{found['rows'][1]['metrics']['rmse']}" in csv[2]
    assert "history=false" in ablation.as_markdown(found)
    assert ablation.save(films, "svdpp", ["history"], [1, 2], QUICK) == name


def test_latex_of_an_ablation_says_its_whole_setup(films: Dataset) -> None:
    """Encoder, width, settings, epochs, threshold and regime; tests against the base arm, arms averaged over seeds."""
    base = {"options": {"max_epochs": 1, "patience": 0, "device": "cpu", "dim": 4}, "encoder": "classic"}
    study = ablation.load(ablation.save(films, "dlrm_multimodal", ["features"], [1, 2], base))
    with pytest.raises(MMRecError, match="is finished yet"):
        ablation.as_latex(study)
    worker.work_all([cell["params"] for cell in study["cells"]])
    latex = ablation.as_latex(study)
    width = features.available(films)["classic"]["modality"]["text"]["width"]
    said = (
        "Ablation of dlrm\\_multimodal: features varied", f"Vectors: text by classic (width {width})", "dim=4",
        "max\\_epochs=1", "Trained for 1 epoch,", "Ratings of 3.5 or more", "regime static", "seeds (1, 2)",
        "than features=ids", "the 1 arm tested", "over arms", "split seed 0", "Candidates: all",
    )  # fmt: skip
    assert [part for part in said if part not in latex] == []
    assert latex.count("features=text &") == 1 and r"\toprule" in latex and "Arm & RMSE" in latex
    setup = ablation.table(study)["setup"]
    assert f"text by classic (width {width})" in setup and setup in ablation.as_markdown(ablation.table(study))


def test_an_ablation_of_cold_items_ranks_them_among_themselves(films: Dataset) -> None:
    """Among all films a model of ids finds no cold film, so every arm had 0; differences are of the same figures."""
    base = {**QUICK, "split": "cold-item"}
    study = ablation.load(ablation.save(films, "bpr", ["dim=4:8"], [1], base))
    worker.work_all([cell["params"] for cell in study["cells"]])
    found = ablation.table(study)
    for row in found["rows"]:
        result = runs.get(row["runs"][0]).result() or {}
        group = result["groups"][COLD_GROUP]
        assert row["metrics"]["ndcg@10"] == pytest.approx(group["ndcg@10"]) and group["ndcg@10"] > 0
        assert result["metrics"]["ndcg@10"] < group["ndcg@10"]
    first, second = (row["metrics"]["ndcg@10"] for row in found["rows"])
    pair = found["rows"][1]["paired"]["ndcg@10"]
    assert pair["difference"] == pytest.approx(second - first) and pair["users"] > 2
    assert "cold films" in found["setup"] and "ranked among themselves" in ablation.as_latex(study)
    trained = comparison.rows(films)
    assert comparison.values(trained[0]) != comparison.values(among_cold_items(trained)[0])
    assert "coverage@10" not in among_cold_items(trained)[0].result["metrics"]
    (trained[0].run.folder / "cold_items.npz").unlink()  # as in a result of an earlier version
    assert ablation.table(study)["rows"][1]["paired"] == {} and ablation.table(study)["rows"][0]["metrics"]["ndcg@10"]


def test_compare_shows_ablations(films: Dataset) -> None:
    """The form says what it would start; a finished ablation has its table."""
    study = ablation.load(ablation.save(films, "svdpp", ["counts"], [1], QUICK))
    worker.work_all([cell["params"] for cell in study["cells"]])
    page = app("compare", dataset="films", part="Ablations")
    assert not page.exception and "Ablations" in text(page)
    tables = [frame.value for frame in page.dataframe if "Arm" in frame.value.columns]
    assert tables and tables[0]["Arm"].tolist() == ["counts=true", "counts=false"]
    assert any(b.label.startswith("Start ") and "training runs" in b.label for b in page.button)


WIDTHS = {"like_qwen2+like_siglip": (1536, 1152), "like_mpnet+like_clip": (768, 768), "like_imagebind": (1024, 1024)}
"""As wide as MM-TGN's sota, baseline and ImageBind features."""


def test_each_arm_of_encoders_reads_its_own_file(films: Dataset, tmp_path: Path) -> None:
    """MM-TGN's ablation C as a command: the arms differ in the vectors they read. The vectors are random, so
    figures are looked at nowhere."""
    raw, rng = films.items.raw, np.random.default_rng(0)
    for pair, wide in WIDTHS.items():
        names = pair.split("+") * (2 if "+" not in pair else 1)
        for modality, name, width in zip(("text", "image"), names, wide, strict=True):
            (folder := tmp_path / name).mkdir(exist_ok=True)
            np.save(folder / f"films_{modality}_{name}.npy", rng.standard_normal((len(raw), width)).astype(np.float32))
            np.save(folder / f"films_{modality}_{name}_ids.npy", raw)
    for name in {n for pair in WIDTHS for n in pair.split("+")}:
        features.import_folder(films, tmp_path / name, name)
    over = ["encoder=" + ":".join(WIDTHS)]
    cells = ablation.plan(films, "mm_tgn", over, [1], {"split": "chronological:70-15-15", **QUICK})
    assert [c["arm"] for c in cells] == [{"encoder": pair} for pair in WIDTHS]
    split, sizes, scores = make_split(films, "chronological:70-15-15"), [], []
    for cell in cells:
        asked = cell["params"]
        how = {**asked["options"], "dim": 8, "fusion_width": 8}
        model = fit("mm_tgn", films, split, options=how, seed=1, encoder=asked["encoder"]).model
        sizes.append((model.content.width("text"), model.content.width("image")))
        scores.append(model.score_all(Query(np.arange(3))))
    assert sizes == list(WIDTHS.values())
    assert not any(torch.allclose(a, b) for a, b in itertools.combinations(scores, 2))


def test_memory_features_and_nodes_are_varied_together(films: Dataset) -> None:
    """MM-TGN's ablation D: every combination but for what cannot differ."""
    levels = ablation.varied(films, "mm_tgn", ["memory", "features", "nodes"])
    assert levels == {"memory": ["true", "false"], "features": ["ids", "text"], "nodes": ["ids", "none"]}
    assert len(ablation.arms(levels)) == 8


def test_an_arm_of_an_older_model_is_trained_again(films: Dataset, workers_here: None) -> None:
    """A finished training run counts as an arm only if its model is of today's version; so with pages."""
    known = ablation.load(ablation.save(films, "mf", ["dim=2:4"], [1], QUICK))
    assert ablation.start(known) == 2 and ablation.start(known) == 0
    first = ablation.runs_of(known)[0]
    assert first is not None
    file = first.folder / "model" / "config.json"
    config = storage.read_json(file)
    storage.write_json(file, {**config, "version": config["version"] - 1})
    assert first.is_of_older_model(registry.versions("models", ["mf"])) and ablation.runs_of(known)[0] is None
    assert runs.finished(films)["mf"].id != first.id
    assert ablation.start(known) == 1
