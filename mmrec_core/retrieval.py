"""Finding: nearest vectors exactly, and how often a text finds its own picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmrec_core.intervals import mean_intervals
from mmrec_core.types import Array


def nearest(vectors: Array, query: Array, k: int) -> tuple[Array, Array]:
    """The ``k`` rows of unit ``vectors`` ``[N, d]`` most like a unit ``query`` ``[d]``, best first, and their cosines; exact."""
    cosine = vectors @ query.astype(vectors.dtype, copy=False)
    k = min(k, len(cosine))
    best = np.argpartition(-cosine, k - 1)[:k] if k < len(cosine) else np.arange(len(cosine))
    best = best[np.argsort(-cosine[best], kind="stable")]
    return best, cosine[best]


def recall(text: Array, image: Array, ks: tuple[int, ...] = (1, 10)) -> dict[str, Any]:
    """How often the pair of a text is among the first ``k`` pictures of all, and the other way round.

    Ties are averaged; with ``N`` pairs chance is ``k / N``. Intervals are 95 % bootstraps over pairs.
    """
    cosine = np.asarray(text, np.float32) @ np.asarray(image, np.float32).T
    n = len(cosine)
    told: dict[str, Any] = {"pairs": n, **{f"chance@{k}": min(k / n, 1.0) for k in ks}}
    for name, table in (("text_to_image", cosine), ("image_to_text", cosine.T)):
        own = np.diagonal(table)[:, None]
        above, tied = (table > own).sum(1), (table == own).sum(1)
        values = np.stack([np.clip((k - above) / tied, 0.0, 1.0) for k in ks], 1)
        spans = mean_intervals(values)
        told[name] = {f"recall@{k}": float(values[:, at].mean()) for at, k in enumerate(ks)}
        told[name]["intervals"] = {f"recall@{k}": spans[at] for at, k in enumerate(ks)}
    return told
