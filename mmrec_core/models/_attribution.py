"""Attribution of one prediction to the pairwise dot products that make it up."""

from __future__ import annotations

from dataclasses import dataclass

from mmrec_core.types import Array


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
