"""VBPR, LATTICE, FREEDOM, BM3 and MGCN: the formulas of their papers, written out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmrec_core import registry
from mmrec_core.models import _item_graph
from mmrec_core.types import History, Query, TrainSet
from tests.models.test_graph import COLD, N_FILMS, SCHEMA, content, likes, model

GRAPHS = ["lattice", "freedom", "bm3", "mgcn"]


def trained(name: str, side: Any, steps: int = 5) -> Any:
    """A model after a few steps of plain Adam on the batches of the trainer."""
    train = TrainSet(likes(), SCHEMA, side)
    made = registry.load("models", name)(registry.config("models", name, {"dim": 4}), SCHEMA, side)
    made.mark_known(train.interactions)
    made.begin(train)
    optimiser = torch.optim.Adam(made.parameters(), lr=0.05)
    made.train()
    for epoch in range(steps):
        made.start_epoch(train, epoch)
        for batch in made.batches(train, epoch, batch_size=8):
            optimiser.zero_grad()
            made.loss(batch).backward()
            optimiser.step()
    return made.eval()


def zeros(*names: str) -> Any:
    """Content whose vectors are all zero."""
    return tuple(replace(field, data=np.zeros_like(field.data)) for field in content(*names))


def test_vbpr_with_zero_features_is_bpr_bit_for_bit() -> None:
    """Vectors of zeros add nothing to any score or gradient, so training ends in the same bits."""
    everyone = torch.arange(SCHEMA.n_users)
    plain, visual = trained("bpr", ()), trained("vbpr", zeros("text", "image"))
    with torch.no_grad():
        for name in ("user_factors", "item_factors", "item_bias"):
            assert torch.equal(getattr(plain, name).weight, getattr(visual, name).weight)
        states = (made.gather_users(everyone) for made in (plain, visual))
        assert torch.equal(plain.score_states(next(states)), visual.score_states(next(states)))


def test_vbpr_scores_by_its_formula() -> None:
    """``b_i + p·q + θ·(E f) + β·f`` for films of the catalog, cold ones and new ones."""
    side = content("text", "image")
    made = trained("vbpr", side)
    with torch.no_grad():
        user = made.gather_users(torch.tensor([1]))
        scores = made.score_states(user)[0]
        for item in (0, COLD):
            row = made.oov_item(torch.tensor([item]))
            own = torch.cat([made.content.read(m, torch.tensor([item]))[0] for m in ("text", "image")], 1)[0]
            own = own / len(own) ** 0.5  # a mean squared length of 1
            by_hand = made.item_bias(row)[0, 0] + user["factors"][0] @ made.item_factors(row)[0]
            by_hand = by_hand + user["content_factors"][0] @ (own @ made.projection) + own @ made.content_bias
            torch.testing.assert_close(scores[item], by_hand)
        given = {f.name: torch.from_numpy(np.asarray(f.data[[COLD]], np.float32)) for f in side}
        new = made.score_new(user, made.item_state(given).tensors)
        torch.testing.assert_close(new[0, 0], scores[COLD])


def nearest_by_brute_force(vectors: np.ndarray, known: np.ndarray, k: int) -> np.ndarray:
    """Dense matrix ``[I, I]`` of cosine similarities, kept at each film's k most similar known films."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    found = np.zeros_like(cosine)
    for row in range(len(cosine)):
        order = sorted((c for c in range(len(cosine)) if known[c]), key=lambda c: -cosine[row, c])[:k]
        found[row, order] = np.maximum(cosine[row, order], 0)
    return found


def as_dense(items: torch.Tensor, weights: torch.Tensor) -> np.ndarray:
    """Neighbours and weights as a dense matrix."""
    found = torch.zeros(len(items), N_FILMS).index_put(
        (torch.arange(len(items))[:, None].expand_as(items), items), weights, accumulate=True
    )
    return found.detach().numpy()


@pytest.mark.parametrize("name", ["lattice", "freedom"])
def test_item_graphs_are_the_nearest_neighbours(name: str) -> None:
    """Every link is one of the k most similar films; weights are ``w_ij / √(d_i d_j)`` of cosines (LATTICE) or ones
    (FREEDOM)."""
    side = content("text")
    made = model(name, side, neighbours=3)
    known = made.known_items[:-1].numpy()
    raw = nearest_by_brute_force(np.asarray(side[0].data, np.float64), known, 3)
    raw = raw if name == "lattice" else (raw > 0).astype(float)
    degree = raw.sum(1)
    expected = raw / np.sqrt(np.where(degree > 0, degree, 1)[:, None] * np.where(degree > 0, degree, np.inf)[None])
    np.testing.assert_allclose(as_dense(*made.item_graph("text")), expected, atol=2e-6)
    assert not known[COLD] and expected[COLD].sum() >= 0 and not expected[:, COLD].any()


