"""Where two options of evaluation meet: each test holds the right value of a case that was wrong once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import runs
from mmrec_core.analysis import comparison, paired, protocol_sensitivity
from mmrec_core.config import TrainConfig
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.evaluation.protocols import Protocol, full_name, protocol_label
from mmrec_core.evaluation.ranker import Ranker, RankingOptions
from mmrec_core.jobs import worker
from mmrec_core.metrics import metric
from mmrec_core.stats import mean_intervals, row_intervals
from mmrec_core.training.fit import Fitted, convergence_notes, fit, learned_rows
from mmrec_core.types import Array, Dataset, Lists, Query
from tests.test_evaluation import Fixed, Streaming


def log(folder: Path, name: str, rows: list[tuple[Any, ...]], scale: str = "1:5", **options: str) -> Dataset:
    """A prepared dataset of ``(user, item, rating, time)``."""
    lines = ["userId,movieId,rating,timestamp", *(",".join(map(str, row)) for row in rows)]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    preparation.prepare("csv", source=folder / f"{name}.csv", name=name, options={"scale": scale, **options})
    return preparation.open_dataset(name)


def trained(dataset: Dataset, model: str, **settings: Any) -> comparison.Row:
    """A model's result as Compare shows it."""
    run = worker.work(runs.create("train", runs.training_params(dataset.name, model, **settings)).id, foreground=True)
    return next(r for r in comparison.rows(dataset) if r.run.id == run.id)


def test_items_met_before_are_hidden_by_the_history_alone(home: Path, tmp_path: Path) -> None:
    """User 1 has met items 1 and 2 and meets 1 again.

    Before, 2 was hidden and 1 was not, so 1 stood alone among seen items.
    """
    rows = [(1, 1, 5, 10), (1, 2, 5, 11), (1, 1, 5, 12), (2, 3, 5, 10), (2, 4, 5, 11), (2, 5, 5, 12)]
    dataset = log(tmp_path, "again", rows, repeats="allowed")
    assert full_name("full", dataset) == "full:seen=allow" and full_name("full:seen=hide", dataset) == "full:seen=hide"
    split = make_split(dataset, "leave-one-out")
    table = np.tile([4.0, 5.0, 1.0, 2.0, 3.0], (2, 1))  # item 2 before item 1
    allow = evaluate(Fixed(table), dataset, split, only=["mrr"], groups=False, intervals=False)
    assert allow.per_query["mrr"].tolist() == pytest.approx([1 / 2, 1 / 3]) and allow.left_out == {}
    hide = evaluate(
        Fixed(table), dataset, split, protocol="full:seen=hide", only=["mrr"], groups=False, intervals=False
    )
    assert hide.queries.tolist() == [1] and hide.left_out == {"item met before": 1}
    assert hide.per_query["mrr"].tolist() == pytest.approx([1 / 3]), "items 1 and 2 are candidates for user 2"


def test_the_protocol_of_repeats_is_part_of_the_name(home: Path, tmp_path: Path, ratings_csv: Path) -> None:
    rows = [(u, (u * t) % 7, 5, t) for u in range(1, 9) for t in range(1, 9)]
    again = log(tmp_path, "again", rows, repeats="allowed")
    assert runs.training_params("again", "popularity")["protocol"] == "full:seen=allow"
    assert trained(again, "popularity").key.protocol == "full:seen=allow"
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5", "repeats": "allowed"})
    assert preparation.open_dataset("mine").manifest["repeats"] == "refused", "no pair comes again"
    assert runs.training_params("mine", "popularity")["protocol"] == "full"
    assert (
        Protocol.parse("sampled:5:popularity:of=9:seen=hide:existing").name()
        == "sampled:5:popularity:of=9:seen=hide:existing"
    )


