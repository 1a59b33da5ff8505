"""What the models of features claim: hand-computed dots and pairs, gates that add up, ids that are ids, rows left out
of their own past."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import registry
from mmrec_core.models._feature_reader import FeatureBatch, pair_sum
from mmrec_core.models._fusion import Fusion
from mmrec_core.types import Field, History, Interactions, Schema, TrainSet

N_USERS, N_FILMS = 7, 9
SCHEMA = Schema(N_USERS, N_FILMS, frozenset({"user", "item", "rating", "time"}), (1.0, 5.0), relevant_from=3.5)
GENRES = Field(
    "genres",
    "item",
    "multi",
    ("Drama", "Noir", "War"),
    width=2,
    data=np.array([[1, 2], [1, 0], [0, 0], [3, 2], [2, 0], [1, 3], [0, 0], [3, 0], [2, 1]]),
)
YEAR = Field("year", "item", "dense", data=np.linspace(-1, 1, N_FILMS).astype(np.float32))
SEX = Field("sex", "user", "categorical", ("F", "M"), data=np.array([1, 2, 0, 1, 2, 1, 1]))
SIDE = (GENRES, YEAR, SEX)


def events() -> Interactions:
    """Most pairs of users and films, rated by a rule with noise."""
    rng = np.random.default_rng(4)
    user, item = np.divmod(rng.permutation(N_USERS * N_FILMS)[:40], N_FILMS)
    rating = np.clip(3 + (user % 2) - (item % 3) + rng.normal(0, 0.5, 40), 1, 5).astype(np.float32)
    return Interactions(user.astype(np.int32), item.astype(np.int32), rating, 1_000_000 + 3600 * np.arange(40))


def model(name: str, side: tuple[Field, ...] = SIDE, rows: Interactions | None = None, **settings: Any) -> Any:
    """An untrained model that has counted its rows."""
    train = TrainSet(rows or events(), SCHEMA, side)
    made = registry.load("models", name)(registry.config("models", name, settings), SCHEMA, side)
    made.mark_known(train.interactions)
    made.begin(train)
    return made.eval()


def vector_fields(width: dict[str, int], missing: dict[str, list[int]]) -> tuple[Field, ...]:
    """Random unit vectors of films, but for those that have none."""
    rng, found = np.random.default_rng(0), []
    for name, wide in width.items():
        has = np.setdiff1d(np.arange(N_FILMS), missing.get(name, []))
        data = rng.standard_normal((len(has), wide))
        place = np.full(N_FILMS, -1, np.int64)
        place[has] = np.arange(len(has))
        data = (data / np.linalg.norm(data, axis=1, keepdims=True)).astype(np.float16)
        found.append(Field(name, "item", "vector", width=wide, data=data, place=place))
    return tuple(found)


# Interactions


def test_dlrm_dots_by_hand() -> None:
    """The lower triangle row by row, as the reference lays it out: (1,0), (2,0), (2,1), …"""
    made = model("dlrm", dim=4)
    n = made.n_vectors + 1
    vectors = torch.randn(3, n, 4)
    wanted = torch.stack([(vectors[:, a] * vectors[:, b]).sum(1) for a in range(n) for b in range(a)], 1)
    torch.testing.assert_close(made.interact(vectors), wanted)
    itself = model("dlrm", dim=4, self_interaction=True)
    wanted = torch.stack([(vectors[:, a] * vectors[:, b]).sum(1) for a in range(n) for b in range(a + 1)], 1)
    torch.testing.assert_close(itself.interact(vectors), wanted)


def test_gradients_of_dots() -> None:
    """The way back by hand equals numerical differences, with and without the diagonal."""
    for itself in (False, True):
        made = model("dlrm", dim=3, self_interaction=itself)
        vectors = torch.randn(2, made.n_vectors + 1, 3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(made.interact, (vectors,))


def test_dlrm_top_sees_dense_and_dots_only() -> None:
    """``[z ‖ dots]``; with ``append`` the embeddings, too; without interaction everything side by side."""
    n, d = model("dlrm", dim=4).n_vectors, 4
    dots = (n + 1) * n // 2
    wide = {"dot": d + dots, "append": d + dots + n * d, "none": (n + 1) * d}
    assert model("dlrm", dim=4).top[0].in_features == wide["dot"]
    assert model("dlrm", dim=4, append=True).top[0].in_features == wide["append"]
    assert model("dlrm", dim=4, interaction="none").top[0].in_features == wide["none"]


def test_pairs_equal_the_quadratic_sum() -> None:
    """The factorisation machine's pair term, in linear time."""
    vectors = torch.randn(5, 6, 3, dtype=torch.float64)
    slow = sum((vectors[:, a] * vectors[:, b]).sum(1) for a in range(6) for b in range(a))
    torch.testing.assert_close(pair_sum(vectors), slow)


