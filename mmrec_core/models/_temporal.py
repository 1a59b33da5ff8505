"""Parts of temporal graph models: event store, time encoding, and aggregation of a node's most recent neighbours.

All data are flat tensors; there are no loops over events. Times are int64 seconds; only differences become floats, so
that a difference of one second is exact at real Unix times (float32 seconds since 1970 are 128 s apart).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SPAN = 1 << 40
"""Distance between the codes of two nodes. Node and time share an int64: at most 2²³ nodes and ±17,000 years."""
MIDDLE = SPAN >> 1
"""Added to a time, so that codes of times before 1970 belong to the right node."""
NEVER = -MIDDLE
"""The last-event time of a node without events: earlier than all other times."""


def code(node: Tensor, time: Tensor) -> Tensor:
    """Node and time in seconds packed into one int64 code ``[B]``; codes are ordered by node, then by time."""
    return node * SPAN + (time + MIDDLE)


def node_of(coded: Tensor) -> Tensor:
    """The node of each code."""
    return coded // SPAN


def time_of(coded: Tensor) -> Tensor:
    """The time of each code, in seconds."""
    return coded % SPAN - MIDDLE


class TimeEncoding(nn.Module):
    """``cos(w·Δt + b)`` with ``w`` from 1 down to 10⁻⁹ per second (Xu et al. 2020, "TGAT"): ``[…] → […, d]``.

    The frequencies ``w`` are learned in TGAT and fixed in Cong et al. 2023 ("GraphMixer"). The gradient of ``w`` is
    proportional to Δt. After a gap of a year, a step of 10⁻³ shifts a wave by five thousand periods, and where
    gradients are clipped by their norm, all other gradients become negligible.

    Args:
        dim: width ``d``.
        learned: whether ``w`` and ``b`` are trained.
    """

    def __init__(self, dim: int, learned: bool = False) -> None:
        super().__init__()
        self.w = nn.Parameter(10.0 ** -torch.linspace(0, 9, dim), requires_grad=learned)
        self.b = nn.Parameter(torch.zeros(dim), requires_grad=learned)

    def forward(self, gap_s: Tensor) -> Tensor:
        """Encode gaps in whole seconds; exact up to 194 days, and to seven digits beyond."""
        return torch.cos(gap_s[..., None].float() * self.w + self.b)


class Neighbours(nn.Module):
    """Store of events, each under both of its nodes, sorted by node and time; returns a node's most recent events
    strictly before a time."""

    def __init__(self) -> None:
        super().__init__()
        self.coded: Tensor
        self.partner: Tensor
        self.mark: Tensor
        self.register_buffer("coded", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("partner", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("mark", torch.zeros(0))

    def clear(self) -> None:
        """Remove all events."""
        self.coded, self.partner, self.mark = (t[:0] for t in (self.coded, self.partner, self.mark))

    def drop(self, node: Tensor) -> None:
        """Remove the events of nodes ``[n]``, at both of their nodes."""
        stays = ~(torch.isin(node_of(self.coded), node) | torch.isin(self.partner, node))
        self.coded, self.partner, self.mark = (t[stays] for t in (self.coded, self.partner, self.mark))

    def add(self, one: Tensor, other: Tensor, time: Tensor, mark: Tensor) -> None:
        """Add events.

        Args:
            one: one node of each event, ``[B]``.
            other: the other node, ``[B]``.
            time: in seconds, ``[B]``.
            mark: a number on each event (its rating), ``[B]``.
        """
        coded = torch.cat([code(one, time), code(other, time)])
        order = torch.argsort(coded, stable=True)
        new = (coded[order], torch.cat([other, one])[order], mark.repeat(2)[order])
        at = torch.searchsorted(self.coded, new[0], right=True) + torch.arange(len(order), device=order.device)
        old = torch.ones(len(self.coded) + len(order), dtype=torch.bool, device=order.device)
        old[at] = False
        for name, fresh in zip(("coded", "partner", "mark"), new, strict=True):
            kept = getattr(self, name)
            merged = torch.empty(len(old), dtype=kept.dtype, device=kept.device)
            merged[at], merged[old] = fresh.to(kept.dtype), kept
            setattr(self, name, merged)

    def _span(self, coded: Tensor) -> tuple[Tensor, Tensor]:
        """Positions ``[B]`` in the store where nodes' events strictly before times (codes ``[B]``) begin and end."""
        start, end = torch.searchsorted(self.coded, torch.stack([node_of(coded) * SPAN, coded]))
        return start, end

    def degree(self, coded: Tensor) -> Tensor:
        """How many events nodes had strictly before times (codes ``[B]``): ``[B]``."""
        start, end = self._span(coded)
        return end - start

    def before(self, coded: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The ``k`` most recent events of nodes strictly before times (codes ``[B]``).

        Returns:
            Partners, seconds since, marks, and a mask of events that exist; ``[B, k]`` each, the latest first.
        """
        start, end = self._span(coded)
        at = end[:, None] - 1 - torch.arange(k, device=coded.device)
        exists = at >= start[:, None]
        if not len(self.coded):
            zeros = torch.zeros(len(coded), k, dtype=torch.int64, device=coded.device)
            return zeros, zeros, zeros.float(), exists
        at = at.clamp(min=0)
        # both codes are of one node, so their difference is the difference of their times
        gap = torch.where(exists, (coded[:, None] - self.coded[at]), 0)
        return torch.where(exists, self.partner[at], 0), gap, self.mark[at], exists


@dataclass(frozen=True)
class Hop:
    """One layer of a computation graph: the rows of the layer below that ``n`` nodes at times are computed from."""

    own: Tensor
    """``[n]``: rows of the nodes themselves in the layer below."""
    neighbours: Tensor
    """``[n, k]``: rows of their neighbours in the layer below; 0 where there is none."""
    gap_s: Tensor
    """``[n, k]``: seconds since the events."""
    mark: Tensor
    """``[n, k]``: the number on each event (its rating)."""
    exists: Tensor
    """``[n, k]``: which of the ``k`` neighbours exist; the others are padding."""


def neighbourhood(neighbours: Neighbours, coded: Tensor, k: int, layers: int) -> tuple[Tensor, list[Hop]]:
    """Computation graph for embedding nodes at times.

    A neighbour is embedded at the query time, as in TGN. A node that is needed twice at one time is embedded once.

    Args:
        neighbours: the events.
        coded: nodes and query times as codes, unique and sorted, ``[B]``.
        k: most recent events per node.
        layers: number of layers.

    Returns:
        Nodes ``[m]`` of the lowest layer, and the layers from the lowest to the highest.
    """
    hops: list[Hop] = []
    for at in range(layers):
        partner, gap, mark, exists = neighbours.before(coded, k)
        time = time_of(coded)[:, None].expand_as(partner)
        if at == layers - 1:  # the lowest layer does not depend on the time
            below, place = torch.unique(torch.cat([node_of(coded), partner[exists]]), return_inverse=True)
        else:
            below, place = torch.unique(torch.cat([coded, code(partner[exists], time[exists])]), return_inverse=True)
        rows = torch.zeros_like(partner)
        rows[exists] = place[len(coded) :]
        hops.append(Hop(place[: len(coded)], rows, gap, mark, exists))
        coded = below
    return (coded if layers else node_of(coded)), hops[::-1]


@dataclass(frozen=True)
class UpdatedMemory:
    """Memories after the messages in the store; they are not stored yet, and gradients flow through them."""

    nodes: Tensor
    """``[D]``: nodes with messages in the store, each once."""
    memory: Tensor
    """``[D, m]``: their memories after these messages."""
    last: Tensor
    """``[D]``: times of their latest messages, in seconds."""
    index: Tensor
    """``[N]``: position of each node in ``nodes``; −1 where it has no message."""


class MergeLayer(nn.Module):
    """MLP on two vectors: ``W₂ ReLU(W₁ [a ‖ b])``.

    Args:
        a: width of the first vector.
        b: width of the second vector.
        hidden: width of the hidden layer.
        out: width of the output.
    """

    def __init__(self, a: int, b: int, hidden: int, out: int) -> None:
        super().__init__()
        self.first, self.second, self.wide = nn.Linear(a + b, hidden), nn.Linear(hidden, out), a

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """``a [n, a]`` and ``b [n, b]`` → ``[n, out]``."""
        return self.second(F.relu(self.first(torch.cat([a, b], 1))))

    def of_all(self, a: Tensor, b: Tensor, at_once: int = 1 << 22) -> Tensor:
        """Scores ``[B, I]`` of every ``a [B, …]`` with every ``b [I, …]``. The first layer is computed once per side,
        not once per pair. At most ``at_once`` hidden units are in memory at a time."""
        weight = self.first.weight
        left, right = a @ weight[:, : self.wide].T + self.first.bias, b @ weight[:, self.wide :].T
        out, step = a.new_empty(len(a), len(b)), max(1, at_once // max(right.numel(), 1))
        for at in range(0, len(a), step):
            hidden = F.relu(left[at : at + step, None] + right)
            out[at : at + step] = (hidden @ self.second.weight[0]) + self.second.bias
        return out


class TemporalAttention(nn.Module):
    """Attention of a node to its recent neighbours (Rossi et al. 2020, "TGN"), with fewer multiplications.

    The query is ``[own ‖ encoding(0)]``, keys and values are ``[neighbour ‖ mark ‖ encoding(Δt)]``. There is one query
    per node, so the query, not each key, is multiplied with the key matrix, and the mean of the values, not each value,
    with the value matrix: ``k`` times fewer multiplications for the same result.

    Args:
        dim: width ``d`` of nodes.
        time_dim: width of time encodings.
        heads: attention heads; they must divide ``dim + time_dim``.
        dropout: of attention weights.
        marks: numbers on each event.
    """

    def __init__(self, dim: int, time_dim: int, heads: int, dropout: float, marks: int = 1) -> None:
        super().__init__()
        self.dim, self.heads, self.dropout = dim, heads, dropout
        wide, key = dim + time_dim, dim + marks + time_dim
        if wide % heads:
            raise ValueError(f"{heads} heads do not divide {wide}")
        self.query, self.key, self.value = nn.Linear(wide, wide), nn.Linear(key, wide), nn.Linear(key, wide)
        self.out = nn.Linear(wide, wide)
        self.merge = MergeLayer(wide, dim, dim, dim)

    def forward(
        self, own: Tensor, neighbours: Tensor, mark: Tensor, zero: Tensor, ago: Tensor, exists: Tensor
    ) -> Tensor:
        """Embed nodes from themselves and their neighbours; ``n`` nodes, ``k`` neighbours each.

        Args:
            own: nodes, ``[n, d]``.
            neighbours: their neighbours, ``[n, k, d]``.
            mark: the number on each event (its rating), ``[n, k]``.
            zero: the time encoding of zero seconds, ``[t]``.
            ago: the time encodings of the seconds since each event, ``[n, k, t]``.
            exists: which neighbours exist, ``[n, k]``.

        Returns:
            ``[n, d]``.
        """
        n, k, dim = neighbours.shape
        wide, heads = self.query.out_features, self.heads
        each = wide // heads
        query = self.query(torch.cat([own, zero.expand(n, -1)], 1)).view(n, heads, each) * each**-0.5
        key = self.key.weight.view(heads, each, -1)
        through = torch.einsum("nhe,hex->nhx", query, key)  # the key's bias adds the same to all scores of a node
        score = torch.bmm(through[..., :dim], neighbours.transpose(1, 2)) + torch.bmm(
            through[..., dim + 1 :], ago.transpose(1, 2)
        )
        score = score + through[..., dim : dim + 1] * mark[:, None]
        weight = torch.softmax(score.masked_fill(~exists[:, None], -1e9), 2)
        weight = F.dropout(weight, self.dropout, self.training)
        mean = torch.cat(
            [torch.bmm(weight, neighbours), (weight * mark[:, None]).sum(2, keepdim=True), torch.bmm(weight, ago)], 2
        )
        value = torch.einsum("nhx,hex->nhe", mean, self.value.weight.view(heads, each, -1))
        value = value + weight.sum(2, keepdim=True) * self.value.bias.view(heads, each)
        attended = self.out(value.reshape(n, wide)) * exists.any(1, keepdim=True)  # zeros for nodes without neighbours
        found: Tensor = self.merge(attended, own)
        return found


class TemporalSum(nn.Module):
    """Sum over a node's recent neighbours (TGN's ``graph_sum``):
    ``W₂ [ReLU(Σ W₁[neighbour ‖ mark ‖ encoding(Δt)]) ‖ own ‖ encoding(0)]``.

    Args:
        dim: width ``d`` of nodes.
        time_dim: width of time encodings.
        heads: not used.
        dropout: not used.
        marks: numbers on each event.
    """

    def __init__(self, dim: int, time_dim: int, heads: int, dropout: float, marks: int = 1) -> None:
        super().__init__()
        self.dim = dim
        self.hear = nn.Linear(dim + marks + time_dim, dim)
        self.join = nn.Linear(2 * dim + time_dim, dim)

    def forward(
        self, own: Tensor, neighbours: Tensor, mark: Tensor, zero: Tensor, ago: Tensor, exists: Tensor
    ) -> Tensor:
        """Embed nodes from themselves and their neighbours; ``n`` nodes, ``k`` neighbours each.

        Args:
            own: nodes, ``[n, d]``.
            neighbours: their neighbours, ``[n, k, d]``.
            mark: the number on each event (its rating), ``[n, k]``.
            zero: the time encoding of zero seconds, ``[t]``.
            ago: the time encodings of the seconds since each event, ``[n, k, t]``.
            exists: which neighbours exist, ``[n, k]``.

        Returns:
            ``[n, d]``.
        """
        mask = exists[..., None].float()
        total = torch.cat([(neighbours * mask).sum(1), (mark[..., None] * mask).sum(1), (ago * mask).sum(1)], 1)
        summed = F.relu(total @ self.hear.weight.T + mask.sum(1) * self.hear.bias)
        found: Tensor = self.join(torch.cat([summed, own, zero.expand(len(own), -1)], 1))
        return found
