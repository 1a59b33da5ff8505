"""Embedding tables of categorical and multi-valued features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.types import Array, Field


class _RowLookup(torch.autograd.Function):
    """Rows ``[…, d]`` of a table; on one thread its backward pass adds up narrow rows 2.5 times faster than
    ``nn.Embedding``.

    On several threads the order of the sums would be random, so there ``nn.Embedding`` is used.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, at: Tensor, pad: int) -> Tensor:
        ctx.save_for_backward(at)
        ctx.shape, ctx.pad = table.shape, pad
        return F.embedding(at, table)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (at,) = ctx.saved_tensors
        found = gradient.new_zeros(ctx.shape)
        found.index_put_((at,), gradient, accumulate=True)
        found[ctx.pad] = 0.0
        return found, None, None


class FeatureTables(nn.Module):
    """Embeddings of all sparse features of one owner, in one table: codes ``[B, W]`` → vectors ``[B, F, d]``.

    Single-valued features come first. The vector of a multi-valued feature is the mean of its values' vectors. The
    vector of a missing value is zero until training sees a missing value.

    Args:
        fields: the features, ``categorical`` or ``multi``.
        dim: width ``d`` of the vectors.
        by_cardinality: give a feature with fewer values a narrower table, projected to ``dim``.
    """

    def __init__(self, fields: Sequence[Field], dim: int, by_cardinality: bool) -> None:
        super().__init__()
        self.single = [f for f in fields if f.kind == "categorical"]
        self.multi = [f for f in fields if f.kind == "multi"]
        self.fields = [*self.single, *self.multi]
        sizes = [f.size for f in self.fields]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64) if sizes else np.zeros(0, np.int64)
        self.pad, self.dim = sum(sizes), dim
        self.widths = [min(dim, max(2, round(6 * n**0.25))) for n in sizes] if by_cardinality else None
        if self.widths is None:
            self.table = nn.Embedding(self.pad + 1, dim, padding_idx=self.pad)
        else:
            self.parts = nn.ModuleList(nn.Embedding(n, w) for n, w in zip(sizes, self.widths, strict=True))
            self.lift = nn.ModuleList(nn.Linear(w, dim, bias=False) for w in self.widths)

    def pack(self, codes: Sequence[Array]) -> Array:
        """Rows of the common table for each feature's codes (``[n]`` or ``[n, width]``): int64 ``[n, W]``."""
        columns = []
        for field, offset, own in zip(self.fields, self.offsets, codes, strict=True):
            own = np.asarray(own, np.int64)
            columns.append(
                (own + offset)[:, None] if field.kind == "categorical" else np.where(own > 0, own + offset, self.pad)
            )
        return np.concatenate(columns, 1)

    def forward(self, codes: Tensor) -> Tensor:
        """Embed rows ``[B, W]`` of :meth:`pack`: ``[B, F, d]``."""
        if self.widths is None:
            one_thread = codes.device.type == "cpu" and torch.get_num_threads() == 1
            found = _RowLookup.apply(self.table.weight, codes, self.pad) if one_thread else self.table(codes)
        else:
            found, at = codes.new_zeros(*codes.shape, self.dim, dtype=torch.float32), 0
            for field, offset, part, lift in zip(
                self.fields, self.offsets.tolist(), self.parts, self.lift, strict=True
            ):
                columns = slice(at, at := at + (1 if field.kind == "categorical" else field.width))
                exists = (codes[:, columns] != self.pad)[..., None]
                found[:, columns] = lift(part(torch.where(exists[..., 0], codes[:, columns] - offset, 0))) * exists
        n = len(self.single)
        if not self.multi:
            return found
        vectors, at = [found[:, :n]], n
        for field in self.multi:
            count = (codes[:, at : at + field.width] != self.pad).sum(1).clamp(min=1)
            vectors.append((found[:, at : at + field.width].sum(1) / count[:, None])[:, None])
            at += field.width
        return torch.cat(vectors, 1)

    def row_names(self, prefix: str, owner: str) -> dict[str, tuple[str, Array]]:
        """Names of the tables' rows, as in :meth:`mmrec_core.models._base.Model.row_names`: values by name, where the
        feature has a vocabulary."""
        labels = [
            [f"\0{f.name}", *([f"{f.name}={v}" for v in f.vocabulary] or [f"\0{f.name}#{c}" for c in range(f.codes)])]
            for f in self.fields
        ]
        if self.widths is None:
            return {f"{prefix}.table.weight": (owner, np.array([*sum(labels, []), "\0pad"], dtype=object))}
        return {f"{prefix}.parts.{at}.weight": (owner, np.array(own, dtype=object)) for at, own in enumerate(labels)}
