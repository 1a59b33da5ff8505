"""The nouns that the rooms hand to each other: frozen, small, shapes stated.

``N`` is a number of rows, ``U`` users, ``I`` items, ``B`` a batch, ``H`` heads, ``d`` a width. Users and items are
contiguous 0-based rows of one :class:`IdMap` each; rows follow the catalog, so a split never changes them.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from mmrec_core import records, storage
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.ids import as_text, is_canonical

if TYPE_CHECKING:
    import pandas as pd
    import torch

Array = npt.NDArray[Any]
HeadKind = Literal["rating", "ranking", "click"]


class Progress(Protocol):
    """Told how far a long piece of work is: ``done`` of ``total`` and what is being done."""

    def __call__(self, done: int, total: int, what: str) -> None: ...


def quiet(done: int, total: int, what: str) -> None:
    """The progress listener that does not care."""


@dataclass(frozen=True)
class IdMap:
    """Raw ids (int64 or str, unique) and the 0-based rows they stand in: ``raw[row]``, ``rows(raw)``."""

    raw: Array
    """``[N]`` raw ids by row."""

    def __len__(self) -> int:
        return len(self.raw)

    @cached_property
    def _order(self) -> Array:
        return np.argsort(self.raw, kind="stable")

    def rows(self, raw: npt.ArrayLike) -> Array:
        """Rows ``[M]`` of raw ids ``[M]``; −1 where an id is unknown."""
        asked = np.asarray(raw)
        if not len(self.raw) or not asked.size:
            return np.full(asked.shape, -1, np.int64)
        if asked.dtype.kind != self.raw.dtype.kind or asked.dtype.kind == "O":
            one = _int64 if self.raw.dtype.kind in "iu" else _text
            asked = np.array([one(a) for a in asked.ravel().tolist()]).reshape(asked.shape)
        place = np.searchsorted(self.raw, asked, sorter=self._order)
        row = self._order[np.minimum(place, len(self.raw) - 1)]
        found: Array = np.where(self.raw[row] == asked, row, -1).astype(np.int64)
        return found

    def row(self, raw: int | str, kind: str = "id") -> int:
        """The row of one raw id.

        Raises:
            MMRecError: the id is unknown.
        """
        row = int(self.rows([raw])[0])
        if row < 0:
            raise MMRecError(f"Unknown {kind} {raw!r}: this dataset has {len(self):,}, such as {self.raw[0]!s}.")
        return row


NO_ID = np.iinfo(np.int64).min
"""Stands for what is no int64 at all; no id is that small."""


def _text(value: Any) -> str:
    """A raw id as text; ``""``, which is no id, for what cannot be one."""
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
        """The roles that are filled."""
        return frozenset(self._columns()) | ({"labels"} if self.labels else set())

    def take(self, rows: Array) -> Interactions:
        """The same table with only these rows (indices or a mask), copied out of any memory map."""
        pick: Callable[[Mapping[str, Array]], dict[str, Array]] = lambda table: {k: v[rows] for k, v in table.items()}
        return Interactions(**pick(self._columns()), labels=pick(self.labels), features=pick(self.features))

    def need(self, role: str) -> Array:
        """A column that must be there.

        Raises:
            MMRecError: it is not.
        """
        column: Array | None = getattr(self, role)
        if column is None:
            raise MMRecError(f"This needs a '{role}' column; the dataset has {', '.join(sorted(self.has)) or 'none'}.")
        return column


@dataclass(frozen=True)
class Field:
    """One side-information column, ready for a model.

    ``categorical``: ``codes`` int64 ``[n]``; ``multi`` (genres, cast): ``codes`` int64 ``[n, width]`` padded with 0;
    ``dense``: ``values`` float32 ``[n]``, standardised, 0 where missing; ``vector``: what an encoder made of plots or posters.
    Code 0 means missing or never seen in training.
    """

    name: str
    owner: Literal["user", "item", "row"]
    kind: Literal["categorical", "multi", "dense", "vector"]
    vocabulary: tuple[str, ...] = ()
    """What codes 1, 2, … stand for."""
    codes: int = 0
    """How many codes there are where they stand for hashed values, which have no names."""
    mean: float = 0.0
    std: float = 1.0
    log: bool = False
    """A heavy-tailed count: ``log(1 + value)`` is what is standardised, values below 0 taken for 0."""
    width: int = 1
    data: Array = field(default_factory=lambda: np.zeros(0))
    """Codes or values by row of the owner; empty for owner ``row``, whose rows come with each batch, but for hashed values:
    the code of each hash, and for numbers: the edges of steps that hold equally many training rows. Vectors: float16 ``[N, width]`` with unit rows, of those rows of the owner that have one."""
    place: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Vectors only: where each row's vector stands in ``data``, int64 ``[n]``; −1 where it has none."""

    @property
    def size(self) -> int:
        """Rows an embedding table for this field needs (code 0 included)."""
        return (self.codes or len(self.vocabulary)) + 1

    def encode(self, values: Array) -> Array:
        """Raw values ``[N]`` as codes int64, or as standardised floats where the field is dense."""
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
        """Raw numbers ``[N]`` of rows as codes int64: 0 where missing, else which of at most ``most`` steps they lie in, from 1."""
        edges = np.unique(np.asarray(self.data)[:: max(len(self.data) // most, 1)])
        numbers = np.asarray(values, np.float64)
        return np.where(np.isfinite(numbers), np.searchsorted(edges, numbers, side="right") + 1, 0).astype(np.int64)


Side = tuple[Field, ...]


def let_go(column: Array) -> None:
    """Give back the memory behind what was read of a memory-mapped column; it is read from its file again when it is needed."""
    held, advice = getattr(column, "_mmap", None), getattr(mmap, "MADV_DONTNEED", None)
    if held is not None and advice is not None:
        held.madvise(advice)


@dataclass(frozen=True)
class Schema:
    """What a model may know of a dataset before it sees a row."""

    n_users: int
    n_items: int
    has: frozenset[str]
    scale: tuple[float, float] | None = None
    labels: tuple[str, ...] = ()
    relevant_from: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
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
    """One output of a model and what it means: a rating, a ranking score, or the log-odds of a click or label."""

    name: str
    kind: HeadKind


@dataclass(frozen=True)
class TrainSet:
    """All that fitting may see: training rows, side information fitted on them, the seed. Nothing of the rest."""

    events: Interactions
    """A table that holds the training rows; it may be memory-mapped and hold others, too."""
    schema: Schema
    side: Side = ()
    seed: int = 0
    rows: Array | None = None
    """int ``[N]``: which rows of the table are the training rows; ``None``: all."""

    def __len__(self) -> int:
        return len(self.events) if self.rows is None else len(self.rows)

    @cached_property
    def interactions(self) -> Interactions:
        """The training rows in memory. Models of tables that memory may not hold ask :meth:`block` instead."""
        return self.events if self.rows is None else self.events.take(self.rows)

    def block(self, part: slice) -> Interactions:
        """Some of the training rows, read now."""
        found = self.events.take(np.arange(part.start, part.stop) if self.rows is None else self.rows[part])
        for column in (*self.events.labels.values(), *self.events.features.values()):
            let_go(column)
        return found

    @cached_property
    def positives(self) -> Interactions:
        """Training rows that count as relevant: rating ≥ ``schema.relevant_from``, or all where there are no ratings."""
        rating, bar = self.interactions.rating, self.schema.relevant_from
        if rating is None or bar is None:
            return self.interactions
        return self.interactions.take(np.flatnonzero(rating >= bar))

    @cached_property
    def items(self) -> Array:
        """Item rows that training has met, sorted."""
        return np.unique(np.asarray(self.interactions.need("item"))).astype(np.int64)

    @cached_property
    def met(self) -> Array:
        """Every training pair once, as ``user · n_items + item``, sorted."""
        return self._pairs(self.interactions)

    @cached_property
    def liked(self) -> Array:
        """The same of the rows that count as relevant."""
        return self._pairs(self.positives)

    def _pairs(self, rows: Interactions) -> Array:
        user, item = (np.asarray(rows.need(role), np.int64) for role in ("user", "item"))
        return np.unique(user * self.schema.n_items + item)


@dataclass(frozen=True)
class Query:
    """Who is asked about, and when: ``user`` ``[B]``, ``at`` ``[B]`` seconds, ``row`` for tables without users."""

    user: Array
    at: Array | None = None
    row: Array | None = None

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: slice | Array) -> Query:
        pick: Callable[[Array | None], Array | None] = lambda column: None if column is None else column[rows]
        return Query(self.user[rows], pick(self.at), pick(self.row))


@dataclass(frozen=True)
class History:
    """What a user never seen in training has told us, in the order given."""

    items: Array
    """int64 ``[n]`` item rows."""
    ratings: Array | None = None
    """float32 ``[n]`` on the dataset's scale."""
    times: Array | None = None
    """int64 ``[n]`` seconds."""
    side: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)


Source = Literal["learned", "folded", "fallback"]


@dataclass(frozen=True)
class UserState:
    """What a model makes of users: tensors ``[B, …]`` that stand in for its own user rows, and where each comes from.

    ``learned``: fitted in training; ``folded``: made from a history without retraining; ``fallback``: the model knows
    nothing about this user, so everyone in that position gets the same answer, and a page must say so.
    """

    tensors: Mapping[str, torch.Tensor]
    source: tuple[Source, ...]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: slice) -> UserState:
        return UserState({name: tensor[rows] for name, tensor in self.tensors.items()}, self.source[rows])


