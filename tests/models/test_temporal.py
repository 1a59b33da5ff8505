"""What models in time claim: no look ahead, seconds that are seconds, messages by hand, counts of parameters, channels
that begin silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import registry
from mmrec_core.errors import MMRecError
from mmrec_core.models._fusion import Fusion
from mmrec_core.models._temporal import MergeLayer, Neighbours, TemporalAttention, TimeEncoding, code, node_of, time_of
from mmrec_core.types import Field, History, Interactions, Query, Schema, TrainSet

N_USERS, N_FILMS, NOW = 6, 9, 1_790_000_000
SCHEMA = Schema(N_USERS, N_FILMS, frozenset({"user", "item", "time"}))


def events(n: int = 40, gap: int = 1) -> Interactions:
    """Random pairs, one after the other, ``gap`` seconds apart, at a real Unix time."""
    rng = np.random.default_rng(1)
    user, item = rng.integers(0, N_USERS, n), rng.integers(0, N_FILMS - 1, n)
    return Interactions(user.astype(np.int32), item.astype(np.int32), time=NOW + gap * np.arange(n))


def content(text: int = 6, image: int = 5) -> tuple[Field, ...]:
    """Random unit vectors of every film."""
    rng, found = np.random.default_rng(0), []
    for name, wide in (("text", text), ("image", image)):
        data = rng.standard_normal((N_FILMS, wide))
        data = (data / np.linalg.norm(data, axis=1, keepdims=True)).astype(np.float16)
        found.append(Field(name, "item", "vector", width=wide, data=data, place=np.arange(N_FILMS)))
    return tuple(found)


def model(name: str, side: tuple[Field, ...] = (), rows: Interactions | None = None, **settings: Any) -> Any:
    """An untrained model that knows who met whom."""
    train = TrainSet(rows or events(), SCHEMA, side)
    how = {"dim": 8, "neighbours": 3, **settings}
    made = registry.load("models", name)(registry.config("models", name, how), SCHEMA, side)
    made.mark_known(train.interactions)
    made.begin(train)
    return made.eval()


def played(made: Any, rows: Interactions, size: int = 10) -> None:
    """Events taken in, some at a time."""
    table = made.events(rows)
    for at in range(0, len(rows), size):
        made.update_state(made.updated_memory(), *(table[k][at : at + size] for k in ("user", "item", "time", "mark")))


def louder(made: Any) -> None:
    """Counts of events, which begin unheard, count."""
    if made.often is not None:
        with torch.no_grad():
            torch.nn.init.normal_(made.often.weight, generator=torch.Generator().manual_seed(0))


# Time


def test_a_second_is_a_second_at_real_unix_times() -> None:
    """Codes give nodes and times back, and Δt of one second is exact today, where float32 seconds are 128 apart."""
    node, time = torch.tensor([0, 3, 7]), torch.tensor([NOW, NOW + 1, -5])
    assert torch.equal(node_of(code(node, time)), node) and torch.equal(time_of(code(node, time)), time)
    known = Neighbours()
    known.add(torch.tensor([1]), torch.tensor([2]), torch.tensor([NOW]), torch.tensor([0.5]))
    for later in (1, 2, 86_401):
        _, gap, mark, there = known.before(code(torch.tensor([1]), torch.tensor([NOW + later])), 1)
        assert there.item() and gap.item() == later and mark.item() == 0.5
    made = TimeEncoding(4)
    torch.testing.assert_close(made(torch.tensor([1]))[0, 0], torch.cos(torch.tensor(1.0)))
    assert not torch.equal(made(torch.tensor([10_000_000])), made(torch.tensor([10_000_001])))


def test_learned_waves_drown_all_else_where_gaps_are_years() -> None:
    """Their gradient, as large as the gap, is nearly all of the gradient's norm, so that clipping leaves nothing of the
    rest; fixed ones have none."""
    rows = events(gap=10_000_000)
    loud = {}
    for waves in ("learned", "fixed"):
        made, train = model("tgn", rows=rows, waves=waves), TrainSet(rows, SCHEMA)
        made.train()
        made.start_epoch(train, 0)
        for batch in made.batches(train, 0, batch_size=20):
            made.loss(batch).backward()
        of_waves = list(made.clock_code.parameters())
        rest = [p for p in made.parameters() if not any(p is w for w in of_waves)]
        loud[waves] = [
            torch.cat([p.grad.flatten() for p in ps if p.grad is not None] or [torch.zeros(1)]).norm()
            for ps in (of_waves, rest)
        ]
    assert loud["learned"][0] > 1000 * loud["learned"][1]
    assert loud["fixed"][0] == 0 and loud["fixed"][1] > 0


def test_neighbours_are_the_latest_strictly_earlier_ones() -> None:
    """Against a loop over all events, added in two parts, many at the same second."""
    rng = np.random.default_rng(0)
    n, k = 300, 4
    one, other = rng.integers(0, 5, n), rng.integers(5, 12, n)
    time = NOW + np.sort(rng.integers(0, 60, n))
    known = Neighbours()
    for part in (slice(0, 200), slice(200, n)):
        known.add(*(torch.from_numpy(c[part]) for c in (one, other, time)), torch.zeros(len(time[part])))
    for node in range(12):
        for at in range(NOW - 1, NOW + 62, 7):
            partner, gap, _, there = known.before(code(torch.tensor([node]), torch.tensor([at])), k)
            own = [
                (int(t), int(o if node < 5 else u))
                for u, o, t in zip(one, other, time, strict=True)
                if node in (u, o) and t < at
            ]
            expected = own[::-1][:k]
            assert there.sum() == len(expected) and bool((gap[there] > 0).all())
            assert sorted(at - gap[there].numpy()) == sorted(t for t, _ in expected)
            assert int(known.degree(code(torch.tensor([node]), torch.tensor([at])))) == len(own)
            firm = {p for t, p in own if own and t > (expected[-1][0] if expected else 0)}
            assert firm <= set(partner[there].tolist()) <= {p for _, p in own}


@pytest.mark.parametrize(("name", "degree"), [("tgn", False), ("tgn", True), ("jodie", False), ("dyrep", True)])
def test_no_score_depends_on_its_own_or_later_events(name: str, degree: bool) -> None:
    """Scores of a batch of events stay the same when the data end before it, or go on differently."""
    rows = events()
    past = rows.take(np.arange(30))
    asked = rows.take(np.arange(30, 40))
    whole, short = (model(name, rows=known, degree=degree) for known in (rows, past))
    for made in (whole, short):
        louder(made)
        made.known_users[:], made.known_items[:], made.usual_gap = True, True, whole.usual_gap
        played(made, past)
    first = asked.take(np.arange(1))
    torch.testing.assert_close(whole.score_rows(first), short.score_rows(first))
    at = int(first.need("time")[0])
    a, b = (made.score_all(Query(np.array([1, 2]), np.array([at, at]))) for made in (whole, short))
    torch.testing.assert_close(a, b)


# Memory


def test_messages_by_hand() -> None:
    """One batch of two events of one user: the last message counts, or the mean of both; the memory moves after the
    next batch begins."""
    rows = Interactions(np.array([2, 2], np.int32), np.array([4, 5], np.int32), time=np.array([NOW, NOW + 3]))
    for aggregator in ("last", "mean"):
        made = model("tgn", rows=rows, aggregator=aggregator)
        with torch.no_grad():
            made.memory = torch.randn(made.memory.shape, generator=torch.Generator().manual_seed(0))
        made.last = torch.full_like(made.last, NOW - 10)
        before = made.memory.clone()
        played(made, rows)
        assert torch.equal(made.memory, before)  # it waits
        updated = made.updated_memory()
        film = [before[made.item_offset + 4], before[made.item_offset + 5]]
        raw = [
            torch.cat([before[2], film[at], torch.zeros(1), made.clock_code(torch.tensor(10 + 3 * at))])
            for at in (0, 1)
        ]
        message = raw[1] if aggregator == "last" else (raw[0] + raw[1]) / 2
        with torch.no_grad():
            expected = made.updater(message[None], before[2][None])[0]
        place = updated.nodes.tolist().index(2)
        torch.testing.assert_close(updated.memory[place], expected)
        assert int(updated.last[place]) == NOW + 3
        empty = torch.zeros(0, dtype=torch.int64)
        made.update_state(updated, empty, empty, empty, torch.zeros(0))
        torch.testing.assert_close(made.memory[2], expected)
        assert torch.equal(made.memory[1], before[1])
        made.reset()
        assert not made.memory.any() and not len(made.updated_memory().nodes)


@pytest.mark.parametrize("updater", ["gru", "rnn", "lstm"])
@pytest.mark.parametrize("embedding", ["graph_attention", "graph_sum", "identity", "time"])
def test_every_part_runs_and_learns(updater: str, embedding: str) -> None:
    """Each updater with each embedding: finite losses, and every tensor gets gradient within two batches."""
    how = {
        "dropout": 0.0,
        "id_dropout": 0.0,
        "message": "mlp",
        "layers": 2,
        "loss": "bce",
        "degree": True,
        "waves": "learned",
    }
    made = model("tgn", updater=updater, embedding=embedding, **how)
    train = TrainSet(events(), SCHEMA)
    made.train()
    made.start_epoch(train, 0)
    for batch in list(made.batches(train, 0, batch_size=14))[:3]:
        loss = made.loss(batch)
        loss.backward()
        assert bool(torch.isfinite(loss))
    silent = [n for n, p in made.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    shared = {"graph.0.key.bias", "graph.1.key.bias"}  # a softmax does not see what all of its scores share
    assert set(silent) <= shared
    assert not made.memory.requires_grad and made.memory.grad_fn is None


def test_a_film_met_more_often_than_half_precision_counts() -> None:
    """Counts are told in full precision: beyond 65,504 events a score is a number."""
    made = model("tgn", degree=True)
    louder(made)
    many = torch.tensor([100_000, 3])
    with torch.autocast("cpu", dtype=torch.float16):
        found = made.finish(
            torch.zeros(2, 8, dtype=torch.float16),
            code(torch.tensor([1, made.item_offset]), torch.tensor([NOW, NOW])),
            many,
        )
    assert bool(torch.isfinite(found).all()) and bool(found.abs().sum(1).gt(0).all())


@pytest.mark.parametrize(
    "settings",
    [{"memory": False}, {"degree": True}, {"nodes": "none"}, {"score": "mlp"}, {"loss": "margin"}, {"draw": "any"}],
)
def test_every_switch_runs(settings: dict[str, Any]) -> None:
    """No memory, no features, dot products, other losses: an epoch goes through and ranks finitely."""
    made, train = model("tgn", **settings), TrainSet(events(), SCHEMA)
    made.train()
    made.start_epoch(train, 0)
    for batch in made.batches(train, 0, batch_size=10):
        made.loss(batch).backward()
    assert bool(torch.isfinite(made.score_all(Query(np.arange(N_USERS)))).all())
    assert bool(torch.isfinite(made.score_all(made.fold_in([History(np.array([1, 3]))]))).all())


def test_events_out_of_order_and_before_1970() -> None:
    """The last event's time never goes back, and times before 1970 are times."""
    rows = Interactions(np.array([1, 1], np.int32), np.array([2, 3], np.int32), time=np.array([-5000, -1000]))
    made = model("tgn", rows=rows)
    played(made, rows, size=1)
    assert int(made.clock) == -999
    assert int(made.updated_memory().last[made.updated_memory().nodes.tolist().index(1)]) == -1000
    assert int(made.elapsed(made.last[torch.tensor([1])], torch.tensor([-1000]))) == 4000
    early = rows.take(np.array([0]))
    played(made, early)
    empty = torch.zeros(0, dtype=torch.int64)
    made.update_state(made.updated_memory(), empty, empty, empty, torch.zeros(0))
    assert int(made.last[1]) == -1000
    assert bool(torch.isfinite(made.score_all(made.fold_in([History(np.array([2]), times=np.array([-900]))]))).all())


