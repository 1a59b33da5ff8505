"""Sampling of training negatives: among items that occur in training, never among the user's own.

An item outside training must not be drawn: the model would learn from its content that it is disliked, and it would
learn which items are held out for evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.types import History, TrainSet


def unseen_items(train: TrainSet, user: Tensor, generator: torch.Generator, *, rated: bool = False) -> Tensor:
    """Sample one negative item for each user, uniformly among the training items that the user has not liked.

    A drawn item that the user has liked is drawn again, up to four times, so a few may remain.

    Args:
        train: the training rows.
        user: users, ``[N]``.
        generator: source of randomness.
        rated: sample among items that the user has not rated at all.

    Returns:
        Items ``[N]``.
    """
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
    """Sampler of negatives for the rows of a fold-in: ``n`` training items per row that are not in its user's history,
    drawn anew for each step.

    A row's negatives depend on its position in its user's history only, not on the other users of the batch.

    Args:
        model: the model that is folded in.
        user: users of the rows, sorted, ``[N]``.
        item: items of the rows, ``[N]``.
        n: negatives per row.
    """

    def __init__(self, model: GradientModel, user: Tensor, item: Tensor, n: int) -> None:
        self.pool = torch.nonzero(model.known_items[:-1].cpu())[:, 0]
        self.place = torch.arange(len(user)) - torch.searchsorted(user, user)
        self.shape = int(self.place.max()) + 1 if len(self.place) else 0, n
        self.row = torch.arange(len(user)).repeat_interleave(n)
        width = model.schema.n_items
        self.own, self.taken = user[self.row] * width, user * width + item

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Sampled negatives as rows and items, one entry per negative; items in the user's history are left out."""
        drawn, free = self.drawn(generator)
        return self.row[free], drawn[free]

    def drawn(self, *generators: torch.Generator) -> tuple[Tensor, Tensor]:
        """What each generator draws, concatenated: an item for each entry of :attr:`row`, and a mask of items that are
        not in the user's history."""
        films = [
            self.pool[torch.randint(len(self.pool), self.shape, generator=g)][self.place].flatten() for g in generators
        ]
        drawn = torch.cat(films)
        return drawn, ~torch.isin(self.own.repeat(len(films)) + drawn, self.taken)


class Pairwise(GradientModel):
    """Base of models with a pairwise loss: every liked item against ``negatives`` sampled ones (Rendle et al. 2009)."""

    config: Any

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Every liked pair (user, item) with its negatives ``[N, negatives]``."""
        positives, n = self.rows(train.positives), self.config.negatives
        drawn = unseen_items(train, positives["user"].repeat_interleave(n), self.generator(epoch, 2)).view(-1, n)
        return {"user": positives["user"], "item": positives["item"], "negative": drawn}

    def history_rows(self, histories: Sequence[History]) -> tuple[Batch, FoldNegatives]:
        """Likes of each history, and the sampler of their negatives."""
        liked = self.rows(self.as_train_set(histories).positives)
        return liked, FoldNegatives(self, liked["user"], liked["item"], self.config.negatives)

    def history_epoch(self, shared: tuple[Batch, FoldNegatives], step: int) -> Batch:
        """The likes with the negatives of one step."""
        liked, negatives = shared
        row, drawn = negatives.draw(self.generator(step, 2))
        return {"user": liked["user"][row], "item": liked["item"][row], "negative": drawn[:, None]}
