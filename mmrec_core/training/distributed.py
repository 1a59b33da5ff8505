"""Several processes that train one model: each takes its share of every batch, gradients are averaged (data parallel, DDP).

Whoever starts the processes (Ray Train, ``torchrun``) sets up ``torch.distributed``; here is only what a training asks of it. Every process draws
the same batches and works on its own rows of them, so two processes take the very steps that one takes with the same global batch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed


def world() -> int:
    """How many processes train together; 1 where nobody set any up."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this is; the first (0) judges, writes and tells."""
    return distributed.get_rank() if world() > 1 else 0


def share(batch: Mapping[str, Any], at: int, of: int) -> dict[str, Any]:
    """Every ``of``-th row of a batch from row ``at`` on; what has no rows stays whole.

    A batch with fewer rows than processes gives the later ones its first row, which then must not count (see ``weight`` in descent).
    """
    n = len(next(iter(batch.values())))
    rows = torch.arange(at, n, of) if at < n else torch.zeros(1, dtype=torch.long)
    return {
        k: v[rows.to(v.device)] if isinstance(v, Tensor) and v.dim() and len(v) == n else v for k, v in batch.items()
    }


def fabric_options(device: str) -> dict[str, Any]:
    """What Lightning Fabric must be told: nothing for one process, else that the others are there already."""
    if world() == 1:
        return {"devices": 1}
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    class Here(LightningEnvironment):
        """Processes that somebody else has started and connected."""

        creates_processes_externally = True

        def world_size(self) -> int:
            return world()

        def global_rank(self) -> int:
            return rank()

        def local_rank(self) -> int:
            return int(os.environ.get("LOCAL_RANK", rank()))

        def node_rank(self) -> int:
            return int(os.environ.get("NODE_RANK", 0))

        def set_world_size(self, size: int) -> None:
            """It is what it is."""

        def set_global_rank(self, rank: int) -> None:
            """It is what it is."""

    local = int(os.environ.get("LOCAL_WORLD_SIZE", world()))
    strategy = DDPStrategy(cluster_environment=Here(), process_group_backend="nccl" if device == "cuda" else "gloo",
                           find_unused_parameters=True, broadcast_buffers=False)  # fmt: skip
    return {"devices": local, "num_nodes": max(world() // local, 1), "strategy": strategy}