def test_nodes_hidden_in_a_batch_are_the_same_for_messages_and_embeddings() -> None:
    made, train = model("tgn", partner="node", id_dropout=0.5), TrainSet(events(), SCHEMA)
    made.train()
    made.start_epoch(train, 0)
    seen: list[torch.Tensor] = []
    own = made.known_nodes
    made.known_nodes = lambda node: seen.append(torch.stack([node, own(node).long()])) or own(node)
    for batch in list(made.batches(train, 0, batch_size=10))[:2]:
        seen.clear()
        made.loss(batch)
    by_node: dict[int, set[int]] = {}
    for node, known in torch.cat(seen, 1).T.tolist():
        by_node.setdefault(node, set()).add(known)
    assert len(seen) >= 2 and all(len(info) == 1 for info in by_node.values())


@pytest.mark.parametrize("degree", [False, True])
def test_played_through_a_new_memory_as_through_a_known_one(degree: bool) -> None:
    """A history folded in gives the memory, and with it the score, that the same events give a node met one by one."""
    own = Interactions(
        np.full(3, 4, np.int32), np.array([1, 6, 2], np.int32), time=np.array([NOW + 500, NOW + 600, NOW + 700])
    )
    rows = events().take(np.flatnonzero(np.asarray(events().user) != 4))
    made = model("tgn", rows=rows, aggregator="last", degree=degree)
    louder(made)
    with torch.no_grad():
        made.user_table.weight[4] = made.user_table.weight[-1]
    played(made, rows)
    made.update_state(made.updated_memory(), *(torch.zeros(0, dtype=torch.int64),) * 3, torch.zeros(0))
    history = History(np.asarray(own.item).astype(np.int64), times=np.asarray(own.time))
    folded = made.fold_in([history]).tensors["vector"][0]
    films = made.memory[made.item_offset :].clone()
    made.neighbours.add(
        *(
            torch.from_numpy(np.asarray(c).astype(np.int64))
            for c in (own.user, np.asarray(own.item) + made.item_offset, own.time)
        ),
        torch.zeros(3),
    )
    for at in range(3):
        played(made, own.take(np.array([at])))
        made.update_state(made.updated_memory(), *(torch.zeros(0, dtype=torch.int64),) * 3, torch.zeros(0))
        made.memory[made.item_offset :] = films  # held still, as in fold-in
    known = made.users_at(torch.tensor([4]), torch.tensor([NOW + 701]))["vector"][0]
    torch.testing.assert_close(folded, known.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory", [True, False])
def test_who_is_asked_about_without_a_time_is_looked_at_just_after_their_own_last_event(memory: bool) -> None:
    """Whatever waits to be taken in counts, too; who never met anything is looked at after everybody's."""
    rows = events()
    made = model("tgn", rows=rows, memory=memory)
    louder(made)
    played(made, rows)
    user, time = np.asarray(rows.user), np.asarray(rows.time)
    for one in range(3):
        last = np.array([time[user == one].max() + 1])
        now, then = (made.user_state(Query(np.array([one]), at=at)).tensors["vector"] for at in (None, last))
        assert torch.equal(now, then)
    stranger = torch.tensor([N_USERS])
    assert torch.equal(made.users_at(stranger, None)["vector"], made.users_at(stranger, made.clock[None])["vector"])


def test_a_late_word_of_an_old_event_does_not_put_anybody_back() -> None:
    """Where rows are divided at random, validation tells of events before those of training."""
    rows = events()
    made = model("mm_tgn", rows=rows)
    played(made, rows)
    who, then = int(np.asarray(rows.user)[-1]), int(np.asarray(rows.time)[-1])
    made.observe(Interactions(np.array([who], np.int32), np.array([1], np.int32), time=np.array([then - 5000])))
    assert int(made.last_event(made.updated_memory(), torch.tensor([who]))) == then


def test_a_newcomer_is_not_taken_for_silent_since() -> None:
    """Likes of long ago and the same likes today say the same, where no film's surroundings come in; and one of next
    year asks films as they were told of last."""
    rows = events()
    for preset in ("jodie", "tgn", "dyrep"):
        made = model(preset, rows=rows)
        louder(made)
        if preset == "jodie":
            torch.nn.init.constant_(made.drift.weight, 0.5)  # it begins as nothing
        played(made, rows)
        clock = int(made.clock)
        shifts = (0, -400_000_000, 400_000_000) if preset == "jodie" else (86_400, 400_000_000)
        histories = [History(np.array([1, 6, 2]), times=np.array([0, 60, 90]) + clock + shift) for shift in shifts]
        first, *others = made.fold_in(histories).tensors["vector"]
        for other in others:
            torch.testing.assert_close(other, first, rtol=1e-5, atol=1e-6)


# Attention


def test_attention_is_torchs_own() -> None:
    """The cheaper order of products gives what ``nn.MultiheadAttention`` gives with the same weights."""
    n, k, dim = 5, 4, 6
    made = TemporalAttention(dim, dim, heads=2, dropout=0.0).eval()
    torch.manual_seed(0)
    own, neighbours, ago, now, mark = (torch.randn(*s) for s in ((n, dim), (n, k, dim), (n, k, dim), (dim,), (n, k)))
    there = torch.rand(n, k) < 0.7
    there[0], there[1] = True, False
    wide, key = 2 * dim, 2 * dim + 1
    theirs = torch.nn.MultiheadAttention(wide, 2, kdim=key, vdim=key, batch_first=True).eval()
    with torch.no_grad():
        theirs.q_proj_weight.copy_(made.query.weight), theirs.k_proj_weight.copy_(made.key.weight)
        theirs.v_proj_weight.copy_(made.value.weight)
        theirs.in_proj_bias.copy_(torch.cat([made.query.bias, made.key.bias, made.value.bias]))
        theirs.out_proj.weight.copy_(made.out.weight), theirs.out_proj.bias.copy_(made.out.bias)
        query, keys = torch.cat([own, now.expand(n, -1)], 1)[:, None], torch.cat([neighbours, mark[..., None], ago], 2)
        info = theirs(query, keys, keys, key_padding_mask=~there)[0][:, 0]
        info[~there.any(1)] = 0
        torch.testing.assert_close(made(own, neighbours, mark, now, ago, there), made.merge(info, own))


def test_all_pairs_at_once_are_the_pairs() -> None:
    """The first layer halved between both sides gives what it gives pair by pair."""
    made = MergeLayer(4, 4, 5, 1)
    a, b = torch.randn(7, 4), torch.randn(9, 4)
    with torch.no_grad():
        each = torch.stack([made(row.expand(9, -1), b)[:, 0] for row in a])
        torch.testing.assert_close(made.of_all(a, b, at_once=100), each)


# MM-TGN


def count(*modules: torch.nn.Module) -> int:
    """Parameters."""
    return sum(p.numel() for m in modules for p in m.parameters())


def test_parameters_as_published() -> None:
    """TGN core 1,549,305 of which 344 are a LayerNorm that the authors' updater holds and never calls; fusions as
    reported."""
    made = model("mm_tgn", content(), dim=172, message="mlp", message_dim=100, layers=2, neighbours=15)
    core = count(made.clock_code, made.updater, made.message, made.graph, made.affinity)
    assert core == 1_549_305 - 344
    for kind, n in (("mlp", 1_466_372), ("film", 1_074_356), ("gated", 955_976)):
        assert count(Fusion(kind, {"text": 1536, "image": 1152}, 172)) == n  # type: ignore[arg-type]


def test_both_arms_begin_equally_loud() -> None:
    """Films' vectors have the same norm with content and without, since both end in the same normalisation."""
    norms = {}
    for name, side in (("content", content()), ("vanilla", ())):
        made = model("mm_tgn", side, nodes="none")
        with torch.no_grad():
            films = made.features(torch.arange(made.n_nodes))[made.item_offset : -2]
        norms[name] = float(films.norm(dim=1).mean())
    assert norms["vanilla"] == pytest.approx(norms["content"], rel=0.02)


@pytest.mark.parametrize("channel", [{"structure": "lightgcn", "structure_epochs": 2}, {"user_state_film": True}])
def test_channels_begin_as_the_identity_and_then_count(channel: dict[str, Any]) -> None:
    """With and without them scores are equal bit by bit at first; other weights or other vectors change them."""
    plain, rich = model("mm_tgn", content()), model("mm_tgn", content(), **channel)
    own = plain.state_dict()
    rich.load_state_dict({**rich.state_dict(), **own})
    played(plain, events()), played(rich, events())
    asked = events().take(np.arange(20))
    assert torch.equal(plain.score_rows(asked), rich.score_rows(asked))
    whole = [made.score_all(Query(np.arange(4))) for made in (plain, rich)]
    assert (
        torch.equal(*whole) if "structure" in channel else torch.allclose(*whole)
    )  # user by user, products round otherwise
    film = rich.by_structure if "structure" in channel else rich.by_memory
    with torch.no_grad():
        torch.nn.init.normal_(film.gamma[-1].weight, 0, 0.5)
    rich._kept_items = rich._kept_features = None
    assert not torch.allclose(plain.score_rows(asked), rich.score_rows(asked))
    pairs = rich.score(np.array([0, 1, 2]), np.array([3, 4, 5]))[:, 0]
    torch.testing.assert_close(pairs, rich.score_all(Query(np.arange(3)))[torch.arange(3), torch.tensor([3, 4, 5])])
    if "structure" in channel:
        before = rich.score_rows(asked)
        rich.structure = rich.structure.flip(0)
        rich._kept_items = None
        assert not torch.allclose(before, rich.score_rows(asked))


def test_three_channels_are_a_weighted_mean_and_all_learn() -> None:
    """The weights of a node's channels sum to 1 and are 0 for a channel that it lacks: users have no content, an
    unknown film has no LightGCN embedding. With the contrastive loss every channel gets gradients."""
    train = TrainSet(events(), SCHEMA, content())
    made = model("mm_tgn", content(), structure="gated", structure_epochs=1, contrastive=0.5)
    played(made, events())
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    weights = made.channels.weights
    made.channels.weights = lambda channels, has: seen.append((weights(channels, has), has)) or seen[-1][0]
    with torch.no_grad():
        made.item_embeddings(), made.users_at(torch.arange(3), None)
    for found, has in seen:
        torch.testing.assert_close(found.sum(1), torch.ones_like(found[:, 0]))
        assert (found[~has] == 0).all() and (found[has] > 0).all()
    (_, films), (_, users) = seen[0], seen[-1]
    assert films[:-1, 2].all() and not films[-1, 1] and not users[:, 2].any() and users[:, 1].all()
    del made.channels.weights
    made.train()
    batch = next(iter(made.batches(train, 0, batch_size=len(events()))))
    made.loss(batch).backward()
    for layer in (*made.channels.project, *made.contrasted, made.channels.gate):
        assert layer.weight.grad.abs().sum() > 0
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.content.parameters())


