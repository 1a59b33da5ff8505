"""Fusion of an item's text and image vectors into one vector: concatenation, MLP, FiLM, or a gate.

Input vectors have unit length; an item without a vector has zeros and its mask off. The MLP, FiLM and gated fusions
have the layers of MM-TGN, so at 2688 → 172 they have 1,466,372, 1,074,356 and 955,976 parameters, as it reports.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["concat", "mlp", "film", "gated"]
HIDDEN = {"mlp": 512, "film": 256}
"""Widths of hidden layers in MM-TGN."""


class Fusion(nn.Module):
    """``text [B, T]``, ``image [B, I]`` and their masks ``[B]`` → ``[B, d]``; zeros where an item has neither.

    ``concat``: one linear layer on the concatenation. ``mlp``: Linear–LayerNorm–GELU–Dropout–Linear–LayerNorm. ``film``
    (Perez et al. 2018): the projected image, scaled and shifted by two networks of the text; it starts as the identity.
    ``gated``: ``g·text + (1−g)·image`` after projections, with ``g = σ(Linear([text ‖ image]))`` for every coordinate.

    Args:
        kind: ``concat``, ``mlp``, ``film`` or ``gated``.
        text: width ``T`` of text vectors; 0 where text is not used.
        image: width ``I`` of image vectors; 0 where images are not used.
        dim: width ``d`` of the result.
        dropout: in the MLP.
        hidden: width of hidden layers of ``mlp`` and ``film``; ``None``: as in MM-TGN.
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
                nn.Linear(text + image, wide),
                nn.LayerNorm(wide),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(wide, dim),
                nn.LayerNorm(dim),
            )
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
        """Initialise FiLM as the identity (γ = 1, β = 0). Call it after all other weights are drawn."""
        if self.kind != "film" or self.scale is None or self.shift is None:
            return
        for network, value in ((self.scale, 1.0), (self.shift, 0.0)):
            last = network[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, value)

    def gates(self, text: Tensor, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        """Share of the text in each coordinate of a gated fusion.

        Args:
            text: text vectors, ``[B, T]``.
            image: image vectors, ``[B, I]``.
            has_text: which items have a text, ``[B]``.
            has_image: which items have an image, ``[B]``.

        Returns:
            ``[B, d]`` in 0 … 1: 1 where there is no image, 0 where there is no text.
        """
        gate = torch.sigmoid(self.gate(torch.cat([text, image], 1)))
        gate = torch.where(has_image[:, None], gate, 1.0)
        return torch.where(has_text[:, None], gate, 0.0)

    def forward(self, text: Tensor, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        """Fuse text and image.

        Args:
            text: text vectors, ``[B, T]``.
            image: image vectors, ``[B, I]``.
            has_text: which items have a text, ``[B]``.
            has_image: which items have an image, ``[B]``.

        Returns:
            ``[B, d]``.
        """
        if self.kind in ("concat", "mlp"):
            found = self.joint(torch.cat([text, image], 1))
        elif self.kind == "film":
            modulated = text.new_zeros(len(text), self.dim)
            if self.picture is not None:
                modulated = torch.where(has_image[:, None], self.before(self.picture(image)), 0.0)
            if self.scale is not None and self.shift is not None:
                mask = has_text[:, None]
                scale, shift = torch.where(mask, self.scale(text), 1.0), torch.where(mask, self.shift(text), 0.0)
                modulated = scale * modulated + shift
            found = self.after(modulated)
        else:
            zeros = text.new_zeros(len(text), self.dim)
            words = self.words_norm(self.words(text)) if self.words is not None else zeros
            picture = self.picture_norm(self.picture(image)) if self.picture is not None else zeros
            gate = self.gates(text, image, has_text, has_image)
            found = self.out_norm(self.out(gate * words + (1 - gate) * picture))
        return torch.where((has_text | has_image)[:, None], found, 0.0)
