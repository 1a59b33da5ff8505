"""Fit a model: closed forms by their own ``fit``, gradient models by descent. One function for both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from mmrec_core import features, metrics, registry, runtime
from mmrec_core.callbacks import Interrupted, TrainingCallbacks
from mmrec_core.config import TrainConfig
from mmrec_core.data.side_features import fit_side
from mmrec_core.data.splits import with_validation
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.evaluation.protocols import validation_label
from mmrec_core.models._base import GradientModel, Model
from mmrec_core.training.trainer import train_model
from mmrec_core.training.warm_start import Adopted, Donor, adopt
from mmrec_core.types import Array, Dataset, Progress, Side, Split, TrainSet, quiet


@dataclass
class Fitted:
    """A fitted model and how it went."""

    model: Model
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """One entry per epoch: ``epoch``, ``loss``, ``lr``, ``seconds``, ``samples_s``, the validation score and, where that is not as usual, how it was ``judged``; empty for closed forms."""
    best_epoch: int | None = None
    seconds: float = 0.0
    """Time spent fitting, interrupted stretches left out."""
    adopted: Adopted | None = None
    """What was taken over from another model."""
    batch_size: int | None = None
    """The batch size it ended with (halved where the GPU's memory ran out)."""
    notes: list[str] = field(default_factory=list)
    """What a reader of the result should know, such as a training that stopped before it converged."""


def split_settings(model_name: str, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Divide ``--set`` pairs into the model's checked config and trainer settings.

    Raises:
        MMRecError: unknown keys, values out of range, or trainer settings for a closed form.
    """
    cls = registry.load("models", model_name)
    own = {k: v for k, v in options.items() if k in cls.Config.model_fields}
    rest = {k: v for k, v in options.items() if k not in own}
    trainer = {k: v for k, v in rest.items() if k in TrainConfig.model_fields}
    if trainer and not cls.trains:
        raise MMRecError(f"'{model_name}' is solved in closed form and has no trainer setting '{next(iter(trainer))}'.")
    if unknown := [k for k in rest if k not in trainer]:
        known = sorted({*cls.Config.model_fields, *(TrainConfig.model_fields if cls.trains else ())})
        raise MMRecError(f"'{model_name}' has no setting '{unknown[0]}'. It has: {', '.join(known) or 'none'}.")
    return registry.config("models", model_name, own), trainer


def check_needs(cls: type[Model], name: str, dataset: Dataset) -> None:
    """Refuse a model whose needs the dataset cannot meet.

    Raises:
        MMRecError: which need is unmet.
    """
    there = features.offers(dataset)
    if missing := registry.unmet(cls.needs, there):
        able = [n for n, told in registry.schemas("models").items() if not registry.unmet(told["needs"], there)]
        encode = f" Encode it first: python -m mmrec_core encode {dataset.name} --encoder classic." if any(
            "text" in need for need in missing) and dataset.manifest.get("plots") else ""  # fmt: skip
        raise MMRecError(
            f"'{name}' needs {registry.in_words(missing)}, which {dataset.name} does not have.{encode} These models work on it: "
            f"{', '.join(able)}."
        )


def train_set(dataset: Dataset, rows: Array, seed: int, relevant_from: float | None, content: Side = ()) -> TrainSet:
    """Training rows with everything fitted on them and on nothing else, and with ``content`` vectors."""
    side = (*fit_side(dataset, rows), *content)
    made = TrainSet(dataset.interactions, dataset.schema(relevant_from), side, seed, rows)
    if dataset.interactions.item is not None and not len(made.positives):
        raise MMRecError(
            f"No training rating is {relevant_from:g} or more, so nothing counts as liked. Lower --relevant-from."
        )
    return made


def fit(
    model_name: str,
    dataset: Dataset,
    split: Split,
    *,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    relevant_from: float | None = None,
    refit: bool = False,
    fraction: float = 1.0,
    encoder: str | None = None,
    modality: str = "both",
    donor: Donor | None = None,
    watch: str | None = None,
    callbacks: TrainingCallbacks | None = None,
) -> Fitted:
    """Fit a model on a split's training rows.

    Which rows a model learns from is one rule for all: training rows without validation, or with ``refit`` training and
    validation rows. Where the split brings no validation, a tenth of training is cut off for it, for closed forms, too, so
    that every model of a comparison knows the same rows. Gradient models stop early on the validation rows; with ``refit``
    they are then trained anew on both for the number of epochs that turned out best. Models that take in events
    (``streams``) are not trained anew: evaluation shows them the validation rows of the split (``known``).

    Args:
        fraction: share of the training rows to learn from, drawn by the split's seed; validation and test stay whole.
        encoder: whose vectors a model of plots and posters is given; ``None``: the first that has encoded the dataset.
        modality: ``text``, ``image``, ``both`` or ``none`` of them.
        donor: another model's weights to begin with; see :mod:`mmrec_core.training.warm_start`.
        watch: the metric that early stopping goes by; ``None``: :func:`validation_metric`.
        desk: where checkpoints are written and news told; a checkpoint that is there already is gone on from.

    Raises:
        MMRecError: settings out of range, unmet needs, a diverged training.
        Interrupted: a stop was asked for.
    """
    cls: type[Model] = registry.load("models", model_name)
    config, trainer = split_settings(model_name, options or {})
    check_needs(cls, model_name, dataset)
    bar = relevant_from if relevant_from is not None else dataset.manifest.get("relevant_from")
    callbacks = callbacks or TrainingCallbacks()
    started = time.perf_counter()
    torch.manual_seed(seed)
    content = features.content(dataset, encoder, modality) if reads_content(cls) else ()
    refit = refit and (not cls.streams or not len(split.validation))  # who takes in events observes the validation rows
    if not issubclass(cls, GradientModel):
        if donor is not None:
            raise MMRecError(
                f"'{model_name}' is solved in closed form; there is nothing to begin with from another model."
            )
        train = train_set(dataset, learned_rows(split, refit, dataset, fraction), seed, bar, content)
        model = _new(cls, model_name, config, train, dataset)
        model.fit(train, callbacks.progress)
        model.eval()
        return Fitted(model, seconds=time.perf_counter() - started)
    how = _checked(cls, model_name, trainer)
    parts = with_validation(split, dataset=dataset)
    parts = replace(parts, train=thinned(parts.train, fraction, split.seed))
    device = runtime.device(how.device)

    def heed(done: int, total: int, what: str) -> None:
        """Judging a large dataset takes long; a stop need not wait for it."""
        if callbacks.stop.wanted and callbacks.stop.awaited:
            raise Interrupted()

    def run(rows: Array, how: TrainConfig, phase: str) -> Fitted:
        train = train_set(dataset, rows, seed, bar, content)
        torch.manual_seed(seed)
        model = _new(cls, model_name, config, train, dataset)
        adopted = adopt(model, donor) if donor is not None else None
        if adopted is not None:
            callbacks.log_event("note", {"text": adopted.line()})
        if dataset.interactions.item is not None:
            model.mark_known(train.interactions)
        model.to(device)
        model.begin(train)
        metric = watch or validation_metric(model)

        def judge() -> float:
            return validation_score(model, dataset, parts, metric, bar, heed)

        sign = better(metric)
        watched = judge if how.patience else None
        told = validation_label(*validation_protocol(model, dataset, parts)) if how.patience else ""
        course = train_model(model, train, how, watched, sign, metric, callbacks, phase, device, told)
        return Fitted(model, course.epochs, course.best_epoch, course.seconds, adopted, course.batch_size)

    everything = learned_rows(split, True, dataset, fraction)

    def noted(fitted: Fitted, notes: list[str]) -> Fitted:
        """The same with its notes, which are written down where progress is."""
        for text in notes:
            callbacks.log_event("note", {"text": text})
        return replace(fitted, notes=notes)

    if not refit:
        fitted = run(parts.train, how, "fit")
        return noted(fitted, convergence_notes(fitted, how, watch or validation_metric(fitted.model)))
    if not how.patience:  # nothing is chosen on validation rows
        return run(everything, how, "fit")
    if how.schedule == "plateau":
        raise MMRecError("--refit has no validation rows that schedule=plateau could watch; use cosine or constant.")
    first = run(parts.train, how, "fit")
    again = how.model_copy(update={"max_epochs": (first.best_epoch or 0) + 1, "patience": 0})
    second = run(everything, again, "refit")
    both = replace(second, epochs=first.epochs, best_epoch=first.best_epoch, seconds=first.seconds + second.seconds)
    return noted(both, convergence_notes(first, how, watch or validation_metric(first.model)))


def learned_rows(split: Split, refit: bool, dataset: Dataset, fraction: float = 1.0) -> Array:
    """Rows that models learn from: training rows without validation (a tenth is cut off where the split brings none), or both.

    Args:
        fraction: share of the training rows; validation rows are known whole.
    """
    if refit and not len(split.validation):
        return thinned(split.train, fraction, split.seed)
    rows = thinned(with_validation(split, dataset=dataset).train, fraction, split.seed)
    return np.sort(np.concatenate([rows, split.validation])) if refit else rows


def convergence_notes(fitted: Fitted, how: TrainConfig, metric: str) -> list[str]:
    """Sentences on a training whose validation score says that its figure is not what the model can do."""
    scores = [e[metric] for e in fitted.epochs if e.get(metric) is not None]
    if not how.patience or len(scores) < 2:
        return []
    sign = better(metric)
    if max(sign * s for s in scores[1:]) <= sign * scores[0]:
        return [
            f"Validation {metric} was best after the first epoch ({scores[0]:.4f}). The model may not have learned; try another "
            "learning rate (lr)."
        ]
    if fitted.best_epoch == len(fitted.epochs) - 1:
        return [
            f"The best epoch is the last one ({len(fitted.epochs)}): validation {metric} was still improving when training "
            "ended. Train longer (max_epochs)."
        ]
    return []


def validation_score(
    model: Model, dataset: Dataset, split: Split, metric: str, relevant_from: float | None, progress: Progress = quiet
) -> float:
    """What a model scores on the validation rows; labels of a table count alike.

    Raises:
        MMRecError: the validation rows hold nothing to judge by.
    """
    cold = None  # films that nobody has rated come last among all for most models, so they are ranked among themselves
    if len(split.cold_items) and len(split.validation):
        cold = np.unique(np.asarray(dataset.interactions.need("item"))[split.validation])
    protocol, regime = validation_protocol(model, dataset, split)
    judged = evaluate(
        model, dataset, split, part="validation", protocol=protocol, regime=regime, relevant_from=relevant_from, only=[metric], among=cold,
        groups=False, intervals=False, progress=progress,
    )  # fmt: skip
    tasks = [v for k, v in judged.metrics.items() if k.startswith(f"{metric}:")]
    score = float(np.mean(tasks)) if tasks and None not in tasks else judged.metrics.get(metric)  # type: ignore[arg-type]
    if score is None:
        raise MMRecError("The validation rows hold nothing to judge by; train with --set patience=0.")
    return score


def validation_protocol(model: Model, dataset: Dataset, split: Split) -> tuple[str, str]:
    """Protocol and regime of :func:`validation_score`: the model's own where training, validation and test follow each other in time and
    nobody may have met every film, so that others can be drawn; else every film, frozen."""
    events = dataset.interactions
    if (
        model.early_stopping_protocol == Model.early_stopping_protocol
        or len(split.cold_items)
        or events.time is None
        or not len(split.train)
        or not len(split.validation)
    ):
        return Model.early_stopping_protocol
    user, item, films = events.need("user"), events.need("item"), len(dataset.items)
    if any(len(np.unique(item[user == who])) == films for who in np.flatnonzero(np.bincount(user) >= films)):
        return Model.early_stopping_protocol
    train, validation, test = (np.asarray(events.time)[rows] for rows in (split.train, split.validation, split.test))
    follows = train.max() <= validation.min() and (not len(test) or validation.max() <= test.min())
    return model.early_stopping_protocol if follows else Model.early_stopping_protocol


def better(metric: str) -> float:
    """+1 where higher is better, −1 where lower."""
    return -1.0 if metrics.metric(metric).better == "lower" else 1.0


def reads_content(cls: type[Model]) -> bool:
    """Whether a model is given vectors of plots and posters."""
    return any({"text", "image"} & set(need.split("|")) for need in cls.needs)


def thinned(rows: Array, fraction: float, seed: int) -> Array:
    """A share of rows drawn at random, in their old order; smaller shares are part of larger ones."""
    if not 0 < fraction <= 1:
        raise MMRecError(f"--fraction is {fraction:g}; expected more than 0 and at most 1, such as 0.1.")
    if fraction == 1:
        return rows
    lot = np.random.default_rng([seed, 1009]).permutation(len(rows))
    return rows[np.sort(lot[: max(1, round(fraction * len(rows)))])]


def _new(cls: type[Any], name: str, config: Any, train: TrainSet, dataset: Dataset) -> Any:
    model = cls(config, train.schema, train.side, train.seed).bind(dataset)
    model.name = name
    return model


def _checked(cls: type[GradientModel], name: str, trainer: Mapping[str, Any]) -> TrainConfig:
    from pydantic import ValidationError

    try:
        return cls.train_config(trainer)
    except ValidationError as error:
        raise MMRecError(registry.explain(error, name, sorted(TrainConfig.model_fields))) from None


def validation_metric(model: Model) -> str:
    """What early stopping watches: RMSE for rating models, NDCG@10 for ranking models, log-loss for clicks."""
    kind = model.scorer_heads()[0].kind
    return {"rating": "rmse", "ranking": "ndcg@10", "click": "log_loss"}[kind]
