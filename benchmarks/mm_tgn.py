"""MM-TGN against its authors' code: one file of events, the same network, the same negatives, in one run on one thread.

``python -m benchmarks.mm_tgn --reference FOLDER [--ratings u.data]``: ``FOLDER`` is a checkout of rsk1707/mm-tgn (not
ours to ship), the ratings ml-100k's (found in MMREC_SOURCES). Every rating is an event. Films have random unit
vectors of 1,536 + 1,152 numbers, since speed does not depend on their meaning. Network: 172 wide, 2 layers, 2 heads,
15 neighbours, message MLP, fusion MLP 2,688-512-172; batches of 200; log-loss; Adam 1e-4, no counts of events; ours
tells time by fixed waves unless ``--waves learned``. Timed: training from the middle of the data on; ranking events
among 100 drawn films as each side does it (theirs on a few rows, since it takes so long). AP: both learn from the
same first events with the same negatives, and are evaluated on the next ones as these happen; both may look at
whatever neighbours are strictly earlier than an event.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from mmrec_core import registry, settings
from mmrec_core.types import Field, Interactions, Schema, TrainSet

TEXT, IMAGE, BATCH, LR, NEIGHBOURS, NEGATIVES = 1536, 1152, 200, 1e-4, 15, 100


class Events:
    """Ratings in time order, with vectors of films and one negative each."""

    def __init__(self, file: Path) -> None:
        table = np.loadtxt(file, dtype=np.int64)
        table = table[np.argsort(table[:, 3], kind="stable")]
        self.user, self.item = (np.unique(table[:, at], return_inverse=True)[1] for at in (0, 1))
        self.time, self.n = table[:, 3], len(table)
        self.n_users, self.n_items = int(self.user.max()) + 1, int(self.item.max()) + 1
        rng = np.random.default_rng(0)
        self.drawn = rng.integers(0, self.n_items, (self.n, NEGATIVES))
        vectors = rng.standard_normal((self.n_items, TEXT + IMAGE)).astype(np.float32)
        self.text = vectors[:, :TEXT] / np.linalg.norm(vectors[:, :TEXT], axis=1, keepdims=True)
        self.image = vectors[:, TEXT:] / np.linalg.norm(vectors[:, TEXT:], axis=1, keepdims=True)


class Ours:
    """The shipped class with the published sizes."""

    def __init__(self, events: Events, upto: int, waves: str) -> None:
        self.record = events
        rows = np.arange(events.n_items)
        side = tuple(
            Field(name, "item", "vector", width=made.shape[1], data=made.astype(np.float16), place=rows)
            for name, made in (("text", events.text), ("image", events.image))
        )
        how = {
            "dim": 172,
            "partner": "memory",
            "layers": 2,
            "neighbours": NEIGHBOURS,
            "fusion_width": 512,
            "loss": "bce",
            "stars": False,
            "id_dropout": 0.0,
            "content_dropout": 0.0,
            "alone": 0.0,
            "degree": False,
            "waves": waves,
        }
        schema = Schema(events.n_users, events.n_items, frozenset({"user", "item", "time"}))
        cls = registry.load("models", "mm_tgn")
        self.model: Any = cls(registry.config("models", "mm_tgn", how), schema, side, 0)
        train = TrainSet(self._rows(0, upto), schema, side, 0)
        self.model.mark_known(train.interactions)
        self.model.begin(train)
        self.model.train()
        self.descent = torch.optim.Adam(self.model.parameters(), lr=LR, fused=True)

    def _rows(self, a: int, b: int) -> Interactions:
        t = self.record
        return Interactions(t.user[a:b].astype(np.int32), t.item[a:b].astype(np.int32), time=t.time[a:b])

    def step(self, a: int, b: int) -> None:
        """One batch of training."""
        t = self.record
        batch = {k: torch.from_numpy(v[a:b]) for k, v in (("user", t.user), ("item", t.item), ("time", t.time))}
        batch |= {"negative": torch.from_numpy(t.drawn[a:b, 0]), "mark": torch.zeros(b - a)}
        self.descent.zero_grad()
        self.model.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.descent.step()

    def rank(self, a: int, b: int) -> np.ndarray:
        """``[rows, 101]`` scores at the events' moments."""
        t = self.record
        films = np.concatenate([t.item[a:b, None], t.drawn[a:b]], 1)
        found = self.model.score(
            np.repeat(t.user[a:b], films.shape[1]), films.ravel(), np.repeat(t.time[a:b], films.shape[1])
        )
        return found[:, 0].numpy().reshape(films.shape)

    def evaluate(self, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores of events and first negatives; then the events happen."""
        t = self.record
        pos, neg = (
            self.model.score(t.user[a:b], film, t.time[a:b])[:, 0].numpy() for film in (t.item[a:b], t.drawn[a:b, 0])
        )
        happened = (torch.from_numpy(column[a:b]) for column in (t.user, t.item, t.time))
        self.model.update_state(self.model.updated_memory(), *happened, torch.zeros(b - a))
        self.model.train(False)
        return pos, neg


class Theirs:
    """The authors' class, called as their training and ranking call it."""

    def __init__(self, events: Events, folder: Path) -> None:
        sys.path.insert(0, str(folder))
        from mmtgn import MMTGN, bce_loss
        from utils.utils import NeighborFinder

        torch.manual_seed(0)
        self.record, self.loss = events, bce_loss
        self.user, self.item = events.user + 1, events.item + events.n_users + 1
        self.drawn = events.drawn + events.n_users + 1
        n = events.n_users + events.n_items + 1
        nearby: list[list[tuple[int, int, float]]] = [[] for _ in range(n)]
        for at, (u, i, t) in enumerate(zip(self.user, self.item, events.time.astype(float), strict=True)):
            nearby[u].append((i, at + 1, t))
            nearby[i].append((u, at + 1, t))
        self.model = MMTGN(
            NeighborFinder(nearby),
            np.zeros((n, 172)),
            np.zeros((events.n + 1, 1)),
            "cpu",
            n_layers=2,
            n_heads=2,
            embedding_dim=172,
            dropout=0.1,
            num_users=events.n_users,
            num_items=events.n_items,
            item_features=np.concatenate([events.text, events.image], 1),
            mm_fusion_mode="mlp",
            n_neighbors=NEIGHBOURS,
        )
        self.model.train()
        self.descent = torch.optim.Adam(self.model.parameters(), lr=LR)

    def _pair(
        self, user: np.ndarray, one: np.ndarray, other: np.ndarray, a: int, b: int, times: int = 1, **how: Any
    ) -> Any:
        when, edge = self.record.time[a:b].astype(float), np.arange(a, b) + 1
        return self.model.compute_edge_probabilities(
            user, one, other, np.repeat(when, times), np.repeat(edge, times), NEIGHBOURS, **how
        )

    def step(self, a: int, b: int) -> None:
        """One batch of training."""
        self.descent.zero_grad()
        pos, neg = self._pair(self.user[a:b], self.item[a:b], self.drawn[a:b, 0], a, b)
        self.loss(pos, neg).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=1.0)
        self.descent.step()
        self.model.detach_memory()

    @torch.no_grad()
    def rank(self, a: int, b: int) -> None:
        """Their loop: the positive, then negatives five at a time, memory put back."""
        self.model.eval()
        kept = self.model.backup_memory()
        self._pair(self.user[a:b], self.item[a:b], self.drawn[a:b, 0], a, b)
        self.model.restore_memory(kept)
        for at in range(0, NEGATIVES, 5):
            five = self.drawn[a:b, at : at + 5]
            again = np.repeat(self.item[a:b], 5)
            self._pair(np.repeat(self.user[a:b], 5), five.ravel(), again, a, b, 5, skip_memory_update=True)
        self.model.restore_memory(kept)

    @torch.no_grad()
    def evaluate(self, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores of events and first negatives, which moves the memory on."""
        self.model.eval()
        pos, neg = self._pair(self.user[a:b], self.item[a:b], self.drawn[a:b, 0], a, b)
        return pos.squeeze().numpy(), neg.squeeze().numpy()


def timed(made: Any, first: int, batches: int) -> float:
    """Events a second, after one batch that warms up."""
    made.step(first, first + BATCH)
    started = time.perf_counter()
    for at in range(1, batches + 1):
        made.step(first + at * BATCH, first + (at + 1) * BATCH)
    return batches * BATCH / (time.perf_counter() - started)


def precision(made: Any, train: int, test: int) -> tuple[float, float, float]:
    """AP over test events and its 95 % bootstrap interval, after one pass over the first events."""
    for at in range(0, train, BATCH):
        made.step(at, at + BATCH)
    parts = [made.evaluate(at, at + BATCH) for at in range(train, train + test, BATCH)]
    pos, neg = (np.concatenate([p[side] for p in parts]) for side in (0, 1))
    rng = np.random.default_rng(0)
    ap = lambda rows: average_precision_score(np.repeat([1, 0], len(rows)), np.concatenate([pos[rows], neg[rows]]))
    low, high = np.percentile([ap(rng.integers(0, len(pos), len(pos))) for _ in range(200)], [2.5, 97.5])
    return float(ap(np.arange(len(pos)))), float(low), float(high)


def main() -> None:
    """Print speeds and precision of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--ratings", type=Path)
    parser.add_argument("--train-events", type=int, default=20_000)
    parser.add_argument("--test-events", type=int, default=4_000)
    parser.add_argument("--waves", choices=["fixed", "learned"], default="fixed")
    parser.add_argument("--rows", type=int, default=5_000, help="rows that ours ranks")
    parser.add_argument("--their-rows", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    files = [args.ratings] if args.ratings else [place / "ml-100k" / "u.data" for place in settings.sources()]
    events = Events(next(f for f in files if f.is_file()))
    middle = events.n // 2
    mine, theirs = lambda: Ours(events, events.n, args.waves), lambda: Theirs(events, args.reference)
    with contextlib.redirect_stderr(io.StringIO()):
        rates = {"ours": timed(mine(), middle, 10), "theirs": timed(theirs(), middle, 5)}
    print(
        f"training: ours {rates['ours']:,.0f} events/s, theirs {rates['theirs']:,.1f}: "
        f"{rates['ours'] / rates['theirs']:.1f} ×",
        flush=True,
    )
    ours, their = mine(), theirs()
    started = time.perf_counter()
    ours.rank(events.n - args.rows, events.n)
    one = (time.perf_counter() - started) / args.rows
    started = time.perf_counter()
    their.rank(events.n - args.their_rows, events.n)
    other = (time.perf_counter() - started) / args.their_rows
    print(
        f"ranking among {NEGATIVES}: ours {args.rows:,} rows in {one * args.rows:.0f} s, theirs {args.their_rows} rows "
        f"in "
        f"{other * args.their_rows:.0f} s ({other * 5000:,.0f} s for 5,000): {other / one:.1f} ×",
        flush=True,
    )
    for name, made in (("ours", mine()), ("theirs", theirs())):
        ap, low, high = precision(made, args.train_events, args.test_events)
        print(f"AP of the next {args.test_events:,} events, {name}: {ap:.4f} [{low:.4f}, {high:.4f}]", flush=True)


if __name__ == "__main__":
    main()
