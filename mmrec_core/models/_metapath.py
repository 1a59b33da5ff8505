"""Base of the metapath- and entity-aware graph models (Han et al. 2021, "PEAGNN").

Nodes are users, items and entities: the values of the categorical columns of items and users, such as genres, actors
and years. A metapath is two convolutions, one after the other, each along the edges of one kind: *genre → item → user*.
Every node gets a vector from each metapath; attention with one learned query per metapath makes them one vector, and an
MLP scores the pair of user and item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config, setting
from mmrec_core.models._base import Batch
from mmrec_core.models._gathered_dot import side_by_side
from mmrec_core.models._graph import liked_items
from mmrec_core.models._interaction_matrix import InteractionMatrix
from mmrec_core.models._negative_sampling import Pairwise
from mmrec_core.types import Array, Field, History, Schema, Side, Source, TrainSet, UserState, blocks

Kind = Literal["gat", "gcn", "sage"]
Edges = tuple[Tensor, Tensor]
"""Source and target nodes ``[E]``."""


class MetapathConfig(Config):
    """Widths, entities and losses."""

    dim: int = setting(64, "width of the nodes' embeddings and of the first convolution", ge=2, le=1024, log=True)
    out: int = setting(16, "width of the second convolution, of the vectors that are scored", ge=2, le=512, log=True)
    negatives: int = setting(4, "sampled negatives per liked film, drawn anew each epoch", ge=1, le=64)
    least: int = setting(10, "fewest films or users with a value for it to become an entity", ge=1, le=10_000)
    entity_weight: float = setting(
        0.1, "weight of the loss that puts films and users near their entities", ge=0.0, le=10.0
    )
    exclude_target: bool = setting(
        False,
        "whether the liked pairs of a batch are taken out of the graph while they are learned; a batch must then be"
        " small beside the data",
    )
    id_dropout: float = setting(
        0.01, "share of users hidden in training, which trains the embedding of unknown users", ge=0.0, le=0.9
    )


class Convolution(nn.Module):
    """One convolution of nodes along edges, with a self-loop on every target.

    ``gat``: graph attention with one head (Velickovic et al. 2018); ``gcn``: symmetric normalisation (Kipf and Welling
    2017); ``sage``: own vector plus mean of the neighbours (Hamilton et al. 2017). Layers are those of PyG's
    ``GATConv``, ``GCNConv`` and ``SAGEConv`` at their defaults.

    Args:
        kind: see above.
        width: width of the nodes.
        out: width of the result.
    """

    def __init__(self, kind: Kind, width: int, out: int) -> None:
        super().__init__()
        self.kind = kind
        self.weight = nn.Parameter(torch.empty(width, out))
        self.bias = nn.Parameter(torch.zeros(out))
        self.own = nn.Parameter(torch.empty(width, out)) if kind == "sage" else None
        self.source = nn.Parameter(torch.empty(out, 1)) if kind == "gat" else None
        self.target = nn.Parameter(torch.empty(out, 1)) if kind == "gat" else None

    def forward(self, table: Tensor, edges: Edges, own: Tensor | None = None) -> Tensor:
        """Convolve.

        Args:
            table: vectors of all nodes ``[N, width]``; edges start there.
            edges: source rows (of ``table``) and target rows (of ``own``).
            own: vectors of the targets ``[n, width]``; ``None``: all nodes.

        Returns:
            ``[n, out]``.
        """
        source, target = edges
        sent = table @ self.weight
        mine = sent if own is None else own @ self.weight
        n = len(mine)
        count = torch.zeros(n, device=mine.device).index_add_(0, target, torch.ones_like(target, dtype=torch.float32))
        if self.kind == "sage":
            assert self.own is not None
            mean = mine.new_zeros(mine.shape).index_add(0, target, sent[source]) / count.clamp(min=1)[:, None]
            return mean + (table if own is None else own) @ self.own + self.bias
        if self.kind == "gcn":
            # an edge's source has no other incoming edge of its kind than its self-loop, unless it is a target, too
            degree = count + 1
            of_source = degree if own is None else torch.ones(len(table), device=mine.device)
            weight = (of_source[source] * degree[target]).rsqrt()
            total = mine.new_zeros(mine.shape).index_add(0, target, (sent[source] * weight[:, None]).to(mine.dtype))
            return total + mine / degree[:, None] + self.bias
        assert self.source is not None and self.target is not None
        to = (mine @ self.target)[:, 0]
        logits = F.leaky_relu((sent @ self.source)[source, 0] + to[target], 0.2)
        loop = F.leaky_relu((mine @ self.source)[:, 0] + to, 0.2)
        largest = loop.detach().scatter_reduce(0, target, logits.detach(), "amax")
        share, own_share = (logits - largest[target]).exp(), (loop - largest).exp()
        total = mine.new_zeros(mine.shape).index_add(0, target, (sent[source] * share[:, None]).to(mine.dtype))
        whole = own_share + torch.zeros_like(own_share).index_add(0, target, share)
        return (total + mine * own_share[:, None]) / whole[:, None] + self.bias


class MetapathModel(Pairwise):
    """Base of PEAGAT, PEAGCN and PEASAGE; a subclass names its convolution."""

    Config: ClassVar[type[Any]] = MetapathConfig
    kind: ClassVar[Kind]
    family: ClassVar[str] = "graph"
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 0.005,
        "batch_size": 4096,
        "max_epochs": 150,
        "patience": 25,
        "weight_decay": 0.3,
    }
    config: Any

    def __init__(self, config: Any, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.graph = InteractionMatrix(schema.n_users, schema.n_items)
        self.item_at = schema.n_users + 1
        """Node of the first item; users come before, entities after the items."""
        self.entity_at = self.item_at + schema.n_items + 1
        self.columns: dict[str, tuple[Literal["user", "item"], Array]] = {}
        """By column: its owner, and the pairs (row of the owner, entity) ``[E, 2]``, entities counted from 0."""
        n = 0
        for field in side:
            pairs = _pairs(field, config.least)
            if pairs is not None and len(pairs):
                pairs[:, 1] += n
                n = int(pairs[:, 1].max()) + 1
                self.columns[field.name] = ("user" if field.owner == "user" else "item", pairs)
        self.n_entities = n
        self.nodes = nn.Embedding(self.entity_at + n, config.dim)
        self.metapaths = self._metapaths()
        self.convolutions = nn.ModuleList(
            nn.ModuleList(
                [Convolution(self.kind, config.dim, config.dim), Convolution(self.kind, config.dim, config.out)]
            )
            for _ in self.metapaths
        )
        self.queries = nn.Parameter(torch.empty(len(self.metapaths), config.out))
        self.hidden, self.last = nn.Linear(2 * config.out, config.out), nn.Linear(config.out, 1)
        for name, (_, pairs) in self.columns.items():
            self.register_buffer(f"{name}_owner", torch.from_numpy(pairs[:, 0].copy()), persistent=False)
            self.register_buffer(f"{name}_entity", torch.from_numpy(pairs[:, 1].copy()), persistent=False)
        self._cache: tuple[list[tuple[Tensor, Tensor]], Tensor] | None = None
        generator = self.generator(0, 9)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight, generator=generator)
            else:
                nn.init.zeros_(weight)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes without the cache."""
        return {**self.__dict__, "_cache": None}

    def _metapaths(self) -> list[tuple[str, str]]:
        """Kinds of the edges of both steps of each metapath: between users and items (``u>i``, ``i>u``), and from the
        entities of a column to their owners (its name)."""
        found = [("u>i", "i>u"), ("i>u", "u>i")]
        return found + [(name, "i>u" if owner == "item" else "u>i") for name, (owner, _) in self.columns.items()]

    def begin(self, train: TrainSet) -> None:
        """Store the edges: each training user's liked items, each once."""
        self._cache = None
        liked = train.positives
        pair = np.asarray(liked.need("user"), np.int64) * (self.schema.n_items + 1) + np.asarray(liked.need("item"))
        self.graph.set_rows(liked.take(np.unique(pair, return_index=True)[1]))

    # The graph

    def edges(self, without: Tensor | None = None) -> dict[str, Edges]:
        """Edges by kind, as nodes; without the pairs ``user · (n_items + 1) + item`` of ``without``."""
        device = self.known_items.device
        user = torch.repeat_interleave(torch.arange(len(self.graph.start) - 1, device=device), self.graph.start.diff())
        item = self.graph.items.long()
        if without is not None:
            keep = ~torch.isin(user * (self.schema.n_items + 1) + item, without)
            user, item = user[keep], item[keep]
        found = {"u>i": (user, item + self.item_at), "i>u": (item + self.item_at, user)}
        for name, (owner, _) in self.columns.items():
            row, entity = self.get_buffer(f"{name}_owner"), self.get_buffer(f"{name}_entity")
            found[name] = (entity + self.entity_at, row + (self.item_at if owner == "item" else 0))
        return found

    def first(self) -> Tensor:
        """Embeddings ``[N, d]`` of all nodes; zeros for items outside training, whose own are never trained."""
        weight = self.nodes.weight
        items = weight[self.item_at : self.entity_at] * self.known_items[:, None]
        return torch.cat([weight[: self.item_at], items, weight[self.entity_at :]])

    def propagate(self, without: Tensor | None = None) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Per metapath the nodes' vectors before and after its first step, and the vectors ``[N, out]`` of all nodes;
        cached outside training."""
        if self.training or torch.is_grad_enabled():
            return self._propagate(without)
        cached = self._cache
        if cached is None:
            cached = self._cache = self._propagate(None)
        return cached

    def _propagate(self, without: Tensor | None) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        edges, first = self.edges(without), self.first()
        steps, views = [], []
        for (one, two), pair in zip(self.metapaths, self.convolutions, strict=True):
            assert isinstance(pair, nn.ModuleList)
            middle = torch.relu(pair[0](first, edges[one]))
            steps.append((first, middle))
            views.append(pair[1](middle, edges[two]))
        return steps, self.attended(torch.stack(views, 1))

    def attended(self, views: Tensor) -> Tensor:
        """One vector ``[n, out]`` per node from those of its metapaths ``[n, P, out]``."""
        shares = torch.softmax((views * self.queries).sum(2, keepdim=True), 1)
        return (shares * views).sum(1)

    # Learning

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Every liked pair with its negatives, and for its item and user an entity they have and one they lack."""
        table = super().epoch(train, epoch)
        for owner in ("user", "item"):
            table |= self._entities(owner, table[owner], epoch)
        table["pair"] = table["user"] * (self.schema.n_items + 1) + table["item"]
        return table

    def _entities(self, owner: str, rows: Tensor, epoch: int) -> Batch:
        """For rows of an owner ``[N]``: one of its entities, and one of the same columns that it lacks; −1 where there
        is none."""
        own = [pairs for whose, pairs in self.columns.values() if whose == owner]
        none = torch.full_like(rows, -1)
        if not own:
            return {f"{owner}_shared": none, f"{owner}_unshared": none}
        pairs = np.concatenate(own)
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        row, entity = torch.from_numpy(pairs[:, 0].copy()), torch.from_numpy(pairs[:, 1].copy())
        generator = self.generator(epoch, 11 if owner == "user" else 12)
        start, end = torch.searchsorted(row, rows), torch.searchsorted(row, rows, right=True)
        at = start + (torch.rand(len(rows), generator=generator) * (end - start)).long()
        shared = torch.where(end > start, entity[at.clamp(max=len(entity) - 1)], -1)
        kinds = torch.unique(entity)
        other = kinds[torch.randint(len(kinds), (len(rows),), generator=generator)]
        taken = torch.isin(rows * (self.n_entities + 1) + other, row * (self.n_entities + 1) + entity)
        return {f"{owner}_shared": torch.where(taken, -1, shared), f"{owner}_unshared": torch.where(taken, -1, other)}

    def hide(self, table: Batch, epoch: int) -> None:
        """Hide users only: items have no embedding of an unknown one."""
        hidden = torch.rand(table["user"].shape, generator=self.generator(epoch, 1)) < self.config.id_dropout
        table["user"] = torch.where(hidden, self.schema.n_users, table["user"])

    def row_losses(self, batch: Batch) -> Tensor:
        """BPR losses ``[B]``, averaged over a row's negatives, plus the entities' losses."""
        without = batch["pair"] if self.config.exclude_target and "pair" in batch else None
        nodes = self.propagate(without)[1]
        state = batch.get("state")
        user = nodes[self.oov_user(batch["user"])] if state is None else state["vector"][batch["user"]]
        items = nodes[side_by_side(batch["item"], batch["negative"]) + self.item_at]
        score = self.pair_scores(user[:, None].expand(-1, items.shape[1], -1), items)
        loss = F.softplus(score[:, 1:] - score[:, :1]).mean(1)
        if self.config.entity_weight and self.n_entities and "item_shared" in batch:
            table = self.nodes.weight
            for owner, at in (("user", 0), ("item", self.item_at)):
                shared, other = batch[f"{owner}_shared"], batch[f"{owner}_unshared"]
                own = table[batch[owner] + at]
                near = (own - table[shared.clamp(min=0) + self.entity_at]).square().sum(1)
                far = (own - table[other.clamp(min=0) + self.entity_at]).square().sum(1)
                loss = loss + self.config.entity_weight * F.softplus(near - far) * (shared >= 0)
        return loss

    def pair_scores(self, user: Tensor, item: Tensor) -> Tensor:
        """Scores ``[…]`` of vectors ``[…, out]`` of users and items."""
        found: Tensor = self.last(torch.relu(self.hidden(torch.cat([user, item], -1))))[..., 0]
        return found

    # Scoring

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Vectors ``[B, out]`` of users."""
        return {"vector": self.propagate()[1][self.oov_user(user)]}

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Scores ``[B, 1]``."""
        return self.pair_scores(user["vector"], self.propagate()[1][batch["item"] + self.item_at])[:, None]

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]``; the first layer of the MLP is computed once per user and once per item."""
        films = self.propagate()[1][self.item_at : self.entity_at - 1]
        films = films if items is None else films[items]
        of_user, of_item = torch.split(self.hidden.weight, self.config.out, 1)
        left, right = state["vector"] @ of_user.T, films @ of_item.T + self.hidden.bias
        found = [
            self.last(torch.relu(left[part, None] + right))[..., 0]
            for part in blocks(len(left), max(1, (1 << 24) // max(right.numel(), 1)))
        ]
        return torch.cat(found) if found else left.new_zeros(0, len(films))

    def item_vectors(self) -> Tensor | None:
        """Vectors of items, ``[I, out]``."""
        with torch.no_grad():
            return self.propagate()[1][self.item_at : self.entity_at - 1].clone()

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: each history is one more user node, which receives messages of its liked items and sends
        none."""
        self.rest()
        device = self.known_items.device
        known, threshold = self.known_items[:-1].cpu().numpy(), self.schema.relevant_from
        liked = [liked_items(history, threshold, known) for history in histories]
        size = torch.tensor([len(own) for own in liked], dtype=torch.int64, device=device)
        item = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *liked])).to(device) + self.item_at
        target = torch.repeat_interleave(torch.arange(len(liked), device=device), size)
        none = torch.zeros(0, dtype=torch.int64, device=device)
        edges: dict[str, Edges] = {"i>u": (item, target)}
        own = self.nodes.weight[self.schema.n_users].expand(len(liked), -1)
        views = []
        steps = self.propagate()[0]
        for (one, two), pair, (first, middle) in zip(self.metapaths, self.convolutions, steps, strict=True):
            assert isinstance(pair, nn.ModuleList)
            between = torch.relu(pair[0](first, edges.get(one, (none, none)), own))
            views.append(pair[1](middle, edges.get(two, (none, none)), between))
        source: tuple[Source, ...] = tuple("folded" if n else "fallback" for n in size.tolist())
        return UserState({"vector": self.attended(torch.stack(views, 1))}, source)

    def train(self, mode: bool = True) -> Self:
        """Also discard cached vectors, because training changes them."""
        self._cache = None if mode else self._cache
        return super().train(mode)

    def forget(self) -> None:
        """Clear the cached vectors."""
        self._cache = None


def _pairs(field: Field, least: int) -> Array | None:
    """Pairs (row of the owner, entity) ``[E, 2]`` of a column of categories; numbers with few values, such as years,
    are categories, too. Values of fewer than ``least`` rows are left out; ``None`` for other columns."""
    if field.owner not in {"user", "item"} or field.kind not in {"multi", "categorical", "dense"}:
        return None
    data = np.asarray(field.data)
    if field.kind == "dense":
        values = np.round(data[..., 0] if data.ndim > 1 else data, 4)
        # a missing number is encoded as exactly 0, the mean
        codes = np.where(values != 0, np.unique(values, return_inverse=True)[1] + 1, 0)[:, None]
        if len(np.unique(codes)) > 200:
            return None
    else:
        codes = data.reshape(len(data), -1).astype(np.int64)
    if not (codes > 0).any():
        return None
    count = np.bincount(np.concatenate([np.unique(row[row > 0]) for row in codes]))
    often = count >= least
    entity = np.cumsum(often) - 1
    row, at = np.nonzero((codes > 0) & often[np.minimum(codes, len(often) - 1)])
    return np.unique(np.stack([row, entity[codes[row, at]]], 1), axis=0).astype(np.int64)
