"""Base of graph models: message passing on the user-item graph of likes, scores by dot products, fold-in by edges.

A model defines the first layer of a node (:meth:`GraphModel.start`), the message along an edge
(:meth:`GraphModel.message`), the next layer of a node (:meth:`GraphModel.update`), and how the layers are combined
(:meth:`GraphModel.combine`). Users and items have the same update, so a new user is one more node that aggregates the
items' layers: exact, and without retraining.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config as AnyConfig
from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models._gathered_dot import dots, side_by_side, sizes_of
from mmrec_core.models._interaction_matrix import InteractionMatrix
from mmrec_core.models._negative_sampling import Pairwise
from mmrec_core.types import Array, History, Schema, Side, Source, TrainSet, UserState

Owner = Literal["user", "item"]
Layers = list[Tensor]
"""One tensor ``[n, …]`` per layer, from the first (layer 0) to the last."""


class GraphConfig(AnyConfig):
    """Width, number of layers, and regularisation."""

    dim: int = setting(64, "width of the embeddings of users and films", ge=1, le=1024, log=True)
    layers: int = setting(
        3,
        "graph layers: 1 reads a user's liked films, 2 also who else likes them; with 0 there are no messages, and new"
        " users cannot be folded in",
        ge=0,
        le=8,
    )
    l2: float = setting(
        1e-4, "L2 penalty on the first layer of the users and films in a comparison", ge=0.0, le=10.0, log=True
    )
    negatives: int = setting(1, "sampled negatives per liked film, drawn anew each epoch", ge=1, le=64)
    id_dropout: float = setting(
        0.01, "share of ids hidden in training, which trains the embeddings of unknown ids", ge=0.0, le=0.9
    )
    init: float = setting(
        0.1, "standard deviation of the vectors before training", ge=1e-4, le=1.0, log=True, advanced=True
    )


class GraphModel(Pairwise):
    """Base of graph models: users and items are nodes, likes are edges; BPR loss ``−log σ(x_ui − x_uj)`` on dot
    products of the nodes' embeddings."""

    Config: ClassVar[type[AnyConfig]] = GraphConfig
    family: ClassVar[str] = "graph"
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 0.005,
        "batch_size": 8192,
        "max_epochs": 200,
        "patience": 15,
    }
    mean: ClassVar[bool] = False
    """Whether a node aggregates the mean of its neighbours' messages; else their sum over √(own degree · neighbour's
    degree)."""
    config: Any

    def __init__(self, config: Any, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.graph = InteractionMatrix(schema.n_users, schema.n_items)
        self.user_table = nn.Embedding(schema.n_users + 1, config.dim)
        self.item_table = nn.Embedding(schema.n_items + 1, config.dim)
        self._cache: tuple[Layers, Layers] | None = None
        self.more_layers()
        self.seed_weights()

    def more_layers(self) -> None:
        """Build further layers beside the two tables; called once, before weights are drawn."""

    def seed_weights(self) -> None:
        """Initialise weights from the seed: tables normally distributed, matrices after Glorot and Bengio (2010)."""
        generator = self.generator(0, 9)
        for name, weight in self.named_parameters():
            if name in {"user_table.weight", "item_table.weight"}:
                nn.init.normal_(weight, 0.0, self.config.init, generator=generator)
            elif weight.dim() > 1:
                nn.init.xavier_uniform_(weight, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes without the cache."""
        return {**self.__dict__, "_cache": None}

    # The parts of a model

    def start(self, owner: Owner, rows: Tensor) -> Tensor:
        """First layer ``[n, …]`` of users or items (``rows [n]``, the unknown one included); by default their
        embedding."""
        table = self.user_table if owner == "user" else self.item_table
        found: Tensor = table(self.oov_user(rows) if owner == "user" else self.oov_item(rows))
        return found

    def message(self, layer: Tensor) -> Tensor:
        """Messages ``[n, …]`` along the edges, from the nodes' layer ``[n, …]``; by default the layer itself."""
        return layer

    def update(self, at: int, own: Tensor, aggregated: Tensor) -> Tensor:
        """Layer ``at + 1`` of nodes ``[n, …]``, from their own layer ``at`` and their aggregated messages, ``[n, …]``
        each."""
        raise NotImplementedError

    def combine(self, layers: Layers) -> Tensor:
        """Embeddings ``[n, d]`` of nodes from all their layers."""
        raise NotImplementedError

    # Message passing

    def begin(self, train: TrainSet) -> None:
        """Store the edges: each training user's liked items, each once."""
        self._cache = None
        liked = train.positives
        pair = np.asarray(liked.need("user"), np.int64) * (self.schema.n_items + 1) + np.asarray(liked.need("item"))
        self.graph.set_rows(liked.take(np.unique(pair, return_index=True)[1]))

    @property
    def edges(self) -> InteractionMatrix:
        """The graph that messages are passed on; all training edges, by default."""
        return self.graph

    def weights(self, owner: Owner) -> tuple[Tensor, Tensor]:
        """Factors ``[n, 1]`` of a node's outgoing messages and of its aggregated messages."""
        edges = self.edges
        degree = (edges.user_count if owner == "user" else edges.item_count).clamp(min=1)[:, None]
        return (torch.ones_like(degree), 1 / degree) if self.mean else (degree.rsqrt(), degree.rsqrt())

    def propagate(self) -> tuple[Layers, Layers]:
        """All layers of all users and of all items, the unknown rows included; cached outside training."""
        if self.training or torch.is_grad_enabled():
            return self._propagate()
        cached = self._cache
        if cached is None:
            cached = self._cache = self._propagate()
        return cached

    def train(self, mode: bool = True) -> Self:
        """Also discard cached embeddings, because training changes them."""
        self._cache = None if mode else self._cache
        return super().train(mode)

    def forget(self) -> None:
        """Clear the cached layers."""
        self._cache = None

    def _propagate(self) -> tuple[Layers, Layers]:
        device = self.known_items.device
        users = [self.start("user", torch.arange(self.schema.n_users + 1, device=device))]
        items = [self.start("item", torch.arange(self.schema.n_items + 1, device=device))]
        (user_out, user_in), (item_out, item_in) = self.weights("user"), self.weights("item")
        edges = self.edges
        for at in range(self.config.layers):
            user_messages, item_messages = self.message(users[-1]), self.message(items[-1])
            to_users = (edges.user_sums(item_messages.flatten(1) * item_out) * user_in).view(
                -1, *item_messages.shape[1:]
            )
            to_items = (edges.item_sums(user_messages.flatten(1) * user_out) * item_in).view(
                -1, *user_messages.shape[1:]
            )
            users.append(self.update(at, users[-1], to_users))
            items.append(self.update(at, items[-1], to_items))
        return users, items

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Embeddings of users ``[U + 1, d]`` and of items ``[I + 1, d]``, whose dot products are the scores."""
        users, items = self.propagate()
        return self.combine(users), self.combine(items)

    # Learning

    def row_losses(self, batch: Batch) -> Tensor:
        """BPR losses ``[B]``, averaged over a row's negatives, plus the L2 penalty on the first layer."""
        score = self.pair_scores(*self.propagate(), batch)
        return F.softplus(score[:, 1:] - score[:, :1]).mean(1) + self.config.l2 * self.squared_norms(batch)

    def pair_scores(self, users: Layers, items: Layers, batch: Batch) -> Tensor:
        """Scores ``[B, 1 + n]`` of each row's liked item and of its negatives, from all layers."""
        return self.dots(self.combine(users), self.combine(items), batch)

    def dots(self, users: Tensor, items: Tensor, batch: Batch) -> Tensor:
        """Dot products ``[B, 1 + n]`` of each row's user (of ``users [U + 1, d]``) with its liked item and its
        negatives (of ``items [I + 1, d]``)."""
        return dots(users, items, self.oov_user(batch["user"]), side_by_side(batch["item"], batch["negative"]))

    def squared_norms(self, batch: Batch) -> Tensor:
        """Squared norms ``[B]`` of the rows' embeddings before message passing, as in LightGCN."""
        user, item = self.user_table.weight, self.item_table.weight
        return sizes_of(user, batch["user"]) + sizes_of(item, batch["item"]) + sizes_of(item, batch["negative"]).mean(1)

    # Scoring

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Embeddings ``[B, d]`` of users."""
        return {"vector": self.embeddings()[0][self.oov_user(user)]}

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Dot products ``[B, 1]``."""
        return (user["vector"] * self.embeddings()[1][batch["item"]]).sum(1, keepdim=True)

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]`` by one matrix product."""
        films = self.embeddings()[1][:-1]
        return state["vector"] @ (films if items is None else films[items]).T

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """Scores ``[B, n]`` by dot products, as for the items of the graph."""
        return state["vector"] @ item["vector"].T

    def item_vectors(self) -> Tensor | None:
        """Embeddings of items, ``[I, d]``."""
        with torch.no_grad():
            return self.embeddings()[1][:-1].clone()

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and items by their ids."""
        return {"user_table.weight": self.names_of("user"), "item_table.weight": self.names_of("item")}

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: each history is one more node that aggregates the messages of its liked items, layer by
        layer. It sends no messages to items."""
        self.rest()
        nodes, size = self._fold(histories)
        source: tuple[Source, ...] = tuple("folded" if n and self.config.layers else "fallback" for n in size)
        return UserState({"vector": self.combine(nodes)}, source)

    def fold_layers(self, histories: Sequence[History]) -> Layers:
        """All layers ``[n, …]`` of new users; see :meth:`fold_in`."""
        return self._fold(histories)[0]

    def _fold(self, histories: Sequence[History]) -> tuple[Layers, list[int]]:
        device = self.known_items.device
        known, relevance_threshold = self.known_items[:-1].cpu().numpy(), self.schema.relevant_from
        liked = [liked_items(history, relevance_threshold, known) for history in histories]
        size = torch.tensor([len(own) for own in liked], dtype=torch.int64, device=device)
        item = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *liked])).to(device)
        row = torch.repeat_interleave(torch.arange(len(liked), device=device), size)
        out = self.weights("item")[0][item]
        degree = size.clamp(min=1)[:, None].float()
        scale = 1 / degree if self.mean else degree.rsqrt()
        _, films = self.propagate()
        nodes = [self.start("user", torch.full((len(liked),), self.schema.n_users, device=device))]
        for at in range(self.config.layers):
            message = self.message(films[at])
            sent = message.flatten(1)[item] * out
            aggregated = torch.zeros(len(liked), sent.shape[1], device=device).index_add_(0, row, sent) * scale
            nodes.append(self.update(at, nodes[-1], aggregated.view(-1, *message.shape[1:])))
        return nodes, size.tolist()


def liked_items(history: History, relevance_threshold: float | None, known: Array) -> Array:
    """Item rows of a history that count as liked and that occur in training (mask ``known [I]``), each once."""
    items = np.asarray(history.items, np.int64)
    if relevance_threshold is not None and history.ratings is not None:
        items = items[np.asarray(history.ratings) >= relevance_threshold]
    return np.unique(items[known[items]])
