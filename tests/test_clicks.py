"""Tables of clicks: formats, missing values, hashing, streams; metrics, calibration; the makers' own candidates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import metrics, settings
from mmrec_core.data import preparation
from mmrec_core.data.datasets.criteo import CATEGORIES, NUMBERS, hashes
from mmrec_core.data.side_features import fit_side
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.evaluate import calibration, evaluate
from mmrec_core.training.fit import fit, train_set
from mmrec_core.types import ClickRows, Dataset


def line(label: int, number: str = "3", category: str = "ab12cd34", last: str = "00ff00ff") -> str:
    """A row of Criteo's format."""
    return "\t".join([str(label), number, *["1"] * 12, category, *["05db9164"] * 24, last])


def test_criteo_is_read_as_it_stands(home: Path, tmp_path: Path) -> None:
    """Missing numbers are NaN, missing categories hash to 0, equal texts hash equally, short lines lack values."""
    rows = [line(1), line(0, "", ""), line(1, "-2", "ab12cd34", ""), line(0).rsplit("\t", 3)[0]]
    (tmp_path / "train.txt").write_text("\n".join(rows) + "\n")
    manifest = preparation.prepare("criteo", source=tmp_path / "train.txt", name="clicks")
    events = preparation.open_dataset("clicks").interactions
    assert manifest["ratings"] == 4 and np.asarray(events.labels["click"]).tolist() == [1, 0, 1, 0]
    assert set(events.features) == {*NUMBERS, *CATEGORIES}
    first, number = np.asarray(events.features["C1"]), np.asarray(events.features["I1"])
    assert first[0] == first[2] == hashes(np.array(["ab12cd34"]), 262_144)[0] > 0 and first[1] == 0
    assert np.isnan(number[1]) and number[2] == -2
    assert np.asarray(events.features["C26"]).tolist()[2:] == [0, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (line(7), "row 1: the label is 7"),
        (line(1) + "\textra", "Criteo's format"),
        ("hello\tworld", "Criteo's format"),
        ("", "Criteo's format"),
    ],
)
def test_broken_criteo_is_refused(home: Path, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "train.txt").write_text(text + "\n" if text else "")
    with pytest.raises(MMRecError, match=said):
        preparation.prepare("criteo", source=tmp_path / "train.txt", name="clicks")
    assert "clicks" not in preparation.prepared()


def test_the_real_sample_is_read(home: Path) -> None:
    """The first rows of Kaggle's file, where they are at hand."""
    if not any((place / "criteo" / "criteo_kaggle_train_first_999.txt").is_file() for place in settings.sources()):
        pytest.skip("MMREC_SOURCES names no folder with criteo's first rows")
    assert preparation.prepare("criteo")["ratings"] == 1000  # 999 ended lines and a last one
    dataset = preparation.open_dataset("criteo")
    found = evaluate(
        fit("deepfm", dataset, make_split(dataset, "official"), options={"max_epochs": 2, "device": "cpu"}).model,
        dataset,
        make_split(dataset, "official"),
    )
    assert 0 < (found.metrics["log_loss:click"] or 0) < 1 and found.calibration["click"]


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Generated clicks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_HOME", str(tmp_path_factory.mktemp("clicks")))
        preparation.prepare("criteo-generated", options={"rows": 60_000})
        yield preparation.open_dataset("criteo-generated")


def test_vocabularies_are_fitted_on_training_rows(clicks: Dataset) -> None:
    """A value that only other rows have gets code 0; moments are the training rows' own."""
    rows = np.arange(3000)
    side = {f.name: f for f in fit_side(clicks, rows)}
    column = np.asarray(clicks.interactions.features["C3"])[:20_000]
    unseen = np.setdiff1d(column[3000:], column[:3000])
    assert len(unseen) and not side["C3"].encode(unseen).any()
    often = np.flatnonzero(np.bincount(column[:3000]) >= 2)
    codes = side["C3"].encode(often[often > 0])
    assert codes.min() == 1 and len(np.unique(codes)) == len(codes) == side["C3"].codes
    numbers = np.log1p(np.maximum(np.asarray(clicks.interactions.features["I1"])[:3000], 0))
    assert side["I1"].mean == pytest.approx(np.nanmean(numbers), abs=1e-5)
    assert side["I1"].encode(np.array([np.nan]))[0] == 0 and side["I1"].steps(np.array([np.nan, 1.0]), 8)[0] == 0


