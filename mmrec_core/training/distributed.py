"""Data-parallel training (DDP): several processes train one model, each on its share of every batch.

Ray Train or ``torchrun`` starts the processes and sets up ``torch.distributed``. Every process draws the same batches
and works on its own rows, so several processes take the same steps as one process with the same global batch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed


def world() -> int:
    """Number of processes that train together; 1 without ``torch.distributed``."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Rank of this process; rank 0 validates, writes files and logs."""
    return distributed.get_rank() if world() > 1 else 0


def share(batch: Mapping[str, Any], at: int, of: int) -> dict[str, Any]:
    """Every ``of``-th row of a batch from row ``at`` on; values without rows stay whole.

    If a batch has fewer rows than processes, the later processes get its first row, which the trainer does not count.
    """
    n = len(next(iter(batch.values())))
    rows = torch.arange(at, n, of) if at < n else torch.zeros(1, dtype=torch.long)
    return {
        k: v[rows.to(v.device)] if isinstance(v, Tensor) and v.dim() and len(v) == n else v for k, v in batch.items()
    }


def fabric_options(device: str) -> dict[str, Any]:
    """Options of Lightning Fabric: one device for one process, else DDP over the processes that already run."""
    if world() == 1:
        return {"devices": 1}
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    class Here(LightningEnvironment):
        """An environment whose processes are already started and connected."""

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
            """Ignored: ``torch.distributed`` has set it."""

        def set_global_rank(self, rank: int) -> None:
            """Ignored: ``torch.distributed`` has set it."""

    local = int(os.environ.get("LOCAL_WORLD_SIZE", world()))
    strategy = DDPStrategy(cluster_environment=Here(), process_group_backend="nccl" if device == "cuda" else "gloo",
                           find_unused_parameters=True, broadcast_buffers=False)  # fmt: skip
    return {"devices": local, "num_nodes": max(world() // local, 1), "strategy": strategy}
