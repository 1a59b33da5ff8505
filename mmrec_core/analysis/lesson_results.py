"""What lessons read: results with default settings, paired differences, other protocols, vectors of encoders.

Models are named as runs are, or by rank: ``best:rmse`` and ``second:ndcg@10`` are the best and the second best of the
models with default settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmrec_core import features, metrics, runs, spaces, stats
from mmrec_core.analysis import comparison, protocol_sensitivity
from mmrec_core.analysis.comparison import Row
from mmrec_core.errors import MMRecError
from mmrec_core.features import nearest_neighbours
from mmrec_core.types import Array, Dataset

Wanted = tuple[str, dict[str, Any]]
SIGNIFICANT = 0.05
CURVE_MODELS = ("bpr", "ease", "itemknn")
"""Models of the cold-start curve that lessons ask for."""
RANKS = ("best", "second")


class Missing(Exception):
    """Raised for a fact that needs a run first."""

    def __init__(self, *wanted: Wanted) -> None:
        super().__init__("a run is needed first")
        self.wanted = wanted


class NotApplicable(MMRecError):
    """A question does not apply to this dataset."""


@dataclass(frozen=True)
class Versus:
    """Paired comparison of two results over the users of both; the first is the one with the better mean."""

    ahead: str
    behind: str
    gain: float
    """By how much the first is better, at least 0."""
    interval: tuple[float, float]
    """95 % bootstrap interval of :attr:`gain`."""
    p: float
    n: int
    """Number of users (or films) compared."""

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at the 5 % level."""
        return self.p < SIGNIFICANT and self.gain > 0


def usual_rows(dataset: Dataset) -> dict[str, Row]:
    """Results under the default key by description (the model's name if its settings are the defaults)."""
    found = comparison.rows(dataset)
    key = comparison.usual_key(dataset, found)
    return {r.description: r for r in found if r.key == key}


def row(dataset: Dataset, model: str) -> Row:
    """A model's result with default settings.

    Raises:
        Missing: it has not been trained.
    """
    model = named(dataset, model)
    found = usual_rows(dataset).get(model)
    if found is None or "optimistic" not in found.result:  # older results lack values that lessons use
        if model.startswith("oracle"):
            raise Missing(("evaluate", runs.oracle_params(dataset.name, model)))
        raise Missing(("train", runs.training_params(dataset.name, model)))
    return found


def named(dataset: Dataset, model: str) -> str:
    """The name of a model; ``best:METRIC`` and ``second:METRIC`` are looked up.

    Raises:
        NotApplicable: there are not so many models with this metric.
    """
    rank, _, metric = model.partition(":")
    if rank not in RANKS:
        return model
    found = order(dataset, metric)
    if len(found) <= RANKS.index(rank):
        raise NotApplicable(
            f"This question needs {RANKS.index(rank) + 1} models with {metric.upper()} on {dataset.name}; it has"
            f" {len(found)}. Choose a dataset with ratings to answer it."
        )
    return found[RANKS.index(rank)]


def order(dataset: Dataset, metric: str) -> list[str]:
    """Models with default settings that have a metric, the best first.

    Raises:
        Missing: a baseline model has not been trained.
    """
    found = {n: r for n, r in usual_rows(dataset).items() if r.kind != "oracle" and n == r.model}
    lacking = [m for m in runs.SHOWN_FIRST if m not in found]
    usable = runs.usable_models(dataset) if lacking else []
    if lacking := [m for m in lacking if m in usable]:
        raise Missing(*(("train", runs.training_params(dataset.name, m)) for m in lacking))
    sign = 1 if metrics.metric(metric).better == "lower" else -1
    able = {
        n: sign * r.result["metrics"][metric] for n, r in found.items() if r.result["metrics"].get(metric) is not None
    }
    return sorted(able, key=lambda n: able[n])


def number(dataset: Dataset, model: str, metric: str) -> float:
    """The value of a metric.

    Raises:
        Missing: the model has not been trained.
        NotApplicable: it has no such metric.
    """
    found = row(dataset, model).result["metrics"].get(metric)
    if found is None:
        raise NotApplicable(
            f"{named(dataset, model)} has no {metric.upper()} on {dataset.name}; this question needs it."
        )
    return float(found)


def versus(dataset: Dataset, a: str, b: str, metric: str) -> Versus:
    """Paired comparison of two models; of RMSE, the difference of the pooled values that are shown.

    Raises:
        Missing: a model has not been trained.
        NotApplicable: a model has no values per user.
    """
    one, other = row(dataset, a), row(dataset, b)
    if metric == "rmse":
        found = stats.paired_rmse(_squared_errors(one), _squared_errors(other))
    else:
        found = stats.paired(_per_user(one, metric), _per_user(other, metric))
    return oriented(found, named(dataset, a), named(dataset, b), metrics.metric(metric).better == "lower")


def oriented(found: dict[str, Any], a: str, b: str, lower: bool = False) -> Versus:
    """A paired difference ``a − b`` as :class:`Versus`: names and numbers are turned around together."""
    sign = -1.0 if lower else 1.0
    if sign * found["difference"] < 0:
        a, b, sign = b, a, -sign
    low, high = sorted(sign * end for end in found["interval"])
    return Versus(a, b, sign * found["difference"], (low, high), found["p"], found["users"])


