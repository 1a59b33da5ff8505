"""What Inside shows equals what the models compute: steps, shares, attention."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmrec_core import features, runs
from mmrec_core.config import TrainConfig
from mmrec_core.data import preparation
from mmrec_core.data.splits import default_split, make_split
from mmrec_core.errors import MMRecError
from mmrec_core.inside import (
    contrastive_batch,
    gradient_step,
    history_attention,
    memory_course,
    message_passing,
    sampled_metrics,
    training_replay,
    training_rows,
)
from mmrec_core.jobs import worker
from mmrec_core.models._attention import Block
from mmrec_core.models._base import load_model
from mmrec_core.serving import counterfactuals, recommender
from mmrec_core.training import checkpoint, snapshots
from mmrec_core.training.fit import fit, learned_rows
from mmrec_core.training.trainer import train_model
from mmrec_core.types import Dataset, History, Query, TrainSet

FEW = {"max_epochs": 2, "patience": 0}
_fitted: dict[str, Learned] = {}


@dataclass
class Learned:
    """A model after two epochs, and the rows it learned from."""

    model: Any
    train: TrainSet


def fitted(demo: Dataset, name: str, **options: Any) -> Learned:
    """Trained once for all tests."""
    key = f"{demo.folder} {name} {sorted(options.items())}"
    if key not in _fitted:
        split = make_split(demo, default_split(demo))
        model = fit(name, demo, split, options={**FEW, **options}, seed=0).model
        _fitted[key] = Learned(model, training_rows.train_set(model, demo, learned_rows(split, False, demo)))
    return _fitted[key]


@pytest.fixture(scope="module")
def pictured(demo: Dataset, shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    """The same films in a home of their own, with vectors of plots and posters."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("pictured") / "home"
        shutil.copytree(shared_home, home, ignore=shutil.ignore_patterns("locks"))
        patch.setenv("MMREC_HOME", str(home))
        features.encode(preparation.open_dataset("demo"), "mini_clip")
        yield preparation.open_dataset("demo")


def history(demo: Dataset, user: int) -> History:
    return training_rows.history(demo, np.arange(len(demo.interactions)), user)


def first_film(model: Any, own: History) -> int:
    """The film that a model ranks first for a history, without those in it."""
    return int(model.recommend_rows(model.fold_in([own]), [own.items], 1)[0][0][0])


