"""The package at a notebook: train, ask in raw ids, bring arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmrec_core
from mmrec_core import runs
from mmrec_core.api import fit
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker


def test_train_and_ask_in_raw_ids(home: Path, ratings_csv: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    trained = mmrec_core.train("mine", "mf", seed=1, dim=8, max_epochs=3, device="cpu")
    assert trained.metrics["rmse"] == trained.result["metrics"]["rmse"] and trained.run.params["seed"] == 1
    assert list(trained.curve()["epoch"]) == [0, 1, 2] and trained.model.config.dim == 8
    table = pd.read_csv(ratings_csv)
    pairs = list(zip(table["userId"], table["movieId"], strict=True))[:5]
    scores = trained.batch_predict(pairs)
    assert scores.shape == (5,) and trained.predict(*pairs[3]) == pytest.approx(scores[3]) and (scores >= 0.5).all()
    best = trained.recommend(1, top_k=4)
    rated = set(table.loc[table["userId"] == 1, "movieId"])
    assert len(best) == 4 and not rated & set(best["item"]) and (np.diff(best["score"]) <= 0).all()
    assert not {3, 4} & set(trained.recommend_to({3: 5, 4: 1}, top_k=4)["item"])
    with pytest.raises(MMRecError, match="no setting"):
        mmrec_core.train("mine", "mf", layers=3)
    with pytest.raises(MMRecError):
        trained.predict(999, 1)


def test_values_per_user_have_raw_ids(home: Path, ratings_csv: Path) -> None:
    table = pd.read_csv(ratings_csv)
    table["userId"] += 1000
    preparation.prepare("csv", source=_saved(table, home), name="mine", options={"scale": "0.5:5"})
    trained = mmrec_core.train("mine", "mf", dim=4, max_epochs=1, device="cpu")
    found = trained.per_user()
    assert set(found["user"]) <= set(table["userId"]) and found["user"].is_unique and len(found) > 10
    assert found["ndcg@10"].mean() == pytest.approx(trained.metrics["ndcg@10"])
    assert (found["absolute_error"] ** 2 <= found["squared_error"] + 1e-9).all()
    assert "squared_error" not in mmrec_core.train("mine", "popularity").per_user()


def test_a_run_is_opened_by_its_id(home: Path, ratings_csv: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    trained = mmrec_core.train("mine", "ease")
    opened = mmrec_core.open_run(trained.run.id)
    assert opened.metrics == trained.metrics and opened.predict(1, 3) == pytest.approx(trained.predict(1, 3))
    evaluation = worker.work(
        runs.create("evaluate", runs.evaluation_params(trained.run.id, "sampled:5", "frozen")).id, foreground=True
    )
    with pytest.raises(MMRecError, match=f"evaluation of run '{trained.run.id}'"):
        mmrec_core.open_run(evaluation.id)
    with pytest.raises(MMRecError, match="Unknown run"):
        mmrec_core.open_run("nothing")
    queued = runs.create("train", runs.training_params("mine", "popularity"))
    with pytest.raises(MMRecError, match="only a finished training run"):
        mmrec_core.open_run(queued.id)
    fewer = _saved(pd.read_csv(ratings_csv).head(300), home)
    preparation.prepare("csv", source=fewer, name="mine", options={"scale": "0.5:5"})
    with pytest.raises(MMRecError, match="prepared again"):
        mmrec_core.open_run(trained.run.id).per_user()


def _saved(table: pd.DataFrame, home: Path) -> Path:
    file = home.parent / f"ratings-{len(table)}.csv"
    table.to_csv(file, index=False)
    return file


def test_arrays_become_a_dataset(home: Path) -> None:
    rng = np.random.default_rng(0)
    user, item = (a.ravel() for a in np.meshgrid(np.arange(30), np.arange(15), indexing="ij"))
    trained = fit("itemknn", user_ids=user, item_ids=item, ratings=rng.integers(1, 6, len(user)), name="arrays")
    assert trained.result["split"] == "random:80-10-10" and "arrays" in preparation.prepared()
    with pytest.raises(MMRecError, match="differ in length"):
        fit("itemknn", user_ids=[1, 2], item_ids=[1])
    with pytest.raises(MMRecError, match="second time"):
        fit("itemknn", user_ids=[1, 1], item_ids=[2, 2], ratings=[3, 4], scale=(1, 5), name="twice")
