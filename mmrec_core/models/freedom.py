"""LightGCN on a pruned user-item graph plus a fixed graph of similar items (Zhou and Shen 2023)."""

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
from mmrec_core.models._gathered_dot import side_by_side
from mmrec_core.models._interaction_matrix import InteractionMatrix
from mmrec_core.types import Interactions, TrainSet


class FREEDOM(ContentGraphModel):
    """LightGCN on a pruned graph plus a frozen item graph (Zhou and Shen 2023, "A Tale of Two Graphs", FREEDOM).

    The item graph links each item to its ``k`` most similar ones with weight 1 and is never learned; it passes the id
    embeddings once, and its message is added to LightGCN's embedding of the item. Before each epoch a share of the
    user-item edges is dropped; an edge is kept with a probability in proportion to ``1 / √(d_u d_i)``. The loss is BPR
    plus ``content_weight`` times the BPR losses of the user with the projected vectors of each modality. Encoders'
    vectors stay frozen (the authors fine-tune them).
    """

    class Config(ContentGraphConfig):
        """Settings of both graphs."""

        edge_dropout: float = setting(0.8, "share of the user-item edges that are dropped in an epoch", ge=0.0, le=0.95)
        image_weight: float = setting(
            0.1,
            "weight of the image graph beside the graphs of the other modalities, which share the rest",
            ge=0.0,
            le=1.0,
        )
        content_weight: float = setting(1e-3, "weight of the loss of users with projected content", ge=0.0, le=10.0)

    raw_weights: ClassVar[bool] = False
    config: Config

    def more_layers(self) -> None:
        """Also build the projections of the modalities; a bias would cancel in the difference of two scores."""
        super().more_layers()
        self.project = nn.ModuleDict(
            {name: nn.Linear(self.content.width(name), self.config.dim, bias=False) for name in self.content.names}
        )
        self._pruned: list[InteractionMatrix] = []  # a list, so that it is not saved with the model

    def __getstate__(self) -> dict[str, Any]:
        """The attributes without the pruned graph, which the next epoch draws anew."""
        return {**super().__getstate__(), "_pruned": []}

    def forget(self) -> None:
        """Also clear the pruned graph, because it would stay on the old device."""
        super().forget()
        self._pruned = []

    @property
    def shares(self) -> dict[str, float]:
        """Weight of each modality's graph; they sum to 1."""
        names = self.content.names
        rest = [name for name in names if name != "image"]
        if "image" not in names or not rest:
            return {name: 1 / len(names) for name in names}
        weight = self.config.image_weight
        return {"image": weight} | {name: (1 - weight) / len(rest) for name in rest}

    # The pruned graph

    def start_epoch(self, train: TrainSet, epoch: int) -> None:
        """Draw the edges that are kept in this epoch."""
        super().start_epoch(train, epoch)
        if not self.config.edge_dropout:
            return
        start, item = self.graph.start.cpu(), self.graph.items.cpu().long()
        user = torch.repeat_interleave(torch.arange(len(start) - 1), start.diff())
        degree = self.graph.user_count.cpu()[user] * self.graph.item_count.cpu()[item]
        # the smallest of exponential variables divided by their weights are a sample without replacement
        keys = torch.empty(len(item)).exponential_(generator=self.generator(epoch, 6)) * degree.sqrt()
        kept = keys.topk(max(1, round(len(item) * (1 - self.config.edge_dropout))), largest=False).indices
        pruned = InteractionMatrix(self.schema.n_users, self.schema.n_items).to(self.known_items.device)
        pruned.set_rows(Interactions(user=user[kept].numpy(), item=item[kept].numpy()))
        self._pruned = [pruned]

    @property
    def edges(self) -> InteractionMatrix:
        """The edges that are kept in this epoch in training, all edges otherwise."""
        return self._pruned[0] if self.training and self._pruned else self.graph

    # Item graph

    def channels(self, ids: Tensor) -> Tensor:
        """The item graph's message ``[I + 1, 1, d]``."""
        shares = self.shares
        found = torch.stack(
            [shares[name] * _item_graph.sums(*self.item_graph(name), ids[:-1]) for name in self.content.names]
        ).sum(0)
        return torch.cat([found, torch.zeros_like(found[:1])])[:, None]

    def new_channels(self, content: Mapping[str, Tensor]) -> Tensor:
        """The message of the most similar training items, ``[n, 1, d]``."""
        table = self.ids("item", torch.arange(self.schema.n_items, device=self.known_items.device))
        links = {name: self.new_item_links(name, vectors) for name, vectors in content.items()}
        total = sum(self.shares[name] for name in links)
        found = [self.shares[name] / total * _item_graph.sums(i, w, table) for name, (i, w) in links.items()]
        return torch.stack(found).sum(0)[:, None]

    # Learning

    def row_losses(self, batch: Batch) -> Tensor:
        """BPR losses ``[B]`` of the embeddings, of the projected content, and the L2 penalty."""
        users, items = self.propagate()
        score = self.pair_scores(users, items, batch)
        loss = F.softplus(score[:, 1:] - score[:, :1]).mean(1) + self.config.l2 * self.squared_norms(batch)
        if not self.config.content_weight or not self.content.names:
            return loss
        rows = side_by_side(batch["item"], batch["negative"])
        own = self.combine(users)[self.oov_user(batch["user"])]
        for name in self.content.names:
            vectors, has = self.content.read(name, rows.flatten())
            made = (self.project[name](vectors) * has[:, None]).view(*rows.shape, -1)
            score = torch.einsum("bd,bnd->bn", own, made)
            loss = loss + self.config.content_weight * F.softplus(score[:, 1:] - score[:, :1]).mean(1)
        return loss
