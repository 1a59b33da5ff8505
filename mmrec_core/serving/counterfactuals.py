"""What a model would say if something had been otherwise: exact, by asking it again on edited input with its weights fixed.

A *rating* that is taken out or changed edits the history, which is folded in again; both sides of a comparison are folded in, so that what
changes is the edit alone. A *plot or poster* that is blanked, swapped or rewritten edits the model's own table of vectors: :func:`edited` gives the
model that a loader would give had the file held other vectors. None of it is what retraining would give; ``docs/counterfactuals.md`` measures how far
apart the two lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Dataset, Field, History, Query, Split

BLANK = "blank"
Vector = Array | int | str
"""What a film's vector becomes: one of its own ``[W]``, that of another film (its item row), or :data:`BLANK`."""
VIEWS: dict[str, tuple[tuple[str, ...], bool]] = {
    "ids only": (("text", "image"), False),
    "text only": (("image",), True),
    "image only": (("text",), True),
    "text and image only": ((), True),
}
"""Which modalities of all films are blanked, and whether the film in question is one that nobody has met."""


@dataclass(frozen=True)
class Answer:
    """How one film fares with one model under one edit."""

    edit: str
    score: float
    rank: float
    """Among all films that may be recommended, 1 the best; equal scores share the middle of their places."""


def modalities(model: Any) -> tuple[str, ...]:
    """Which of text and image a model reads."""
    return tuple(f.name for f in model.side if f.kind == "vector" and f.owner == "item")


def has(model: Any, item: int) -> tuple[str, ...]:
    """Which of the modalities that a model reads a film has: one without a poster has no ``image``."""
    return tuple(f.name for f in model.side if f.kind == "vector" and f.owner == "item" and f.place[item] >= 0)


def edited(model: Any, changes: Mapping[str, Mapping[int, Vector]], unmet: Sequence[int] = ()) -> Any:
    """The same weights over other vectors of plots and posters.

    Args:
        model: any model; those that read no content only take ``unmet``.
        changes: modality → item row → what its vector becomes; row −1 stands for every film.
        unmet: item rows to be treated as films that training never met.

    Raises:
        MMRecError: the model does not read the modality, or a vector has another width.
    """
    side = tuple(
        _with(f, changes.get(f.name, {})) if f.owner == "item" and f.kind == "vector" else f for f in model.side
    )
    if lacking := set(changes) - set(modalities(model)):
        raise MMRecError(f"'{model.name}' does not read {', '.join(sorted(lacking))}.")
    other = type(model)(model.config, model.schema, side, model.seed)
    for name in ("name", "users", "items", "catalog_checksum", "spaces"):
        setattr(other, name, getattr(model, name))
    other.restore(model.snapshot())
    if len(unmet):
        other.mark_unseen(np.asarray(unmet))
    other.eval()
    return other


def _with(field: Field, changes: Mapping[int, Vector]) -> Field:
    """A field of vectors with some rows' vectors changed; the table itself is left as it is, new vectors come after it."""
    if not changes:
        return field
    place = field.place.copy()
    new: list[Array] = []
    for row, wanted in changes.items():
        at = slice(None) if row < 0 else row
        if isinstance(wanted, str):
            if wanted != BLANK:
                raise MMRecError(f"'{wanted}' is no vector; expected numbers, another film's row, or '{BLANK}'.")
            place[at] = -1
        elif isinstance(wanted, (int, np.integer)):
            place[at] = field.place[int(wanted)]
        else:
            own = np.asarray(wanted)
            if own.shape != (field.width,):
                raise MMRecError(f"A vector of {field.name} has {field.width} numbers here, not {own.shape}.")
            place[at] = len(field.data) + len(new)
            new.append(own.astype(field.data.dtype))
    data = np.concatenate([field.data, np.stack(new)]) if new else field.data
    return replace(field, data=data, place=place)


def without(told: History, at: int) -> History:
    """A history without its rating number ``at``."""
    keep = np.delete(np.arange(len(told)), at)
    ratings, times = (None if column is None else column[keep] for column in (told.ratings, told.times))
    return History(told.items[keep], ratings, times)


def with_rating(told: History, at: int, stars: float) -> History:
    """A history in which rating number ``at`` is another.

    Raises:
        MMRecError: the history bears no ratings.
    """
    if told.ratings is None:
        raise MMRecError("These data bear no ratings, so there are no stars to change.")
    ratings = np.array(told.ratings)
    ratings[at] = stars
    return History(told.items, ratings, told.times)


def swapped(told: History, at: int) -> History:
    """A history in which event ``at`` and the one after it came the other way round; the moments stay, what happened in them changes places.

    Raises:
        MMRecError: none comes after it.
    """
    if not 0 <= at < len(told) - 1:
        raise MMRecError("Nothing comes after the last event, so it cannot change places with it.")
    order = np.arange(len(told))
    order[[at, at + 1]] = at + 1, at
    return History(told.items[order], None if told.ratings is None else told.ratings[order], told.times)


