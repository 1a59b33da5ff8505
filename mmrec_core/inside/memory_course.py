"""The memory of a temporal model over one user's events, and what changes if an event is taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmrec_core.errors import MMRecError
from mmrec_core.serving import counterfactuals
from mmrec_core.types import Array, History

MODELS = ("tgn", "jodie", "dyrep", "mm_tgn")
SHOWN = 12
"""Latest events that are taken out in turn."""


@dataclass(frozen=True)
class Course:
    """A user's memory, event by event."""

    items: Array
    """int64 ``[m]``: the latest events that the model reads, the latest last."""
    times: Array
    """int64 ``[m]``: their times in seconds."""
    before: int
    """Number of earlier events, which are read, too."""
    moved: Array
    """float64 ``[m]``: distance between the memory before and after each event."""
    length: Array
    """float64 ``[m]``: length of the memory after each event."""
    without: Array
    """float64 ``[m, m]``: row j, column k: distance between the memory after event k and that of the history without
    event j; 0 for k < j."""
    scores: Array
    """float64 ``[m]``: the score of the film minus its score without event j."""
    score: float
    """The score of the film."""


def memories(model: Any, histories: list[History]) -> Array:
    """float64 ``[B, d]``: the memory after each history, as fold-in computes it.

    Raises:
        MMRecError: the model has no memory.
    """
    if not hasattr(model, "folded_memory") or not model.config.memory:
        raise MMRecError(f"'{model.name}' keeps no memory of events; use {', '.join(MODELS)} with memory on.")
    found: Array = model.folded_memory(histories).double().cpu().numpy()
    return found


def course(model: Any, history: History, item: int, shown: int = SHOWN) -> Course:
    """Follow the memory over a history, with and without each of the latest events.

    Every memory is computed by the model's own fold-in on the edited history; the other nodes keep the state that they
    have after training.

    Args:
        model: a trained model of :data:`MODELS`.
        history: ratings of a user with times.
        item: row of the film whose score is compared.
        shown: most events that are taken out.

    Raises:
        MMRecError: the model has no memory, or the history has no event that it reads.
    """
    items, times, _ = model._likes_in_order(history)
    n = len(items)
    if not n:
        raise MMRecError("The model reads none of these ratings: none is a like.")
    order = _events(model, history)
    m = min(shown, n)
    first = n - m
    prefixes = [counterfactuals.only(history, order[:k]) for k in range(first, n + 1)]
    edited = [
        counterfactuals.only(history, np.delete(order[:k], first + j))
        for j in range(m)
        for k in range(first + j + 1, n + 1)
    ]
    found = memories(model, [*prefixes, *edited])
    own, other = found[: m + 1], found[m + 1 :]
    without = np.zeros((m, m))
    at = 0
    for j in range(m):
        for k in range(j, m):
            without[j, k] = np.linalg.norm(own[k + 1] - other[at])
            at += 1
    whole = counterfactuals.only(history, order)
    removed = [counterfactuals.only(history, np.delete(order, first + j)) for j in range(m)]
    scores = counterfactuals.scores_of(model, [whole, *removed])[:, item]
    return Course(
        items[first:],
        times[first:],
        first,
        np.linalg.norm(np.diff(own, axis=0), axis=1),
        np.linalg.norm(own[1:], axis=1),
        without,
        scores[0] - scores[1:],
        float(scores[0]),
    )


def _events(model: Any, history: History) -> Array:
    """Positions in a history of the events that the model reads, in time order."""
    threshold = model.schema.relevant_from
    liked = np.arange(len(history))
    if threshold is not None and history.ratings is not None:
        liked = np.flatnonzero(np.asarray(history.ratings) >= threshold)
    if history.times is None:
        return liked
    return liked[np.argsort(np.asarray(history.times)[liked], kind="stable")]
