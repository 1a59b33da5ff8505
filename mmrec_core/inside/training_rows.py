"""The rows that a finished run learned from, and a user's history among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmrec_core import runs
from mmrec_core.data.splits import make_split
from mmrec_core.evaluation.ranker import history_of
from mmrec_core.training.fit import learned_rows
from mmrec_core.types import Array, Dataset, History, TrainSet


def training_rows(run: runs.Run, dataset: Dataset) -> Array:
    """Row numbers that a training run learned from.

    Raises:
        MMRecError: its split cannot be made.
    """
    how = run.params
    split = make_split(dataset, how["split"], how["split_seed"], how["filter_from"], runs.liked_from(how))
    return learned_rows(split, bool(how.get("refit")), dataset, float(how.get("fraction") or 1.0))


def train_set(model: Any, dataset: Dataset, rows: Array) -> TrainSet:
    """The training rows as the model received them."""
    return TrainSet(dataset.interactions, model.schema, model.side, model.seed, rows)


def history(dataset: Dataset, rows: Array, user: int) -> History:
    """A user's events among ``rows``, in time order."""
    events = dataset.interactions
    own = rows[np.asarray(events.need("user"))[rows] == user]
    if events.time is not None:
        own = own[np.argsort(np.asarray(events.time)[own], kind="stable")]
    return history_of(events, own)
