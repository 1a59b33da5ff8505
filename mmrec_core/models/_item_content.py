"""Content of items: vectors of one or more modalities (text, image, audio …), read by item row, with masks for missing
ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core.config import Config, setting
from mmrec_core.models._fusion import Fusion, Kind
from mmrec_core.types import Field, in_order

MOST_MEASURED = 50_000
"""Most items over which the mean and the standard deviation of vectors are computed."""


class ContentConfig(Config):
    """Settings of the fusion of modalities."""

    fusion: Literal["concat", "mlp", "film", "gated"] = setting(
        "concat",
        "how text, image and others become one vector: a linear layer on all, an MLP, text modulating the rest, gates",
    )
    fusion_width: int = setting(64, "hidden units of the mlp and film fusions", ge=4, le=2048, log=True, advanced=True)
    content_dropout: float = setting(
        0.2,
        "dropout of an encoder's vectors in training, against overfitting: there are few films",
        ge=0.0,
        le=0.95,
    )


class Content(nn.Module):
    """Stored vectors of items, one field per modality.

    Vectors stay where they are stored: in a memory map on the CPU, or in the device's memory on a GPU. They are read
    minus the mean of the training items' vectors, divided by their standard deviation, or as they are.

    Args:
        side: all side information; its fields that are vectors of items are read.
        n_items: number of items; row ``n_items`` stands for an unknown item, which has no content.
        standardise: whether mean and standard deviation of the training items' vectors are removed.
    """

    def __init__(self, side: Sequence[Field], n_items: int, standardise: bool = True) -> None:
        super().__init__()
        self.standardise = standardise
        self.fields: dict[str, Field] = {f.name: f for f in side if f.kind == "vector" and f.owner == "item"}
        self.names = in_order(self.fields)
        self.n_items = n_items
        for name, field in self.fields.items():
            self.register_buffer(f"{name}_vectors", torch.from_numpy(_writable(field.data)), persistent=False)
            self.register_buffer(f"{name}_place", torch.from_numpy(np.append(field.place, -1)), persistent=False)
            self.register_buffer(f"{name}_middle", torch.zeros(field.width))
            self.register_buffer(f"{name}_spread", torch.ones(()))

    def width(self, name: str) -> int:
        """Width of a modality's vectors; 0 where the dataset has none."""
        return self.fields[name].width if name in self.fields else 0

    @property
    def widths(self) -> dict[str, int]:
        """Width of each modality's vectors, in their order."""
        return {name: self.width(name) for name in self.names}

    def begin(self, known_items: Tensor) -> None:
        """Compute mean and standard deviation of the training items' vectors; the mask ``known_items [I + 1]`` selects
        them. Without ``standardise`` they stay 0 and 1."""
        if not self.standardise:
            return
        films = torch.nonzero(known_items[:-1])[:, 0]
        for name in self.fields:
            place = self.get_buffer(f"{name}_place")[films]
            vectors = self.get_buffer(f"{name}_vectors")[place[place >= 0][:MOST_MEASURED]].float()
            if len(vectors) > 1:
                middle = vectors.mean(0)
                setattr(self, f"{name}_middle", middle)
                setattr(self, f"{name}_spread", (vectors - middle).square().mean().sqrt().clamp(min=1e-6))

    def read(self, name: str, item: Tensor) -> tuple[Tensor, Tensor]:
        """A modality of items ``[B]``: vectors ``[B, W]``, zeros where missing, and a mask ``[B]`` of items that have
        one."""
        if name not in self.fields:
            none = torch.zeros(len(item), dtype=torch.bool, device=item.device)
            return torch.zeros(len(item), 0, device=item.device), none
        place = self.get_buffer(f"{name}_place")[item]
        has = place >= 0
        vectors = self.get_buffer(f"{name}_vectors")
        if not len(vectors):
            return torch.zeros(len(item), self.fields[name].width, device=item.device), has
        return self.centred(name, vectors[place.clamp(min=0)].float()) * has[:, None], has

    def raw(self, name: str) -> Tensor:
        """Stored vectors ``[I, W]`` of a modality of all items, as the encoder made them; zeros where missing."""
        place, vectors = self.get_buffer(f"{name}_place")[:-1], self.get_buffer(f"{name}_vectors")
        if not len(vectors):
            return torch.zeros(len(place), self.width(name), device=place.device)
        found: Tensor = vectors[place.clamp(min=0)].float() * (place >= 0)[:, None]
        return found

    def given(self, name: str, content: Mapping[str, Tensor], n: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """A modality of ``n`` items outside the catalog, whose vectors are in ``content``: vectors ``[n, W]`` and mask
        ``[n]``.

        Args:
            name: the modality.
            content: the items' vectors ``[n, W]`` by modality.
            n: number of items.
            device: device of the result.
        """
        vectors = content.get(name) if name in self.fields else None
        has = torch.full((n,), vectors is not None, device=device)
        if vectors is None:
            return torch.zeros(n, self.width(name), device=device), has
        return self.centred(name, vectors.to(device).float()), has

    def centred(self, name: str, vectors: Tensor) -> Tensor:
        """Vectors ``[B, W]`` minus the training items' mean, divided by their standard deviation."""
        return (vectors - self.get_buffer(f"{name}_middle")) / self.get_buffer(f"{name}_spread")


class FusedContent(Content):
    """Content of items fused to one vector ``[B, d]`` per item; see :class:`~mmrec_core.models._fusion.Fusion`.

    Args:
        side: all side information; its fields that are vectors of items are read.
        n_items: number of items.
        kind: kind of the fusion.
        dim: width ``d`` of the fused vector.
        hidden: width of the fusion's hidden layers.
        dropout: dropout of the encoder's vectors in training, against overfitting.
    """

    def __init__(
        self,
        side: Sequence[Field],
        n_items: int,
        kind: Kind,
        dim: int,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(side, n_items)
        self.dropout = dropout
        self.fusion = Fusion(kind, self.widths, dim, hidden=hidden) if self.names else None

    def start(self) -> None:
        """Initialise FiLM as the identity. Call it after all other weights are drawn."""
        if self.fusion is not None:
            self.fusion.start()

    def forward(self, item: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Fused vectors ``[B, d]`` of items ``[B]``; ``hidden [B]`` hides one modality (their numbers from 1; 0: none)
        of items that have others."""
        read = {name: self.read(name, item) for name in self.names}
        has = {name: mask for name, (_, mask) in read.items()}
        if hidden is not None:
            several = torch.stack(list(has.values())).sum(0) > 1
            has = {name: mask & ~(several & (hidden == at)) for at, (name, mask) in enumerate(has.items(), 1)}
        return self.fuse({name: vectors for name, (vectors, _) in read.items()}, has)

    def of(self, content: Mapping[str, Tensor], device: torch.device) -> Tensor:
        """Fused vectors ``[B, d]`` of items outside the catalog, from their vectors ``[B, W]`` by modality (some may be
        missing)."""
        n = len(next(iter(content.values())))
        read = {name: self.given(name, content, n, device) for name in self.names}
        return self.fuse(
            {name: vectors for name, (vectors, _) in read.items()}, {name: has for name, (_, has) in read.items()}
        )

    def fuse(self, vectors: Mapping[str, Tensor], has: Mapping[str, Tensor]) -> Tensor:
        """Fuse vectors of several modalities, with dropout in training.

        Args:
            vectors: vectors ``[B, W]`` by modality.
            has: masks ``[B]`` of items that have the modality.

        Returns:
            ``[B, d]``.
        """
        assert self.fusion is not None
        if self.training and self.dropout:
            vectors = {name: nn.functional.dropout(own, self.dropout) for name, own in vectors.items()}
        fused: Tensor = self.fusion({name: own * has[name][:, None] for name, own in vectors.items()}, has)
        return fused


def _writable(vectors: Any) -> Any:
    """The same array; a memory map as a copy-on-write one, because torch expects arrays that are writable."""
    if isinstance(vectors, np.memmap):
        return np.memmap(str(vectors.filename), vectors.dtype, "c", vectors.offset, vectors.shape)
    return vectors
