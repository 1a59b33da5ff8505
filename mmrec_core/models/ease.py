"""Linear item-item model with a closed-form solution (Steck 2019)."""

from __future__ import annotations

import numpy as np
import psutil
import torch
from torch import Tensor

from mmrec_core.config import Config, setting
from mmrec_core.errors import MMRecError
from mmrec_core.models._item_item import HistoryModel
from mmrec_core.types import Progress, Schema, Side, TrainSet, quiet


class EASE(HistoryModel):
    """Linear item-item model with a closed-form solution (Steck 2019, "Embarrassingly Shallow Autoencoders").

    ``min_B ‖X − XB‖² + l2·‖B‖²`` with ``diag(B) = 0`` gives ``B = −P / diag(P)`` off the diagonal, where
    ``P = (XᵀX + l2·I)⁻¹`` and ``X [U, I]`` is the matrix of likes. Items without likes in training are left out.
    """

    class Config(Config):
        """Regularisation."""

        l2: float = setting(
            300.0, "L2 penalty on the weights; larger for smaller or noisier data", ge=0.001, le=1e6, log=True
        )

    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.active: Tensor
        self.weights: Tensor
        self.register_buffer("active", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("weights", torch.zeros(0, 0))

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Invert one matrix over the items with at least one like.

        Raises:
            MMRecError: it needs more memory than is free.
        """
        self.mark_known(train.interactions)
        liked = self.remember(train)
        active = np.flatnonzero(np.asarray(liked.sum(0)).ravel() > 0)
        chosen = liked[:, active]
        need, free = 4 * 8 * len(active) ** 2, psutil.virtual_memory().available
        if need > free:
            raise MMRecError(
                f"EASE over {len(active):,} films needs about {need / 2**30:.0f} GiB, and {free / 2**30:.0f} GiB are"
                " free. Take a smaller dataset, or itemknn or bpr."
            )
        progress(0, 2, "counting films liked together")
        gram = torch.from_numpy((chosen.T @ chosen).toarray().astype(np.float64))
        gram.diagonal().add_(self.config.l2)
        progress(1, 2, "inverting")
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = -inverse / inverse.diagonal()
        weights.fill_diagonal_(0.0)
        self.active, self.weights = torch.from_numpy(active.astype(np.int64)), weights.float()

    def affinity(self, liked: Tensor) -> Tensor:
        """Scores ``X B``, ``[B, I]``; items without likes in training score 0."""
        scores = torch.zeros_like(liked)
        scores[:, self.active] = liked[:, self.active] @ self.weights
        return scores

    def item_vectors(self) -> Tensor | None:
        """Each item's row of weights, ``[I, A]`` for ``A`` items with likes; zeros for items without likes."""
        vectors = torch.zeros(self.schema.n_items, len(self.active))
        vectors[self.active] = self.weights
        return vectors
