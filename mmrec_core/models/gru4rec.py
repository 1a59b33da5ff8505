"""Recurrent network for next-item prediction (Hidasi et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._sequence import NextConfig, SequenceModel


class GRU4Rec(SequenceModel):
    """A gated recurrent network over a history (Hidasi et al. 2016, "GRU4Rec"), its state projected onto the films'
    vectors."""

    class Config(NextConfig):
        """A sequence model's, and how deep the state is."""

        layers: int = setting(1, "recurrent layers", ge=1, le=4)
        hidden: int = setting(128, "numbers in the state", ge=2, le=2048, log=True)

    config: Config

    def more_layers(self) -> None:
        """The recurrent layers, and what makes a film's vector of their state."""
        self.gru = nn.GRU(self.config.dim, self.config.hidden, self.config.layers, batch_first=True)
        self.out = nn.Linear(self.config.hidden, self.config.dim)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """Every state on the way."""
        start = sequence.new_full((len(sequence), 1), self.mark)
        x = F.dropout(self.vectors(torch.cat([start, sequence], 1)), self.config.dropout, self.training)
        found: Tensor = self.out(F.dropout(self.gru(x)[0], self.config.dropout, self.training))
        return found
