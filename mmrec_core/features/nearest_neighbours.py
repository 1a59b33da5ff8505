"""Exact nearest-neighbour search, and cross-modal retrieval recall of an encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmrec_core.stats import mean_intervals
from mmrec_core.types import Array, blocks

BLOCK = 512
"""Queries per block."""


def nearest(vectors: Array, query: Array, k: int) -> tuple[Array, Array]:
    """The ``k`` rows of unit vectors ``[N, d]`` nearest to a unit query ``[d]``, best first, and their cosines."""
    cosine = vectors @ query.astype(vectors.dtype, copy=False)
    k = min(k, len(cosine))
    best = np.argpartition(-cosine, k - 1)[:k] if k < len(cosine) else np.arange(len(cosine))
    best = best[np.argsort(-cosine[best], kind="stable")]
    return best, cosine[best]


def recall(text: Array, image: Array, ks: tuple[int, ...] = (1, 10)) -> dict[str, Any]:
    """Recall@k of finding the image of a text among all images, and the text of an image.

    Args:
        text: unit vectors ``[N, d]``.
        image: unit vectors ``[N, d]`` of the same films.
        ks: values of ``k``.

    Returns:
        ``pairs``, ``chance@k`` (``k / N``), and for ``text_to_image`` and ``image_to_text`` the ``recall@k`` and 95 %
        bootstrap intervals over pairs. Ties are averaged. Memory is linear in ``N``.
    """
    texts, images = np.ascontiguousarray(text, np.float32), np.ascontiguousarray(image, np.float32)
    n = len(texts)
    result: dict[str, Any] = {"pairs": n, **{f"chance@{k}": min(k / n, 1.0) for k in ks}}
    for name, queries, among in (("text_to_image", texts, images), ("image_to_text", images, texts)):
        values = hits(queries, among, ks)
        spans = mean_intervals(values)
        result[name] = {f"recall@{k}": float(values[:, at].mean()) for at, k in enumerate(ks)}
        result[name]["intervals"] = {f"recall@{k}": spans[at] for at, k in enumerate(ks)}
    return result


def hits(queries: Array, among: Array, ks: tuple[int, ...]) -> Array:
    """Whether each query's own row is among the ``k`` nearest, ``[N, len(ks)]``; a fraction where cosines tie.

    Args:
        queries: unit vectors ``[N, d]``, float32.
        among: unit vectors ``[N, d]``, float32; row ``i`` belongs to query ``i``.
        ks: values of ``k``.
    """
    n = len(queries)
    above, tied = np.zeros(n, np.int64), np.ones(n, np.int64)
    for part in blocks(n, BLOCK):
        cosine = queries[part] @ among.T
        own = cosine[np.arange(len(cosine)), np.arange(part.start, part.stop)][:, None]
        above[part], tied[part] = (cosine > own).sum(1), (cosine == own).sum(1)
    return np.stack([np.clip((k - above) / tied, 0.0, 1.0) for k in ks], 1)
