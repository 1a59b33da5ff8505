"""Arrays of ids, events and feature fields, and the schema that a model is built from."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from mmrec_core.errors import MMRecError
from mmrec_core.ids import as_text, is_canonical

Array = npt.NDArray[Any]
HeadKind = Literal["rating", "ranking", "click"]


class Progress(Protocol):
    """Progress callback of long work: ``done`` of ``total`` steps, and what is being done."""

    def __call__(self, done: int, total: int, what: str) -> None: ...


def quiet(done: int, total: int, what: str) -> None:
    """A progress callback that does nothing."""


@dataclass(frozen=True)
class IdMap:
    """Map between raw ids (int64 or str, unique) and 0-based rows: ``raw[row]``, ``rows(raw)``."""

    raw: Array
    """``[N]`` raw ids by row."""

    def __len__(self) -> int:
        return len(self.raw)

    @cached_property
    def _order(self) -> Array:
        return np.argsort(self.raw, kind="stable")

    def rows(self, raw: npt.ArrayLike) -> Array:
        """Rows ``[M]`` of raw ids ``[M]``; −1 where an id is unknown."""
        query = np.asarray(raw)
        if not len(self.raw) or not query.size:
            return np.full(query.shape, -1, np.int64)
        if query.dtype.kind != self.raw.dtype.kind or query.dtype.kind == "O":
            one = _int64 if self.raw.dtype.kind in "iu" else _text
            query = np.array([one(a) for a in query.ravel().tolist()]).reshape(query.shape)
        place = np.searchsorted(self.raw, query, sorter=self._order)
        row = self._order[np.minimum(place, len(self.raw) - 1)]
        found: Array = np.where(self.raw[row] == query, row, -1).astype(np.int64)
        return found

    def find(self, raw: int | str) -> int | None:
        """The row of one raw id; ``None`` for an unknown id, or a text that cannot be an id."""
        row = int(self.rows([raw])[0])
        return None if row < 0 else row

    def row(self, raw: int | str, kind: str = "id") -> int:
        """The row of one raw id.

        Raises:
            MMRecError: the id is unknown.
        """
        if (row := self.find(raw)) is None:
            raise MMRecError(f"Unknown {kind} {raw!r}: this dataset has {len(self):,}, such as {self.raw[0]!s}.")
        return row


NO_ID = np.iinfo(np.int64).min
"""Stands for a value that is no int64; no id is that small."""


def _text(value: Any) -> str:
    """A raw id as text; ``""``, which is no id, for a value that cannot be an id."""
    try:
        return value if type(value) is str else as_text(value) or ""
    except ValueError:
        return ""


def _int64(value: Any) -> int:
    """A raw id as a number, or :data:`NO_ID`: ``"007"`` and ``1.5`` are not 7 and 1."""
    text = _text(value)
    return int(text) if is_canonical(text) else NO_ID


@dataclass(frozen=True)
class Interactions:
    """A table of events with roles, each optional; every column has ``N`` rows.

    ``labels`` are things to predict other than the rating (``income``, ``click``); ``features`` are columns that
    describe the event itself (the rows of a click table). Columns may be memory-mapped.
    """

    user: Array | None = None
    """int32 ``[N]`` user rows."""
    item: Array | None = None
    """int32 ``[N]`` item rows."""
    rating: Array | None = None
    """float32 ``[N]`` on the dataset's own scale."""
    time: Array | None = None
    """int64 ``[N]`` seconds since 1970 (UTC)."""
    labels: Mapping[str, Array] = field(default_factory=dict)
    features: Mapping[str, Array] = field(default_factory=dict)

    ROLES = ("user", "item", "rating", "time")

    def __len__(self) -> int:
        for column in (*self._columns().values(), *self.labels.values(), *self.features.values()):
            return len(column)
        return 0

    def _columns(self) -> dict[str, Array]:
        return {role: column for role in self.ROLES if (column := getattr(self, role)) is not None}

    @property
    def has(self) -> frozenset[str]:
        """The roles that have a column, and ``labels``."""
        return frozenset(self._columns()) | ({"labels"} if self.labels else set())

    def take(self, rows: Array) -> Interactions:
        """The same table with only these rows (indices or a mask), copied out of any memory map."""
        pick: Callable[[Mapping[str, Array]], dict[str, Array]] = lambda table: {k: v[rows] for k, v in table.items()}
        return Interactions(**pick(self._columns()), labels=pick(self.labels), features=pick(self.features))

    def need(self, role: str) -> Array:
        """A required column.

        Raises:
            MMRecError: there is no such column.
        """
        column: Array | None = getattr(self, role)
        if column is None:
            raise MMRecError(f"This needs a '{role}' column; the dataset has {', '.join(sorted(self.has)) or 'none'}.")
        return column


