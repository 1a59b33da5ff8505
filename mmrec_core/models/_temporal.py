"""Graphs in time: who met whom when, the time between, and what a node makes of its most recent neighbours.

Everything is a flat tensor: no event is looked at one by one. Times are int64 seconds; only differences become floats,
so that a second is a second at real Unix times (float32 seconds since 1970 are 128 s apart).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SPAN = 1 << 40
"""Codes of one node are this far apart; nodes and times share an int64, so at most 2²³ nodes and ±17,000 years."""
MIDDLE = SPAN >> 1
NEVER = -MIDDLE
"""Stands for a time before all others: of who has met nobody yet."""


def code(node: Tensor, time: Tensor) -> Tensor:
    """Node and time in one number ``[B]``, ordered by node, then by time."""
    return node * SPAN + (time + MIDDLE)


def node_of(coded: Tensor) -> Tensor:
    """The node of each code."""
    return coded // SPAN


def time_of(coded: Tensor) -> Tensor:
    """The time of each code, in seconds."""
    return coded % SPAN - MIDDLE


class TimeEncoding(nn.Module):
    """``cos(w·Δt + b)`` with ``w`` from 1 down to 10⁻⁹ per second (Xu et al. 2020, "TGAT"): ``[…] → […, d]``.

    Learned there, fixed in Cong et al. 2023 ("GraphMixer"). The slope in ``w`` is as large as Δt: after a gap of a year
    one step of 10⁻³ turns a wave five thousand times round, and where gradients are clipped by their norm nothing else
    is heard beside it.
    """

    def __init__(self, dim: int, learned: bool = False) -> None:
        super().__init__()
        self.w = nn.Parameter(10.0 ** -torch.linspace(0, 9, dim), requires_grad=learned)
        self.b = nn.Parameter(torch.zeros(dim), requires_grad=learned)

    def forward(self, gap_s: Tensor) -> Tensor:
        """Of whole seconds, exact up to 194 days and to seven digits beyond."""
        return torch.cos(gap_s[..., None].float() * self.w + self.b)


class Neighbours(nn.Module):
    """Every event from both its ends, sorted by node and time; asked for the most recent ones strictly earlier than
    t."""

    def __init__(self) -> None:
        super().__init__()
        self.coded: Tensor
        self.partner: Tensor
        self.mark: Tensor
        self.register_buffer("coded", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("partner", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("mark", torch.zeros(0))

    def clear(self) -> None:
        """Forget all events."""
        self.coded, self.partner, self.mark = (t[:0] for t in (self.coded, self.partner, self.mark))

    def drop(self, node: Tensor) -> None:
        """Forget the events of nodes ``[n]``, from both their ends."""
        stays = ~(torch.isin(node_of(self.coded), node) | torch.isin(self.partner, node))
        self.coded, self.partner, self.mark = (t[stays] for t in (self.coded, self.partner, self.mark))

    def add(self, one: Tensor, other: Tensor, time: Tensor, mark: Tensor) -> None:
        """Events ``[B]`` between nodes ``one`` and ``other`` at ``time``, each with a number of its own (its stars)."""
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
        """Where in the store the events of nodes strictly before times (codes ``[B]``) begin and end."""
        start, end = torch.searchsorted(self.coded, torch.stack([node_of(coded) * SPAN, coded]))
        return start, end

    def degree(self, coded: Tensor) -> Tensor:
        """``[B]`` how many events nodes have had strictly before times (codes ``[B]``)."""
        start, end = self._span(coded)
        return end - start

    def before(self, coded: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The ``k`` latest events of nodes at times (codes ``[B]``): partners, seconds since, marks, and which exist;
        ``[B, k]`` each, the latest first."""
        start, end = self._span(coded)
        at = end[:, None] - 1 - torch.arange(k, device=coded.device)
        there = at >= start[:, None]
        if not len(self.coded):
            nothing = torch.zeros(len(coded), k, dtype=torch.int64, device=coded.device)
            return nothing, nothing, nothing.float(), there
        at = at.clamp(min=0)
        gap = torch.where(there, (coded[:, None] - self.coded[at]), 0)  # the same node, so the difference is of times
        return torch.where(there, self.partner[at], 0), gap, self.mark[at], there


@dataclass(frozen=True)
class Hop:
    """What one layer of a node's surroundings is made of: for each of ``n`` codes itself and its neighbours in the
    level below."""

    own: Tensor
    """``[n]`` rows of the level below."""
    neighbours: Tensor
    """``[n, k]`` rows of the level below; 0 where there is none."""
    gap_s: Tensor
    """``[n, k]`` seconds since."""
    mark: Tensor
    """``[n, k]``."""
    exists: Tensor
    """``[n, k]``: which of the ``k`` neighbours exist; the others are padding."""


