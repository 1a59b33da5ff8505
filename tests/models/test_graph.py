"""What models on the graph of likes claim: spreading is a product with Â, content stands in for edges, everything
learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import registry
from mmrec_core.models import _gathered_dot
from mmrec_core.types import Field, History, Interactions, Schema, TrainSet

N_USERS, N_FILMS = 6, 8
COLD = 7
SCHEMA = Schema(N_USERS, N_FILMS, frozenset({"user", "item"}))


def likes() -> Interactions:
    """Some pairs, each once; nobody has met the cold film."""
    rng = np.random.default_rng(2)
    user, item = np.divmod(rng.permutation(N_USERS * COLD)[:20], COLD)
    return Interactions(user.astype(np.int32), item.astype(np.int32))


def content(*names: str) -> tuple[Field, ...]:
    """Random unit vectors of every film."""
    rng, found = np.random.default_rng(0), []
    for name in names:
        data = rng.standard_normal((N_FILMS, 5))
        data = (data / np.linalg.norm(data, axis=1, keepdims=True)).astype(np.float16)
        found.append(Field(name, "item", "vector", width=5, data=data, place=np.arange(N_FILMS)))
    return tuple(found)


def model(name: str, side: tuple[Field, ...] = (), **settings: Any) -> Any:
    """An untrained model that knows its edges."""
    train = TrainSet(likes(), SCHEMA, side)
    made = registry.load("models", name)(registry.config("models", name, {"dim": 4, **settings}), SCHEMA, side)
    made.mark_known(train.interactions)
    made.begin(train)
    return made.eval()


def dense() -> torch.Tensor:
    """``D^−½ A D^−½`` of all nodes, users first, the unknown ones as empty rows."""
    n = N_USERS + 1 + N_FILMS + 1
    edges = torch.zeros(n, n)
    pairs = likes()
    user, item = (
        torch.from_numpy(np.asarray(pairs.user).astype(int)),
        torch.from_numpy(np.asarray(pairs.item).astype(int)),
    )
    edges[user, item + N_USERS + 1] = edges[item + N_USERS + 1, user] = 1
    scale = edges.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * edges * scale


def test_lightgcn_is_the_mean_of_powers_of_the_normalised_graph() -> None:
    """Layer by layer equal to dense products; repeats of a pair count once."""
    made, graph = model("lightgcn", layers=3), dense()
    rows = torch.where(torch.cat([made.known_users, made.known_items]), torch.arange(len(graph)), -1)
    first = torch.cat([made.user_table.weight, made.item_table.weight])
    oov = torch.cat(
        [made.user_table.weight[-1:].expand(N_USERS + 1, -1), made.item_table.weight[-1:].expand(N_FILMS + 1, -1)]
    )
    layer = torch.where(rows[:, None] >= 0, first, oov)
    total = layer.clone()
    for _ in range(3):
        layer = graph @ layer
        total += layer
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(made.embeddings()), total / 4)
    twice = likes().take(np.concatenate([np.arange(20), np.arange(5)]))
    again = model("lightgcn", layers=3)
    again.begin(TrainSet(twice, SCHEMA))
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(again.embeddings()), total / 4)


@pytest.mark.parametrize("unit", [False, True])
def test_ngcf_layers_by_hand(unit: bool) -> None:
    """``LeakyReLU(W₁(e + Âe) + W₂(Âe ∘ e))``, layers side by side, the later ones of unit length; with ``unit`` they go
    on so."""
    made, graph = model("ngcf", layers=2, unit=unit), dense()
    with torch.no_grad():
        users, items = made.propagate()
        layer = torch.cat([users[0], items[0]])
        expected = [layer]
        for at in range(2):
            aggregated = graph @ layer
            layer = torch.nn.functional.leaky_relu(
                made.whole[at](layer + aggregated) + made.alike[at](aggregated * layer), 0.2
            )
            expected.append(layer / layer.norm(dim=1, keepdim=True))
            layer = expected[-1] if unit else layer
        torch.testing.assert_close(torch.cat(made.embeddings()), torch.cat(expected, 1))


@pytest.mark.parametrize("name", ["lightgcn", "ngcf", "mmgcn", "lightgcn_multimodal"])
def test_a_known_user_folded_in_hears_the_same(name: str) -> None:
    """Somebody with the likes of a known user, and the known user's own first vector, is that user."""
    side = content("text", "image") if "mm" in name or "multi" in name else ()
    made, pairs = model(name, side, layers=2), likes()
    who = 2
    with torch.no_grad():
        made.user_table.weight[-1] = made.user_table.weight[who]
        if name == "mmgcn":
            made.preference[-1] = made.preference[who]
    made._cache = None
    own = np.asarray(pairs.item)[np.asarray(pairs.user) == who].astype(np.int64)
    folded = made.fold_in([History(own), History(np.zeros(0, np.int64))])
    with torch.no_grad():
        torch.testing.assert_close(folded.tensors["vector"][0], made.embeddings()[0][who])
    assert folded.source == ("folded", "fallback")


