"""Exact ranks of relevant items among candidates, with ties counted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmrec_core.types import Array, Ranking, blocks

LOWEST = -3.0e38
"""Score of masked candidates; a model's own −inf is raised to just above it."""


def rank_scores(
    scores: Tensor, hidden: tuple[Tensor, Tensor] | None, liked: tuple[Tensor, Tensor], cut: int | None
) -> tuple[Array, Array, Array, Array]:
    """Exact ranks of relevant items among candidates, with ties; computed on the device of the scores.

    Args:
        scores: ``[B, I]``, changed in place.
        hidden: rows and columns of items that are no candidates.
        liked: rows (sorted) and columns of relevant items ``[P]``.
        cut: only ranks up to here are needed; ``None``: all.

    Returns:
        Indices into ``liked`` of the items reported, and for each how many score higher, how many score the same, and
        how many of those are relevant.
    """
    if scores.dtype not in (torch.float32, torch.float64):
        scores = scores.float()
    device = scores.device
    if hidden is not None:
        scores[hidden[0].to(device), hidden[1].to(device)] = LOWEST
    row, column = (index.to(device) for index in liked)
    n, width = scores.shape
    whole = torch.ones(n, dtype=torch.bool, device=device)
    reported: list[tuple[Array, Array, Array, Array]] = []
    if cut is not None and width > cut + 1:
        best, at = largest(scores, cut + 1)
        whole = (best[:, 1:] == best[:, :-1]).any(1)  # a tie within or across the cut: count it in full below
        key, entry = row * width + column, torch.arange(len(row), device=device)
        if bool((key[1:] < key[:-1]).any()):
            key, entry = torch.sort(key)
        top_key = at[:, :cut] + torch.arange(0, n * width, width, device=device)[:, None]
        found = torch.searchsorted(key, top_key).clamp_(max=max(len(key) - 1, 0))
        hit = (key[found] == top_key) & ~whole[:, None] if len(key) else torch.zeros_like(top_key, dtype=torch.bool)
        r, position = torch.nonzero(hit, as_tuple=True)
        which = entry[found[r, position]].cpu().numpy()
        ones = np.ones(len(which), np.int64)
        reported.append((which, position.cpu().numpy(), ones, ones))
    if bool(whole.any()):
        reported.append(_rank_whole(scores, row, column, whole))
    which, above, tied, tied_liked = (np.concatenate(parts) for parts in zip(*reported, strict=True))
    order = np.argsort(which, kind="stable")
    return which[order], above[order], tied[order], tied_liked[order]


CHUNK = 64
"""Columns in a chunk of :func:`largest`."""


def largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest values of each row and their columns, ``[B, k]`` each, as ``torch.topk``.

    On wide rows it takes half the time of ``torch.topk``: it searches only the ``k`` chunks with the largest maxima.
    """
    n, width = scores.shape
    whole = width // CHUNK
    if whole < 4 * k or not scores.is_contiguous():
        return torch.topk(scores, k, dim=1)
    inside = scores[:, : whole * CHUNK].view(n, whole, CHUNK)
    chunk = inside.amax(2).topk(k, dim=1, sorted=False).indices
    first = chunk * CHUNK + torch.arange(0, n * width, width, device=scores.device)[:, None]
    windows = scores.view(-1).unfold(0, CHUNK, 1)  # a view; row i is the chunk that starts at element i
    found = torch.cat([windows.index_select(0, first.view(-1)).view(n, -1), scores[:, whole * CHUNK :]], 1)
    best, at = found.topk(k, dim=1)
    column = chunk.gather(1, (at // CHUNK).clamp_(max=k - 1)) * CHUNK + at % CHUNK
    return best, torch.where(at < k * CHUNK, column, at + (whole - k) * CHUNK)


AT_ONCE = 1 << 24
"""Scores compared at once by torch."""
FEW = 48
"""With up to this many relevant items in a row each is compared with all candidates; with more the row is sorted once.
"""


def _rank_whole(scores: Tensor, row: Tensor, column: Tensor, wanted: Tensor) -> tuple[Array, Array, Array, Array]:
    """Exact ranks in the chosen rows: by counting if rows have few relevant items, else by sorting.

    Args:
        scores: ``[B, I]``.
        row: row of each relevant item ``[P]``, sorted.
        column: its column ``[P]``.
        wanted: bool ``[B]``: which rows.

    Returns:
        As :func:`rank_scores`.
    """
    which = torch.nonzero(wanted[row], as_tuple=True)[0]
    r, c = row[which], column[which]
    new = torch.cumsum(wanted.long(), 0) - 1
    value = scores[r, c]
    start = torch.searchsorted(r, r)
    position = torch.arange(len(r), device=r.device) - start
    width = int(position.max()) + 1 if len(r) else 0
    relevant = torch.full((int(wanted.sum()), width), torch.inf, dtype=scores.dtype, device=r.device)
    relevant[new[r], position] = value
    above, tied = _counted(scores, r, value) if width <= FEW else _sorted(scores[wanted], relevant, new[r], position)
    ordered = torch.sort(relevant, dim=1).values
    liked_below = torch.searchsorted(ordered, relevant)[new[r], position]
    liked_upto = torch.searchsorted(ordered, relevant, right=True)[new[r], position]
    return which.cpu().numpy(), above, tied, (liked_upto - liked_below).cpu().numpy()


def _counted(scores: Tensor, row: Tensor, value: Tensor) -> tuple[Array, Array]:
    """How many scores of row ``row [N]`` of ``scores [B, I]`` are above ``value [N]``, and how many are equal to it.

    On the CPU numpy's ``count_nonzero`` is seven times faster than a sum of booleans in torch.
    """
    if scores.device.type != "cpu":
        return _counted_by_torch(scores, row, value)
    table, rows, values = scores.numpy(), row.numpy(), value.numpy()
    above, tied = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    for at, (index, own) in enumerate(zip(rows, values, strict=True)):
        above[at], tied[at] = np.count_nonzero(table[index] > own), np.count_nonzero(table[index] == own)
    return above, tied


def _counted_by_torch(scores: Tensor, row: Tensor, value: Tensor) -> tuple[Array, Array]:
    found = torch.empty(2, len(row), dtype=torch.int64, device=row.device)
    for part in blocks(len(row), max(1, AT_ONCE // scores.shape[1])):
        others, own = scores[row[part]], value[part, None]
        found[0, part], found[1, part] = (others > own).sum(1), (others == own).sum(1)
    above, tied = found.cpu().numpy()
    return above, tied


def _sorted(table: Tensor, relevant: Tensor, row: Tensor, position: Tensor) -> tuple[Array, Array]:
    """As :func:`_counted`, by sorting.

    Args:
        table: scores ``[R, I]``.
        relevant: scores of relevant items ``[R, width]``, filled up with infinity.
        row: row of each relevant item.
        position: its column in ``relevant``.

    Returns:
        How many scores are above, and how many are equal.
    """
    ordered = torch.sort(table, dim=1).values
    below = torch.searchsorted(ordered, relevant)[row, position]
    upto = torch.searchsorted(ordered, relevant, right=True)[row, position]
    return (table.shape[1] - upto).cpu().numpy(), (upto - below).cpu().numpy()


def only_relevant(ranking: Ranking, keep: Array) -> Ranking:
    """The ranking with only some of the relevant items counted as relevant; the others stay candidates."""
    inside = keep[ranking.entry]
    block = np.stack([ranking.query, ranking.above], 1)
    _, at = np.unique(block, axis=0, return_inverse=True)
    tied_kept = np.bincount(at.ravel(), weights=inside)[at.ravel()].astype(np.int64)
    return Ranking(
        relevant_query=ranking.relevant_query[keep],
        relevant_gain=ranking.relevant_gain[keep],
        entry=(np.cumsum(keep) - 1)[ranking.entry[inside]],
        above=ranking.above[inside],
        tied=ranking.tied[inside],
        tied_relevant=tied_kept[inside],
        n_candidates=ranking.n_candidates,
        cut=ranking.cut,
    )
