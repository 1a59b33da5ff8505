"""Write the files of a map that the browser fetches: small files under ``static/`` of the home, named by their content.

``points-<sum>.bin`` has uint16 x ``[N]``, uint16 y ``[N]`` (0 … 65,535 across the map's square), int32 catalog row
``[N]`` and uint8 kind ``[N]``: 9 bytes per point. Colours are one byte per point. Titles, posters and neighbours are in
chunks, which the browser fetches when the pointer is on a point.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmrec_core import settings, storage
from mmrec_core.spaces import Map
from mmrec_core.types import Array, Dataset, blocks

CHUNK = 400
"""Films in a chunk."""
REGIONS = 14
"""Most labels on a map."""


@dataclass(frozen=True)
class Published:
    """A published map."""

    files: dict[str, Any]
    """Names under ``static/`` and what is needed to read them."""
    xy: Array
    """float64 ``[N, 2]`` in the unit square, as the browser reads them."""
    items: Array
    """Catalog rows ``[N]``."""


def publish(dataset: Dataset, found: Map) -> Published:
    """Write the files of a map that do not exist yet."""
    xy = np.asarray(found.xy, np.float64)[:, :2]
    low, high = xy.min(0), xy.max(0)
    span = float((high - low).max()) or 1.0
    middle = (low + high) / 2
    square = (xy - middle) / (span * 1.06) + 0.5
    grid = np.clip(np.round(square * 65_535), 0, 65_535).astype("<u2")
    body = (
        grid[:, 0].tobytes()
        + grid[:, 1].tobytes()
        + found.items.astype("<i4").tobytes()
        + found.kind.astype("u1").tobytes()
    )
    near = np.ascontiguousarray(found.near, "<i4")
    files = {
        "points": _put("points", "bin", body),
        "n": len(grid),
        "k": int(near.shape[1]),
        "chunk": CHUNK,
        "near": [_put("near", "bin", near[part].tobytes()) for part in blocks(len(near), CHUNK)],
        "films": films(dataset),
    }
    unit_square = grid.astype(np.float64) / 65_535
    return Published({**files, "labels": regions(dataset, unit_square, found.items)}, unit_square, found.items)


def films(dataset: Dataset) -> list[str]:
    """Chunks of ``[title, year, poster, raw id]`` by catalog row."""
    table = dataset.catalog
    rows = [
        [str(title), None if year != year else int(year), poster if isinstance(poster, str) else None, str(raw)]
        for title, year, poster, raw in zip(
            table["title"], table["year"].astype("float64"), table["poster"], dataset.items.raw.tolist(), strict=True
        )
    ]
    return [
        _put("films", "json", json.dumps(rows[part], ensure_ascii=False).encode()) for part in blocks(len(rows), CHUNK)
    ]


def backdrop(dataset: Dataset, places: Array, labels: Sequence[dict[str, Any]], most: int) -> str:
    """Write a background map: ``points`` of at most ``most`` films as ``[x, y, title]``, and ``labels`` of its regions.

    Args:
        dataset: the dataset.
        places: coordinates by catalog row ``[I, 2]``, NaN for films without.
        labels: labels of regions.
        most: most points.

    Returns:
        Path of the file under ``static/``.
    """
    rows = np.flatnonzero(np.isfinite(places[:, 0]))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:most])
    titles = dataset.catalog["title"].to_numpy()
    points = [
        [round(float(places[row, 0]), 3), round(float(places[row, 1]), 3), str(titles[row])] for row in rows.tolist()
    ]
    return _put("backdrop", "json", json.dumps({"points": points, "labels": list(labels)}, ensure_ascii=False).encode())


def colours(codes: Array) -> str:
    """Write one byte per point: an index into a palette; 255 means unknown."""
    return _put("colour", "bin", np.asarray(codes, np.uint8).tobytes())


def frames(places: Array) -> str:
    """Write places ``[F, I, 2]`` of items at several moments, in the unit square, as uint16 x and y; returns the path
    under ``static/``."""
    grid = np.clip(np.round(np.asarray(places) * 65_535), 0, 65_535).astype("<u2")
    return _put("frames", "bin", grid.tobytes())


def _put(kind: str, suffix: str, body: bytes) -> str:
    """Write a file named by its content; returns its path under ``static/``."""
    path = settings.static_dir() / "maps" / f"{kind}-{storage.checksum(body)}.{suffix}"
    if path.exists():
        with contextlib.suppress(OSError):  # time of its last use, for `clean`
            os.utime(path)
    else:
        storage.write_bytes(path, body)
    return f"maps/{path.name}"


def inside(xy: Array, polygon: Sequence[Sequence[float]]) -> Array:
    """Which points ``[N, 2]`` lie in a polygon ``[M, 2]`` (even–odd rule): bool ``[N]``."""
    corner = np.asarray(polygon, np.float64)
    hit = np.zeros(len(xy), bool)
    for (x1, y1), (x2, y2) in zip(corner, np.roll(corner, -1, 0), strict=True):
        if y1 == y2:
            continue
        crosses = (y1 > xy[:, 1]) != (y2 > xy[:, 1])
        hit ^= crosses & (xy[:, 0] < (x2 - x1) * (xy[:, 1] - y1) / (y2 - y1) + x1)
    return hit


def clusters(xy: Array) -> Array:
    """Which of at most :data:`REGIONS` clusters of the map each point belongs to (k-means, seeded): int ``[N]``."""
    from sklearn.cluster import KMeans

    k = int(min(REGIONS, max(3, len(xy) // 60), len(xy)))
    sample = np.random.default_rng(0).permutation(len(xy))[:20_000]
    found: Array = KMeans(k, n_init=3, random_state=0).fit(xy[sample]).predict(xy)
    return found


def regions(dataset: Dataset, xy: Array, items: Array) -> list[dict[str, Any]]:
    """Labels of the map's regions: the one or two genres or tags that are most typical of a cluster of points.

    Each has ``x, y``, the median of its points, ``top``, the height that 95 % of them stay below, ``text`` and ``n``.
    """
    if len(xy) < 40:
        return []
    table = dataset.catalog
    words = [{*own, *tags} for own, tags in zip(table["genres"], table["tags"], strict=True)]
    genres = set().union(*table["genres"])
    own = [words[item] for item in items.tolist()]
    counts: dict[str, int] = {}
    for some in own:
        for word in some:
            counts[word] = counts.get(word, 0) + 1
    if not counts:
        return []
    label = clusters(xy)
    k = int(label.max()) + 1
    labels = []
    for cluster in range(k):
        rows = np.flatnonzero(label == cluster)
        if len(rows) < 8:
            continue
        here: dict[str, int] = {}
        for row in rows.tolist():
            for word in own[row]:
                here[word] = here.get(word, 0) + 1
        score = {
            word: (n / len(rows)) * np.log((n / len(rows)) / (counts[word] / len(xy)))
            for word, n in here.items() if n >= max(4, 0.06 * len(rows))
        }  # fmt: skip
        best = sorted(score, key=lambda word: -score[word])[:2]
        if best and score[best[0]] > 0.03:
            x, y = np.median(xy[rows], 0)
            top = np.quantile(xy[rows, 1], 0.95)
            place = {"x": round(float(x), 4), "y": round(float(y), 4), "top": round(float(top), 4)}
            best.sort(key=lambda word: word not in genres)  # genre first, then tag
            labels.append({**place, "text": " · ".join(best), "n": len(rows)})
    return labels
