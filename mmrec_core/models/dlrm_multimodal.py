"""DLRM with plot and poster vectors as one more embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models._item_content import ContentConfig, FusedContent
from mmrec_core.models.dlrm import DLRM
from mmrec_core.types import ItemState, TrainSet


class DLRMMultimodal(DLRM):
    """DLRM with content: an encoder's vectors of plot and poster, fused, are one more vector of the interaction.

    Covers DLRM with BERT and ResNet (``--encoder bert+resnet``), DLRM with CLIP, and late concatenation
    (``interaction=none``), after Naumov et al. 2019 and, for the fusions, Perez et al. 2018 (FiLM) and Arevalo et al.
    2017 (gated units). In training some items are hidden (``id_dropout``: Volkovs et al. 2017, "DropoutNet"), and of
    some items one modality (``modality_dropout``), so that items without ratings are scored by their content.
    """

    class Config(ContentConfig, DLRM.Config):
        """Settings of DLRM and of the fusion of text and image."""

        modality_dropout: float = setting(
            0.2, "share of films with both whose text or image is hidden in training", ge=0.0, le=0.9
        )
        content_dropout: float = setting(0.5, "dropout of an encoder's vectors in training", ge=0.0, le=0.95)
        id_dropout: float = setting(
            0.2,
            "share of rows whose user or film is hidden in training, which trains the embeddings of unknown ids",
            ge=0.0,
            le=0.9,
        )

    family: ClassVar[str] = "multimodal"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "rating", "content"})
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 0.001,
        "batch_size": 256,
        "max_epochs": 60,
        "patience": 15,
        "weight_decay": 5.0,
    }
    version: ClassVar[int] = 2
    config: Config

    def more_layers(self) -> None:
        """Build the fusion of the items' content, where there is any."""
        config = self.config
        self.content = FusedContent(
            self.side, self.schema.n_items, config.fusion, config.dim, config.fusion_width, config.content_dropout
        )
        if self.content.names:
            self.loudness = nn.Parameter(torch.tensor(0.1))
            """Learned scale of the fused vector; it starts small, like the embeddings."""
            self.n_vectors += 1

    def seed_weights(self) -> None:
        """Also initialise FiLM as the identity."""
        super().seed_weights()
        self.content.start()

    def begin(self, train: TrainSet) -> None:
        """Also compute mean and standard deviation of the training items' content."""
        super().begin(train)
        self.content.begin(self.known_items)

    def hide(self, table: Batch, epoch: int) -> None:
        """Also hide one modality of a share of items (its number from 1; 0: none), where the dataset has several."""
        super().hide(table, epoch)
        n = len(self.content.names)
        if n > 1 and (share := self.config.modality_dropout) > 0:
            drawn = torch.rand(table["item"].shape, generator=self.generator(epoch, 5))
            table["modality_hidden"] = torch.stack([drawn < share * k / n for k in range(1, n + 1)]).sum(0)

    def extra_vector_names(self) -> list[str]:
        """Names of the fused vector for display."""
        return (
            [" and ".join({"text": "plot", "image": "poster"}.get(n, n) for n in self.content.names)]
            if self.content.names
            else []
        )

    def extra_item_vectors(self, item: Mapping[str, Tensor], batch: Batch) -> list[Tensor]:
        """The fused vector of items, ``[B, 1, d]``."""
        if not self.content.names:
            return []
        if "fused" in item:
            return [item["fused"][:, None]]
        return [self.loudness * self.content(batch["item"], batch.get("modality_hidden"))[:, None]]

    def _item_features(self, item: Tensor) -> dict[str, Tensor]:
        found = super()._item_features(item)
        if self.content.names and not self.training and not torch.is_grad_enabled():
            found["fused"] = self.loudness * self.content(item)
        return found

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items from their ``text`` and ``image`` vectors ``[B, W]`` (either may be missing)."""
        if not set(content) & set(self.content.names):
            return None
        self.rest()
        n, device = len(next(iter(content.values()))), self.mean.device
        item = self.item_features(torch.full((n,), self.schema.n_items, device=device))
        item["fused"] = self.loudness * self.content.of(content, device)
        return ItemState(item, tuple("folded" for _ in range(n)))

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """Scores ``[B, n]`` pair by pair, as for items of the catalog."""
        self.rest()
        n_users, n_films = len(next(iter(state.values()))), len(item["id"])
        user = torch.arange(n_users, device=self.mean.device).repeat_interleave(n_films)
        row = torch.full_like(user, self.schema.n_items)
        films = {name: column.repeat(n_users, *[1] * (column.dim() - 1)) for name, column in item.items()}
        batch: Batch = {"user": user, "item": row, "state": state, "films": films}
        return self(self.user_tensors(batch), batch)[:, 0].view(n_users, n_films)
