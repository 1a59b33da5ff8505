"""Sequences: nothing later reaches a place, padding is inert, a period is learned, and the stored histories are those
given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import registry
from mmrec_core.callbacks import Interrupted, TrainingCallbacks
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.models._base import load_model
from mmrec_core.models._sequence import SequenceModel
from mmrec_core.training.fit import fit, train_set
from mmrec_core.types import Dataset, History, Query, TrainSet
from tests.models.drawn import draw_vectors

SEQUENCES = [n for n in registry.names("models") if issubclass(registry.load("models", n), SequenceModel)]
FORWARD = [n for n in SEQUENCES if "bert" not in n]
PERIOD, USERS, LONG = 40, 120, 15
EPOCHS = {"bert4rec": 200, "bert4rec_multimodal": 200, "sse_pt": 200, "sse_pt_multimodal": 200}
"""Epochs until the period is known perfectly: they see a part of the places, or see them at random; others need 100."""


@pytest.fixture
def periodic(home: Path, tmp_path: Path) -> Dataset:
    """Everybody meets films 0 … 39 round and round, each from a start of their own."""
    rows = [(u, (u + step) % PERIOD, step) for u in range(USERS) for step in range(LONG)]
    lines = "\n".join(" ".join(map(str, [u + 1, *[i + 1 for v, i, _ in rows if v == u]])) for u in range(USERS))
    (tmp_path / "Beauty.txt").write_text(lines + "\n")
    preparation.prepare("amazon-beauty", source=tmp_path, name="periodic")
    dataset = preparation.open_dataset("periodic")
    draw_vectors(dataset, tmp_path)
    return dataset


def made(name: str, dataset: Dataset, **how: Any) -> Any:
    split = make_split(dataset, "leave-one-out")
    return fit(name, dataset, split, options={"device": "cpu", **how}).model, split


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_period_is_predicted_perfectly(name: str, periodic: Dataset, tmp_path: Path) -> None:
    """After film i comes i + 1: the next one is first of forty for everybody. Training stops once this is so."""
    split, last_items, done = make_split(periodic, "leave-one-out"), np.arange(2, 10), 0

    def known(model: Any) -> bool:
        result = evaluate(
            model, periodic, split, only=["ndcg@1"], known="training + validation", groups=False, intervals=False
        )  # the one after the last, which evaluation lets it read
        listed = model.recommend_rows(model.fold_in([History(last_items)]), [last_items], 1)[0]
        return result.metrics["ndcg@1"] == 1.0 and listed[0].tolist() == [10]

    def pause(kind: str, info: Any) -> None:
        nonlocal done
        done += kind == "epoch"
        callbacks.stop.wanted = kind == "epoch" and done % 20 == 0

    how = {
        "max_epochs": EPOCHS.get(name, 100),
        "batch_size": 64,
        "lr": 0.02,
        "dim": 16,
        "length": 8,
        "patience": 0,
        "schedule": "cosine",
        "dropout": 0.0,
        "id_dropout": 0.0,
        "device": "cpu",
    }
    folder = tmp_path / "paused"
    folder.mkdir()
    callbacks = TrainingCallbacks(folder, pause)
    for _ in range(how["max_epochs"] // 20):  # type: ignore[operator]
        try:
            model = fit(name, periodic, split, options=how, callbacks=callbacks).model
        except Interrupted as paused:
            model = paused.model
        callbacks.stop.wanted = False
        if known(model):
            return
    raise AssertionError(f"after {done} epochs it does not know what comes next")


@pytest.mark.parametrize(
    ("name", "how"), [("sasrec_ce", {}), ("gru4rec", {"loss": "ce"}), ("bert4rec", {"masked": 0.3})]
)
def test_a_film_nobody_met_is_an_average_one_to_a_softmax(name: str, how: dict[str, Any], periodic: Dataset) -> None:
    """A tenth of forty films is hidden as *the* unknown one, which so comes next as often as four of them; a single
    film nobody met must not."""
    model, _ = made(
        name,
        periodic,
        max_epochs=EPOCHS.get(name, 100),
        batch_size=64,
        lr=0.02,
        dim=16,
        length=8,
        patience=0,
        schedule="cosine",
        dropout=0.0,
        id_dropout=0.1,
        **how,
    )
    model.eval()
    with torch.no_grad():
        taste = model.sequence_embeddings(model.user_state(Query(np.arange(USERS))).tensors)
        follows = torch.softmax(taste @ model.vectors(model.pool()).T, 1)
    info = (follows[:, -1] / follows[:, :-1].max(1).values).log().mean().exp().item()
    assert 0.5 / PERIOD < info < 2 / PERIOD, "alone it is one of forty, and not four"


def test_what_is_observed_is_read_and_undone(periodic: Dataset) -> None:
    """Evaluation shows the held-out validation film before it asks for the test film, and leaves the model as it
    was."""
    model, split = made("sasrec", periodic, max_epochs=1, length=8)
    before = model.snapshot()
    first = evaluate(model, periodic, split, only=["mrr"], groups=False, intervals=False).metrics
    assert first == evaluate(model, periodic, split, only=["mrr"], groups=False, intervals=False).metrics
    assert all(torch.equal(v, before[k]) for k, v in model.snapshot().items())
    model.observe(periodic.interactions.take(split.validation))
    state = model.user_state(Query(np.array([0, 5]))).tensors
    assert state["sequence"][0].tolist() == [(0 + s) % PERIOD for s in range(LONG - 1)][-8:]


@pytest.mark.parametrize("name", FORWARD)
def test_the_future_cannot_change_a_place(name: str, periodic: Dataset) -> None:
    model, _ = made(name, periodic, max_epochs=1, length=8)
    sequence = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0]])
    size = torch.tensor([8])
    before = model.read(sequence, size)
    other = sequence.clone()
    other[0, 5:] = torch.tensor([3, 3, 3])
    after = model.read(other, size)
    torch.testing.assert_close(before[:, :6], after[:, :6], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, 6:], after[:, 6:])


@pytest.mark.parametrize("name", SEQUENCES)
def test_company_and_padding_change_nothing(name: str, periodic: Dataset) -> None:
    """A row scores the same alone, beside longer ones, and however much padding follows it."""
    model, _ = made(name, periodic, max_epochs=1, length=12)
    histories = [History(np.array([1, 2])), History(np.array([4, 5, 6, 0, 1, 2, 3])), History(np.zeros(0, np.int64))]
    together = model.score_all(model.fold_in(histories))
    for row, own in enumerate(histories):
        alone = model.score_all(model.fold_in([own]))[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-5, atol=1e-5)
    state = model.fold_in(histories[:1]).tensors
    noisy = {**state, "sequence": torch.where(torch.arange(12) < 2, state["sequence"], 5)}
    torch.testing.assert_close(model.score_states(noisy), model.score_states(state), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SEQUENCES)
def test_known_users_are_their_own_histories(name: str, periodic: Dataset) -> None:
    """What is gathered for a known user is what folding their training events in gives."""
    model, split = made(name, periodic, max_epochs=1, length=6)
    train = train_set(periodic, split.train, 0, None).interactions
    user, item = np.asarray(train.need("user")), np.asarray(train.need("item"))
    time = np.asarray(train.need("time"))
    for who in (0, 17):
        rows = np.flatnonzero(user == who)
        folded = model.fold_in([History(item[rows], None, time[rows])])
        known = model.user_state(Query(np.array([who])))
        for key in ("sequence", "size"):
            assert torch.equal(folded.tensors[key], known.tensors[key]), key


def test_batches_hold_every_row_once_and_about_as_many_events(periodic: Dataset) -> None:
    """Histories of 1 to 13 events: cut to the longest of a batch, none twice, none lost, and the same again for the
    same epoch."""
    rng = np.random.default_rng(3)
    user = np.asarray(periodic.interactions.need("user"))
    rows = np.flatnonzero(np.asarray(periodic.interactions.need("time")) < 1 + rng.integers(0, 13, USERS)[user])
    model = registry.load("models", "sasrec")(
        registry.config("models", "sasrec", {"length": 12, "id_dropout": 0.0}), periodic.schema()
    )
    train = train_set(periodic, rows, 0, None)
    model.mark_known(train.interactions)
    model.begin(train)
    batches = list(model.batches(train, 4, batch_size=16))
    assert sum(len(b["size"]) for b in batches) == USERS
    assert all(
        b["sequence"].shape[1] == b["size"].max() and b["target"].shape[1] == b["size"].max() + 1 for b in batches
    )
    asked = [int((b["target"] >= 0).sum()) for b in batches]
    assert sum(asked) == len(rows) and max(asked) < 1.5 * sum(asked) / len(asked) + 13
    again = list(model.batches(train, 4, batch_size=16, start=2))
    assert len(again) == len(batches) - 2 and all(
        torch.equal(a["target"], b["target"]) for a, b in zip(again, batches[2:], strict=True)
    )
    other = list(model.batches(train, 5, batch_size=16))
    assert any(not torch.equal(a["size"], b["size"]) for a, b in zip(other, batches, strict=False))


def test_sse_at_probability_0_is_the_plain_model(periodic: Dataset) -> None:
    """Nobody and nothing is swapped: the batches are SASRec's own, with whose they are; at 1 every user read is
    drawn."""

    def table(name: str, **how: Any) -> Any:
        model = registry.load("models", name)(
            registry.config("models", name, {"length": 8, "id_dropout": 0.0, **how}), periodic.schema()
        )
        train = train_set(periodic, make_split(periodic, "leave-one-out").train, 0, None)
        model.mark_known(train.interactions)
        model.begin(train)
        return model.epoch(train, 3)

    plain, still = table("sasrec"), table("sse_pt", sse_user=0.0, sse_film=0.0)
    assert all(torch.equal(plain[key], still[key]) for key in plain)
    assert still["user"].tolist() == list(range(USERS))
    moved = table("sse_pt", sse_user=1.0, sse_film=1.0)
    assert (moved["user"] != still["user"]).float().mean() > 0.9 and (
        moved["sequence"] != still["sequence"]
    ).float().mean() > 0.9
    assert torch.equal(moved["target"], still["target"]), "what comes next is never swapped"


@pytest.mark.parametrize("name", ["sasrec", "sse_pt", "bert4rec", "gru4rec", "bst"])
def test_resumed_training_ends_where_an_uninterrupted_one_does(name: str, periodic: Dataset, tmp_path: Path) -> None:
    def stop_after_two(kind: str, info: Any) -> None:
        callbacks.stop.wanted = callbacks.stop.wanted or (kind == "epoch" and info["epoch"] == 1)

    split, how = (
        make_split(periodic, "leave-one-out"),
        # bst has a row for each rating; the others, for each user: a few batches an epoch for all
        {"max_epochs": 3, "device": "cpu", "batch_size": 400 if name == "bst" else 32, "patience": 0},
    )
    whole = fit(name, periodic, split, options=how, seed=5).model
    folder = tmp_path / "course"
    folder.mkdir()
    callbacks = TrainingCallbacks(folder, stop_after_two)
    with pytest.raises(Interrupted):
        fit(name, periodic, split, options=how, seed=5, callbacks=callbacks)
    resumed = fit(name, periodic, split, options=how, seed=5, callbacks=TrainingCallbacks(folder=folder)).model
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())


@pytest.mark.parametrize("name", [n for n in SEQUENCES if n.endswith("_multimodal")])
def test_a_film_nobody_met_is_read_and_ranked_by_its_content(name: str, periodic: Dataset) -> None:
    """Films 30 … 39 leave training: each scores and is read as itself, not as the one unknown film."""
    split = make_split(periodic, "leave-one-out")
    item = np.asarray(periodic.interactions.need("item"))
    split = replace(split, train=split.train[item[split.train] < 30])
    model = fit(name, periodic, split, options={"device": "cpu", "max_epochs": 1, "length": 8, "patience": 0}).model
    histories = [History(np.array([2, 3])), History(np.array([2, 3, 30])), History(np.array([2, 3, 31]))]
    scores = model.score_all(model.fold_in(histories))
    assert len(torch.unique(scores[0, 30:])) == 10
    assert not torch.allclose(scores[1], scores[0]) and not torch.allclose(scores[1], scores[2])
    assert 30 <= len(model.pool()) and model.schema.n_items not in model.pool(), "the unknown film is no rival"


def bst(dataset: Dataset, **how: Any) -> Any:
    model = registry.load("models", "bst")(registry.config("models", "bst", {"length": 4, **how}), dataset.schema())
    train = train_set(dataset, make_split(dataset, "leave-one-out").train, 0, None)
    model.mark_known(train.interactions)
    model.begin(train)
    return model.eval(), train


def test_bst_sees_what_came_before_a_row_and_nothing_after(periodic: Dataset) -> None:
    """By hand: user 0 met films 0, 1, 2 …; the row of film 2 is preceded by 1, then 0."""
    model, train = bst(periodic)
    batch = model.epoch(train, 0)
    row = int(np.flatnonzero((batch["user"] == 0) & (batch["item"] == 2) & (batch["target"] == 1))[0])
    seen = model.user_tensors({key: column[row : row + 1] for key, column in batch.items()})
    assert seen["size"].tolist() == [2] and seen["films"][0, :2].tolist() == [1, 0]
    one = {key: column[row : row + 1] for key, column in batch.items()}
    before = model.row_losses(one)
    at = int(one["end"])
    model.history_items[at : at + 3] = torch.tensor(
        [9, 9, 9], dtype=torch.int32
    )  # the film itself and two that came later are others now
    assert torch.equal(model.row_losses(one), before), "nothing that came later reaches the loss"
    model.history_items[at - 1] = 9
    assert not torch.equal(model.row_losses(one), before)
    state = model.fold_in([History(np.arange(6)), History(np.zeros(0, np.int64))])
    assert state.tensors["films"][0].tolist() == [5, 4, 3, 2] and state.source == ("folded", "fallback")


def test_bst_events_of_one_moment_do_not_see_each_other(home: Path, ratings_csv: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    events = dataset.interactions
    same = replace(events, time=np.zeros(len(np.asarray(events.user)), np.int64))
    model = registry.load("models", "bst")(registry.config("models", "bst", {}), dataset.schema())
    train = TrainSet(same, dataset.schema(), (), 0)
    model.mark_known(same)
    model.begin(train)
    batch = model.epoch(train, 0)
    assert int(model.user_tensors(batch)["size"].max()) == 0


def test_bst_batch_mates_and_padding_change_nothing(periodic: Dataset) -> None:
    model, _ = bst(periodic)
    histories = [History(np.array([1, 2])), History(np.array([4, 5, 6, 7]))]
    together = model.score_all(model.fold_in(histories))
    torch.testing.assert_close(together[0], model.score_all(model.fold_in(histories[:1]))[0], rtol=1e-5, atol=1e-6)
    state = model.fold_in(histories[:1]).tensors
    noisy = {**state, "films": torch.where(torch.arange(4) < 2, state["films"], 9)}
    torch.testing.assert_close(model.score_states(noisy), model.score_states(state), rtol=1e-6, atol=1e-6)
    swapped = model.score_all(model.fold_in([History(np.array([2, 1]))]))
    assert not torch.allclose(swapped[0], together[0]), "the order of events counts"


def test_a_history_that_knows_the_future_is_not_streamed(periodic: Dataset) -> None:
    """Where rows are divided at random, training holds somebody's later events: the stream is refused."""
    split = make_split(periodic, "random:80-10-10")
    model = fit("markov", periodic, split).model
    with pytest.raises(MMRecError, match="contain the future"):
        evaluate(model, periodic, split, regime="stream", groups=False, intervals=False)