def test_lattice_mixes_the_original_and_the_learned_graph() -> None:
    """``λ Σ_m w_m S̃_m + (1 − λ) norm(Σ_m w_m K_m)`` with the softmax of the modalities' weights."""
    side = content("text", "image")
    made = model("lattice", side, neighbours=3, original=0.7)
    with torch.no_grad():
        made.modality_weights.copy_(torch.tensor([0.3, -0.4]))
        shares, known = made.modality_weights.softmax(0).numpy(), made.known_items[:-1].numpy()
        expected, learned = np.zeros((N_FILMS, N_FILMS)), np.zeros((N_FILMS, N_FILMS))
        for share, name in zip(shares, ("text", "image"), strict=True):
            expected += 0.7 * share * as_dense(*made.item_graph(name))
            learned += share * nearest_by_brute_force(made._projected(name).double().numpy(), known, 3)
        degree = np.where(learned.sum(1) > 0, learned.sum(1), np.inf)
        expected += 0.3 * learned / np.sqrt(degree[:, None] * degree[None])
        found = sum(as_dense(items, weights) for items, weights in made.mixture())
        np.testing.assert_allclose(found, expected, atol=1e-5)
        ids = made.ids("item", torch.arange(N_FILMS + 1))
        by_hand = F.normalize(torch.from_numpy(expected).float() @ ids[:-1], dim=1)
        torch.testing.assert_close(made.channels(ids)[:-1, 0], by_hand, atol=1e-4, rtol=1e-4)
    assert shares.sum() == pytest.approx(1)


def test_freedom_keeps_edges_of_rare_nodes_more_often() -> None:
    """In an epoch the right number of edges is kept, each with a probability that falls with ``√(d_u d_i)``; scores are
    computed on all edges."""
    made, train = model("freedom", content("text"), edge_dropout=0.5), TrainSet(likes(), SCHEMA, content("text"))
    n, kept = len(likes()), np.zeros((SCHEMA.n_users, N_FILMS))
    before = made.embeddings()[0]
    for epoch in range(300):
        made.train()
        made.start_epoch(train, epoch)
        edges = made.edges
        user = torch.repeat_interleave(torch.arange(len(edges.start) - 1), edges.start.diff())
        assert len(edges.items) == round(n * 0.5)
        kept[user.numpy(), edges.items.numpy()] += 1
    user, item = np.asarray(likes().user), np.asarray(likes().item)
    weight = np.sqrt(np.bincount(user)[user] * np.bincount(item)[item])
    share = kept[user, item] / 300
    assert np.corrcoef(share, 1 / weight)[0, 1] > 0.8 and not kept[:, COLD].any()
    made.eval()
    assert made.edges is made.graph
    torch.testing.assert_close(made.embeddings()[0], before)


def test_freedom_loss_by_its_formula() -> None:
    """BPR of the embeddings, plus the weighted BPR of users with each projected modality, plus L2."""
    made = model("freedom", content("text", "image"), content_weight=0.5, l2=0.01, edge_dropout=0.0)
    batch = {"user": torch.tensor([0, 1]), "item": torch.tensor([1, 2]), "negative": torch.tensor([[3], [4]])}
    with torch.no_grad():
        users, items = made.embeddings()
        own, good, bad = users[[0, 1]], items[[1, 2]], items[[3, 4]]
        loss = -F.logsigmoid((own * good).sum(1) - (own * bad).sum(1))
        for name in ("text", "image"):
            made_items = made.project[name](made.content.read(name, torch.arange(N_FILMS))[0])
            loss -= 0.5 * F.logsigmoid((own * made_items[[1, 2]]).sum(1) - (own * made_items[[3, 4]]).sum(1))
        tables = (made.user_table.weight[[0, 1]], made.item_table.weight[[1, 2]], made.item_table.weight[[3, 4]])
        loss += 0.01 * sum(t.square().sum(1) for t in tables)
        torch.testing.assert_close(made.row_losses(batch), loss)


