"""PEAGAT, PEAGCN and PEASAGE: convolutions, attention, entities and losses, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmrec_core.models._metapath import Convolution
from mmrec_core.types import Field, History, TrainSet
from tests.models.test_graph import COLD, N_FILMS, N_USERS, SCHEMA, likes, model

NAMES = ["peagat", "peagcn", "peasage"]


def side() -> tuple[Field, ...]:
    """Two genres of films, with one film that has both, years, and one column of users."""
    genres = np.array([[1 + i % 2, 0] for i in range(N_FILMS)])
    genres[0] = [1, 2]
    years = np.array([[-1.0, 1.0][i % 2] for i in range(N_FILMS)], np.float32)
    groups = np.array([1 + u % 2 for u in range(N_USERS)])
    return (
        Field("genres", "item", "multi", ("Drama", "Noir"), width=2, data=genres),
        Field("year", "item", "dense", data=years),
        Field("group", "user", "categorical", ("a", "b"), data=groups),
    )


def made(name: str, **settings: Any) -> Any:
    """An untrained model over :func:`side`."""
    return model(name, side(), out=3, least=1, **settings)


def by_hand(kind: str, conv: Any, x: torch.Tensor, edges: Any) -> torch.Tensor:
    """The convolution node by node, as the papers write it."""
    sent, rows = x @ conv.weight, []
    incoming = {t: [int(s) for s, u in zip(*edges, strict=True) if int(u) == t] for t in range(len(x))}
    for target, sources in incoming.items():
        if kind == "sage":
            mean = sent[sources].mean(0) if sources else torch.zeros(sent.shape[1])
            rows.append(mean + x[target] @ conv.own + conv.bias)
            continue
        every = [*sources, target]
        if kind == "gcn":
            degree = [1 + len(incoming[s]) for s in every]
            rows.append(sum(sent[s] / (d * degree[-1]) ** 0.5 for s, d in zip(every, degree, strict=True)) + conv.bias)
            continue
        logits = torch.stack([F.leaky_relu(sent[s] @ conv.source + sent[target] @ conv.target, 0.2)[0] for s in every])
        shares = logits.softmax(0)
        assert float(shares.sum().detach()) == pytest.approx(1)
        rows.append((shares[:, None] * sent[every]).sum(0) + conv.bias)
    return torch.stack(rows)


@pytest.mark.parametrize("kind", ["gat", "gcn", "sage"])
def test_convolutions_by_hand(kind: Any) -> None:
    """Graph attention, symmetric normalisation and the mean of neighbours, each with the node itself."""
    torch.manual_seed(3)
    conv, x = Convolution(kind, 4, 3), torch.randn(5, 4)
    for weight in conv.parameters():
        torch.nn.init.normal_(weight)
    edges = (torch.tensor([0, 1, 2, 3, 3]), torch.tensor([2, 2, 4, 4, 2]))
    torch.testing.assert_close(conv(x, edges), by_hand(kind, conv, x, edges))


@pytest.mark.parametrize("kind", ["gat", "gcn", "sage"])
def test_convolutions_equal_those_of_pyg(kind: Any) -> None:
    """Where PyG is installed, its layers with the same weights give the same vectors."""
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(3)
    conv, x = Convolution(kind, 4, 3), torch.randn(6, 4)
    for weight in conv.parameters():
        torch.nn.init.normal_(weight)
    edges = torch.tensor([[0, 1, 2, 3, 3], [2, 2, 4, 4, 5]])
    other = {"gat": geometric.GATConv, "gcn": geometric.GCNConv, "sage": geometric.SAGEConv}[kind](4, 3)
    with torch.no_grad():
        if kind == "sage":
            other.lin_l.weight.copy_(conv.weight.T), other.lin_r.weight.copy_(conv.own.T)
            other.lin_l.bias.copy_(conv.bias)
        else:
            other.lin.weight.copy_(conv.weight.T), other.bias.copy_(conv.bias)
        if kind == "gat":
            other.att_src.copy_(conv.source.T[None]), other.att_dst.copy_(conv.target.T[None])
    torch.testing.assert_close(conv(x, (edges[0], edges[1])), other(x, edges))


def test_metapaths_follow_the_columns() -> None:
    """Two between users and films, then one for every column of films or users, in their order."""
    made_of = made("peagat").metapaths
    assert made_of == [("u>i", "i>u"), ("i>u", "u>i"), ("genres", "i>u"), ("year", "i>u"), ("group", "u>i")]
    bare = model("peagat", (), out=3)
    assert bare.metapaths == made_of[:2] and bare.n_entities == 0
    assert model("peagat", side(), out=3, least=9).n_entities == 0, "rare values are no entities"


def test_attention_over_metapaths() -> None:
    """A node's vector is the mean of its metapaths', weighted by a softmax of their products with the queries."""
    views = torch.randn(4, 5, 3)
    net = made("peagat")
    shares = torch.softmax(torch.einsum("npd,pd->np", views, net.queries), 1)
    torch.testing.assert_close(shares.sum(1), torch.ones(4))
    torch.testing.assert_close(net.attended(views), torch.einsum("np,npd->nd", shares, views))


@pytest.mark.parametrize("name", NAMES)
def test_a_known_user_folded_in_gets_the_same_vector(name: str) -> None:
    """A history with the likes of a known user, and that user's own embedding, gives that user's vector; a user's own
    columns are not known of a new one, so here users have none."""
    net, pairs = model(name, side()[:2], out=3, least=1), likes()
    with torch.no_grad():
        net.nodes.weight[N_USERS] = net.nodes.weight[2]
    net.forget()
    own = np.asarray(pairs.item)[np.asarray(pairs.user) == 2].astype(np.int64)
    folded = net.fold_in([History(own), History(np.zeros(0, np.int64))])
    with torch.no_grad():
        torch.testing.assert_close(folded.tensors["vector"][0], net.propagate()[1][2])
        every = net.score_states(folded.tensors)
        one = net.pair_scores(folded.tensors["vector"][0], net.propagate()[1][net.item_at + 3])
        torch.testing.assert_close(every[0, 3], one)
    assert folded.source == ("folded", "fallback")


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_is_learned_without_its_own_edge(name: str) -> None:
    """The loss of a liked pair does not change when its edge leaves the graph, as it is taken out anyway."""
    net = made(name, entity_weight=0.0, exclude_target=True).train()
    user, item = int(likes().user[0]), int(likes().item[0])
    pair = user * (SCHEMA.n_items + 1) + item
    batch = {"user": torch.tensor([user]), "item": torch.tensor([item]), "negative": torch.tensor([[COLD - 1]])}
    batch["pair"] = torch.tensor([pair])
    before = net.row_losses(batch).detach()
    keep = np.arange(len(likes())) != 0
    net.graph.set_rows(likes().take(np.flatnonzero(keep)))
    torch.testing.assert_close(net.row_losses(batch).detach(), before)
    other = made(name, entity_weight=0.0).train()
    assert not torch.allclose(other.row_losses(batch).detach(), before)


def test_entities_are_shared_and_unshared() -> None:
    """Drawn entities belong to the film, or to a column of films without being the film's; the loss by its formula."""
    net = made("peagcn", entity_weight=0.5)
    train = TrainSet(likes(), SCHEMA, side())
    table = net.epoch(train, 1)
    for owner, rows in (("item", N_FILMS), ("user", N_USERS)):
        pairs = np.concatenate([p for whose, p in net.columns.values() if whose == owner])
        has = np.zeros((rows, net.n_entities), bool)
        has[pairs[:, 0], pairs[:, 1]] = True
        row, yes, no = (table[k].numpy() for k in (owner, f"{owner}_shared", f"{owner}_unshared"))
        drawn = yes >= 0
        assert drawn.any() and has[row[drawn], yes[drawn]].all() and not has[row[drawn], no[drawn]].any()
        assert set(no[drawn].tolist()) <= set(pairs[:, 1].tolist())
    net.train()
    plain = made("peagcn", entity_weight=0.0).train()
    batch = {key: column[:4] for key, column in table.items()}
    expected = plain.row_losses(batch)
    weight = net.nodes.weight
    for owner, at in (("user", 0), ("item", net.item_at)):
        for row in range(4):
            yes, no = int(batch[f"{owner}_shared"][row]), int(batch[f"{owner}_unshared"][row])
            if yes >= 0:
                own = weight[int(batch[owner][row]) + at]
                near, far = ((own - weight[net.entity_at + e]).square().sum() for e in (yes, no))
                expected[row] = expected[row] - 0.5 * F.logsigmoid(far - near)
    torch.testing.assert_close(net.row_losses(batch), expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_learns(name: str) -> None:
    net = made(name).train()
    table = net.epoch(TrainSet(likes(), SCHEMA, side()), 0)
    net.hide(table, 0)
    net.loss({key: column[::3] for key, column in table.items()}).backward()  # the other likes stay in the graph
    silent = [key for key, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert silent in ([], ["last.bias"]), "the last bias cancels in a difference of scores"
