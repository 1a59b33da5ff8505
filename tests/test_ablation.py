"""Ablations: which arms there are, that done trainings are taken, that figures are means over seeds with honest intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmrec_core import ablation, features, runs, work
from mmrec_core.errors import MMRecError
from mmrec_core.preparation import open_dataset, prepare
from mmrec_core.types import Dataset
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
    asked = ablation.arms(levels)[0].asked({"options": {"lr": 0.1}})
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
    """Means over seeds; paired differences to the first arm; finished trainings are not done again; exports hold the figures."""
    name = ablation.save(films, "svdpp", ["history"], [1, 2], QUICK)
    told = ablation.load(name)
    assert ablation.table(told)["done"] == 0
    work.work_all([cell["params"] for cell in told["cells"][:2]])
    half = ablation.table(told)
    assert (half["done"], half["total"]) == (2, 4) and not half["rows"][1]["metrics"]
    work.work_all([c["params"] for c, r in zip(told["cells"], ablation.runs_of(told), strict=True) if r is None])
    before = len(runs.all_runs())
    assert ablation.start(told) == 0 and len(runs.all_runs()) == before
    found = ablation.table(told)
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


def test_compare_shows_ablations(films: Dataset) -> None:
    """The form says what it would start; a finished ablation has its table."""
    told = ablation.load(ablation.save(films, "svdpp", ["counts"], [1], QUICK))
    work.work_all([cell["params"] for cell in told["cells"]])
    page = app("compare", dataset="films")
    assert not page.exception and "Ablations" in text(page)
    tables = [frame.value for frame in page.dataframe if "Arm" in frame.value.columns]
    assert tables and tables[0]["Arm"].tolist() == ["counts=true", "counts=false"]
    assert any(b.label.startswith("Start ") and "trainings" in b.label for b in page.button)