def test_shipped_candidates_go_by_the_makers_row(home: Path, tmp_path: Path) -> None:
    """A filter drops the first test row; the second keeps its own candidates."""
    rows = [(1, i, 5, i) for i in range(1, 7)] + [(2, i, 5, i) for i in range(1, 7)]
    rows[4] = (1, 5, 1, 5)
    dataset = log(tmp_path, "mine", rows)
    test = np.array([4, 10])
    for part, own in (("train", np.setdiff1d(np.arange(12), test)), ("test", test)):
        np.save(dataset.folder / "official" / f"m.{part}.npy", own)
    np.save(dataset.folder / "official" / "m.candidates.npy", np.array([[0, 1], [2, 3]], np.int32))
    split = make_split(dataset, "folds:m", filter_from=2.0)
    ranker = Ranker(None, dataset, split, RankingOptions(Protocol.parse("shipped"), 2.0))
    assert split.test.tolist() == [10] and ranker.candidates().tolist() == [[2, 3]]


def test_a_stream_observes_the_splits_rows_alone(home: Path, tmp_path: Path) -> None:
    """Rows below the filter are observed by nobody, nor rows of training again."""
    rows = [(u, i, 1 + (u + i) % 5, 100 * i + u) for u in range(1, 7) for i in range(1, 13)]
    dataset = log(tmp_path, "mine", rows)
    split = make_split(dataset, "chronological:60-20-20", filter_from=3.0)
    seen: list[Array] = []

    class Watching(Streaming):
        def observe(self, events: Any) -> None:
            seen.append(np.asarray(events.rating))
            super().observe(events)

    evaluate(
        Watching(np.random.default_rng(0).random((6, 12))),
        dataset,
        split,
        regime="stream",
        relevant_from=3.0,
        groups=False,
    )
    observed = np.concatenate(seen)
    assert observed.min() >= 3.0 and len(observed) <= len(split.validation) + len(split.test)


def test_cold_users_divide_by_the_threshold_of_their_training(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pairing, Errors and the command line divide the rows as training did, whatever the threshold."""
    from mmrec_core.cli.data import split as split_command

    rng = np.random.default_rng(0)
    rows = [
        (u, i, int(rng.integers(1, 6)), 1000 * u + place)
        for u in range(1, 41)
        for place, i in enumerate(rng.permutation(80)[:70])
    ]
    dataset = log(tmp_path, "mine", rows)
    a, b = (trained(dataset, m, split="cold-user", relevant_from=3.0) for m in ("popularity", "ease"))
    assert paired.pair(dataset, a, b).summary["users"] > 0
    assert paired.split_of(dataset, a).checksum == a.key.split_checksum != make_split(dataset, "cold-user").checksum
    split_command("mine", how="cold-user", relevant_from=3.0, as_json=True)
    assert json.loads(capsys.readouterr().out)["checksum"] == a.key.split_checksum


def test_zero_is_a_threshold(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a scale around zero everything from 0 on is relevant; 0 is not "not given"."""
    from mmrec_core.cli.data import split as split_command

    rows = [(u, i + u, -10 + (7 * u + 3 * i) % 21, i) for u in range(1, 5) for i in range(1, 13)]
    dataset = log(tmp_path, "jester", rows, scale="-10:10")
    split_command("jester", export=tmp_path / "out", protocol="sampled:3", relevant_from=0.0, as_json=True)
    manifest = json.loads(capsys.readouterr().out)["candidates"]
    test = make_split(dataset).test
    assert manifest["relevant_from"] == 0 and manifest["rows"] == int(
        (np.asarray(dataset.interactions.rating)[test] >= 0).sum()
    )
    assert dataset.manifest["relevant_from"] != 0


def test_what_is_not_defined_has_no_interval() -> None:
    """All values NaN: no figure, no interval, rather than [0, 0]; resamples without a value say nothing of zero."""
    assert mean_intervals(np.array([[np.nan, 0.5], [np.nan, 0.7]]))[0] is None
    rare = np.full((50, 1), np.nan)
    rare[0] = 0.8
    assert mean_intervals(rare)[0] == pytest.approx((0.8, 0.8))
    assert row_intervals(np.arange(4), lambda w: [float("nan")])[0] is None


def test_graded_gains_start_at_the_lowest_rating(home: Path, tmp_path: Path) -> None:
    """On −5…5, gains of P (−3) and Q (−1) are 2 and 4; ranked P, Q: (2 + 4 / log2 3) / (4 + 2 / log2 3) = .8600."""
    rows = (
        [("z", f"m{i}", 3, i) for i in range(8)]
        + [("z", "P", -3, 20), ("z", "Q", -1, 21)]
        + [("y", f"m{i}", 3, i) for i in range(8)]
    )
    dataset = log(tmp_path, "graded", rows, scale="-5:5")
    split = make_split(dataset, "user-temporal:60-20-20")
    item, order = {str(raw): at for at, raw in enumerate(dataset.items.raw.tolist())}, np.zeros((2, len(dataset.items)))
    z = int(dataset.users.rows(["z"])[0])
    order[z, item["P"]], order[z, item["Q"]] = 2, 1
    found = evaluate(
        Fixed(order), dataset, split, relevant_from=-4, only=["ndcg_graded@10"], groups=False, intervals=False
    )
    value = dict(zip(found.queries.tolist(), found.per_query["ndcg_graded@10"].tolist(), strict=True))[z]
    assert value == pytest.approx((2 + 4 / np.log2(3)) / (4 + 2 / np.log2(3)), abs=1e-9)


def test_novelty_counts_users_not_events() -> None:
    """Two of four users know the film, however often they met it: one bit."""
    lists = Lists(
        np.array([[0]]), np.array([9]), 4, np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1), raters=np.array([2])
    )
    assert metric("novelty@10").compute(lists).tolist() == [1.0]


