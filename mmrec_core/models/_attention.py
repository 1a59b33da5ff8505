"""Pre-norm Transformer block: attention and an MLP, each with a residual connection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """``x + Attention(LN(x))``, then ``x + MLP(LN(x))`` (layer norm first, which trains more steadily than last).

    Args:
        heads: where the width is not divisible by them, one.
        wide: units of the MLP's hidden layer, in widths.
    """

    def __init__(self, dim: int, heads: int, dropout: float, wide: int = 1) -> None:
        super().__init__()
        self.heads, self.dropout = heads if dim % heads == 0 else 1, dropout
        self.before, self.between = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attend, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.wide, self.narrow = nn.Linear(dim, wide * dim), nn.Linear(wide * dim, dim)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """``[B, T, d]``; place ``t`` looks at places up to ``t``, or, where ``there [B, T]`` is given, at all that are
        there."""
        n, t, dim = x.shape
        query, key, value = (
            part.view(n, t, self.heads, dim // self.heads).transpose(1, 2)
            for part in self.attend(self.before(x)).chunk(3, -1)
        )
        share = self.dropout if self.training else 0.0
        mask = None if there is None else there[:, None, None, :]
        seen = F.scaled_dot_product_attention(query, key, value, mask, is_causal=there is None, dropout_p=share)
        x = x + F.dropout(self.out(seen.transpose(1, 2).reshape(n, t, dim)), share, self.training)
        inner = F.dropout(F.gelu(self.wide(self.between(x))), share, self.training)
        return torch.add(x, F.dropout(self.narrow(inner), share, self.training))
