"""Graph of similar items: each item's nearest neighbours by cosine similarity of content vectors, with weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mmrec_core.types import blocks

BLOCK = 1 << 24
"""Similarities computed at once."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of items ``[N]`` among the candidates."""

    items: Tensor
    """Item rows ``[N, k]``, the nearest first; 0 where there is no neighbour."""
    cosine: Tensor
    """Cosine similarities ``[N, k]``, negative ones as 0; 0 where there is no neighbour."""


@torch.no_grad()
def nearest(vectors: Tensor, queries: Tensor, candidates: Tensor, k: int) -> Neighbours:
    """Exact nearest neighbours by cosine similarity; an item that is a candidate is its own neighbour, as in LATTICE.

    Args:
        vectors: vectors of the catalog's items ``[I, W]``; zeros where an item has none.
        queries: vectors whose neighbours are searched ``[N, W]``; a query of zeros has no neighbours.
        candidates: mask of items that may be neighbours ``[I]``.
        k: number of neighbours.

    Returns:
        The neighbours, fewer than ``k`` (weight 0) where there are fewer candidates.
    """
    rows = torch.nonzero(candidates & vectors.any(1))[:, 0]
    items = torch.zeros(len(queries), k, dtype=torch.int64, device=vectors.device)
    cosine = torch.zeros(len(queries), k, device=vectors.device)
    own, among = F.normalize(queries.float(), dim=1), F.normalize(vectors[rows].float(), dim=1)
    found = min(k, len(rows))
    for part in blocks(len(queries), max(1, BLOCK // max(len(rows), 1))) if found else ():
        best = (own[part] @ among.T).topk(found, dim=1)
        items[part, :found], cosine[part, :found] = rows[best.indices], best.values.clamp(min=0)
    none = ~queries.any(1)
    items[none], cosine[none] = 0, 0.0
    return Neighbours(items, cosine)


def normalised(weights: Tensor, items: Tensor, degree: Tensor, own: Tensor) -> Tensor:
    """Symmetrically normalised weights ``w_ij / √(d_i d_j)``, ``[N, k]``; 0 where a degree is 0.

    Args:
        weights: weights ``[N, k]``.
        items: item rows of the neighbours ``[N, k]``.
        degree: sum of the weights of every item of the catalog ``[I]``.
        own: sum of the weights of each of the ``N`` items ``[N]``.
    """
    product = own[:, None] * degree[items]
    return torch.where(product > 0, weights * product.clamp(min=1e-12).rsqrt(), 0.0)


def sums(items: Tensor, weights: Tensor, table: Tensor) -> Tensor:
    """Weighted sums ``[N, d]`` of the neighbours' rows of a table ``[I, d]``; gradients reach weights and table."""
    with torch.autocast(table.device.type, enabled=False):  # embedding bags need one type for both
        return F.embedding_bag(items, table.float(), per_sample_weights=weights.float(), mode="sum")
