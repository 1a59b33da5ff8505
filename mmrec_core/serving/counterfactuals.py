"""Counterfactual predictions: score edited input again, exactly, with the model's weights fixed.

To remove or change a *rating*, the history is edited and folded in again. Both sides of a comparison are folded in,
so that they differ by the edit alone. To blank, swap or rewrite a *plot or poster*, the model's own table of vectors
is edited: :func:`edited` returns the model as it would be loaded if the file contained other vectors.
This differs from retraining; ``docs/counterfactuals.md`` measures by how much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Dataset, Field, History, Query, Split

BLANK = "blank"
Vector = Array | int | str
"""The replacement of a film's vector: a vector ``[W]``, another film's item row, or :data:`BLANK`."""


@dataclass(frozen=True)
class Answer:
    """Score and rank of one film with one model under one edit."""

    edit: str
    score: float
    rank: float
    """Rank among all films that may be recommended; 1 is best. Tied films share the mean of their ranks."""


def modalities(model: Any) -> tuple[str, ...]:
    """The modalities (``text``, ``image`` …) that a model reads."""
    return tuple(f.name for f in model.side if f.kind == "vector" and f.owner == "item")


def has(model: Any, item: int) -> tuple[str, ...]:
    """The modalities that a model reads and a film has; a film without a poster has no ``image``."""
    return tuple(f.name for f in model.side if f.kind == "vector" and f.owner == "item" and f.place[item] >= 0)


def edited(model: Any, changes: Mapping[str, Mapping[int, Vector]], unmet: Sequence[int] = ()) -> Any:
    """A copy of a model with the same weights and edited plot and poster vectors.

    Args:
        model: any model; for one that reads no content only ``unmet`` may be used.
        changes: modality → item row → replacement vector; row −1 stands for every film.
        unmet: item rows that the copy treats as unseen in training.

    Raises:
        MMRecError: the model does not read the modality, or a vector has another width.
    """
    side = tuple(
        _with(f, changes.get(f.name, {})) if f.owner == "item" and f.kind == "vector" else f for f in model.side
    )
    if unknown := set(changes) - set(modalities(model)):
        raise MMRecError(f"'{model.name}' does not read {', '.join(sorted(unknown))}.")
    other = type(model)(model.config, model.schema, side, model.seed)
    for name in ("name", "users", "items", "catalog_checksum", "spaces"):
        setattr(other, name, getattr(model, name))
    other.restore(model.snapshot())
    if len(unmet):
        other.mark_unseen(np.asarray(unmet))
    other.eval()
    return other


def _with(field: Field, changes: Mapping[int, Vector]) -> Field:
    """A vector field with the vectors of some rows replaced. The stored table stays; new vectors are appended."""
    if not changes:
        return field
    place = field.place.copy()
    new: list[Array] = []
    for row, vector in changes.items():
        at = slice(None) if row < 0 else row
        if isinstance(vector, str):
            if vector != BLANK:
                raise MMRecError(f"'{vector}' is no vector; expected numbers, another film's row, or '{BLANK}'.")
            place[at] = -1
        elif isinstance(vector, (int, np.integer)):
            place[at] = field.place[int(vector)]
        else:
            own = np.asarray(vector)
            if own.shape != (field.width,):
                raise MMRecError(f"A vector of {field.name} has {field.width} numbers here, not {own.shape}.")
            place[at] = len(field.data) + len(new)
            new.append(own.astype(field.data.dtype))
    data = np.concatenate([field.data, np.stack(new)]) if new else field.data
    return replace(field, data=data, place=place)


def only(history: History, rows: Array) -> History:
    """The history with only these events (positions or a mask), in this order."""
    ratings, times = (None if column is None else column[rows] for column in (history.ratings, history.times))
    return History(history.items[rows], ratings, times)


def without(history: History, index: int) -> History:
    """The history without rating number ``index``."""
    return only(history, np.delete(np.arange(len(history)), index))


def with_rating(history: History, index: int, stars: float) -> History:
    """The history with rating number ``index`` changed to ``stars``.

    Raises:
        MMRecError: the history has no ratings.
    """
    if history.ratings is None:
        raise MMRecError("This dataset has no ratings, so there is no rating to change.")
    ratings = np.array(history.ratings)
    ratings[index] = stars
    return History(history.items, ratings, history.times)


def swapped(history: History, index: int) -> History:
    """The history with events ``index`` and ``index + 1`` exchanged; the times stay in place.

    Raises:
        MMRecError: no event comes after it.
    """
    if not 0 <= index < len(history) - 1:
        raise MMRecError("Nothing comes after the last event, so it cannot be exchanged with the next one.")
    order = np.arange(len(history))
    order[[index, index + 1]] = index + 1, index
    return History(history.items[order], None if history.ratings is None else history.ratings[order], history.times)


def score_and_rank(scores: Array, item: int, hidden: Array) -> tuple[float, float]:
    """Score and rank of a film among all items except the ``hidden`` rows; the film itself always counts."""
    keep = np.ones(len(scores), bool)
    keep[hidden] = False
    keep[item] = True
    own, theirs = float(scores[item]), scores[keep]
    above, tied = int((theirs > own).sum()), int((theirs == own).sum())
    return own, above + (tied + 1) / 2


def scores_of(model: Any, histories: Sequence[History]) -> Array:
    """Scores ``[B, I]`` of every film for folded-in histories."""
    found: Array = model.score_all(model.fold_in(histories)).double().numpy()
    return found


def history_edits(
    model: Any, history: History, item: int, edits: Mapping[str, History], hidden: Array | None = None
) -> list[Answer]:
    """Score and rank of a film after each edit of the history, with the unedited history ("as it is") first.

    The same items are left out of every ranking, so that ranks are comparable.

    Args:
        model: the model, with fixed weights.
        history: the unedited history.
        item: item row of the film.
        edits: name of an edit → edited history.
        hidden: item rows left out of the rankings; by default those of the unedited history.

    Returns:
        One answer for the unedited history and one for each edit, in order.
    """
    named = {"as it is": history, **edits}
    out = history.items if hidden is None else hidden
    scores = scores_of(model, [*named.values()])
    return [Answer(name, *score_and_rank(row, item, out)) for name, row in zip(named, scores, strict=True)]


def leave_one_out(model: Any, history: History, item: int) -> list[Answer]:
    """Score and rank of a film without each rating in turn, with the unedited history first."""
    return history_edits(model, history, item, {str(index): without(history, index) for index in range(len(history))})


def content_edits(
    model: Any,
    history: History,
    item: int,
    edits: Mapping[str, Mapping[str, Mapping[int, Vector]]],
    hidden: Array | None = None,
) -> list[Answer]:
    """Score and rank of a film with edited plots and posters, with the unedited model first.

    Args:
        model: the model, with fixed weights.
        history: the user's history.
        item: item row of the film.
        edits: name of an edit → ``changes`` of :func:`edited`.
        hidden: item rows left out of the rankings; by default those of the history.

    Returns:
        One answer for the unedited model and one for each edit, in order.

    Raises:
        MMRecError: the model does not read an edited modality, or a vector has another width.
    """
    out = history.items if hidden is None else hidden
    found = [Answer("as it is", *score_and_rank(scores_of(model, [history])[0], item, out))]
    for name, changes in edits.items():
        found.append(Answer(name, *score_and_rank(scores_of(edited(model, changes), [history])[0], item, out)))
    return found


def _views(reads: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Name of a view → the modalities that the model still reads; in views with any, the film's id is hidden."""
    found: dict[str, tuple[str, ...]] = {"ids only": ()} | {f"{name} only": (name,) for name in reads}
    return found | ({f"{' and '.join(reads)} only": tuple(reads)} if len(reads) > 1 else {})


