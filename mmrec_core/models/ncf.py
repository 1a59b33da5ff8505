"""Neural Collaborative Filtering: GMF, MLP and NeuMF (He et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config, setting
from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.models._layers import WIDTHS, mlp, widths
from mmrec_core.models._negative_sampling import FoldNegatives, unseen_items
from mmrec_core.types import Array, Head, Schema, Side, TrainSet

PRESETS: dict[str, dict[str, Any]] = {
    "ncf": {},
    "gmf": {"parts": "gmf"},
    "ncf_mlp": {"parts": "mlp"},
    "mf_bce": {"parts": "dot"},
}
SUMMARIES = {
    "ncf": "NeuMF: the product of user and item embeddings and an MLP on both (He et al. 2017, “NCF”).",
    "gmf": "Generalised matrix factorisation: the product of user and item embeddings, weighted (He et al. 2017).",
    "ncf_mlp": "An MLP on user and item embeddings, without their product (He et al. 2017).",
    "mf_bce": "Matrix factorisation with the log-loss of NeuMF: its baseline in Rendle et al. 2020.",
}


class NCF(GradientModel):
    """Neural collaborative filtering: GMF, an MLP, or NeuMF, which is both (He et al. 2017, "Neural Collaborative
    Filtering").

    ``gmf``: ``⟨h, p_u ∘ q_i⟩``; ``mlp``: a network on ``[p_u ‖ q_i]``; ``neumf``: one linear layer on both, each with
    its own embeddings. The loss is the log-loss of liked items and of ``negatives`` sampled per liked item, anew each
    epoch. ``dot``: ``b_u + b_i + ⟨p_u, q_i⟩`` with the same loss, the baseline of Rendle et al. 2020 ("Neural
    Collaborative Filtering vs. Matrix Factorization Revisited").
    """

    class Config(Config):
        """Parts of the model, widths and regularisation."""

        parts: Literal["neumf", "gmf", "mlp", "dot"] = setting(
            "neumf", "how a pair is scored: neumf (gmf and mlp), gmf, mlp or dot"
        )
        dim: int = setting(32, "width of the embeddings of gmf and dot", ge=1, le=1024, log=True)
        mlp: str = setting(
            "64,32,16",
            "widths of the mlp's layers, separated by commas; user and film embeddings have half the first width each",
            pattern=WIDTHS,
        )
        negatives: int = setting(4, "sampled negatives per liked film", ge=1, le=64)
        l2: float = setting(0.0, "L2 penalty on the embeddings a row reads", ge=0.0, le=10.0, log=True)
        dropout: float = setting(0.0, "dropout in the mlp", ge=0.0, le=0.9)
        id_dropout: float = setting(
            0.01, "share of ids hidden in training, which trains the embeddings of unknown ids", ge=0.0, le=0.5
        )
        init: float = setting(
            0.01, "standard deviation of the embeddings before training", ge=1e-4, le=1.0, log=True, advanced=True
        )

    family: ClassVar[str] = "matrix factorisation"
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.001, "batch_size": 2048, "max_epochs": 60, "patience": 5}
    FOLD_LR: ClassVar[float] = 0.12
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.layers = widths(config.mlp) or [2 * config.dim]
        wide = {"product": config.dim if config.parts != "mlp" else 0, "deep": 0}
        if config.parts in ("mlp", "neumf"):
            wide["deep"] = max(self.layers[0] // 2, 1)
        self.wide = {name: n for name, n in wide.items() if n}
        for owner, n in (("user", schema.n_users), ("item", schema.n_items)):
            for name, d in self.wide.items():
                setattr(self, f"{owner}_{name}", nn.Embedding(n + 1, d))
        if config.parts == "dot":
            self.user_bias, self.item_bias = nn.Embedding(schema.n_users + 1, 1), nn.Embedding(schema.n_items + 1, 1)
        else:
            in_features = config.dim * ("product" in self.wide)
            if "deep" in self.wide:
                self.deep = mlp([2 * self.wide["deep"], *self.layers[1:]], config.dropout, last_activation=True)
                in_features += self.layers[-1] if len(self.layers) > 1 else 2 * self.wide["deep"]
            self.out = nn.Linear(in_features, 1)
        generator = self.generator(0, 9)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, 0.0, config.init, generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=1.0, generator=generator)
                nn.init.zeros_(module.bias)
        if config.parts == "dot":
            nn.init.zeros_(self.user_bias.weight)
            nn.init.zeros_(self.item_bias.weight)

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """One ranking head: the log-odds of liking."""
        return (Head("liked", "ranking"),)

    def epoch_rows(self, train: TrainSet) -> int:
        """About how many rows an epoch has: liked ones and their negatives."""
        return len(train.positives) * (1 + self.config.negatives)

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Every liked pair (user, item) with target 1, and its sampled negatives with 0."""
        liked = self.rows(train.positives)
        user = liked["user"].repeat_interleave(self.config.negatives)
        negative = unseen_items(train, user, self.generator(epoch, 2))
        return self._with_negatives(liked["user"], liked["item"], user, negative)

    @staticmethod
    def _with_negatives(user: Tensor, liked: Tensor, negative_user: Tensor, negative: Tensor) -> Batch:
        """Liked pairs with target 1, followed by pairs with sampled negatives with target 0.

        Args:
            user: users of the liked pairs, ``[N]``.
            liked: their items, ``[N]``.
            negative_user: users of the negatives, ``[K]``.
            negative: their items, ``[K]``.
        """
        target = torch.cat([torch.ones(len(user)), torch.zeros(len(negative_user))])
        return {"user": torch.cat([user, negative_user]), "item": torch.cat([liked, negative]), "target": target}

    def history_rows(self, histories: Any) -> tuple[Batch, FoldNegatives]:
        """Likes of each history, and the sampler of their negatives."""
        liked = self.rows(self.as_train_set(histories).positives)
        return liked, FoldNegatives(self, liked["user"], liked["item"], self.config.negatives)

    def history_epoch(self, shared: tuple[Batch, FoldNegatives], step: int) -> Batch:
        """The likes with the negatives of one step."""
        liked, negatives = shared
        user, item = liked["user"], liked["item"]
        row, drawn = negatives.draw(self.generator(step, 2))
        return self._with_negatives(user, item, user[row], drawn)

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """User embeddings ``[B, d]`` of each part, and the bias ``[B, 1]``."""
        row = self.oov_user(user)
        state = {name: getattr(self, f"user_{name}")(row) for name in self.wide}
        return state | ({"bias": self.user_bias(row)} if self.config.parts == "dot" else {})

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Log-odds ``[B, 1]``."""
        row = self.oov_item(batch["item"])
        item = {name: getattr(self, f"item_{name}")(row) for name in self.wide}
        if self.config.parts == "dot":
            return ((user["product"] * item["product"]).sum(1) + user["bias"][:, 0] + self.item_bias(row)[:, 0])[
                :, None
            ]
        parts = [user["product"] * item["product"]] if "product" in item else []
        parts += [self.deep(torch.cat([user["deep"], item["deep"]], 1))] if "deep" in item else []
        return self.out(torch.cat(parts, 1))

    def row_losses(self, batch: Batch) -> Tensor:
        """Losses ``[B]``: log-loss plus the L2 penalty on the row's embeddings."""
        user = self.user_tensors(batch)
        loss = F.binary_cross_entropy_with_logits(self(user, batch)[:, 0], batch["target"], reduction="none")
        if not self.config.l2:
            return loss
        row = self.oov_item(batch["item"])
        norms = sum(user[n].square().sum(1) + getattr(self, f"item_{n}")(row).square().sum(1) for n in self.wide)
        return loss + self.config.l2 * norms

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]``: one matrix product for dot and gmf, pair by pair where there is an MLP."""
        if "deep" in self.wide:
            return super().score_states(state, items)
        items = torch.arange(self.schema.n_items, device=self.known_items.device) if items is None else items
        row = self.oov_item(items)
        factors = self.get_submodule("item_product")(row)
        if self.config.parts == "dot":
            return state["product"] @ factors.T + state["bias"] + self.item_bias(row)[:, 0]
        return (state["product"] * self.out.weight[0]) @ factors.T + self.out.bias

    def item_vectors(self) -> Tensor | None:
        """Item embeddings of all parts, concatenated, ``[I, d]``."""
        row = self.oov_item(torch.arange(self.schema.n_items, device=self.known_items.device))
        return torch.cat([getattr(self, f"item_{name}")(row) for name in self.wide], 1).detach()

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and items by their ids."""
        found: dict[str, tuple[str, Array]] = {}
        for owner in ("user", "item"):
            tables = [*self.wide, *(["bias"] if self.config.parts == "dot" else [])]
            found |= {f"{owner}_{name}.weight": self.names_of(owner) for name in tables}
        return found
