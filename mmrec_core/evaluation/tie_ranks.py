"""Where liked items stand among candidates: exact, ties counted, fast."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmrec_core.types import Array, Ranking, blocks

LOWEST = -3.0e38
"""Masked candidates score this; a model's own −inf is lifted to just above it."""


def rank_scores(
    scores: Tensor, hidden: tuple[Tensor, Tensor] | None, liked: tuple[Tensor, Tensor], cut: int | None
) -> tuple[Array, Array, Array, Array]:
    """Where liked items stand among candidates, exactly, ties counted; found on the device where the scores lie.

    Args:
        scores: ``[B, I]``, changed in place.
        hidden: rows and columns of items that are no candidates.
        liked: rows (sorted) and columns of liked items ``[P]``.
        cut: only ranks up to here are wanted; ``None``: all.

    Returns:
        Indices into ``liked`` of the items reported, and for each how many score higher, how many score the same, and
        how many of those are liked.
    """
    if scores.dtype not in (torch.float32, torch.float64):
        scores = scores.float()
    here = scores.device
    if hidden is not None:
        scores[hidden[0].to(here), hidden[1].to(here)] = LOWEST
    row, column = (told.to(here) for told in liked)
    n, width = scores.shape
    whole = torch.ones(n, dtype=torch.bool, device=here)
    reported: list[tuple[Array, Array, Array, Array]] = []
    if cut is not None and width > cut + 1:
        best, at = largest(scores, cut + 1)
        whole = (best[:, 1:] == best[:, :-1]).any(1)  # a tie within or across the cut: count it in full below
        key, entry = row * width + column, torch.arange(len(row), device=here)
        if bool((key[1:] < key[:-1]).any()):
            key, entry = torch.sort(key)
        asked = at[:, :cut] + torch.arange(0, n * width, width, device=here)[:, None]
        found = torch.searchsorted(key, asked).clamp_(max=max(len(key) - 1, 0))
        hit = (key[found] == asked) & ~whole[:, None] if len(key) else torch.zeros_like(asked, dtype=torch.bool)
        r, place = torch.nonzero(hit, as_tuple=True)
        which = entry[found[r, place]].cpu().numpy()
        ones = np.ones(len(which), np.int64)
        reported.append((which, place.cpu().numpy(), ones, ones))
    if bool(whole.any()):
        reported.append(_rank_whole(scores, row, column, whole))
    which, above, tied, tied_liked = (np.concatenate(parts) for parts in zip(*reported, strict=True))
    order = np.argsort(which, kind="stable")
    return which[order], above[order], tied[order], tied_liked[order]


CHUNK = 64


def largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest values of each row and their columns, ``[B, k]`` each, as ``torch.topk`` gives them; on wide rows in
    half its time, because only the ``k`` chunks of a row with the largest maxima need to be looked into."""
    n, width = scores.shape
    whole = width // CHUNK
    if whole < 4 * k or not scores.is_contiguous():
        return torch.topk(scores, k, dim=1)
    inside = scores[:, : whole * CHUNK].view(n, whole, CHUNK)
    chunk = inside.amax(2).topk(k, dim=1, sorted=False).indices
    first = chunk * CHUNK + torch.arange(0, n * width, width, device=scores.device)[:, None]
    windows = scores.view(-1).unfold(0, CHUNK, 1)  # a view: the row of a chunk's first element is the chunk
    found = torch.cat([windows.index_select(0, first.view(-1)).view(n, -1), scores[:, whole * CHUNK :]], 1)
    best, at = found.topk(k, dim=1)
    column = chunk.gather(1, (at // CHUNK).clamp_(max=k - 1)) * CHUNK + at % CHUNK
    return best, torch.where(at < k * CHUNK, column, at + (whole - k) * CHUNK)


AT_ONCE = 1 << 24
"""Scores compared at a time where not numpy does it."""
FEW = 48
"""Liked items of one row up to which each is compared with every candidate; above, the row is sorted once."""


def _rank_whole(scores: Tensor, row: Tensor, column: Tensor, wanted: Tensor) -> tuple[Array, Array, Array, Array]:
    """Exact places in the chosen rows: by counting where a row has few liked items, else by sorting it."""
    which = torch.nonzero(wanted[row], as_tuple=True)[0]
    r, c = row[which], column[which]
    new = torch.cumsum(wanted.long(), 0) - 1
    value = scores[r, c]
    start = torch.searchsorted(r, r)
    place = torch.arange(len(r), device=r.device) - start
    width = int(place.max()) + 1 if len(r) else 0
    asked = torch.full((int(wanted.sum()), width), torch.inf, dtype=scores.dtype, device=r.device)
    asked[new[r], place] = value
    above, tied = _counted(scores, r, value) if width <= FEW else _sorted(scores[wanted], asked, new[r], place)
    own = torch.sort(asked, dim=1).values
    liked_below = torch.searchsorted(own, asked)[new[r], place]
    liked_upto = torch.searchsorted(own, asked, right=True)[new[r], place]
    return which.cpu().numpy(), above, tied, (liked_upto - liked_below).cpu().numpy()


def _counted(scores: Tensor, row: Tensor, value: Tensor) -> tuple[Array, Array]:
    """How many of row ``row [N]`` of ``scores [B, I]`` are above, and the same as, ``value [N]``. On the CPU numpy counts a row's comparisons seven times
    faster than a sum of booleans does."""
    if scores.device.type != "cpu":
        return _counted_by_torch(scores, row, value)
    table, rows, values = scores.numpy(), row.numpy(), value.numpy()
    above, tied = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    for at, (one, than) in enumerate(zip(rows, values, strict=True)):
        above[at], tied[at] = np.count_nonzero(table[one] > than), np.count_nonzero(table[one] == than)
    return above, tied


def _counted_by_torch(scores: Tensor, row: Tensor, value: Tensor) -> tuple[Array, Array]:
    found = torch.empty(2, len(row), dtype=torch.int64, device=row.device)
    for part in blocks(len(row), max(1, AT_ONCE // scores.shape[1])):
        beside, own = scores[row[part]], value[part, None]
        found[0, part], found[1, part] = (beside > own).sum(1), (beside == own).sum(1)
    above, tied = found.cpu().numpy()
    return above, tied


def _sorted(table: Tensor, asked: Tensor, row: Tensor, place: Tensor) -> tuple[Array, Array]:
    ordered = torch.sort(table, dim=1).values
    below = torch.searchsorted(ordered, asked)[row, place]
    upto = torch.searchsorted(ordered, asked, right=True)[row, place]
    return (table.shape[1] - upto).cpu().numpy(), (upto - below).cpu().numpy()


def only_relevant(ranking: Ranking, keep: Array) -> Ranking:
    """The same ranking with only some liked films counted as liked; the others stay candidates like any film."""
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
