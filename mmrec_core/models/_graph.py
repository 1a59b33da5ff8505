"""What models on the graph of likes share: spreading vectors along it, ranking by dot products, new users by their
edges.

A model says how it begins (:meth:`GraphModel.start`), what a node makes of itself and of what it hears
(:meth:`GraphModel.update`), and what of all layers it keeps (:meth:`GraphModel.combine`). Because users and films take
the same step, a new user is one more node that hears films' layers as they are: exact, and without retraining.
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
"""One tensor per layer, ``[n, …]`` each, the first of them what a node begins with."""


class GraphConfig(AnyConfig):
    """Width, depth, and how strongly vectors are held down."""

    dim: int = setting(64, "numbers in the vector of a user and a film", ge=1, le=1024, log=True)
    layers: int = setting(
        3,
        "steps along the graph: 1 hears what is liked, 2 who else likes it; 0 hears nothing, nor does a newcomer's"
        " likes",
        ge=0,
        le=8,
    )
    l2: float = setting(1e-4, "pull of the first vectors in a comparison towards zero", ge=0.0, le=10.0, log=True)
    negatives: int = setting(1, "films not liked that each liked one is compared with, per epoch", ge=1, le=64)
    id_dropout: float = setting(
        0.01, "share of ids hidden in training, which teaches the row for unknown ids", ge=0.0, le=0.9
    )
    init: float = setting(0.1, "spread of the vectors before training", ge=1e-4, le=1.0, log=True, advanced=True)


class GraphModel(Pairwise):
    """Base: users and films as nodes, likes as edges, ``−log σ(x_ui − x_uj)`` on dot products of what has spread."""

    Config: ClassVar[type[AnyConfig]] = GraphConfig
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 0.005,
        "batch_size": 8192,
        "max_epochs": 200,
        "patience": 15,
    }
    mean: ClassVar[bool] = False
    """A node hears the mean of its neighbours; else their sum over √(own degree · neighbour's degree)."""
    config: Any

    def __init__(self, config: Any, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.graph = InteractionMatrix(schema.n_users, schema.n_items)
        self.user_table = nn.Embedding(schema.n_users + 1, config.dim)
        self.item_table = nn.Embedding(schema.n_items + 1, config.dim)
        self._kept: tuple[Layers, Layers] | None = None
        self.more_layers()
        self.seed_weights()

    def more_layers(self) -> None:
        """Weights beside the two tables; called once, before weights are drawn."""

    def seed_weights(self) -> None:
        """Tables by a generator of this seed; matrices as Glorot and Bengio (2010) have it."""
        generator = self.generator(0, 9)
        for name, weight in self.named_parameters():
            if name in {"user_table.weight", "item_table.weight"}:
                nn.init.normal_(weight, 0.0, self.config.init, generator=generator)
            elif weight.dim() > 1:
                nn.init.xavier_uniform_(weight, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def __getstate__(self) -> dict[str, Any]:
        """All but what is made anew when it is needed."""
        return {**self.__dict__, "_kept": None}

    # The parts of a model

    def start(self, owner: Owner, rows: Tensor) -> Tensor:
        """``[n, …]``: what users or films (rows, the unknown one included) begin with; their own vector, by default."""
        table = self.user_table if owner == "user" else self.item_table
        found: Tensor = table(self.oov_user(rows) if owner == "user" else self.oov_item(rows))
        return found

    def message(self, layer: Tensor) -> Tensor:
        """What of their layer nodes tell their neighbours; all of it, by default."""
        return layer

    def update(self, at: int, own: Tensor, aggregated: Tensor) -> Tensor:
        """Layer ``at + 1`` of nodes, from their layer ``at`` and what they hear of their neighbours', ``[n, …]``
        each."""
        raise NotImplementedError

    def combine(self, layers: Layers) -> Tensor:
        """``[n, d]`` that scores by dot products, from all layers."""
        raise NotImplementedError

    # Spreading

    def begin(self, train: TrainSet) -> None:
        """Lay the edges: what each training user liked, once."""
        self._kept = None
        liked = train.positives
        pair = np.asarray(liked.need("user"), np.int64) * (self.schema.n_items + 1) + np.asarray(liked.need("item"))
        self.graph.set_rows(liked.take(np.unique(pair, return_index=True)[1]))

    def weights(self, owner: Owner) -> tuple[Tensor, Tensor]:
        """What a node's outgoing and incoming sums are scaled by, ``[n, 1]`` each."""
        degree = (self.graph.user_count if owner == "user" else self.graph.item_count).clamp(min=1)[:, None]
        return (torch.ones_like(degree), 1 / degree) if self.mean else (degree.rsqrt(), degree.rsqrt())

    def propagate(self) -> tuple[Layers, Layers]:
        """All layers of all users and of all films, the unknown rows included; kept while nothing is learned."""
        if self.training or torch.is_grad_enabled():
            return self._propagate()
        kept = self._kept
        if kept is None:
            kept = self._kept = self._propagate()
        return kept

    def train(self, mode: bool = True) -> Self:
        """Also discard cached embeddings, because training changes them."""
        self._kept = None if mode else self._kept
        return super().train(mode)

    def forget(self) -> None:
        """What has spread."""
        self._kept = None

    def _propagate(self) -> tuple[Layers, Layers]:
        device = self.known_items.device
        users = [self.start("user", torch.arange(self.schema.n_users + 1, device=device))]
        items = [self.start("item", torch.arange(self.schema.n_items + 1, device=device))]
        (user_out, user_in), (item_out, item_in) = self.weights("user"), self.weights("item")
        for at in range(self.config.layers):
            user_messages, item_messages = self.message(users[-1]), self.message(items[-1])
            to_users = (self.graph.user_sums(item_messages.flatten(1) * item_out) * user_in).view(
                -1, *item_messages.shape[1:]
            )
            to_items = (self.graph.item_sums(user_messages.flatten(1) * user_out) * item_in).view(
                -1, *user_messages.shape[1:]
            )
            users.append(self.update(at, users[-1], to_users))
            items.append(self.update(at, items[-1], to_items))
        return users, items

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Of users ``[U + 1, d]`` and of films ``[I + 1, d]``, ready to be multiplied."""
        users, items = self.propagate()
        return self.combine(users), self.combine(items)

    # Learning

    def row_losses(self, batch: Batch) -> Tensor:
        """Mean over a row's negatives of −log σ(difference), plus the pull on the vectors it begins with."""
        score = self.compared(*self.propagate(), batch)
        return F.softplus(score[:, 1:] - score[:, :1]).mean(1) + self.config.l2 * self.sizes(batch)

    def compared(self, users: Layers, items: Layers, batch: Batch) -> Tensor:
        """From all layers, how each row's user scores the liked film and the others, ``[B, 1 + n]``."""
        return self.dots(self.combine(users), self.combine(items), batch)

    def dots(self, users: Tensor, items: Tensor, batch: Batch) -> Tensor:
        """``[B, 1 + n]`` products of a row's user ``[U + 1, d]`` with its liked film and the others ``[I + 1, d]``."""
        return dots(users, items, self.oov_user(batch["user"]), side_by_side(batch["item"], batch["negative"]))

    def sizes(self, batch: Batch) -> Tensor:
        """``[B]`` squared lengths of the rows' own vectors, as LightGCN counts them: before anything has spread."""
        user, item = self.user_table.weight, self.item_table.weight
        return sizes_of(user, batch["user"]) + sizes_of(item, batch["item"]) + sizes_of(item, batch["negative"]).mean(1)

    # Scoring

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Vectors ``[B, d]`` of what has spread to users."""
        return {"vector": self.embeddings()[0][self.oov_user(user)]}

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """``[B, 1]`` dot products."""
        return (user["vector"] * self.embeddings()[1][batch["item"]]).sum(1, keepdim=True)

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """``[B, I]`` by one matrix product."""
        films = self.embeddings()[1][:-1]
        return state["vector"] @ (films if items is None else films[items]).T

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """As films of the graph."""
        return state["vector"] @ item["vector"].T

    def item_vectors(self) -> Tensor | None:
        """What has spread to films, ``[I, d]``."""
        with torch.no_grad():
            return self.embeddings()[1][:-1].clone()

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and films by their ids."""
        return {"user_table.weight": self.names_of("user"), "item_table.weight": self.names_of("item")}

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """Each history as one more node: it hears the films it liked, layer by layer; films do not hear it."""
        self.rest()
        device = self.known_items.device
        known, bar = self.known_items[:-1].cpu().numpy(), self.schema.relevant_from
        liked = [_liked(history, bar, known) for history in histories]
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
            info = message.flatten(1)[item] * out
            aggregated = torch.zeros(len(liked), info.shape[1], device=device).index_add_(0, row, info) * scale
            nodes.append(self.update(at, nodes[-1], aggregated.view(-1, *message.shape[1:])))
        source: tuple[Source, ...] = tuple("folded" if n and self.config.layers else "fallback" for n in size.tolist())
        return UserState({"vector": self.combine(nodes)}, source)


def _liked(history: History, bar: float | None, known: Array) -> Array:
    """Item rows of a history that count as liked and that training has seen, each once."""
    items = np.asarray(history.items, np.int64)
    if bar is not None and history.ratings is not None:
        items = items[np.asarray(history.ratings) >= bar]
    return np.unique(items[known[items]])
