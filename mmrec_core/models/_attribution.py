"""Attribution of one prediction to the pairwise dot products that make it up."""

from __future__ import annotations

from dataclasses import dataclass

from mmrec_core.types import Array


@dataclass(frozen=True)
class PairAttribution:
    """One prediction, seen from within."""

    names: tuple[str, ...]
    vectors: Array
    """``[F, d]``: what each name's embedding is."""
    pairs: tuple[tuple[str, str], ...]
    dots: Array
    """``[P]``: the dot product of each pair."""
    effects: Array
    """``[P]``: the prediction minus what it would be with that dot product at zero, all else as it is."""
    score: float