class OneBatch(torch.nn.Module):
    """A learner whose every epoch is one given batch."""

    def __init__(self, model: Any, batch: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.batch, self.seed = model, batch, model.seed

    def epoch_rows(self, train: Any) -> int:
        return 1

    def start_epoch(self, train: Any, epoch: int) -> None: ...

    def batches(self, train: Any, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[dict[str, Any]]:
        yield from [self.batch][start:]

    def loss(self, batch: dict[str, Any]) -> Any:
        return self.model.loss(batch)

    def snapshot(self) -> dict[str, Any]:
        return self.model.snapshot()

    def restore(self, snapshot: Any) -> None:
        self.model.restore(snapshot)


@pytest.mark.parametrize("name", gradient_step.MODELS)
@pytest.mark.parametrize("how", [{"lr": 0.01}, {"lr": 0.05, "weight_decay": 0.1, "clip": 0.01}])
def test_steps_are_the_trainers_own_bit_for_bit(demo: Dataset, name: str, how: dict[str, float]) -> None:
    found = fitted(demo, name)
    chosen = gradient_step.draw_comparison(found.model, found.train, 3)
    walked = gradient_step.walk(found.model, chosen, 3, l2=0.02, **how)
    model = gradient_step.with_config(found.model, l2=0.02)
    train_model(
        OneBatch(model, gradient_step.batch_of(model, chosen)),
        None,
        TrainConfig(max_epochs=3, patience=0, batch_size=4, **how),
        None,
    )
    users, items = gradient_step.tables(model)
    trained = torch.cat([users.weight[[chosen.user]], items.weight[[chosen.first, chosen.second]]])
    assert torch.equal(torch.from_numpy(walked[-1].vectors), trained.detach().double())
    scores = model.score_all(Query(np.array([chosen.user])))[0, [chosen.first, chosen.second]]
    assert np.allclose(walked[-1].scores, scores.numpy(), atol=1e-6)
    assert walked[-1].loss < walked[0].loss


def test_a_gradient_is_the_papers(demo: Dataset) -> None:
    """BPR (Rendle et al. 2009): ∂/∂p_u = −σ(−x_uij)(q_i − q_j) + 2λp_u, ∂/∂q_i = −σ(−x_uij)p_u + 2λq_i."""
    found = fitted(demo, "bpr")
    chosen = gradient_step.draw_comparison(found.model, found.train, 5, draw=2)
    state = gradient_step.walk(found.model, chosen, 0, lr=0.01, l2=0.1)[0]
    user, liked, negative = state.vectors
    slope = 1 / (1 + np.exp(state.scores[0] - state.scores[1]))
    assert np.allclose(state.gradients[0], -slope * (liked - negative) + 0.2 * user, atol=1e-6)
    assert np.allclose(state.gradients[1], -slope * user + 0.2 * liked, atol=1e-6)
    assert np.allclose(state.gradients[2], slope * user + 0.2 * negative, atol=1e-6)


def test_the_plane_of_two_factors_is_the_space_itself(demo: Dataset) -> None:
    found = fitted(demo, "bpr", dim=2)
    chosen = gradient_step.draw_comparison(found.model, found.train, 3)
    plane = gradient_step.plane_of(gradient_step.walk(found.model, chosen, 1, lr=0.1))
    assert plane.kept == 1 and np.array_equal(plane.axes, np.eye(2))
    wide = fitted(demo, "bpr")
    states = gradient_step.walk(wide.model, chosen, 1, lr=0.1)
    plane = gradient_step.plane_of(states)
    assert 0 < plane.kept <= 1 and np.allclose(plane.axes @ plane.axes.T, np.eye(2))
    assert plane.axes[0] @ states[0].vectors[0] >= 0


def test_other_models_take_no_step_by_hand(demo: Dataset) -> None:
    found = fitted(demo, "ncf")
    with pytest.raises(MMRecError, match="dot product"):
        gradient_step.walk(found.model, gradient_step.Comparison(0, 1, 2), 1, lr=0.1)


@pytest.mark.parametrize("name", message_passing.MODELS)
@pytest.mark.parametrize("new", [False, True])
def test_shares_of_messages_sum_to_the_models_score(pictured: Dataset, name: str, new: bool) -> None:
    demo, model = pictured, fitted(pictured, name).model
    if new:
        person = message_passing.new_person(model, history(demo, 3))
        scores = model.score_all(model.fold_in([history(demo, 3)]))[0].double().numpy()
    else:
        person = message_passing.known_person(model, 3)
        scores = model.score_all(Query(np.array([3])))[0].double().numpy()
    layers = message_passing.item_layers(model)
    for item in message_passing.ranked(model, person, 5, person.films):
        found = message_passing.shares(person, layers, int(item))
        assert abs(found.score - scores[item]) < 1e-6
        assert abs(found.own + found.films.sum() - found.score) < 1e-6
        assert abs(found.layers.sum() - found.score) < 1e-9


def test_the_drawn_edges_are_the_graphs(demo: Dataset) -> None:
    found = fitted(demo, "lightgcn")
    person = message_passing.known_person(found.model, 3)
    item = int(message_passing.ranked(found.model, person, 1, person.films)[0])
    parts = message_passing.shares(person, message_passing.item_layers(found.model), item)
    drawn = message_passing.ego_graph(found.model, person, parts)
    likes = found.train.positives
    pairs = set(zip(np.asarray(likes.need("user")).tolist(), np.asarray(likes.need("item")).tolist(), strict=True))
    users, items = (np.array([p[at] for p in pairs]) for at in (0, 1))
    degree = lambda column, row: (column == row).sum()
    assert len(drawn.people) and 3 not in drawn.people
    for b, user in enumerate(drawn.people.tolist()):
        assert (user, item) in pairs
        weight = 1 / np.sqrt(degree(users, user) * degree(items, item))
        assert drawn.people_item[b] == pytest.approx(weight)
        for a, at in enumerate(drawn.films.tolist()):
            film = int(person.films[at])
            expected = 1 / np.sqrt(degree(users, user) * degree(items, film)) if (user, film) in pairs else 0
            assert drawn.film_people[a, b] == pytest.approx(expected)


def test_depth_is_the_model_with_other_layers_and_deeper_is_smoother(demo: Dataset) -> None:
    model = fitted(demo, "lightgcn").model
    found = message_passing.depths(model, 3, None, 5, np.zeros(0, np.int64))
    assert [d.layers for d in found] == list(range(9))
    own = message_passing.ranked(model, message_passing.known_person(model, 3), 5, np.zeros(0, np.int64))
    assert np.array_equal(found[model.config.layers].items, own)
    assert found[8].similarity > found[2].similarity > found[0].similarity


def test_mean_cosine_is_the_mean_over_pairs() -> None:
    rows = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    unit = F.normalize(rows).double()
    pairs = (unit @ unit.T)[~torch.eye(7, dtype=torch.bool)]
    assert message_passing.mean_cosine(rows) == pytest.approx(float(pairs.mean()))


def test_attention_weights_are_those_of_the_forward_pass() -> None:
    block = Block(8, 2, 0.0).eval()
    x = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    exists = torch.arange(5) < torch.tensor([[5], [3], [1]])
    for mask in (None, exists):
        weights = block.weights(x, mask)
        assert torch.allclose(weights.sum(-1), torch.ones(3, 2, 5))
        _, _, value = block.projections(x)
        own = None if mask is None else mask[:, None, None, :]
        expected = F.scaled_dot_product_attention(*block.projections(x), own, is_causal=mask is None)
        assert torch.allclose(weights @ value, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["sasrec", "bert4rec", "sse_pt", "lightgt"])
def test_attention_and_removals_are_the_models(pictured: Dataset, name: str) -> None:
    demo, model = pictured, fitted(pictured, name).model
    own = history(demo, 3)
    item = first_film(model, own)
    found = history_attention.read(model, own, item)
    weights = found.attention.weights
    rows = 2 * model.config.layers if name == "lightgt" else model.config.blocks * model.config.heads
    assert len(weights) == len(found.attention.names) == rows
    assert np.allclose(weights.sum(1) + found.attention.rest, 1) and (weights >= 0).all()
    assert found.score == pytest.approx(float(counterfactuals.scores_of(model, [own])[0, item]), rel=1e-6, abs=1e-5)
    for at, effect in zip(found.films, found.effects, strict=True):
        keep = own.items != found.attention.items[at]
        again = counterfactuals.scores_of(model, [History(own.items[keep], own.ratings[keep], own.times[keep])])[
            0, item
        ]
        assert effect == pytest.approx(found.score - again, rel=1e-6, abs=1e-5)


def test_the_models_state_follows_from_the_recorded_weights(demo: Dataset) -> None:
    """The last block's output at the position that is read, computed by hand from the recorded weights."""
    model = fitted(demo, "sasrec").model
    state = model.fold_in([history(demo, 3)]).tensors
    seen: list[torch.Tensor] = []
    handle = model.blocks[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        result = model.sequence_embeddings(state)
        handle.remove()
        weights = torch.from_numpy(model.attention(history(demo, 3)).weights[-1:]).float()
        size, block = int(state["size"][0]), model.blocks[-1]
        rest = 1 - weights.sum()
        whole = torch.cat([rest[None, None], weights], 1)
        value = block.projections(seen[0])[2][0, 0, : size + 1]
        x = seen[0][0, size] + block.out(whole @ value)[0]
        x = x + block.narrow(F.gelu(block.wide(block.between(x))))
    assert torch.allclose(model.last(x), result[0], atol=1e-5)


def test_models_without_attention_say_so(demo: Dataset) -> None:
    with pytest.raises(MMRecError, match="no attention"):
        history_attention.read(fitted(demo, "gru4rec").model, history(demo, 3), 0)


@pytest.mark.parametrize("name", contrastive_batch.MODELS)
def test_a_contrastive_step_is_the_trainers_bit_for_bit(demo: Dataset, name: str) -> None:
    films = range(8)
    batch = contrastive_batch.batch_of(demo, films)
    walked = contrastive_batch.walk(name, batch, 2, 0.001, 0.02)
    own = contrastive_batch.learner(name)
    how = TrainConfig(max_epochs=2, patience=0, batch_size=8, lr=0.001, weight_decay=0.02)
    train_model(OneBatch(own, batch), None, how, None)
    after = contrastive_batch.learner(name)
    after.restore(own.snapshot())
    with torch.no_grad():
        text, image = after.net.texts(batch["flat"], batch["starts"]), after.net.images(batch["image"])
    assert np.array_equal(walked[-1].similarity, (text.double() @ image.double().T).numpy())
    assert walked[-1].loss < walked[0].loss
    at_first = contrastive_batch.learner(name)
    shown = contrastive_batch.loss_of(at_first, torch.tensor(walked[0].similarity))
    assert float(shown) == pytest.approx(float(at_first.loss(batch)), rel=1e-5)


def test_films_without_a_poster_make_no_batch(demo: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrastive_batch, "open_poster", lambda dataset, row: None)
    with pytest.raises(MMRecError, match="no readable poster"):
        contrastive_batch.batch_of(demo, [0, 1])


@pytest.mark.parametrize("name", ["tgn", "jodie"])
def test_a_memory_without_an_event_is_that_of_the_edited_history(demo: Dataset, name: str) -> None:
    model = fitted(demo, name, max_epochs=1).model
    own = history(demo, 3)
    item = first_film(model, own)
    found = memory_course.course(model, own, item, shown=4)
    liked = own.ratings >= demo.manifest["relevant_from"]
    read = np.flatnonzero(liked)
    assert np.array_equal(found.items, own.items[read][-4:]) and found.before == len(read) - 4
    whole = memory_course.memories(model, [History(own.items[read], own.ratings[read], own.times[read])])[0]
    for j in range(4):
        keep = np.delete(read, len(read) - 4 + j)
        edited = History(own.items[keep], own.ratings[keep], own.times[keep])
        other = memory_course.memories(model, [edited])[0]
        assert found.without[j, -1] == pytest.approx(np.linalg.norm(whole - other), abs=1e-6)
        scores = counterfactuals.scores_of(model, [own, edited])[:, item]
        assert found.scores[j] == pytest.approx(scores[0] - scores[1], abs=1e-5)
        assert not found.without[j, :j].any()
    before = memory_course.memories(
        model, [History(own.items[read[:-1]], own.ratings[read[:-1]], own.times[read[:-1]])]
    )
    assert found.moved[-1] == pytest.approx(np.linalg.norm(whole - before[0]), abs=1e-6)


def test_models_without_a_memory_say_so(demo: Dataset) -> None:
    with pytest.raises(MMRecError, match="no memory"):
        memory_course.memories(fitted(demo, "bpr").model, [history(demo, 3)])


def test_expected_ndcg_is_the_mean_over_draws() -> None:
    """Among 50 other candidates 3 score higher; 10 are drawn without replacement."""
    rng = np.random.default_rng(0)
    higher = np.zeros(50, bool)
    higher[:3] = True
    above = np.array([rng.choice(higher, 10, replace=False).sum() for _ in range(40_000)])
    simulated = (1 / np.log2(above + 2)).mean()
    expected = sampled_metrics.expected_ndcg(np.array([3.0]), np.array([50]), 10)
    assert expected[0] == pytest.approx(simulated, abs=0.003)
    whole = sampled_metrics.expected_ndcg(np.array([3.0, 12.0]), np.array([50, 50]), 50)
    assert whole == pytest.approx([1 / np.log2(5), 0])
    one = sampled_metrics.expected_ndcg(np.array([3.0]), np.array([50]), 1)
    assert one[0] == pytest.approx(47 / 50 + 3 / 50 / np.log2(3))


def test_more_negatives_are_harder_and_their_numbers_span_all() -> None:
    steps = sampled_metrics.sizes(1000)
    assert steps[0] == 1 and steps[-1] == 1000 and steps == sorted(set(steps))
    values = [sampled_metrics.expected_ndcg(np.array([20.0]), np.array([1000]), n)[0] for n in steps]
    assert (np.diff(values) <= 1e-12).all()


def test_snapshots_fit_the_budget_and_large_models_keep_none() -> None:
    for size in (1, 100_000, 416_000, 500_000, 900_000, 1_250_000, 2_000_000, 10**9):
        chosen = snapshots.schedule(size)
        assert len(chosen) * size <= snapshots.MOST_BYTES
        assert not chosen or (len(chosen) >= 4 and chosen[0] == 0)
    assert len(snapshots.schedule(400_000)) == 12 and snapshots.schedule(2_000_000) == ()


def test_a_training_is_replayed_from_its_snapshots(
    demo: Dataset, tmp_path: Path, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last moment is the kept model; an earlier one has the weights of a training run that stopped there."""
    monkeypatch.setenv("MMREC_HOME", str(tmp_path / "home"))
    shutil.copytree(shared_home, tmp_path / "home", ignore=shutil.ignore_patterns("locks"), dirs_exist_ok=True)
    dataset = preparation.open_dataset("demo")
    params = runs.training_params("demo", "bpr", options={"max_epochs": 3})
    run = worker.work(runs.create("train", params).id, foreground=True)
    assert run.status == "finished", run.error
    files = sorted(file.name for file in (run.folder / "snapshots").iterdir())
    assert files == ["0000.safetensors", "0001.safetensors", "0002.safetensors", "0003.safetensors"]
    rows = training_rows.training_rows(run, dataset)
    found = training_replay.replay(run, dataset, {"one": 3, "new": history(dataset, 5)}, rows)
    model = load_model(run.folder / "model")
    kept = recommender.recommend_known(run, dataset, 3, 10, seen=history_in(dataset, rows, 3))
    assert np.array_equal(found.frames[-1].lists["one"], kept.items)
    assert found.frames[0].epochs == 0 and found.frames[-1].label.endswith("kept")
    split = make_split(dataset, default_split(dataset))
    again = fit("bpr", dataset, split, options={"max_epochs": 1, "patience": 0}, seed=0).model
    stored = snapshots.read(run.folder / "snapshots")[1]
    assert torch.equal(stored["item_factors.weight"], again.item_factors.weight.detach().half().float())
    places = found.frames[-1].places
    assert places is not None and np.isfinite(places[model.known_items[:-1].numpy()]).all()
    assert np.nanmin(places) >= 0 and np.nanmax(places) <= 1
    assert all(0 <= (frame.overlap or 0) <= 1 for frame in found.frames) and found.frames[-1].overlap is None

    file = run.folder / "snapshots" / "0001.safetensors"
    stored["item_factors.weight"][3] = float("nan")
    whole = file.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], whole[:8] + b"{}" * 40):
        file.write_bytes(broken)
        with pytest.raises(MMRecError, match="snapshot 0001.safetensors of this training run is damaged"):
            training_replay.replay(run, dataset, {"one": 3}, rows)
    checkpoint.write(file, stored, {"epochs": 1, "phase": "fit"})
    with pytest.raises(MMRecError, match="is damaged"):
        training_replay.replay(run, dataset, {"one": 3}, rows)
    checkpoint.write(file, {"item_factors.weight": torch.ones(2, 2)}, {"epochs": 1, "phase": "fit"})
    with pytest.raises(MMRecError, match="do not fit"):
        training_replay.replay(run, dataset, {"one": 3}, rows)


def history_in(dataset: Dataset, rows: Any, user: int) -> Any:
    return training_rows.history(dataset, rows, user).items


def test_alignment_undoes_a_turn() -> None:
    """Vectors that were turned and moved as a whole did not change."""
    rng = np.random.default_rng(0)
    last = rng.normal(size=(50, 4))
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    first, second = training_replay.aligned([last @ turn + 3.0, last])
    assert np.allclose(first, second)


def test_a_pair_in_the_wrong_order_is_found(demo: Dataset) -> None:
    found = fitted(demo, "bpr")
    at = gradient_step.in_wrong_order(found.model, found.train, 3)
    assert at is not None
    for draw in range(at + 1):
        chosen = gradient_step.draw_comparison(found.model, found.train, 3, draw)
        first, second = gradient_step.walk(found.model, chosen, 0, lr=0.01)[0].scores
        assert (first < second) == (draw == at)


def test_deepfms_pairs_are_its_prediction(demo: Dataset) -> None:
    """The dots sum to the pairwise part; without one the rating is lower by exactly this dot product."""
    model = fitted(demo, "deepfm", max_epochs=1).model
    found = counterfactuals.inside(model, 3, 7)
    assert found.score == pytest.approx(float(model.score(np.array([3]), np.array([7]))[0, 0]), abs=1e-4)
    gram = found.vectors.astype(np.float64) @ found.vectors.T
    assert found.dots.sum() == pytest.approx((gram.sum() - np.trace(gram)) / 2, abs=1e-4)
    assert len(found.pairs) == len(found.names) * (len(found.names) - 1) / 2
    if model.share is None:
        assert np.allclose(found.effects, found.dots, atol=1e-5)


def test_gates_sum_to_one_and_are_the_forward_passs(demo: Dataset) -> None:
    model = fitted(demo, "mmoe", max_epochs=1).model
    found = model.gate_weights(model.user_state(Query(np.array([3]))), 7)
    assert list(found) == model.tasks and all(sum(own) == pytest.approx(1, abs=1e-6) for own in found.values())
    other = model.gate_weights(model.user_state(Query(np.array([3]))), 8)
    assert found != other
    assert (
        fitted(demo, "shared_bottom", max_epochs=1).model.gate_weights(model.user_state(Query(np.array([3]))), 7) == {}
    )