@dataclass(frozen=True)
class ItemState:
    """What a model makes of items it never saw: tensors ``[B, …]`` in place of its item rows, and where they come from."""

    tensors: Mapping[str, torch.Tensor]
    source: tuple[Source, ...]


@dataclass(frozen=True)
class Split:
    """Row indices of train, validation and test (sorted, disjoint), how they came about, and a checksum.

    ``targets``/``revealed`` serve ``cold-user``: which test rows are fixed targets, and which earlier rows of the same
    users may be revealed, in time order. ``cold_items`` are the item rows that left training.
    """

    strategy: str
    seed: int
    train: Array
    validation: Array
    test: Array
    revealed: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    cold_items: Array = field(default_factory=lambda: np.zeros(0, np.int64))

    PARTS = ("train", "validation", "test", "revealed", "cold_items")

    @cached_property
    def checksum(self) -> str:
        """Names the split by its content, so that two runs can tell whether they were judged on the same rows."""
        from mmrec_core.storage import checksum

        return checksum(*(np.ascontiguousarray(getattr(self, part), np.int64).tobytes() for part in self.PARTS))


@dataclass(frozen=True)
class Ranking:
    """Where the relevant items of each query stand in its ranking; all that a ranking metric may look at.

    ``relevant_query``/``relevant_gain`` list every relevant item; ``entry`` points into that list, one per item whose
    place is reported, with how many candidates score strictly higher (``above``), how many score the same, itself
    included (``tied``), and how many of those are relevant. Items below ``cut`` may go unreported.
    """

    relevant_query: Array
    """int64 ``[R]``, sorted: the query of every relevant item, wherever it stands."""
    relevant_gain: Array
    """float64 ``[R]``: its gain, the rating (1 where there are none)."""
    entry: Array
    """int64 ``[P]``."""
    above: Array
    """int64 ``[P]``."""
    tied: Array
    """int64 ``[P]``, ≥ 1."""
    tied_relevant: Array
    """int64 ``[P]``, ≥ 1."""
    n_candidates: Array
    """int64 ``[Q]``, relevant ones included."""
    cut: int | None = None
    """Entries with ``above`` ≥ ``cut`` may be missing; ``None``: the ranking is whole."""

    @property
    def n_queries(self) -> int:
        """``Q``."""
        return len(self.n_candidates)

    @cached_property
    def query(self) -> Array:
        """int64 ``[P]``: the query of each entry."""
        return self.relevant_query[self.entry]

    @cached_property
    def gain(self) -> Array:
        """float64 ``[P]``: the gain of each entry."""
        return self.relevant_gain[self.entry]

    @cached_property
    def n_relevant(self) -> Array:
        """int64 ``[Q]``."""
        return np.bincount(self.relevant_query, minlength=self.n_queries)

    def ideal_gain(self, k: int) -> Array:
        """The ``k`` best gains of each query in descending order, padded with 0: ``[Q, k]``."""
        order = np.lexsort((-self.relevant_gain, self.relevant_query))
        query = self.relevant_query[order]
        place = np.arange(len(query)) - np.searchsorted(query, query)
        best = np.zeros((self.n_queries, k))
        keep = place < k
        best[query[keep], place[keep]] = self.relevant_gain[order][keep]
        return best