@dataclass(frozen=True)
class Field:
    """One side-feature column, encoded for models.

    ``categorical``: ``codes`` int64 ``[n]``; ``multi`` (genres, cast): ``codes`` int64 ``[n, width]`` padded with 0;
    ``dense``: ``values`` float32 ``[n]``, standardised, 0 where missing; ``vector``: embeddings of plots or posters.
    Code 0 means missing or never seen in training.
    """

    name: str
    owner: Literal["user", "item", "row"]
    kind: Literal["categorical", "multi", "dense", "vector"]
    vocabulary: tuple[str, ...] = ()
    """What codes 1, 2, … stand for."""
    codes: int = 0
    """Number of codes of hashed values, which have no names; else 0."""
    mean: float = 0.0
    std: float = 1.0
    log: bool = False
    """Heavy-tailed count: ``log(1 + value)`` is standardised; values below 0 count as 0."""
    width: int = 1
    data: Array = field(default_factory=lambda: np.zeros(0))
    """Codes or values by row of the owner.

    Vectors: float16 ``[N, width]``, unit rows, of the owner's rows that have a vector. For owner ``row``, whose values
    come with each batch: the code of each hash for hashed values, the edges of bins with equally many training rows for
    numbers, else empty.
    """
    place: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Vectors only: position of each row's vector in ``data``, int64 ``[n]``; −1 where it has none."""

    @property
    def size(self) -> int:
        """Rows an embedding table for this field needs (code 0 included)."""
        return (self.codes or len(self.vocabulary)) + 1

    def encode(self, values: Array) -> Array:
        """Encode raw values ``[N]`` as int64 codes, or as standardised floats if the field is dense."""
        if self.kind == "dense":
            numbers = np.asarray(values, np.float64)
            numbers = np.log1p(np.maximum(numbers, 0)) if self.log else numbers
            return np.nan_to_num((numbers - self.mean) / self.std).astype(np.float32)
        if self.codes:
            return np.asarray(self.data)[np.asarray(values, np.int64) % len(self.data)].astype(np.int64)
        code = {value: at + 1 for at, value in enumerate(self.vocabulary)}
        unique, inverse = np.unique(values, return_inverse=True)
        codes: Array = np.array([code.get(str(v), 0) for v in unique], np.int64)[inverse]
        return codes

    def steps(self, values: Array, most: int) -> Array:
        """Bin raw numbers ``[N]``: int64 codes, 0 where missing, else the bin from 1 to at most ``most``."""
        edges = np.unique(np.asarray(self.data)[:: max(len(self.data) // most, 1)])
        numbers = np.asarray(values, np.float64)
        return np.where(np.isfinite(numbers), np.searchsorted(edges, numbers, side="right") + 1, 0).astype(np.int64)


Side = tuple[Field, ...]


def release_memory(column: Array) -> None:
    """Release the memory of the pages read from a memory-mapped column; they are read again when needed."""
    mapped, advice = getattr(column, "_mmap", None), getattr(mmap, "MADV_DONTNEED", None)
    if mapped is not None and advice is not None:
        mapped.madvise(advice)


@dataclass(frozen=True)
class Schema:
    """What a model knows of a dataset before it sees a row: counts, columns, scale, labels."""

    n_users: int
    n_items: int
    has: frozenset[str]
    scale: tuple[float, float] | None = None
    labels: tuple[str, ...] = ()
    relevant_from: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The schema as JSON values."""
        return {f.name: (sorted(v) if isinstance(v := getattr(self, f.name), frozenset) else v) for f in fields(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Schema:
        """The inverse of :meth:`to_json`."""
        scale = value["scale"]
        return cls(
            **{
                **value,
                "has": frozenset(value["has"]),
                "scale": tuple(scale) if scale else None,
                "labels": tuple(value["labels"]),
            }
        )


@dataclass(frozen=True)
class Head:
    """One output of a model and its meaning: a rating, a ranking score, or the log-odds of a click or label."""

    name: str
    kind: HeadKind


@dataclass(frozen=True)
class TrainSet:
    """Everything that fitting may see: training rows, side features fitted on them, and the seed."""

    events: Interactions
    """A table with the training rows; it may be memory-mapped and have other rows, too."""
    schema: Schema
    side: Side = ()
    seed: int = 0
    rows: Array | None = None
    """int ``[N]``: which rows of the table are the training rows; ``None``: all."""

    def __len__(self) -> int:
        return len(self.events) if self.rows is None else len(self.rows)

    @cached_property
    def interactions(self) -> Interactions:
        """The training rows in memory. Models of tables larger than memory use :meth:`block` instead."""
        return self.events if self.rows is None else self.events.take(self.rows)

    def block(self, part: slice) -> Interactions:
        """A slice of the training rows, read from disk."""
        found = self.events.take(np.arange(part.start, part.stop) if self.rows is None else self.rows[part])
        for column in (*self.events.labels.values(), *self.events.features.values()):
            release_memory(column)
        return found

    @cached_property
    def positives(self) -> Interactions:
        """Training rows that count as relevant.

        Rating ≥ ``schema.relevant_from``, or all where there are no ratings.
        """
        rating, relevance_threshold = self.interactions.rating, self.schema.relevant_from
        if rating is None or relevance_threshold is None:
            return self.interactions
        return self.interactions.take(np.flatnonzero(rating >= relevance_threshold))

    @cached_property
    def items(self) -> Array:
        """Item rows of the training rows, sorted and unique."""
        return np.unique(np.asarray(self.interactions.need("item"))).astype(np.int64)

    @cached_property
    def seen_pairs(self) -> Array:
        """Unique training pairs as ``user · n_items + item``, sorted."""
        return self._pairs(self.interactions)

    @cached_property
    def positive_pairs(self) -> Array:
        """Unique pairs of :attr:`positives` as ``user · n_items + item``, sorted."""
        return self._pairs(self.positives)

    def _pairs(self, rows: Interactions) -> Array:
        user, item = (np.asarray(rows.need(role), np.int64) for role in ("user", "item"))
        return np.unique(user * self.schema.n_items + item)


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``n`` rows."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def fields_of(side: Sequence[Field], owner: str) -> Side:
    """The fields of one owner."""
    return tuple(f for f in side if f.owner == owner)
