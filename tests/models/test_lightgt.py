"""LightGT: its attention by a worked example, its sequences, its scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from mmrec_core.types import History
from tests.models.test_graph import COLD, N_FILMS, content, likes, model


def net(**settings: Any) -> Any:
    """An untrained model with two modalities whose attention is far from uniform."""
    made = model("lightgt", content("text", "image"), layers=2, sharpness=0.05, content_dropout=0.0, **settings)
    with torch.no_grad():
        made.user_table.weight.normal_(generator=torch.Generator().manual_seed(1))
        made.item_table.weight.normal_(generator=torch.Generator().manual_seed(2))
    made.forget()
    return made


def test_attention_by_a_worked_example() -> None:
    """Token and films, one by one: sigmoid queries and keys from means of LightGCN's layers, values as they are,
    weights that sum to one, LayerNorm, nothing else."""
    made, who = net(ids=0.05), 2
    with torch.no_grad():
        users, items = made.propagate()
        liked = made.history(torch.tensor([who]))[0][0][: int((np.asarray(likes().user) == who).sum())]
        expected = []
        for at, name in enumerate(("text", "image")):
            values = [made.tokens.weight[who][at * 4 : at * 4 + 4]]
            values += [made.project[name](made.content.read(name, item[None])[0])[0] for item in liked]
            for k in range(2):
                states = [torch.stack([layer[who] for layer in users[: k + 1]]).mean(0)]
                states += [torch.stack([layer[item] for layer in items[: k + 1]]).mean(0) for item in liked]
                new = []
                for own in states:
                    query = torch.sigmoid(own @ made.query[at, k])
                    logits = [query @ torch.sigmoid(other @ made.key[at, k]) / math.sqrt(4) / 0.05 for other in states]
                    shares = torch.stack(logits).softmax(0)
                    assert abs(float(shares.sum()) - 1) < 1e-6
                    mixed = sum(share * value for share, value in zip(shares, values, strict=True))
                    new.append(F.layer_norm(mixed, (4,)))
                values = new
            expected.append(values[0])
        own, found = made.embeddings()[0][who], torch.cat(expected)
        torch.testing.assert_close(own[4:], found, atol=1e-5, rtol=1e-4)
        user, film = made.combine(users)[who], made.combine(items)[3]
        shown = torch.cat([made.project[n](made.content.read(n, torch.tensor([3]))[0])[0] for n in ("text", "image")])
        score = 0.05 * user @ film + 0.95 * found @ shown
        torch.testing.assert_close(made.score_states({"vector": own[None]})[0, 3], score, atol=1e-5, rtol=1e-4)


def test_a_target_is_not_in_its_own_sequence() -> None:
    """The scores of a batch are those of the user's other likes; LightGCN's part is left out here."""
    made = net(ids=0.0)
    user = int(np.bincount(np.asarray(likes().user)).argmax())
    own = np.asarray(likes().item)[np.asarray(likes().user) == user].astype(np.int64)
    batch = {"user": torch.tensor([user]), "item": torch.tensor([own[0]]), "negative": torch.tensor([[COLD - 1]])}
    batch["whose"] = batch["user"]
    with torch.no_grad():
        users, items = made.propagate()
        found = made.pair_scores(users, items, batch)
        rest = torch.from_numpy(own[1:])[None]
        layers = [layer[[user]] for layer in users]
        token = made.attend(made.tokens.weight[[user]], layers, rest, torch.ones_like(rest, dtype=torch.bool), items)
        films = [made.features(n, torch.tensor([own[0], COLD - 1]))[0] for n in ("text", "image")]
        torch.testing.assert_close(found[0], torch.cat(films, 1) @ token[0], atol=1e-5, rtol=1e-4)


def test_a_known_user_folded_in_gets_the_same_embedding() -> None:
    """A history with the likes of a known user, that user's own embedding and token, gives that user."""
    made = net()
    with torch.no_grad():
        made.user_table.weight[-1] = made.user_table.weight[2]
        made.tokens.weight[-1] = made.tokens.weight[2]
    made.forget()
    own = np.asarray(likes().item)[np.asarray(likes().user) == 2].astype(np.int64)
    folded = made.fold_in([History(own), History(np.zeros(0, np.int64))])
    with torch.no_grad():
        torch.testing.assert_close(folded.tensors["vector"][0], made.embeddings()[0][2], atol=1e-5, rtol=1e-4)
    assert folded.source == ("folded", "fallback")


def test_long_histories_are_sampled() -> None:
    """Of more likes than fit, places at equal distances are read, and random ones in training; of fewer, all."""
    made, user = net(history=2), int(np.bincount(np.asarray(likes().user)).argmax())
    own = set(np.asarray(likes().item)[np.asarray(likes().user) == user].tolist())
    items, filled = made.history(torch.tensor([user]))
    assert items.shape == (1, 2) and bool(filled.all()) and set(items[0].tolist()) <= own and len(own) > 2
    drawn = {item for _ in range(50) for item in made.history(torch.tensor([user]), True)[0][0].tolist()}
    assert drawn == own
    whole, places = net(history=30).history(torch.tensor([user]))
    assert set(whole[places].tolist()) == own


def test_content_scores_films_that_nobody_liked() -> None:
    """A film of the catalog without likes and the same film from outside have the same vector, and every tensor
    learns."""
    made = net()
    given = {f.name: torch.from_numpy(np.asarray(f.data[[COLD]], np.float32)) for f in content("text", "image")}
    with torch.no_grad():
        cold = made.embeddings()[1][COLD]
        torch.testing.assert_close(made.item_state(given).tensors["vector"][0], cold)
        made.item_table.weight[-1] += 10
        made.forget()
        torch.testing.assert_close(made.embeddings()[1][COLD], cold)
    made.train()
    batch = {"user": torch.tensor([1, 2]), "item": torch.tensor([0, 1]), "negative": torch.tensor([[3], [4]])}
    batch["whose"] = batch["user"]
    made.loss(batch).backward()
    silent = [key for key, p in made.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not silent and COLD < N_FILMS
