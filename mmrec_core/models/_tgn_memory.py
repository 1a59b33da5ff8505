"""Node memory, message store and node embeddings of the temporal graph network (Rossi et al. 2020)."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.models._base import GradientModel
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
from mmrec_core.types import Array, Schema, Side, blocks

CODES = 4096
"""How many (node, time) pairs are embedded at once outside training."""
ROWS = 2048
"""How many nodes of one layer are embedded at once outside training."""


class TGNMemoryModel(GradientModel):
    """Base of TGN: the memory of every node, the messages that wait to update it, and embeddings of nodes at times.

    Users' nodes come first, items' nodes after them from ``item_offset`` on; the last node of each stands for an
    unknown one. The messages of a batch wait until the next batch has been predicted, so no prediction sees its own
    event.

    Args:
        config: a checked ``TGN.Config``.
        schema: what may be known of the dataset beforehand.
        side: side information fitted on training rows.
        seed: drives everything random in the model.
    """

    family: ClassVar[str] = "temporal"
    config: Any

    def __init__(self, config: Any, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        dim = config.dim
        self.item_offset, self.n_nodes = schema.n_users + 1, schema.n_users + schema.n_items + 2
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
        has_graph = config.embedding.startswith("graph") or (config.memory and config.partner == "embedding")
        graph = TemporalSum if config.embedding == "graph_sum" else TemporalAttention
        self.graph = nn.ModuleList(
            graph(dim, dim, config.heads, config.dropout) for _ in range(config.layers if has_graph else 0)
        )
        if config.embedding == "time":
            self.drift = nn.Linear(1, dim)
        if config.score == "mlp":
            self.affinity = MergeLayer(dim, dim, dim, 1)
        self.more_layers()
        # built last, so that the first weights of all other layers do not depend on it
        self.often = nn.Linear(2, dim, bias=False) if config.degree else None
        """Embedding of a node's degree (its attribute name is a key of saved weights)."""
        self.neighbours = Neighbours()
        self.memory: Tensor
        self.last: Tensor
        self.waiting: Tensor
        self.waiting_mark: Tensor
        self.clock: Tensor
        self.usual_gap: Tensor
        # the names of these buffers are keys of saved weights
        self.register_buffer("memory", torch.zeros(self.n_nodes, dim * (2 if config.updater == "lstm" else 1)))
        # time of each node's last event, in seconds
        self.register_buffer("last", torch.full((self.n_nodes,), NEVER))
        # message store: node, other node and time of each message, int64 [3, M]; and its mark, [M]
        self.register_buffer("waiting", torch.zeros(3, 0, dtype=torch.int64))
        self.register_buffer("waiting_mark", torch.zeros(0))
        # one second after the latest event that is stored
        self.register_buffer("clock", torch.tensor(NEVER))
        # mean seconds between two events of a node in training
        self.register_buffer("usual_gap", torch.ones(()))
        self._hidden: Tensor | None = None
        self._kept_items: Tensor | None = None
        self._kept_features: Tensor | None = None
        self.seed_weights()

    def more_layers(self) -> None:
        """Build the embeddings of users and items; called once, before weights are drawn."""
        self.user_table = nn.Embedding(self.item_offset, self.config.dim) if self.config.nodes == "ids" else None
        self.item_table = nn.Embedding(self.schema.n_items + 1, self.config.dim) if self.config.nodes == "ids" else None

    def seed_weights(self) -> None:
        """Initialise weights from the seed: layers as PyTorch does by default, which learned faster than Glorot's;
        embeddings with a standard deviation of 0.1."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.generator(0, 9).initial_seed())
            for module in self.modules():
                if isinstance(module, nn.Linear | nn.RNNCellBase):
                    module.reset_parameters()
                elif isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight, 0.0, 0.1)
        if self.config.embedding == "time":  # at first embeddings do not drift
            nn.init.zeros_(self.drift.weight), nn.init.zeros_(self.drift.bias)
        if self.often is not None:
            nn.init.zeros_(self.often.weight)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes without the caches."""
        return {**self.__dict__, "_hidden": None, "_kept_items": None, "_kept_features": None}

    def train(self, mode: bool = True) -> Self:
        """Also clear the caches when training begins, because training changes what they hold."""
        if mode:
            self._kept_items = self._kept_features = None
        return super().train(mode)

    def forget(self) -> None:
        """Clear the cached item embeddings and node features, and which nodes the last batch hid."""
        self._kept_items = self._kept_features = self._hidden = None

    # Memory

    def reset(self) -> None:
        """Set all memories to zero and empty the message store."""
        self.memory = torch.zeros_like(self.memory)
        self.last = torch.full_like(self.last, NEVER)
        self.waiting, self.waiting_mark = self.waiting[:, :0], self.waiting_mark[:0]
        self._kept_items = None

    @torch.no_grad()
    def mark_unseen(self, items: Array) -> None:
        """Also reset the items' memories, and remove their messages and events."""
        node = torch.as_tensor(np.asarray(items, np.int64), device=self.last.device) + self.item_offset
        self.memory[node], self.last[node] = 0, NEVER
        stays = ~torch.isin(self.waiting[:2], node).any(0)
        self.waiting, self.waiting_mark = self.waiting[:, stays], self.waiting_mark[stays]
        self.neighbours.drop(node)
        super().mark_unseen(items)

    def updated_memory(self) -> UpdatedMemory:
        """Memories after the messages in the store; the stored memories do not change, and gradients flow."""
        index = torch.full((self.n_nodes,), -1, device=self.last.device)
        node, other, time = self.waiting
        nodes, at = torch.unique(node, return_inverse=True)
        if not len(nodes):
            return UpdatedMemory(nodes, self.memory[:0], nodes, index)
        before = UpdatedMemory(nodes[:0], self.memory[:0], nodes[:0], index)
        partner = self.partner_vectors(before, other, time)
        message = self.messages(partner, time, self.waiting_mark, self.memory[node], self.last[node])
        if len(nodes) < len(node):  # the mean of a node's messages
            total = message.new_zeros(len(nodes), message.shape[1]).index_add(0, at, message)
            message = total / torch.bincount(at, minlength=len(nodes))[:, None]
            last = torch.zeros_like(nodes).index_reduce(0, at, time, "amax", include_self=False)
        else:
            message, last = message[torch.argsort(at)], time[torch.argsort(at)]
        index = index.index_copy(0, nodes, torch.arange(len(nodes), device=nodes.device))
        return UpdatedMemory(nodes, self.memory_updater(message, self.memory[nodes]), last, index)

    def partner_vectors(self, updated: UpdatedMemory, other: Tensor, time: Tensor) -> Tensor:
        """``[B, d]``: the part of a message that describes the other node, as the setting ``partner`` says."""
        if self.config.partner == "embedding":
            return self.embed(updated, code(other, time), by_graph=True)
        nodes, at = torch.unique(other, return_inverse=True)
        read = self.node_inputs if self.config.partner == "node" else self.memory_of
        return read(updated, nodes)[at]

    def messages(self, partner: Tensor, time: Tensor, mark: Tensor, memory: Tensor, last: Tensor) -> Tensor:
        """Messages to nodes about events.

        Args:
            partner: what describes the other node, ``[B, d]``.
            time: times of the events in seconds, ``[B]``.
            mark: the number on each event (its rating), ``[B]``.
            memory: the nodes' own memories, ``[B, m]``.
            last: times of the nodes' last events before, ``[B]``.

        Returns:
            ``[B, w]``.
        """
        gap = self.elapsed(last, time)
        raw = torch.cat([memory[:, : self.config.dim], partner, mark[:, None], self.clock_code(gap)], 1)
        found: Tensor = self.message(raw)
        return found

    def elapsed(self, last: Tensor, time: Tensor) -> Tensor:
        """Seconds from last events to times; 0 before the first event, and where events came out of order."""
        return torch.where(last == NEVER, 0, (time - last).clamp(min=0))

    def projected(self, embedding: Tensor, gap_s: Tensor) -> Tensor:
        """JODIE's projection: embeddings ``[n, d]`` at ``gap_s`` ``[n]`` seconds after the nodes' last events."""
        return embedding * (1 + self.drift((gap_s.float() / self.usual_gap)[:, None]))

    def memory_updater(self, message: Tensor, memory: Tensor) -> Tensor:
        """Memories ``[n, m]`` after messages ``[n, w]``. An LSTM's hidden and cell states stand side by side."""
        if self.config.updater == "lstm":
            return torch.cat(self.updater(message, tuple(memory.chunk(2, 1))), 1)
        found: Tensor = self.updater(message, memory)
        return found

    @torch.no_grad()
    def update_state(self, updated: UpdatedMemory, user: Tensor, item: Tensor, time: Tensor, mark: Tensor) -> None:
        """Store updated memories without their gradients, and put the messages of new events into the store.

        Args:
            updated: from :meth:`updated_memory`.
            user: users of the events, ``[B]``, in time order.
            item: items of the events, ``[B]``.
            time: times in seconds, ``[B]``.
            mark: the number on each event (its rating), ``[B]``.
        """
        self.clock = torch.maximum(self.clock, time.max() + 1) if len(time) else self.clock
        if not self.config.memory:
            self.last = self.last.scatter_reduce(0, torch.cat([user, item + self.item_offset]), time.repeat(2), "amax")
            return
        self.memory = self.memory.index_copy(0, updated.nodes, updated.memory.detach().to(self.memory.dtype))
        self.last = self.last.index_copy(0, updated.nodes, torch.maximum(self.last[updated.nodes], updated.last))
        node, other = torch.cat([user, item + self.item_offset]), torch.cat([item + self.item_offset, user])
        store, mark = torch.stack([node, other, time.repeat(2)]), mark.repeat(2)
        if self.config.aggregator == "last":
            order = torch.arange(len(user), device=user.device).repeat(2)
            is_last = torch.full_like(self.last, -1).scatter_reduce(0, node, order, "amax")[node] == order
            store, mark = store[:, is_last], mark[is_last]
        self.waiting, self.waiting_mark = store, mark

    # Embeddings

    def features(self, node: Tensor) -> Tensor:
        """Features ``[n, d]`` of nodes (each once, sorted), without their memories; zeros where there are none."""
        if self.training or torch.is_grad_enabled():
            return self._features(node)
        cached = self._kept_features
        if cached is None:
            cached = self._kept_features = self._features(torch.arange(self.n_nodes, device=node.device))
        return cached[node]

    def _features(self, node: Tensor) -> Tensor:
        found = torch.zeros(len(node), self.config.dim, device=node.device)
        known = self.known_nodes(node)
        user, item = node < self.item_offset, node >= self.item_offset
        found[user] = self.user_features(node[user], known[user]).to(found.dtype)  # autocast may give fewer bits
        found[item] = self.item_features(node[item] - self.item_offset, known[item]).to(found.dtype)
        return found

    def user_features(self, user: Tensor, known: Tensor) -> Tensor:
        """Embeddings ``[n, d]`` of users, the unknown user's where ``known [n]`` is false, zeros without a table."""
        if self.user_table is None:
            return torch.zeros(len(user), self.config.dim, device=user.device)
        found: Tensor = self.user_table(torch.where(known, user, self.schema.n_users))
        return found

    def item_features(self, item: Tensor, known: Tensor) -> Tensor:
        """Embeddings ``[n, d]`` of items, the unknown item's where ``known [n]`` is false, zeros without a table."""
        if self.item_table is None:
            return torch.zeros(len(item), self.config.dim, device=item.device)
        found: Tensor = self.item_table(torch.where(known, item, self.schema.n_items))
        return found

    def known_nodes(self, node: Tensor) -> Tensor:
        """Mask ``[n]`` of nodes that have an embedding of their own; in training, a share is hidden in each batch."""
        known = torch.cat([self.known_users, self.known_items])[node]
        return known & ~self._hidden[node] if self.training and self._hidden is not None else known

    def node_inputs(self, updated: UpdatedMemory, node: Tensor) -> Tensor:
        """Memory plus features of nodes (each once, sorted), ``[n, d]``."""
        found = self.features(node)
        return found + self.memory_of(updated, node) if self.config.memory else found

    def memory_of(self, updated: UpdatedMemory, node: Tensor) -> Tensor:
        """Memories of nodes, ``[n, d]``."""
        own, at = self.memory[node][:, : self.config.dim], updated.index[node]
        if len(updated.nodes):
            own = torch.where((at >= 0)[:, None], updated.memory[at.clamp(min=0)][:, : self.config.dim], own)
        return own

    def last_event(self, updated: UpdatedMemory, node: Tensor) -> Tensor:
        """Times ``[n]`` of nodes' last events, those in the message store included; ``NEVER`` before the first."""
        last = self.last[node]
        if not len(updated.nodes):
            return last
        index = updated.index[node]
        return torch.where(index >= 0, torch.maximum(last, updated.last[index.clamp(min=0)]), last)

    def embed(self, updated: UpdatedMemory, coded: Tensor, by_graph: bool = False) -> Tensor:
        """Embeddings ``[B, d]`` of nodes at times (codes ``[B]``); equal codes are embedded once.

        Args:
            updated: from :meth:`updated_memory`.
            coded: nodes and times, as :func:`~mmrec_core.models._temporal.code` packs them.
            by_graph: use the neighbours whatever the setting ``embedding`` says.
        """
        codes, at = torch.unique(coded, return_inverse=True)
        if torch.is_grad_enabled() or len(codes) <= CODES:
            return self._embed(updated, codes, by_graph)[at]
        order = torch.argsort(time_of(codes), stable=True)  # codes of one time share their neighbourhoods
        out = torch.empty(len(codes), self.config.dim, device=codes.device)
        for part in blocks(len(codes), CODES):
            chosen = torch.sort(order[part]).values
            out[chosen] = self._embed(updated, codes[chosen], by_graph)
        return out[at]

    def _embed(self, updated: UpdatedMemory, coded: Tensor, by_graph: bool) -> Tensor:
        """Embeddings of codes that are unique and sorted."""
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

    def _embed_layers(self, updated: UpdatedMemory, coded: Tensor, layers: int) -> Tensor:
        """Embeddings ``[B, d]`` of codes after the first ``layers`` layers alone, without :meth:`finish`."""
        codes, place = torch.unique(coded, return_inverse=True)
        node, hops = neighbourhood(self.neighbours, codes, self.config.neighbours, layers)
        if not layers:  # a node may occur at several times
            node, at = torch.unique(node, return_inverse=True)
            return self.node_inputs(updated, node)[at][place]
        found = self.node_inputs(updated, node)
        for graph, hop in zip(self.graph, hops, strict=False):
            found = self._hop(graph, hop, found)
        return found[place]

    def _hop(self, graph: nn.Module, hop: Hop, below: Tensor) -> Tensor:
        """One layer of the graph: embeddings ``[n, d]`` from those of the layer below ``[m, d]``."""
        zero = self.clock_code(torch.zeros(1, device=below.device))[0]

        def embedded(rows: slice) -> Tensor:
            neighbours = F.embedding(hop.neighbours[rows], below)  # its backward pass is faster than indexing's
            ago = self.clock_code(hop.gap_s[rows])
            found: Tensor = graph(below[hop.own[rows]], neighbours, hop.mark[rows], zero, ago, hop.exists[rows])
            return found

        if torch.is_grad_enabled():
            return embedded(slice(None))
        return torch.cat([embedded(rows) for rows in blocks(len(hop.own), ROWS)] or [below[:0]])

    def degree(self, coded: Tensor) -> Tensor:
        """How many events nodes had before times (codes ``[B]``): ``[B]``; zeros where the config does not read it."""
        return torch.zeros_like(coded) if self.often is None else self.neighbours.degree(coded)

    def finish(self, embedding: Tensor, coded: Tensor, degree: Tensor) -> Tensor:
        """Embeddings ``[n, d]`` of nodes at times (codes ``[n]``) with their degree ``[n]`` added, where the config
        reads it."""
        if self.often is None:
            return embedding
        user = node_of(coded) < self.item_offset
        logs = torch.log1p(degree.float())[:, None] * torch.stack([user, ~user], 1)
        return embedding + self.often(logs)
