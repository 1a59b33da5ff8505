"""What a model can say of one prediction: dot products of its features, or attention over a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from mmrec_core.types import Array, UserState


def one_row(state: UserState, item: int, device: torch.device) -> dict[str, Any]:
    """A batch with one row: the user of a state, and an item row."""
    return {
        "user": torch.zeros(1, dtype=torch.int64, device=device),
        "item": torch.tensor([item], device=device),
        "state": dict(state.tensors),
    }


@dataclass(frozen=True)
class PairAttribution:
    """One prediction and the contribution of each dot product to it."""

    names: tuple[str, ...]
    """What each vector stands for, for display."""
    vectors: Array
    """``[F, d]``: the vector of each name."""
    pairs: tuple[tuple[str, str], ...]
    dots: Array
    """``[P]``: the dot product of each pair."""
    effects: Array
    """``[P]``: the prediction minus the prediction with that dot product set to zero, everything else unchanged."""
    score: float
    """The prediction."""


@dataclass(frozen=True)
class HistoryAttention:
    """Attention weights of the position that a prediction is read from, over the events of one history."""

    items: Array
    """int64 ``[n]``: the events that are read, in the order in which the model reads them."""
    names: tuple[str, ...]
    """Name of each row of ``weights``, such as ``block 1, head 2``."""
    weights: Array
    """float64 ``[R, n]``: softmax weights of the events."""
    rest: Array
    """float64 ``[R]``: weight of the other positions (the start token, the mask, the user's token); each row of
    ``weights`` and its ``rest`` sum to 1."""
    rest_name: str
    """What the other positions are."""
