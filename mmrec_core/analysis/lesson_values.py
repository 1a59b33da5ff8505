"""Values in the text of lessons: ``{value ease ndcg@10}`` is replaced by the result on this machine.

Each fact is a function below. It is called by name with a dataset and the words after the name. It returns text, or
raises :class:`~mmrec_core.analysis.lesson_results.Missing` with the runs that are needed first. Facts that return the
right choice of a question are in :mod:`mmrec_core.analysis.lesson_choices`.

A model is a model's name, ``best:METRIC`` or ``second:METRIC``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmrec_core.analysis import comparison, lesson_choices
from mmrec_core.analysis import lesson_results as results
from mmrec_core.analysis.lesson_results import Missing, NotApplicable, Versus, Wanted, usual_rows
from mmrec_core.analysis.lessons import Step
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.stats import p_value, paired
from mmrec_core.types import Dataset

__all__ = ["FACTS", "HOLE", "FilledStep", "FilledText", "Missing", "Wanted", "fact", "fill", "fill_step", "usual_rows"]

HOLE = re.compile(r"\{([a-z_]+)((?: [^\s{}]+)*)\}")
CASE = re.compile(r"\[([^\]\n]+)\] (.*)")
"""A line of an answer that is shown only if the choice in brackets is right."""
FEEDBACK = re.compile(r"\[if ([^\]\n]+)\] (.*)")
"""A line of an answer that is shown only to those who chose what is in brackets."""
GAP = "…"


@dataclass(frozen=True)
class FilledText:
    """A text with its values filled in, or the runs that are missing for them."""

    text: str
    wanted: tuple[Wanted, ...] = field(default=())
    """Kinds and parameters of the runs that compute the missing values."""


@dataclass(frozen=True)
class FilledStep:
    """A question with its choices, right choices, answer and link for a dataset."""

    choices: tuple[str, ...]
    right: tuple[str, ...]
    """The choices that are right on this dataset; empty for a question of opinion."""
    question: str
    answer: str
    query: dict[str, str]
    wanted: tuple[Wanted, ...] = ()
    """Runs without which the question cannot be answered."""
    feedback: Mapping[str, str] = field(default_factory=dict)
    """Text for learners who chose a wrong choice, by choice."""
    fault: str = ""
    """Why the question does not apply to this dataset; empty if it does."""


def fill(text: str, dataset: Dataset) -> FilledText:
    """Fill in the values of a text; a value that is not available yet is "…", and the runs it needs are listed.

    Raises:
        MMRecError: an unknown fact, or one with the wrong number of words, or one that the dataset does not have.
    """
    wanted: list[Wanted] = []

    def one(found: re.Match[str]) -> str:
        try:
            return fact(found[1], found[2].split(), dataset)
        except Missing as missing:
            wanted.extend(w for w in missing.wanted if w not in wanted)
            return GAP

    return FilledText(HOLE.sub(one, text), tuple(wanted))


def fill_step(step: Step, dataset: Dataset) -> FilledStep:
    """Fill in a question: its choices, which of them are right here, its answer and its link.

    Raises:
        MMRecError: the lesson's file is wrong: an unknown fact, or a right answer that is no choice.
    """
    wanted: list[Wanted] = []

    def filled(text: str) -> str:
        own = fill(text, dataset)
        wanted.extend(w for w in own.wanted if w not in wanted)
        return own.text

    try:
        choices = split(filled(" | ".join(step.choices)))
        right = split(filled(step.right))
        question, answer = filled(step.question), filled(step.answer)
        query = {key: filled(value) for key, value in step.query.items()}
    except NotApplicable as error:
        return FilledStep(step.choices, (), HOLE.sub(GAP, step.question), "", {}, fault=str(error))
    if not wanted and (wrong := [r for r in right if r not in choices]):
        raise MMRecError(f"'{step.question}' has the right answer '{wrong[0]}', which is no choice: {choices}.")
    feedback = {found[1]: found[2] for line in answer.splitlines() if (found := FEEDBACK.fullmatch(line))}
    if not wanted and (odd := [choice for choice in feedback if choice not in choices]):
        raise MMRecError(f"'{step.question}' has a line for those who chose '{odd[0]}', which is no choice: {choices}.")
    answer = "\n".join(line for line in answer.splitlines() if FEEDBACK.fullmatch(line) is None)
    return FilledStep(choices, right, question, _cases(answer, choices, right), query, tuple(wanted), feedback)


def split(text: str) -> tuple[str, ...]:
    """The parts of ``a | b``, in order, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split("|") if part.strip()))


def _cases(answer: str, choices: Sequence[str], right: Sequence[str]) -> str:
    """The lines of an answer that hold on this dataset."""
    lines = []
    for line in answer.splitlines():
        found = CASE.fullmatch(line)
        if found is None or found[1] not in choices:
            lines.append(line)
        elif found[1] in right:
            lines.append(found[2])
    return "\n".join(lines)


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


