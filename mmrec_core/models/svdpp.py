"""Tastes, told by ratings and by the mere choice of what to rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models._fields import FieldConfig, FieldModel, Looked
from mmrec_core.types import Schema, Side


class SVDpp(FieldModel):
    """SVD++ with time, side features and films' raters, as a factorisation machine (Koren 2008; Rendle et al. 2019).

    ``r = μ + Σ w_f + Σ_{f<g} ⟨v_f, v_g⟩`` over the fields user, film, ``|N(u)|^−½ Σ_{j∈N(u)} y_j`` (what the user rated),
    ``|R(i)|^−½ Σ_{v∈R(i)} z_v`` (who rated the film, "flipped"), side features, week, minutes since the user's first rating, and a
    drift ``α_u·dev_u(t)``: Rendle, Zhang & Koren's "timeSVD++ flipped" ("On the Difficulty of Evaluating Baselines"), learned
    by gradient steps instead of Gibbs sampling. A row being learned is left out of its own sums.
    """

    class Config(FieldConfig):
        """Which fields, how strongly they are held down, how many voices."""

        loss: Literal["mse"] = setting("mse", "what is learned: the rating, by squared error", advanced=True)
        members: int = setting(
            1,
            "models that begin differently and learn side by side; their mean is the prediction (a deep ensemble, Lakshminarayanan "
            "et al. 2017)",
            ge=1, le=32,
        )  # fmt: skip

    linear: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"ids", "rating"})
    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.001, "batch_size": 256, "max_epochs": 80, "patience": 5}
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.scaled = nn.Embedding(max(self.n_dense, 1), self.dim + 1)
        """Vector and weight of each dense feature."""
        self.seed_weights()

    def voices(self, looked: Looked) -> Tensor:
        """``[B, members]``: weights, which all share, and each member's pairs."""
        vectors, first = looked.vectors, looked.first
        if self.n_dense:
            scaled = looked.dense[..., None] * self.scaled.weight
            first, vectors = first + scaled[..., -1].sum(1), torch.cat([vectors, scaled[..., :-1]], 1)
        own = vectors.reshape(*vectors.shape[:2], self.config.members, self.config.dim)
        second = 0.5 * (own.sum(1).square().sum(-1) - own.square().sum((1, 3)))
        return first[:, None] + second

    def outputs(self, looked: Looked) -> Tensor:
        """``[B, 1]``: the members' mean."""
        return self.voices(looked).mean(1, keepdim=True)

    def row_losses(self, batch: Batch) -> Tensor:
        """Each member's own squared error, averaged, and the pull on the vectors a row reads."""
        looked = self.look_up(self.user_tensors(batch), batch)
        errors = (self.mean + self.voices(looked) - batch["rating"][:, None]).square().mean(1)
        return errors + self.config.l2 * looked.vectors.square().sum((1, 2)) / self.config.members
