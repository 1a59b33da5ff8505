"""Side features for models: vocabularies and scalers are fitted on training rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmrec_core.types import Array, Dataset, Field, Side, blocks, release_memory

ITEM_LISTS = {"genres": 6, "director": 1, "cast": 4, "tags": 10}
"""Multi-valued item columns and how many values of each are kept."""
RAREST = 2
"""Smallest number of training items (or rows) with a value for the value to get a code of its own."""


BLOCK = 1 << 18
"""Rows read at a time, so that memory use does not grow with the table."""

STEPS, SAMPLE = 64, 200_000
"""Bins of a numeric column, and the number of training rows that their edges are computed from."""


def fit_side(dataset: Dataset, rows: Array) -> Side:
    """Fit one :class:`~mmrec_core.types.Field` per side column of users, items and rows on the training ``rows``."""
    fields: list[Field] = []
    events = dataset.interactions
    if events.item is not None and len(dataset.items):
        seen = np.zeros(len(dataset.items), bool)
        seen[np.asarray(events.item)[rows]] = True
        catalog = dataset.catalog
        for column, width in ITEM_LISTS.items():
            values = [
                list(v) if isinstance(v, (list, np.ndarray)) else [v] if isinstance(v, str) else []
                for v in catalog[column]
            ]
            fields.append(_multi(column, "item", values, seen, width))
        year = catalog["year"].astype("float64").to_numpy(na_value=np.nan)
        fields.append(_dense("year", "item", year, seen))
    table = dataset.user_table
    if table is not None and events.user is not None:
        seen = np.zeros(len(dataset.users), bool)
        seen[np.asarray(events.user)[rows]] = True
        for column in table.columns.drop("user"):
            series = table[column]
            if series.dtype.kind in "iuf":
                fields.append(_dense(column, "user", series.to_numpy(np.float64), seen))
            else:
                fields.append(_categorical(column, "user", series.tolist(), seen))
    hashed, counts = dataset.manifest.get("hashed", {}), set(dataset.manifest.get("counts", ()))
    for column, data in events.features.items():
        if column in hashed:
            fields.append(_row_hashed(column, data, rows, hashed[column]))
        elif data.dtype.kind in "iuf":
            fields.append(_row_dense(column, data, rows, column in counts))
        else:
            fields.append(_row_categorical(column, data, rows))
        release_memory(data)
    return tuple(f for f in fields if f.kind == "dense" or f.vocabulary or f.codes)


def _row_dense(name: str, data: Array, rows: Array, log: bool) -> Field:
    """A numeric row column: mean and standard deviation over the training rows, computed in blocks.

    Args:
        name: name of the field.
        data: the column ``[all rows]``.
        rows: training rows.
        log: whether ``log(1 + value)`` is standardised.
    """
    n, total, squares = 0, 0.0, 0.0
    for part in blocks(len(rows), BLOCK):
        values = np.asarray(data[rows[part]], np.float64)
        values = values[np.isfinite(values)]
        values = np.log1p(np.maximum(values, 0)) if log else values
        n, total, squares = n + len(values), total + values.sum(), squares + np.square(values).sum()
    some = np.asarray(data[rows[:: max(len(rows) // SAMPLE, 1)]], np.float64)
    some = some[np.isfinite(some)]
    # half of the edges are quantiles of the rows, half of the distinct values, because many columns have a peak at 0
    places = np.arange(1, STEPS // 2) / (STEPS // 2)
    halves = [np.quantile(sample, places, method="nearest") for sample in (some, np.unique(some)) if len(sample)]
    edges = np.unique(np.concatenate([np.zeros(0), *halves]))
    mean = total / max(n, 1)
    spread = max(squares / max(n, 1) - mean**2, 0.0) ** 0.5
    std = float(spread) if spread > 1e-9 else 1.0
    return Field(name, "row", "dense", mean=float(mean), std=std, log=log, data=edges)


def _row_hashed(name: str, data: Array, rows: Array, buckets: int) -> Field:
    """A hashed row column: a code for every hash with enough training rows; rare and missing values have code 0.

    Args:
        name: name of the field.
        data: the hashes ``[all rows]``.
        rows: training rows.
        buckets: number of possible hash values.
    """
    counts = np.zeros(buckets, np.int64)
    for part in blocks(len(rows), BLOCK):
        counts += np.bincount(np.asarray(data[rows[part]]), minlength=buckets)
    often = counts >= RAREST
    often[0] = False
    code = np.where(often, np.cumsum(often), 0).astype(np.int32)
    return Field(name, "row", "categorical", codes=int(often.sum()), data=code)


def _row_categorical(name: str, data: Array, rows: Array) -> Field:
    counts: Counter[str] = Counter()
    for part in blocks(len(rows), BLOCK):
        values, n = np.unique(np.asarray(data[rows[part]]), return_counts=True)
        counts.update(dict(zip(map(str, values), n.tolist(), strict=True)))
    return Field(name, "row", "categorical", tuple(sorted(v for v, n in counts.items() if n >= RAREST and v)))


def _vocabulary(values: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    counts = Counter(str(v) for row in values for v in row)
    return tuple(sorted(v for v, n in counts.items() if n >= RAREST))


def _multi(name: str, owner: Any, values: list[list[Any]], seen: Array, width: int) -> Field:
    """A column of lists, such as genres, as padded codes.

    Args:
        name: name of the field.
        owner: ``user`` or ``item``.
        values: list of values by row of the owner.
        seen: bool by row of the owner: whether it has training rows.
        width: largest number of values kept of a row.
    """
    vocabulary = _vocabulary([row for row, known in zip(values, seen, strict=True) if known])
    code = {value: at + 1 for at, value in enumerate(vocabulary)}
    codes = np.zeros((len(values), width), np.int64)
    for at, row in enumerate(values):
        own = [c for v in row if (c := code.get(str(v), 0))][:width]
        codes[at, : len(own)] = own
    return Field(name, owner, "multi", vocabulary, width=width, data=codes)


def _categorical(name: str, owner: Any, values: list[Any], seen: Array) -> Field:
    """A column of categories as codes.

    Args:
        name: name of the field.
        owner: ``user`` or ``item``.
        values: value by row of the owner.
        seen: bool by row of the owner: whether it has training rows.
    """
    texts = np.array(["" if v is None or v != v else str(v) for v in values])
    vocabulary = _vocabulary([[v] for v, known in zip(texts, seen, strict=True) if known and v])
    return Field(
        name, owner, "categorical", vocabulary, data=Field(name, owner, "categorical", vocabulary).encode(texts)
    )


def _dense(name: str, owner: Any, values: Array, seen: Array) -> Field:
    """A numeric column, standardised.

    Args:
        name: name of the field.
        owner: ``user`` or ``item``.
        values: number by row of the owner, NaN where missing.
        seen: bool by row of the owner: whether it has training rows.
    """
    known = values[seen & np.isfinite(values)]
    mean, std = (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
    return Field(
        name, owner, "dense", mean=mean, std=std, data=Field(name, owner, "dense", mean=mean, std=std).encode(values)
    )