# In words


def in_words(found: Versus, what: str, lower: bool = False, digits: int = 4, of: str = "users") -> str:
    """A paired difference as a clause that names the better one and its gain, both from the same numbers."""
    size = f"{found.gain:.{digits}f} [{found.interval[0]:.{digits}f}, {found.interval[1]:.{digits}f}]"
    if found.ahead == found.behind:
        return f"both are **{found.ahead}**, so there is nothing to compare"
    sure = f"{p_value(found.p)}, paired over {found.n:,} {of}"
    if found.gain == 0:
        return f"**{found.ahead}** and **{found.behind}** have the same {what} ({sure})"
    if not found.significant and found.gain < 0.5 * 10**-digits:
        return f"the {what} of **{found.ahead}** and **{found.behind}** differ by less than {10**-digits:g} ({sure})"
    side = "lower" if lower else "higher"
    clause = f"the {what} of **{found.ahead}** is {side} than that of **{found.behind}** by {size}"
    return f"{clause} ({'' if found.significant else 'not significant: '}{sure})"


# Facts


def value(dataset: Dataset, model: str, metric: str) -> str:
    """A metric with its interval."""
    results.number(dataset, model, metric)
    return comparison.cell(results.row(dataset, model), metric)


def name(dataset: Dataset, model: str) -> str:
    """The name of a model that is given by its rank: ``best:rmse``."""
    return results.named(dataset, model)


def winner(dataset: Dataset, metric: str) -> str:
    """The best of the default models by a metric."""
    return results.named(dataset, f"best:{metric}")


def second(dataset: Dataset, metric: str) -> str:
    """The second best of the default models by a metric."""
    return results.named(dataset, f"second:{metric}")


def place(dataset: Dataset, model: str, metric: str) -> str:
    """The rank of a model among the default ones: ``4th of 8``."""
    order = results.order(dataset, metric)
    model = results.named(dataset, model)
    if model not in order:
        raise NotApplicable(f"{model} has no {metric.upper()} on {dataset.name}.")
    at = order.index(model) + 1
    suffix = "th" if at % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(at % 10, "th")
    return f"{at}{suffix} of {len(order)}"


def versus(dataset: Dataset, a: str, b: str, metric: str) -> str:
    """Paired difference of two models: which is better, by how much, interval and p."""
    if metric == "rmse":
        return in_words(results.versus(dataset, a, b, metric), "RMSE", lower=True)
    return in_words(results.versus(dataset, a, b, metric), metric.upper())


def times(dataset: Dataset, a: str, b: str, metric: str) -> str:
    """The ratio of two models' metrics: ``1.8 times``."""
    return _times(results.number(dataset, a, metric), results.number(dataset, b, metric))


def judged(dataset: Dataset, model: str, protocol: str, metric: str) -> str:
    """A metric under another protocol."""
    cell = results.evaluated(dataset, model, protocol, metric)
    return comparison.figure(cell.value, cell.interval)


def identity(dataset: Dataset, model: str) -> str:
    """MRR and (1 + AUC) / 2 with one sampled negative; they are equal."""
    mrr, auc = (results.evaluated(dataset, model, "sampled:1", m).value or 0.0 for m in ("mrr", "auc"))
    return f"MRR is {mrr:.6f} and (1 + AUC) / 2 is {(1 + auc) / 2:.6f}"


def gap(dataset: Dataset, a: str, b: str, protocol: str, metric: str) -> str:
    """The ratio of two models' metrics under a protocol."""
    found = results.every_evaluated(dataset, (a, b), (protocol,), metric)
    return _times(found[a, protocol], found[b, protocol])


def _times(one: float, other: float) -> str:
    return f"{one / other:.2f} times" if other else "more times than can be said, since the other is 0,"


def inflation(dataset: Dataset, model: str, protocol: str, metric: str) -> str:
    """How many times a metric is under a protocol what it is in the full ranking."""
    inflated = results.evaluated(dataset, model, protocol, metric).value or 0.0
    return _times(inflated, results.number(dataset, model, metric))


def group(dataset: Dataset, model: str, metric: str, name: str) -> str:
    """A metric in a group of users; spaces of its name are written ``_``."""
    values_ = results.row(dataset, model).result["groups"].get(name.replace("_", " "))
    if values_ is None or values_.get(metric) is None:
        raise NotApplicable(f"{dataset.name} has no users in the group “{name.replace('_', ' ')}” to answer this with.")
    return comparison.figure(values_[metric], (values_.get("intervals") or {}).get(metric))


