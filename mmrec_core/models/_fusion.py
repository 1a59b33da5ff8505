"""Fusion of an item's vectors of several modalities into one vector: concatenation, MLP, FiLM, or gates.

Input vectors have unit length; an item without a vector has zeros and its mask off. On text and image, the MLP, FiLM
and gated fusions have the layers of MM-TGN, so at 2688 → 172 they have 1,466,372, 1,074,356 and 955,976 parameters, as
it reports. They take any number of modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["concat", "mlp", "film", "gated"]
HIDDEN = {"mlp": 512, "film": 256}
"""Widths of hidden layers in MM-TGN."""


class Fusion(nn.Module):
    """One vector per modality ``[B, W]`` and its mask ``[B]`` → ``[B, d]``; zeros where an item has none of them.

    ``concat``: one linear layer on the concatenation. ``mlp``: Linear–LayerNorm–GELU–Dropout–Linear–LayerNorm. ``film``
    (Perez et al. 2018): the mean of the projected other modalities, scaled and shifted by two networks of the text (of
    the first modality, where there is no text); it starts as the identity. ``gated``: a weighted mean of the
    projections, with weights for every coordinate that sum to 1: ``σ(Linear(all))`` for two modalities (Arevalo et al.
    2017), its generalisation ``softmax`` for more.

    Args:
        kind: ``concat``, ``mlp``, ``film`` or ``gated``.
        widths: width of each modality's vectors, in the order in which they are read.
        dim: width ``d`` of the result.
        dropout: in the MLP.
        hidden: width of hidden layers of ``mlp`` and ``film``; ``None``: as in MM-TGN.
    """

    def __init__(
        self, kind: Kind, widths: Mapping[str, int], dim: int, dropout: float = 0.1, hidden: int | None = None
    ) -> None:
        super().__init__()
        self.kind, self.names, self.dim = kind, list(widths), dim
        wide, total = hidden or HIDDEN.get(kind, dim), sum(widths.values())
        if kind == "concat":
            self.joint: nn.Module = nn.Linear(total, dim)
        elif kind == "mlp":
            self.joint = nn.Sequential(
                nn.Linear(total, wide),
                nn.LayerNorm(wide),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(wide, dim),
                nn.LayerNorm(dim),
            )
        elif kind == "film":
            # an image alone is projected, as in MM-TGN; text, or else the first modality, modulates
            self.modulator = "text" if "text" in widths else next(iter(widths)) if list(widths) != ["image"] else None
            own = widths[self.modulator] if self.modulator else 0
            self.scale = nn.Sequential(nn.Linear(own, wide), nn.ReLU(), nn.Linear(wide, dim)) if own else None
            self.shift = nn.Sequential(nn.Linear(own, wide), nn.ReLU(), nn.Linear(wide, dim)) if own else None
            self._project(widths, [name for name in widths if name != self.modulator])
            self.before, self.after = nn.LayerNorm(dim), nn.LayerNorm(dim)
        else:
            self._project(widths, list(widths))
            self.words_norm, self.picture_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.other_norms = nn.ModuleDict({name: nn.LayerNorm(dim) for name in self.others})
            self.gate = nn.Linear(total, dim if self.plain else dim * len(widths))
            self.out, self.out_norm = nn.Linear(dim, dim), nn.LayerNorm(dim)

    @property
    def plain(self) -> bool:
        """Whether there are no modalities but text and image, so that one gate weighs one against the other."""
        return set(self.names) <= {"text", "image"}

    def _project(self, widths: Mapping[str, int], names: list[str]) -> None:
        """Linear layers of the named modalities; those of text and image keep the names of saved weights."""
        self.words = nn.Linear(widths["text"], self.dim) if "text" in names else None
        self.picture = nn.Linear(widths["image"], self.dim) if "image" in names else None
        self.others = nn.ModuleDict(
            {name: nn.Linear(widths[name], self.dim) for name in names if name not in {"text", "image"}}
        )

    def projection(self, name: str) -> nn.Module:
        """The linear layer of a modality."""
        found = {"text": self.words, "image": self.picture}.get(name) or self.others[name]
        assert isinstance(found, nn.Module)
        return found

    def start(self) -> None:
        """Initialise FiLM as the identity (γ = 1, β = 0). Call it after all other weights are drawn."""
        if self.kind != "film" or self.scale is None or self.shift is None:
            return
        for network, value in ((self.scale, 1.0), (self.shift, 0.0)):
            last = network[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, value)

    def gates(self, vectors: Mapping[str, Tensor], has: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of each modality in each coordinate of a gated fusion.

        Args:
            vectors: vectors ``[B, W]`` by modality.
            has: masks ``[B]`` of items that have the modality.

        Returns:
            ``[B, d]`` in 0 … 1 by modality; they sum to 1, and are 0 for a modality that an item lacks (an item without
            any gives its weight to image, or to the first).
        """
        raw = self.gate(torch.cat([vectors[name] for name in self.names], 1))
        if self.plain:
            any_vector = next(iter(has.values()))
            none = torch.zeros_like(any_vector)
            gate = torch.where(has.get("image", none)[:, None], torch.sigmoid(raw), 1.0)
            gate = torch.where(has.get("text", none)[:, None], gate, 0.0)
            weights = {"text": gate, "image": 1 - gate}
            return {name: weights[name] for name in self.names}
        mask = torch.stack([has[name] for name in self.names], 1)
        mask = mask | ~mask.any(1, keepdim=True)  # an item without any is masked at the end
        raw = raw.view(len(raw), len(self.names), self.dim).masked_fill(~mask[:, :, None], -torch.inf)
        return dict(zip(self.names, raw.softmax(1).unbind(1), strict=True))

    def forward(self, vectors: Mapping[str, Tensor], has: Mapping[str, Tensor]) -> Tensor:
        """Fuse the modalities of a batch of items.

        Args:
            vectors: vectors ``[B, W]`` by modality.
            has: masks ``[B]`` of items that have the modality.

        Returns:
            ``[B, d]``.
        """
        some = torch.stack([has[name] for name in self.names]).any(0)
        if self.kind in ("concat", "mlp"):
            found = self.joint(torch.cat([vectors[name] for name in self.names], 1))
        elif self.kind == "film":
            found = self.after(self._modulated(vectors, has))
        else:
            norms = {"text": self.words_norm, "image": self.picture_norm, **dict(self.other_norms.items())}
            gates = self.gates(vectors, has)
            found = sum(
                (gates[name] * norms[name](self.projection(name)(vectors[name])) for name in self.names),
                start=torch.zeros((), device=some.device),
            )
            found = self.out_norm(self.out(found))
        return torch.where(some[:, None], found, 0.0)

    def _modulated(self, vectors: Mapping[str, Tensor], has: Mapping[str, Tensor]) -> Tensor:
        """FiLM before its last LayerNorm: the mean of the projected modalities, scaled and shifted, ``[B, d]``."""
        projected = [name for name in self.names if name != self.modulator]
        any_vector = next(iter(vectors.values()))
        found = any_vector.new_zeros(len(any_vector), self.dim)
        if projected:
            count = torch.stack([has[name] for name in projected]).sum(0)
            total = sum(
                (torch.where(has[n][:, None], self.projection(n)(vectors[n]), 0.0) for n in projected), start=found
            )
            mean = total / count.clamp(min=1)[:, None]
            found = torch.where(count[:, None] > 0, self.before(mean), 0.0)
        if self.modulator is not None and self.scale is not None and self.shift is not None:
            mask, own = has[self.modulator][:, None], vectors[self.modulator]
            scale, shift = torch.where(mask, self.scale(own), 1.0), torch.where(mask, self.shift(own), 0.0)
            found = scale * found + shift
        return found