def test_deepfm_adds_first_order_pairs_and_deep_once() -> None:
    """One logit: nothing is squashed before the loss."""
    made = model("deepfm", dim=3, dropout=0.0)
    features = FeatureBatch(torch.randn(4, made.n_vectors, 3), torch.randn(4), torch.randn(4, made.n_dense), 2)
    scaled = features.dense[..., None] * made.scaled.weight
    every = torch.cat([features.vectors, scaled[..., :-1]], 1)
    n = every.shape[1]
    second = sum((every[:, a] * every[:, b]).sum(1) for a in range(n) for b in range(a))
    by_hand = (
        made.offset + (features.first_order + scaled[..., -1].sum(1) + second)[:, None] + made.deep(every.flatten(1))
    )
    torch.testing.assert_close(made.outputs(features), by_hand)


def test_mmoe_gates_add_up() -> None:
    """A share of attention over experts for every task, each task its own; the output is the towers' of the
    mixtures."""
    made = model("mmoe", dim=4)
    assert made.tasks == ["liked", "rating", "watched"]
    features = made.read_features(made.gather_users(torch.arange(4)), {"item": torch.arange(4)})
    gates = made.gates(made.inputs(features))
    assert gates.shape == (4, 3, made.config.experts) and bool((gates >= 0).all())
    torch.testing.assert_close(gates.sum(-1), torch.ones(4, 3))
    info = torch.stack([expert(made.inputs(features)) for expert in made.experts], 1)
    for task, tower in enumerate(made.towers):
        mixed = (gates[:, task, :, None] * info).sum(1)
        met = made.share[task] * made.user_item_product(features).sum(1, keepdim=True)
        torch.testing.assert_close(made.outputs(features)[:, task : task + 1], tower(mixed) + met)


def test_mmoe_shares_what_it_says() -> None:
    """Shared bottom: one network and no gate; single task: one each, and no task's gradient reaches another's."""
    assert len(model("shared_bottom").experts) == 1 and model("shared_bottom").gate is None
    alone = model("single_task")
    features = alone.read_features(alone.gather_users(torch.arange(4)), {"item": torch.arange(4)})
    alone.outputs(features)[:, 1].sum().backward()
    touched = [any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in e.parameters()) for e in alone.experts]
    assert touched == [False, True, False]


@pytest.mark.parametrize("name", ["dlrm", "deepfm", "svdpp", "mmoe"])
def test_raw_ids_are_names_only(name: str) -> None:
    """Renaming users and films (rows, weights and side information moved along) changes no score."""
    rows = events()
    made = model(name)
    users, films = np.random.default_rng(1).permutation(N_USERS), np.random.default_rng(2).permutation(N_FILMS)
    renamed = replace(
        rows, user=np.argsort(users)[rows.user].astype(np.int32), item=np.argsort(films)[rows.item].astype(np.int32)
    )
    side = tuple(replace(f, data=f.data[users if f.owner == "user" else films]) for f in SIDE)
    other = model(name, side, renamed)
    order = {"user": torch.from_numpy(np.append(users, N_USERS)), "item": torch.from_numpy(np.append(films, N_FILMS))}
    own = {"user_id": "user", "item_id": "item", "rated": "item", "raters": "user", "drift": "user"}
    with torch.no_grad():
        for key, value in other.named_parameters():
            theirs = dict(made.named_parameters())[key]
            table = own.get(key.partition(".")[0])
            value.copy_(theirs[order[table]] if table else theirs)
    other.eval()
    torch.testing.assert_close(other.score_rows(renamed), made.score_rows(rows))


@pytest.mark.parametrize("name", ["dlrm", "deepfm", "svdpp", "mmoe"])
def test_a_row_is_left_out_of_its_own_past(name: str) -> None:
    """In training a row reads what it would read if it had never been given: the pooled past by hand."""
    rows, made = events(), model(name, history=True)
    batch = made.targets(made.rows(rows))
    features = made.read_features(made.user_tensors(batch), batch)
    at = 3
    without = rows.take(np.delete(np.arange(len(rows)), at))
    other = model(name, rows=without, history=True)
    other.load_state_dict({**other.state_dict(), **{k: v for k, v in made.named_parameters()}})
    for buffer in ("known_users", "known_items", "mean"):
        setattr(other, buffer, getattr(made, buffer))
    if other.moment is not None:
        other.moment = made.moment
    other.eval()
    alone = {k: v[at : at + 1] for k, v in other.rows(rows).items()}
    seen = other.read_features(other.user_tensors(alone), alone)
    torch.testing.assert_close(features.vectors[at : at + 1], seen.vectors)
    torch.testing.assert_close(features.dense[at : at + 1], seen.dense)


