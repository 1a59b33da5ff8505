"""Full ranking of 6,040 users over 3,706 films from factors: ours, implicit's and ranx, on the same lists in one run.

A synthetic set of ML-1M's size (long-tailed, random 80/20), d = 64. Ours runs the evaluation's own path: scores by matrix
product, training films masked, NDCG, recall, precision and hit rate at 10. implicit is given the factors and does the
same; ranx is given top-10 lists that we made for it (not timed) and times metrics alone, dictionaries included.
Prints milliseconds (minimum of several rounds), ratios, and the largest difference where definitions agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from mmrec_core.evaluation import rank_scores
from mmrec_core.metrics import metric
from mmrec_core.types import Ranking, blocks

USERS, ITEMS, ROWS, WIDTH, K = 6_040, 3_706, 1_000_209, 64, 10
NAMES = ("ndcg@10", "recall@10", "precision@10", "hr@10")


def data(seed: int = 0) -> tuple[sp.csr_matrix, sp.csr_matrix, np.ndarray, np.ndarray]:
    """Train and test likes, and factors that know a little of them."""
    rng = np.random.default_rng(seed)
    popular = rng.zipf(1.3, ITEMS).astype(float) ** 0.4
    key = np.unique(rng.integers(0, USERS, ROWS * 2) * ITEMS + rng.choice(ITEMS, ROWS * 2, p=popular / popular.sum()))
    key = rng.permutation(key)[:ROWS]
    test = rng.random(len(key)) < 0.2
    make = lambda keys: sp.csr_matrix((np.ones(len(keys), np.float32), (keys // ITEMS, keys % ITEMS)), (USERS, ITEMS))
    users = rng.normal(size=(USERS, WIDTH)).astype(np.float32) * 0.1
    items = rng.normal(size=(ITEMS, WIDTH)).astype(np.float32) * 0.1
    users[:, 0], items[:, 0] = 1.0, np.log(popular)
    return make(key[~test]), make(key[test]), users, items


def ours(
    train: sp.csr_matrix, test: sp.csr_matrix, users: np.ndarray, items: np.ndarray, size: int = 256
) -> dict[str, float]:
    """The evaluation's own path."""
    u, v = torch.from_numpy(users), torch.from_numpy(items)
    buffer = torch.empty(size, len(items))
    parts = []
    for block in blocks(len(users), size):
        n = block.stop - block.start
        scores = torch.mm(u[block], v.T, out=buffer[:n])
        seen, liked = train[block], test[block]
        hidden = (
            torch.from_numpy(np.repeat(np.arange(n), np.diff(seen.indptr))),
            torch.from_numpy(seen.indices.astype(np.int64)),
        )
        wanted = (
            torch.from_numpy(np.repeat(np.arange(n), np.diff(liked.indptr))),
            torch.from_numpy(liked.indices.astype(np.int64)),
        )
        which, *places = rank_scores(scores, hidden, wanted, K)
        parts.append((which + test.indptr[block.start], *places))
    which, above, tied, tied_liked = (np.concatenate(p) for p in zip(*parts, strict=True))
    query = np.repeat(np.arange(len(users)), np.diff(test.indptr))
    ranking = Ranking(query, np.ones(len(query)), which, above, tied, tied_liked, len(items) - np.diff(train.indptr), K)
    has = ranking.n_relevant > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: float(metric(name).compute(ranking)[has].mean()) for name in NAMES}


def best_of(rounds: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds of the fastest round, and the last answer."""
    times, answer = [], None
    for _ in range(rounds):
        started = time.perf_counter()
        answer = work()
        times.append((time.perf_counter() - started) * 1e3)
    return min(times), answer


def main() -> None:
    """Measure and compare."""
    train, test, users, items = data()
    rows: dict[str, tuple[float, dict[str, float]]] = {}
    metric("ndcg@10")
    rows["mmrec"] = best_of(9, lambda: ours(train, test, users, items))

    import os

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.evaluation import ranking_metrics_at_k

    model = AlternatingLeastSquares(factors=WIDTH)  # its own ranking, over the given factors
    model.user_factors, model.item_factors = users, items
    spent, told = best_of(3, lambda: ranking_metrics_at_k(model, train, test, K=K, show_progress=False, num_threads=2))
    rows["implicit"] = (spent, {"ndcg@10": told["ndcg"], "implicit precision": told["precision"]})

    from ranx import Qrels, Run, evaluate

    scores = users @ items.T
    scores[train.nonzero()] = -np.inf
    top = np.argpartition(-scores, K, axis=1)[:, :K]
    lists = {
        str(u): dict(zip(map(str, top[u].tolist()), scores[u, top[u]].tolist(), strict=True))
        for u in range(USERS)
        if test.indptr[u + 1] > test.indptr[u]
    }
    relevant = {
        str(u): dict.fromkeys(map(str, test.indices[test.indptr[u] : test.indptr[u + 1]].tolist()), 1)
        for u in range(USERS)
        if str(u) in lists
    }
    asked = ["ndcg@10", "recall@10", "precision@10", "hit_rate@10"]
    spent, told = best_of(3, lambda: evaluate(Qrels(relevant), Run(lists), asked))
    rows["ranx"] = (
        spent,
        {
            "ndcg@10": told["ndcg@10"],
            "recall@10": told["recall@10"],
            "precision@10": told["precision@10"],
            "hr@10": told["hit_rate@10"],
        },
    )

    mine, answer = rows["mmrec"]
    print(f"{'':<10}{'ms':>9}{'ours / theirs':>16}{'largest difference':>22}")
    for name, (spent, found) in rows.items():
        gap = max(abs(found[m] - answer[m]) for m in NAMES if m in found)
        print(f"{name:<10}{spent:>9.1f}{mine / spent:>16.3f}{gap:>22.2e}")
    print(
        {m: round(v, 6) for m, v in answer.items()},
        {"implicit precision (= hits / min(k, liked) summed)": round(rows["implicit"][1]["implicit precision"], 6)},
    )


if __name__ == "__main__":
    main()
