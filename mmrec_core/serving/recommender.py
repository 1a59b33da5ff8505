"""Recommendations for known and new users (by fold-in), with leave-one-out explanations."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from mmrec_core import runs
from mmrec_core.data.preparation import open_dataset
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import hidden
from mmrec_core.serving import counterfactuals
from mmrec_core.types import Array, Dataset, History, Query

MODEL_BYTES = 2_000_000_000
"""Size of the cache of loaded models, in bytes; the least recently used model is dropped first."""

_loaded: OrderedDict[tuple[str, int], Any] = OrderedDict()
_sizes: dict[tuple[str, int], int] = {}
"""Size of each loaded model in bytes."""
_lock = threading.Lock()


@dataclass(frozen=True)
class Recommendations:
    """Recommendations of one model for one history."""

    model: str
    run: str
    items: Array
    """Item rows, best first."""
    scores: Array
    source: str
    """``folded``, ``learned`` or ``fallback``."""


def use_threads(n: int) -> None:
    """Set the number of torch threads for the calling thread and threads that start later; others keep theirs."""
    import torch

    torch.set_num_threads(n)


def load_run_model(folder: Path) -> Any:
    """Load a run's model, cached and shared between threads, and check it against the dataset.

    Raises:
        MMRecError: the run left no model or a damaged one, or its dataset was prepared again since.
    """
    from mmrec_core.models._base import load_model

    try:
        key = (str(folder), (folder / "model" / "config.json").stat().st_mtime_ns)
    except OSError:
        raise MMRecError(f"Run '{folder.name}' left no model. Train it again.") from None
    model = _kept(folder, key, load_model)
    model.require(open_dataset(runs.get(folder.name).params["dataset"]), folder.name)
    return model


def _kept(folder: Path, key: tuple[str, int], load_model: Callable[[Path], Any]) -> Any:
    """The model from the cache, or loaded from its folder."""
    with _lock:
        if key not in _loaded:
            _loaded[key] = load_model(folder / "model")
            _sizes[key] = _bytes(_loaded[key])
        _loaded.move_to_end(key)
        while len(_loaded) > 1 and sum(_sizes.values()) > MODEL_BYTES:
            del _sizes[_loaded.popitem(last=False)[0]]
        return _loaded[key]


def _bytes(model: Any) -> int:
    return int(sum(t.numel() * t.element_size() for t in model.state_dict().values()))


def history(dataset: Dataset, ratings: Mapping[Any, float]) -> History:
    """A history from raw film ids and stars.

    Raises:
        MMRecError: an unknown film, or a rating off the scale.
    """
    raw = list(ratings)
    rows = dataset.items.rows(raw)
    if (rows < 0).any():
        dataset.items.row(raw[int(np.argmax(rows < 0))], "film id")  # raises
    stars = np.array(list(ratings.values()), np.float32)
    if dataset.scale is not None:
        low, high = dataset.scale
        for item, value in zip(ratings, stars, strict=True):
            if not low <= value <= high:
                raise MMRecError(f"Rating of film {item} is {value:g}, expected a number from {low:g} to {high:g}.")
    return History(rows, stars if dataset.scale is not None else None)


def parse_ratings(text: str) -> dict[str, float]:
    """``"318:5,296:4.5"`` → ``{"318": 5.0, "296": 4.5}``; in an id, ``,`` and ``%`` are written ``%2C`` and ``%25``.

    Raises:
        MMRecError: not of that form.
    """
    found: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        item, _, stars = part.rpartition(":")
        try:
            found[unquote(item.strip())] = float(stars)
        except ValueError:
            raise MMRecError(f"'{part}' is not a rating; expected movieId:rating, such as 318:5.") from None
    return found


def recommend(run: runs.Run, known: History, top: int = 10, model: Any = None) -> Recommendations:
    """Recommendations of a run's model for a new user, by fold-in.

    Args:
        run: a finished training run.
        known: the user's history. Its films are left out of the list, unless events may repeat.
        top: how many films.
        model: the run's model, if it is loaded already.

    Raises:
        MMRecError: see :func:`load_run_model`.
    """
    model = model or load_run_model(run.folder)
    state = model.fold_in([known])
    items, scores = model.recommend_rows(state, [hidden(run.params["protocol"], known.items)], top)[0]
    return Recommendations(run.params["model"], run.id, items, scores, state.source[0])


def scores(run: runs.Run, known: History) -> Array:
    """Scores ``[I]`` of every film by a run's model for a new user with this history."""
    model = load_run_model(run.folder)
    found: Array = model.score_all(model.fold_in([known]))[0].double().numpy()
    return found


def recommend_known(
    run: runs.Run, dataset: Dataset, user: int, top: int = 10, seen: Array | None = None
) -> Recommendations:
    """Recommendations of a run's model for a user of the dataset.

    Args:
        run: a finished training run.
        dataset: its dataset.
        user: user row.
        top: how many films.
        seen: item rows to leave out; by default all that the user has rated (none if events may repeat).

    Raises:
        MMRecError: see :func:`load_run_model`.
    """
    model = load_run_model(run.folder)
    query = Query(np.array([user]))
    if seen is None:
        own = np.asarray(dataset.interactions.need("user")) == user
        seen = hidden(run.params["protocol"], np.asarray(dataset.interactions.need("item"))[own])
    items, scores = model.recommend_rows(query, [seen], top)[0]
    return Recommendations(run.params["model"], run.id, items, scores, model.user_state(query).source[0])


def reasons(run: runs.Run, known: History, items: Sequence[int]) -> list[list[tuple[int, float]]]:
    """For each recommended film, the ratings that raise its score most, found by leaving out each rating in turn.

    The edited history is folded in again with the model fixed. The change is exact for this model, but differs from
    retraining without the rating.

    Returns:
        For each film pairs (index in the history, decrease of the score without it), the largest first.
    """
    model = load_run_model(run.folder)
    without = [counterfactuals.without(known, index) for index in range(len(known))]
    scores = model.score_all(model.fold_in([known, *without])).numpy()
    out = []
    for item in items:
        fall = scores[0, item] - scores[1:, item]
        out.append([(int(at), float(fall[at])) for at in np.argsort(-fall)])
    return out
