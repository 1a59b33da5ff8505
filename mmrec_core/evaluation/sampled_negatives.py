"""Sampled negatives: the items that a relevant test item is ranked among."""

from __future__ import annotations

import numpy as np

from mmrec_core.types import Array


def draw_negatives(pool: Array, random: Array, counts: Array | None = None) -> Array:
    """Draw ``n`` negatives with replacement, as published code does.

    Args:
        pool: item rows that may be drawn ``[P]``, in an order that does not depend on the catalog's.
        random: numbers from 0 to 1 (exclusive) ``[n]``, a function of the seed and of the test row alone.
        counts: training events of every item ``[I]``, to draw in proportion to popularity; ``None``: uniformly.

    Returns:
        Item rows ``[n]``. If ``n`` reaches the size of the pool, each item comes once and −1 fills the rest.
    """
    n = len(random)
    if n >= len(pool):
        return np.concatenate([pool, np.full(n - len(pool), -1, np.int64)])
    if counts is None:
        return np.asarray(pool[(random * len(pool)).astype(np.int64)])
    cumulative = np.cumsum(counts[pool].astype(float))
    return np.asarray(pool[np.searchsorted(cumulative, random * cumulative[-1], side="right")])
