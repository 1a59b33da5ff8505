"""Matrix factorisation with the BPR pairwise ranking loss (Rendle et al. 2009)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config, setting
from mmrec_core.models._base import Batch, FoldGradients
from mmrec_core.models._negative_sampling import FoldNegatives, Pairwise
from mmrec_core.types import Array, Schema, Side


class BPR(Pairwise):
    """Matrix factorisation with the BPR loss (Rendle et al. 2009, "BPR").

    ``−log σ(x_ui − x_uj)`` with ``x_ui = b_i + ⟨p_u, q_i⟩`` (on logits, never on probabilities) for every liked item
    ``i`` and a negative ``j``, sampled uniformly among the items that the user has not liked, anew each epoch.
    """

    class Config(Config):
        """Number of factors, regularisation and negatives."""

        dim: int = setting(64, "number of factors of users and films", ge=1, le=1024, log=True)
        l2: float = setting(0.005, "L2 penalty on the factors in a comparison", ge=0.0, le=10.0, log=True)
        negatives: int = setting(1, "sampled negatives per liked film, drawn anew each epoch", ge=1, le=64)
        id_dropout: float = setting(
            0.01, "share of ids hidden in training, which trains the embeddings of unknown ids", ge=0.0, le=0.5
        )
        init: float = setting(
            0.01, "standard deviation of the factors before training", ge=1e-4, le=1.0, log=True, advanced=True
        )

    family: ClassVar[str] = "matrix factorisation"
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.002, "batch_size": 512, "max_epochs": 120, "patience": 15}
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.user_factors = nn.Embedding(schema.n_users + 1, config.dim)
        self.item_factors = nn.Embedding(schema.n_items + 1, config.dim)
        self.item_bias = nn.Embedding(schema.n_items + 1, 1)
        generator = self.generator(0, 9)
        for table in (self.user_factors, self.item_factors):
            nn.init.normal_(table.weight, 0.0, config.init, generator=generator)
        nn.init.zeros_(self.item_bias.weight)

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """User factors ``[B, d]``."""
        return {"factors": self.user_factors(self.oov_user(user))}

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Scores ``[B, 1]``."""
        item = self.oov_item(batch["item"])
        return ((user["factors"] * self.item_factors(item)).sum(1) + self.item_bias(item)[:, 0])[:, None]

    def row_losses(self, batch: Batch) -> Tensor:
        """BPR losses ``[B]``, averaged over a row's negatives, plus the L2 penalty."""
        user = self.user_tensors(batch)["factors"]
        item, other = self.oov_item(batch["item"]), self.oov_item(batch["negative"])
        positive, negative = self.item_factors(item), self.item_factors(other)
        score = (user * positive).sum(1) + self.item_bias(item)[:, 0]
        negative_score = torch.einsum("bd,bnd->bn", user, negative) + self.item_bias(other)[..., 0]
        norms = user.square().sum(1) + positive.square().sum(1) + negative.square().sum(2).mean(1)
        return F.softplus(negative_score - score[:, None]).mean(1) + self.config.l2 * norms

    def fold_gradients(
        self, shared: tuple[Batch, FoldNegatives], state: dict[str, Tensor], moving: Sequence[str]
    ) -> FoldGradients:
        """Gradients of a fold-in. Overridden because they have a closed form: −log σ of a difference that is linear in
        the user's factors. The negatives of all steps are drawn at once."""
        if not self.learns_as(BPR):
            return super().fold_gradients(shared, state, moving)
        liked, negatives = shared
        device, steps, factors = self.known_items.device, self.FOLD_STEPS, state["factors"]
        row = negatives.row
        user, item = liked["user"][row].to(device), self.oov_item(liked["item"][row].to(device))
        drawn, free = (
            each.view(steps, -1).to(device)
            for each in negatives.drawn(*(self.generator(step, 2) for step in range(steps)))
        )
        others = self.oov_item(drawn)
        positive, bias, other_bias = self.item_factors(item), self.item_bias(item)[:, 0], self.item_bias(others)[..., 0]

        counts = factors.new_zeros(steps, len(factors)).index_add_(1, user, free.to(factors.dtype))
        weights = (free / counts.clamp(min=1)[:, user])[..., None]
        bias_difference, penalty = other_bias - bias, 2 * self.config.l2 * weights

        def gradients(step: int) -> tuple[list[Tensor], Tensor]:
            own, difference = factors[user], self.item_factors(others[step]).sub_(positive)
            slope = torch.sigmoid((own * difference).sum(1).add_(bias_difference[step]))[:, None] * weights[step]
            by_row = difference.mul_(slope).addcmul_(own, penalty[step])
            return [torch.zeros_like(factors).index_add_(0, user, by_row)], counts[step]

        return gradients

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]`` by one matrix product."""
        items = torch.arange(self.schema.n_items, device=self.known_items.device) if items is None else items
        row = self.oov_item(items)
        return torch.addmm(self.item_bias(row)[:, 0], state["factors"], self.item_factors(row).T)

    def item_vectors(self) -> Tensor | None:
        """Item factors, ``[I, d]``."""
        return self.item_factors(
            self.oov_item(torch.arange(self.schema.n_items, device=self.known_items.device))
        ).detach()

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and items by their ids."""
        users, items = self.names_of("user"), self.names_of("item")
        return {"user_factors.weight": users, "item_factors.weight": items, "item_bias.weight": items}