@pytest.mark.parametrize("name", ["lightgcn", "ngcf", "mmgcn", "lightgcn_multimodal"])
def test_every_tensor_learns(name: str) -> None:
    """Ids, preferences, projections, matrices: all receive gradient (MMGCN's own code leaves ids and preferences
    out)."""
    side = content("text", "image") if "mm" in name or "multi" in name else ()
    made = model(name, side).train()
    table = made.epoch(TrainSet(likes(), SCHEMA, side), 0)
    made.hide(table, 0)
    made.loss(table).backward()
    silent = [key for key, p in made.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not silent


def test_content_places_films_that_nobody_liked() -> None:
    """The cold film's vector is its content's alone, other content moves it, and it equals the same film brought
    anew."""
    side = content("text", "image")
    made = model("lightgcn_multimodal", side)
    with torch.no_grad():
        cold = made.embeddings()[1][COLD]
        torch.testing.assert_close(cold, made.without_edges(made.propagate()[1][0])[COLD])
        summary = {
            name: torch.from_numpy(np.asarray(field.data[[COLD]]).astype(np.float32))
            for name, field in made.content.fields.items()
        }
        torch.testing.assert_close(made.item_state(summary).tensors["vector"][0], cold)
        other = made.item_state({"text": summary["text"]}).tensors["vector"][0]
    assert not torch.allclose(other, cold)
    assert model("lightgcn_multimodal").item_state(summary) is None


@pytest.mark.parametrize("name", ["bpr", "lightgcn", "lightgcn_multimodal", "mmgcn", "ncf"])
def test_films_outside_training_are_never_drawn(name: str) -> None:
    """Drawn as negatives they would be taught as disliked, and which films are held out would be known."""
    side = content("text") if "multi" in name or name == "mmgcn" else ()
    train = TrainSet(likes(), SCHEMA, side)
    made = registry.load("models", name)(registry.config("models", name, {}), SCHEMA, side)
    made.mark_known(train.interactions)
    for epoch in range(20):
        drawn = made.epoch(train, epoch)
        assert COLD not in drawn["negative" if "negative" in drawn else "item"].flatten().tolist()
        history = made.history_epoch(made.history_rows([History(np.array([1, 3])), History(np.array([2]))]), epoch)
        assert COLD not in history["negative" if "negative" in history else "item"].flatten().tolist()


def test_an_unknown_film_adds_nothing_of_an_id_to_mmgcn() -> None:
    """Its random initial row for unknown films is read nowhere, and shifts begin at zero."""
    side = content("text", "image")
    made = model("mmgcn", side)
    assert not made.keep_shift.any() and not made.join_shift.any()
    with torch.no_grad():
        before = made.embeddings()[1][COLD].clone()
        made.item_table.weight[-1] += 10
        made._cache = None
        torch.testing.assert_close(made.embeddings()[1][COLD], before)


def test_without_layers_nobody_is_folded_in() -> None:
    assert model("lightgcn", layers=0).fold_in([History(np.array([1, 2]))]).source == ("fallback",)


def test_dots_are_products_of_rows_and_hand_their_gradient_back() -> None:
    """Over more rows than one block holds, repeats among them, and rows that nobody chose; numerically right to the
    first order."""
    rng = torch.Generator().manual_seed(0)
    left, right = (torch.randn(n, 3, generator=rng, dtype=torch.float64, requires_grad=True) for n in (5, 7))
    row, column = torch.randint(4, (6,), generator=rng), torch.randint(6, (6, 2), generator=rng)
    assert torch.autograd.gradcheck(lambda a, b: _gathered_dot.dots(a, b, row, column), (left, right))
    many = torch.randint(5, (3 * _gathered_dot.BLOCK // 6,), generator=rng)
    others = torch.randint(7, (len(many), 2), generator=rng)
    found = _gathered_dot.dots(left, right, many, others)
    torch.testing.assert_close(found, (left[many][:, None] * right[others]).sum(2))
    assert _gathered_dot.dots(left, right, many[:0], others[:0]).shape == (0, 2)
