"""What films say of themselves: an encoder's vectors of plots and posters, gathered by index, with masks for what is
missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core.config import Config, setting
from mmrec_core.models._fusion import Fusion, Kind
from mmrec_core.types import Field

MODALITIES = ("text", "image")
MOST_MEASURED = 50_000
"""Films whose vectors are enough to tell where vectors lie."""


class ContentConfig(Config):
    """How text and image come together."""

    fusion: Literal["concat", "mlp", "film", "gated"] = setting(
        "concat",
        "how text and image become one vector: a linear layer on both, an MLP, text modulating the image, a gate",
    )
    fusion_width: int = setting(64, "hidden units of the mlp and film fusions", ge=4, le=2048, log=True, advanced=True)
    content_dropout: float = setting(
        0.2,
        "share of an encoder's numbers silenced in training: few films are seen, so their vectors are easily learned by"
        " heart",
        ge=0.0,
        le=0.95,
    )


class Content(nn.Module):
    """Vectors of items' plots and posters, those of the side information that an encoder made.

    Vectors stay where they lie: a memory map on the CPU, the device's memory on a GPU. They are read around the
    training films' middle, each coordinate about 1 large, so that what all films share says nothing of any of them.

    Args:
        side: all side information; fields that are vectors of items are read.
        n_items: item rows; row ``n_items`` stands for an unknown item, which shows and tells nothing.
    """

    def __init__(self, side: Sequence[Field], n_items: int) -> None:
        super().__init__()
        self.fields: dict[str, Field] = {f.name: f for f in side if f.kind == "vector" and f.owner == "item"}
        self.names = [name for name in MODALITIES if name in self.fields]
        self.n_items = n_items
        for name, field in self.fields.items():
            self.register_buffer(f"{name}_vectors", torch.from_numpy(_writable(field.data)), persistent=False)
            self.register_buffer(f"{name}_place", torch.from_numpy(np.append(field.place, -1)), persistent=False)
            self.register_buffer(f"{name}_middle", torch.zeros(field.width))
            self.register_buffer(f"{name}_spread", torch.ones(()))

    def width(self, name: str) -> int:
        """Numbers in a vector of a modality; 0 where it is not given."""
        return self.fields[name].width if name in self.fields else 0

    def begin(self, known_items: Tensor) -> None:
        """Measure where the training films' vectors lie; ``known_items`` ``[I + 1]`` says which films those are."""
        films = torch.nonzero(known_items[:-1])[:, 0]
        for name in self.fields:
            place = self.get_buffer(f"{name}_place")[films]
            vectors = self.get_buffer(f"{name}_vectors")[place[place >= 0][:MOST_MEASURED]].float()
            if len(vectors) > 1:
                middle = vectors.mean(0)
                setattr(self, f"{name}_middle", middle)
                setattr(self, f"{name}_spread", (vectors - middle).square().mean().sqrt().clamp(min=1e-6))

    def read(self, name: str, item: Tensor) -> tuple[Tensor, Tensor]:
        """A modality of items ``[B]``: vectors ``[B, W]`` (zeros where missing) and who has one ``[B]``."""
        if name not in self.fields:
            nobody = torch.zeros(len(item), dtype=torch.bool, device=item.device)
            return torch.zeros(len(item), 0, device=item.device), nobody
        place = self.get_buffer(f"{name}_place")[item]
        has = place >= 0
        vectors = self.get_buffer(f"{name}_vectors")
        if not len(vectors):
            return torch.zeros(len(item), self.fields[name].width, device=item.device), has
        return self.centred(name, vectors[place.clamp(min=0)].float()) * has[:, None], has

    def given(self, name: str, content: Mapping[str, Tensor], n: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """The same for ``n`` films that are in no catalog, from what ``content`` gives of them."""
        info = content.get(name) if name in self.fields else None
        has = torch.full((n,), info is not None, device=device)
        if info is None:
            return torch.zeros(n, self.width(name), device=device), has
        return self.centred(name, info.to(device).float()), has

    def centred(self, name: str, vectors: Tensor) -> Tensor:
        """Vectors ``[B, W]`` around the training films' middle, each coordinate about 1 large."""
        return (vectors - self.get_buffer(f"{name}_middle")) / self.get_buffer(f"{name}_spread")


class FusedContent(Content):
    """The same as one vector ``[B, d]`` a film; see :class:`~mmrec_core.models._fusion.Fusion`.

    Args:
        kind, dim, hidden: of the fusion.
        silenced: share of an encoder's numbers silenced in training; few films are seen, so vectors are easily learned
            by heart.
    """

    def __init__(
        self,
        side: Sequence[Field],
        n_items: int,
        kind: Kind,
        dim: int,
        hidden: int | None = None,
        silenced: float = 0.0,
    ) -> None:
        super().__init__(side, n_items)
        self.silenced = silenced
        self.fusion = Fusion(kind, self.width("text"), self.width("image"), dim, hidden=hidden) if self.names else None

    def start(self) -> None:
        """FiLM begins as the identity; to be called once other weights are drawn."""
        if self.fusion is not None:
            self.fusion.start()

    def forward(self, item: Tensor, hidden: Tensor | None = None) -> Tensor:
        """``[B, d]`` for items ``[B]``; ``hidden`` ``[B]`` hides one of two modalities (1 text, 2 image) where both are
        there."""
        (text, has_text), (image, has_image) = self.read("text", item), self.read("image", item)
        if hidden is not None:
            both = has_text & has_image
            has_text, has_image = has_text & ~(both & (hidden == 1)), has_image & ~(both & (hidden == 2))
        return self.fuse(text, image, has_text, has_image)

    def of(self, content: Mapping[str, Tensor], device: torch.device) -> Tensor:
        """``[B, d]`` of films in no catalog, by their ``text`` and ``image`` vectors ``[B, W]`` (either may be
        missing)."""
        n = len(next(iter(content.values())))
        (text, has_text), (image, has_image) = (self.given(name, content, n, device) for name in MODALITIES)
        return self.fuse(text, image, has_text, has_image)

    def fuse(self, text: Tensor, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        """``[B, d]`` from both modalities and their masks."""
        assert self.fusion is not None
        if self.training and self.silenced:
            text, image = (nn.functional.dropout(info, self.silenced) for info in (text, image))
        fused: Tensor = self.fusion(text * has_text[:, None], image * has_image[:, None], has_text, has_image)
        return fused


def _writable(vectors: Any) -> Any:
    """The same array; a memory map as one that writes to memory only, which torch asks for and nobody does."""
    if isinstance(vectors, np.memmap):
        return np.memmap(str(vectors.filename), vectors.dtype, "c", vectors.offset, vectors.shape)
    return vectors
