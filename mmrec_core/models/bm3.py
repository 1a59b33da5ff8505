"""Self-supervised multimodal recommendation without negatives (Zhou et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models._content_graph import ContentGraphConfig, ContentGraphModel
from mmrec_core.models._graph import Layers
from mmrec_core.models._item_content import Content
from mmrec_core.types import ItemState, TrainSet


class BM3(ContentGraphModel):
    """Bootstrapped multimodal model without negatives (Zhou et al. 2023, "Bootstrap Latent Representations", BM3).

    Embeddings are LightGCN's, for items plus the id embedding. A predictor ``P`` (one linear layer) is applied to them;
    the loss pulls ``P(u)`` to a dropped-out copy of its liked item without gradient, ``P(i)`` to its user, and ``P`` of
    each projected modality to the item's copy and to its own, each by ``1 − cosine``:
    ``(u,i) + (i,u) + content_weight · Σ_m [(m,i) + (m,m')] + l2 · norms``. Scores are ``P(u) · P(i)``. As in
    the authors' code, encoders' vectors are read as they are (``standardise``), those of training items are fine-tuned
    (``tune``), and all weights are initialised after Glorot. A new item is scored by ``P`` of its projected content.
    """

    class Config(ContentGraphConfig):
        """Settings of the graph and of the losses."""

        layers: int = setting(
            1,
            "layers of the user-item graph; with 0 there are no messages, and new users cannot be folded in",
            ge=0,
            le=8,
        )
        dropout: float = setting(0.3, "dropout of the targets", ge=0.0, le=0.9)
        content_weight: float = setting(0.1, "weight of the losses of the content; 2 in the paper", ge=0.0, le=100.0)
        standardise: bool = setting(
            False, "whether mean and standard deviation of the encoder's vectors are removed; the authors keep them"
        )
        tune: bool = setting(True, "whether the vectors of training films are fine-tuned, as the authors do")
        l2: float = setting(
            0.1, "penalty on the norms of all embeddings, divided by the number of items", ge=0.0, le=10.0
        )

    train_defaults: ClassVar[Mapping[str, Any]] = {**ContentGraphModel.train_defaults, "lr": 0.005, "patience": 40}
    scores_by_content: ClassVar[bool] = False
    version: ClassVar[int] = 2
    config: Config

    def more_layers(self) -> None:
        """Build projections and predictor; there is no item graph."""
        super().more_layers()
        self.content = Content(self.side, self.schema.n_items, self.config.standardise)
        dim = self.config.dim
        self.predictor = nn.Linear(dim, dim)
        self.project = nn.ModuleDict({name: nn.Linear(self.content.width(name), dim) for name in self.content.names})
        self.moved = nn.ParameterDict(
            {
                name: nn.Parameter(torch.zeros(self.schema.n_items, self.content.width(name)))
                for name in (self.content.names if self.config.tune else ())
            }
        )
        """What training has added to the encoder's vectors of the items, ``[I, W]`` by modality."""

    def seed_weights(self) -> None:
        """Also initialise tables, predictor and projections after Glorot and Bengio (2010), as the authors do."""
        super().seed_weights()
        generator = self.generator(1, 9)
        for table in (self.user_table, self.item_table):
            nn.init.xavier_uniform_(table.weight, generator=generator)
        for layer in (self.predictor, *self.project.values()):
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_normal_(layer.weight, generator=generator)
        for moved in self.moved.values():
            nn.init.zeros_(moved)

    def n_channels(self) -> int:
        """One more channel: the items' id embeddings."""
        return 1

    def channels(self, ids: Tensor) -> Tensor:
        """Id embeddings ``[I + 1, 1, d]``; of items outside training their projected content."""
        outside = torch.nonzero(~self.known_items[:-1])[:, 0]
        if len(outside) and self.content.names:
            read = {name: self.content.read(name, outside) for name in self.content.names}
            ids = ids.index_put((outside,), self.projected(read).to(ids.dtype))
        return ids[:, None]

    def projected(self, read: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Mean ``[n, d]`` of the projected modalities, from vectors ``[n, W]`` and masks ``[n]``; zeros without any."""
        made = [self.project[name](vectors) * has[:, None] for name, (vectors, has) in read.items()]
        count = torch.stack([has for _, has in read.values()]).sum(0).clamp(min=1)
        return torch.stack(made).sum(0) / count[:, None]

    def combine(self, layers: Layers) -> Tensor:
        """Predicted embeddings ``[n, d]``."""
        found: Tensor = self.predictor(super().combine(layers))
        return found

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Every liked pair (user, item), without negatives."""
        positives = self.rows(train.positives)
        return {"user": positives["user"], "item": positives["item"]}

    def row_losses(self, batch: Batch) -> Tensor:
        """Losses ``[B]`` between views of each liked pair, plus the penalty on norms."""
        user_layers, item_layers = self.propagate()
        raw_users, raw_items = super().combine(user_layers), super().combine(item_layers)
        user, item = self.oov_user(batch["user"]), batch["item"]
        own, liked = raw_users[user], raw_items[item]
        user_target, item_target = self._target(own), self._target(liked)
        loss = away(self.predictor(own), item_target) + away(self.predictor(liked), user_target)
        for name in self.content.names:
            vectors, has = self.content.read(name, item)
            if name in self.moved:
                vectors = vectors + self.moved[name][item]
            made = self.project[name](vectors)
            view = self.predictor(made)
            both = away(view, item_target) + away(view, self._target(made))
            loss = loss + self.config.content_weight * both * has
        norms = (raw_users.norm() + raw_items.norm()) / len(raw_items)
        return loss + self.config.l2 * norms

    def _target(self, view: Tensor) -> Tensor:
        """A dropped-out copy without gradient."""
        return F.dropout(view.detach(), self.config.dropout, self.training)

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items: the predicted mean of their projected modalities ``[B, W]`` (some may be missing)."""
        names = [name for name in self.content.names if name in content]
        if not names:
            return None
        self.rest()
        n, device = len(content[names[0]]), self.known_items.device
        vector = self.predictor(self.projected({name: self.content.given(name, content, n, device) for name in names}))
        return ItemState({"vector": vector}, tuple("folded" for _ in range(n)))


def away(view: Tensor, target: Tensor) -> Tensor:
    """``1 − cosine`` of rows, ``[B]``."""
    return 1 - F.cosine_similarity(view, target, dim=-1)
