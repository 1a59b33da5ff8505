"""Temporal Graph Network: per-node memory updated by events (Rossi et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config as AnyConfig
from mmrec_core.config import setting
from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.models._negative_sampling import unseen_items
from mmrec_core.models._temporal import (
    NEVER,
    Hop,
    MergeLayer,
    Neighbours,
    TemporalAttention,
    TemporalSum,
    TimeEncoding,
    UpdatedMemory,
    code,
    neighbourhood,
    node_of,
    time_of,
)
from mmrec_core.types import (
    Array,
    History,
    Interactions,
    Query,
    Schema,
    Side,
    Source,
    TrainSet,
    UserState,
    blocks,
)

PRESETS: dict[str, dict[str, Any]] = {
    "tgn": {},
    "jodie": {"updater": "rnn", "embedding": "time", "message": "identity", "partner": "node", "score": "mlp"},
    "dyrep": {"updater": "rnn", "embedding": "identity", "message": "identity", "partner": "embedding", "score": "mlp"},
}

CODES = 4096
"""Moments embedded at a time where nothing is learned."""
ROWS = 2048
"""Nodes of a level made at a time where nothing is learned."""
EVENTS = 200
"""Events observed at a time: as many as TGN trains on at once."""


class TGN(GradientModel):
    """Temporal graph network (Rossi et al. 2020); JODIE (Kumar et al. 2019) and DyRep (Trivedi et al. 2019) are presets
    of it.

    A like is an event between a user's node and a film's. A message ``[own memory ‖ partner's ‖ stars ‖ code(time since
    own last event)]`` waits until the next batch has been predicted, so no prediction sees its own event; then it moves
    the memory on. What scores is a node's embedding at a moment: memory (and features) with attention over the
    ``neighbours`` most recent events strictly earlier, and with ``degree`` how many there were. A new user's likes are
    played through an empty memory; a film nobody met has neither memory nor neighbours.
    """

    class Config(AnyConfig):
        """What a node remembers, what it attends to, what is learned."""

        dim: int = setting(100, "width of memories and embeddings", ge=2, le=1024, log=True)
        memory: bool = setting(True, "whether nodes have memories")
        updater: Literal["gru", "rnn", "lstm"] = setting("gru", "what moves a memory on by a message")
        message: Literal["mlp", "identity"] = setting(
            "identity", "what becomes of a raw message: an MLP of it, or itself"
        )
        message_dim: int = setting(100, "width of messages where an MLP makes them", ge=2, le=1024, log=True)
        aggregator: Literal["last", "mean"] = setting(
            "last", "which of a node's messages in a batch count: the last, or their mean"
        )
        partner: Literal["memory", "node", "embedding"] = setting(
            "memory",
            "what a message tells of the other end: its memory, memory and features, or its embedding by attention"
            " (DyRep)",
        )
        embedding: Literal["graph_attention", "graph_sum", "identity", "time"] = setting(
            "graph_attention",
            "what scores: attention over recent neighbours, their sum, the memory itself, or the memory drifting with"
            " time (JODIE)",
        )
        waves: Literal["fixed", "learned"] = setting(
            "fixed",
            "how fast the waves that tell time swing: from six seconds to two hundred years a turn, or learned from"
            " there (as published; unsteady where times are seconds)",
            advanced=True,
        )
        layers: int = setting(1, "steps from neighbour to neighbour", ge=1, le=3)
        heads: int = setting(2, "attention heads", ge=1, le=8)
        neighbours: int = setting(10, "most recent events a node attends to", ge=1, le=200)
        dropout: float = setting(0.1, "share of attention weights silenced in training", ge=0.0, le=0.9)
        nodes: Literal["ids", "none"] = setting(
            "ids", "what a node is beside its memory: an embedding of its own, or nothing (as in TGN's paper)"
        )
        degree: bool = setting(
            False,
            "whether an embedding also tells how many events its node has had, which neither attention over the latest"
            " few nor a mean can",
        )
        stars: bool = setting(True, "whether messages and neighbours bear the rating given (where there are ratings)")
        score: Literal["mlp", "dot"] = setting("dot", "what scores a pair of embeddings: an MLP, or their dot product")
        loss: Literal["bpr", "bce", "margin"] = setting(
            "bpr", "liked against drawn: −log σ of the difference, log-loss of each, or a margin of 1; always on logits"
        )
        draw: Literal["unmet", "any"] = setting(
            "unmet",
            "films a liked one is compared with: those the user has no training event with, or any",
            advanced=True,
        )
        id_dropout: float = setting(
            0.2,
            "share of nodes without their embedding in a batch, which teaches what to make of the unknown",
            ge=0.0,
            le=0.9,
        )

    needs: ClassVar[frozenset[str]] = frozenset({"ids", "time"})
    streams: ClassVar[bool] = True
    early_stopping_protocol: ClassVar[tuple[str, str]] = ("sampled:100:of=5000", "stream")
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 200,
        "lr": 0.001,
        "max_epochs": 30,
        "patience": 5,
        "clip": 1.0,
    }
    config: Any

    def __init__(self, config: Any, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        dim = config.dim
        self.item_offset, self.n_nodes = schema.n_users + 1, schema.n_users + schema.n_items + 2
        """Films' nodes come after users'; the last node of each stands for an unknown one."""
        self.clock_code = TimeEncoding(dim, config.waves == "learned")
        raw = 3 * dim + 1
        wide = config.message_dim if config.message == "mlp" else raw
        if config.memory:
            cell = {"gru": nn.GRUCell, "rnn": nn.RNNCell, "lstm": nn.LSTMCell}[config.updater]
            self.updater = cell(wide, dim)
            self.message = (
                nn.Sequential(nn.Linear(raw, raw // 2), nn.ReLU(), nn.Linear(raw // 2, wide))
                if config.message == "mlp"
                else nn.Identity()
            )
        hears = config.embedding.startswith("graph") or (config.memory and config.partner == "embedding")
        graph = TemporalSum if config.embedding == "graph_sum" else TemporalAttention
        self.graph = nn.ModuleList(
            graph(dim, dim, config.heads, config.dropout) for _ in range(config.layers if hears else 0)
        )
        if config.embedding == "time":
            self.drift = nn.Linear(1, dim)
        if config.score == "mlp":
            self.affinity = MergeLayer(dim, dim, dim, 1)
        self.more_layers()
        # last, so that what all others begin with does not depend on it
        self.often = nn.Linear(2, dim, bias=False) if config.degree else None
        self.neighbours = Neighbours()
        self.memory: Tensor
        self.last: Tensor
        self.waiting: Tensor
        self.waiting_mark: Tensor
        self.clock: Tensor
        self.usual_gap: Tensor
        self.register_buffer("memory", torch.zeros(self.n_nodes, dim * (2 if config.updater == "lstm" else 1)))
        self.register_buffer("last", torch.full((self.n_nodes,), NEVER))
        self.register_buffer("waiting", torch.zeros(3, 0, dtype=torch.int64))
        self.register_buffer("waiting_mark", torch.zeros(0))
        self.register_buffer("clock", torch.tensor(NEVER))
        self.register_buffer("usual_gap", torch.ones(()))
        self._hidden: Tensor | None = None
        self._kept_items: Tensor | None = None
        self._kept_features: Tensor | None = None
        self.seed_weights()

    def more_layers(self) -> None:
        """What nodes are beside their memories; called once, before weights are drawn."""
        self.user_table = nn.Embedding(self.item_offset, self.config.dim) if self.config.nodes == "ids" else None
        self.item_table = nn.Embedding(self.schema.n_items + 1, self.config.dim) if self.config.nodes == "ids" else None

    def seed_weights(self) -> None:
        """By a generator of this seed: layers as PyTorch draws them, which learned faster than Glorot's; tables
        small."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.generator(0, 9).initial_seed())
            for module in self.modules():
                if isinstance(module, nn.Linear | nn.RNNCellBase):
                    module.reset_parameters()
                elif isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight, 0.0, 0.1)
        if self.config.embedding == "time":  # memories begin without a drift
            nn.init.zeros_(self.drift.weight), nn.init.zeros_(self.drift.bias)
        if self.often is not None:
            nn.init.zeros_(self.often.weight)

    def __getstate__(self) -> dict[str, Any]:
        """All but what is made anew when it is needed."""
        return {**self.__dict__, "_hidden": None, "_kept_items": None, "_kept_features": None}

    def train(self, mode: bool = True) -> Self:
        """Also discard cached memories, because training changes them."""
        if mode:
            self._kept_items = self._kept_features = None
        return super().train(mode)

    def forget(self) -> None:
        """Films' embeddings, nodes' features, and which nodes the last batch hid."""
        self._kept_items = self._kept_features = self._hidden = None

    # Memory

    def reset(self) -> None:
        """Empty every memory and drop what waits."""
        self.memory = torch.zeros_like(self.memory)
        self.last = torch.full_like(self.last, NEVER)
        self.waiting, self.waiting_mark = self.waiting[:, :0], self.waiting_mark[:0]
        self._kept_items = None

    @torch.no_grad()
    def mark_unseen(self, items: Array) -> None:
        """Also reset memories, waiting messages and stored events."""
        node = torch.as_tensor(np.asarray(items, np.int64), device=self.last.device) + self.item_offset
        self.memory[node], self.last[node] = 0, NEVER
        stays = ~torch.isin(self.waiting[:2], node).any(0)
        self.waiting, self.waiting_mark = self.waiting[:, stays], self.waiting_mark[stays]
        self.neighbours.drop(node)
        super().mark_unseen(items)

    def updated_memory(self) -> UpdatedMemory:
        """What memories are once the waiting messages are taken in."""
        index = torch.full((self.n_nodes,), -1, device=self.last.device)
        node, other, time = self.waiting
        nodes, at = torch.unique(node, return_inverse=True)
        if not len(nodes):
            return UpdatedMemory(nodes, self.memory[:0], nodes, index)
        before = UpdatedMemory(nodes[:0], self.memory[:0], nodes[:0], index)
        info = self.partner_vectors(before, other, time)
        message = self.messages(info, time, self.waiting_mark, self.memory[node], self.last[node])
        if len(nodes) < len(node):  # the mean of several
            total = message.new_zeros(len(nodes), message.shape[1]).index_add(0, at, message)
            message = total / torch.bincount(at, minlength=len(nodes))[:, None]
            latest = torch.zeros_like(nodes).index_reduce(0, at, time, "amax", include_self=False)
        else:
            message, latest = message[torch.argsort(at)], time[torch.argsort(at)]
        index = index.index_copy(0, nodes, torch.arange(len(nodes), device=nodes.device))
        return UpdatedMemory(nodes, self.memory_updater(message, self.memory[nodes]), latest, index)

    def partner_vectors(self, updated: UpdatedMemory, other: Tensor, time: Tensor) -> Tensor:
        """``[B, d]`` what messages tell of the other end."""
        if self.config.partner == "embedding":
            return self.embed(updated, code(other, time), by_graph=True)
        nodes, place = torch.unique(other, return_inverse=True)
        return (self.node_inputs(updated, nodes) if self.config.partner == "node" else self.memory_of(updated, nodes))[
            place
        ]

    def messages(self, info: Tensor, time: Tensor, mark: Tensor, memory: Tensor, last: Tensor) -> Tensor:
        """``[B, w]`` from own memory, what is told of the other, stars, and seconds since own last event (0 at the
        first)."""
        gap = self.elapsed(last, time)
        raw = torch.cat([memory[:, : self.config.dim], info, mark[:, None], self.clock_code(gap)], 1)
        found: Tensor = self.message(raw)
        return found

    def elapsed(self, last: Tensor, time: Tensor) -> Tensor:
        """Seconds from last events to times; 0 before the first, and where events came out of order."""
        return torch.where(last == NEVER, 0, (time - last).clamp(min=0))

    def projected(self, found: Tensor, gap_s: Tensor) -> Tensor:
        """JODIE's: embeddings ``[n, d]`` so many seconds after their last event."""
        return found * (1 + self.drift((gap_s.float() / self.usual_gap)[:, None]))

    def memory_updater(self, message: Tensor, memory: Tensor) -> Tensor:
        """Memories ``[D, m]`` after messages ``[D, w]``; an LSTM keeps hidden and cell side by side."""
        if self.config.updater == "lstm":
            return torch.cat(self.updater(message, tuple(memory.chunk(2, 1))), 1)
        found: Tensor = self.updater(message, memory)
        return found

    @torch.no_grad()
    def update_state(self, updated: UpdatedMemory, user: Tensor, item: Tensor, time: Tensor, mark: Tensor) -> None:
        """Make ``now`` the state, and let these events (in time order) wait; gradients end here."""
        self.clock = torch.maximum(self.clock, time.max() + 1) if len(time) else self.clock
        if not self.config.memory:
            self.last = self.last.scatter_reduce(0, torch.cat([user, item + self.item_offset]), time.repeat(2), "amax")
            return
        self.memory = self.memory.index_copy(0, updated.nodes, updated.memory.detach().to(self.memory.dtype))
        self.last = self.last.index_copy(0, updated.nodes, torch.maximum(self.last[updated.nodes], updated.last))
        node, other = torch.cat([user, item + self.item_offset]), torch.cat([item + self.item_offset, user])
        info, mark = torch.stack([node, other, time.repeat(2)]), mark.repeat(2)
        if self.config.aggregator == "last":
            place = torch.arange(len(user), device=user.device).repeat(2)
            latest = torch.full_like(self.last, -1).scatter_reduce(0, node, place, "amax")[node] == place
            info, mark = info[:, latest], mark[latest]
        self.waiting, self.waiting_mark = info, mark

    # Embeddings

    def features(self, node: Tensor) -> Tensor:
        """``[n, d]`` what nodes (each once, sorted) are beside their memories, or zeros."""
        if self.training or torch.is_grad_enabled():
            return self._features(node)
        still = self._kept_features
        if still is None:
            still = self._kept_features = self._features(torch.arange(self.n_nodes, device=node.device))
        return still[node]

    def _features(self, node: Tensor) -> Tensor:
        found = torch.zeros(len(node), self.config.dim, device=node.device)
        known = self.known_nodes(node)
        user, item = node < self.item_offset, node >= self.item_offset
        found[user] = self.user_features(node[user], known[user]).to(found.dtype)  # autocast may give fewer bits
        found[item] = self.item_features(node[item] - self.item_offset, known[item]).to(found.dtype)
        return found

    def user_features(self, user: Tensor, known: Tensor) -> Tensor:
        """``[n, d]`` users' own vectors (the unknown one's where they have none), or zeros."""
        if self.user_table is None:
            return torch.zeros(len(user), self.config.dim, device=user.device)
        found: Tensor = self.user_table(torch.where(known, user, self.schema.n_users))
        return found

    def item_features(self, item: Tensor, known: Tensor) -> Tensor:
        """The same of films."""
        if self.item_table is None:
            return torch.zeros(len(item), self.config.dim, device=item.device)
        found: Tensor = self.item_table(torch.where(known, item, self.schema.n_items))
        return found

    def known_nodes(self, node: Tensor) -> Tensor:
        """Which nodes have a row of their own; in training a share is hidden, a batch long."""
        known = torch.cat([self.known_users, self.known_items])[node]
        return known & ~self._hidden[node] if self.training and self._hidden is not None else known

    def node_inputs(self, updated: UpdatedMemory, node: Tensor) -> Tensor:
        """``[n, d]`` memories and features of nodes, each once, sorted."""
        found = self.features(node)
        return found + self.memory_of(updated, node) if self.config.memory else found

    def memory_of(self, updated: UpdatedMemory, node: Tensor) -> Tensor:
        """``[n, d]`` memories of nodes."""
        own, at = self.memory[node][:, : self.config.dim], updated.index[node]
        if len(updated.nodes):
            own = torch.where((at >= 0)[:, None], updated.memory[at.clamp(min=0)][:, : self.config.dim], own)
        return own

    def last_event(self, updated: UpdatedMemory, node: Tensor) -> Tensor:
        """``[n]`` when nodes last had an event, what waits to be taken in among them; ``NEVER`` before the first."""
        last = self.last[node]
        if not len(updated.nodes):
            return last
        index = updated.index[node]
        return torch.where(index >= 0, torch.maximum(last, updated.last[index.clamp(min=0)]), last)

    def embed(self, updated: UpdatedMemory, coded: Tensor, by_graph: bool = False) -> Tensor:
        """``[B, d]`` embeddings of nodes at moments (codes ``[B]``); whoever is asked for twice is made once."""
        learned = torch.is_grad_enabled()
        asked, place = torch.unique(coded, return_inverse=True)
        if learned or len(asked) <= CODES:
            return self._embed(updated, asked, by_graph)[place]
        order = torch.argsort(time_of(asked), stable=True)  # those of one moment share their surroundings
        out = torch.empty(len(asked), self.config.dim, device=asked.device)
        for part in blocks(len(asked), CODES):
            chosen = torch.sort(order[part]).values
            out[chosen] = self._embed(updated, asked[chosen], by_graph)
        return out[place]

    def _embed(self, updated: UpdatedMemory, coded: Tensor, by_graph: bool) -> Tensor:
        """The same for codes that are unique and sorted."""
        kind = self.config.embedding
        if by_graph or kind.startswith("graph"):
            node, hops = neighbourhood(self.neighbours, coded, self.config.neighbours, self.config.layers)
            found = self.node_inputs(updated, node)
            for graph, hop in zip(self.graph, hops, strict=True):
                found = self._hop(graph, hop, found)
            return self.finish(found, coded, self.degree(coded))
        nodes, at = torch.unique(node_of(coded), return_inverse=True)
        found = self.node_inputs(updated, nodes)[at]
        if kind == "time":
            last = self.last_event(updated, node_of(coded))
            found = self.projected(found, self.elapsed(last, time_of(coded)))
        return self.finish(found, coded, self.degree(coded))

    def degree(self, coded: Tensor) -> Tensor:
        """``[B]`` how many events nodes have had before moments, where that is told; else zeros."""
        return torch.zeros_like(coded) if self.often is None else self.neighbours.degree(coded)

    def _hop(self, graph: nn.Module, hop: Hop, below: Tensor) -> Tensor:
        zero = self.clock_code(torch.zeros(1, device=below.device))[0]

        def made(rows: slice) -> Tensor:
            neighbours = F.embedding(hop.neighbours[rows], below)  # its way back adds rows up faster than indexing's
            ago = self.clock_code(hop.gap_s[rows])
            found: Tensor = graph(below[hop.own[rows]], neighbours, hop.mark[rows], zero, ago, hop.exists[rows])
            return found

        if torch.is_grad_enabled():
            return made(slice(None))
        return torch.cat([made(rows) for rows in blocks(len(hop.own), ROWS)] or [below[:0]])

    def finish(self, found: Tensor, coded: Tensor, degree: Tensor) -> Tensor:
        """Embeddings ``[n, d]`` of nodes at times (codes ``[n]``) with their degree ``[n]`` added, where the config
        asks for it."""
        if self.often is None:
            return found
        user = node_of(coded) < self.item_offset
        info = torch.log1p(degree.float())[:, None] * torch.stack([user, ~user], 1)
        return found + self.often(info)

    def pair_scores(self, user: Mapping[str, Tensor], item: Tensor) -> Tensor:
        """``[B]`` scores of embeddings, row by row."""
        vector = user["vector"]
        return self.affinity(vector, item)[:, 0] if self.config.score == "mlp" else (vector * item).sum(1)

    # Learning

    def begin(self, train: TrainSet) -> None:
        """Who met whom when in training; a look never goes past the moment it is taken at."""
        batch = self.events(train.positives)
        self.neighbours.clear()
        self.neighbours.add(batch["user"], batch["item"] + self.item_offset, batch["time"], batch["mark"])
        gap = self.neighbours.coded.diff()
        gap = gap[(gap > 0) & (gap < 1 << 39)].float()
        self.usual_gap = gap.mean().clamp(min=1.0) if len(gap) else torch.ones_like(self.usual_gap)
        self.reset()

    def start_epoch(self, train: TrainSet, epoch: int) -> None:
        """Every epoch lives through the events from the start."""
        self.reset()
        self.clock = torch.full_like(self.clock, NEVER)

    def events(self, rows: Interactions) -> Batch:
        """Events in time order: ``user``, ``item``, ``time`` and ``mark``, the stars from −1 to 1."""
        batch = self.rows(rows.take(np.argsort(np.asarray(rows.need("time")), kind="stable")))
        mark = torch.zeros(len(batch["user"]))
        if self.config.stars and "rating" in batch and self.schema.scale is not None:
            low, high = self.schema.scale
            mark = (2 * batch["rating"] - low - high) / (high - low)
        summary = {key: batch[key] for key in ("user", "item", "time")} | {"mark": mark}
        return {key: value.to(self.last.device) for key, value in summary.items()}

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Liked events in time order, each with a film drawn at random."""
        batch, generator = self.events(train.positives), self.generator(epoch, 2)
        if self.config.draw == "any":
            drawn = torch.from_numpy(train.items)[
                torch.randint(len(train.items), (len(batch["user"]),), generator=generator)
            ]
        else:
            drawn = unseen_items(train, batch["user"].cpu(), generator)
        return {**batch, "negative": drawn}

    def batches(self, train: TrainSet, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """In time order, never shuffled."""
        table = self.epoch(train, epoch)
        for part in list(blocks(len(table["user"]), batch_size))[start:]:
            yield {key: column[part] for key, column in table.items()}

    def row_losses(self, batch: Batch) -> Tensor:
        """``[B]``, from memories as they were before the batch."""
        return self._losses(self.updated_memory(), batch)

    def _losses(self, updated: UpdatedMemory, batch: Batch) -> Tensor:
        time, n = batch["time"], len(batch["user"])
        node = torch.cat([batch["user"], batch["item"] + self.item_offset, batch["negative"] + self.item_offset])
        vectors = self.embed(updated, code(node, time.repeat(3)))
        user = self.as_state(self.memory_of(updated, batch["user"]), vectors[:n])
        items = self.hide_events(vectors[n:], node[n:] - self.item_offset)
        liked, drawn = (self.pair_scores(user, items[a : a + n]) for a in (0, n))
        if self.config.loss == "bce":
            return F.softplus(-liked) + F.softplus(drawn)
        gap = liked - drawn
        return F.softplus(-gap) if self.config.loss == "bpr" else F.relu(1 - gap)

    def hide_events(self, vectors: Tensor, item: Tensor) -> Tensor:
        """How films ``[B]`` with embeddings ``[B, d]`` are looked at while learning; as they are, here."""
        return vectors

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss; only after it do the batch's events count."""
        self._hidden = torch.rand(self.n_nodes, device=self.last.device) < self.config.id_dropout
        updated = self.updated_memory()
        loss = self._losses(updated, batch).mean()
        self.update_state(updated, batch["user"], batch["item"], batch["time"], batch["mark"])
        return loss

    # Scoring

    def as_state(self, memory: Tensor, vector: Tensor) -> dict[str, Tensor]:
        """What scores users ``[B]``, of their memories and embeddings ``[B, d]``: the latter."""
        return {"vector": vector}

    def users_at(self, user: Tensor, time: Tensor | None) -> dict[str, Tensor]:
        """States of users ``[B]`` at times ``[B]``; ``None``: just after each one's own latest event."""
        updated = self.updated_memory()
        if time is None:
            last = self.last_event(updated, user)
            time = torch.where(last == NEVER, self.clock, last + 1)
        return self.as_state(self.memory_of(updated, user), self.embed(updated, code(user, time)))

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Embeddings ``[B, d]`` just after each one's own latest event: years of silence are nothing that training has
        shown."""
        return self.users_at(user, None)

    @torch.no_grad()
    def user_state(self, query: Query) -> UserState:
        """Of users at the moments that are asked about; who was never met falls back."""
        self.rest()
        device = self.last.device
        user = torch.from_numpy(np.asarray(query.user, np.int64)).to(device)
        time = None if query.at is None else torch.from_numpy(np.asarray(query.at, np.int64)).to(device)
        met = self.known_users[user] | (self.last_event(self.updated_memory(), user) != NEVER)
        return UserState(self.users_at(user, time), tuple("learned" if m else "fallback" for m in met.tolist()))

    def user_tensors(self, batch: Batch) -> dict[str, Tensor]:
        """Score at the batch's times where it has them."""
        if batch.get("state") is not None:
            return super().user_tensors(batch)
        return self.users_at(batch["user"], batch.get("time"))

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """``[B, 1]`` scores."""
        time = batch.get("time")
        time = self.clock.expand(len(batch["item"])) if time is None else time
        return self.pair_scores(user, self.embed(self.updated_memory(), code(batch["item"] + self.item_offset, time)))[
            :, None
        ]

    def item_embeddings(self) -> Tensor:
        """``[I, d]`` embeddings of every film just after the latest event; kept while nothing changes."""
        kept = self._kept_items
        if self.training or torch.is_grad_enabled() or kept is None:
            node = torch.arange(self.schema.n_items, device=self.last.device) + self.item_offset
            found = self.embed(self.updated_memory(), code(node, self.clock.expand(len(node))))
            if self.training or torch.is_grad_enabled():
                return found
            kept = self._kept_items = found
        return kept

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """``[B, I]``; films stand as they are just after the latest event."""
        return self.score_items(state, self.item_embeddings() if items is None else self.item_embeddings()[items])

    def score_items(self, state: Mapping[str, Tensor], films: Tensor) -> Tensor:
        """``[B, n]`` scores of films' embeddings ``[n, d]``."""
        if self.config.score == "mlp":
            return self.affinity.of_all(state["vector"], films)
        return state["vector"] @ films.T

    @torch.no_grad()
    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """As films without memory and neighbours."""
        return self.score_items(state, item["vector"])

    def item_vectors(self) -> Tensor | None:
        """Films' embeddings just after the latest event, ``[I, d]``."""
        with torch.no_grad():
            return self.item_embeddings().clone()

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and films by their ids."""
        tables = {"user": self.user_table, "item": self.item_table}
        return {f"{kind}_table.weight": self.names_of(kind) for kind, table in tables.items() if table is not None}

    # State in time

    @torch.no_grad()
    def observe(self, events: Interactions) -> None:
        """Take in likes in time order, as many at a time as in training."""
        liked = np.flatnonzero(_liked(events.rating, self.schema.relevant_from, len(events)))
        if not len(liked):
            return
        self.rest()
        table = self.events(events.take(liked))
        self.neighbours.add(table["user"], table["item"] + self.item_offset, table["time"], table["mark"])
        for part in blocks(len(liked), EVENTS):
            self.update_state(self.updated_memory(), *(table[key][part] for key in ("user", "item", "time", "mark")))
        self._kept_items = None

    @torch.no_grad()
    def fold_in(self, histories: Sequence[History]) -> UserState:
        """Play each history's likes through an empty memory, films held still; then attend to the latest of them, just
        after the last."""
        self.rest()
        device, dim, k = self.last.device, self.config.dim, self.config.neighbours
        user_history = [self._likes_in_order(history) for history in histories]
        size = [len(t[0]) for t in user_history]
        n, longest = len(user_history), max(size, default=0)
        item, time, mark = (torch.zeros(n, longest, dtype=kind) for kind in (torch.int64, torch.int64, torch.float32))
        for row, (own_item, own_time, own_mark) in enumerate(user_history):
            for table, column in ((item, own_item), (time, own_time), (mark, own_mark)):
                table[row, : size[row]] = torch.from_numpy(column)
        item, time, mark = item.to(device), time.to(device), mark.to(device)
        length = torch.tensor(size, dtype=torch.int64, device=device)
        updated = self.updated_memory()
        memory = self.memory.new_zeros(n, self.memory.shape[1])
        last = torch.full((n,), NEVER, device=device)
        for at in range(longest if self.config.memory else 0):
            rows = torch.nonzero(length > at)[:, 0]
            met, moment = item[rows, at] + self.item_offset, time[rows, at]
            # the items' state does not change after the last stored event
            other = self.partner_vectors(updated, met, torch.minimum(moment, self.clock))
            message = self.messages(other, moment, mark[rows, at], memory[rows], last[rows])
            memory[rows], last[rows] = self.memory_updater(message, memory[rows]), moment
        moment = self.clock.expand(n)
        if longest:
            final = time.gather(1, (length - 1).clamp(min=0)[:, None])[:, 0] + 1
            moment = torch.where(length > 0, final, moment)
        seen = torch.minimum(moment, self.clock)
        stranger = torch.tensor([self.schema.n_users], device=device)
        own = self.features(stranger).expand(n, -1)
        own = own + memory[:, :dim] if self.config.memory else own
        if self.config.embedding.startswith("graph"):
            back = length[:, None] - 1 - torch.arange(k, device=device)
            there = back >= 0
            back = back.clamp(min=0)
            if not longest:
                item, time, mark = (table.new_zeros(n, 1) for table in (item, time, mark))
            films, since, stars = item.gather(1, back), time.gather(1, back), mark.gather(1, back) * there
            gap = torch.where(there, moment[:, None] - since, 0)
            zero = self.clock_code(torch.zeros(1, device=device))[0]
            for at, graph in enumerate(self.graph):
                neighbours = torch.zeros(n, k, dim, device=device)
                neighbours[there] = self._embed_layers(
                    updated, code(films + self.item_offset, seen[:, None].expand_as(films))[there], at
                )
                own = graph(own, neighbours, stars, zero, self.clock_code(gap), there)
        elif self.config.embedding == "time":
            own = self.projected(own, self.elapsed(last, moment))
        vector = self.finish(own, code(stranger.expand(n), moment), length)
        source: tuple[Source, ...] = tuple("folded" if s else "fallback" for s in size)
        return UserState(self.as_state(memory[:, :dim], vector), source)

    def _embed_layers(self, updated: UpdatedMemory, coded: Tensor, layers: int) -> Tensor:
        """Nodes at moments after only so many layers."""
        asked, place = torch.unique(coded, return_inverse=True)
        node, hops = neighbourhood(self.neighbours, asked, self.config.neighbours, layers)
        if not layers:  # one node may be asked for at several moments
            node, at = torch.unique(node, return_inverse=True)
            return self.node_inputs(updated, node)[at][place]
        found = self.node_inputs(updated, node)
        for graph, hop in zip(self.graph, hops, strict=False):
            found = self._hop(graph, hop, found)
        return found[place]

    def _likes_in_order(self, history: History) -> tuple[Array, Array, Array]:
        """Items, times and marks of a history's likes in time order; without times, all just before now."""
        liked = np.flatnonzero(_liked(history.ratings, self.schema.relevant_from, len(history)))
        time = np.full(len(history), int(self.clock)) if history.times is None else np.asarray(history.times, np.int64)
        order = liked[np.argsort(time[liked], kind="stable")]
        mark = np.zeros(len(order), np.float32)
        if self.config.stars and history.ratings is not None and self.schema.scale is not None:
            low, high = self.schema.scale
            mark = ((2 * np.asarray(history.ratings)[order] - low - high) / (high - low)).astype(np.float32)
        return np.asarray(history.items, np.int64)[order], time[order], mark


def _liked(rating: Array | None, bar: float | None, n: int) -> Array:
    """A mask of events that count as liked: all, where there are no ratings."""
    return np.ones(n, bool) if rating is None or bar is None else np.asarray(rating) >= bar