@dataclass(frozen=True)
class RatingRows:
    """Ratings and predictions of them, ``[N]`` each, on the dataset's scale; ``weight`` counts a row more than once."""

    truth: Array
    predicted: Array
    weight: Array


@dataclass(frozen=True)
class ClickRows:
    """Labels (0 or 1) and predicted log-odds of them, ``[N]`` each; ``weight`` counts a row more than once."""

    truth: Array
    log_odds: Array
    weight: Array


@dataclass(frozen=True)
class Lists:
    """What each user is shown first, and what is known of films and of users' tastes; all that a metric of lists may look at."""

    items: Array
    """int64 ``[U, K]``: item rows, best first; −1 where nothing is left to show."""
    counts: Array
    """int64 ``[I]``: training events of each film."""
    n_users: int
    """Users with training events."""
    genres: Array
    """float64 ``[I, G]``: each film's genres, a row sums to 1 (to 0 where none is known)."""
    taste: Array
    """float64 ``[U, G]``: the mean of that over the films a user liked in training."""
    popularity: Array
    """float64 ``[U]``: mean ``counts`` of the films a user liked in training; NaN where there are none."""
    vectors: Array | None = None
    """float32 ``[I, d]``: unit vectors of plots and posters, zeros where a film has none; ``None`` where nobody encoded the catalog."""
    raters: Array | None = None
    """int64 ``[I]``: users with a training event of each film; differs from ``counts`` where events repeat."""
    future: Array | None = None
    """bool ``[U, K]``: listed films that did not exist yet when the list was asked for; ``None`` where there are no times."""


