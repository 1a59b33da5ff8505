"""Side information ready for models: vocabularies and scalers fitted on training rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmrec_core.types import Array, Dataset, Field, Interactions, Side

ITEM_LISTS = {"genres": 6, "director": 1, "cast": 4, "tags": 10}
"""Multi-valued item columns and how many values of each are kept."""
RAREST = 2
"""A value must belong to this many training items (or rows) to get a code of its own."""


def fit_side(dataset: Dataset, train: Interactions) -> Side:
    """Every side column of users, items and rows as a :class:`~mmrec_core.types.Field`, fitted on ``train``."""
    fields: list[Field] = []
    if train.item is not None and len(dataset.items):
        seen = np.zeros(len(dataset.items), bool)
        seen[np.asarray(train.item)] = True
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
    if table is not None and train.user is not None:
        seen = np.zeros(len(dataset.users), bool)
        seen[np.asarray(train.user)] = True
        for column in table.columns.drop("user"):
            told = table[column]
            if told.dtype.kind in "iuf":
                fields.append(_dense(column, "user", told.to_numpy(np.float64), seen))
            else:
                fields.append(_categorical(column, "user", told.tolist(), seen))
    for column, data in train.features.items():
        everything = np.ones(len(data), bool)
        if data.dtype.kind in "iuf":
            fields.append(_dense(column, "row", np.asarray(data, np.float64), everything, keep=False))
        else:
            fields.append(_categorical(column, "row", data.tolist(), everything, keep=False))
    return tuple(f for f in fields if f.kind == "dense" or f.vocabulary)


def _vocabulary(values: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    counts = Counter(str(v) for row in values for v in row)
    return tuple(sorted(v for v, n in counts.items() if n >= RAREST))


def _multi(name: str, owner: Any, values: list[list[Any]], seen: Array, width: int) -> Field:
    vocabulary = _vocabulary([row for row, known in zip(values, seen, strict=True) if known])
    code = {value: at + 1 for at, value in enumerate(vocabulary)}
    codes = np.zeros((len(values), width), np.int64)
    for at, row in enumerate(values):
        own = [c for v in row if (c := code.get(str(v), 0))][:width]
        codes[at, : len(own)] = own
    return Field(name, owner, "multi", vocabulary, width=width, data=codes)


def _categorical(name: str, owner: Any, values: list[Any], seen: Array, keep: bool = True) -> Field:
    texts = np.array(["" if v is None or v != v else str(v) for v in values])
    vocabulary = _vocabulary([[v] for v, known in zip(texts, seen, strict=True) if known and v])
    field = Field(name, owner, "categorical", vocabulary)
    return Field(name, owner, "categorical", vocabulary, data=field.encode(texts)) if keep else field


def _dense(name: str, owner: Any, values: Array, seen: Array, keep: bool = True) -> Field:
    known = values[seen & np.isfinite(values)]
    mean, std = (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
    field = Field(name, owner, "dense", mean=mean, std=std)
    return Field(name, owner, "dense", mean=mean, std=std, data=field.encode(values)) if keep else field
