"""Temporal Graph Network with plot and poster vectors as features of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.errors import MMRecError
from mmrec_core.models._base import Batch
from mmrec_core.models._item_content import ContentConfig, FusedContent
from mmrec_core.models._temporal import UpdatedMemory, code, node_of
from mmrec_core.models.lightgcn import LightGCN
from mmrec_core.models.tgn import TGN
from mmrec_core.types import ItemState, TrainSet

STRUCTURE = 64
"""Width of the LightGCN embeddings of the second channel: LightGCN's default."""
TEMPERATURE = 0.2
"""Of the contrastive loss."""


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


class _GatedChannels(nn.Module):
    """Three channels of a node as one vector: a weighted mean of its temporal, structural and content embeddings.

    The weights are a softmax over the channels in each coordinate, ``softmax(W[t ‖ s ‖ c] + b)``; a channel that a node
    lacks has weight 0. The temporal channel starts with most of the weight.

    Args:
        dim: width ``d`` of the temporal and the content channel, and of the result.
        structure: width of the structural channel.
    """

    def __init__(self, dim: int, structure: int) -> None:
        super().__init__()
        self.project = nn.ModuleList([nn.Linear(width, dim) for width in (dim, structure, dim)])
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(3)])
        self.gate = nn.Linear(3 * dim, 3 * dim)

    def start(self) -> None:
        """Initialise the gates as constants, with the temporal channel first. Call it after all weights are drawn."""
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        with torch.no_grad():
            self.gate.bias.view(3, -1)[0].fill_(2.0)

    def weights(self, channels: Tensor, has: Tensor) -> Tensor:
        """Weights ``[n, 3, d]`` of projected channels ``[n, 3, d]``; ``has [n, 3]`` says which a node has."""
        raw = self.gate(channels.flatten(1)).view_as(channels)
        return raw.masked_fill(~has[:, :, None], -torch.inf).softmax(1)

    def forward(self, parts: Sequence[Tensor], has: Tensor) -> Tensor:
        """Fuse three channels ``[n, ·]``: ``[n, d]``."""
        made = [norm(layer(part)) for norm, layer, part in zip(self.norms, self.project, parts, strict=True)]
        channels = torch.stack(made, 1)
        return (self.weights(channels, has) * channels).sum(1)