class Scorer(Protocol):
    """Anything evaluation can judge: a model, an oracle of a generated world, a blend."""

    def scorer_heads(self) -> tuple[Head, ...]:
        """What the columns of :meth:`score_rows` mean."""

    def score_rows(self, rows: Interactions) -> torch.Tensor:
        """``[N, H]`` scores of events; rating heads on the dataset's scale, click heads as log-odds."""

    def score_all(self, query: Query) -> torch.Tensor:
        """``[B, I]`` ranking scores of every item for every query."""


CATALOG = (
    "item", "title", "year", "genres", "director", "cast", "tags", "plot", "imdb_id", "tmdb_id", "poster", "poster_file", "n_ratings",
)  # fmt: skip
"""Columns that every catalog has."""


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset on disk: columns that memory-map, a catalog, a manifest."""

    folder: Path

    @property
    def name(self) -> str:
        """The name it was prepared under."""
        return self.folder.name

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Counts, rating scale, coverage, licence, provenance, checksum."""
        return records.read(self.folder / "manifest.json", records.MANIFEST, self._remedy)

    @property
    def _remedy(self) -> str:
        """What to do where one of its files is damaged."""
        return f"Prepare '{self.name}' again."

    def check(self) -> None:
        """Look at every file of the dataset, at their headers alone where they are large.

        Raises:
            DamagedFile: one is missing, cannot be read, or does not fit the others.
        """
        told = self.manifest
        n, users, films = told["ratings"], told["users"], told["films"]
        for kind, rows in (("user", users), ("item", films)):
            if rows:
                records.array(self.folder / f"{kind}_ids.npy", self._remedy, length=rows, ndim=1, kinds="iuU")
        if films:
            records.check_table(self.folder / "catalog.parquet", CATALOG, self._remedy, films)
        if (self.folder / "users.parquet").exists():
            records.check_table(self.folder / "users.parquet", ("user",), self._remedy, users)
        roles = {"user": "i", "item": "i", "rating": "f", "time": "i"}
        for role in [r for r in roles if r in told["has"]]:
            records.array(self.folder / "interactions" / f"{role}.npy", self._remedy, length=n, ndim=1, kinds=roles[role])
        for file in [*self.folder.glob("interactions/label.*.npy"), *self.folder.glob("interactions/feature.*.npy")]:
            records.array(file, self._remedy, length=n)
        for file in self.folder.glob("*.npz"):  # what its maker knows of a generated world
            records.archive(file, self._remedy)
        for file in self.folder.glob("official/*.npy"):
            records.array(file, self._remedy, kinds="iu")

    def check_rows(self) -> None:
        """Whether every event's user and item are rows of the id tables; reads both columns once.

        Raises:
            DamagedFile: one points beyond its table.
        """
        for role, rows in (("user", self.manifest["users"]), ("item", self.manifest["films"])):
            column = self._column(f"interactions/{role}.npy")
            if column is not None and len(column) and not 0 <= int(column.min()) <= int(column.max()) < rows:
                raise DamagedFile(storage.shown(self.folder / "interactions" / f"{role}.npy"), f"it names rows beyond the {rows:,} there are", self._remedy)

    def _column(self, path: str) -> Array | None:
        file = self.folder / path
        return records.array(file, self._remedy) if file.exists() else None

    def _table(self, prefix: str) -> dict[str, Array]:
        found = sorted(self.folder.glob(f"interactions/{prefix}.*.npy"))
        return {f.name.split(".", 1)[1][:-4]: records.array(f, self._remedy) for f in found}

    @cached_property
    def interactions(self) -> Interactions:
        """All events, memory-mapped, by user, time and a hash of the ids (:mod:`mmrec_core.row_order`)."""
        roles = {role: self._column(f"interactions/{role}.npy") for role in Interactions.ROLES}
        return Interactions(**roles, labels=self._table("label"), features=self._table("feature"))

    @cached_property
    def users(self) -> IdMap:
        """User ids by row."""
        ids = self._column("user_ids.npy")
        return IdMap(np.zeros(0, np.int64) if ids is None else np.asarray(ids))

    @cached_property
    def items(self) -> IdMap:
        """Item ids by row."""
        ids = self._column("item_ids.npy")
        return IdMap(np.zeros(0, np.int64) if ids is None else np.asarray(ids))

    @cached_property
    def catalog(self) -> pd.DataFrame:
        """One row per item, in row order; see ``docs/contracts.md`` for the columns."""
        import pandas as pd

        file = self.folder / "catalog.parquet"
        return records.table(file, CATALOG, self._remedy) if file.exists() else pd.DataFrame()

    @cached_property
    def user_table(self) -> pd.DataFrame | None:
        """One row per user with side columns, or ``None``."""
        file = self.folder / "users.parquet"
        return records.table(file, ("user",), self._remedy) if file.exists() else None

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating, or ``None`` where there are no ratings."""
        scale = self.manifest["scale"]
        return (float(scale[0]), float(scale[1])) if scale else None

    @property
    def checksum(self) -> str:
        """Names the content of the ids and events."""
        return str(self.manifest["checksum"])

    def official(self, name: str) -> tuple[Array, Array] | None:
        """Train and test rows of a split that the data's makers shipped, or ``None``."""
        train, test = self._column(f"official/{name}.train.npy"), self._column(f"official/{name}.test.npy")
        return None if train is None or test is None else (np.asarray(train), np.asarray(test))

    def candidates(self, name: str) -> Array | None:
        """Item rows ``[test rows, n]`` that the makers of a split rank each of its test rows among, or ``None``."""
        return self._column(f"official/{name}.candidates.npy")

    def official_names(self) -> list[str]:
        """The names of shipped splits."""
        return sorted(f.name.removesuffix(".train.npy") for f in self.folder.glob("official/*.train.npy"))

    def schema(self, relevant_from: float | None = None) -> Schema:
        """What a model may know beforehand."""
        return Schema(
            n_users=len(self.users),
            n_items=len(self.items),
            has=self.interactions.has,
            scale=self.scale,
            labels=tuple(self.interactions.labels),
            relevant_from=relevant_from if "rating" in self.interactions.has else None,
        )


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``n`` rows."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def with_data(side: Sequence[Field], owner: str) -> Side:
    """The fields of one owner."""
    return tuple(f for f in side if f.owner == owner)


__all__ = [
    "Array", "ClickRows", "Dataset", "Field", "Head", "History", "IdMap", "Interactions", "ItemState", "Lists", "Progress", "Query", "Ranking", "RatingRows",
    "Schema", "Scorer", "Side", "Split", "TrainSet", "UserState", "blocks", "quiet", "replace", "with_data",
]  # fmt: skip
