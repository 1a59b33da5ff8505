"""Base of item-item models: a user is the set of items they liked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from mmrec_core.models._base import Model
from mmrec_core.types import History, Interactions, Schema, TrainSet, UserState


class HistoryModel(Model):
    """Base of item-item models. A user's state is their row ``[I]`` of the matrix of liked items.

    A new user's row is built from the history; nothing is learned. For a user who has liked nothing, scores are the
    training popularity, and the source of the state is ``fallback``.
    """

    family: ClassVar[str] = "item-item"

    def __init__(self, config: Any, schema: Schema, side: Any = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.row_start: Tensor
        self.row_items: Tensor
        self.popularity: Tensor
        self.register_buffer("row_start", torch.zeros(schema.n_users + 1, dtype=torch.int64))
        self.register_buffer("row_items", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("popularity", torch.zeros(schema.n_items))

    def remember(self, train: TrainSet) -> sp.csr_matrix:
        """Store every user's liked items; returns them as a matrix, float32 ``[U, I]``."""
        matrix = liked_matrix(train.positives, self.schema)
        self.row_start = torch.from_numpy(matrix.indptr.astype(np.int64))
        self.row_items = torch.from_numpy(matrix.indices.astype(np.int32))
        self.popularity = torch.from_numpy(np.asarray(matrix.sum(0)).ravel().astype(np.float32))
        return matrix

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Rows ``[B, I]`` of the matrix of liked items; rows of unknown users are empty."""
        known = torch.where(self.known_users[user], user, 0)
        start, end = self.row_start[known], self.row_start[known + 1]
        size = torch.where(self.known_users[user], end - start, 0)
        row = torch.repeat_interleave(torch.arange(len(user), device=user.device), size)
        offset = torch.arange(len(row), device=user.device) - torch.repeat_interleave(size.cumsum(0) - size, size)
        liked = torch.zeros(len(user), self.schema.n_items, device=user.device)
        liked[row, self.row_items[start[row] + offset].long()] = 1.0
        return {"liked": liked}

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: the items of each history rated at least ``relevant_from`` (all, where there are no
        ratings)."""
        liked = torch.zeros(len(histories), self.schema.n_items)
        relevance_threshold = self.schema.relevant_from
        for row, history in enumerate(histories):
            items = np.asarray(history.items, np.int64)
            if relevance_threshold is not None and history.ratings is not None:
                items = items[np.asarray(history.ratings) >= relevance_threshold]
            liked[row, torch.from_numpy(items)] = 1.0
        liked[:, ~self.known_items[:-1].cpu()] = 0.0  # an item outside training has no similarities
        source = tuple("folded" if any_liked else "fallback" for any_liked in (liked.sum(1) > 0).tolist())
        return UserState({"liked": liked.to(self.popularity.device)}, source)  # type: ignore[arg-type]

    def affinity(self, liked: Tensor) -> Tensor:
        """Scores ``[B, I]`` from rows ``[B, I]`` of liked items."""
        raise NotImplementedError

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]`` by :meth:`affinity`; by popularity for users who have liked nothing."""
        liked = state["liked"]
        scores = self.affinity(liked)
        empty = liked.sum(1) == 0
        if bool(empty.any()):
            scores[empty] = (
                1e-6 * self.popularity / (self.popularity.max() + 1)
            )  # ranks by popularity, far below any affinity
        return scores if items is None else scores[:, items]


def liked_matrix(positives: Interactions, schema: Schema) -> sp.csr_matrix:
    """Matrix of liked items: 1 where a user liked an item, float32 ``[U, I]``; repeated likes count once."""
    user, item = np.asarray(positives.need("user")), np.asarray(positives.need("item"))
    matrix = sp.csr_matrix((np.ones(len(user), np.float32), (user, item)), shape=(schema.n_users, schema.n_items))
    matrix.data[:] = 1.0
    return matrix
