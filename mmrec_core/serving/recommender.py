"""A new user by fold-in: what every fitted model makes of a few ratings, and why, by exact re-scoring."""

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
from mmrec_core.types import Array, Dataset, History, Query

MODEL_BYTES = 2_000_000_000
"""Loaded models are kept up to this many bytes; the one unused longest goes first."""

_loaded: OrderedDict[tuple[str, int], Any] = OrderedDict()
_sizes: dict[tuple[str, int], int] = {}
"""Bytes of each of the loaded models."""
_lock = threading.Lock()


@dataclass(frozen=True)
class Recommendations:
    """One model's answer to one history."""

    model: str
    run: str
    items: Array
    """Item rows, best first."""
    scores: Array
    source: str
    """``folded``, ``learned`` or ``fallback``."""


def use_threads(n: int) -> None:
    """How many threads models may use that are asked by the calling thread, or by one that starts later; torch leaves other threads as they are."""
    import torch

    torch.set_num_threads(n)


def load_run_model(folder: Path) -> Any:
    """A run's model, kept in memory and shared; thread-safe. The one place where a saved model meets the dataset it is asked about.

    Raises:
        MMRecError: the run left no model, a damaged one, or one of other data: its dataset was prepared anew since.
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
    """A loaded model out of memory, else from its folder."""
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
    """Raw film ids and stars as a history.

    Raises:
        MMRecError: an unknown film, or a rating off the scale.
    """
    rows = np.array([dataset.items.row(item, "film id") for item in ratings], np.int64)
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


def recommend(run: runs.Run, told: History, top: int = 10, model: Any = None) -> Recommendations:
    """What one run's model recommends to somebody with this history; films rated already are left out, but where events repeat."""
    model = model or load_run_model(run.folder)
    state = model.fold_in([told])
    items, scores = model.recommend_rows(state, [hidden(run.params["protocol"], told.items)], top)[0]
    return Recommendations(run.params["model"], run.id, items, scores, state.source[0])


def scores(run: runs.Run, told: History) -> Array:
    """One run's scores ``[I]`` of every film for somebody with this history."""
    model = load_run_model(run.folder)
    found: Array = model.score_all(model.fold_in([told]))[0].double().numpy()
    return found


def recommend_known(
    run: runs.Run, dataset: Dataset, user: int, top: int = 10, seen: Array | None = None
) -> Recommendations:
    """What one run's model recommends to a user of the dataset; all films they have rated are left out (none where events repeat), or just
    the item rows ``seen``."""
    model = load_run_model(run.folder)
    asked = Query(np.array([user]))
    if seen is None:
        own = np.asarray(dataset.interactions.need("user")) == user
        seen = hidden(run.params["protocol"], np.asarray(dataset.interactions.need("item"))[own])
    items, scores = model.recommend_rows(asked, [seen], top)[0]
    return Recommendations(run.params["model"], run.id, items, scores, model.user_state(asked).source[0])


def reasons(run: runs.Run, told: History, items: Sequence[int]) -> list[list[tuple[int, float]]]:
    """For each recommended film, which of the told ratings raise its score most, by leaving each out in turn.

    The history is edited and folded in again with the model fixed, so the change is exact for this model; it is not what
    retraining without the rating would give.

    Returns:
        For each film, (place in the history, fall of the score without it), largest first.
    """
    model = load_run_model(run.folder)
    n = len(told)
    keep = [np.delete(np.arange(n), at) for at in range(n)]
    without = [
        History(
            told.items[k],
            None if told.ratings is None else told.ratings[k],
            None if told.times is None else told.times[k],
        )
        for k in keep
    ]
    scores = model.score_all(model.fold_in([told, *without])).numpy()
    out = []
    for item in items:
        fall = scores[0, item] - scores[1:, item]
        out.append([(int(at), float(fall[at])) for at in np.argsort(-fall)])
    return out
