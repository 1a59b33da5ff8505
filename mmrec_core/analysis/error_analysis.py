"""From a result to the cases behind it: test rows in slices, a figure for each slice, the worst rows of one."""

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
"""Share of somebody's ratings on one day from which they count as a burst rater."""
FEW_VALUES = 24
Sort = Literal["largest error", "missed likes", "largest difference", "most unlike others", "random"]
SORTS: dict[str, str] = {
    "largest error": "Where the prediction is furthest from the stars given.",
    "missed likes": "Films that were liked and are not among the first ten, the best known first.",
    "largest difference": "Where this model is most worse than the other: in stars off, or in one over the place of a film that was liked.",
    "most unlike others": "Ratings furthest from the film's mean in training: surprising people, not models.",
    "random": "Drawn with a seed, so that somebody else draws the same.",
}


@dataclass(frozen=True)
class EvaluatedRows:
    """One result's test rows."""

    rows: Array
    """Event rows ``[N]``."""
    user: Array
    item: Array
    rating: Array | None
    liked: Array
    """bool ``[N]``."""
    predicted: Array | None
    """Stars ``[N]``, for models that predict them."""
    place: Array | None
    """int64 ``[N]``: where the film stands among the first of its user's list, from 1; 0: not among them; −1: no list was kept, for nothing
    held out was liked. ``None`` where no lists were kept at all."""

    @property
    def error(self) -> Array | None:
        """``predicted − rating``."""
        return None if self.predicted is None or self.rating is None else np.asarray(self.predicted - self.rating)


def evaluated_rows(dataset: Dataset, split: Split, row: Row) -> EvaluatedRows:
    """A result's test rows with what its model said of each."""
    rows = split.test
    events = dataset.interactions
    user, item = (
        np.asarray(events.need("user"))[rows].astype(np.int64),
        np.asarray(events.need("item"))[rows].astype(np.int64),
    )
    rating = None if events.rating is None else np.asarray(events.rating)[rows].astype(np.float64)
    bar = row.key.relevant_from
    liked = np.ones(len(rows), bool) if bar is None or rating is None else rating >= bar
    predicted = place = None
    if (held := comparison.arrays(row.run, "row_errors.npz")) is not None and "predicted" in held:
        predicted = np.full(len(rows), np.nan)
        predicted[np.searchsorted(rows, held["row"])] = held["predicted"]
    if (held := comparison.arrays(row.run, "first.npz")) is not None:
        n = len(dataset.items) + 1  # one more stands for "nothing left to show"
        shown = held["user"].astype(np.int64)[:, None] * n + np.where(held["items"] >= 0, held["items"], n - 1)
        key, order = np.unique(shown.ravel(), return_index=True)
        wanted = user * n + item
        at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        place = np.where(key[at] == wanted, order[at] % held["items"].shape[1] + 1, 0)
        place[~np.isin(user, held["user"])] = -1
    return EvaluatedRows(rows, user, item, rating, liked, predicted, place)


# Slices


def slices(dataset: Dataset, split: Split, rows: Array, apart: Array | None = None, saved: Mapping[str, Array] | None = None,
           known: str = "training") -> dict[str, dict[str, Array]]:  # fmt: skip
    """Family → slice → mask over test rows ``[N]``; slices without a row are left out.

    Args:
        apart: how far each film's plot and poster disagree ``[I]``; see :func:`disagreement`.
        saved: item rows by name, chosen on the map or by a filter.
        known: which rows the model knows; see :func:`mmrec_core.data.splits.known_rows`.
    """
    events = dataset.interactions
    user, item = np.asarray(events.need("user"))[rows], np.asarray(events.need("item"))[rows]
    found: dict[str, dict[str, Array]] = {"Everything": {"all test ratings": np.ones(len(rows), bool)}}
    learned = known_rows(split, known, dataset)
    starts = {"user by then": "User history by then", "film by then": "Film ratings by then", "user training": "User history in training",
              "film training": "Film ratings in training", "genre": "Genre", "decade": "Decade",
              "films without a": "Missing poster or plot", "tail": "Popular or rare films", "head": "Popular or rare films",
              "films without training": "Popular or rare films", "transductive": "Known or new", "inductive": "Known or new"}  # fmt: skip
    for name, mask in row_groups(dataset, split, rows, learned).items():
        when = "by then" if name.endswith("by then") else "training"
        name_of = f"{name.partition(' ')[0]} {when}" if name.startswith(("user with", "film with")) else name
        family = next(f for start, f in starts.items() if name_of.startswith(start))
        if family != "Genre" or mask.any():
            found.setdefault(family, {})[name] = mask
    people, at = np.unique(user, return_inverse=True)
    groups = user_groups(dataset, split, people, learned, dataset.manifest.get("relevant_from"))
    found["Taste of the person"] = {n: m[at] for n, m in groups.items() if n.startswith("taste")}
    if "time" in events.has:
        burst = burst_raters(dataset)[user]
        found["How they rated"] = {"burst raters (nine tenths on one day)": burst, "others": ~burst}
    table = dataset.user_table
    for column in [] if table is None else table.columns:
        values = table[column].astype(str).to_numpy()[user]  # type: ignore[index]
        there = np.unique(values)
        if 1 < len(there) <= FEW_VALUES:
            found[f"Person's {column}"] = {f"{column} {value}": values == value for value in there.tolist()}
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
    return {family: held for family, masks in found.items() if (held := {n: m for n, m in masks.items() if m.any()})}