def neighbourhood(neighbours: Neighbours, coded: Tensor, k: int, layers: int) -> tuple[Tensor, list[Hop]]:
    """What is needed to embed codes ``[B]`` (unique, sorted): nodes ``[m]`` at the bottom, and the levels from there
    upwards.

    A neighbour is looked at from the moment that is asked about, as TGN does; whoever is needed twice at one moment is
    made once.
    """
    hops: list[Hop] = []
    for at in range(layers):
        partner, gap, mark, there = neighbours.before(coded, k)
        moment = time_of(coded)[:, None].expand_as(partner)
        if at == layers - 1:  # at the bottom only who it is counts
            below, place = torch.unique(torch.cat([node_of(coded), partner[there]]), return_inverse=True)
        else:
            below, place = torch.unique(torch.cat([coded, code(partner[there], moment[there])]), return_inverse=True)
        rows = torch.zeros_like(partner)
        rows[there] = place[len(coded) :]
        hops.append(Hop(place[: len(coded)], rows, gap, mark, there))
        coded = below
    return (coded if layers else node_of(coded)), hops[::-1]


@dataclass(frozen=True)
class UpdatedMemory:
    """Memories with the waiting messages taken in, which changes nothing yet and lets gradients through."""

    nodes: Tensor
    """``[D]`` nodes for which something waits, each once."""
    memory: Tensor
    """``[D, m]`` their memories after it."""
    last: Tensor
    """``[D]`` when that was, in seconds."""
    index: Tensor
    """``[N]`` where each node stands in ``nodes``; −1 where nothing waits."""


class MergeLayer(nn.Module):
    """``W₂ ReLU(W₁ [a ‖ b])``."""

    def __init__(self, a: int, b: int, hidden: int, out: int) -> None:
        super().__init__()
        self.first, self.second, self.wide = nn.Linear(a + b, hidden), nn.Linear(hidden, out), a

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """``[n, out]``."""
        return self.second(F.relu(self.first(torch.cat([a, b], 1))))

    def of_all(self, a: Tensor, b: Tensor, at_once: int = 1 << 22) -> Tensor:
        """Every ``a`` ``[B, …]`` with every ``b`` ``[I, …]``, ``[B, I]``: the first layer is done once per side, not
        per pair."""
        weight = self.first.weight
        left, right = a @ weight[:, : self.wide].T + self.first.bias, b @ weight[:, self.wide :].T
        out, step = a.new_empty(len(a), len(b)), max(1, at_once // max(right.numel(), 1))
        for at in range(0, len(a), step):
            hidden = F.relu(left[at : at + step, None] + right)
            out[at : at + step] = (hidden @ self.second.weight[0]) + self.second.bias
        return out


class TemporalAttention(nn.Module):
    """A node attends to its recent neighbours (Rossi et al. 2020, "TGN"; its weights and layers, a cheaper order of
    products).

    Query ``[own ‖ code(0)]``, keys and values ``[neighbour ‖ mark ‖ code(Δt)]``. There is one query a node, so the
    query goes through the keys' matrix rather than each key, and the values' mean through the values' matrix rather
    than each value: ``k`` times fewer multiplications, the same numbers.
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
        asked = self.query(torch.cat([own, zero.expand(n, -1)], 1)).view(n, heads, each) * each**-0.5
        key = self.key.weight.view(heads, each, -1)
        through = torch.einsum("nhe,hex->nhx", asked, key)  # the key's shift moves all of a node's scores alike
        score = torch.bmm(through[..., :dim], neighbours.transpose(1, 2)) + torch.bmm(
            through[..., dim + 1 :], ago.transpose(1, 2)
        )
        score = score + through[..., dim : dim + 1] * mark[:, None]
        weight = torch.softmax(score.masked_fill(~exists[:, None], -1e9), 2)
        weight = F.dropout(weight, self.dropout, self.training)
        read = torch.cat(
            [torch.bmm(weight, neighbours), (weight * mark[:, None]).sum(2, keepdim=True), torch.bmm(weight, ago)], 2
        )
        value = torch.einsum("nhx,hex->nhe", read, self.value.weight.view(heads, each, -1))
        value = value + weight.sum(2, keepdim=True) * self.value.bias.view(heads, each)
        info = self.out(value.reshape(n, wide)) * exists.any(1, keepdim=True)  # who has no neighbours hears nothing
        found: Tensor = self.merge(info, own)
        return found


class TemporalSum(nn.Module):
    """A node adds up its recent neighbours (TGN's ``graph_sum``): ``W₂ [ReLU(Σ W₁[neighbour ‖ mark ‖ code(Δt)]) ‖ own ‖
    code(0)]``."""

    def __init__(self, dim: int, time_dim: int, heads: int, dropout: float, marks: int = 1) -> None:
        super().__init__()
        self.dim = dim
        self.hear = nn.Linear(dim + marks + time_dim, dim)
        self.join = nn.Linear(2 * dim + time_dim, dim)

    def forward(
        self, own: Tensor, neighbours: Tensor, mark: Tensor, zero: Tensor, ago: Tensor, exists: Tensor
    ) -> Tensor:
        """As :meth:`TemporalAttention.forward`."""
        mask = exists[..., None].float()
        total = torch.cat([(neighbours * mask).sum(1), (mark[..., None] * mask).sum(1), (ago * mask).sum(1)], 1)
        info = F.relu(total @ self.hear.weight.T + mask.sum(1) * self.hear.bias)
        found: Tensor = self.join(torch.cat([info, own, zero.expand(len(own), -1)], 1))
        return found