def test_the_loader_asks_for_every_next_film_once(periodic: Dataset) -> None:
    """By hand: inputs, targets and the place that a cut-off window leaves out."""
    model, split = made("sasrec", periodic, max_epochs=1, length=4)
    train = train_set(periodic, split.train, 0, None)
    table = model.epoch(train, 0)
    own = [(0 + s) % PERIOD for s in range(LONG - 2)][-5:]
    assert table["sequence"][0].tolist() == own[:4] and table["size"][0] == 4
    assert table["target"][0].tolist() == [-1, *own[1:]], "a window's first is not asked for where others came before"
    drawn = table["negative"][table["target"] >= 0]
    assert (drawn < PERIOD).all()


def test_markov_counts(home: Path, tmp_path: Path) -> None:
    """n(i → j), mixed with popularity, worked out by hand."""
    (tmp_path / "Beauty.txt").write_text("1 1 2 3 9\n2 1 2 2 9\n3 1 3 3 9\n4 4 4 9 9\n")
    preparation.prepare("amazon-beauty", source=tmp_path, name="few")
    dataset = preparation.open_dataset("few")
    model = registry.load("models", "markov")(
        registry.config("models", "markov", {"smoothing": 2.0, "reach": 1}), dataset.schema()
    )
    train = train_set(dataset, np.arange(len(np.asarray(dataset.interactions.need("user")))), 0, None)
    model.fit(train)
    scores = model.score_all(model.fold_in([History(np.array([0]))]))[0]
    share = {0: 3 / 16, 1: 3 / 16, 2: 3 / 16}
    assert scores[1] == pytest.approx((2 + 2 * share[1]) / (3 + 2)) and scores[2] == pytest.approx(
        (1 + 2 * share[2]) / 5
    )
    nobody = model.fold_in([History(np.zeros(0, np.int64))])
    assert nobody.source == ("fallback",) and model.score_all(nobody)[0].argmax() == 4