def _per_user(own: Row, metric: str) -> dict[int, float]:
    found = comparison.values(own).get(metric)
    if found is None:
        raise NotApplicable(f"{own.label} has no values of {metric.upper()} per user; evaluate it again.")
    return found


def _squared_errors(own: Row) -> dict[int, tuple[float, int]]:
    """Sum of squared errors and number of test rows by user."""
    stored = comparison.read_arrays(own.run, "row_errors.npz")
    if stored is None:
        raise NotApplicable(f"{own.label} predicts no ratings, so it has no RMSE to compare.")
    users, at = np.unique(stored["user"], return_inverse=True)
    sums = np.bincount(at, stored["squared_error"])
    return dict(zip(users.tolist(), zip(sums.tolist(), np.bincount(at).tolist(), strict=True), strict=True))


def evaluated(dataset: Dataset, model: str, protocol: str, metric: str) -> protocol_sensitivity.Cell:
    """A metric under another protocol.

    Raises:
        Missing: it has not been evaluated in this way.
    """
    own = row(dataset, model)
    way = protocol_sensitivity.Way(protocol, protocol)
    cell = protocol_sensitivity.lab(dataset, comparison.rows(dataset), [own], metric, [way])[own.label][protocol]
    if cell.wanted is not None:
        raise Missing(cell.wanted)
    if cell.value is None:
        raise NotApplicable(cell.why_not or f"{own.label} has no {metric.upper()} under {protocol}.")
    return cell


def every_evaluated(
    dataset: Dataset, models: Sequence[str], protocols: Sequence[str], metric: str
) -> dict[tuple[str, str], float]:
    """A metric of several models under several protocols, by model and protocol.

    Raises:
        Missing: with all runs that are needed, not only the first.
    """
    found, wanted = {}, []
    for model in models:
        for protocol in protocols:
            try:
                found[model, protocol] = evaluated(dataset, model, protocol, metric).value or 0.0
            except Missing as missing:
                wanted += [w for w in missing.wanted if w not in wanted]
    if wanted:
        raise Missing(*wanted)
    return found


def top_lists(dataset: Dataset, model: str) -> tuple[Array, Array]:
    """Users ``[U]`` and their first ten recommended items ``[U, 10]``."""
    stored = comparison.read_arrays(row(dataset, model).run, "first.npz")
    if stored is None:
        raise NotApplicable(f"{named(dataset, model)} has no recommendation lists; evaluate it again.")
    return stored["user"], stored["items"][:, :10]


def groups(dataset: Dataset, a: str, b: str, metric: str) -> dict[str, dict[str, Any]]:
    """Paired difference ``a − b`` by group of users (:func:`mmrec_core.analysis.paired.pair`)."""
    from mmrec_core.analysis import paired

    found = paired.pair(dataset, row(dataset, a), row(dataset, b), metric)
    return {group["group"]: group for group in found.groups}


def curve(dataset: Dataset, models: Sequence[str] = CURVE_MODELS) -> dict[str, Any]:
    """The newest cold-start curve that holds these models.

    Raises:
        Missing: there is none.
    """
    for run in reversed(runs.all_runs()):
        if (
            run.kind == "crossing"
            and run.record["status"] == "finished"
            and run.record.get("data") == dataset.checksum
            and set(models) <= set(run.params["models"])
            and (found := run.result()) is not None
        ):
            return dict(found)
    raise Missing(("crossing", runs.crossing_params(dataset.name, sorted({*CURVE_MODELS, *models}))))


def encoded(dataset: Dataset, encoder: str) -> dict[str, Any]:
    """The manifest of an encoder's vectors.

    Raises:
        Missing: the dataset has not been encoded with it.
    """
    manifest = features.available(dataset).get(encoder)
    if manifest is None:
        raise Missing(("encode", runs.encoding_params(dataset.name, encoder)))
    return dict(manifest)


def hits(dataset: Dataset, encoder: str, direction: str) -> dict[int, float]:
    """Whether a film's poster is among the ten nearest to its plot (``text_to_image``), or the other way round.

    Returns:
        Item row → 1 or 0 (a fraction where cosines tie), over the films that have both.
    """
    encoded(dataset, encoder)
    text, image = (features.load(dataset, encoder, m) for m in ("text", "image"))
    rows = np.intersect1d(text.items, image.items)
    queries, among = features.paired((text.items, text.dense), (image.items, image.dense))
    if direction == "image_to_text":
        queries, among = among, queries
    found = nearest_neighbours.hits(queries, among, (10,))[:, 0]
    return dict(zip(rows.tolist(), found.tolist(), strict=True))


def near(dataset: Dataset, encoder: str, modality: str) -> tuple[Array, Array]:
    """Item rows ``[N]`` and the item rows of their nearest neighbours ``[N, k]`` in an encoder's own space."""
    encoded(dataset, encoder)
    own = features.load(dataset, encoder, modality)
    return own.items, own.items[spaces.neighbours(own.dense)[0]]


def shared(dataset: Dataset, a: str, b: str, modality: str) -> tuple[dict[int, float], int]:
    """Shared nearest neighbours under two encoders by item row, and the number of neighbours compared."""
    one, other = near(dataset, a, modality), near(dataset, b, modality)
    rows, same = spaces.shared_neighbours(one, other)
    return dict(zip(rows.tolist(), same.astype(float).tolist(), strict=True)), min(one[1].shape[1], other[1].shape[1])