def burst_raters(dataset: Dataset) -> Array:
    """bool ``[U]``: who gave at least nine tenths of their ratings on one day."""
    events = dataset.interactions
    user, day = np.asarray(events.need("user")).astype(np.int64), np.asarray(events.need("time")) // 86_400
    pair, n = np.unique(np.stack([user, day], 1), axis=0, return_counts=True)
    most = np.zeros(len(dataset.users), np.int64)
    np.maximum.at(most, pair[:, 0], n)
    total = np.bincount(user, minlength=len(most))
    return np.asarray((total > 1) & (most >= BURST * total))


def disagreement(dataset: Dataset, encoder: str | None = None) -> Array | None:
    """float64 ``[I]``: 1 − the share of true neighbours (Jaccard@15) by plot that are neighbours by poster, too; NaN for films that lack one;
    ``None`` where nothing has encoded both."""
    encoder = encoder or features.usual(dataset)
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


# Figures and cases


def measure(told: EvaluatedRows, mask: Array) -> dict[str, Any]:
    """A slice's figures: ``n`` rows, ``people``, ``likes``, and with 95 % intervals (people as clusters) ``rmse``, ``mae`` and ``found``, the share of liked
    films that stand among the first ten."""
    out: dict[str, Any] = {
        "n": int(mask.sum()),
        "people": len(np.unique(told.user[mask])),
        "likes": int((mask & told.liked).sum()),
    }
    error = told.error
    if error is not None:
        keep = mask & np.isfinite(error)
        if keep.any():
            spans = error_intervals(told.user[keep], np.abs(error[keep]))
            out |= {
                "rmse": (float(np.sqrt((error[keep] ** 2).mean())), spans["rmse"]),
                "mae": (float(np.abs(error[keep]).mean()), spans["mae"]),
            }
    keep = mask & told.liked
    if told.place is not None and keep.any():
        hit = ((told.place >= 1) & (told.place <= TOP))[keep].astype(np.float64)
        share, n = float(hit.mean()), len(np.unique(told.user[keep]))
        # where all were found, or none, the usual interval is a point; Wilson's over people is not
        span = clustered_interval(told.user[keep], hit) if 0 < share < 1 else wilson(share, n)
        out["found"] = (share, span)
    return out


def worst(
    told: EvaluatedRows,
    mask: Array,
    sort: str,
    n: int,
    dataset: Dataset,
    split: Split,
    other: EvaluatedRows | None = None,
    seed: int = 0,
) -> Array:
    """Places (into the test rows) of the cases of a slice, the worst first.

    Raises:
        MMRecError: an unknown order, or one that this result cannot give.
    """
    if sort not in SORTS:
        raise unknown_name("order", sort, list(SORTS))
    where = np.flatnonzero(mask)
    if sort == "random":
        return np.sort(np.random.default_rng(seed).permutation(where)[:n])
    if sort == "most unlike others":
        if told.rating is None:
            raise MMRecError("These data bear no ratings.")
        train = split.train
        item = np.asarray(dataset.interactions.need("item"))[train]
        stars = np.asarray(dataset.interactions.need("rating"))[train].astype(np.float64)
        count = np.bincount(item, minlength=len(dataset.items))
        mean = np.where(
            count > 0, np.bincount(item, stars, minlength=len(dataset.items)) / np.maximum(count, 1), np.nan
        )
        value = np.nan_to_num(np.abs(told.rating - mean[told.item]), nan=-1)
    elif sort == "missed likes":
        if told.place is None:
            raise MMRecError("This result kept no lists; judge the run again.")
        count = np.bincount(np.asarray(dataset.interactions.need("item"))[split.train], minlength=len(dataset.items))
        missed = told.liked & ~((told.place >= 1) & (told.place <= TOP))
        where = where[missed[where]]
        value = count[told.item].astype(np.float64)
    elif sort == "largest error":
        if told.error is None:
            raise MMRecError("This model predicts no stars; look at missed likes.")
        value = np.nan_to_num(np.abs(told.error), nan=-1)
    else:
        value = _difference(told, other)
    return where[np.argsort(-value[where], kind="stable")][:n]


def _difference(told: EvaluatedRows, other: EvaluatedRows | None) -> Array:
    """How much worse one model does on a row than another: in absolute error, else in reciprocal place of what was liked."""
    if other is None:
        raise MMRecError("Choose a second model to see where the two differ.")
    if told.error is not None and other.error is not None:
        return np.asarray(np.nan_to_num(np.abs(told.error) - np.abs(other.error), nan=-9))
    if told.place is None or other.place is None:
        raise MMRecError("One of these results kept no lists; judge its run again.")
    own, theirs = (np.where(p.place > 0, 1 / np.maximum(p.place, 1), 0) for p in (told, other))  # type: ignore[operator,arg-type]
    return np.asarray(np.where(told.liked, theirs - own, -9))
