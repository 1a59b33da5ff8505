"""What a scorer is asked about, and what it answers: queries, histories, states of users and items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
from mmrec_core.types.fields import Array, Head, Interactions


@dataclass(frozen=True)
class Query:
    """Who is asked about, and when: ``user`` ``[B]``, ``at`` ``[B]`` seconds, ``row`` for tables without users."""

    user: Array
    at: Array | None = None
    row: Array | None = None

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: slice | Array) -> Query:
        pick: Callable[[Array | None], Array | None] = lambda column: None if column is None else column[rows]
        return Query(self.user[rows], pick(self.at), pick(self.row))


@dataclass(frozen=True)
class History:
    """What a user never seen in training has told us, in the order given."""

    items: Array
    """int64 ``[n]`` item rows."""
    ratings: Array | None = None
    """float32 ``[n]`` on the dataset's scale."""
    times: Array | None = None
    """int64 ``[n]`` seconds."""
    side: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)


Source = Literal["learned", "folded", "fallback"]


@dataclass(frozen=True)
class UserState:
    """What a model makes of users: tensors ``[B, …]`` that stand in for its own user rows, and where each comes from.

    ``learned``: fitted in training; ``folded``: made from a history without retraining; ``fallback``: the model knows
    nothing about this user, so everyone in that position gets the same answer, and a page must say so.
    """

    tensors: Mapping[str, torch.Tensor]
    source: tuple[Source, ...]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: slice) -> UserState:
        return UserState({name: tensor[rows] for name, tensor in self.tensors.items()}, self.source[rows])


@dataclass(frozen=True)
class ItemState:
    """What a model makes of items it never saw: tensors ``[B, …]`` in place of its item rows, and where they come from."""

    tensors: Mapping[str, torch.Tensor]
    source: tuple[Source, ...]


class Scorer(Protocol):
    """Anything evaluation can judge: a model, an oracle of a generated world, a blend."""

    def scorer_heads(self) -> tuple[Head, ...]:
        """What the columns of :meth:`score_rows` mean."""

    def score_rows(self, rows: Interactions) -> torch.Tensor:
        """``[N, H]`` scores of events; rating heads on the dataset's scale, click heads as log-odds."""

    def score_all(self, query: Query) -> torch.Tensor:
        """``[B, I]`` ranking scores of every item for every query."""
