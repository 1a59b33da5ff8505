"""Multi-view graph convolution with content purified by behaviour (Yu et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models import _item_graph
from mmrec_core.models._base import Batch
from mmrec_core.models._content_graph import ContentGraphConfig, ContentGraphModel
from mmrec_core.models._graph import Layers


class MGCN(ContentGraphModel):
    """Multi-view graph convolution (Yu et al. 2023, "Multi-View Graph Convolutional Network", MGCN).

    Projected content is gated by the id embedding (``id ⊙ σ(W f + b)``), passed over the modality's item graph and once
    from items to their users. Attention over modalities gives a common vector; what a modality adds to it is weighted
    by a gate of LightGCN's embedding; the mean of both is the side embedding, which is added to LightGCN's. The loss is
    BPR plus ``contrast`` times InfoNCE between both embeddings, of the batch's users and of its liked items.
    """

    class Config(ContentGraphConfig):
        """Settings of the graphs and of the contrastive loss."""

        contrast: float = setting(0.01, "weight of the contrastive loss", ge=0.0, le=10.0)
        temperature: float = setting(0.2, "temperature of the contrastive loss", ge=0.01, le=10.0, log=True)

    train_defaults: ClassVar[Mapping[str, Any]] = {**ContentGraphModel.train_defaults, "lr": 0.001}
    config: Config

    def more_layers(self) -> None:
        """Also build projections, gates and the attention over modalities."""
        super().more_layers()
        names, dim = self.content.names, self.config.dim
        self.project = nn.ModuleDict({name: nn.Linear(self.content.width(name), dim) for name in names})
        self.purify = nn.ModuleDict({name: nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid()) for name in names})
        self.prefer = nn.ModuleDict({name: nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid()) for name in names})
        self.attend = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))

    def n_channels(self) -> int:
        """One more channel per modality."""
        return len(self.content.names)

    def purified(self, ids: Tensor, name: str) -> Tensor:
        """Id embeddings ``[I, d]`` gated by projected content; zeros where an item has no vector."""
        vectors, has = self.content.read(name, torch.arange(self.schema.n_items, device=ids.device))
        found: Tensor = ids * self.purify[name](self.project[name](vectors)) * has[:, None]
        return found

    def channels(self, ids: Tensor) -> Tensor:
        """Per modality the purified content of similar items, ``[I + 1, M, d]``."""
        found = [_item_graph.sums(*self.item_graph(name), self.purified(ids[:-1], name)) for name in self.content.names]
        every = torch.stack(found, 1)
        return torch.cat([every, torch.zeros_like(every[:1])])

    def message(self, layer: Tensor) -> Tensor:
        """Messages ``[n, C, d]``: all channels."""
        return layer

    def update(self, at: int, own: Tensor, aggregated: Tensor) -> Tensor:
        """Next layer ``[n, C, d]``: aggregated embeddings; content passes once, from items to users, who have none."""
        more = own[:, 1:] + aggregated[:, 1:] if at == 0 else own[:, 1:]
        return torch.cat([aggregated[:, :1], more], 1)

    def sides(self, layers: Layers) -> tuple[Tensor, Tensor]:
        """LightGCN's embeddings ``[n, d]`` and the side embeddings ``[n, d]``."""
        ids, names = self.averaged(layers), self.content.names
        if not names:
            return ids, torch.zeros_like(ids)
        views = layers[-1][:, 1:]
        shares = torch.softmax(self.attend(views), 1)
        common = (shares * views).sum(1)
        special = [self.prefer[name](ids) * (views[:, at] - common) for at, name in enumerate(names)]
        return ids, (torch.stack(special).sum(0) + common) / (len(names) + 1)

    def combine(self, layers: Layers) -> Tensor:
        """Embeddings ``[n, d]``: LightGCN's plus the side embedding."""
        ids, side = self.sides(layers)
        return ids + side

    def row_losses(self, batch: Batch) -> Tensor:
        """BPR losses ``[B]``, the L2 penalty, and the contrastive loss of each row's user and liked item."""
        users, items = self.propagate()
        (user_ids, user_side), (item_ids, item_side) = self.sides(users), self.sides(items)
        score = self.dots(user_ids + user_side, item_ids + item_side, batch)
        loss = F.softplus(score[:, 1:] - score[:, :1]).mean(1) + self.config.l2 * self.squared_norms(batch)
        if not self.config.contrast or not self.content.names:
            return loss
        user, item, heat = self.oov_user(batch["user"]), batch["item"], self.config.temperature
        contrast = info_nce(user_side[user], user_ids[user], heat) + info_nce(item_side[item], item_ids[item], heat)
        return loss + self.config.contrast * contrast

    def new_channels(self, content: Mapping[str, Tensor]) -> Tensor:
        """Per modality the purified content of the most similar training items, ``[n, M, d]``; zeros for modalities
        that are not given."""
        every = torch.arange(self.schema.n_items, device=self.known_items.device)
        ids, n = self.ids("item", every), len(next(iter(content.values())))
        found = []
        for name in self.content.names:
            if name in content:
                found.append(_item_graph.sums(*self.new_item_links(name, content[name]), self.purified(ids, name)))
            else:
                found.append(ids.new_zeros(n, self.config.dim))
        return torch.stack(found, 1)


def info_nce(view: Tensor, other: Tensor, temperature: float) -> Tensor:
    """InfoNCE losses ``[B]`` (van den Oord et al. 2018): each row's other view among all rows' other views."""
    logits = F.normalize(view, dim=1) @ F.normalize(other, dim=1).T / temperature
    return logits.logsumexp(1) - logits.diagonal()
