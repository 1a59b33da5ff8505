"""Attention weights over a history beside the exact effect of removing each of its films."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmrec_core.errors import MMRecError
from mmrec_core.models._attribution import HistoryAttention
from mmrec_core.serving import counterfactuals
from mmrec_core.types import Array, History

MODELS = (
    "sasrec",
    "sasrec_ce",
    "sasrec_multimodal",
    "bert4rec",
    "bert4rec_multimodal",
    "sse_pt",
    "sse_pt_multimodal",
    "lightgt",
)
"""Models with attention over a history."""
SHOWN = 12
"""Most films of a history whose removal is computed: the latest ones."""


@dataclass(frozen=True)
class Reading:
    """How a model reads a history when it scores one film."""

    item: int
    """Row of the scored film."""
    score: float
    attention: HistoryAttention
    films: Array
    """int64 ``[m]``: positions in ``attention.items`` of the films that were removed in turn, the latest last."""
    effects: Array
    """float64 ``[m]``: the score minus the score without that film; positive: the film raises the score."""
    agreement: float
    """Spearman's rank correlation of the mean attention weight and the absolute effect; NaN with fewer than three."""


def read(model: Any, history: History, item: int, shown: int = SHOWN) -> Reading:
    """Attention and removals for one history and one film.

    A removal edits the history and asks the model again with its weights fixed, as in
    :mod:`mmrec_core.serving.counterfactuals`.

    Args:
        model: a trained model of :data:`MODELS`.
        history: the ratings of a user.
        item: row of the film that is scored.
        shown: most films that are removed in turn.

    Raises:
        MMRecError: the model has no attention over a history, or the history has no film that it reads.
    """
    look = getattr(model, "attention", None)
    found = None if look is None else look(history)
    if found is None:
        raise MMRecError(f"'{model.name}' has no attention over a history; use {', '.join(MODELS[:-1])} or lightgt.")
    if not len(found.items):
        raise MMRecError("The model reads none of these ratings: none is a like of a film that it knows.")
    films = np.arange(len(found.items))[-shown:]
    items = np.asarray(history.items)
    without = [counterfactuals.only(history, items != found.items[at]) for at in films]
    scores = counterfactuals.scores_of(model, [history, *without])[:, item]
    effects = scores[0] - scores[1:]
    return Reading(
        item, float(scores[0]), found, films, effects, _spearman(found.weights[:, films].mean(0), np.abs(effects))
    )


def _spearman(a: Array, b: Array) -> float:
    from scipy.stats import spearmanr

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)