def test_who_has_met_every_item_is_left_out_and_counted(home: Path, tmp_path: Path) -> None:
    rows = [(1, i, 5, i) for i in range(1, 7)] + [(u, i, 5, i) for u in (2, 3) for i in range(1, 5)]
    dataset = log(tmp_path, "all", rows)
    split = make_split(dataset, "leave-one-out")
    found = evaluate(
        Fixed(np.random.default_rng(0).random((3, 6))),
        dataset,
        split,
        protocol="sampled:2",
        groups=False,
        intervals=False,
    )
    assert found.queries.tolist() == [1, 2] and found.left_out == {"no item left to draw": 1}
    row = trained(dataset, "popularity", split="leave-one-out", protocol="sampled:2")
    assert row.result["left_out"] == {"no item left to draw": 1} and row.run.status == "finished"


def test_every_model_of_a_comparison_knows_the_same_rows(home: Path, ratings_csv: Path) -> None:
    """Validation rows are withheld from all, or with refit known to all; the two never share a key."""
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    split, events = make_split(dataset), dataset.interactions
    likes = lambda rows: np.bincount(
        np.asarray(events.item)[rows[np.asarray(events.rating)[rows] >= 3.5]], minlength=20
    )  # type: ignore[index]
    model: Any = fit("popularity", dataset, split, refit=True).model
    assert model.counts.tolist() == likes(split.train).tolist(), (
        "a model that takes in events is shown them by evaluation"
    )
    keys = {
        (model, refit): trained(dataset, model, refit=refit).key
        for model in ("popularity", "ease", "mf")
        for refit in (False, True)
    }
    assert {k.known for (_, refit), k in keys.items() if refit} == {"training + validation"}
    assert {k.known for (_, refit), k in keys.items() if not refit} == {"training"}
    assert len(set(keys.values())) == 2
    with_it = evaluate(
        model, dataset, split, known="training + validation", only=["ndcg@10"], groups=False, intervals=False
    )
    counted: Any = fit("popularity", dataset, split).model
    counted.counts = torch.from_numpy(likes(np.concatenate([split.train, split.validation])).astype(np.float32))
    assert with_it.metrics == evaluate(counted, dataset, split, only=["ndcg@10"], groups=False, intervals=False).metrics


