"""Compare's chart of quality against cost."""

from __future__ import annotations

import numpy as np
import pytest

from pages.parts.cost_chart import spread


def test_places_move_as_little_as_needed() -> None:
    """By hand: two at 10 share the room around it; one far away stays; a third that is pushed into joins the block."""
    assert spread([10, 10, 50], 4, 100) == pytest.approx([8, 12, 50])
    assert spread([10, 11, 12], 4, 100) == pytest.approx([7, 11, 15])
    assert spread([0, 0], 4, 100) == pytest.approx([0, 4]), "inside at the top"
    assert spread([100, 99], 4, 100) == pytest.approx([100, 96]), "inside at the bottom"
    assert spread([], 4, 100) == []


@pytest.mark.parametrize("seed", range(20))
def test_names_never_cover_each_other(seed: int) -> None:
    """Any places end in their order, inside, and as far apart as there is room for."""
    rng = np.random.default_rng(seed)
    places = (rng.random(int(rng.integers(1, 40))) ** 4 * 340).tolist()
    found = np.array(spread(places, 15, 340))
    order = np.argsort(places, kind="stable")
    assert found.min() >= -1e-9 and found.max() <= 340 + 1e-9
    assert (np.diff(found[order]) >= min(15, 340 / max(len(places) - 1, 1)) - 1e-6).all()
