"""The right choice of a lesson's question, computed from the results on this machine.

Each function returns one of the choices that the lesson's file offers, or several joined by ``|``. So no lesson says
what a dataset does not show.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from mmrec_core import stats
from mmrec_core.analysis import lesson_results as results
from mmrec_core.analysis.lesson_results import SIGNIFICANT, NotApplicable
from mmrec_core.types import Dataset

ABOUT_SAME = 1.1
"""Ratios up to this one, either way, count as about the same."""


def models_with(dataset: Dataset, metric: str) -> str:
    """All default models that have a metric, by name: the choices of "which model is best?"."""
    return " | ".join(sorted(results.order(dataset, metric)))


def leaders(dataset: Dataset, metric: str) -> str:
    """The best model by a metric, and those that are not significantly worse (paired test over users)."""
    best = results.named(dataset, f"best:{metric}")
    others = [m for m in results.order(dataset, metric) if m != best]
    return " | ".join([best, *(m for m in others if not results.versus(dataset, best, m, metric).significant)])


def position(dataset: Dataset, model: str, metric: str) -> str:
    """In which third of the models one is: ``at the top``, ``in the middle``, ``near the bottom``."""
    order = results.order(dataset, metric)
    model = results.named(dataset, model)
    if model not in order:
        raise NotApplicable(f"{model} has no {metric.upper()} on {dataset.name}.")
    thirds = ("at the top", "in the middle", "near the bottom")
    return thirds[3 * order.index(model) // len(order)]


def rarity(dataset: Dataset, model: str) -> str:
    """Whether the novelty of a model's lists is nearer to that of popularity or of random lists."""
    own, popular, chance = (results.number(dataset, m, "novelty@10") for m in (model, "popularity", "random"))
    near_chance = abs(own - chance) < abs(own - popular)
    return "films that few users rated" if near_chance else "films that many users rated"


def better_by(dataset: Dataset, a: str, b: str, metric: str) -> str:
    """``no better``, ``up to twice as good`` or ``more than twice as good``."""
    found = results.versus(dataset, a, b, metric)
    if not found.significant or found.ahead != results.named(dataset, a):
        return "no better"
    one, other = results.number(dataset, a, metric), results.number(dataset, b, metric)
    return "more than twice as good" if one > 2 * other else "up to twice as good"


def inflated(dataset: Dataset, model: str, protocol: str, metric: str) -> str:
    """How a metric under a protocol compares with the full ranking."""
    other = results.evaluated(dataset, model, protocol, metric).value or 0.0
    own = results.number(dataset, model, metric)
    if other <= ABOUT_SAME * own:
        return "about the same" if ABOUT_SAME * other >= own else "lower"
    return "more than twice as high" if other > 2 * own else "up to twice as high"


def rescaled(dataset: Dataset, model: str) -> str:
    """Whether MRR with one negative is a function of AUC."""
    mrr, auc = (results.evaluated(dataset, model, "sampled:1", m).value or 0.0 for m in ("mrr", "auc"))
    return "a rescaled AUC" if abs(mrr - (1 + auc) / 2) < 1e-6 else "new information about the ranking"


def factor(dataset: Dataset, a: str, b: str, protocol: str, metric: str) -> str:
    """What a protocol does to the ratio of two models' metrics: ``it stays the same``, ``it shrinks``, ``it grows``."""
    found = results.every_evaluated(dataset, (a, b), ("full", protocol), metric)
    far = [abs(math.log(max(found[a, way], 1e-12) / max(found[b, way], 1e-12))) for way in ("full", protocol)]
    if abs(far[1] - far[0]) < math.log(1.05):
        return "it stays the same"
    return "it shrinks" if far[1] < far[0] else "it grows"


def moved(dataset: Dataset, model: str, before: str, after: str, metric: str) -> str:
    """Whether a model's metric is higher or lower under a second protocol: ``it gains``, ``it loses``."""
    found = results.every_evaluated(dataset, (model,), (before, after), metric)
    return "it gains" if found[model, after] > found[model, before] else "it loses"