def score_and_rank(scores: Array, item: int, hidden: Array) -> tuple[float, float]:
    """Score and place of a film among all but ``hidden`` item rows; the film itself always counts."""
    keep = np.ones(len(scores), bool)
    keep[hidden] = False
    keep[item] = True
    own, theirs = float(scores[item]), scores[keep]
    above, tied = int((theirs > own).sum()), int((theirs == own).sum())
    return own, above + (tied + 1) / 2


def scores_of(model: Any, histories: Sequence[History]) -> Array:
    """``[B, I]`` scores of every film for histories that are folded in."""
    found: Array = model.score_all(model.fold_in(histories)).double().numpy()
    return found


def history_edits(
    model: Any, told: History, item: int, edits: Mapping[str, History], hidden: Array | None = None
) -> list[Answer]:
    """How a film fares after each edit of the history, "as it is" first. Films of the unedited history (or the item rows ``hidden``) are left out of every
    ranking, so that places compare."""
    named = {"as it is": told, **edits}
    out = told.items if hidden is None else hidden
    scores = scores_of(model, [*named.values()])
    return [Answer(name, *score_and_rank(row, item, out)) for name, row in zip(named, scores, strict=True)]


def leave_one_out(model: Any, told: History, item: int) -> list[Answer]:
    """How a film fares without each rating in turn, "as it is" first."""
    return history_edits(model, told, item, {str(at): without(told, at) for at in range(len(told))})


def content_edits(
    model: Any,
    told: History,
    item: int,
    edits: Mapping[str, Mapping[str, Mapping[int, Vector]]],
    hidden: Array | None = None,
) -> list[Answer]:
    """How a film fares with other plots and posters, "as it is" first; ``hidden`` as in :func:`history_edits`."""
    out = told.items if hidden is None else hidden
    found = [Answer("as it is", *score_and_rank(scores_of(model, [told])[0], item, out))]
    for name, changes in edits.items():
        found.append(Answer(name, *score_and_rank(scores_of(edited(model, changes), [told])[0], item, out)))
    return found


def views(model: Any, told: History, item: int, hidden: Array | None = None) -> list[Answer]:
    """How a film fares when the model sees ids only, text only, image only, or both without ids; "as it is" first. What the film itself has not got, such
    as a poster, is not looked at alone.

    "Only" text or image means that the film's id is hidden, too: the model treats it as one that nobody has met. A graph's edges stay, and so does
    what others' memories have made of meeting it.
    """
    reads = modalities(model)
    if not reads:
        return []
    out = told.items if hidden is None else hidden
    found = [Answer("as it is", *score_and_rank(scores_of(model, [told])[0], item, out))]
    for name, (blanked, unmet) in VIEWS.items():
        left = set(reads) - set(blanked)
        if unmet and (not left or not left <= set(has(model, item))) or (not blanked and len(reads) < 2):
            continue
        changes: dict[str, dict[int, Vector]] = {m: {-1: BLANK} for m in blanked if m in reads}
        other = edited(model, changes, [item] if unmet else ())
        found.append(Answer(name, *score_and_rank(scores_of(other, [told])[0], item, out)))
    return found


def dominant_modality(answers: Sequence[Answer]) -> Literal["ids", "text", "image", "nobody"]:
    """Which of ids, text and image alone brings the film's score nearest to where it stands with all; of :func:`views`."""
    whole = answers[0].score if answers else 0.0
    alone = {
        a.edit.removesuffix(" only"): abs(a.score - whole)
        for a in answers
        if a.edit in ("ids only", "text only", "image only")
    }
    best: Any = min(alone, key=lambda k: alone[k]) if alone else "nobody"
    return best


def verdict(model: Any, user: int, item: int, seen: Array) -> dict[str, float | None]:
    """What a model says of a film to a user it learned from: ``stars`` (``None`` unless it predicts ratings), ``score`` and ``place`` among all films
    but ``seen`` item rows."""
    scores = model.score_all(Query(np.array([user])))[0].double().numpy()
    score, place = score_and_rank(scores, item, seen)
    rates = any(h.kind == "rating" for h in model.scorer_heads())
    stars = float(model.score(np.array([user]), np.array([item]))[0, 0]) if rates else None
    return {"stars": stars, "score": score, "place": place}


def as_evaluated(model: Any, dataset: Dataset, split: Split, known: str = "training") -> Any:
    """A model as evaluation (regime ``frozen``) asks it: where it knows training and validation rows, one that streams has observed the
    latter. The model itself is left as it is."""
    if known == "training" or not model.streams or not len(split.validation):
        return model
    other, rows = edited(model, {}), split.validation
    time_s = dataset.interactions.time
    other.observe(
        dataset.interactions.take(rows if time_s is None else rows[np.argsort(np.asarray(time_s)[rows], kind="stable")])
    )
    return other


def inside(model: Any, user: int, item: int) -> Any:
    """How a model's vectors meet for a user and a film (:class:`mmrec_core.models._attribution.Inside`); ``None`` for models in which none do."""
    look = getattr(model, "inside", None)
    return None if look is None else look(model.user_state(Query(np.array([user]))), item)
