"""Values in the text of lessons: ``{value ease ndcg@10}`` is replaced by the result on this machine.

Each fact is a function below. It is called by name with a dataset and the words after the name. It returns text, or
raises :class:`Missing` with the runs that are needed first.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmrec_core import features, metrics, runs, spaces
from mmrec_core.analysis import comparison, protocol_sensitivity
from mmrec_core.analysis.comparison import Row
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.stats import paired
from mmrec_core.types import Dataset

HOLE = re.compile(r"\{([a-z_]+)((?: [^\s{}]+)*)\}")
Wanted = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class FilledText:
    """A text with its values filled in, or the runs that are missing for them."""

    text: str
    wanted: tuple[Wanted, ...] = field(default=())
    """Kinds and parameters of the runs that compute the missing values."""


class Missing(Exception):
    """Raised for a fact that needs a run first."""

    def __init__(self, *wanted: Wanted) -> None:
        super().__init__("a run is needed first")
        self.wanted = wanted


def fill(text: str, dataset: Dataset) -> FilledText:
    """Fill in the values of a text; a value that is not available yet is "…", and the runs it needs are listed.

    Raises:
        MMRecError: an unknown fact, or one with the wrong number of words.
    """
    wanted: list[Wanted] = []

    def one(found: re.Match[str]) -> str:
        try:
            return fact(found[1], found[2].split(), dataset)
        except Missing as missing:
            wanted.extend(w for w in missing.wanted if w not in wanted)
            return "…"

    return FilledText(HOLE.sub(one, text), tuple(wanted))


def fact(name: str, words: Sequence[str], dataset: Dataset) -> str:
    """The text of one fact.

    Raises:
        MMRecError: unknown, or the wrong number of words.
        Missing: it needs a run first.
    """
    if name not in FACTS:
        raise unknown_name("fact", name, sorted(FACTS))
    takes = list(inspect.signature(FACTS[name]).parameters)[1:]
    if len(words) != len(takes):
        raise MMRecError(f"{{{name}}} takes {' '.join(takes) or 'nothing'}, not '{' '.join(words)}'.")
    return str(FACTS[name](dataset, *words))


# Shared by several facts


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
    found = usual_rows(dataset).get(model)
    if found is None or "optimistic" not in found.result:  # older results lack values that lessons use
        if model.startswith("oracle"):
            raise Missing(("evaluate", runs.oracle_params(dataset.name, model)))
        raise Missing(("train", runs.training_params(dataset.name, model)))
    return found


def _evaluated(dataset: Dataset, model: str, protocol: str, metric: str) -> protocol_sensitivity.Cell:
    own = row(dataset, model)
    way = protocol_sensitivity.Way(protocol, protocol)
    cell = protocol_sensitivity.lab(dataset, comparison.rows(dataset), [own], metric, [way])[own.label][protocol]
    if cell.wanted is not None:
        raise Missing(cell.wanted)
    return cell


def _models(dataset: Dataset) -> dict[str, Row]:
    found = {n: r for n, r in usual_rows(dataset).items() if r.kind != "oracle" and n == r.model}
    lacking = [m for m in runs.SHOWN_FIRST if m in runs.usable_models(dataset) and m not in found]
    if lacking:
        raise Missing(*(("train", runs.training_params(dataset.name, m)) for m in lacking))
    return found


def _order(dataset: Dataset, metric: str) -> list[str]:
    sign = 1 if metrics.metric(metric).better == "lower" else -1
    able = {
        n: sign * r.result["metrics"][metric]
        for n, r in _models(dataset).items()
        if r.result["metrics"].get(metric) is not None
    }
    return sorted(able, key=lambda n: able[n])


# Facts


def value(dataset: Dataset, model: str, metric: str) -> str:
    """A metric with its interval."""
    return comparison.cell(row(dataset, model), metric)


def winner(dataset: Dataset, metric: str) -> str:
    """The best of the default models by a metric."""
    return _order(dataset, metric)[0]


def second(dataset: Dataset, metric: str) -> str:
    """The second best of the default models by a metric."""
    return _order(dataset, metric)[1]


def second_value(dataset: Dataset, metric: str) -> str:
    """The metric of the second best model."""
    return value(dataset, second(dataset, metric), metric)


def place(dataset: Dataset, model: str, metric: str) -> str:
    """The rank of a model among the default ones: ``4th of 8``."""
    order = _order(dataset, metric)
    at = order.index(model) + 1
    return f"{at}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(at, 'th') } of {len(order)}"


def winner_place(dataset: Dataset, by: str, metric: str) -> str:
    """The rank by one metric of the model that is best by another."""
    return place(dataset, winner(dataset, by), metric)


def winner_value(dataset: Dataset, by: str, metric: str) -> str:
    """The value of one metric for the model that is best by another."""
    return value(dataset, winner(dataset, by), metric)


def difference(dataset: Dataset, a: str, b: str, metric: str) -> str:
    """Paired difference with its interval and p."""
    result = paired(comparison.values(row(dataset, a))[metric], comparison.values(row(dataset, b))[metric])
    low, high = result["interval"]
    return f"{result['difference']:+.4f} [{low:+.4f}, {high:+.4f}], p = {result['p']:.4f}"


def evaluated(dataset: Dataset, model: str, protocol: str, metric: str) -> str:
    """A metric under another protocol."""
    cell = _evaluated(dataset, model, protocol, metric)
    return comparison.figure(cell.value, cell.interval)


def identity(dataset: Dataset, model: str) -> str:
    """MRR and (1 + AUC) / 2 with one sampled negative; they are equal."""
    mrr, auc = (_evaluated(dataset, model, "sampled:1", m).value for m in ("mrr", "auc"))
    return f"MRR {mrr:.6f}, (1 + AUC) / 2 = {(1 + (auc or 0)) / 2:.6f}"


def gap(dataset: Dataset, a: str, b: str, protocol: str, metric: str) -> str:
    """The ratio of two models' metrics under a protocol."""
    one, other = (_evaluated(dataset, m, protocol, metric).value for m in (a, b))
    return f"{(one or 0) / (other or 1):.2f} times"


