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


def as_history(items: tuple[int, ...], ratings: tuple[float, ...] | None, times: tuple[int, ...] | None) -> History:
    """Hashable columns as a history."""
    return History(
        np.array(items, np.int64),
        None if ratings is None else np.array(ratings, np.float32),
        None if times is None else np.array(times, np.int64),
    )


def columns_of(user_history: History) -> tuple[tuple[int, ...], tuple[float, ...] | None, tuple[int, ...] | None]:
    """A history as hashable columns."""
    return (
        tuple(user_history.items.tolist()),
        None if user_history.ratings is None else tuple(map(float, user_history.ratings)),
        None if user_history.times is None else tuple(map(int, user_history.times)),
    )