def group_versus(dataset: Dataset, a: str, b: str, metric: str, name: str) -> str:
    """Paired difference of two models within a group of users; spaces of its name are written ``_``."""
    found = results.groups(dataset, a, b, metric).get(name.replace("_", " "))
    if found is None:
        raise NotApplicable(f"{dataset.name} has no users in the group “{name.replace('_', ' ')}” to answer this with.")
    return in_words(results.oriented(found, results.named(dataset, a), results.named(dataset, b)), metric.upper())


def same_as_popular(dataset: Dataset, model: str) -> str:
    """Mean overlap of a model's top 10 with that of popularity."""
    return f"{lesson_choices.popular_share(dataset, model):.1f} of 10"


def share(dataset: Dataset, model: str, metric: str) -> str:
    """A metric that is a share, in percent."""
    return f"{100 * results.number(dataset, model, metric):.1f} %"


def raters(dataset: Dataset, model: str) -> str:
    """The share of users who rated a typical film of a model's lists, from its mean novelty."""
    return f"{100 * 2 ** -results.number(dataset, model, 'novelty@10'):.2g} % of users"


def error_of(dataset: Dataset, model: str) -> str:
    """The RMSE of a model, or that it has none."""
    model = results.named(dataset, model)
    own = results.row(dataset, model)
    if own.result["metrics"].get("rmse") is None:
        return f"**{model}** predicts no ratings, so it has no RMSE"
    return f"the RMSE of **{model}** is {comparison.cell(own, 'rmse')}"


def crosses(dataset: Dataset, model: str) -> str:
    """The number of known ratings from which on a model is better than popularity for new users."""
    curve = results.curve(dataset, (model,))
    sure, mean = curve["crosses"][model], (curve.get("above") or {}).get(model)
    last = curve["models"][model][str(curve["ks"][-1])]["against"]
    low, high = last["interval"]
    gain = f"{last['difference']:+.4f} [{low:+.4f}, {high:+.4f}] against popularity"
    about = f"with {curve['ks'][-1]} ratings {gain} over {curve['users']} users"
    if sure is not None:
        return f"from {sure} on, significantly ({about})"
    return (f"by its mean from {mean} on, but nowhere significantly" if mean is not None else "nowhere") + f" ({about})"


def finds(dataset: Dataset, encoder: str, direction: str) -> str:
    """Recall@10 of retrieval of posters by plot (``text_to_image``) or the other way, with the chance level."""
    retrieval = results.encoded(dataset, encoder).get("retrieval")
    if not retrieval:
        raise NotApplicable(f"{dataset.name} has no films with both a plot and a poster, so nothing can be searched.")
    own = retrieval[direction]
    low, high = own["intervals"]["recall@10"]
    return f"{own['recall@10']:.3f} [{low:.3f}, {high:.3f}] (chance {retrieval['chance@10']:.3f})"


def finds_versus(dataset: Dataset, a: str, b: str, direction: str) -> str:
    """Paired difference of the retrieval of two encoders, film by film."""
    found = paired(results.hits(dataset, a, direction), results.hits(dataset, b, direction))
    return in_words(results.oriented(found, a, b), "recall@10", digits=3, of="films")


def against_chance(dataset: Dataset, a: str, b: str, direction: str) -> str:
    """Which of two encoders find more than chance: whose interval of recall@10 lies above k / N."""
    names = []
    for encoder in (a, b):
        retrieval = results.encoded(dataset, encoder).get("retrieval")
        if retrieval and retrieval[direction]["intervals"]["recall@10"][0] > retrieval["chance@10"]:
            names.append(f"**{encoder}**")
    if len(names) == 2:
        return "Both find more than chance does"
    return f"Only {names[0]} finds more than chance does" if names else "Neither finds more than chance does"


def agree(dataset: Dataset, a: str, b: str, modality: str) -> str:
    """The mean number of shared nearest neighbours under two encoders: ``9.6 of 15``."""
    same, k = results.shared(dataset, a, b, modality)
    return f"{float(np.mean(list(same.values()))):.1f} of {k}"


def agree_versus(dataset: Dataset, a: str, b: str) -> str:
    """Paired difference of the shared neighbours for posters and for plots, over the films that have both."""
    plots, posters = (results.shared(dataset, a, b, modality)[0] for modality in ("text", "image"))
    found = results.oriented(paired(plots, posters), "plots", "posters")
    return in_words(found, "number of shared neighbours", digits=2, of="films")


FACTS = {
    f.__name__: f
    for f in (
        value,
        name,
        winner,
        second,
        place,
        versus,
        times,
        judged,
        identity,
        gap,
        inflation,
        group,
        group_versus,
        same_as_popular,
        share,
        raters,
        error_of,
        crosses,
        finds,
        finds_versus,
        against_chance,
        agree,
        agree_versus,
        *lesson_choices.CHOICES,
    )
}