def test_bm3_loss_by_its_formula() -> None:
    """``1 − cos`` between predicted views and targets without gradient; scores are ``P(u) · P(i)``."""
    made = model("bm3", content("text", "image"), dropout=0.0, content_weight=1.5, l2=0.2)
    batch = {"user": torch.tensor([0, 1]), "item": torch.tensor([1, 2])}
    predict = made.predictor
    with torch.no_grad():
        users, items = ([layer[:, 0] for layer in layers] for layers in made.propagate())
        users = torch.stack(users).mean(0)
        items = torch.stack(items).mean(0) + made.ids("item", torch.arange(N_FILMS + 1))
        cold = made.projected({m: made.content.read(m, torch.tensor([COLD])) for m in ("text", "image")})
        items[COLD] += cold[0]
        u, i = users[[0, 1]], items[[1, 2]]

        def away(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return 1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))

        loss = away(predict(u), i) + away(predict(i), u) + 0.2 * (users.norm() + items.norm()) / len(items)
        for name in ("text", "image"):
            own = made.project[name](made.content.read(name, torch.tensor([1, 2]))[0])
            loss += 1.5 * (away(predict(own), i) + away(predict(own), own))
        torch.testing.assert_close(made.row_losses(batch), loss)
        torch.testing.assert_close(made.embeddings()[1], predict(items))
    made.train().loss(batch).backward()
    assert made.item_table.weight.grad is not None, "targets have no gradient, predictions have"


