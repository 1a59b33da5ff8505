"""Post-training quantization of embedding tables for serving: float16 or int8.

A table's rows are stored as float16, or as int8 with one scale per row, and converted to float32 at lookup
(Guan et al. 2019, "Post-Training 4-bit Quantization on Embedding Tables"). Other layers are not changed: embedding
tables take nearly all of a large model's memory.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.errors import unknown_name

TABLES = ("fp32", "fp16", "int8")


class SmallTable(nn.Module):
    """A quantized embedding table with the interface of :class:`torch.nn.Embedding`.

    Args:
        table: the trained table ``[N, d]``.
        kind: ``fp16`` or ``int8``.
    """

    def __init__(self, table: nn.Embedding, kind: str) -> None:
        super().__init__()
        self.embedding_dim, self.padding_idx = table.embedding_dim, table.padding_idx
        weight = table.weight.detach()
        self.rows: Tensor
        self.scale: Tensor
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127 if kind == "int8" else weight.new_ones(1, 1)
        rows = (weight / scale).round().to(torch.int8) if kind == "int8" else weight.half()
        self.register_buffer("rows", rows)
        self.register_buffer("scale", scale)

    @property
    def weight(self) -> Tensor:
        """The whole table as float32 ``[N, d]``."""
        return self.rows.float() * self.scale

    def forward(self, index: Tensor) -> Tensor:
        """Rows as float32 ``[…, d]``."""
        found = F.embedding(index, self.rows).float()
        return found if self.scale.numel() == 1 else found * F.embedding(index, self.scale)


def shrink(model: Any, kind: str) -> Any:
    """A copy of a model with quantized embedding tables; ``fp32`` returns the model itself.

    Raises:
        MMRecError: an unknown kind.
    """
    if kind not in TABLES:
        raise unknown_name("table format", kind, list(TABLES))
    if kind == "fp32":
        return model
    model.eval()
    small = copy.deepcopy(model)
    for parent in list(small.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Embedding):
                setattr(parent, name, SmallTable(child, kind))
    return small.eval()


def table_bytes(model: Any) -> int:
    """Bytes of a model's embedding tables."""
    tables = (m for m in model.modules() if isinstance(m, (nn.Embedding, SmallTable)))
    return sum(t.numel() * t.element_size() for m in tables for t in m.state_dict().values())