def group(dataset: Dataset, model: str, metric: str, name: str) -> str:
    """A metric in a group of users; spaces of its name are written ``_``."""
    values_ = row(dataset, model).result["groups"].get(name.replace("_", " "))
    if values_ is None or values_.get(metric) is None:
        return "–"
    return comparison.figure(values_[metric], (values_.get("intervals") or {}).get(metric))


def same_as_popular(dataset: Dataset, model: str) -> str:
    """Mean overlap of a model's top 10 with that of popularity."""
    lists = []
    for name in (model, "popularity"):
        stored = comparison.read_arrays(row(dataset, name).run, "first.npz")
        if stored is None:
            return "–"
        lists.append(stored["items"][:, :10])
    shared = [len(np.intersect1d(a, b)) for a, b in zip(*lists, strict=True)]
    return f"{np.mean(shared):.1f} of 10"


def crosses(dataset: Dataset, model: str) -> str:
    """The number of known ratings from which on a model is better than popularity for new users."""
    done = [
        r
        for r in runs.all_runs()
        if r.kind == "crossing"
        and r.record["status"] == "finished"
        and r.record.get("data") == dataset.checksum
        and model in r.params["models"]
    ]
    curve = done[-1].result() if done else None
    if curve is None:
        raise Missing(("crossing", runs.crossing_params(dataset.name, sorted({model, "ease", "itemknn", "bpr"}))))
    sure, mean = curve["crosses"][model], (curve.get("above") or {}).get(model)
    last = curve["models"][model][str(curve["ks"][-1])]["against"]
    low, high = last["interval"]
    gain = f"{last['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
    about = f"with {curve['ks'][-1]} ratings {gain} over {curve['users']} users"
    if sure is not None:
        return f"from {sure} on, significantly ({about})"
    return (f"by its mean from {mean} on, but nowhere significantly" if mean is not None else "nowhere") + f" ({about})"


def finds(dataset: Dataset, encoder: str, direction: str) -> str:
    """Recall@10 of retrieval of posters by plot (``text_to_image``) or the other way, with the chance level."""
    retrieval = _encoded(dataset, encoder).get("retrieval")
    if not retrieval:
        return "–"
    own = retrieval[direction]
    low, high = own["intervals"]["recall@10"]
    return f"{own['recall@10']:.3f} [{low:.3f}, {high:.3f}] (chance {retrieval['chance@10']:.3f})"


def agree(dataset: Dataset, a: str, b: str, modality: str) -> str:
    """Mean Jaccard overlap of the nearest neighbours under two encoders."""
    sides = []
    for name in (a, b):
        _encoded(dataset, name)
        own = features.load(dataset, name, modality)  # type: ignore[arg-type]
        near = spaces.neighbours(own.dense)[0]
        sides.append((own.items, own.items[near]))
    return f"{float(spaces.overlap(*sides)[1].mean()):.2f}"


def _encoded(dataset: Dataset, encoder: str) -> dict[str, Any]:
    manifest = features.available(dataset).get(encoder)
    if manifest is None:
        raise Missing(("encode", runs.encoding_params(dataset.name, encoder)))
    return dict(manifest)


FACTS = {
    f.__name__: f
    for f in (
        value,
        winner,
        second,
        second_value,
        place,
        winner_place,
        winner_value,
        difference,
        identity,
        gap,
        group,
        same_as_popular,
        crosses,
        finds,
        agree,
    )
} | {"judged": evaluated}  # the name in lesson files
