"""Snapshots of a model's weights during training, spaced by the logarithm of the epoch, for replaying it later."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmrec_core.errors import MMRecError
from mmrec_core.training import checkpoint

MOST_BYTES = 5_000_000
"""Largest size of all snapshots of a run together."""
EPOCHS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)
"""Epochs after which a snapshot is kept: Fibonacci's numbers, about evenly spaced by their logarithm."""


def schedule(size: int) -> tuple[int, ...]:
    """Epochs after which weights of ``size`` bytes are kept: all of :data:`EPOCHS`, or every second or third one.

    Empty if not even every third fits into :data:`MOST_BYTES`: fewer show no course.
    """
    fit = MOST_BYTES // max(size, 1)
    for stride in (1, 2, 3):
        if len(EPOCHS[::stride]) <= fit:
            return EPOCHS[::stride]
    return ()


class Snapshots:
    """Writes a model's parameters (float16) to ``folder``, one file per snapshot.

    Models whose state changes with the events of an epoch (temporal models) are left out, because parameters alone
    would not say what they predict.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def record(self, model: Any, epochs: int, phase: str) -> None:
        """Keep the weights if the schedule says so.

        Args:
            model: the model in training.
            epochs: number of epochs done.
            phase: phase of the training run; a later phase replaces the snapshots of an earlier one.
        """
        if getattr(model, "family", "") == "temporal":
            return
        size = sum(2 * value.numel() for value in model.parameters())
        if epochs not in schedule(size):
            return
        tensors = {name: value.detach().half() for name, value in model.named_parameters()}
        if epochs == 0 and self.folder.exists():
            shutil.rmtree(self.folder)
        checkpoint.write(self.folder / f"{epochs:04d}.safetensors", tensors, {"epochs": epochs, "phase": phase})


def read(folder: Path) -> dict[int, dict[str, Tensor]]:
    """All snapshots: number of epochs done → parameters (float32), in order.

    Raises:
        MMRecError: a file is damaged.
    """
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            tensors, counters = checkpoint.read(file)
            own = {name: value.float() for name, value in tensors.items()}
            if not all(bool(value.isfinite().all()) for value in own.values()):
                raise ValueError("it holds values that are not numbers")
            found[int(counters["epochs"])] = own
        except (MMRecError, KeyError, TypeError, ValueError) as error:
            raise MMRecError(
                f"The snapshot {file.name} of this training run is damaged ({type(error).__name__})."
                " Train the model again to replay it."
            ) from error
    return found


def weights_at(model: Any, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a model with its parameters replaced by those of a snapshot, for ``model.restore``."""
    own = model.snapshot()
    with torch.no_grad():
        own.update({name: value for name, value in parameters.items() if name in own})
    return own