def test_training_cannot_read_the_answer() -> None:
    """What a row reads in training does not depend on its own rating."""
    rows, at = events(), 5
    changed = replace(
        rows, rating=np.where(np.arange(len(rows)) == at, 1.0, np.asarray(rows.rating)).astype(np.float32)
    )
    for name in ("dlrm", "svdpp"):
        one, two = model(name, rows=rows), model(name, rows=changed)
        a, b = (m.targets(m.rows(r)) for m, r in ((one, rows), (two, changed)))
        first, second = one.read_features(one.user_tensors(a), a), two.read_features(two.user_tensors(b), b)
        assert torch.equal(first.vectors, second.vectors) and torch.equal(first.dense, second.dense)


def test_history_of_a_new_user_is_pooled() -> None:
    """A folded-in user reads the sum of what they rated, over the root of how much."""
    made = model("svdpp")
    state = made.start_state([History(np.array([1, 4]), np.array([5.0, 2.0], np.float32))])[0]
    torch.testing.assert_close(state["rated"][0], made.rated.weight[[1, 4]].sum(0))
    assert float(state["count"][0]) == 2


def test_widths_by_cardinality() -> None:
    """Small vocabularies get narrow tables, lifted to the common width; values keep their meaning."""
    made = model("dlrm", dim=32, widths="cardinality")
    assert [p.embedding_dim for p in made.tables["item"].parts] == [round(6 * 4**0.25)]
    codes = made.get_buffer("item_codes")[:1]
    by_hand = made.tables["item"].lift[0](made.tables["item"].parts[0].weight[[1, 2]]).mean(0)
    torch.testing.assert_close(made.tables["item"](codes)[0, 0], by_hand)


def test_star_classes_expect_a_rating() -> None:
    """With cross-entropy the rating is the mean of the stars under the predicted chances."""
    made = model("dlrm", loss="ce")
    out = torch.randn(2, len(made.levels))
    assert made.levels.tolist() == [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]
    by_hand = (out.exp() / out.exp().sum(1, keepdim=True) * made.levels).sum(1)
    torch.testing.assert_close(made.decode(out)[:, 0], by_hand)


# Fusions


@pytest.mark.parametrize(("kind", "count"), [("mlp", 1_466_372), ("film", 1_074_356), ("gated", 955_976)])
def test_fusions_count_their_parameters(kind: Any, count: int) -> None:
    """MM-TGN's figures at 1536 + 1152 → 172."""
    assert sum(p.numel() for p in Fusion(kind, {"text": 1536, "image": 1152}, 172).parameters()) == count


WIDTHS = {"text": 5, "image": 4, "audio": 2}
Inputs = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]


def inputs(names: tuple[str, ...] = ("text", "image"), n: int = 6) -> Inputs:
    """Vectors by modality, and that all items have all of them."""
    return {m: torch.randn(n, WIDTHS[m]) for m in names}, {m: torch.ones(n, dtype=torch.bool) for m in names}


def test_film_begins_as_the_identity() -> None:
    """γ = 1 and β = 0 whatever the text: the image passes through two normalisations and nothing else."""
    fusion = Fusion("film", {"text": 5, "image": 4}, 3).eval()
    fusion.start()
    vectors, has = inputs()
    plain = fusion.after(fusion.before(fusion.picture(vectors["image"])))
    torch.testing.assert_close(fusion(vectors, has), plain)
    torch.testing.assert_close(fusion({**vectors, "text": torch.randn(6, 5)}, has), plain)


def test_gate_lies_between_and_one_is_the_text() -> None:
    """0 < g < 1; with g = 1 only the text's path counts; a missing modality leaves all to the other."""
    fusion = Fusion("gated", {"text": 5, "image": 4}, 3).eval()
    vectors, has = inputs()
    gates = fusion.gates(vectors, has)
    assert bool(((gates["text"] > 0) & (gates["text"] < 1)).all())
    torch.testing.assert_close(gates["text"] + gates["image"], torch.ones(6, 3))
    words = fusion.out_norm(fusion.out(fusion.words_norm(fusion.words(vectors["text"]))))
    none = torch.zeros(6, dtype=torch.bool)
    torch.testing.assert_close(fusion(vectors, {**has, "image": none}), words)
    shown = fusion.out_norm(fusion.out(fusion.picture_norm(fusion.picture(vectors["image"]))))
    torch.testing.assert_close(fusion(vectors, {**has, "text": none}), shown)


