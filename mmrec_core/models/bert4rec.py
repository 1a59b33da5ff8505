"""Bidirectional self-attention trained to fill in masked items (Sun et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._attention import Block
from mmrec_core.models._base import Batch
from mmrec_core.models._sequence import SequenceConfig, SequenceModel
from mmrec_core.types import TrainSet


class BERT4Rec(SequenceModel):
    """Attention to both sides over a history in which a share of films is masked, to be filled in (Sun et al. 2019,
    "BERT4Rec").

    To say what comes next, a mask is put behind the history. In training the last film is masked alone in a tenth of
    the histories, so that this is learned, too. Learned with the full softmax.
    """

    class Config(SequenceConfig):
        """A sequence model's, and how much is masked."""

        blocks: int = setting(2, "blocks of attention and MLP", ge=1, le=8)
        heads: int = setting(2, "attention heads; the width must be divisible by them", ge=1, le=16)
        masked: float = setting(0.2, "share of films to be filled in", ge=0.01, le=0.9)

    MARKS: ClassVar[int] = 2
    train_defaults: ClassVar[Mapping[str, Any]] = {**SequenceModel.train_defaults, "patience": 20}
    config: Config

    def more_layers(self) -> None:
        """Places and blocks."""
        self.mask = self.mark + 1
        self.places = nn.Embedding(self.config.length + 1, self.config.dim)
        self.blocks = nn.ModuleList(
            Block(self.config.dim, self.config.heads, self.config.dropout, 4) for _ in range(self.config.blocks)
        )
        self.last = nn.LayerNorm(self.config.dim)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """``[B, T, d]``, place ``t`` of a sequence ``[B, T]`` of which ``size`` events are there."""
        step = torch.arange(sequence.shape[1], device=sequence.device)
        place = (self.config.length + 1 - size)[:, None] + step
        x = self.vectors(sequence) * self.config.dim**0.5 + self.places(place.clamp(max=self.config.length))
        x = F.dropout(x, self.config.dropout, self.training)
        for block in self.blocks:
            x = block(x, step < size[:, None])
        found: Tensor = self.last(x)
        return found

    def sequence_embeddings(self, state: Mapping[str, Tensor]) -> Tensor:
        """What is made of a mask behind each sequence."""
        size = state["size"]
        longest = int(size.max()) if len(size) else 0
        sequence = F.pad(state["sequence"][:, :longest], (0, 1), value=self.mark)
        row = torch.arange(len(size), device=size.device)
        sequence = sequence.index_put((row, size), torch.full_like(size, self.mask))
        return self.read(sequence, size + 1)[row, size]

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """One row per user: the latest films, some of them masked ``[U, L + 1]``, and what these were (−1: nothing is
        asked)."""
        table = super().epoch(train, epoch)
        whole, size = torch.where(table["target"] < 0, self.mark, table["target"]), table["size"] + 1
        if len(whole):  # the first of a window that was cut off is read, too
            whole[:, 0] = torch.where(table["target"][:, 0] < 0, table["sequence"][:, 0], whole[:, 0])
        generator, step = self.generator(epoch, 3), torch.arange(whole.shape[1])
        there = step < size[:, None]
        asked = (torch.rand(whole.shape, generator=generator) < self.config.masked) & there
        final = step == size[:, None] - 1
        only = (torch.rand(len(whole), generator=generator) < 0.1) | ~asked.any(1)
        asked = torch.where(only[:, None], final, asked)
        return {"sequence": torch.where(asked, self.mask, whole), "size": size, "target": torch.where(asked, whole, -1)}

    def hide(self, table: Batch, epoch: int) -> None:
        """Films become the unknown one, masks stay masks."""
        masks = table["sequence"] == self.mask
        super().hide(table, epoch)
        table["sequence"] = torch.where(masks, self.mask, table["sequence"])
