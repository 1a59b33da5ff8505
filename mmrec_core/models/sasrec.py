"""Causal self-attention for next-item prediction (Kang and McAuley 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._attention import Block
from mmrec_core.models._sequence import NextConfig, SequenceModel

PRESETS: dict[str, dict[str, Any]] = {"sasrec": {}, "sasrec_ce": {"loss": "ce"}}


class SASRec(SequenceModel):
    """Self-attention over a history, forwards only (Kang & McAuley 2018, "SASRec"); ``sasrec_ce`` learns with the full
    softmax (as Klenitskiy & Vasilev 2023).

    ``x = √d · film + place``, then ``blocks`` times ``x + Attention(LN(x))`` and ``x + MLP(LN(x))``, a last LN, and dot
    products with the same films. Places are counted from the end, as left padding does in the published code.
    """

    class Config(NextConfig):
        """A sequence model's, and how often it looks back."""

        blocks: int = setting(2, "blocks of attention and MLP", ge=1, le=8)
        heads: int = setting(1, "attention heads; the width must be divisible by them", ge=1, le=16)

    train_defaults: ClassVar[Mapping[str, Any]] = SequenceModel.train_defaults
    config: Config

    def more_layers(self) -> None:
        """Places and blocks."""
        self.lay_blocks(self.config.dim)

    def lay_blocks(self, dim: int) -> None:
        """Places and blocks of a width."""
        self.places = nn.Embedding(self.config.length + 1, dim)
        self.blocks = nn.ModuleList(
            Block(dim, self.config.heads, self.config.dropout) for _ in range(self.config.blocks)
        )
        self.last = nn.LayerNorm(dim)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """See the class."""
        start = sequence.new_full((len(sequence), 1), self.mark)
        return self.through(self.vectors(torch.cat([start, sequence], 1)) * self.config.dim**0.5, size)

    def through(self, x: Tensor, size: Tensor) -> Tensor:
        """Vectors of what is read ``[B, T, d]``, the start mark first, through the blocks."""
        place = (self.config.length - size)[:, None] + torch.arange(x.shape[1], device=x.device)
        x = F.dropout(x + self.places(place.clamp(max=self.config.length)), self.config.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.last(x)
        return found