def test_gates_of_three_modalities_are_a_softmax() -> None:
    """The weights of text, image and audio sum to 1 in every coordinate; a missing modality weighs nothing, and a
    single one all."""
    fusion = Fusion("gated", WIDTHS, 3).eval()
    vectors, has = inputs(("text", "image", "audio"))
    has["image"] = torch.tensor([True, False, True, False, True, True])
    gates = fusion.gates(vectors, has)
    torch.testing.assert_close(sum(gates.values()), torch.ones(6, 3))
    assert float(gates["image"][~has["image"]].abs().max()) == 0 and float(gates["image"][has["image"]].min()) > 0
    logits = fusion.gate(torch.cat([vectors[m] for m in WIDTHS], 1)).view(6, 3, 3).exp()
    torch.testing.assert_close(gates["audio"][0], logits[0, 2] / logits[0].sum(0))
    alone = fusion.gates(vectors, {m: torch.full((6,), m == "audio") for m in WIDTHS})
    torch.testing.assert_close(alone["audio"], torch.ones(6, 3))


def test_film_of_other_modalities() -> None:
    """The text modulates the mean of the projected image and audio; without text the first modality modulates."""
    fusion = Fusion("film", WIDTHS, 3).eval()
    fusion.start()
    vectors, has = inputs(("text", "image", "audio"))
    mean = (fusion.picture(vectors["image"]) + fusion.others["audio"](vectors["audio"])) / 2
    torch.testing.assert_close(fusion(vectors, has), fusion.after(fusion.before(mean)))
    assert Fusion("film", {"image": 4, "audio": 2}, 3).modulator == "image"


@pytest.mark.parametrize("kind", ["concat", "mlp", "film", "gated"])
def test_films_with_nothing_get_nothing(kind: Any) -> None:
    """A film without any vector has no content vector; others do not notice it."""
    for names in (("text", "image"), ("text", "image", "audio"), ("audio",)):
        fusion = Fusion(kind, {m: WIDTHS[m] for m in names}, 3).eval()
        vectors, has = inputs(names)
        for mask in has.values():
            mask[2] = False
        found = fusion(vectors, has)
        assert float(found[2].abs().sum()) == 0 and float(found[0].abs().sum()) > 0
        assert bool(found.isfinite().all())
        part = ({m: v[:2] for m, v in own.items()} for own in (vectors, has))
        torch.testing.assert_close(found[:2], fusion(*part))


@pytest.mark.parametrize("kind", ["concat", "mlp", "film", "gated"])
def test_a_modality_counts(kind: Any) -> None:
    """Zeroing a modality changes the scores of films that have it, and of no other."""
    width, missing = {"text": 6, "image": 4}, {"text": [0], "image": [0, 1]}
    made = model("dlrm_multimodal", (*SIDE, *vector_fields(width, missing)), fusion=kind, init=0.5)
    if kind == "film":  # at first it is the identity, whatever the text
        for network in (made.content.fusion.scale, made.content.fusion.shift):
            torch.nn.init.normal_(network[-1].weight, generator=torch.Generator().manual_seed(0))
    films, users = np.arange(N_FILMS), np.zeros(N_FILMS, np.int64)
    with torch.no_grad():
        made.mean.fill_(3.0)
    full = made.score(users, films)[:, 0]
    for name in width:
        place = made.content.get_buffer(f"{name}_place").clone()
        getattr(made.content, f"{name}_place").fill_(-1)
        made.train().eval()  # what was kept of films is forgotten
        changed = (made.score(users, films)[:, 0] - full).abs() > 1e-7
        has = ~np.isin(films, missing[name])
        assert changed.numpy().tolist() == has.tolist(), name
        getattr(made.content, f"{name}_place").copy_(place)


def test_a_new_film_is_scored_by_its_content() -> None:
    """What a catalog film with these vectors and nothing else known would get."""
    fields = vector_fields({"text": 6, "image": 4}, {})
    made = model("dlrm_multimodal", fields, history=False, counts=False)
    text, image = (torch.from_numpy(np.asarray(f.data[3:4], np.float32)) for f in fields)
    state = made.item_state({"text": text, "image": image})
    torch.testing.assert_close(state.tensors["fused"], made.loudness * made.content(torch.tensor([3])))
    torch.testing.assert_close(state.tensors["id"][0], made.item_id.weight[-1])


# Vectors of hidden modalities, streams


def test_modality_dropout_spares_films_with_one() -> None:
    """Only where both are there is one hidden: the text (1) as often as the image (2)."""
    fields = vector_fields({"text": 6, "image": 4}, {"text": [0]})
    made = model("dlrm_multimodal", fields, modality_dropout=0.5)
    table = made.targets(made.rows(events()))
    made.hide(table, 0)
    assert set(table["modality_hidden"].tolist()) == {0, 1, 2}
    item = torch.tensor([0, 0, 1, 1])
    hidden = made.content(item, torch.tensor([1, 2, 1, 2]))
    torch.testing.assert_close(hidden[0], made.content(item)[0])
    torch.testing.assert_close(hidden[1], made.content(item)[1])
    assert not torch.allclose(hidden[2], made.content(item)[2]) and not torch.allclose(hidden[3], made.content(item)[3])
