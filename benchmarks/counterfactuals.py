"""Fold-in without a rating compared with retraining without it.

``python -m benchmarks.counterfactuals [DATASET] [--models ease,itemknn,mf,bpr] [--cases 20] [--seed 0]``: for seeded
people, one of the ten films a model recommends them from their history, and the rating that holds it up most. Printed
for each model: in how many cases both ways agree on the direction, the rank correlation of the two changes of score
over the cases, and by how many places the film falls in either (medians). Retraining uses the same seed, so what
differs is the missing rating and what it does to everybody's weights.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from scipy.stats import spearmanr

from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.evaluation.ranker import history_of
from mmrec_core.serving import counterfactuals as cf
from mmrec_core.training.fit import fit
from mmrec_core.types import Query

LONGEST = 60


def main() -> None:
    """Train, edit, train again and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("dataset", nargs="?", default="demo")
    parser.add_argument("--models", default="ease,itemknn,mf,bpr")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    dataset = preparation.open_dataset(args.dataset)
    split = make_split(dataset, "user-temporal")
    user = np.asarray(dataset.interactions.need("user"))
    people = np.random.default_rng(args.seed).permutation(np.unique(user[split.train]))
    print(f"{dataset.name}, user-temporal, seed {args.seed}, {args.cases} cases a model\n")
    print("| model | same direction | rank correlation | falls, folded in | falls, retrained |\n|---|---|---|---|---|")
    for name in args.models.split(","):
        model = fit(name, dataset, split, seed=args.seed).model
        folded, trained = [], []
        for person in people:
            rows = split.train[user[split.train] == person]
            if not 5 <= len(rows) <= LONGEST:
                continue
            history = history_of(dataset.interactions, rows)
            base = cf.scores_of(model, [history])[0]
            allowed = base.copy()
            allowed[history.items] = -np.inf
            film = int(np.random.default_rng([args.seed, person]).choice(np.argsort(-allowed)[:10]))
            answers = cf.leave_one_out(model, history, film)
            at = int(np.argmax([abs(answers[0].score - a.score) for a in answers[1:]]))
            without = fit(
                name, dataset, replace(split, train=np.setdiff1d(split.train, rows[at])), seed=args.seed
            ).model
            asked = Query(np.array([person]))
            before, after = (
                cf.score_and_rank(m.score_all(asked)[0].double().numpy(), film, history.items) for m in (model, without)
            )
            folded.append((answers[0].score - answers[1 + at].score, answers[1 + at].rank - answers[0].rank))
            trained.append((before[0] - after[0], after[1] - before[1]))
            if len(folded) == args.cases:
                break
        a, b = np.array(folded), np.array(trained)
        same = int((np.sign(a[:, 0]) == np.sign(b[:, 0])).sum())
        print(
            f"| `{name}` | {same} of {len(a)} | {spearmanr(a[:, 0], b[:, 0]).statistic:.2f} | "
            f"{np.median(a[:, 1]):+.1f} | {np.median(b[:, 1]):+.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
