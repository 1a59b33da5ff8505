"""TGN against PyG's and twitter-research's on one file of events, the same split and the same negatives, in one run.

``python -m benchmarks.tgn --events wikipedia.txt [--reference FOLDER] [--epochs 10] [--seeds 1,2,3]``: events are
``user item`` lines in time order, a line's number its time; 70/15/15 by time; one item drawn uniformly per event,
once and for all. ``FOLDER`` is a checkout of twitter-research/tgn, timed on a part of the first epoch. All models:
memory, messages and embeddings 100 wide, last message, GRU, one layer of attention with 2 heads over 10 neighbours,
an MLP for pairs, log-loss, Adam, batches of 200, one thread. The waves that tell time are learned by the others and
fixed in ours. AP and AUC are pooled over the test events and their negatives, after the epoch that was best on
validation; brackets: 95 % bootstrap over events. PyG's example draws neighbours from before the batch; ours and
twitter's from before the event.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn import functional as F

from mmrec_core import registry
from mmrec_core.types import Interactions, Schema, TrainSet, blocks

DIM, NEIGHBOURS, BATCH, LR = 100, 10, 200, 1e-4
Scores = tuple[np.ndarray, np.ndarray]


class Events:
    """Users, items and times as rows, cut in three, with one negative each."""

    def __init__(self, file: Path) -> None:
        table = np.loadtxt(file, dtype=np.int64)
        self.user, self.item = (np.unique(table[:, at], return_inverse=True)[1] for at in (0, 1))
        self.n_users, self.n_items = int(self.user.max()) + 1, int(self.item.max()) + 1
        n = len(table)
        self.time = np.arange(n)
        self.cuts = (0, round(0.7 * n), round(0.85 * n), n)
        self.fixed = np.random.default_rng(0).integers(0, self.n_items, n)

    def negatives(self, seed: int, epoch: int) -> np.ndarray:
        """Negatives of the training events: drawn again each epoch, the same for all implementations."""
        return np.random.default_rng([seed, epoch]).integers(0, self.n_items, self.cuts[1])

    def parts(self, part: int) -> Iterator[slice]:
        """Batches of training (0), validation (1) or test (2)."""
        a, b = self.cuts[part : part + 2]
        return (slice(a + p.start, a + p.stop) for p in blocks(b - a, BATCH))


class Ours:
    """The shipped class, its own loss and ``observe``."""

    def __init__(self, events: Events, preset: str, seed: int) -> None:
        self.events, cls = events, registry.load("models", "tgn")
        how = {
            "dim": DIM,
            "neighbours": NEIGHBOURS,
            "nodes": "none",
            "stars": False,
            "loss": "bce",
            "id_dropout": 0.0,
            "score": "mlp",
        }
        how |= {} if preset == "tgn" else {"nodes": "ids"}
        config = registry.config("models", preset, how)
        schema = Schema(events.n_users, events.n_items, frozenset({"user", "item", "time"}))
        self.model: Any = cls(config, schema, (), seed)
        rows = slice(0, events.cuts[1])
        train = TrainSet(self._rows(rows), schema, (), seed)
        self.model.mark_known(train.interactions)
        self.model.begin(train)
        self.descent = torch.optim.Adam(self.model.parameters(), lr=LR, fused=True)

    def _rows(self, part: slice) -> Interactions:
        events = self.events
        return Interactions(
            events.user[part].astype(np.int32), events.item[part].astype(np.int32), time=events.time[part]
        )

    def start(self) -> None:
        """Empty memories; neighbours are those of training."""
        self.model.train()
        self.model.begin(TrainSet(self._rows(slice(0, self.events.cuts[1])), self.model.schema))
        self.model.start_epoch(None, 0)

    def step(self, part: slice, negative: np.ndarray) -> None:
        """One batch of training."""
        events = self.events
        batch = {
            k: torch.from_numpy(v[part])
            for k, v in (("user", events.user), ("item", events.item), ("time", events.time))
        }
        batch |= {"negative": torch.from_numpy(negative), "mark": torch.zeros(len(negative))}
        self.descent.zero_grad()
        self.model.loss(batch).backward()
        self.descent.step()

    def score(self, part: slice, negative: np.ndarray) -> Scores:
        """Scores of events and negatives at their moment; then the events happen."""
        events, n = self.events, len(negative)
        both = np.concatenate([events.item[part], negative])
        found = self.model.score(np.tile(events.user[part], 2), both, np.tile(events.time[part], 2))[:, 0].numpy()
        self.model.observe(self._rows(part))
        return found[:n], found[n:]


class PyG:
    """PyG's own pieces, put together as its TGN example does."""

    def __init__(self, events: Events, seed: int) -> None:
        from torch_geometric.nn import TGNMemory, TransformerConv
        from torch_geometric.nn.models.tgn import IdentityMessage, LastAggregator, LastNeighborLoader

        torch.manual_seed(seed)
        self.events, self.n = events, events.n_users + events.n_items
        self.memory = TGNMemory(self.n, 1, DIM, DIM, IdentityMessage(1, DIM, DIM), LastAggregator())
        self.attend = TransformerConv(DIM, DIM // 2, heads=2, dropout=0.1, edge_dim=DIM + 1)
        self.source, self.target, self.last = (
            torch.nn.Linear(DIM, DIM),
            torch.nn.Linear(DIM, DIM),
            torch.nn.Linear(DIM, 1),
        )
        self.loader = LastNeighborLoader(self.n, NEIGHBOURS)
        self.place = torch.empty(self.n, dtype=torch.long)
        parts = (self.memory, self.attend, self.source, self.target, self.last)
        self.parts = parts
        self.descent = torch.optim.Adam({p for part in parts for p in part.parameters()}, lr=LR)
        self.src, self.dst = torch.from_numpy(events.user), torch.from_numpy(events.item) + events.n_users
        self.t, self.msg = torch.from_numpy(events.time), torch.zeros(len(events.time), 1)

    def start(self) -> None:
        """Empty memories, no neighbours."""
        for part in self.parts:
            part.train()
        self.memory.reset_state()
        self.loader.reset_state()

    def _logits(self, part: slice, negative: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        src, dst = self.src[part], self.dst[part]
        neg = torch.from_numpy(negative) + self.events.n_users
        n_id, edge_index, e_id = self.loader(torch.cat([src, dst, neg]).unique())
        self.place[n_id] = torch.arange(len(n_id))
        z, last = self.memory(n_id)
        gap = last[edge_index[0]] - self.t[e_id]
        code = self.memory.time_enc(gap.to(z.dtype))
        z = self.attend(z, edge_index, torch.cat([code, self.msg[e_id]], -1))
        pair = lambda a, b: self.last((self.source(z[self.place[a]]) + self.target(z[self.place[b]])).relu())[:, 0]
        return pair(src, dst), pair(src, neg)

    def _happen(self, part: slice) -> None:
        self.memory.update_state(self.src[part], self.dst[part], self.t[part], self.msg[part])
        self.loader.insert(self.src[part], self.dst[part])

    def step(self, part: slice, negative: np.ndarray) -> None:
        """One batch of training."""
        self.descent.zero_grad()
        pos, neg = self._logits(part, negative)
        loss = F.binary_cross_entropy_with_logits(pos, torch.ones_like(pos))
        loss = loss + F.binary_cross_entropy_with_logits(neg, torch.zeros_like(neg))
        self._happen(part)
        loss.backward()
        self.descent.step()
        self.memory.detach()

    @torch.no_grad()
    def score(self, part: slice, negative: np.ndarray) -> Scores:
        """Scores of events and negatives; then the events happen."""
        for own in self.parts:
            own.eval()
        pos, neg = self._logits(part, negative)
        self._happen(part)
        return pos.numpy(), neg.numpy()


class Twitter:
    """twitter-research/tgn as its checkout has it, for speed."""

    def __init__(self, events: Events, folder: Path, seed: int) -> None:
        sys.path.insert(0, str(folder))
        from model.tgn import TGN
        from utils.utils import NeighborFinder

        torch.manual_seed(seed)
        self.events, n = events, events.n_users + events.n_items + 1
        nearby: list[list[tuple[int, int, float]]] = [[] for _ in range(n)]
        train = range(events.cuts[1])
        for at in train:
            u, i = int(events.user[at]) + 1, int(events.item[at]) + events.n_users + 1
            nearby[u].append((i, at + 1, float(events.time[at])))
            nearby[i].append((u, at + 1, float(events.time[at])))
        self.model = TGN(
            NeighborFinder(nearby),
            np.zeros((n, DIM)),
            np.zeros((len(events.time) + 1, 1)),
            "cpu",
            n_layers=1,
            n_heads=2,
            dropout=0.1,
            use_memory=True,
            memory_dimension=DIM,
            message_function="identity",
            memory_updater_type="gru",
            aggregator_type="last",
            n_neighbors=NEIGHBOURS,
        )
        self.descent = torch.optim.Adam(self.model.parameters(), lr=LR)

    def start(self) -> None:
        """Empty memories."""
        self.model.train()
        self.model.memory.__init_memory__()

    def step(self, part: slice, negative: np.ndarray) -> None:
        """One batch of training."""
        events, shift = self.events, self.events.n_users + 1
        self.descent.zero_grad()
        pos, neg = self.model.compute_edge_probabilities(
            events.user[part] + 1,
            events.item[part] + shift,
            negative + shift,
            events.time[part].astype(float),
            np.arange(part.start, part.stop) + 1,
            NEIGHBOURS,
        )
        pos, neg = pos.squeeze(), neg.squeeze()
        loss = F.binary_cross_entropy(pos, torch.ones_like(pos)) + F.binary_cross_entropy(neg, torch.zeros_like(neg))
        loss.backward()
        self.descent.step()
        self.model.memory.detach_memory()


def speed(made: Any, events: Events, batches: int, first: int = 150) -> float:
    """Events a second over some batches in the middle of the first epoch, when memories are filled."""
    made.start()
    drawn = events.negatives(0, 0)
    started, at = 0.0, 0
    for at, part in enumerate(events.parts(0)):
        if at == first:
            started = time.perf_counter()
        if at == first + batches:
            break
        made.step(part, drawn[part])
    return batches * BATCH / (time.perf_counter() - started)


def scores_of(made: Any, events: Events, part: int) -> Scores:
    """All scores of a part."""
    found = [made.score(rows, events.fixed[rows]) for rows in events.parts(part)]
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


def figures(scores: Scores) -> tuple[float, float]:
    """Pooled AP and AUC."""
    truth = np.repeat([1, 0], [len(scores[0]), len(scores[1])])
    both = np.concatenate(scores)
    return float(average_precision_score(truth, both)), float(roc_auc_score(truth, both))


def trained(make: Callable[[], Any], events: Events, epochs: int, seed: int) -> tuple[Scores, int]:
    """Test scores after the epoch that was best on validation, and which that was."""
    made, best, kept, which = make(), -1.0, (np.zeros(0), np.zeros(0)), 0
    for epoch in range(epochs):
        made.start()
        drawn = events.negatives(seed, epoch)
        for part in events.parts(0):
            made.step(part, drawn[part])
        ap = figures(scores_of(made, events, 1))[0]
        if ap > best:
            best, kept, which = ap, scores_of(made, events, 2), epoch + 1
    return kept, which


def interval(scores: Scores, resamples: int = 200) -> tuple[float, float]:
    """95 % of the AP, events resampled with their negatives."""
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, len(scores[0]), len(scores[0])) for _ in range(resamples))
    low, high = np.percentile([figures((scores[0][r], scores[1][r]))[0] for r in drawn], [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Print speeds, then test figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--presets", default="tgn,jodie,dyrep")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    events = Events(args.events)
    print(f"{len(events.time):,} events, {events.n_users:,} users, {events.n_items:,} items")
    makers: dict[str, Callable[[], Any]] = {"ours": lambda: Ours(events, "tgn", 0), "PyG": lambda: PyG(events, 0)}
    rates: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(3):
        for name, make in makers.items():
            rates[name].append(speed(make(), events, 100))
    if args.reference:
        with contextlib.redirect_stdout(io.StringIO()):
            rates["twitter-research"] = [speed(Twitter(events, args.reference, 0), events, 40)]
    for name, found in rates.items():
        ratio = max(rates["ours"]) / max(found)
        print(
            f"training {name}: {max(found):,.0f} events/s ({', '.join(f'{r:,.0f}' for r in found)}); ours is "
            f"{ratio:.2f} ×"
        )
    for seed in map(int, args.seeds.split(",")):
        arms = {p: (lambda p=p, s=seed: Ours(events, p, s)) for p in args.presets.split(",")}
        for name, make in {"PyG": lambda s=seed: PyG(events, s), **arms}.items():
            started = time.perf_counter()
            scores, epoch = trained(make, events, args.epochs, seed)
            (ap, auc), (low, high) = figures(scores), interval(scores)
            print(
                f"seed {seed} {name}: AP {ap:.4f} [{low:.4f}, {high:.4f}], AUC {auc:.4f}, best of {args.epochs} "
                f"epochs: {epoch}; "
                f"{time.perf_counter() - started:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
