"""Temporal Graph Network with plot and poster vectors as features of items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.models._item_content import ContentConfig, FusedContent
from mmrec_core.models._temporal import code, node_of
from mmrec_core.models.lightgcn import LightGCN
from mmrec_core.models.tgn import TGN
from mmrec_core.types import ItemState, TrainSet

STRUCTURE = 64
"""Width of the LightGCN embeddings of the second channel: LightGCN's default."""


class _Film(nn.Module):
    """FiLM: ``γ(c) ∘ x + β(c)`` (Perez et al. 2018); it starts as the identity."""

    def __init__(self, dim: int, condition: int) -> None:
        super().__init__()
        self.gamma, self.beta = (
            nn.Sequential(nn.Linear(condition, dim), nn.ReLU(), nn.Linear(dim, dim)) for _ in range(2)
        )

    def start(self) -> None:
        """Initialise as the identity (γ = 1, β = 0). Call it after all other weights are drawn."""
        for network, value in ((self.gamma, 1.0), (self.beta, 0.0)):
            last = network[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, value)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Modulate ``x [n, d]`` by ``condition [n, c]``: ``[n, d]``."""
        found: Tensor = self.gamma(condition) * x + self.beta(condition)
        return found


class MMTGN(TGN):
    """Multimodal temporal graph network ("MM-TGN", the rsk1707/mm-tgn repository): TGN whose item features are plot and
    poster.

    Features of users are learned embeddings (``nodes=ids``, its "hybrid" features), features of items are their fused
    content. Without content (``--modality none``, its "vanilla" variant) items have learned embeddings under the same
    final LayerNorm, so that both variants start with features of equal norm (the original's vanilla variant has no
    LayerNorm, and its features start about a hundred times smaller). ``user_state_film``: the user's memory scales and
    shifts items' embeddings. ``structure``: a second channel, LightGCN embeddings, scales and shifts every embedding.
    The published network is ``dim=172 partner=memory layers=2 neighbours=15 fusion_width=512 waves=learned
    degree=false`` (film: 256). The loss is computed on logits, because BPR on probabilities cannot go below .313.
    """

    class Config(ContentConfig, TGN.Config):
        """Settings of TGN, of the items' content and of the second channel."""

        dim: int = setting(64, "width of memories and embeddings", ge=2, le=1024, log=True)
        message: Literal["mlp", "identity"] = setting(
            "mlp", "message function: an MLP of the raw message, or the raw message itself"
        )
        partner: Literal["memory", "node", "embedding"] = setting(
            "node",
            "what a message contains of the other node: its memory, memory and features, or its embedding by attention"
            " (DyRep)",
        )
        neighbours: int = setting(15, "most recent events a node attends to", ge=1, le=200)
        score: Literal["mlp", "dot"] = setting(
            "mlp", "how a pair of embeddings is scored: an MLP, or their dot product"
        )
        id_dropout: float = setting(
            0.05,
            "share of nodes whose embedding is hidden in a batch, which trains the embeddings of unknown ids",
            ge=0.0,
            le=0.9,
        )
        degree: bool = setting(
            True,
            "whether an embedding also reads how many events its node has had, which attention over the latest events"
            " does not show",
        )
        fusion: Literal["mlp", "film", "gated"] = setting(
            "mlp", "how text and image become one vector: an MLP, text modulating the image, a gate"
        )
        fusion_width: int = setting(
            128, "hidden units of the mlp and film fusions", ge=4, le=2048, log=True, advanced=True
        )
        alone: float = setting(
            0.2,
            "share of films treated in training as if they had no events (no memory, no neighbours), so that their"
            " content is trained",
            ge=0.0,
            le=0.9,
        )
        user_state_film: bool = setting(False, "whether the user's memory scales and shifts films' embeddings")
        structure: Literal["none", "lightgcn"] = setting(
            "none",
            "second channel: embeddings of a LightGCN, trained first on the same rows, scale and shift all embeddings",
        )
        structure_epochs: int = setting(20, "training epochs of that LightGCN", ge=1, le=500, advanced=True)

    version: ClassVar[int] = 2
    family: ClassVar[str] = "multimodal"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "time", "content"})
    train_defaults: ClassVar[Mapping[str, Any]] = {**TGN.train_defaults, "lr": 0.0003}
    config: Config

    def more_layers(self) -> None:
        """Build the features of users and items, and the networks that modulate embeddings."""
        config, dim = self.config, self.config.dim
        self.content = FusedContent(
            self.side, self.schema.n_items, config.fusion, dim, config.fusion_width, config.content_dropout
        )
        self.user_table = nn.Embedding(self.item_offset, dim) if config.nodes == "ids" else None
        self.item_table = None if self.content.names else nn.Embedding(self.schema.n_items + 1, dim)
        self.item_norm = None if self.content.names else nn.LayerNorm(dim)
        self.by_memory = _Film(dim, dim) if config.user_state_film else None
        self.by_structure = _Film(dim, STRUCTURE) if config.structure != "none" else None
        if self.by_structure is not None:
            self.register_buffer("structure", torch.zeros(self.n_nodes, STRUCTURE))

    def seed_weights(self) -> None:
        """Also initialise every modulation as the identity."""
        super().seed_weights()
        self.content.start()
        for film in (self.by_memory, self.by_structure):
            if film is not None:
                film.start()

    def begin(self, train: TrainSet) -> None:
        """Also compute mean and standard deviation of the training items' content, and train the second channel."""
        super().begin(train)
        self.content.begin(self.known_items)
        if self.by_structure is not None:
            self.structure = self._structure(train)

    def _structure(self, train: TrainSet) -> Tensor:
        """LightGCN embeddings of all nodes ``[N, 64]``, trained on the training rows, divided by their standard
        deviation."""
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(self.seed)
            channel = LightGCN(LightGCN.Config(dim=STRUCTURE, layers=2), self.schema, (), self.seed)
            channel.known_users.copy_(self.known_users)
            channel.known_items.copy_(self.known_items)
            channel.to(self.last.device).begin(train)
            optimizer = torch.optim.AdamW(channel.parameters(), lr=0.01, weight_decay=0.0)
            channel.train()
            for epoch in range(self.config.structure_epochs):
                for batch in channel.batches(train, epoch, batch_size=4096):
                    optimizer.zero_grad()
                    loss = channel.loss({k: v.to(self.last.device) for k, v in batch.items()})
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
            channel.eval()
            with torch.no_grad():
                found = torch.cat(channel.embeddings())
        return found / found.std().clamp(min=1e-6)

    def item_features(self, item: Tensor, known: Tensor) -> Tensor:
        """Features ``[n, d]`` of items: their content; without any content a learned embedding (the unknown item's
        where ``known [n]`` is false)."""
        if self.content.names:
            return self.content(item)
        assert self.item_norm is not None
        found: Tensor = self.item_norm(super().item_features(item, known))
        return found

    def without_events(self, first: Tensor) -> Tensor:
        """Embeddings ``[n, d]`` of items with features ``first [n, d]`` that have no events: no memory, no neighbours,
        and no LightGCN embedding."""
        n, k = len(first), self.config.neighbours
        zero = self.clock_code(torch.zeros(1, device=first.device))[0]
        gap = torch.zeros(n, k, dtype=torch.int64, device=first.device)
        found = first
        for graph in self.graph if self.config.embedding.startswith("graph") else ():
            neighbours = torch.zeros(n, k, self.config.dim, device=first.device)
            found = graph(found, neighbours, gap.float(), zero, self.clock_code(gap), gap > 0)
        if self.config.embedding == "time":
            found = self.projected(found, gap[:, 0])
        unknown = torch.full((n,), self.n_nodes - 1, device=first.device)
        return self.finish(found, code(unknown, self.clock.expand(n)), torch.zeros_like(unknown))

    def hide_events(self, vectors: Tensor, item: Tensor) -> Tensor:
        """In training, treat a share of items as if they had no events."""
        alone = torch.rand(len(item), device=item.device) < (self.config.alone if self.content.names else 0.0)
        if not self.training or not bool(alone.any()):
            return vectors
        own = item[alone]
        without = self.without_events(self.item_features(own, self.known_items[own]))
        return vectors.index_put((torch.nonzero(alone)[:, 0],), without.to(vectors.dtype))

    def finish(self, embedding: Tensor, coded: Tensor, degree: Tensor) -> Tensor:
        """Also modulate by the second channel, where there is one."""
        found = super().finish(embedding, coded, degree)
        if self.by_structure is None:
            return found
        return self.by_structure(found, self.get_buffer("structure")[node_of(coded)])

    def as_state(self, memory: Tensor, vector: Tensor) -> dict[str, Tensor]:
        """The state of users: embeddings, and memories where they modulate items."""
        return {"vector": vector} if self.by_memory is None else {"vector": vector, "memory": memory}

    def pair_scores(self, user: Mapping[str, Tensor], item: Tensor) -> Tensor:
        """Scores ``[B]``; the user's memory modulates the items' embeddings, where the config says so."""
        return super().pair_scores(user, item if self.by_memory is None else self.by_memory(item, user["memory"]))

    def score_items(self, state: Mapping[str, Tensor], films: Tensor) -> Tensor:
        """Scores ``[B, n]``; user by user where memories modulate items."""
        if self.by_memory is None:
            return super().score_items(state, films)
        gamma, beta = self.by_memory.gamma(state["memory"]), self.by_memory.beta(state["memory"])
        rows = [
            super(MMTGN, self).pair_scores({"vector": vector.expand(len(films), -1)}, scale * films + shift)
            for vector, scale, shift in zip(state["vector"], gamma, beta, strict=True)
        ]
        return torch.stack(rows) if rows else films.new_zeros(0, len(films))

    @torch.no_grad()
    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items from their ``text`` and ``image`` vectors ``[B, W]`` (either may be missing), without
        memory and neighbours."""
        if not set(content) & set(self.content.names):
            return None
        self.rest()
        own = self.content.of(content, self.last.device)
        vector = self.without_events(own)
        return ItemState({"vector": vector}, tuple("folded" for _ in range(len(own))))
