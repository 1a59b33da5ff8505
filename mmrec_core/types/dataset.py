"""A prepared dataset and a split of its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec_core import records, storage
from mmrec_core.errors import DamagedFile

if TYPE_CHECKING:
    import pandas as pd
from mmrec_core.types.fields import Array, IdMap, Interactions, Schema


@dataclass(frozen=True)
class Split:
    """Row indices of training, validation and test (sorted, disjoint), the strategy that made them, and a checksum.

    ``revealed`` is used by ``cold-user``: earlier rows of the test users that may be shown to a model, in time order.
    ``cold_items`` are the item rows that were removed from training.
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
        """Checksum of the rows of all parts; two runs with the same checksum were evaluated on the same rows."""
        from mmrec_core.storage import checksum

        return checksum(*(np.ascontiguousarray(getattr(self, part), np.int64).tobytes() for part in self.PARTS))


CATALOG = (
    "item",
    "title",
    "year",
    "genres",
    "director",
    "cast",
    "tags",
    "plot",
    "imdb_id",
    "tmdb_id",
    "poster",
    "poster_file",
    "n_ratings",
)
"""Columns that every catalog has."""


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset on disk: memory-mapped columns, a catalog and a manifest."""

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
        """What to do if one of its files is damaged, for messages."""
        return f"Prepare '{self.name}' again."

    def check(self) -> None:
        """Check every file of the dataset; of large files only the headers.

        Raises:
            DamagedFile: one is missing, cannot be read, or does not fit the others.
        """
        manifest = self.manifest
        n, users, films = manifest["ratings"], manifest["users"], manifest["films"]
        for kind, rows in (("user", users), ("item", films)):
            if rows:
                records.array(self.folder / f"{kind}_ids.npy", self._remedy, length=rows, ndim=1, kinds="iuU")
        if films:
            records.check_table(self.folder / "catalog.parquet", CATALOG, self._remedy, films)
        if (self.folder / "users.parquet").exists():
            records.check_table(self.folder / "users.parquet", ("user",), self._remedy, users)
        roles = {"user": "i", "item": "i", "rating": "f", "time": "i"}
        for role in [r for r in roles if r in manifest["has"]]:
            records.array(
                self.folder / "interactions" / f"{role}.npy", self._remedy, length=n, ndim=1, kinds=roles[role]
            )
        for file in [*self.folder.glob("interactions/label.*.npy"), *self.folder.glob("interactions/feature.*.npy")]:
            records.array(file, self._remedy, length=n)
        for file in self.folder.glob("*.npz"):  # the ground truth of a generated dataset
            records.archive(file, self._remedy)
        for file in self.folder.glob("official/*.npy"):
            records.array(file, self._remedy, kinds="iu")

    def check_rows(self) -> None:
        """Check that every event's user and item are rows of the id tables; reads both columns once.

        Raises:
            DamagedFile: a row number is too large or negative.
        """
        for role, rows in (("user", self.manifest["users"]), ("item", self.manifest["films"])):
            column = self._column(f"interactions/{role}.npy")
            if column is not None and len(column) and not 0 <= int(column.min()) <= int(column.max()) < rows:
                raise DamagedFile(
                    storage.shown(self.folder / "interactions" / f"{role}.npy"),
                    f"it names rows beyond the {rows:,} there are",
                    self._remedy,
                )

    def _column(self, path: str) -> Array | None:
        file = self.folder / path
        return records.array(file, self._remedy) if file.exists() else None

    def _table(self, prefix: str) -> dict[str, Array]:
        found = sorted(self.folder.glob(f"interactions/{prefix}.*.npy"))
        return {f.name.split(".", 1)[1][:-4]: records.array(f, self._remedy) for f in found}

    @cached_property
    def interactions(self) -> Interactions:
        """All events, memory-mapped, by user, time and a hash of the ids (:mod:`mmrec_core.data.row_order`)."""
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
        """Checksum of the ids and events."""
        return str(self.manifest["checksum"])

    def official(self, name: str) -> tuple[Array, Array, Array] | None:
        """Training, validation and test rows of a split that was published with the data, or ``None``.

        There are no validation rows if the authors published two parts.
        """
        train, validation, test = (self._column(f"official/{name}.{part}.npy") for part in Split.PARTS[:3])
        if train is None or test is None:
            return None
        return (
            np.asarray(train),
            np.zeros(0, np.int64) if validation is None else np.asarray(validation),
            np.asarray(test),
        )

    def candidates(self, name: str) -> Array | None:
        """Item rows ``[test rows, n]`` that an official split ranks each test row among, or ``None``."""
        return self._column(f"official/{name}.candidates.npy")

    def official_names(self) -> list[str]:
        """The names of the official splits."""
        return sorted(f.name.removesuffix(".train.npy") for f in self.folder.glob("official/*.train.npy"))

    def schema(self, relevant_from: float | None = None) -> Schema:
        """The schema that models are built from."""
        return Schema(
            n_users=len(self.users),
            n_items=len(self.items),
            has=self.interactions.has,
            scale=self.scale,
            labels=tuple(self.interactions.labels),
            relevant_from=relevant_from if "rating" in self.interactions.has else None,
        )