class MMTGN(TGN):
    """Multimodal temporal graph network ("MM-TGN", the rsk1707/mm-tgn repository): TGN whose item features are plot and
    poster.

    Features of users are learned embeddings (``nodes=ids``, its "hybrid" features), features of items are their fused
    content. Without content (``--modality none``, its "vanilla" variant) items have learned embeddings under the same
    final LayerNorm, so that both variants start with features of equal norm (the original's vanilla variant has no
    LayerNorm, and its features start about a hundred times smaller). ``user_state_film``: the user's memory scales and
    shifts items' embeddings. ``structure``: a second channel, LightGCN embeddings, scales and shifts every embedding
    (``lightgcn``), or is fused with the temporal embedding and the content by gates (``gated``). ``contrastive``: an
    InfoNCE loss brings each item's content near its LightGCN embedding, so that content without events carries what
    events would show.
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
        structure: Literal["none", "lightgcn", "gated"] = setting(
            "none",
            "second channel, embeddings of a LightGCN trained first on the same rows: lightgcn scales and shifts all"
            " embeddings by them; gated weighs temporal, LightGCN and content embeddings against each other",
        )
        contrastive: float = setting(
            0.0,
            "weight of a contrastive loss between content and LightGCN embedding of the same film; needs a structure",
            ge=0.0,
            le=10.0,
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
        self.by_structure = _Film(dim, STRUCTURE) if config.structure == "lightgcn" else None
        self.channels = _GatedChannels(dim, STRUCTURE) if config.structure == "gated" else None
        if config.structure == "none" and config.contrastive > 0:
            raise MMRecError(
                "contrastive compares content with LightGCN embeddings: set structure to lightgcn or gated."
            )
        self.contrasted = (
            nn.ModuleList([nn.Linear(dim, STRUCTURE), nn.Linear(STRUCTURE, STRUCTURE)])
            if config.contrastive > 0 and self.content.names
            else None
        )
        if config.structure != "none":
            self.register_buffer("structure", torch.zeros(self.n_nodes, STRUCTURE))

    def seed_weights(self) -> None:
        """Also initialise every modulation as the identity."""
        super().seed_weights()
        self.content.start()
        for film in (self.by_memory, self.by_structure, self.channels):
            if film is not None:
                film.start()

    def begin(self, train: TrainSet) -> None:
        """Also compute mean and standard deviation of the training items' content, and train the second channel."""
        super().begin(train)
        self.content.begin(self.known_items)
        if self.config.structure != "none":
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
        return self.finish(found, code(unknown, self.clock.expand(n)), torch.zeros_like(unknown), first)

    def hide_events(self, vectors: Tensor, item: Tensor) -> Tensor:
        """In training, treat a share of items as if they had no events."""
        alone = torch.rand(len(item), device=item.device) < (self.config.alone if self.content.names else 0.0)
        if not self.training or not bool(alone.any()):
            return vectors
        own = item[alone]
        without = self.without_events(self.item_features(own, self.known_items[own]))
        return vectors.index_put((torch.nonzero(alone)[:, 0],), without.to(vectors.dtype))

    def finish(self, embedding: Tensor, coded: Tensor, degree: Tensor, content: Tensor | None = None) -> Tensor:
        """Also modulate by the second channel, or fuse the channels, where the config says so.

        Args:
            embedding: embeddings ``[n, d]`` of nodes.
            coded: codes ``[n]`` of nodes and times.
            degree: degrees ``[n]``.
            content: fused content ``[n, d]`` of items that have none in the catalog; ``None``: that of the nodes.
        """
        found = super().finish(embedding, coded, degree)
        node = node_of(coded)
        if self.by_structure is not None:
            return self.by_structure(found, self.get_buffer("structure")[node])
        if self.channels is None:
            return found
        structure = self.get_buffer("structure")[node]
        if content is None:
            content = self._content_of(node)
        known = torch.cat([self.known_users, self.known_items])[node]
        has = [torch.ones_like(known), known & structure.any(1), content.any(1)]
        fused: Tensor = self.channels([found, structure, content], torch.stack(has, 1))
        return fused

    def _content_of(self, node: Tensor) -> Tensor:
        """Fused content ``[n, d]`` of nodes; zeros for users and for items without any."""
        found = torch.zeros(len(node), self.config.dim, device=node.device)
        films = torch.nonzero(node >= self.item_offset)[:, 0]
        if not self.content.names or not len(films):
            return found
        return found.index_put((films,), self.content(node[films] - self.item_offset).to(found.dtype))

    def _losses(self, updated: UpdatedMemory, batch: Batch) -> Tensor:
        losses = super()._losses(updated, batch)
        if self.contrasted is None or not self.training:
            return losses
        return losses + self.config.contrastive * self.contrastive_loss(batch["item"].unique())

    def contrastive_loss(self, item: Tensor) -> Tensor:
        """InfoNCE (van den Oord et al. 2018) between content and LightGCN embedding of items ``[n]``, both ways."""
        assert self.contrasted is not None
        structure, content = self.get_buffer("structure")[item + self.item_offset], self.content(item)
        both = structure.any(1) & content.any(1)
        if int(both.sum()) < 2:
            return content.sum() * 0.0
        sides = zip(self.contrasted, (content[both], structure[both]), strict=True)
        own, other = (F.normalize(layer(part), dim=1) for layer, part in sides)
        logits = own @ other.T / TEMPERATURE
        right = torch.arange(len(logits), device=logits.device)
        return 0.5 * (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right))

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
