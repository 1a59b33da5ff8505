"""Inputs and outputs of scorers: queries, histories, states of users and items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
from mmrec_core.types.fields import Array, Head, Interactions


@dataclass(frozen=True)
class Query:
    """A batch of scoring queries: user rows and query times in seconds, ``[B]`` each.

    Tables without users are queried by event ``row`` ``[B]``.
    """

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
    """The ratings of a new user (for fold-in), in the order given."""

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
    """User representations of a model: tensors ``[B, …]`` in place of its user rows, and the source of each.

    ``learned``: fitted in training; ``folded``: computed from a history without retraining (fold-in); ``fallback``: the
    model knows nothing about this user, so all such users get the same scores, and a page must say so.
    """

    tensors: Mapping[str, torch.Tensor]
    source: tuple[Source, ...]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: slice) -> UserState:
        return UserState({name: tensor[rows] for name, tensor in self.tensors.items()}, self.source[rows])


@dataclass(frozen=True)
class ItemState:
    """Representations of new items: tensors ``[B, …]`` in place of the model's item rows, and the source of each."""

    tensors: Mapping[str, torch.Tensor]
    source: tuple[Source, ...]


class Scorer(Protocol):
    """Anything that can be evaluated: a model, an oracle of a generated dataset, a blend."""

    def scorer_heads(self) -> tuple[Head, ...]:
        """The heads, in the order of the columns of :meth:`score_rows`."""

    def score_rows(self, rows: Interactions) -> torch.Tensor:
        """``[N, H]`` scores of events; rating heads on the dataset's scale, click heads as log-odds."""

    def score_all(self, query: Query) -> torch.Tensor:
        """``[B, I]`` ranking scores of every item for every query."""
