"""What each miniature claims: causality, a memory without foresight. The rest is in the contract."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import registry
from mmrec_core.types import Interactions, Query, Schema, TrainSet

MINIATURES = Path(__file__).parents[1] / "miniatures"
N_USERS, N_FILMS, PER_USER = 12, 20, 10


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of its own and the miniatures plugged in."""
    folder, threads = tmp_path_factory.mktemp("miniatures"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_HOME", str(folder))
        plugins = [p for p in (os.environ.get("MMREC_PLUGINS"), str(MINIATURES)) if p]
        patch.setenv("MMREC_PLUGINS", os.pathsep.join(plugins))
        torch.set_num_threads(1)
        yield folder
        torch.set_num_threads(threads)


def _train(change_from: int | None = None) -> TrainSet:
    """Likes of a few users, one a minute; from event ``change_from`` on the films are others."""
    rng = np.random.default_rng(2)
    item = np.concatenate([rng.permutation(N_FILMS)[:PER_USER] for _ in range(N_USERS)]).astype(np.int32)
    user = np.repeat(np.arange(N_USERS, dtype=np.int32), PER_USER)
    order = rng.permutation(len(user))
    user, item = user[order], item[order]
    if change_from is not None:
        item[change_from:] = (item[change_from:] + 7) % N_FILMS
    time = 1_000_000_000 + 60 * np.arange(len(user), dtype=np.int64)
    schema = Schema(N_USERS, N_FILMS, frozenset({"user", "item", "time"}))
    return TrainSet(Interactions(user=user, item=item, time=time), schema)


def _model(name: str, train: TrainSet) -> Any:
    """An untrained model with reproducible weights."""
    torch.manual_seed(0)
    model = registry.load("models", name)(registry.config("models", name, {}), train.schema)
    model.mark_known(train.interactions)
    model.begin(train)
    return model.eval()


# SASRec


def test_sasrec_never_reads_ahead() -> None:
    """Changing a later film leaves every earlier place bit by bit as it was, and does change what comes after."""
    model = _model("tiny_sasrec", train := _train())
    sequence = model.epoch(train, 0)["sequence"]
    before = model.encode(sequence)
    for place in range(PER_USER):
        changed = sequence.clone()
        changed[:, place] = (changed[:, place] + 1) % N_FILMS
        after = model.encode(changed)
        assert torch.equal(before[:, : place + 1], after[:, : place + 1])
        assert not torch.allclose(before[:, place + 1], after[:, place + 1])


def test_sasrec_reads_in_time_order() -> None:
    """However the training rows lie, a user is the same sequence; their latest film stands last."""
    model, train = _model("tiny_sasrec", _train()), _train()
    shuffled = train.interactions.take(np.random.default_rng(0).permutation(N_USERS * PER_USER))
    assert torch.equal(model.read(train.interactions), model.read(shuffled))
    own = np.flatnonzero(np.asarray(train.interactions.user) == 3)
    latest = np.asarray(train.interactions.item)[own][-1]
    assert int(model.sequences[3, PER_USER - 1]) == latest and int(model.sequences[3, PER_USER]) == model.mark


# TGN


def _pass(model: Any, train: TrainSet, size: int = 16) -> list[torch.Tensor]:
    """Losses of every row, batch by batch, memories moving on as they do in training."""
    model.start_epoch(train, 0)
    found = []
    for batch in model.batches(train, 0, batch_size=size):
        found.append(model.row_losses(batch).detach())
        model.loss(batch)
    return found


def test_tgn_forgets_when_reset() -> None:
    """An epoch starts from empty memories, and a second pass is the first one again."""
    model = _model("tiny_tgn", train := _train())
    first = _pass(model, train)
    assert float(model.memory.abs().sum()) > 0
    model.reset()
    assert float(model.memory.abs().sum()) == 0
    state = model.user_state(Query(np.arange(N_USERS))).tensors
    assert float(state["memory"].abs().sum()) == 0 and bool((state["last"] == -1).all())
    assert all(torch.equal(a, b) for a, b in zip(first, _pass(model, train), strict=True))


def test_tgn_has_no_foresight() -> None:
    """Changing events from some row on changes no prediction before it, not even within its batch."""
    before, change = _train(), 40
    model = _model("tiny_tgn", before)
    old, new = _pass(model, before), _pass(model, _train(change))
    whole, changed = torch.cat(old), torch.cat(new)
    assert torch.equal(whole[:change], changed[:change])
    assert not torch.allclose(whole[48:], changed[48:])


def test_tgn_batches_are_in_time_order() -> None:
    """However the training rows lie."""
    train = _train()
    order = np.random.default_rng(1).permutation(len(train.interactions))
    shuffled = TrainSet(train.interactions.take(order), train.schema)
    times = torch.cat([batch["time"] for batch in _model("tiny_tgn", train).batches(shuffled, 3, batch_size=7)])
    assert bool((times.diff() > 0).all())


def test_tgn_graph_does_not_grow() -> None:
    """Gradients reach the GRU through waiting messages, and end at the batch before."""
    model = _model("tiny_tgn", train := _train())
    for batch in model.batches(train, 0, batch_size=16):
        model.zero_grad()
        model.loss(batch).backward()
        assert not model.memory.requires_grad
    assert float(model.update.weight_ih.grad.abs().sum()) > 0 and float(model.clock.weight.grad.abs().sum()) > 0


def test_tgn_stream_may_be_cut_anywhere() -> None:
    """Observing in one piece or in several comes to the same, and a known user's answer moves on."""
    model, events = _model("tiny_tgn", train := _train()), _train().interactions
    model.start_epoch(train, 0)
    asked = Query(np.array([0, 5]))
    empty = model.score_all(asked)
    kept = model.snapshot()
    model.observe(events)
    whole = model.score_all(asked)
    assert not torch.allclose(empty, whole)
    model.restore(kept)
    for part in (slice(0, 3), slice(3, 50), slice(50, None)):
        model.observe(events.take(np.arange(len(events))[part]))
    assert torch.equal(whole, model.score_all(asked))
    model.restore(kept)
    assert torch.equal(empty, model.score_all(asked))
