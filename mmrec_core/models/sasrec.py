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
SUMMARIES = {
    "sasrec": "Causal self-attention over a history (Kang & McAuley 2018, “SASRec”).",
    "sasrec_ce": "SASRec with a softmax over all items instead of sampled negatives (Klenitskiy & Vasilev 2023).",
}


class SASRec(SequenceModel):
    """Causal self-attention over a history (Kang & McAuley 2018, "SASRec"); ``sasrec_ce`` is trained with a softmax
    over all items (as in Klenitskiy & Vasilev 2023).

    ``x = √d · item + position``, then ``blocks`` times ``x + Attention(LN(x))`` and ``x + MLP(LN(x))``, a last layer
    norm, and dot products with the same item embeddings. Positions are counted from the end, as with the left padding
    of the published code.
    """

    class Config(NextConfig):
        """Settings of sequence models and of attention."""

        blocks: int = setting(2, "Transformer blocks", ge=1, le=8)
        heads: int = setting(1, "attention heads; the width must be divisible by them", ge=1, le=16)

    train_defaults: ClassVar[Mapping[str, Any]] = SequenceModel.train_defaults
    config: Config

    def more_layers(self) -> None:
        """Build position embeddings and blocks."""
        self.build_blocks(self.config.dim)

    def build_blocks(self, dim: int) -> None:
        """Build position embeddings and blocks of width ``dim``."""
        self.places = nn.Embedding(self.config.length + 1, dim)
        self.blocks = nn.ModuleList(
            Block(dim, self.config.heads, self.config.dropout) for _ in range(self.config.blocks)
        )
        self.last = nn.LayerNorm(dim)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """States ``[B, L + 1, d]`` after each event, as in the class."""
        start = sequence.new_full((len(sequence), 1), self.mark)
        return self.apply_blocks(self.vectors(torch.cat([start, sequence], 1)) * self.config.dim**0.5, size)

    def apply_blocks(self, x: Tensor, size: Tensor) -> Tensor:
        """Apply the blocks to embeddings ``[B, T, d]`` of sequences with ``size [B]`` events, the start token first."""
        from_end = (self.config.length - size)[:, None] + torch.arange(x.shape[1], device=x.device)
        x = F.dropout(x + self.places(from_end.clamp(max=self.config.length)), self.config.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.last(x)
        return found
