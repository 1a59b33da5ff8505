"""Places of names in charts."""

from __future__ import annotations

import numpy as np
import pytest

from pages.parts.label_places import LINE, Name, Place, places, span


def test_a_name_stands_right_of_its_dot_unless_something_is_there() -> None:
    """By hand: free on the right; another dot there; the edge of the plot there; a
    line's name keeps off the dot."""
    assert places([Name("ease", 0.2, 100)], 320) == [Place("right", 100)]
    assert places([Name("ease", 0.5, 100), Name("bpr", 0.55, 100)], 320) == [Place("left", 100), Place("right", 100)]
    assert places([Name("ease", 0.98, 100)], 320) == [Place("left", 100)]
    line, dot = places([Name("oracle", 1.0, 92, edge=True), Name("ease", 0.9, 92)], 320)
    assert line == Place("edge", 77) and dot == Place("left", 92)


@pytest.mark.parametrize("seed", range(12))
def test_names_never_cover_each_other_at_any_width(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [Name("oracle:all", 1.0, float(y), edge=True) for y in rng.random(4) * 320]
    names += [
        Name("m" * int(rng.integers(2, 22)), float(x), float(y))
        for x, y in zip(rng.random(12), 320 - 60 * rng.random(12) ** 3, strict=True)
    ]
    found = places(names, 320)
    for width in (280, 390, 700, 1300):
        boxes = [(*span(n, p.side, width), p.y) for n, p in zip(names, found, strict=True)]
        for at, (low, high, y) in enumerate(boxes):
            for start, end, other in boxes[:at]:
                assert abs(y - other) >= LINE - 1e-6 or low >= end or start >= high
