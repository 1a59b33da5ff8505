"""Text and image of a film as one vector: four ways, each with masks for what is missing.

Vectors come in with unit length or, where a film has none, as zeros with its mask off. MM-TGN's three (MLP, FiLM,
gated) have exactly its layers, so that at 2688 → 172 they count 1,466,372, 1,074,356 and 955,976 parameters, as it
reports.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["concat", "mlp", "film", "gated"]
HIDDEN = {"mlp": 512, "film": 256}
"""Widths of hidden layers, as MM-TGN has them."""


class Fusion(nn.Module):
    """``text [B, T]``, ``image [B, I]`` and their masks ``[B]`` → ``[B, d]``; a film with neither gets zeros.

    ``concat``: one linear layer on both side by side. ``mlp``: Linear–LayerNorm–GELU–Dropout–Linear–LayerNorm. ``film``
    (Perez et al. 2018): the projected image, scaled and shifted by what two networks make of the text; the identity at
    first. ``gated``: ``g·text + (1−g)·image`` after projections, ``g = σ(Linear([text ‖ image]))`` for every
    coordinate.

    Args:
        text, image: widths; 0 where a modality is not used at all.
        dim: ``d``.
        hidden: width of hidden layers of ``mlp`` and ``film``; ``None``: MM-TGN's.
    """

    def __init__(
        self, kind: Kind, text: int, image: int, dim: int, dropout: float = 0.1, hidden: int | None = None
    ) -> None:
        super().__init__()
        self.kind, self.text, self.image, self.dim = kind, text, image, dim
        wide = hidden or HIDDEN.get(kind, dim)
        if kind == "concat":
            self.joint: nn.Module = nn.Linear(text + image, dim)
        elif kind == "mlp":
            self.joint = nn.Sequential(
                nn.Linear(text + image, wide), nn.LayerNorm(wide), nn.GELU(), nn.Dropout(dropout), nn.Linear(wide, dim),
                nn.LayerNorm(dim),
            )  # fmt: skip
        elif kind == "film":
            self.scale = nn.Sequential(nn.Linear(text, wide), nn.ReLU(), nn.Linear(wide, dim)) if text else None
            self.shift = nn.Sequential(nn.Linear(text, wide), nn.ReLU(), nn.Linear(wide, dim)) if text else None
            self.picture = nn.Linear(image, dim) if image else None
            self.before, self.after = nn.LayerNorm(dim), nn.LayerNorm(dim)
        else:
            self.words = nn.Linear(text, dim) if text else None
            self.picture = nn.Linear(image, dim) if image else None
            self.words_norm, self.picture_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.gate = nn.Linear(text + image, dim)
            self.out, self.out_norm = nn.Linear(dim, dim), nn.LayerNorm(dim)

    def start(self) -> None:
        """FiLM begins as the identity: γ = 1, β = 0, whatever the text. To be called once other weights are drawn."""
        if self.kind != "film" or self.scale is None or self.shift is None:
            return
        for network, value in ((self.scale, 1.0), (self.shift, 0.0)):
            last = network[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, value)

    def gates(self, text: Tensor, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        """Share of the text in each coordinate, ``[B, d]`` in (0, 1); 1 where there is no image, 0 where there is no
        text."""
        gate = torch.sigmoid(self.gate(torch.cat([text, image], 1)))
        gate = torch.where(has_image[:, None], gate, 1.0)
        return torch.where(has_text[:, None], gate, 0.0)

    def forward(self, text: Tensor, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        """``[B, d]``."""
        if self.kind in ("concat", "mlp"):
            found = self.joint(torch.cat([text, image], 1))
        elif self.kind == "film":
            seen = text.new_zeros(len(text), self.dim)
            if self.picture is not None:
                seen = torch.where(has_image[:, None], self.before(self.picture(image)), 0.0)
            if self.scale is not None and self.shift is not None:
                there = has_text[:, None]
                seen = torch.where(there, self.scale(text), 1.0) * seen + torch.where(there, self.shift(text), 0.0)
            found = self.after(seen)
        else:
            nothing = text.new_zeros(len(text), self.dim)
            info = self.words_norm(self.words(text)) if self.words is not None else nothing
            shown = self.picture_norm(self.picture(image)) if self.picture is not None else nothing
            gate = self.gates(text, image, has_text, has_image)
            found = self.out_norm(self.out(gate * info + (1 - gate) * shown))
        return torch.where((has_text | has_image)[:, None], found, 0.0)
