"""Error analysis: test rows of a result in slices, metrics for each slice, and the worst rows of a slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mmrec_core import features
from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import Row
from mmrec_core.data.splits import known_rows
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.evaluation.subgroups import row_groups, user_groups
from mmrec_core.spaces import neighbours, overlap
from mmrec_core.stats import clustered_interval, error_intervals, wilson
from mmrec_core.types import Array, Dataset, Split

TOP = 10
BURST = 0.9
"""A user with at least this share of ratings on one day counts as a burst rater."""
FEW_VALUES = 24
Sort = Literal["largest error", "missed films", "largest difference", "outliers", "random"]
SORTS: dict[str, str] = {
    "largest error": "Rows whose prediction is furthest from the rating.",
    "missed films": "Relevant test films that are not in the top 10, the most rated first.",
    "largest difference": "Where one of the two models, either of them, is furthest ahead of the other: by absolute "
    "error, or by reciprocal rank of relevant films.",
    "outliers": "Ratings furthest from the film's mean rating in training.",
    "random": "A random sample; the same seed gives the same sample.",
}


@dataclass(frozen=True)
class EvaluatedRows:
    """Test rows of one result, with the model's predictions and ranks."""

    rows: Array
    """Event rows ``[N]``."""
    user: Array
    item: Array
    rating: Array | None
    liked: Array
    """bool ``[N]``."""
    predicted: Array | None
    """Predicted stars ``[N]``; ``None`` unless the model predicts ratings."""
    place: Array | None
    """int64 ``[N]``: rank of the film in its user's saved list, from 1; 0: not in the list; −1: the user has no list,
    because they liked no test film. ``None`` if no lists were saved."""

    @property
    def error(self) -> Array | None:
        """``predicted − rating``."""
        return None if self.predicted is None or self.rating is None else np.asarray(self.predicted - self.rating)


def evaluated_rows(dataset: Dataset, split: Split, row: Row) -> EvaluatedRows:
    """The test rows of a result, with the model's predictions and ranks."""
    rows = split.test
    events = dataset.interactions
    user, item = (
        np.asarray(events.need("user"))[rows].astype(np.int64),
        np.asarray(events.need("item"))[rows].astype(np.int64),
    )
    rating = None if events.rating is None else np.asarray(events.rating)[rows].astype(np.float64)
    relevance_threshold = row.key.relevant_from
    liked = np.ones(len(rows), bool) if relevance_threshold is None or rating is None else rating >= relevance_threshold
    predicted = place = None
    if (stored := comparison.arrays(row.run, "row_errors.npz")) is not None and "predicted" in stored:
        predicted = np.full(len(rows), np.nan)
        predicted[np.searchsorted(rows, stored["row"])] = stored["predicted"]
    if (stored := comparison.arrays(row.run, "first.npz")) is not None:
        n = len(dataset.items) + 1  # the last index stands for an empty position of a list
        shown = stored["user"].astype(np.int64)[:, None] * n + np.where(stored["items"] >= 0, stored["items"], n - 1)
        key, order = np.unique(shown.ravel(), return_index=True)
        targets = user * n + item
        at = np.minimum(np.searchsorted(key, targets), len(key) - 1)
        place = np.where(key[at] == targets, order[at] % stored["items"].shape[1] + 1, 0)
        place[~np.isin(user, stored["user"])] = -1
    return EvaluatedRows(rows, user, item, rating, liked, predicted, place)


# Slices


