"""Reasons for a recommendation by sign: ratings that raise it or lower it, of films liked or disliked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Taste = Literal["liked", "disliked", "neither"]
DESPITE = 0.5
"""A rating that lowers a score is named if it does so at least by this share of what the strongest reason adds."""


@dataclass(frozen=True)
class Reason:
    """One rating and what it adds to a score."""

    index: int
    """The rating's place in the history."""
    contribution: float
    """Score with it minus score without it."""
    taste: Taste


def taste(stars: float, relevant_from: float | None, scale: tuple[float, float] | None) -> Taste:
    """Whether a rating says that a film was liked.

    Args:
        stars: the rating.
        relevant_from: ratings from here on are likes; ``None``: unknown.
        scale: lowest and highest rating; ``None``: ratings mean nothing here.

    Returns:
        ``disliked`` in the lower half of the scale, ``neither`` between that and a like.
    """
    if scale is None:
        return "neither"
    if stars >= (scale[1] if relevant_from is None else relevant_from):
        return "liked"
    return "disliked" if stars <= sum(scale) / 2 else "neither"


def main_reasons(
    contributions: Sequence[tuple[int, float]], tastes: Sequence[Taste]
) -> tuple[Reason | None, Reason | None]:
    """The rating that raises a score most, and the one that lowers it most, if it lowers it by much.

    Args:
        contributions: of one film, from :func:`mmrec_core.serving.recommender.reasons`.
        tastes: :func:`taste` of every rating of the history.
    """
    if not contributions:
        return None, None
    made = [Reason(at, value, tastes[at]) for at, value in contributions]
    most, least = max(made, key=lambda r: r.contribution), min(made, key=lambda r: r.contribution)
    raising = most if most.contribution > 0 else None
    far = least.contribution < 0 and (raising is None or -least.contribution >= DESPITE * raising.contribution)
    return raising, least if far else None