def test_a_closed_form_sees_no_more_than_a_gradient_model(home: Path, ratings_csv: Path) -> None:
    """Where a split brings no validation, the tenth that is cut off for early stopping is withheld from closed forms,
    too."""
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    split = make_split(dataset, "random-global:90-0-10")
    seen = {}
    for name, options in (
        ("bias", {}),
        ("mf", {"max_epochs": 1, "device": "cpu"}),
        ("mf", {"max_epochs": 1, "patience": 0, "device": "cpu"}),
    ):
        model: Any = fit(name, dataset, split, options=options).model
        seen[name, len(options)] = int(model.known_users.sum()), int(model.known_items.sum())
    assert len(set(seen.values())) == 1


def test_what_existed_then_is_all_that_is_ranked(home: Path, tmp_path: Path) -> None:
    """User 1 leaves in 2000: the film of 2005 is no candidate, and a list with it counts as impossible."""
    (tmp_path / "films.csv").write_text(
        "movieId,title,year\n" + "".join(f"{i},Film {i},{1990 if i < 6 else 2005}\n" for i in range(1, 7))
    )
    y2000, y2010 = 946_684_800, 1_262_304_000
    rows = [(1, i, 5, y2000 + i) for i in (1, 2, 3)] + [(2, i, 5, y2010 + i) for i in (4, 5, 6)]
    dataset = log(tmp_path, "years", rows, items="films.csv")
    split = make_split(dataset, "leave-one-out")
    table = np.tile([0.0, 1, 2, 3, 4, 5], (2, 1))  # the film of 2005 first
    full = evaluate(Fixed(table), dataset, split, intervals=False)
    assert full.per_query["future_items@10"].tolist() == [
        1 / 4,
        0.0,
    ], "films 4 and 5 are of 1990, film 6 is not yet made"
    then = evaluate(Fixed(table), dataset, split, protocol="full:existing", groups=False, intervals=False)
    assert full.per_query["mrr"].tolist() == pytest.approx([1 / 4, 1.0]) and then.per_query[
        "mrr"
    ].tolist() == pytest.approx([1 / 3, 1.0])


def test_film_ratings_by_then_and_in_training_are_two_things(home: Path, tmp_path: Path) -> None:
    """Film 9 is first met by user 1, but training holds four later ratings of it."""
    rows = [(1, i, 5, i) for i in (1, 2, 3)] + [(1, 9, 5, 4)]
    rows += [(u, i, 5, 100 * u + place) for u in (2, 3, 4, 5) for place, i in enumerate((9, 1, 2, 3))]
    dataset = log(tmp_path, "two", rows)
    found = evaluate(Fixed(np.zeros((5, 4)), "rating"), dataset, make_split(dataset, "leave-one-out"), only=["rmse"])
    groups = {name: group["rows"] for name, group in found.groups.items() if name.startswith("film with")}
    assert (groups["film with 0 ratings by then"], groups["film with 1–4 training ratings"]) == (
        1,
        1,
    ), "film 9, tested on user 1"
    assert (groups["film with 1–4 ratings by then"], groups["film with 0 training ratings"]) == (
        4,
        4,
    ), "film 3, in validation and test only"


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([0.1, 0.2, 0.3], "best epoch is the last"),
        ([0.3, 0.2, 0.1], "was best after the first epoch"),
        ([0.1, 0.3, 0.2], None),
        ([0.2], None),
    ],
)
def test_a_training_that_did_not_converge_says_so(scores: list[float], says: str | None) -> None:
    fitted = Fitted(None, [{"ndcg@10": s} for s in scores], best_epoch=int(np.argmax(scores)))  # type: ignore[arg-type]
    notes = convergence_notes(fitted, TrainConfig(), "ndcg@10")
    assert (says is None and not notes) or (says is not None and says in notes[0])


