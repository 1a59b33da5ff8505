"""Sparse matrix of the training interactions: sums of embeddings over a user's items and over an item's users.

A training row is part of its own user's history and of its own item's raters; a row that is evaluated never is. Models
that use these sums therefore subtract the row's own part: with it, they would learn to read their own target.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.types import Interactions


class _Product(torch.autograd.Function):
    """``A @ x`` for a fixed ``A`` of ones (repeated where rows repeat); the backward pass uses ``Aᵀ``, given as an
    argument."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.transposed = transposed
        return _sums(matrix, x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:
        return None, None, _sums(ctx.transposed, gradient)


def _sums(matrix: Tensor, x: Tensor) -> Tensor:
    """``matrix @ x`` for a matrix of ones. On a CPU it is computed by ``embedding_bag``, 2.7 times faster than the
    sparse product."""
    if x.device.type != "cpu":
        return matrix @ x
    return F.embedding_bag(
        matrix.col_indices(), x.contiguous(), matrix.crow_indices(), mode="sum", include_last_offset=True
    )


class InteractionMatrix(nn.Module):
    """Training rows as a sparse matrix of users by items, saved with the model.

    Args:
        n_users: number of users; one more row stands for unknown users, and is empty.
        n_items: number of items; one more column stands for unknown items, and is empty.
    """

    def __init__(self, n_users: int, n_items: int) -> None:
        super().__init__()
        self.shape = (n_users + 1, n_items + 1)
        self.start: Tensor
        self.items: Tensor
        self.user_count: Tensor
        self.item_count: Tensor
        self.register_buffer("start", torch.zeros(n_users + 2, dtype=torch.int64))
        self.register_buffer("items", torch.zeros(0, dtype=torch.int32))
        for owner, n in (("user", n_users), ("item", n_items)):
            self.register_buffer(f"{owner}_count", torch.zeros(n + 1))
        self._matrices: tuple[Tensor, Tensor, Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The attributes without the sparse matrices, which cannot be copied and are built again when needed."""
        return {**self.__dict__, "_matrices": None}

    def _apply(self, fn: Any, recurse: bool = True) -> InteractionMatrix:
        """Clear the matrices, because they would stay on the old device."""
        self._matrices = None
        moved: InteractionMatrix = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return moved

    def set_rows(self, rows: Interactions) -> None:
        """Store the training rows."""
        user, item = np.asarray(rows.need("user"), np.int64), np.asarray(rows.need("item"), np.int64)
        device = self.start.device
        order = np.lexsort((item, user))
        self.start = torch.from_numpy(np.searchsorted(user[order], np.arange(self.shape[0] + 1))).to(device)
        self.items = torch.from_numpy(item[order].astype(np.int32)).to(device)
        for owner, column, n in (("user", user, self.shape[0]), ("item", item, self.shape[1])):
            setattr(self, f"{owner}_count", torch.from_numpy(np.bincount(column, minlength=n)).float().to(device))

    def _both(self) -> tuple[Tensor, Tensor]:
        """The matrix and its transpose as CSR tensors, built when first needed and when the rows have changed."""
        built = self._matrices
        if built is None or built[0] is not self.items:
            warnings.filterwarnings("ignore", "Sparse (invariant checks|CSR tensor support)")
            rows = torch.repeat_interleave(torch.arange(self.shape[0], device=self.start.device), self.start.diff())
            ones = torch.ones(len(self.items), device=self.start.device)
            matrix = torch.sparse_csr_tensor(self.start, self.items.long(), ones, self.shape)
            order = torch.argsort(self.items, stable=True)
            counts = torch.bincount(self.items, minlength=self.shape[1])
            start = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
            transposed = torch.sparse_csr_tensor(start, rows[order], ones, (self.shape[1], self.shape[0]))
            built = self._matrices = (self.items, matrix, transposed)
        return built[1], built[2]

    @staticmethod
    def _product(matrix: Tensor, transposed: Tensor, table: Tensor) -> Tensor:
        with torch.autocast(table.device.type, enabled=False):  # sparse products support float32 only
            found: Tensor = _Product.apply(matrix, transposed, table.float())
        return found

    def user_sums(self, table: Tensor) -> Tensor:
        """For every user, the sum of the rows of a table ``[I + 1, d]`` over the items they rated: ``[U + 1, d]``."""
        matrix, transposed = self._both()
        return self._product(matrix, transposed, table)

    def item_sums(self, table: Tensor) -> Tensor:
        """For every item, the sum of the rows of a table ``[U + 1, d]`` over the users who rated it: ``[I + 1, d]``."""
        matrix, transposed = self._both()
        return self._product(transposed, matrix, table)
