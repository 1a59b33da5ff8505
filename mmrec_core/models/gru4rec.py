"""Recurrent network for next-item prediction (Hidasi et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._sequence import NextConfig, SequenceModel


class GRU4Rec(SequenceModel):
    """Gated recurrent network over a history (Hidasi et al. 2016, "GRU4Rec"); its state is projected to the width of
    the items' embeddings."""

    class Config(NextConfig):
        """Settings of sequence models and of the recurrent layers."""

        layers: int = setting(1, "recurrent layers", ge=1, le=4)
        hidden: int = setting(128, "width of the recurrent state", ge=2, le=2048, log=True)

    config: Config

    def more_layers(self) -> None:
        """Build the recurrent layers and the projection of their state."""
        self.gru = nn.GRU(self.config.dim, self.config.hidden, self.config.layers, batch_first=True)
        self.out = nn.Linear(self.config.hidden, self.config.dim)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """Projected states ``[B, L + 1, d]`` after each event."""
        start = sequence.new_full((len(sequence), 1), self.mark)
        x = F.dropout(self.vectors(torch.cat([start, sequence], 1)), self.config.dropout, self.training)
        found: Tensor = self.out(F.dropout(self.gru(x)[0], self.config.dropout, self.training))
        return found