def popular_share(dataset: Dataset, model: str) -> float:
    """How many of a model's ten films are among popularity's ten for the same user, on average."""
    (users, own), (others, popular) = (results.top_lists(dataset, name) for name in (model, "popularity"))
    _, at, there = np.intersect1d(users, others, return_indices=True)
    if not len(at):
        raise NotApplicable(f"{model} and popularity have no user in common on {dataset.name}.")
    shared = [len(np.intersect1d(a, b)) for a, b in zip(own[at], popular[there], strict=True)]
    return float(np.mean(shared))


def popular_part(dataset: Dataset, model: str) -> str:
    """How much of a model's list is also in the popularity list, in three bands."""
    found = popular_share(dataset, model)
    return "fewer than 2 of 10" if found < 2 else "2 to 6 of 10" if found <= 6 else "more than 6 of 10"


def gains_more(dataset: Dataset, a: str, b: str, metric: str) -> str:
    """Which users gain more from one model instead of another: mainstream or niche taste (independent groups)."""
    found = results.groups(dataset, a, b, metric)
    if not {"taste mainstream", "taste niche"} <= set(found):
        raise NotApplicable(f"{dataset.name} has no genres or too few users to tell mainstream from niche taste.")
    mainstream, niche = found["taste mainstream"], found["taste niche"]
    halves = [(g["interval"][1] - g["interval"][0]) / 2 / stats.Z for g in (mainstream, niche)]
    difference = niche["difference"] - mainstream["difference"]
    z = abs(difference) / max(math.hypot(*halves), 1e-12)
    if 2 * (1 - NormalDist().cdf(z)) >= SIGNIFICANT:
        return "no difference shown"
    return "users of niche taste" if difference > 0 else "users of mainstream taste"


def catalog_part(dataset: Dataset, model: str) -> str:
    """How much of the catalog a model recommends to anybody, in three bands."""
    found = results.number(dataset, model, "coverage@10")
    return "less than a tenth" if found < 0.1 else "a tenth to a half" if found <= 0.5 else "more than half"


def crossing_band(dataset: Dataset, model: str) -> str:
    """From how many ratings on a model is significantly better than popularity."""
    sure = results.curve(dataset, (model,))["crosses"][model]
    if sure is None or sure > 20:
        return "not within 20"
    return "1 or 2" if sure <= 2 else "3 to 5" if sure <= 5 else "6 to 20"


def order_kept(dataset: Dataset, a: str, b: str) -> str:
    """Whether the model that is better for known users also needs fewer ratings of a new user."""
    known = results.versus(dataset, a, b, "ndcg@10")
    if not known.significant:
        return "it cannot be told from these two"
    crosses = results.curve(dataset, (a, b))["crosses"]
    first, then = (math.inf if crosses[m] is None else crosses[m] for m in (known.ahead, known.behind))
    if first == then:
        return "it cannot be told from these two"
    return "yes" if first < then else "no"


def finder(dataset: Dataset, a: str, b: str, direction: str) -> str:
    """Which encoder finds more, by a paired test over films; else ``no difference shown``."""
    found = stats.paired(results.hits(dataset, a, direction), results.hits(dataset, b, direction))
    better = results.oriented(found, a, b)
    return better.ahead if better.significant else "no difference shown"


def agreement(dataset: Dataset, a: str, b: str, modality: str) -> str:
    """How many nearest neighbours two encoders share, in three bands of the fifteen."""
    same, k = results.shared(dataset, a, b, modality)
    found = float(np.mean(list(same.values()))) / k
    return "nearly all" if found > 0.8 else "hardly any" if found < 0.2 else "about half"


def agreement_by_view(dataset: Dataset, a: str, b: str) -> str:
    """Whether two encoders share more neighbours for plots than for posters, by a paired test over films."""
    plots, posters = (results.shared(dataset, a, b, modality)[0] for modality in ("text", "image"))
    found = results.oriented(stats.paired(plots, posters), "they agree more", "they agree less")
    if not found.significant:
        return "no difference shown"
    return found.ahead


CHOICES = (
    models_with,
    leaders,
    position,
    rarity,
    better_by,
    inflated,
    rescaled,
    factor,
    moved,
    popular_part,
    gains_more,
    catalog_part,
    crossing_band,
    order_kept,
    finder,
    agreement,
    agreement_by_view,
)
