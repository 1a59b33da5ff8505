"""What protocols have to do with each other, for any scorer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec_core import registry, runs
from mmrec_core.analysis import protocol_sensitivity
from mmrec_core.analysis.protocol_sensitivity import Cell
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.evaluation.protocols import Protocol
from mmrec_core.training.fit import fit
from mmrec_core.types import Dataset, Head, Query
from tests.models.test_contract import _ratings_csv


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("protocols")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_HOME", str(folder / "home"))
        preparation.prepare(
            "csv", source=_ratings_csv(folder), name="films", options={"scale": "0.5:5", "items": "films.csv"}
        )
        return preparation.open_dataset("films")


class Coarse:
    """Scores in three steps only, so that ties abound."""

    def scorer_heads(self) -> tuple[Head, ...]:
        return (Head("relevance", "ranking"),)

    def score_all(self, query: Query) -> torch.Tensor:
        user = torch.from_numpy(np.asarray(query.user, np.int64))[:, None]
        return ((user * 7 + torch.arange(50) * 3) % 3).float()


def scorers(dataset: Dataset, split: object) -> dict[str, object]:
    known = [n for n in ("popularity", "ease", "itemknn", "random", "mf") if n in registry.names("models")]
    return {
        "coarse": Coarse(),
        **{n: fit(n, dataset, split, options={"max_epochs": 1} if n == "mf" else {}).model for n in known},
    }  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["user-temporal", "leave-one-out", "random:80-10-10"])
def test_one_negative_mrr_is_auc_in_other_clothes(films: Dataset, how: str) -> None:
    """On the same draws MRR = (1 + AUC) / 2 to 1e-9, user by user, ties included: a tie counts ¾ in one and ½ in the
    other."""
    split = make_split(films, how)
    for name, scorer in scorers(films, split).items():
        result = evaluate(scorer, films, split, protocol="sampled:1", groups=False, intervals=False)  # type: ignore[arg-type]
        np.testing.assert_allclose(result.per_query["mrr"], (1 + result.per_query["auc"]) / 2, atol=1e-9, err_msg=name)
        assert result.metrics["mrr"] == pytest.approx((1 + result.metrics["auc"]) / 2, abs=1e-9)  # type: ignore[operator]


def test_a_sample_of_all_is_every_film(films: Dataset) -> None:
    """With one test film per user, ranking it among 49 sampled negatives of 49 others equals full ranking."""
    split = make_split(films, "leave-one-out")
    for name, scorer in scorers(films, split).items():
        full = evaluate(scorer, films, split, protocol="full", groups=False, intervals=False)  # type: ignore[arg-type]
        drawn = evaluate(scorer, films, split, protocol="sampled:49", groups=False, intervals=False)  # type: ignore[arg-type]
        for metric, value in full.metrics.items():
            if metric not in {"rmse", "mae", "mse"}:
                assert drawn.metrics[metric] == pytest.approx(value, abs=1e-12), (name, metric)


def test_ties_told_optimistically_flatter_who_says_nothing(films: Dataset) -> None:
    """A scorer with equal scores for all films is at chance with averaged ties, and perfect with optimistic ones."""

    class Same(Coarse):
        def score_all(self, query: Query) -> torch.Tensor:
            return torch.zeros(len(query.user), 50)

    split = make_split(films, "user-temporal")
    result = evaluate(Same(), films, split, groups=False, intervals=False)  # type: ignore[arg-type]
    assert result.metrics["auc"] == pytest.approx(0.5)
    assert result.optimistic["ndcg@10"] == 1 and result.optimistic["mrr"] == 1
    assert result.metrics["ndcg@10"] < 0.5  # type: ignore[operator]
    untied = evaluate(fit("ease", films, split).model, films, split, groups=False, intervals=False)
    assert untied.optimistic["ndcg@10"] == pytest.approx(untied.metrics["ndcg@10"], abs=1e-3)


def test_places_share_and_leave_out() -> None:
    table = {
        "a": {"x": Cell(0.5), "y": Cell(0.1)},
        "b": {"x": Cell(0.5), "y": Cell(0.3)},
        "c": {"x": Cell(0.2), "y": Cell(None)},
    }
    found = protocol_sensitivity.ranks(table, "ndcg@10")
    assert found == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 1}, "c": {"x": 3}}
    waiting = {**table, "c": {"x": Cell(0.2), "y": Cell(None, wanted=("evaluate", {}))}}
    assert all("y" not in p for p in protocol_sensitivity.ranks(waiting, "ndcg@10").values()), (
        "no places while one is still to come"
    )
    assert protocol_sensitivity.ranks(table, "rmse")["c"]["x"] == 1, "lower is better there"


def test_the_lab_asks_for_what_is_missing(home: Path, ratings_csv: Path) -> None:
    from mmrec_core.analysis import comparison
    from mmrec_core.jobs import worker

    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    for model in ("popularity", "ease"):
        worker.work(runs.create("train", runs.training_params("mine", model)).id, foreground=True)
    rows = comparison.rows(dataset)
    table = protocol_sensitivity.lab(dataset, rows, rows, "ndcg@10", protocol_sensitivity.WAYS)
    ease = table["ease"]
    assert ease["full ranking"].value is not None and ease["optimistic ties"].value is not None
    assert ease["1 sampled negative"].wanted is not None and ease["1 sampled negative"].wanted[0] == "evaluate"
    assert ease["random split"].wanted is not None and ease["random split"].wanted[0] == "train"
    kind, params = ease["1 sampled negative"].wanted
    worker.work(runs.create(kind, params).id, foreground=True)
    again = protocol_sensitivity.lab(dataset, comparison.rows(dataset), rows, "ndcg@10", protocol_sensitivity.WAYS)
    assert (
        again["ease"]["1 sampled negative"].value is not None
        and again["popularity"]["1 sampled negative"].value is None
    )


def test_too_many_films_are_refused(films: Dataset) -> None:
    with pytest.raises(MMRecError, match="wants 50 other films"):
        runs.requests._check_protocol("sampled:50", "frozen", films)


def test_full_ranking_of_some_people(shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampled users are evaluated exactly as in a full evaluation; nobody else is."""
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    split = make_split(demo, "user-temporal")
    model = fit("popularity", demo, split).model
    whole = evaluate(model, demo, split, groups=False, intervals=False)
    some = evaluate(model, demo, split, protocol="full:of=40", groups=False, intervals=False)
    assert len(some.queries) == 40 and set(some.queries) < set(whole.queries)
    theirs = dict(zip(whole.queries.tolist(), whole.per_query["ndcg@10"].tolist(), strict=True))
    assert [theirs[u] for u in some.queries.tolist()] == some.per_query["ndcg@10"].tolist()
    assert (
        evaluate(model, demo, split, protocol="full:of=100000", groups=False, intervals=False).metrics == whole.metrics
    )
    for wrong in ("full:of=0", "full:of=", "full:10"):
        with pytest.raises(MMRecError, match="Unknown protocol"):
            Protocol.parse(wrong)
