"""SASRec compared with pmixer's PyTorch code: the same network, batch, negatives and epochs, in turn in one run.

``python -m benchmarks.sequence --reference FOLDER [--dataset amazon-beauty] [--epochs 3] [--threads 2]``: ``FOLDER``
is a checkout of pmixer/SASRec.pytorch; the dataset is a prepared one. 64 wide, two blocks, one head, layer norms
first, 50 events, dropout 0.5, batches of 128 people, Adam 1e-3, one negative a place. Timed: whole epochs, drawing
negatives included (theirs draws in a process of its own). NDCG@10 on validation is over every product not met in
training, by our evaluation for both. Last: seconds of a full ranking of all products for all users.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from mmrec_core import registry
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.training.fit import train_set
from mmrec_core.types import Array, Dataset, Head, Query, Split

DIM, BLOCKS, LENGTH, DROPOUT, BATCH, LR = 64, 2, 50, 0.5, 128, 1e-3


class Theirs:
    """Scores of their network: its last state of somebody's training events against every product."""

    def __init__(self, model: Any, by_user: dict[int, list[int]]) -> None:
        self.model, self.record = model, by_user

    def scorer_heads(self) -> tuple[Head, ...]:
        """One ranking score."""
        return (Head("relevance", "ranking"),)

    @torch.no_grad()
    def score_all(self, query: Query) -> torch.Tensor:
        """``[B, I]``."""
        self.model.eval()
        sequence = np.zeros((len(query.user), LENGTH), np.int64)
        for row, user in enumerate(np.asarray(query.user).tolist()):
            own = self.record.get(user + 1, [])[-LENGTH:]
            sequence[row, LENGTH - len(own) :] = own
        state = self.model.log2feats(sequence)[:, -1]
        scores: torch.Tensor = state @ self.model.item_emb.weight[1:].T
        return scores

    def score_rows(self, rows: Any) -> torch.Tensor:
        """Not needed here."""
        raise NotImplementedError


def evaluated(scorer: Any, dataset: Dataset, split: Split) -> float:
    """NDCG@10 on validation, nothing after training known."""
    found = evaluate(scorer, dataset, split, part="validation", only=["ndcg@10"], groups=False, intervals=False)
    return float(found.metrics["ndcg@10"] or 0.0)


def ours(dataset: Dataset, split: Split) -> Iterator[Any]:
    """What scores after each epoch of ours."""
    train = train_set(dataset, split.train, 0, None)
    how = {
        "dim": DIM,
        "blocks": BLOCKS,
        "heads": 1,
        "length": LENGTH,
        "dropout": DROPOUT,
        "negatives": 1,
        "id_dropout": 0.0,
    }
    model = registry.load("models", "sasrec")(registry.config("models", "sasrec", how), train.schema, (), 0)
    model.mark_known(train.interactions)
    model.begin(train)
    descent, epoch = torch.optim.Adam(model.parameters(), lr=LR, betas=(0.9, 0.98), fused=True), 0
    while True:
        model.train()
        for batch in model.batches(train, epoch, batch_size=BATCH):
            descent.zero_grad()
            model.loss(batch).backward()
            descent.step()
        epoch += 1
        model.eval()
        yield model


def histories(dataset: Dataset, split: Split) -> dict[int, list[int]]:
    """Training events by person, in order, both counted from 1."""
    user, item = (
        np.asarray(dataset.interactions.need(role))[split.train].astype(np.int64) + 1 for role in ("user", "item")
    )
    order: Array = np.lexsort((np.asarray(dataset.interactions.need("time"))[split.train], user))
    found: dict[int, list[int]] = {}
    for who, what in zip(user[order].tolist(), item[order].tolist(), strict=True):
        found.setdefault(who, []).append(what)
    return found


def theirs(dataset: Dataset, split: Split, folder: Path) -> Iterator[Any]:
    """The same of their code, with their sampler and the steps of their loop."""
    sys.path.insert(0, str(folder / "python"))
    from model import SASRec  # type: ignore[import-not-found]
    from utils import WarpSampler  # type: ignore[import-not-found]

    by_user, n_users, n_items = histories(dataset, split), len(dataset.users), len(dataset.items)
    args = SimpleNamespace(
        device="cpu",
        norm_first=True,
        hidden_units=DIM,
        maxlen=LENGTH,
        dropout_rate=DROPOUT,
        num_blocks=BLOCKS,
        num_heads=1,
    )
    torch.manual_seed(0)
    np.random.seed(0)
    model = SASRec(n_users, n_items, args)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.xavier_normal_(weight.data)
    model.pos_emb.weight.data[0] = 0
    model.item_emb.weight.data[0] = 0
    sampler = WarpSampler(by_user, n_users, n_items, batch_size=BATCH, maxlen=LENGTH, n_workers=1)
    criterion, descent = torch.nn.BCEWithLogitsLoss(), torch.optim.Adam(model.parameters(), lr=LR, betas=(0.9, 0.98))
    try:
        while True:
            model.train()
            for _ in range((len(by_user) - 1) // BATCH + 1):
                u, seq, pos, neg = (np.array(part) for part in sampler.next_batch())
                liked, other = model(u, seq, pos, neg)
                descent.zero_grad()
                asked = np.where(pos != 0)
                loss = criterion(liked[asked], torch.ones(liked.shape)[asked]) + criterion(
                    other[asked], torch.zeros(other.shape)[asked]
                )
                loss.backward()
                descent.step()
            yield Theirs(model, by_user)
    finally:
        sampler.close()


def main() -> None:
    """Train both in turn, evaluate both, and time a full ranking."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--dataset", default="amazon-beauty")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dataset = preparation.open_dataset(args.dataset)
    split = make_split(dataset, "leave-one-out")
    turns = {"ours": ours(dataset, split), "theirs": theirs(dataset, split, args.reference)}
    spent: dict[str, list[float]] = {name: [] for name in turns}
    scorer: dict[str, Any] = {}
    for _ in range(args.epochs):
        for name, turn in turns.items():
            start = time.perf_counter()
            scorer[name] = next(turn)
            spent[name].append(time.perf_counter() - start)
            print(f"{name}: {spent[name][-1]:.1f} s", flush=True)
    turns["theirs"].close()  # type: ignore[attr-defined]
    best = {name: min(own) for name, own in spent.items()}
    ndcg = {name: evaluated(one, dataset, split) for name, one in scorer.items()}
    print(
        f"{args.dataset}, {args.threads} threads, best of {args.epochs} epochs: ours {best['ours']:.1f} s, theirs "
        f"{best['theirs']:.1f} s: {best['theirs'] / best['ours']:.2f} x"
    )
    print(f"validation NDCG@10 after {args.epochs} epochs: ours {ndcg['ours']:.4f}, theirs {ndcg['theirs']:.4f}")
    start = time.perf_counter()
    evaluate(scorer["ours"], dataset, split, only=["ndcg@10", "recall@10", "mrr"], groups=False, intervals=False)
    print(
        f"ranking {len(dataset.items):,} products for {len(dataset.users):,} people: {time.perf_counter() - start:.1f} "
        f"s"
    )


if __name__ == "__main__":
    main()