def slices(
    dataset: Dataset,
    split: Split,
    rows: Array,
    apart: Array | None = None,
    saved: Mapping[str, Array] | None = None,
    known: str = "training",
) -> dict[str, dict[str, Array]]:
    """Slices of the test rows: family → slice → mask ``[N]``. Empty slices are left out.

    Args:
        dataset: the dataset.
        split: the split of the result.
        rows: test rows ``[N]``.
        apart: disagreement between each film's plot and poster ``[I]``; see :func:`disagreement`.
        saved: item rows by name, selected on the map or by a filter.
        known: which rows the model knows; see :func:`mmrec_core.data.splits.known_rows`.
    """
    events = dataset.interactions
    user, item = np.asarray(events.need("user"))[rows], np.asarray(events.need("item"))[rows]
    found: dict[str, dict[str, Array]] = {"Everything": {"all test ratings": np.ones(len(rows), bool)}}
    learned = known_rows(split, known, dataset)
    starts = {
        "user by then": "User history length at test time",
        "film by then": "Number of ratings of the film at test time",
        "user training": "User history length in training",
        "film training": "Number of ratings of the film in training",
        "genre": "Genre",
        "decade": "Decade",
        "films without a": "Missing poster or plot",
        "tail": "Popular or rare films",
        "head": "Popular or rare films",
        "films without training": "Popular or rare films",
        "transductive": "Known or cold users and films",
        "inductive": "Known or cold users and films",
    }
    for name, mask in row_groups(dataset, split, rows, learned).items():
        when = "by then" if name.endswith("by then") else "training"
        name_of = f"{name.partition(' ')[0]} {when}" if name.startswith(("user with", "film with")) else name
        family = next(f for start, f in starts.items() if name_of.startswith(start))
        if family != "Genre" or mask.any():
            found.setdefault(family, {})[name] = mask
    people, at = np.unique(user, return_inverse=True)
    groups = user_groups(dataset, split, people, learned, dataset.manifest.get("relevant_from"))
    found["Mainstream or niche taste"] = {n: m[at] for n, m in groups.items() if n.startswith("taste")}
    if "time" in events.has:
        burst = burst_raters(dataset)[user]
        found["Rated on one day or over time"] = {"burst raters (nine tenths on one day)": burst, "others": ~burst}
    table = dataset.user_table
    for column in [] if table is None else table.columns:
        values = table[column].astype(str).to_numpy()[user]  # type: ignore[index]
        there = np.unique(values)
        if 1 < len(there) <= FEW_VALUES:
            found[f"User's {column}"] = {f"{column} {value}": values == value for value in there.tolist()}
    if apart is not None and np.isfinite(apart).any():
        bound = np.nanquantile(apart, 0.8)
        far = np.where(np.isfinite(apart), apart >= bound, False)
        found["Plot and poster"] = {
            "plot and poster disagree most": far[item],
            "they agree more": (np.isfinite(apart) & ~far)[item],
        }
    if events.rating is not None:
        stars = np.asarray(events.rating)[rows]
        found["Stars given"] = {f"{value:g} stars": stars == value for value in np.unique(stars).tolist()}
    for name, chosen in (saved or {}).items():
        found.setdefault("Saved on the map", {})[name] = np.isin(item, chosen)
    return {family: kept for family, masks in found.items() if (kept := {n: m for n, m in masks.items() if m.any()})}


def burst_raters(dataset: Dataset) -> Array:
    """bool ``[U]``: users with at least nine tenths of their ratings on one day."""
    events = dataset.interactions
    user, day = np.asarray(events.need("user")).astype(np.int64), np.asarray(events.need("time")) // 86_400
    pair, n = np.unique(np.stack([user, day], 1), axis=0, return_counts=True)
    most = np.zeros(len(dataset.users), np.int64)
    np.maximum.at(most, pair[:, 0], n)
    total = np.bincount(user, minlength=len(most))
    return np.asarray((total > 1) & (most >= BURST * total))


def disagreement(dataset: Dataset, encoder: str | None = None) -> Array | None:
    """Disagreement between plot and poster, float64 ``[I]``: 1 − Jaccard@15 of the nearest neighbours in both spaces.

    NaN for films that lack one of them; ``None`` if no encoder has encoded both.
    """
    encoder = encoder or features.default_encoder(dataset)
    if encoder is None:
        return None
    try:
        both = [features.load(dataset, encoder, "text"), features.load(dataset, encoder, "image")]
    except MMRecError:
        return None
    shared = np.intersect1d(both[0].items, both[1].items)
    if len(shared) < 32:
        return None
    near = [neighbours(own.dense[own.by_item(len(dataset.items))[shared]])[0] for own in both]
    found = np.full(len(dataset.items), np.nan)
    _, jaccard = overlap((shared, near[0]), (shared, near[1]))
    found[shared] = 1 - jaccard
    return found


# Metrics and cases


def measure(evaluated: EvaluatedRows, mask: Array) -> dict[str, Any]:
    """Metrics of a slice.

    Returns:
        ``n`` rows, ``people`` (users), ``likes``; and with 95 % intervals (clustered by user) ``rmse``, ``mae`` and
        ``found``, the share of liked films in the top 10.
    """
    out: dict[str, Any] = {
        "n": int(mask.sum()),
        "people": len(np.unique(evaluated.user[mask])),
        "likes": int((mask & evaluated.liked).sum()),
    }
    error = evaluated.error
    if error is not None:
        keep = mask & np.isfinite(error)
        if keep.any():
            spans = error_intervals(evaluated.user[keep], np.abs(error[keep]))
            out |= {
                "rmse": (float(np.sqrt((error[keep] ** 2).mean())), spans["rmse"]),
                "mae": (float(np.abs(error[keep]).mean()), spans["mae"]),
            }
    keep = mask & evaluated.liked
    if evaluated.place is not None and keep.any():
        hit = ((evaluated.place >= 1) & (evaluated.place <= TOP))[keep].astype(np.float64)
        share, n = float(hit.mean()), len(np.unique(evaluated.user[keep]))
        # if all or none were found, the clustered interval has no width; Wilson's interval over users has
        span = clustered_interval(evaluated.user[keep], hit) if 0 < share < 1 else wilson(share, n)
        out["found"] = (share, span)
    return out