def test_bm3_reads_vectors_as_the_encoder_made_them_unless_they_are_to_be_standardised() -> None:
    """The authors' code reads them raw; with ``standardise`` training items have mean 0 and standard deviation 1."""
    rows = torch.arange(N_FILMS)
    as_made = model("bm3", content("text"))
    torch.testing.assert_close(as_made.content.read("text", rows)[0], as_made.content.raw("text"))
    changed = model("bm3", content("text"), standardise=True)
    known = changed.content.read("text", rows)[0][changed.known_items[:-1]]
    torch.testing.assert_close(known.mean(0), torch.zeros(known.shape[1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(known.square().mean(), torch.tensor(1.0))


def test_mgcn_by_its_formula() -> None:
    """Purified content over the item graph, once to users; attention sums to one; InfoNCE over the batch."""
    made = model("mgcn", content("text", "image"), neighbours=3, contrast=0.3, temperature=0.5, l2=0.0)
    batch = {"user": torch.tensor([0, 1]), "item": torch.tensor([1, 2]), "negative": torch.tensor([[3], [4]])}
    with torch.no_grad():
        ids, views = made.ids("item", torch.arange(N_FILMS + 1))[:-1], []
        edges = torch.zeros(SCHEMA.n_users + 1, N_FILMS)
        edges[torch.from_numpy(np.asarray(likes().user).astype(int)), np.asarray(likes().item).astype(int)] = 1
        scale = edges.sum(1).clamp(min=1).rsqrt()[:, None] * edges.sum(0).clamp(min=1).rsqrt()[None]
        for name in ("text", "image"):
            own = made.content.read(name, torch.arange(N_FILMS))[0]
            gated = ids * torch.sigmoid(made.purify[name][0](made.project[name](own)))
            of_items = torch.from_numpy(as_dense(*made.item_graph(name))) @ gated
            views.append(torch.cat([(edges * scale) @ of_items, of_items]))
        weight = torch.softmax(torch.cat([made.attend(v) for v in views], 1), 1)
        torch.testing.assert_close(weight.sum(1), torch.ones(len(weight)))
        common = weight[:, :1] * views[0] + weight[:, 1:] * views[1]
        graph = torch.cat([made.averaged(layers) for layers in made.propagate()])
        graph = torch.cat([graph[: SCHEMA.n_users + 1], graph[SCHEMA.n_users + 1 : -1]])
        special = [
            made.prefer[n][0](graph).sigmoid() * (v - common) for n, v in zip(("text", "image"), views, strict=True)
        ]
        side = (special[0] + special[1] + common) / 3
        whole = graph + side
        users, items = made.embeddings()
        torch.testing.assert_close(torch.cat([users, items[:-1]]), whole, atol=1e-5, rtol=1e-4)
        n = SCHEMA.n_users + 1
        loss = -F.logsigmoid((users[[0, 1]] * items[[1, 2]]).sum(1) - (users[[0, 1]] * items[[3, 4]]).sum(1))
        for rows in ([0, 1], [n + 1, n + 2]):
            a, b = F.normalize(side[rows], dim=1), F.normalize(graph[rows], dim=1)
            loss += 0.3 * F.cross_entropy(a @ b.T / 0.5, torch.arange(2), reduction="none")
        torch.testing.assert_close(made.row_losses(batch), loss, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_known_user_folded_in_gets_the_same_embedding(name: str) -> None:
    """A history with the likes of a known user, and that user's own first vector, gives that user's embedding."""
    made, pairs = model(name, content("text", "image")), likes()
    with torch.no_grad():
        made.user_table.weight[-1] = made.user_table.weight[2]
    made._cache = None
    own = np.asarray(pairs.item)[np.asarray(pairs.user) == 2].astype(np.int64)
    folded = made.fold_in([History(own), History(np.zeros(0, np.int64))])
    with torch.no_grad():
        torch.testing.assert_close(folded.tensors["vector"][0], made.embeddings()[0][2])
    assert folded.source == ("folded", "fallback")


@pytest.mark.parametrize("name", GRAPHS)
def test_a_new_film_is_scored_as_a_cold_one(name: str) -> None:
    """A film of the catalog without likes and the same film brought from outside have the same vector, which follows
    its content alone."""
    side = content("text", "image")
    made = trained(name, side)
    with torch.no_grad():
        cold = made.embeddings()[1][COLD]
        given = {f.name: torch.from_numpy(np.asarray(f.data[[COLD]], np.float32)) for f in side}
        torch.testing.assert_close(made.item_state(given).tensors["vector"][0], cold, atol=1e-5, rtol=1e-4)
        made.item_table.weight[COLD] += 10
        made.item_table.weight[-1] += 10
        made.forget()
        torch.testing.assert_close(made.embeddings()[1][COLD], cold)
        alone = made.item_state({"image": given["image"]}).tensors["vector"][0]
    assert not torch.allclose(alone, cold) and model(name).item_state(given) is None


@pytest.mark.parametrize("name", [*GRAPHS, "vbpr"])
def test_every_tensor_learns(name: str) -> None:
    """Ids, projections, gates and weights of modalities: all receive gradient."""
    side = content("text", "image")
    settings = {"original": 0.5} if name == "lattice" else {}
    made = model(name, side, **settings).train()
    with torch.no_grad():
        for parameter in made.parameters():  # where a factor starts at zero, the other's gradient is zero
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    table = made.epoch(TrainSet(likes(), SCHEMA, side), 0)
    made.hide(table, 0)
    made.loss(table).backward()
    silent = [key for key, p in made.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not silent


@pytest.mark.parametrize("name", GRAPHS)
def test_without_content_it_is_a_graph_model(name: str) -> None:
    """With no modality at all the models still train and rank."""
    made = trained(name, ())
    assert bool(made.embeddings()[1].isfinite().all())


def test_ease_with_content_by_its_formula() -> None:
    """The ridge regression over likes and links, with a zero diagonal; without weight of the content it is EASE; a film
    without likes is regressed on its own links."""
    side = content("text", "image")
    train = TrainSet(likes(), SCHEMA, side)
    plain, made, none = (
        registry.load("models", name)(registry.config("models", name, how), SCHEMA, side)
        for name, how in (
            ("ease", {"l2": 3.0}),
            ("ease_content", {"l2": 3.0, "content": 0.7, "neighbours": 3}),
            ("ease_content", {"l2": 3.0, "content": 0.0}),
        )
    )
    for net in (plain, made, none):
        net.fit(train)
    assert torch.equal(plain.weights, none.weights)
    x = np.zeros((SCHEMA.n_users, N_FILMS))
    x[np.asarray(likes().user), np.asarray(likes().item)] = 1
    active, known = made.active.numpy(), x.sum(0) > 0
    gram, cold = x.T @ x, np.zeros(N_FILMS)
    for field in side:
        links = nearest_by_brute_force(np.asarray(field.data, np.float64), known, 3)
        cold += 0.7 * links[COLD]
        links[~known] = 0
        gram += 0.7 * links.T @ links
    inverse = np.linalg.inv(gram[np.ix_(active, active)] + 3 * np.eye(len(active)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(made.weights.numpy(), weights, atol=1e-5)
    state = made.user_state(Query(np.arange(SCHEMA.n_users)))
    scores = made.score_all(state).numpy()
    np.testing.assert_allclose(scores[:, COLD], x[:, active] @ inverse @ cold[active], atol=1e-5)
    given = {f.name: torch.from_numpy(np.asarray(f.data[[COLD]], np.float32)) for f in side}
    new = made.score_new(state.tensors, made.item_state(given).tensors)
    np.testing.assert_allclose(new[:, 0].numpy(), scores[:, COLD], atol=1e-6)


def test_items_without_vectors_have_no_neighbours() -> None:
    """A film without a vector is linked to none and none is linked to it; asking for more neighbours than there are
    films leaves weights of zero."""
    vectors = torch.eye(4, 3)
    vectors[1] = 0
    found = _item_graph.nearest(vectors, vectors, torch.tensor([True, True, True, False]), 5)
    assert found.items.shape == (4, 5) and not found.cosine[1].any()
    assert set(found.items[found.cosine > 0].tolist()) == {0, 2}
