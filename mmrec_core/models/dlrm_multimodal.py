"""What a film says of itself, beside who watched it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models._fusion import Fusion
from mmrec_core.models.dlrm import DLRM
from mmrec_core.types import Field, ItemState, TrainSet


class DLRMMultimodal(DLRM):
    """DLRM that also reads plots and posters: an encoder's vectors, fused, as one more vector of the interaction.

    Covers DLRM with BERT and ResNet (``--encoder bert+resnet``), DLRM with CLIP, and plain late concatenation
    (``interaction=none``), after Naumov et al. 2019 and, for the fusions, Perez et al. 2018 (FiLM) and Arevalo et al. 2017 (gated
    units). In training films are hidden at times (``id_dropout``: Volkovs et al. 2017, "DropoutNet") and so is one of their
    modalities (``modality_dropout``), so that a film nobody has rated is scored by what it shows and tells.
    """

    class Config(DLRM.Config):
        """DLRM's, and how text and image come together."""

        fusion: Literal["concat", "mlp", "film", "gated"] = setting(
            "concat",
            "how text and image become one vector: a linear layer on both, an MLP, text modulating the image, a gate",
        )
        fusion_width: int = setting(
            64, "hidden units of the mlp and film fusions", ge=4, le=2048, log=True, advanced=True
        )
        modality_dropout: float = setting(
            0.2, "share of films with both whose text or image is hidden in training", ge=0.0, le=0.9
        )
        content_dropout: float = setting(
            0.5,
            "share of an encoder's numbers silenced in training: few films are seen, so their vectors are easily learned by heart",
            ge=0.0,
            le=0.95,
        )
        id_dropout: float = setting(
            0.2,
            "share of rows whose user or film is hidden in training, which teaches what to make of the unknown",
            ge=0.0,
            le=0.9,
        )

    needs: ClassVar[frozenset[str]] = frozenset({"ids", "rating", "text|image"})
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 0.001,
        "batch_size": 256,
        "max_epochs": 60,
        "patience": 15,
        "weight_decay": 5.0,
    }
    version: ClassVar[int] = 1
    config: Config

    def more_layers(self) -> None:
        """The fused vector, where any modality is given."""
        self.content: dict[str, Field] = {f.name: f for f in self.side if f.kind == "vector"}
        if not self.content:
            return
        for name, field in self.content.items():
            # gathered by index where they lie: a memory map on the CPU, the device's memory on a GPU
            self.register_buffer(f"{name}_vectors", torch.from_numpy(_writable(field.data)), persistent=False)
            self.register_buffer(f"{name}_middle", torch.zeros(field.width))
            self.register_buffer(f"{name}_spread", torch.ones(()))
            self.register_buffer(f"{name}_place", torch.from_numpy(np.append(field.place, -1)), persistent=False)
        wide = {name: self.content[name].width if name in self.content else 0 for name in ("text", "image")}
        self.fusion = Fusion(
            self.config.fusion, wide["text"], wide["image"], self.config.dim, hidden=self.config.fusion_width
        )
        self.loudness = nn.Parameter(torch.tensor(0.1))
        """Embeddings start small; the fused vector, normalised, starts as small."""
        self.n_vectors += 1

    def seed_weights(self) -> None:
        """As everywhere; FiLM begins as the identity."""
        super().seed_weights()
        if self.content:
            self.fusion.start()

    def begin(self, train: TrainSet) -> None:
        """As everywhere; and where the training films' vectors lie, so that what they share says nothing of any of them."""
        super().begin(train)
        films = torch.nonzero(self.known_items[:-1])[:, 0]
        for name in self.content:
            place = self.get_buffer(f"{name}_place")[films]
            vectors = self.get_buffer(f"{name}_vectors")[place[place >= 0][:50_000]].float()
            if len(vectors) > 1:
                middle = vectors.mean(0)
                setattr(self, f"{name}_middle", middle)
                setattr(self, f"{name}_spread", (vectors - middle).square().mean().sqrt().clamp(min=1e-6))

    def read(self, name: str, item: Tensor) -> tuple[Tensor, Tensor]:
        """A modality of items ``[B]``: vectors ``[B, W]`` (zeros where missing) and who has one ``[B]``."""
        if name not in self.content:
            return torch.zeros(len(item), 0, device=item.device), torch.zeros(
                len(item), dtype=torch.bool, device=item.device
            )
        place = self.get_buffer(f"{name}_place")[item]
        has = place >= 0
        vectors = self.get_buffer(f"{name}_vectors")
        if not len(vectors):
            return torch.zeros(len(item), self.content[name].width, device=item.device), has
        return self.centred(name, vectors[place.clamp(min=0)].float()) * has[:, None], has

    def centred(self, name: str, vectors: Tensor) -> Tensor:
        """Vectors ``[B, W]`` around the training films' middle, each coordinate about 1 large."""
        return (vectors - self.get_buffer(f"{name}_middle")) / self.get_buffer(f"{name}_spread")

    def hide(self, table: Batch, epoch: int) -> None:
        """Users and films as everywhere, and a modality: 1 the text, 2 the image."""
        super().hide(table, epoch)
        if len(self.content) == 2 and (share := self.config.modality_dropout) > 0:
            drawn = torch.rand(table["item"].shape, generator=self.generator(epoch, 5))
            table["modality_hidden"] = (drawn < share).long() + (drawn < share / 2).long()

    def more_of(self, item: Mapping[str, Tensor], batch: Batch) -> list[Tensor]:
        """The fused vector ``[B, 1, d]``."""
        if not self.content:
            return []
        if "fused" in item:
            return [item["fused"][:, None]]
        return [self.fused(batch["item"], batch.get("modality_hidden"))[:, None]]

    def fused(self, item: Tensor, hidden: Tensor | None = None) -> Tensor:
        """``[B, d]`` for items ``[B]``; ``hidden`` ``[B]`` hides one of two modalities where both are there."""
        (text, has_text), (image, has_image) = self.read("text", item), self.read("image", item)
        if hidden is not None:
            both = has_text & has_image
            has_text, has_image = has_text & ~(both & (hidden == 1)), has_image & ~(both & (hidden == 2))
        return self._fuse(text, image, has_text, has_image)

    def _fuse(self, text: Tensor, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        if self.training and self.config.content_dropout:
            text, image = (F.dropout(told, self.config.content_dropout) for told in (text, image))
        return self.loudness * self.fusion(text * has_text[:, None], image * has_image[:, None], has_text, has_image)

    def _items_of(self, item: Tensor) -> dict[str, Tensor]:
        found = super()._items_of(item)
        if self.content and not self.training and not torch.is_grad_enabled():
            found["fused"] = self.fused(item)
        return found

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """What the model makes of new films by their ``text`` and ``image`` vectors ``[B, W]`` (either may be missing)."""
        if not self.content or not set(content) & set(self.content):
            return None
        self.eval()
        n = len(next(iter(content.values())))
        item = self.items_of(torch.full((n,), self.schema.n_items, device=self.mean.device))
        told = []
        for name in ("text", "image"):
            given = content.get(name) if name in self.content else None
            wide = self.content[name].width if name in self.content else 0
            held = torch.zeros(n, wide) if given is None else self.centred(name, given.to(self.mean.device).float())
            told.append((held, torch.full((n,), given is not None)))
        (text, has_text), (image, has_image) = told
        item["fused"] = self._fuse(text.to(self.mean.device), image.to(self.mean.device),
                                   has_text.to(self.mean.device), has_image.to(self.mean.device))  # fmt: skip
        return ItemState(item, tuple("folded" for _ in range(n)))


def _writable(vectors: Any) -> Any:
    """The same array; a memory map as one that writes to memory only, which torch asks for and nobody does."""
    if isinstance(vectors, np.memmap):
        return np.memmap(str(vectors.filename), vectors.dtype, "c", vectors.offset, vectors.shape)
    return vectors