def test_the_contrastive_loss_is_infonce_both_ways() -> None:
    """Against the formula, item by item; fewer than two films with both cost nothing."""
    made = model("mm_tgn", content(), structure="lightgcn", structure_epochs=1, contrastive=1.0)
    item = torch.arange(5)
    with torch.no_grad():
        found = float(made.contrastive_loss(item))
        structure = made.structure[item + made.item_offset]
        sides = [
            layer(part).numpy() for layer, part in zip(made.contrasted, (made.content(item), structure), strict=True)
        ]
        one, other = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
        logits = np.exp(one @ other.T / 0.2)
        own = np.diag(logits)
        expected = -0.5 * np.mean(np.log(own / logits.sum(1)) + np.log(own / logits.sum(0)))
        assert found == pytest.approx(expected, rel=1e-5)
        assert float(made.contrastive_loss(item[:1])) == 0
    with pytest.raises(MMRecError, match="set structure"):
        model("mm_tgn", content(), contrastive=1.0)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"embedding": "time"},
        {"degree": False},
        {"structure": "lightgcn", "structure_epochs": 1},
        {"structure": "gated", "structure_epochs": 1},
    ],
)
def test_a_film_nobody_met_is_told_by_its_content(settings: dict[str, Any]) -> None:
    """Blanking a modality changes its score; the same film brought anew, with neither memory nor neighbours, is the
    same, and so is one that training looks at as if nobody had met it."""
    side, cold = content(), N_FILMS - 1
    made = model("mm_tgn", side, **settings)
    louder(made)
    played(made, events())
    summary = {f.name: torch.from_numpy(np.asarray(f.data[[cold]]).astype(np.float32)) for f in side}
    with torch.no_grad():
        own = made.item_embeddings()[cold]
        torch.testing.assert_close(made.item_state(summary).tensors["vector"][0], own)
        assert not torch.allclose(made.item_state({"image": summary["image"]}).tensors["vector"][0], own)
        item = torch.tensor([cold])
        torch.testing.assert_close(made.without_events(made.item_features(item, made.known_items[item]))[0], own)
        met = np.array([int(events().need("item")[-1])])
        made.mark_unseen(met)
        hidden = made.without_events(made.item_features(torch.from_numpy(met), made.known_items[met]))[0]
        torch.testing.assert_close(made.item_embeddings()[int(met[0])], hidden)
    strangers = {int(n) for n in made.features(torch.arange(made.n_nodes)).abs().sum(1).eq(0).nonzero()}
    assert made.n_nodes - 1 in strangers  # an unknown film begins with nothing
