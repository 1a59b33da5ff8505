"""Pre-norm Transformer block: attention and an MLP, each with a residual connection."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """``x + Attention(LN(x))``, then ``x + MLP(LN(x))`` (pre-norm, which trains more stably than post-norm).

    Args:
        dim: width ``d``.
        heads: attention heads; one where ``dim`` is not divisible by them.
        dropout: of attention weights and of both outputs.
        wide: width of the MLP's hidden layer, as a multiple of ``dim``.
    """

    def __init__(self, dim: int, heads: int, dropout: float, wide: int = 1) -> None:
        super().__init__()
        self.heads, self.dropout = heads if dim % heads == 0 else 1, dropout
        self.before, self.between = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attend, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.wide, self.narrow = nn.Linear(dim, wide * dim), nn.Linear(wide * dim, dim)

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of every head, ``[B, H, T, d / H]`` each."""
        n, t, dim = x.shape
        query, key, value = (
            part.view(n, t, self.heads, dim // self.heads).transpose(1, 2)
            for part in self.attend(self.before(x)).chunk(3, -1)
        )
        return query, key, value

    def weights(self, x: Tensor, exists: Tensor | None = None) -> Tensor:
        """Attention weights ``[B, H, T, T]`` of :meth:`forward` for ``x [B, T, d]``; the last axis sums to 1."""
        query, key, _ = self.projections(x)
        logits = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        if exists is None:
            mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        else:
            mask = exists[:, None, None, :]
        return logits.masked_fill(~mask, -torch.inf).softmax(-1)

    def forward(self, x: Tensor, exists: Tensor | None = None) -> Tensor:
        """``[B, T, d]`` → ``[B, T, d]``. Attention is causal, or, where the mask ``exists [B, T]`` is given, over all
        positions that exist."""
        n, t, dim = x.shape
        query, key, value = self.projections(x)
        dropout = self.dropout if self.training else 0.0
        mask = None if exists is None else exists[:, None, None, :]
        attended = F.scaled_dot_product_attention(query, key, value, mask, is_causal=exists is None, dropout_p=dropout)
        x = x + F.dropout(self.out(attended.transpose(1, 2).reshape(n, t, dim)), dropout, self.training)
        inner = F.dropout(F.gelu(self.wide(self.between(x))), dropout, self.training)
        return torch.add(x, F.dropout(self.narrow(inner), dropout, self.training))


@contextlib.contextmanager
def recorded(blocks: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect the attention weights ``[B, H, T, T]`` of blocks, in the order in which this thread calls them.

    Other threads may use the same model meanwhile; their calls are not collected.
    """
    found: list[Tensor] = []
    own = threading.get_ident()

    def collect(block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if threading.get_ident() == own and isinstance(block, Block):
            found.append(block.weights(*inputs))

    handles = [block.register_forward_pre_hook(collect) for block in blocks]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
