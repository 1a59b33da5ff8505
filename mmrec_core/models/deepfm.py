"""Factorisation machine and deep network on shared embeddings (Guo et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.models._attribution import PairAttribution, one_row
from mmrec_core.models._feature_reader import FeatureBatch, pair_sum, with_dense
from mmrec_core.models._field_config import FieldConfig
from mmrec_core.models._field_model import FieldModel
from mmrec_core.models._layers import WIDTHS, mlp, widths
from mmrec_core.types import Schema, Side, UserState


class DeepFM(FieldModel):
    """Factorisation machine and deep network on the same embeddings (Guo et al. 2017, "DeepFM").

    ``y = w₀ + Σ w_f x_f + Σ_{f<g} ⟨v_f, v_g⟩ x_f x_g + MLP([x_f v_f …])``: first-order weights, all pairs of field
    vectors, and the deep part, added as one logit (or one rating), without a second sigmoid. A dense feature is a field
    whose vector is scaled by its value. Several outputs (classes of stars, labels) share the embeddings and the deep
    part.
    """

    class Config(FieldConfig):
        """Settings of the features, and of the deep part."""

        deep: str = setting("64,32", "widths of the deep part's hidden layers, separated by commas", pattern=WIDTHS)
        dropout: float = setting(0.2, "dropout in the deep part", ge=0.0, le=0.9)

    linear: ClassVar[bool] = True
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.001, "batch_size": 256, "max_epochs": 60, "patience": 5}
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.scaled = nn.Embedding(max(self.n_dense, 1), config.dim + 1)
        """Embedding and first-order weight of each dense feature."""
        self.deep = mlp(
            [(self.n_vectors + self.n_dense) * config.dim, *widths(config.deep), self.n_outputs], config.dropout
        )
        self.offset = nn.Parameter(torch.zeros(self.n_outputs))
        self.share = nn.Parameter(torch.ones(self.n_outputs)) if self.n_outputs > 1 else None
        """Weight of the wide part in each of several outputs."""
        self.seed_weights()

    def outputs(self, features: FeatureBatch) -> Tensor:
        """Raw outputs ``[B, O]``: first order, pairs and deep part, added."""
        first, vectors = with_dense(features, self.scaled)
        wide = (first + pair_sum(vectors))[:, None]
        wide = wide if self.share is None else wide * self.share
        return self.offset + wide + self.deep(vectors.flatten(1))

    @torch.no_grad()
    def inside(self, state: UserState, item: int) -> PairAttribution:
        """Attribution of one prediction to the dot products of the factorisation machine; the deep part stays."""
        self.rest()
        batch = one_row(state, item, self.known_users.device)
        features = self.read_features(self.user_tensors(batch), batch)
        out, (_, vectors) = self.outputs(features), with_dense(features, self.scaled)
        a, b = torch.tril_indices(vectors.shape[1], vectors.shape[1], -1, device=vectors.device)
        dots = (vectors[0] @ vectors[0].T)[a, b]
        weight = torch.ones(1, device=dots.device) if self.share is None else self.share
        scores = self.decode(torch.cat([out, out - dots[:, None] * weight]))[:, 0]
        names = [*self.vector_names(), *(f"number {at + 1}" for at in range(self.n_dense))]
        return PairAttribution(
            tuple(names),
            vectors[0].cpu().numpy(),
            tuple((names[i], names[j]) for i, j in zip(a.tolist(), b.tolist(), strict=True)),
            dots.cpu().numpy(),
            (scores[0] - scores[1:]).cpu().numpy(),
            float(scores[0]),
        )
