"""LightGCN against its authors' PyTorch code: the same likes, layers, batch and steps, in one run on one thread.

``python -m benchmarks.lightgcn --reference FOLDER [--dataset ml-1m]``: ``FOLDER`` is a checkout of
gusye1234/LightGCN-PyTorch; the dataset is a prepared one, ratings of 3 and more, a random 80/10/10 of each user's. 64
wide, 3 layers, batches of 2,048, Adam 1e-3, λ 1e-4, one negative a like. Timed: whole epochs, drawing negatives
included. NDCG@10 is over every film not liked in training, on the validation likes, by our evaluation for both, after
the same number of epochs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmrec_core import registry
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.training.fit import train_set
from mmrec_core.types import Dataset, Head, Query, Split

BATCH, LR, DECAY, LAYERS, DIM = 2048, 1e-3, 1e-4, 3, 64


class Table:
    """Scores by dot products of finished vectors."""

    def __init__(self, users: torch.Tensor, items: torch.Tensor) -> None:
        self.users, self.items = users, items

    def scorer_heads(self) -> tuple[Head, ...]:
        """One ranking score."""
        return (Head("relevance", "ranking"),)

    def score_all(self, query: Query) -> torch.Tensor:
        """``[B, I]``."""
        return self.users[torch.from_numpy(np.asarray(query.user, np.int64))] @ self.items.T

    def score_rows(self, rows: Any) -> torch.Tensor:
        """Not needed here."""
        raise NotImplementedError


def evaluated(scorer: Any, dataset: Dataset, split: Split) -> float:
    """NDCG@10 on validation."""
    found = evaluate(
        scorer, dataset, split, part="validation", relevant_from=3.0, only=["ndcg@10"], groups=False, intervals=False
    )
    return float(found.metrics["ndcg@10"] or 0.0)


def ours(dataset: Dataset, split: Split) -> Iterator[Any]:
    """Our model after each epoch."""
    cls = registry.load("models", "lightgcn")
    train = train_set(dataset, split.train, 0, 3.0)
    how = {"layers": LAYERS, "dim": DIM, "l2": DECAY / 2, "id_dropout": 0.0, "init": 0.1}
    model = cls(registry.config("models", "lightgcn", how), train.schema, (), 0)
    model.mark_known(train.interactions)
    model.begin(train)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    epoch = 0
    while True:
        model.train()
        for batch in model.batches(train, epoch, batch_size=BATCH):
            optimizer.zero_grad()
            model.loss(batch).backward()
            optimizer.step()
        epoch += 1
        yield model


def theirs(dataset: Dataset, split: Split, folder: Path) -> Iterator[Any]:
    """The same of the authors' code, with their loader, sampler and loop."""
    user, item = (np.asarray(c)[split.train] for c in (dataset.interactions.user, dataset.interactions.item))
    with tempfile.TemporaryDirectory() as place:
        for name in ("train", "test"):  # the loader wants both; a catalog whose last film is known has the right size
            lines = [f"{u} {' '.join(map(str, item[user == u]))}" for u in np.unique(user)]
            (Path(place) / f"{name}.txt").write_text("\n".join(lines) + "\n")
        sys.argv = [
            "x",
            "--bpr_batch",
            str(BATCH),
            "--recdim",
            str(DIM),
            "--layer",
            str(LAYERS),
            "--lr",
            str(LR),
            "--decay",
            str(DECAY),
            "--tensorboard",
            "0",
            "--dataset",
            "gowalla",
        ]
        sys.path.insert(0, str(folder / "code"))
        import dataloader
        import model
        import Procedure
        import utils
        import world

        world.tensorboard = 0
        data = dataloader.Loader(world.config, place)
        utils.set_seed(0)
        net = model.LightGCN(world.config, data)
        loss = utils.BPRLoss(net, world.config)
        epoch = 0
        while True:
            Procedure.BPR_train_original(data, net, loss, epoch)
            epoch += 1
            with torch.no_grad():
                users, items = net.computer()
            whole = torch.zeros(len(dataset.items), DIM)
            whole[: len(items)] = items
            yield Table(users, whole)


def main() -> None:
    """Print seconds an epoch and validation NDCG@10 of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dataset = preparation.open_dataset(args.dataset)
    split = make_split(dataset, "random:80-10-10", filter_from=3.0)
    sides = {"ours": ours(dataset, split), "theirs": theirs(dataset, split, args.reference)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    quality: dict[str, float] = {}
    for _ in range(args.epochs):  # turn by turn, so that whatever else the machine does meets both
        for name, side in sides.items():
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                started = time.perf_counter()
                scorer = next(side)
                seconds[name].append(time.perf_counter() - started)
                quality[name] = evaluated(scorer, dataset, split)
    for name, spent in seconds.items():
        each = ", ".join(f"{s:.1f}" for s in spent)
        print(
            f"{name}: {min(spent):.1f} s an epoch ({each}; the first with what it prepares), validation NDCG@10 "
            f"{quality[name]:.4f} after {args.epochs}"
        )
    print(f"an epoch is {min(seconds['theirs']) / min(seconds['ours']):.1f} × faster")


if __name__ == "__main__":
    main()
