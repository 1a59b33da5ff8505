"""Searching good settings: the space, the planted optimum, validation alone, stopping and going on, child runs."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrec_core import registry, runs
from mmrec_core.data import preparation
from mmrec_core.data.preparation import open_dataset
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import tracking, worker
from mmrec_core.tuning import search_space, sweep

PLANTED = '''
"""As good as its settings are near to a planted place."""
import torch
from mmrec_core.config import Config, setting
from mmrec_core.models._base import Model, fallback_sources
from mmrec_core.types import Head, UserState

class Planted(Model):
    """Predicts a constant, the worse the farther its settings are from x = .3, y = .01, way = b."""
    needs = frozenset({"ids", "rating"})
    class Config(Config):
        """Three settings."""
        x: float = setting(0.9, "a share", ge=0.0, le=1.0)
        y: float = setting(0.2, "counted by powers", ge=1e-4, le=1.0, log=True)
        steps: int = setting(1, "makes no difference", ge=1, le=9)
    @classmethod
    def heads(cls, config, schema):
        return (Head("rating", "rating"),)
    def fit(self, train, progress=None):
        self.mark_known(train.interactions)
        c = self.config
        if c.steps == 9:
            raise ValueError("nine steps are too many")
        off = 10 * abs(c.x - 0.3) + 2 * abs(torch.log10(torch.tensor(c.y)) + 2)
        self.register_buffer("mean", torch.tensor(float(train.interactions.rating.mean())))
        self.register_buffer("off", off)
    def predict(self, batch):
        return (self.mean + self.off * (1 - 2 * (batch["item"] % 2)))[:, None]
    def gather_users(self, user):
        return {"none": torch.zeros(len(user), 0)}
    def score_states(self, state, items=None):
        return torch.zeros(len(state["none"]), self.schema.n_items if items is None else len(items))
    def fold_in(self, histories):
        return UserState(self.gather_users(torch.zeros(len(histories))), fallback_sources(len(histories)))
'''


@pytest.fixture
def mine(home: Path, ratings_csv: Path) -> Any:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return open_dataset("mine")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "plugins" / "models"
    room.mkdir(parents=True)
    (room / "planted.py").write_text(PLANTED, encoding="utf-8")
    monkeypatch.setenv("MMREC_PLUGINS", str(room.parent))


# The space


@pytest.mark.parametrize("model", sorted(registry.builtin("models")))
def test_a_space_lies_within_the_config_and_around_its_default(model: str) -> None:
    schema = registry.schema("models", model)
    known = {**schema["config"].get("properties", {}), **schema.get("train", {}).get("properties", {})}
    for name, found in search_space.searchable(model).items():
        if found.kind == "choice":
            assert found.default in found.values
            continue
        assert found.low is not None and found.high is not None and found.low < found.high
        assert known[name]["minimum"] <= found.low and found.high <= known[name]["maximum"]
        assert found.default == 0 or found.low <= found.default <= found.high
        assert not found.log or found.low > 0
        cls = registry.load("models", model)
        values = {name: found.inside(found.low)}, {name: found.inside(found.high)}
        for value in values:  # both ends pass the model's own checks
            (registry.config("models", model, value) if name in cls.Config.model_fields else cls.train_config(value))


def test_a_space_by_hand() -> None:
    found = {d.name: d for d in search_space.space("sasrec", ["lr=1e-4:1e-2", "loss=bce|ce", "dim=16|32", "dropout"])}
    assert (found["lr"].low, found["lr"].high, found["lr"].log) == (1e-4, 1e-2, True)
    assert found["loss"].values == ("bce", "ce") and found["dim"].values == (16, 32)
    assert (found["dropout"].low, found["dropout"].high) == (0.0, 0.9)
    assert found["dim"].inside(64) == 16 and found["lr"].inside(1.0) == 1e-2
    for wrong in ("lr=1e-2:1e-4", "lr=a:b", "lr=1e-9:1", "loss=bce|hinge", "dim=0|32", "nothing", "lr=5"):
        with pytest.raises(MMRecError):
            search_space.space("sasrec", [wrong])
    with pytest.raises(MMRecError, match="twice"):
        search_space.space("sasrec", ["lr", "lr"])
    with pytest.raises(MMRecError, match="no setting to tune"):
        search_space.space("popularity")


def test_what_a_search_refuses(mine: Any) -> None:
    with pytest.raises(MMRecError, match="both set and tuned"):
        sweep.params("mine", "mf", over=["lr"], options={"lr": 0.1})
    with pytest.raises(MMRecError, match="--trials"):
        sweep.params("mine", "mf", trials=0)
    with pytest.raises(MMRecError, match="metric"):
        sweep.params("mine", "mf", metric="beauty")
    with pytest.raises(MMRecError, match="cannot be evaluated by rmse"):
        sweep.params("mine", "bpr", metric="rmse")
    with pytest.raises(MMRecError, match="--minutes"):
        sweep.params("mine", "mf", minutes=0)


# What a trial sees


@pytest.mark.parametrize("model", ["mf", "itemknn"])
def test_a_trial_never_sees_a_test_row(mine: Any, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the test ratings are, every score is the same."""
    tune = pytest.importorskip("ray.tune")
    monkeypatch.setattr(tune, "get_context", lambda: type("Here", (), {"get_trial_id": staticmethod(lambda: "one")}))
    asked = sweep.params("mine", model, options={"max_epochs": 3} if model == "mf" else {})
    lines: list[list[float]] = []
    for worse in (False, True):
        dataset = open_dataset("mine")
        if worse:
            rows = make_split(dataset, "user-temporal", 0).test
            rating = np.array(dataset.interactions.rating)
            rating[rows] = 5.5 - rating[rows]
            vars(dataset)["interactions"] = replace(dataset.interactions, rating=rating)
        monkeypatch.setattr("mmrec_core.data.preparation.open_dataset", lambda name, dataset=dataset: dataset)
        scores: list[float] = []
        monkeypatch.setattr(tune, "report", lambda found, scores=scores: scores.append(found["score"]))
        sweep._try({}, asked=asked, metric="rmse" if model == "mf" else "ndcg@10", folder=str(tmp_path / str(worse)))
        lines.append(scores)
    assert lines[0] and lines[0] == lines[1]


