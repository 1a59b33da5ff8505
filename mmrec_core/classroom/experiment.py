"""Which model knows this class? Every model's predictions for held-out ratings of the participants.

Of each participant's first ratings, some places were drawn beforehand (:func:`store.held_places`); models never see
the ratings at these places. From the others each model folds the participant in and predicts the held-out ones.

Two measures: RMSE, for models that predict ratings; and the share of pairs in the right order, for all models: of two
held-out films that a participant rated differently, how often the model scores the better rated one higher (a tie
counts half). It is the area under the ROC curve of graded ratings; 0.5 is chance.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mmrec_core import runs, settings
from mmrec_core.classroom import store
from mmrec_core.classroom.store import Rating
from mmrec_core.errors import MMRecError
from mmrec_core.serving import answers, elicitation, recommender
from mmrec_core.stats import error_intervals, small_sample_interval
from mmrec_core.types import Array, Dataset, History

BASELINE = "popularity"
FILMS = 40
"""Films that a class rates; each participant skips those they have not seen."""
BATCH = 32
"""Histories that are folded in together."""
FEWEST = 5
"""Participants below whom nothing is said about popularity: an interval over so few says little."""
KEPT = 12_000
"""Largest number of kept predictions, each of all films of a plan for one history: twelve models, fifty participants
and all of their ratings, in about 6 MB."""

RUNS_S = 5.0
"""For how many seconds the runs of a dataset are not looked up again: each rating of a class asks for them."""

_runs: dict[tuple[str, str, str], tuple[float, dict[str, runs.Run]]] = {}
_kept: OrderedDict[tuple[str, bytes], Array] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class Standing:
    """How well one model knows a class."""

    model: str
    run: str
    people: int
    """Participants with a pair of held-out films that they rated differently."""
    order: float | None
    """Mean share of pairs in the right order, over participants."""
    order_interval: tuple[float, float] | None
    """95 % interval over participants (Student's t)."""
    over_popularity: float | None
    """Mean difference of ``order`` to popularity, paired by participant."""
    over_popularity_interval: tuple[float, float] | None
    """95 % interval of the difference (Student's t); ``None`` below :data:`FEWEST` participants."""
    ratings: int
    """Held-out ratings."""
    rmse: float | None
    """``None`` for a model that predicts no ratings."""
    rmse_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Person:
    """A participant's ratings, divided into what models may see and what they predict."""

    id: str
    known: tuple[Rating, ...]
    held: tuple[Rating, ...]


def plan(dataset: Dataset) -> dict[str, Any]:
    """A new plan: well-known films that differ from each other, and the model whose list participants see."""
    rows = elicitation.spread(dataset, FILMS)
    fitted = runs.finished(dataset)
    usual = ("ease", "ease_content", "mf", "bpr", "itemknn", "lightgcn")
    model = next((name for name in usual if name in fitted), next(iter(fitted), None))
    return {"items": [plain_id(dataset.items.raw[row]) for row in rows], "model": model}


def trained(dataset: Dataset) -> dict[str, runs.Run]:
    """The newest finished training run of each model (:func:`mmrec_core.runs.finished`), at most :data:`RUNS_S` old."""
    key = (str(settings.home()), dataset.name, dataset.checksum)
    known = _runs.get(key)
    if known is None or time.monotonic() - known[0] > RUNS_S:
        known = _runs[key] = (time.monotonic(), runs.finished(dataset))
        while len(_runs) > 16:
            _runs.pop(next(iter(_runs)), None)
    return known[1]


def plain_id(raw: Any) -> Any:
    """A raw id as JSON holds it."""
    return raw.item() if hasattr(raw, "item") else raw


def people(ratings: Sequence[Rating]) -> list[Person]:
    """The ratings of a class by participant, in the order in which they began."""
    own: dict[str, list[Rating]] = defaultdict(list)
    for rating in ratings:
        own[rating.participant_id].append(rating)
    return [
        Person(who, tuple(r for r in theirs if not r.held), tuple(r for r in theirs if r.held))
        for who, theirs in own.items()
    ]


def history(dataset: Dataset, known: Sequence[Rating]) -> History:
    """What models may see of a participant."""
    return recommender.history(dataset, {rating.item: rating.stars for rating in known})


def question(history: History, items: Sequence[Any]) -> bytes:
    """The cache key of a history and the items of a plan."""
    return hashlib.sha256(b"|".join((*answers.question(history), json.dumps(list(items)).encode()))).digest()


def predictions(dataset: Dataset, run: runs.Run, items: Sequence[Any], asked: Mapping[bytes, History]) -> Array:
    """Scores ``[N, n]`` of the items of a plan for each history; kept, since most histories do not change.

    Args:
        dataset: the class's dataset.
        run: the model's finished run.
        items: raw ids of the films of the plan.
        asked: histories by their :func:`question`.

    Raises:
        MMRecError: the model cannot be loaded.
    """
    keys = [(run.id, key) for key in asked]
    with _lock:
        found = {key: _kept[key] for key in keys if key in _kept}
        for key in found:
            _kept.move_to_end(key)  # the least recently used one leaves first
    missing = {key: h for key, h in zip(keys, asked.values(), strict=True) if key not in found}
    if missing:
        import torch

        recommender.use_threads(1)  # on data this small, threads wait for each other, and pages for them
        model = recommender.load_run_model(run.folder)
        rows = torch.as_tensor(dataset.items.rows(list(items)))
        wanted = list(missing.items())
        for at in range(0, len(wanted), BATCH):
            part = wanted[at : at + BATCH]
            scores = model.score_all(model.fold_in([h for _, h in part]), rows).double().numpy()
            found.update({key: row.copy() for (key, _), row in zip(part, scores, strict=True)})
        with _lock:
            _kept.update({key: found[key] for key in missing})
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
    return np.stack([found[key] for key in keys]) if keys else np.zeros((0, len(items)))


def order(truth: Array, scores: Array) -> float | None:
    """Share of pairs in the right order; a tie of the scores counts half. ``None`` without a pair of unequal ratings.

    Args:
        truth: ratings ``[n]``.
        scores: predictions ``[n]``.
    """
    better = truth[:, None] > truth[None]
    if not better.any():
        return None
    gap = scores[:, None] - scores[None]
    return float((better & (gap > 0)).sum() + 0.5 * (better & (gap == 0)).sum()) / float(better.sum())


def predicts_ratings(run: runs.Run) -> bool:
    """Whether the scores of a run's model are ratings."""
    heads = recommender.load_run_model(run.folder).scorer_heads()
    return bool(heads) and heads[0].kind == "rating"


def standings(
    dataset: Dataset,
    ratings: Sequence[Rating],
    items: Sequence[Any],
    models: Mapping[str, runs.Run],
    known: int | None = None,
    between: Callable[[], object] = lambda: None,
) -> list[Standing]:
    """How well each model knows a class, the best order of pairs first.

    Args:
        dataset: the class's dataset.
        ratings: all ratings of the class, in order.
        items: raw ids of the films of the plan.
        models: finished runs by model.
        known: how many ratings of each participant the models may see; all that are not held out by default.
        between: called before each model, to give way to others.

    Returns:
        One entry per model that can be used. A participant counts once they have a held-out rating and, without
        ``known``, another one; with ``known``, if they gave at least so many others.
    """
    at = {_key(item): place for place, item in enumerate(items)}
    asked = [p for p in people(ratings) if p.held and (len(p.known) >= known if known is not None else bool(p.known))]
    histories = [history(dataset, p.known[:known]) for p in asked]
    questions = [question(h, items) for h in histories]
    distinct = dict(zip(questions, histories, strict=True))
    row = {key: n for n, key in enumerate(distinct)}
    held = [([at[_key(r.item)] for r in p.held], np.array([r.stars for r in p.held])) for p in asked]
    low, high = dataset.scale or (0.0, 1.0)
    by_model: dict[str, dict[int, float]] = {}
    errors: dict[str, tuple[Array, Array]] = {}
    for name, run in models.items():
        between()
        try:
            table = predictions(dataset, run, items, distinct)
            has_ratings = predicts_ratings(run)
        except MMRecError:
            continue
        by_model[name], users, own = {}, [], []
        for n, (places, truth) in enumerate(held):
            scores = table[row[questions[n]], places]
            share = order(truth, scores)
            if share is not None:
                by_model[name][n] = share
            if has_ratings:
                users += [n] * len(truth)
                own += (np.clip(scores, low, high) - truth).tolist()
        errors[name] = (np.array(users, np.int64), np.array(own, np.float64))
    rated = sum(len(p.held) for p in asked)
    base = by_model.get(BASELINE)
    found = [_standing(name, models[name], own, errors[name], base, rated) for name, own in by_model.items()]
    return sorted(found, key=lambda s: (-(s.order if s.order is not None else -1), s.model))


def _key(item: Any) -> str:
    return json.dumps(item)


def _standing(
    name: str,
    run: runs.Run,
    own: Mapping[int, float],
    error: tuple[Array, Array],
    popularity: Mapping[int, float] | None,
    held: int,
) -> Standing:
    values = np.array(list(own.values()))
    gaps = np.array([v - popularity[n] for n, v in own.items()]) if popularity and name != BASELINE else np.zeros(0)
    users, errors = error
    return Standing(
        model=name,
        run=run.id,
        people=len(own),
        order=float(values.mean()) if len(values) else None,
        order_interval=small_sample_interval(values),
        over_popularity=float(gaps.mean()) if len(gaps) else None,
        over_popularity_interval=small_sample_interval(gaps) if len(gaps) >= FEWEST else None,
        ratings=held,
        rmse=float(np.sqrt(np.mean(errors**2))) if len(errors) else None,
        rmse_interval=error_intervals(users, errors)["rmse"] if len(errors) else None,
    )


def curve(
    dataset: Dataset, ratings: Sequence[Rating], items: Sequence[Any], models: Mapping[str, runs.Run]
) -> dict[str, Any]:
    """Quality by number of known ratings, on the same participants and held-out films for every number.

    Returns:
        ``ks``; ``people``, the participants with all of these ratings; ``models``: name → mean order by k; ``above``:
        name → the number of ratings from which on the model's mean lies above popularity's, or ``None``.
    """
    from mmrec_core.analysis.cold_start_curve import above  # brings torch, which takes seconds

    most = store.RATED - store.HELD
    whole = {p.id for p in people(ratings) if len(p.known) >= most and p.held}
    kept = [r for r in ratings if r.participant_id in whole]
    ks = list(range(most + 1))
    means: dict[str, list[float]] = defaultdict(list)
    for k in ks:
        for own in standings(dataset, kept, items, models, known=k):
            if own.order is not None:
                means[own.model].append(own.order)
    means = {name: values for name, values in means.items() if len(values) == len(ks)}
    base = means.get(BASELINE)
    return {
        "ks": ks,
        "people": len(whole),
        "models": means,
        "above": {n: above(v, base, ks) for n, v in means.items() if n != BASELINE} if base else {},
    }


def compared(dataset: Dataset) -> dict[str, runs.Run]:
    """The models of the experiment: all that are trained, but for the random one."""
    return {name: run for name, run in trained(dataset).items() if name != "random"}


def results(dataset: Dataset, ratings: Sequence[Rating], plan: Mapping[str, Any]) -> dict[str, Any]:
    """What a class found, to be saved with it: standings, curve, the dataset's checksum and the number of people."""
    models = compared(dataset)
    return {
        "dataset": dataset.name,
        "checksum": dataset.checksum,
        "people": len(people(ratings)),
        "standings": [asdict(s) for s in standings(dataset, ratings, plan["items"], models)],
        "curve": curve(dataset, ratings, plan["items"], models),
    }
