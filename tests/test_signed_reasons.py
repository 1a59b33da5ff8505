"""Reasons of a recommendation, with their sign."""

from __future__ import annotations

import pytest

from mmrec_core.serving.signed_reasons import Reason, Taste, main_reasons, taste


@pytest.mark.parametrize(
    ("stars", "bar", "scale", "expected"),
    [
        (4.0, 3.5, (1.0, 5.0), "liked"),
        (3.5, 3.5, (1.0, 5.0), "liked"),
        (3.0, 3.5, (1.0, 5.0), "disliked"),
        (3.25, 3.5, (1.0, 5.0), "neither"),
        (0.0, None, (-10.0, 10.0), "disliked"),
        (10.0, None, (-10.0, 10.0), "liked"),
        (5.0, 3.5, None, "neither"),
    ],
)
def test_a_rating_is_a_like_a_dislike_or_neither(
    stars: float, bar: float | None, scale: tuple[float, float] | None, expected: Taste
) -> None:
    assert taste(stars, bar, scale) == expected


def test_the_strongest_of_both_signs_is_named() -> None:
    tastes: list[Taste] = ["liked", "disliked", "liked"]
    assert main_reasons([(1, 0.4), (0, 0.3), (2, -0.3)], tastes) == (
        Reason(1, 0.4, "disliked"),
        Reason(2, -0.3, "liked"),
    )
    assert main_reasons([(1, 0.4), (0, 0.3), (2, -0.1)], tastes)[1] is None, "it lowers the score by little"
    assert main_reasons([(0, -0.1), (1, -0.2)], tastes) == (None, Reason(1, -0.2, "disliked"))
    assert main_reasons([(0, 0.0)], tastes) == (None, None) and main_reasons([], tastes) == (None, None)