def hits_beside_recall(evaluated: EvaluatedRows, row: Row) -> tuple[int, int, float] | None:
    """Liked test rows in a top 10, all liked test rows, and Recall@10 of the same result.

    The first two are pooled over all users; Recall@10 is the mean over users of each user's own share, so the two
    figures differ unless all users liked equally many films. ``None`` if the result has no lists or no Recall@10.
    """
    recall = row.result["metrics"].get(f"recall@{TOP}")
    if evaluated.place is None or recall is None or not evaluated.liked.any():
        return None
    hit = evaluated.liked & (evaluated.place >= 1) & (evaluated.place <= TOP)
    return int(hit.sum()), int(evaluated.liked.sum()), float(recall)


def worst(
    evaluated: EvaluatedRows,
    mask: Array,
    sort: str,
    n: int,
    dataset: Dataset,
    split: Split,
    other: EvaluatedRows | None = None,
    seed: int = 0,
) -> Array:
    """The worst cases of a slice, as indices into the test rows, the worst first.

    Args:
        evaluated: the test rows of a result.
        mask: the slice, bool ``[N]``.
        sort: one of :data:`SORTS`.
        n: how many cases.
        dataset: the dataset.
        split: the split of the result.
        other: the test rows of a second result, for "largest difference".
        seed: seed of a random sample.

    Raises:
        MMRecError: an unknown order, or one that this result does not support.
    """
    if sort not in SORTS:
        raise unknown_name("order", sort, list(SORTS))
    where = np.flatnonzero(mask)
    if sort == "random":
        return np.sort(np.random.default_rng(seed).permutation(where)[:n])
    if sort == "outliers":
        if evaluated.rating is None:
            raise MMRecError("This dataset has no ratings.")
        train = split.train
        item = np.asarray(dataset.interactions.need("item"))[train]
        stars = np.asarray(dataset.interactions.need("rating"))[train].astype(np.float64)
        count = np.bincount(item, minlength=len(dataset.items))
        mean = np.where(
            count > 0, np.bincount(item, stars, minlength=len(dataset.items)) / np.maximum(count, 1), np.nan
        )
        value = np.nan_to_num(np.abs(evaluated.rating - mean[evaluated.item]), nan=-1)
    elif sort == "missed films":
        if evaluated.place is None:
            raise MMRecError("This result has no saved lists; evaluate the run again.")
        count = np.bincount(np.asarray(dataset.interactions.need("item"))[split.train], minlength=len(dataset.items))
        missed = evaluated.liked & ~((evaluated.place >= 1) & (evaluated.place <= TOP))
        where = where[missed[where]]
        value = count[evaluated.item].astype(np.float64)
    elif sort == "largest error":
        if evaluated.error is None:
            raise MMRecError("This model does not predict ratings; use the order 'missed films'.")
        value = np.nan_to_num(np.abs(evaluated.error), nan=-1)
    else:
        value = np.abs(_difference(evaluated, other))
    return where[np.argsort(-value[where], kind="stable")][:n]


def _difference(evaluated: EvaluatedRows, other: EvaluatedRows | None) -> Array:
    """How much worse a model is than the other on each row, in absolute error or reciprocal rank of liked films.

    It is 0 where that cannot be said.
    """
    if other is None:
        raise MMRecError("Choose a second model to see where the two differ.")
    if evaluated.error is not None and other.error is not None:
        return np.asarray(np.nan_to_num(np.abs(evaluated.error) - np.abs(other.error), nan=0.0))
    if evaluated.place is None or other.place is None:
        raise MMRecError("One of these results has no saved lists; evaluate its run again.")
    own, theirs = (np.where(p.place > 0, 1 / np.maximum(p.place, 1), 0) for p in (evaluated, other))  # type: ignore[operator,arg-type]
    return np.asarray(np.where(evaluated.liked, theirs - own, 0.0))
