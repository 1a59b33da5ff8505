"""Dot products of selected rows of two tables, computed without copying the rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mmrec_core.types import blocks

BLOCK = 1 << 18
"""Numbers gathered at once, so that they fit into the processor's cache."""


def dots(left: Tensor, right: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Dot products ``left[row] · right[column]``.

    On a CPU the backward pass takes most of the time, because it adds ``B · n`` rows to their places one by one. Here
    each row of a gradient is one weighted bag (``embedding_bag``) of the other table's rows in a fixed order, so the
    sums are reproducible.

    Args:
        left: a table, ``[L, d]``.
        right: a table, ``[R, d]``.
        row: rows of ``left``, ``[B]``.
        column: rows of ``right``, ``[B, n]``.

    Returns:
        ``[B, n]``.
    """
    if left.device.type != "cpu":
        return torch.einsum("bd,bnd->bn", left[row], right[column])
    with torch.autocast("cpu", enabled=False):  # embedding bags do not support half precision
        wide = torch.promote_types(left.dtype, torch.float32)
        found: Tensor = _Dots.apply(left.to(wide), right.to(wide), row, column)
    return found


def sizes_of(table: Tensor, rows: Tensor) -> Tensor:
    """Squared norms of ``rows`` of a table; each row's norm is computed once, however often it occurs."""
    return F.embedding(rows, table.square().sum(1, keepdim=True))[..., 0]


def side_by_side(first: Tensor, others: Tensor) -> Tensor:
    """``[B]`` and ``[B, n]`` concatenated to ``[B, 1 + n]``."""
    return torch.cat([first[:, None], others], 1)


class _Dots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, row: Tensor, column: Tensor) -> Tensor:
        ctx.save_for_backward(left, right, row, column)
        found = left.new_empty(column.shape)
        for part in blocks(len(row), max(BLOCK // max(column.shape[1] * left.shape[1], 1), 1)):
            torch.sum(left[row[part], None] * right[column[part]], 2, out=found[part])
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        left, right, row, column = ctx.saved_tensors
        weight, to, of = gradient.flatten(), row.repeat_interleave(column.shape[1]), column.flatten()
        needs = ctx.needs_input_grad
        return (
            _bags(len(left), to, right, of, weight) if needs[0] else None,
            _bags(len(right), of, left, to, weight) if needs[1] else None,
            None,
            None,
        )


def _bags(n: int, to: Tensor, table: Tensor, of: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of rows of a table.

    Args:
        n: number of sums.
        to: the sum that each entry is added to, ``[K]``.
        table: the table, ``[R, d]``.
        of: the row of each entry, ``[K]``.
        weight: the weight of each entry, ``[K]``.

    Returns:
        ``[n, d]``.
    """
    order = torch.argsort(to, stable=True)
    start = torch.cat([to.new_zeros(1), torch.bincount(to, minlength=n).cumsum(0)])
    return F.embedding_bag(
        of[order], table, start, mode="sum", include_last_offset=True, per_sample_weights=weight[order]
    )
