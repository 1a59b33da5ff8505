"""Models in the state in which they were evaluated, and histories as keys of caches, for the views of Errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.serving import counterfactuals as cf
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset, History, Split


@st.cache_resource(max_entries=16, show_spinner="Loading the model …")
def as_evaluated(run_id: str, split_checksum: str, _dataset: Dataset, _split: Split) -> Any:
    """A trained model as it was evaluated: with the validation rows observed where its run knows them."""
    run = runs.get(run_id)
    return cf.as_evaluated(
        recommender.load_run_model(run.folder),
        _dataset,
        _split,
        str(run.record.get("known") or "training + validation"),
    )


def as_history(items: bytes, ratings: bytes | None, times: bytes | None) -> History:
    """A history from its columns as bytes."""
    return History(
        np.frombuffer(items, np.int64).copy(),
        None if ratings is None else np.frombuffer(ratings, np.float32).copy(),
        None if times is None else np.frombuffer(times, np.int64).copy(),
    )


def columns_of(history: History) -> tuple[bytes, bytes | None, bytes | None]:
    """The columns of a history as bytes, by which caches know it: a tuple of numbers takes a hundred times as long."""
    return (
        np.asarray(history.items, np.int64).tobytes(),
        None if history.ratings is None else np.asarray(history.ratings, np.float32).tobytes(),
        None if history.times is None else np.asarray(history.times, np.int64).tobytes(),
    )
