"""Runs that an earlier version trained (``saved_runs``, written before the package was divided) load, compare and
resume today."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mmrec_core import runs
from mmrec_core.analysis import comparison
from mmrec_core.data import preparation
from mmrec_core.jobs import worker
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset

SAVED = Path(__file__).parent / "saved_runs"
EXPECTED: dict[str, Any] = json.loads((SAVED / "expected.json").read_text())
"""What the version that trained them printed."""


@pytest.fixture
def dataset(home: Path, ratings_csv: Path) -> Dataset:
    """The dataset they were trained on, prepared anew, and the runs in its home."""
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    for folder in SAVED.iterdir():
        if folder.is_dir():
            shutil.copytree(folder, home / "runs" / folder.name)
    return preparation.open_dataset("mine")


@pytest.mark.parametrize("model", ["mf", "ease", "sasrec", "tgn"])
def test_a_saved_model_recommends_the_same(dataset: Dataset, model: str) -> None:
    saved = EXPECTED[model]
    answer = recommender.recommend_known(runs.get(saved["id"]), dataset, 3, 5)
    assert answer.items.tolist() == saved["items"]
    assert answer.scores.tolist() == pytest.approx(saved["scores"], rel=1e-5)


def test_saved_results_stand_beside_new_ones(dataset: Dataset) -> None:
    """The same training today has the same figures and is the same row of the same comparison."""
    again = worker.work(runs.create("train", runs.training_params("mine", "ease")).id, foreground=True)
    rows = comparison.rows(dataset)
    assert {row.model for row in rows} == {"mf", "ease", "sasrec", "tgn"}
    assert len({row.key for row in rows}) == 1
    newest = next(row for row in rows if row.model == "ease")
    assert newest.run.id == again.id
    for name, value in EXPECTED["ease"]["metrics"].items():
        assert newest.result["metrics"][name] == pytest.approx(value, abs=1e-6), name


def test_an_interrupted_training_is_resumed(dataset: Dataset) -> None:
    """From the checkpoint of the earlier version to the figures of one that was never interrupted."""
    run = runs.get(EXPECTED["stopped"]["id"])
    assert run.has_checkpoint
    runs.resume(run.id, background=False)
    done = worker.work(run.id, foreground=True)
    assert done.status == "finished"
    result = done.result()
    assert result is not None
    for name, value in EXPECTED["whole"]["metrics"].items():
        assert result["metrics"][name] == pytest.approx(value, abs=1e-6), name


def test_defaults_of_before_and_of_now_are_the_same_settings(dataset: Dataset) -> None:
    """Earlier versions recorded only what differed from the defaults; now every setting is recorded."""
    saved = runs.get(EXPECTED["mf"]["id"])
    assert (saved.result() or {}).get("options") is None
    asked = {k: v for k, v in saved.params.items() if k not in {"dataset", "model"}}
    again = worker.work(runs.create("train", runs.training_params("mine", "mf", **asked)).id, foreground=True)
    result = again.result() or {}
    assert result["options"] == saved.params["options"]
    assert result["settings"]["weight_decay"] == 0.0 and set(result["options"]) < set(result["settings"])
    own = [row for row in comparison.rows(dataset) if row.model == "mf" and row.result["seed"] == saved.params["seed"]]
    same = [row for row in own if row.description == comparison.row_of(saved, saved.result() or {}).description]
    assert [row.run.id for row in same] == [again.id], "the newer of two training runs with the same settings"


def test_a_default_that_changed_makes_another_result() -> None:
    """A recorded setting is compared with today's default, not with the one of its time."""
    result = {"settings": {"l2": 500.0, "other": 1}, "options": {}}
    assert comparison.changed_settings(result, {"l2": 500.0}) == {}
    assert comparison.changed_settings(result, {"l2": 300.0}) == {"l2": 500.0}
    assert comparison.changed_settings({"settings": {"l2": 300.0}, "options": {"l2": 300.0}}, {"l2": 300.0}) == {}
    assert comparison.changed_settings({"settings": {"l2": 10.0}}, {"l2": 500.0}) == {"l2": 10.0}