# Searches


def test_it_finds_a_planted_optimum(mine: Any, planted: None) -> None:
    pytest.importorskip("ray")
    asked = sweep.params("mine", "planted", trials=40, over=["x", "y=1e-4:1"], seed=1)
    run = worker.work(runs.create("tune", asked).id, foreground=True)
    result = run.result()
    assert result is not None and result["trials"] == 40
    found = sweep.trials_of(run)
    assert found[0].options == {"x": 0.9, "y": 0.2}, "the first trial is the usual settings"
    assert abs(result["best"]["options"]["x"] - 0.3) < 0.07 and abs(np.log10(result["best"]["options"]["y"]) + 2) < 0.4
    assert result["best"]["score"] == min(t.score for t in found if t.score is not None)
    winner = runs.get(result["winner"])
    assert (
        winner.kind == "train" and winner.status == "finished" and winner.params["options"] == result["best"]["options"]
    )
    assert (winner.result() or {})["metrics"]["rmse"] == result["metrics"]["rmse"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_stopped_half_way_it_keeps_what_it_learned_and_goes_on(mine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    asked = sweep.params(
        "mine", "mf", trials=8, over=["dim=2:16", "lr"], options={"max_epochs": 40, "patience": 0, "checkpoint_s": 0.5}
    )
    asked["options"] |= {"patience": 40}
    run = runs.start("tune", asked)
    until = time.time() + 240
    while sum(t.status in {"finished", "stopped early"} for t in sweep.trials_of(run)) < 2:
        assert time.time() < until and runs.get(run.id).status in runs.LIVE, run.log_tail()
        time.sleep(0.1)
    runs.stop(run.id)
    runs.queue._wait_for_end(run)
    run = runs.get(run.id)
    assert run.status == "stopped"
    before = {t.id: t for t in sweep.trials_of(run) if t.status in {"finished", "stopped early"}}
    assert 2 <= len(before) < 8 and run.record.get("winner") is None
    runs.resume(run.id)
    while runs.get(run.id).status in runs.LIVE:
        assert time.time() < until + 240
        time.sleep(0.2)
    run = runs.get(run.id)
    assert run.status == "finished", run.log_tail()
    after = sweep.trials_of(run)
    assert len(after) == 8 and {t.status for t in after} <= {"finished", "stopped early"}
    for trial in after:
        assert trial.score is not None and trial.id not in before or before[trial.id].curve == trial.curve
    while (run.folder / "tune").exists() or (run.folder / "trials").exists():  # cleared after the end is written down
        assert time.time() < until + 240
        time.sleep(0.1)

    assert tracking.mirror() == 2 and tracking.mirror() == 0
    client = mlflow.MlflowClient(tracking_uri=tracking.store())
    info = client.search_runs([client.get_experiment_by_name("mmrec/mine").experiment_id])
    parent = next(r for r in info if r.data.tags["mmrec.kind"] == "tune")
    children = [r for r in info if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 8 and {c.info.status for c in children} == {"FINISHED"}
    one = next(c for c in children if c.data.tags["mmrec.run"].endswith(after[0].id))
    assert one.data.metrics["validation rmse"] == pytest.approx(after[0].curve[-1])
    assert parent.data.tags["mmrec.winner"] == run.result()["winner"]  # type: ignore[index]


def test_time_is_a_bound_and_a_trial_that_fails_hurts_no_other(mine: Any, planted: None) -> None:
    pytest.importorskip("ray")
    asked = sweep.params("mine", "planted", trials=6, over=["steps=9|1", "x"])
    run = worker.work(runs.create("tune", asked).id, foreground=True)
    found = sweep.trials_of(run)
    bad = [t for t in found if t.options["steps"] == 9]
    assert bad and all(t.status == "failed" and t.score is None and "nine steps" in str(t.error) for t in bad)
    assert all(t.status == "finished" and t.score is not None for t in found if t not in bad)
    assert (run.result() or {})["ended"] == {"failed": len(bad), "finished": 6 - len(bad)}
    assert sweep.as_csv(run).count("\n") == 7
    asked = sweep.params(
        "mine", "mf", trials=500, over=["lr"], minutes=0.001, options={"max_epochs": 500, "patience": 400}
    )
    with pytest.raises(MMRecError, match="more minutes"):
        worker.work(runs.create("tune", asked).id, foreground=True)