def test_broken_lines_are_named(home: Path, tmp_path: Path) -> None:
    (tmp_path / "Beauty.txt").write_text("1 2 3\n2 x 4\n")
    with pytest.raises(MMRecError, match="line 2"):
        preparation.prepare("amazon-beauty", source=tmp_path, name="broken")


def test_real_sequences_beat_popularity(home: Path, sources: Path) -> None:
    """Beauty's first users, leave-one-out: what came next for others after the same product tells more than what is
    popular."""
    file = sources / "amazon_seq" / "Beauty.txt"
    if not file.is_file():
        pytest.skip("needs amazon_seq")
    preparation.prepare("amazon-beauty")
    dataset = preparation.open_dataset("amazon-beauty")
    assert (len(dataset.users), len(dataset.items)) == (22_363, 12_101) and dataset.manifest["ratings"] == 198_502
    split = make_split(dataset, "leave-one-out")
    ndcg = {
        n: (
            evaluate(
                fit(n, dataset, split).model, dataset, split, only=["ndcg@10"], groups=False, intervals=False
            ).metrics["ndcg@10"]
        )
        for n in ("markov", "popularity")
    }
    assert ndcg["markov"] > 2 * ndcg["popularity"]  # type: ignore[operator]


def test_weights_saved_under_earlier_names_are_read(periodic: Dataset, tmp_path: Path) -> None:
    """Buffers of histories had other names; a snapshot of then gives the model of now."""
    from safetensors.torch import load_file, save_file

    split = make_split(periodic, "leave-one-out")
    model = fit("sasrec", periodic, split, options={"dim": 8, "max_epochs": 1}).model
    model.save(tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    earlier = {today: name for name, today in type(model).earlier_names.items()}
    save_file({earlier.get(key, key): value for key, value in load_file(file).items()}, file)
    query = Query(np.arange(3))
    assert torch.equal(load_model(tmp_path / "model").score_all(query), model.score_all(query))