def test_streaming_gives_every_row_once(clicks: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read block by block: each row once an epoch, in another order each time, resumable at any batch."""
    from mmrec_core.models import _field_model

    monkeypatch.setattr(_field_model, "STREAM_FROM", 1000)
    monkeypatch.setattr(_field_model, "STREAM_BLOCK", 1024)
    train = train_set(clicks, np.arange(5000), 1, None)
    from mmrec_core import registry

    model = registry.load("models", "dlrm")(registry.config("models", "dlrm", {}), train.schema, train.side, 1)

    def read(epoch: int, start: int = 0) -> list[dict[str, torch.Tensor]]:
        return list(model.batches(train, epoch, batch_size=256, start=start))

    whole = read(0)
    key = torch.cat([b["codes"].sum(1) * 31 + b["label:click"].long() for b in whole])
    plain = model.rows(train.interactions)
    wanted = plain["codes"].sum(1) * 31 + plain["label:click"].long()
    assert torch.equal(key.sort().values, wanted.sort().values)
    assert not torch.equal(key, torch.cat([b["codes"].sum(1) * 31 + b["label:click"].long() for b in read(1)]))
    for start in (1, 4, 5, 11):
        rest = read(0, start)
        assert len(rest) == len(whole) - start
        assert all(torch.equal(a["codes"], b["codes"]) for a, b in zip(rest, whole[start:], strict=True))


def test_pairs_are_worth_something(clicks: Dataset) -> None:
    """The generated truth holds a product of two columns, which DeepFM finds and weights alone do not."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import OneHotEncoder

    split = make_split(clicks, "official")
    model = fit("deepfm", clicks, split, options={"max_epochs": 4, "device": "cpu", "patience": 2}, seed=1).model
    found = evaluate(model, clicks, split, only=["auc"], intervals=False).metrics["auc:click"]
    table = np.stack([np.asarray(clicks.interactions.features[c]) for c in CATEGORIES], 1)
    code = OneHotEncoder(handle_unknown="ignore", min_frequency=2).fit(table[split.train])
    truth = np.asarray(clicks.interactions.labels["click"])
    linear = LogisticRegression(C=0.1, max_iter=200).fit(code.transform(table[split.train]), truth[split.train])
    rival = roc_auc_score(truth[split.test], linear.predict_proba(code.transform(table[split.test]))[:, 1])
    assert found is not None and found > rival > 0.6, (found, rival)


def test_normalised_entropy_of_the_base_rate_is_one() -> None:
    """Predicting the base rate for everybody is worth nothing."""
    truth = np.array([1, 0, 0, 0.0])
    rows = ClickRows(truth, np.full(4, np.log(0.25 / 0.75)), np.ones(4))
    assert metrics.metric("normalised_entropy").compute(rows) == pytest.approx(1.0)
    better = replace(rows, log_odds=np.array([3, -3, -3, -3.0]))
    assert metrics.metric("normalised_entropy").compute(better) < 0.3


def test_auc_means_what_it_is_asked_of() -> None:
    """Rankings and clicks both have one; a label means clicks."""
    assert metrics.metric("auc").kind == "ranking" and metrics.metric("auc:income").kind == "clicks"
    assert metrics.metric("auc", "clicks").compute(ClickRows(np.array([0, 1.0]), np.array([0, 1.0]), np.ones(2))) == 1.0
    assert metrics.metric("log_loss:income").better == "lower"


def test_calibration_of_honest_chances() -> None:
    """Where labels are drawn with the predicted chances, nearly every part holds the prediction in its interval."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, 20_000)
    truth = (rng.random(20_000) < 1 / (1 + np.exp(-odds))).astype(float)
    parts = calibration(truth, odds)
    assert len(parts) == 10 and sum(p["n"] for p in parts) == 20_000
    assert sum(p["low"] <= p["predicted"] <= p["high"] for p in parts) >= 8
    assert [p["predicted"] for p in parts] == sorted(p["predicted"] for p in parts)


# Census


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The census rows, where they are at hand."""
    if not any((place / "census" / "adult.data").is_file() for place in settings.sources()):
        pytest.skip("MMREC_SOURCES names no folder with census/adult.data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_HOME", str(tmp_path_factory.mktemp("census")))
        preparation.prepare("census")
        yield preparation.open_dataset("census")


def test_census_is_read_whole(census: Dataset) -> None:
    """The makers' counts of rows and of high incomes; neither label's column is left among the features."""
    train, _, test = census.official("official") or (np.zeros(0), np.zeros(0), np.zeros(0))
    assert (len(train), len(test)) == (32_561, 16_281)
    labels, columns = census.interactions.labels, census.interactions.features
    assert int(labels["income"][train].sum()) == 7_841 and int(labels["income"][test].sum()) == 3_846
    assert set(labels) == {"income", "marital"} and len(columns) == 13
    assert not any("marital" in name or "income" in name for name in columns)


def test_a_column_can_be_left_out(census: Dataset) -> None:
    """Without ``relationship`` trees tell marital status far less well: it all but gives it away."""
    split = make_split(census, "official")
    metrics_of_models = [
        evaluate(
            fit("gbdt", census, split, options={"fields": f}).model, census, split, only=["auc"], intervals=False
        ).metrics
        for f in ("all", "all,-relationship")
    ]
    assert (metrics_of_models[0]["auc:marital"] or 0) > 0.98 > 0.9 > (metrics_of_models[1]["auc:marital"] or 0)
    assert (metrics_of_models[0]["auc:income"] or 0) > 0.92
    with pytest.raises(MMRecError, match="no feature 'height'"):
        fit("gbdt", census, split, options={"fields": "all,-height"})


# Candidates that came with a split


def test_candidates_that_came_with_a_split(request: pytest.FixtureRequest) -> None:
    """NCF's split of ml-1m: its own last ratings, each ranked among its own 99 films."""
    if not any((place / "ncf").is_dir() and (place / "ml-1m").is_dir() for place in settings.sources()):
        pytest.skip("MMREC_SOURCES has no ml-1m with the NCF paper's files")
    dataset = request.getfixturevalue("ml_1m")
    split = make_split(dataset, "folds:ncf")
    assert (len(split.train), len(split.test)) == (994_169, 6_040)
    drawn = dataset.candidates("ncf")
    assert drawn is not None and drawn.shape == (6_040, 99) and drawn.min() >= 0
    user, item = np.asarray(dataset.interactions.user), np.asarray(dataset.interactions.item)
    assert len(np.unique(user[split.test])) == 6_040
    seen = set(
        zip(user[split.train].tolist(), item[split.train].tolist(), strict=True)
    )  # 156 lines name the test film itself
    assert not any(
        (u, i) in seen
        for u, row in zip(user[split.test][:200].tolist(), drawn[:200].tolist(), strict=True)
        for i in row
    )
    model = fit("popularity", dataset, split, relevant_from=1.0).model
    found = evaluate(
        model,
        dataset,
        split,
        protocol="shipped",
        relevant_from=1.0,
        only=["hr@10", "ndcg@10"],
        groups=False,
        intervals=False,
    )
    assert found.metrics["hr@10"] == pytest.approx(0.4529, abs=0.003)  # ItemPop in the paper's figure: about .45
    with pytest.raises(MMRecError, match="has none"):
        evaluate(model, dataset, make_split(dataset, "random:80-10-10"), protocol="shipped", only=["hr@10"])
