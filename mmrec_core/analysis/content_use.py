"""Whether a model uses content: real vectors against controls, paired by user, in an ablation over ``content``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmrec_core import metrics
from mmrec_core.analysis import ablation
from mmrec_core.stats import holm, p_value, paired

IN_WORDS = {
    "shuffled": "shuffled vectors",
    "noise": "noise",
    "constant": "one constant vector",
    "none": "no vectors",
}
"""What an arm of ``content`` is called in a sentence."""


@dataclass(frozen=True)
class Comparison:
    """The real vectors against one control."""

    what: str
    """The other settings of both arms: ``features=text``; empty where nothing else is varied."""
    control: str
    difference: float
    """Metric with real vectors minus metric with the control; positive is better, whatever the metric."""
    interval: tuple[float, float]
    p: float
    """Holm's adjusted p-value over all comparisons of the ablation."""


def compare(study: Mapping[str, Any], metric: str | None = None) -> tuple[str, list[Comparison]]:
    """The main metric of an ablation, and its real vectors against each control that is finished.

    Args:
        study: an ablation over ``content``, as :func:`mmrec_core.analysis.ablation.load` gives it.
        metric: a metric with values by user; by default ndcg@10, or the squared error where ratings are predicted.

    Returns:
        The metric, and the comparisons; none if the ablation does not vary ``content``.
    """
    levels = {ablation.Arm(cell["arm"]).label: dict(cell["arm"]) for cell in study["cells"]}
    groups = [group for group in ablation.groups(study) if "content" in levels[group.label]]
    if not groups:
        return metric or "", []
    name = metric or ("squared_error" if groups[0].kind == "rating" else "ndcg@10")
    sign = -1.0 if name == "squared_error" or metrics.metric(name).better == "lower" else 1.0
    values = {group.label: ablation.values_by_user(group.rows).get(name, {}) for group in groups}
    found: list[tuple[str, str, dict[str, Any]]] = []
    for label in values:
        others = {k: v for k, v in levels[label].items() if k != "content"}
        control, real = levels[label]["content"], ablation.Arm({**levels[label], "content": "real"}).label
        if control == "real" or not values[label] or not values.get(real):
            continue
        what = ", ".join(f"{k}={v}" for k, v in others.items())
        found.append((what, control, paired(values[real], values[label])))
    adjusted = holm([pair["p"] for _, _, pair in found])
    return name, [
        Comparison(
            what,
            control,
            sign * pair["difference"],
            (min(sign * v for v in pair["interval"]), max(sign * v for v in pair["interval"])),
            p,
        )
        for (what, control, pair), p in zip(found, adjusted, strict=True)
    ]


def verdict(study: Mapping[str, Any], metric: str | None = None, alpha: float = 0.05) -> str:
    """One sentence per modality: whether content is used. Empty if the ablation does not vary ``content``.

    Content is used if the model is better on real vectors than on shuffled ones (or, where these were not tried, than
    on every control), at the level ``alpha`` after Holm's adjustment. A model may use content and still be better
    without any; the sentence says so.
    """
    name, found = compare(study, metric)
    sentences = []
    for what in dict.fromkeys(own.what for own in found):
        own = [c for c in found if c.what == what]
        decisive = [c for c in own if c.control == "shuffled"] or own
        used = all(c.p < alpha and c.difference > 0 for c in decisive)
        harmful = all(c.p < alpha and c.difference < 0 for c in decisive)
        subject = f"{study['model']} ({what})" if what else study["model"]
        without = any(c.p < alpha and c.difference < 0 for c in own if c.control == "none")
        says = "uses content" if used else "is worse with it" if harmful else "uses content: not shown"
        says += ", but is better without any" if used and without else ""
        parts = [
            f"{_signed(c.difference)} [{_signed(c.interval[0])}, {_signed(c.interval[1])}] over "
            f"{IN_WORDS.get(c.control, c.control)} ({p_value(c.p)})"
            for c in own
        ]
        sentences.append(f"{subject} {says}: {_label(name)} {'; '.join(parts)}.")
    return " ".join(sentences)


def _label(name: str) -> str:
    return "lower squared error" if name == "squared_error" else name


def _signed(value: float) -> str:
    return f"{value:+.4f}"
