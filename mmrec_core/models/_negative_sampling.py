"""Films that a liked one is compared with: of those that training has met, never of the user's own.

A film outside training must not be drawn: it would be taught as disliked by what it shows and tells, and which films
are held out would be known to what is judged on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.types import History, TrainSet


def unseen_items(train: TrainSet, user: Tensor, generator: torch.Generator, *, rated: bool = False) -> Tensor:
    """One film ``[N]`` for each user ``[N]``, uniform among training's films that the user has not liked (``rated``:
    not rated at all); a few collisions survive four redraws."""
    taken, pool = torch.from_numpy(train.seen_pairs if rated else train.positive_pairs), torch.from_numpy(train.items)
    item = pool[torch.randint(len(pool), user.shape, generator=generator)]
    for _ in range(4):
        key = user * train.schema.n_items + item
        place = torch.searchsorted(taken, key).clamp(max=max(len(taken) - 1, 0))
        clash = taken[place] == key if len(taken) else torch.zeros_like(user, dtype=torch.bool)
        n = int(clash.sum())
        if not n:
            break
        item[clash] = pool[torch.randint(len(pool), (n,), generator=generator)]
    return item


class FoldNegatives:
    """For each row ``[N]`` of sorted users ``n`` films of training they have no row with; drawn anew for each step of a
    fold-in.

    What is drawn depends on a row's place among its user's, not on who else is asked about.
    """

    def __init__(self, model: GradientModel, user: Tensor, item: Tensor, n: int) -> None:
        self.pool = torch.nonzero(model.known_items[:-1].cpu())[:, 0]
        self.place = torch.arange(len(user)) - torch.searchsorted(user, user)
        self.shape = int(self.place.max()) + 1 if len(self.place) else 0, n
        self.row = torch.arange(len(user)).repeat_interleave(n)
        width = model.schema.n_items
        self.own, self.taken = user[self.row] * width, user * width + item

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which row, which film, as many as found."""
        drawn, free = self.drawn(generator)
        return self.row[free], drawn[free]

    def drawn(self, *generators: torch.Generator) -> tuple[Tensor, Tensor]:
        """What each generator draws, laid end to end, a film for each of :attr:`row`; and whether it is free to be
        compared with."""
        films = [
            self.pool[torch.randint(len(self.pool), self.shape, generator=g)][self.place].flatten() for g in generators
        ]
        drawn = torch.cat(films)
        return drawn, ~torch.isin(self.own.repeat(len(films)) + drawn, self.taken)


class Pairwise(GradientModel):
    """Base of models that compare every liked film with ``negatives`` others (Rendle et al. 2009)."""

    config: Any

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Every liked (user, item) with its negatives ``[N, negatives]``."""
        positives, n = self.rows(train.positives), self.config.negatives
        drawn = unseen_items(train, positives["user"].repeat_interleave(n), self.generator(epoch, 2)).view(-1, n)
        return {"user": positives["user"], "item": positives["item"], "negative": drawn}

    def history_rows(self, histories: Sequence[History]) -> tuple[Batch, FoldNegatives]:
        """Likes of each history, and what draws their negatives by place, so that nobody's depend on who else is asked
        about."""
        liked = self.rows(self.as_train_set(histories).positives)
        return liked, FoldNegatives(self, liked["user"], liked["item"], self.config.negatives)

    def history_epoch(self, info: tuple[Batch, FoldNegatives], step: int) -> Batch:
        """The likes with negatives of their own for each step."""
        liked, negatives = info
        row, drawn = negatives.draw(self.generator(step, 2))
        return {"user": liked["user"][row], "item": liked["item"][row], "negative": drawn[:, None]}
