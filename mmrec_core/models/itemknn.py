"""Item-based nearest neighbours with cosine similarity (Sarwar et al. 2001)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from mmrec_core.config import Config, setting
from mmrec_core.models._item_item import HistoryModel
from mmrec_core.types import Progress, Schema, Side, TrainSet, quiet


class ItemKNN(HistoryModel):
    """Item-based nearest neighbours with cosine similarity (Sarwar et al. 2001; Deshpande & Karypis 2004).

    ``s(u, i) = Σ_{j liked} sim(i, j)`` over the ``k`` most similar items ``j`` of ``i``, with
    ``sim(i, j) = |users who like both| / (√(|users who like i|·|users who like j|) + shrink)``.
    """

    class Config(Config):
        """Number of neighbours, and shrinkage."""

        k: int = setting(200, "neighbours kept for each film", ge=1, le=5000, unit="films")
        shrink: float = setting(0.0, "shrinkage of similarities that are based on few users", ge=0.0, le=1000.0)

    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        for name, kind in (("sim_start", torch.int64), ("sim_item", torch.int64), ("sim_value", torch.float32)):
            self.register_buffer(name, torch.zeros(schema.n_items + 1 if name == "sim_start" else 0, dtype=kind))
        self.sim_start: Tensor
        self.sim_item: Tensor
        self.sim_value: Tensor
        self._sims: sp.csr_matrix | None = None

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Count users who like both items, normalise, and keep the ``k`` most similar items of each."""
        self.mark_known(train.interactions)
        liked = self.remember(train)
        common = (liked.T @ liked).tocsr()
        norms = np.sqrt(np.asarray(liked.sum(0)).ravel())
        rows: list[sp.csr_matrix] = []
        for item in range(self.schema.n_items):
            start, end = common.indptr[item], common.indptr[item + 1]
            other, shared = common.indices[start:end], common.data[start:end]
            own = other != item
            other, shared = other[own], shared[own]
            value = shared / (norms[item] * norms[other] + self.config.shrink)
            if len(value) > self.config.k:
                best = np.argpartition(-value, self.config.k - 1)[: self.config.k]
                other, value = other[best], value[best]
            order = np.argsort(other)
            rows.append((other[order], value[order]))
            if item % 500 == 0:
                progress(item, self.schema.n_items, "finding neighbours")
        self.sim_start = torch.from_numpy(np.concatenate([[0], np.cumsum([len(o) for o, _ in rows])]).astype(np.int64))
        self.sim_item = torch.from_numpy(np.concatenate([o for o, _ in rows]).astype(np.int64))
        self.sim_value = torch.from_numpy(np.concatenate([v for _, v in rows]).astype(np.float32))
        self._sims = None

    def affinity(self, liked: Tensor) -> Tensor:
        """Sums ``[B, I]`` of the similarities of every item to the liked ones."""
        sims = self._sims
        if sims is None:
            n = self.schema.n_items
            parts = (self.sim_value.cpu().numpy(), self.sim_item.cpu().numpy(), self.sim_start.cpu().numpy())
            sims = self._sims = sp.csr_matrix(parts, shape=(n, n))
        found = sims @ sp.csr_matrix(liked.cpu().numpy()).T
        return torch.from_numpy(found.T.toarray()).to(liked.device)