def test_the_note_reaches_the_result(home: Path, ratings_csv: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    row = trained(preparation.open_dataset("mine"), "bpr", options={"max_epochs": 2, "device": "cpu"})
    assert any("epoch" in note for note in row.result["notes"])


def test_variants_are_told_apart_by_what_differs(home: Path, ratings_csv: Path) -> None:
    """Long settings in common are left out; a name of one's own is shown instead; links by description and run still
    find them."""
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    common = {"max_epochs": 1, "batch_size": 64, "device": "cpu", "lr": 0.01}
    a, b = (trained(dataset, "bpr", options={**common, "dim": dim}) for dim in (8, 16))
    trained(dataset, "ease")
    found = {r.run.id: r for r in comparison.rows(dataset)}
    assert {r.label for r in found.values()} == {"bpr (dim=8)", "bpr (dim=16)", "ease"}
    assert "batch_size=64" in found[a.run.id].description
    runs.rename(a.run.id, "small")
    rows = comparison.rows(dataset)
    assert {r.label for r in rows} == {"small", "bpr (dim=16)", "ease"}
    for text in ("small", a.description, a.run.id):
        row = comparison.find(rows, text)
        assert row is not None and row.run.id == a.run.id
    with pytest.raises(MMRecError, match="Another result is called 'small'"):
        comparison.rename(rows, next(r for r in rows if r.run.id == b.run.id), " small ")
    runs.rename(b.run.id, "small")
    assert len({r.label for r in comparison.rows(dataset)}) == 3, "two of one name are still two"


def test_a_query_is_asked_by_user(home: Path, tmp_path: Path) -> None:
    """The frozen regime asks known users by their row, which a permuted file does not move."""
    rows = [(u, i, 5, i) for u in ("b", "a", "c") for i in range(1, 5)]
    dataset = log(tmp_path, "mine", rows)
    assert dataset.users.raw.tolist() == ["a", "b", "c"]
    assert Fixed(np.arange(12.0).reshape(3, 4)).score_all(Query(np.array([1])))[0].tolist() == [4, 5, 6, 7]


def test_lists_hide_what_the_protocol_hides(home: Path, tmp_path: Path) -> None:
    """Where events repeat, what a user has met may be recommended again, on pages and at the command line as in
    evaluation."""
    from mmrec_core.serving import recommender

    rows = [(u, 1 + (t * t + u) % 5, 5, t) for u in range(1, 9) for t in range(1, 12)]
    dataset = log(tmp_path, "again", rows, repeats="allowed")
    row = trained(dataset, "popularity")
    assert len(recommender.recommend_known(row.run, dataset, 0, top=20).items) == len(dataset.items)
    history = recommender.history(dataset, {dataset.items.raw[0]: 5.0})
    assert len(recommender.recommend(row.run, history, top=20).items) == len(dataset.items)
    hide = trained(dataset, "popularity", protocol="full:seen=hide")
    met = np.asarray(dataset.interactions.item)[np.asarray(dataset.interactions.user) == 0]
    assert not np.isin(recommender.recommend_known(hide.run, dataset, 0, top=20).items, met).any()


def test_results_that_did_not_record_who_knew_what_stand_apart(home: Path, ratings_csv: Path) -> None:
    """A result of an earlier version is neither ranked with today's nor taken for it; evaluating it again does not hide
    that."""
    from mmrec_core import storage

    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    old, new = trained(dataset, "popularity"), trained(dataset, "ease")
    for name in ("run.json", "result.json"):
        record = storage.read_json(old.run.folder / name)
        del record["known"]
        storage.write_json(old.run.folder / name, record)
    rows = {r.model: r for r in comparison.rows(dataset)}
    assert (
        rows["popularity"].key.known == comparison.NOT_RECORDED
        and rows["popularity"].key != rows["ease"].key == new.key
    )
    assert not comparison.can_be_evaluated_like(rows["popularity"], new.key)
    again = worker.work(
        runs.create("evaluate", runs.evaluation_params(old.run.id, "full", "frozen")).id, foreground=True
    )
    assert (again.result() or {})["known"] is None


@pytest.mark.parametrize("name", ["popularity", "markov", "ease", "itemknn"])
def test_with_refit_every_closed_form_knows_all_rows(home: Path, ratings_csv: Path, name: str) -> None:
    """Learned and observed rows together are training and validation, whether the split brings validation or not."""
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    for strategy in ("user-temporal", "random-global:90-0-10"):
        split = make_split(dataset, strategy)
        model: Any = fit(name, dataset, split, refit=True).model
        observed = split.validation if model.streams else split.validation[:0]
        items = np.asarray(dataset.interactions.item)
        known = np.union1d(np.flatnonzero(model.known_items[:-1].numpy()), items[observed])
        assert known.tolist() == np.unique(items[np.concatenate([split.train, split.validation])]).tolist()
        learned = learned_rows(split, not model.streams or not len(split.validation), dataset)
        assert sorted([*learned, *observed]) == sorted([*split.train, *split.validation])


def test_a_stream_observes_what_was_cut_off(home: Path, ratings_csv: Path) -> None:
    """Where the split brings no validation, the tenth that no model learned is known in its turn, to models with a
    memory as to others."""
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    split = make_split(dataset, "chronological:85-0-15")
    seen: list[int] = []

    class Watching(Streaming):
        def observe(self, events: Any) -> None:
            seen.append(len(events))
            super().observe(events)

    evaluate(
        Watching(np.random.default_rng(0).random((30, 20))),
        dataset,
        split,
        regime="stream",
        groups=False,
        intervals=False,
    )
    cut = len(split.train) - len(learned_rows(split, False, dataset))
    assert 0 < cut <= seen[0] < cut + len(split.test), "and test rows before the first relevant one"


def test_a_special_protocol_is_not_the_usual_one(home: Path, ratings_csv: Path) -> None:
    """A training run evaluated with seen items as candidates does not take the usual one's place on Cold start."""
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    usual = trained(dataset, "popularity")
    trained(dataset, "popularity", protocol="full:seen=allow")
    assert runs.finished(dataset)["popularity"].id == usual.run.id


def test_weights_that_learned_validation_rows_stand_apart(home: Path, ratings_csv: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    quick = {"max_epochs": 1, "device": "cpu"}
    donor = trained(dataset, "mf", refit=True, options=quick)
    assert (
        trained(dataset, "mf", from_run=donor.run.id, options=quick).key.beyond
        == "weights that learned validation rows"
    )
    assert trained(dataset, "mf", from_run=donor.run.id, refit=True, options=quick).key.beyond == ""


def test_a_protocol_reads_as_a_sentence() -> None:
    assert protocol_label("full") == "full ranking" and protocol_label("shipped") == "published candidates"
    assert protocol_label("full:of=10000:seen=allow") == "full ranking, 10,000 users, seen items stay candidates"
    assert protocol_label("sampled:100:popularity:of=5000") == "100 popularity-sampled negatives, 5,000 relevant rows"
    assert protocol_label("full:existing") == "full ranking, only items that existed then"


def test_the_lab_keeps_what_is_hidden(home: Path, tmp_path: Path) -> None:
    """Under a key that hides items met before, "full ranking" is that key's own figure, not one with them as
    candidates."""
    rows = [(u, 1 + (t * t + u) % 7, 5, t) for u in range(1, 9) for t in range(1, 12)]
    dataset = log(tmp_path, "again", rows, repeats="allowed")
    trained(dataset, "popularity")
    row = trained(dataset, "popularity", protocol="full:seen=hide")
    cells = protocol_sensitivity.lab(dataset, comparison.rows(dataset), [row], "ndcg@10")[row.label]
    assert cells["full ranking"].value == row.result["metrics"]["ndcg@10"]
    assert cells["100 sampled negatives"].wanted is None or cells["100 sampled negatives"].wanted[1][
        "protocol"
    ].endswith(":seen=hide")


def test_a_text_names_folders_by_what_they_are(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page shows of a log or an error holds no path of the server."""
    from mmrec_core.settings import ROOT, without_paths

    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("MMREC_SOURCES", str(data))
    text = f"No file '{data}/ml/ratings.csv'; {ROOT}/mmrec_core/runs/store.py, {home}/runs and {home}2 stay."
    shown = without_paths(text)
    assert "'MMREC_SOURCES/ml/ratings.csv'; MMREC/mmrec_core/runs/store.py, MMREC_HOME/runs" in shown
    assert str(data) not in shown and str(ROOT) not in shown