def views(model: Any, history: History, item: int, hidden: Array | None = None) -> list[Answer]:
    """Score and rank of a film when the model reads ids only, one modality only, or all of them without ids.

    The unedited model ("as it is") comes first. A modality that the film lacks gets no view of its own.
    In every view but "ids only" the film's id is hidden, too: the model treats the film as unseen in training.
    Edges of a graph stay, and so do the memories of other nodes.

    Args:
        model: the model, with fixed weights.
        history: the user's history.
        item: item row of the film.
        hidden: item rows left out of the rankings; by default those of the history.

    Returns:
        The answers; empty for a model that reads no content.
    """
    reads = modalities(model)
    if not reads:
        return []
    out = history.items if hidden is None else hidden
    found = [Answer("as it is", *score_and_rank(scores_of(model, [history])[0], item, out))]
    for name, left in _views(reads).items():
        if not set(left) <= set(has(model, item)):
            continue
        unseen = bool(left)
        changes: dict[str, dict[int, Vector]] = {m: {-1: BLANK} for m in reads if m not in left}
        other = edited(model, changes, [item] if unseen else ())
        found.append(Answer(name, *score_and_rank(scores_of(other, [history])[0], item, out)))
    return found


def dominant_modality(answers: Sequence[Answer]) -> str:
    """The view of :func:`views` (``ids`` or one modality) whose score is nearest to the score with all inputs.

    ``"nobody"`` without any view.
    """
    whole = answers[0].score if answers else 0.0
    alone = {
        a.edit.removesuffix(" only"): abs(a.score - whole)
        for a in answers
        if a.edit.endswith(" only") and " and " not in a.edit
    }
    return min(alone, key=lambda k: alone[k]) if alone else "nobody"


def verdict(model: Any, user: int, item: int, seen: Array) -> dict[str, float | None]:
    """Prediction for a film and a user of the training data.

    Returns:
        ``stars`` (``None`` unless the model predicts ratings), ``score``, and ``place``: the rank among all films
        except the ``seen`` item rows.
    """
    scores = model.score_all(Query(np.array([user])))[0].double().numpy()
    score, place = score_and_rank(scores, item, seen)
    rates = any(h.kind == "rating" for h in model.scorer_heads())
    stars = float(model.score(np.array([user]), np.array([item]))[0, 0]) if rates else None
    return {"stars": stars, "score": score, "place": place}


def as_evaluated(model: Any, dataset: Dataset, split: Split, known: str = "training") -> Any:
    """The model in the state in which evaluation (regime ``frozen``) queries it.

    If it knows training and validation rows and is a streaming model, the result is a copy that has observed the
    validation rows. The given model is not changed.
    """
    if known == "training" or not model.streams or not len(split.validation):
        return model
    other, rows = edited(model, {}), split.validation
    time_s = dataset.interactions.time
    other.observe(
        dataset.interactions.take(rows if time_s is None else rows[np.argsort(np.asarray(time_s)[rows], kind="stable")])
    )
    return other


def inside(model: Any, user: int, item: int) -> Any:
    """Attribution of a user's score for a film (:class:`mmrec_core.models._attribution.PairAttribution`).

    ``None`` for models that offer none.
    """
    look = getattr(model, "inside", None)
    return None if look is None else look(model.user_state(Query(np.array([user]))), item)
