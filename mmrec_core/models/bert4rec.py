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
    """Bidirectional self-attention over a history in which a share of items is masked; the model predicts the masked
    items (Sun et al. 2019, "BERT4Rec").

    To predict the next item, a mask is appended to the history. In training only the last item is masked in a tenth of
    the histories, so that this case is trained, too. The loss is a softmax over all items.
    """

    class Config(SequenceConfig):
        """Settings of sequence models, attention and masking."""

        blocks: int = setting(2, "Transformer blocks", ge=1, le=8)
        heads: int = setting(2, "attention heads; the width must be divisible by them", ge=1, le=16)
        masked: float = setting(0.2, "share of films that are masked in training", ge=0.01, le=0.9)

    first_event: ClassVar[int] = 0
    other_position: ClassVar[str] = "mask"
    MARKS: ClassVar[int] = 2
    train_defaults: ClassVar[Mapping[str, Any]] = {**SequenceModel.train_defaults, "patience": 20}
    config: Config

    def more_layers(self) -> None:
        """Build position embeddings and blocks."""
        self.mask = self.mark + 1
        self.places = nn.Embedding(self.config.length + 1, self.config.dim)
        self.blocks = nn.ModuleList(
            Block(self.config.dim, self.config.heads, self.config.dropout, 4) for _ in range(self.config.blocks)
        )
        self.last = nn.LayerNorm(self.config.dim)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """States ``[B, T, d]`` at each position of sequences ``[B, T]`` with ``size [B]`` events."""
        position = torch.arange(sequence.shape[1], device=sequence.device)
        from_end = (self.config.length + 1 - size)[:, None] + position
        x = self.vectors(sequence) * self.config.dim**0.5 + self.places(from_end.clamp(max=self.config.length))
        x = F.dropout(x, self.config.dropout, self.training)
        for block in self.blocks:
            x = block(x, position < size[:, None])
        found: Tensor = self.last(x)
        return found

    def sequence_embeddings(self, state: Mapping[str, Tensor]) -> Tensor:
        """Embeddings ``[B, d]`` of sequences: the state of a mask appended to each."""
        size = state["size"]
        longest = int(size.max()) if len(size) else 0
        sequence = F.pad(state["sequence"][:, :longest], (0, 1), value=self.mark)
        row = torch.arange(len(size), device=size.device)
        sequence = sequence.index_put((row, size), torch.full_like(size, self.mask))
        return self.read(sequence, size + 1)[row, size]

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """One row per user: the latest items, some of them masked, ``sequence`` ``[U, L + 1]``, and the masked items as
        ``target`` (−1: no loss)."""
        table = super().epoch(train, epoch)
        items, size = torch.where(table["target"] < 0, self.mark, table["target"]), table["size"] + 1
        if len(items):  # the first item of a window that was cut is read, too
            items[:, 0] = torch.where(table["target"][:, 0] < 0, table["sequence"][:, 0], items[:, 0])
        generator, position = self.generator(epoch, 3), torch.arange(items.shape[1])
        exists = position < size[:, None]
        masked = (torch.rand(items.shape, generator=generator) < self.config.masked) & exists
        is_last = position == size[:, None] - 1
        only_last = (torch.rand(len(items), generator=generator) < 0.1) | ~masked.any(1)
        masked = torch.where(only_last[:, None], is_last, masked)
        sequence, target = torch.where(masked, self.mask, items), torch.where(masked, items, -1)
        return {"sequence": sequence, "size": size, "target": target}

    def hide(self, table: Batch, epoch: int) -> None:
        """Replace a share of items by the unknown item. Overridden because masks stay masks."""
        masks = table["sequence"] == self.mask
        super().hide(table, epoch)
        table["sequence"] = torch.where(masks, self.mask, table["sequence"])
