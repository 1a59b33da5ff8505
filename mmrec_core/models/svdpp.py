"""SVD++: matrix factorisation with implicit feedback, time and side features (Koren 2008)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models._feature_reader import FeatureBatch, with_dense
from mmrec_core.models._field_config import FieldConfig
from mmrec_core.models._field_model import FieldModel
from mmrec_core.models._folding import FoldInputs, RowGradients
from mmrec_core.types import Schema, Side


class SVDpp(FieldModel):
    """SVD++ with time and side features, as a factorisation machine (Koren 2008; Rendle et al. 2019).

    ``r = μ + Σ w_f + Σ_{f<g} ⟨v_f, v_g⟩`` over the fields user, item, ``|N(u)|^−½ Σ_{j∈N(u)} y_j`` (items the user
    rated), ``|R(i)|^−½ Σ_{v∈R(i)} z_v`` (users who rated the item, "flipped"), side features, week, minutes since the
    user's first rating, and a drift ``α_u·dev_u(t)``: Rendle, Zhang & Koren's "timeSVD++ flipped" ("On the Difficulty
    of Evaluating Baselines"), trained by gradient steps instead of Gibbs sampling. A training row is left out of its
    own sums.
    """

    class Config(FieldConfig):
        """Settings of the features, and the size of the ensemble."""

        loss: Literal["mse"] = setting("mse", "loss: the squared error of the rating", advanced=True)
        members: int = setting(
            1,
            "models that start from different weights and are trained together; their mean is the prediction (a deep"
            " ensemble, Lakshminarayanan et al. 2017)",
            ge=1,
            le=32,
        )

    linear: ClassVar[bool] = True
    family: ClassVar[str] = "matrix factorisation"
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "rating"})
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.001, "batch_size": 256, "max_epochs": 80, "patience": 5}
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.scaled = nn.Embedding(max(self.n_dense, 1), self.dim + 1)
        """Embedding and first-order weight of each dense feature."""
        self.seed_weights()

    def member_scores(self, features: FeatureBatch) -> Tensor:
        """Predictions ``[B, members]`` without the mean: shared first-order terms plus each member's pairs."""
        first, vectors = with_dense(features, self.scaled)
        own = vectors.reshape(*vectors.shape[:2], self.config.members, self.config.dim)
        second = 0.5 * (own.sum(1).square().sum(-1) - own.square().sum((1, 3)))
        return first[:, None] + second

    def outputs(self, features: FeatureBatch) -> Tensor:
        """Raw outputs ``[B, 1]``: the mean over members."""
        return self.member_scores(features).mean(1, keepdim=True)

    def feature_losses(self, features: FeatureBatch, batch: Batch) -> Tensor:
        """Losses ``[B]``: the mean of the members' squared errors plus the L2 penalty."""
        errors = (self.mean + self.member_scores(features) - batch["rating"][:, None]).square().mean(1)
        return errors + self.config.l2 * features.vectors.square().sum((1, 2)) / self.config.members

    def row_gradients(self, inputs: FoldInputs) -> RowGradients:
        """Gradients of each row's loss with respect to its id embedding. Overridden because they have a closed form:
        every member is linear in the id embedding."""
        n = len(inputs.features.first_order)
        _, vectors = with_dense(inputs.features, self.scaled)
        others = vectors[:, 1:].sum(1).view(n, self.config.members, self.config.dim)
        zeros = inputs.features.vectors.new_zeros(n, self.dim + 1)
        rest = self.mean + self.member_scores(inputs.with_id(zeros)) - inputs.batch["rating"][:, None]

        def gradient(own: Tensor) -> Tensor:
            vector = own[:, :-1]
            error = 2 * (rest + own[:, -1:] + (vector.view_as(others) * others).sum(2)) / self.config.members
            by_vector = (
                (error[..., None] * others).flatten(1).add_(vector, alpha=2 * self.config.l2 / self.config.members)
            )
            return torch.cat([by_vector, error.sum(1, keepdim=True)], 1)

        return gradient

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Scores ``[B, I]`` by one matrix product. Pairs of two user vectors give one number per user, pairs of two
        item vectors one per item, and pairs across are one dot product."""
        items = torch.arange(self.schema.n_items, device=self.mean.device) if items is None else items
        n = len(next(iter(state.values())))
        if not n or not len(items):
            return torch.zeros(n, len(items), device=self.mean.device)
        one = {name: tensor[:1].expand(len(items), *tensor.shape[1:]) for name, tensor in state.items()}
        by_user, users = self._one_side(state, items[:1].expand(n), of_user=True)
        by_item, films = self._one_side(one, items, of_user=False)
        across = users @ films.T / self.config.members
        # known: the scores of all users for the first item, and of the first user for all items
        return (by_user - across[:, 0])[:, None] + (by_item - across[0] - (by_item[0] - across[0, 0])) + across

    def _one_side(self, state: Mapping[str, Tensor], item: Tensor, of_user: bool) -> tuple[Tensor, Tensor]:
        """Scores ``[B]`` of pairs, and the sum ``[B, members · d]`` of the user's or of the item's vectors."""
        features = self.read_features(state, {"item": item})
        sides = features.vectors[:, : features.n_user] if of_user else features.vectors[:, features.n_user :]
        total = sides.sum(1)
        if self.n_dense:
            is_user = (
                [True] * len(self.numbers["user"])
                + [False] * len(self.numbers["item"])
                + [True, False] * self.config.counts
            )
            chosen = torch.tensor([side == of_user for side in is_user], device=item.device)
            total = total + (features.dense * chosen) @ self.scaled.weight[:, :-1]
        return self.mean + self.outputs(features)[:, 0], total
