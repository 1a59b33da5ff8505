"""Fit a model on a split: closed-form models by their own ``fit``, gradient models by the training loop."""

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
from mmrec_core.training.validation_metrics import VALIDATION_METRICS
from mmrec_core.training.warm_start import Adopted, Donor, adopt
from mmrec_core.types import Array, Dataset, Progress, Side, Split, TrainSet, quiet


@dataclass
class Fitted:
    """A fitted model and its training history."""

    model: Model
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """One entry per epoch: ``epoch``, ``loss``, ``lr``, ``seconds``, ``samples_s``, the validation score and, if it is
    not a full static ranking, how it was computed (``judged``). Empty for closed-form models."""
    best_epoch: int | None = None
    seconds: float = 0.0
    """Training time without interruptions."""
    adopted: Adopted | None = None
    """What was copied from another model."""
    batch_size: int | None = None
    """Batch size at the end (halved if the GPU's memory ran out)."""
    notes: list[str] = field(default_factory=list)
    """Warnings about the result, such as a training run that stopped before it converged."""


def split_settings(model_name: str, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Divide ``--set`` pairs into the model's validated config and its trainer settings.

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


def resolved_settings(model_name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of a model and its trainer with its value, as JSON types: given ones, then the defaults.

    Raises:
        MMRecError: unknown keys, values out of range, or trainer settings for a closed form.
    """
    cls = registry.load("models", model_name)
    config, trainer = split_settings(model_name, options)
    how = _checked(cls, model_name, trainer).model_dump(mode="json") if issubclass(cls, GradientModel) else {}
    return {**how, **config.model_dump(mode="json")}


def check_needs(cls: type[Model], name: str, dataset: Dataset) -> None:
    """Check that the dataset has what a model needs.

    Raises:
        MMRecError: which need is unmet.
    """
    offered = features.available_inputs(dataset)
    if missing := registry.unmet(cls.needs, offered):
        able = [n for n, needs in registry.needs("models").items() if not registry.unmet(needs, offered)]
        encode = ""
        if registry.reads_content(missing) and dataset.manifest.get("plots"):
            encode = f" Encode it first: python -m mmrec_core encode {dataset.name} --encoder classic."
        raise MMRecError(
            f"'{name}' needs {registry.in_words(missing)}, which {dataset.name} does not have.{encode} "
            f"These models work on it: {', '.join(able)}."
        )


def train_set(dataset: Dataset, rows: Array, seed: int, relevant_from: float | None, content: Side = ()) -> TrainSet:
    """The training set: rows, side features fitted on these rows only, and content vectors.

    Args:
        dataset: the dataset.
        rows: training rows.
        seed: seed of the training run.
        relevant_from: lowest rating that counts as liked.
        content: vectors of plots and posters.

    Raises:
        MMRecError: no training rating counts as liked.
    """
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

    All models learn from the same rows: the training rows, or with ``refit`` training and validation rows. If the split
    has no validation rows, a tenth of the training rows becomes validation, also for closed-form models, so that all
    models of a comparison know the same rows. Gradient models use the validation rows for early stopping. With
    ``refit`` they are then trained again on both for the best number of epochs. Models that are updated by events
    (``streams``) are not refitted: evaluation shows them the validation rows of the split (``known``).

    Args:
        model_name: name of the model.
        dataset: the dataset.
        split: its split.
        options: settings of model and trainer that differ from the defaults.
        seed: seed of weights, batches and negatives.
        relevant_from: lowest rating that counts as liked; ``None``: the dataset's default.
        refit: whether to train again on training and validation rows.
        fraction: share of the training rows to learn from, drawn by the split's seed; validation and test stay whole.
        encoder: encoder whose vectors the model gets, if it reads content; ``None``: the first that encoded the
            dataset.
        modality: ``text``, ``image``, ``both`` or ``none``.
        donor: another model's weights to start from; see :mod:`mmrec_core.training.warm_start`.
        watch: metric of early stopping; ``None``: :func:`validation_metric`.
        callbacks: folder for checkpoints, event log, progress, stop flag; an existing checkpoint is resumed.

    Returns:
        The fitted model with its training history.

    Raises:
        MMRecError: settings out of range, unmet needs, a diverged training.
        Interrupted: a stop was requested.
    """
    cls: type[Model] = registry.load("models", model_name)
    config, trainer = split_settings(model_name, options or {})
    check_needs(cls, model_name, dataset)
    threshold = relevant_from if relevant_from is not None else dataset.manifest.get("relevant_from")
    callbacks = callbacks or TrainingCallbacks()
    started = time.perf_counter()
    torch.manual_seed(seed)
    content = features.content(dataset, encoder, modality) if reads_content(cls) else ()
    refit = refit and (not cls.streams or not len(split.validation))  # streaming models observe these rows
    if not issubclass(cls, GradientModel):
        if donor is not None:
            raise MMRecError(
                f"'{model_name}' is solved in closed form, so it cannot start from another model's weights."
            )
        train = train_set(dataset, learned_rows(split, refit, dataset, fraction), seed, threshold, content)
        model = _new(cls, model_name, config, train, dataset)
        model.fit(train, callbacks.progress)
        model.eval()
        return Fitted(model, seconds=time.perf_counter() - started)
    how = _checked(cls, model_name, trainer)
    parts = with_validation(split, dataset=dataset)
    parts = replace(parts, train=thinned(parts.train, fraction, split.seed))
    device = runtime.device(how.device)

    def interrupt(done: int, total: int, what: str) -> None:
        """Stop a long validation if a stop was requested."""
        if callbacks.stop.wanted and callbacks.stop.awaited:
            raise Interrupted()

    def run(rows: Array, how: TrainConfig, phase: str) -> Fitted:
        train = train_set(dataset, rows, seed, threshold, content)
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

        def validate() -> float:
            return validation_score(model, dataset, parts, metric, threshold, interrupt)

        sign = better(metric)
        if how.patience:
            label = validation_label(*validation_protocol(model, dataset, parts))
            state = train_model(model, train, how, validate, sign, metric, callbacks, phase, device, label)
        else:
            state = train_model(model, train, how, None, sign, metric, callbacks, phase, device)
        return Fitted(model, state.epochs, state.best_epoch, state.seconds, adopted, state.batch_size)

    everything = learned_rows(split, True, dataset, fraction)

    def noted(fitted: Fitted, notes: list[str]) -> Fitted:
        """Add notes to the result and to the event log."""
        for text in notes:
            callbacks.log_event("note", {"text": text})
        return replace(fitted, notes=notes)

    if not refit:
        fitted = run(parts.train, how, "fit")
        return noted(fitted, convergence_notes(fitted, how, watch or validation_metric(fitted.model)))
    if not how.patience:  # without early stopping no second training is needed
        return run(everything, how, "fit")
    if how.schedule == "plateau":
        raise MMRecError("--refit leaves no validation rows for schedule=plateau; use cosine or constant.")
    first = run(parts.train, how, "fit")
    again = how.model_copy(update={"max_epochs": (first.best_epoch or 0) + 1, "patience": 0})
    second = run(everything, again, "refit")
    both = replace(second, epochs=first.epochs, best_epoch=first.best_epoch, seconds=first.seconds + second.seconds)
    return noted(both, convergence_notes(first, how, watch or validation_metric(first.model)))


def learned_rows(split: Split, refit: bool, dataset: Dataset, fraction: float = 1.0) -> Array:
    """Rows that models learn from: training rows, or with ``refit`` training and validation rows.

    If the split has no validation rows, a tenth of the training rows becomes validation.

    Args:
        split: the split.
        refit: whether validation rows are learned, too.
        dataset: the dataset.
        fraction: share of the training rows; validation rows are learned whole.

    Returns:
        Row numbers.
    """
    if refit and not len(split.validation):
        return thinned(split.train, fraction, split.seed)
    rows = thinned(with_validation(split, dataset=dataset).train, fraction, split.seed)
    return np.sort(np.concatenate([rows, split.validation])) if refit else rows


def convergence_notes(fitted: Fitted, how: TrainConfig, metric: str) -> list[str]:
    """Warnings if the validation curve shows a badly trained model: the best epoch is the first, or the last."""
    scores = [e[metric] for e in fitted.epochs if e.get(metric) is not None]
    if not how.patience or len(scores) < 2:
        return []
    sign = better(metric)
    if max(sign * s for s in scores[1:]) <= sign * scores[0]:
        return [
            f"Validation {metric} was best after the first epoch ({scores[0]:.4f}). The model may not have learned; "
            "try another learning rate (lr)."
        ]
    if fitted.best_epoch == len(fitted.epochs) - 1:
        return [
            f"The best epoch is the last one ({len(fitted.epochs)}): validation {metric} was still improving "
            "when training ended. Train longer (max_epochs)."
        ]
    return []


def validation_score(
    model: Model, dataset: Dataset, split: Split, metric: str, relevant_from: float | None, progress: Progress = quiet
) -> float:
    """Validation score of a model; with several labels the mean over them.

    Args:
        model: the model.
        dataset: the dataset.
        split: its split.
        metric: name of the metric.
        relevant_from: lowest rating that counts as relevant.
        progress: called with the progress.

    Returns:
        The value of the metric.

    Raises:
        MMRecError: the metric cannot be computed on the validation rows.
    """
    cold = None  # cold items come last in a full ranking for most models, so they are ranked among themselves
    if len(split.cold_items) and len(split.validation):
        cold = np.unique(np.asarray(dataset.interactions.need("item"))[split.validation])
    protocol, regime = validation_protocol(model, dataset, split)
    result = evaluate(
        model, dataset, split, part="validation", protocol=protocol, regime=regime, relevant_from=relevant_from,
        only=[metric], among=cold, groups=False, intervals=False, progress=progress,
    )  # fmt: skip
    tasks = [v for k, v in result.metrics.items() if k.startswith(f"{metric}:")]
    score = float(np.mean(tasks)) if tasks and None not in tasks else result.metrics.get(metric)  # type: ignore[arg-type]
    if score is None:
        raise MMRecError(f"{metric} cannot be computed on the validation rows; train with --set patience=0.")
    return score


def validation_protocol(model: Model, dataset: Dataset, split: Split) -> tuple[str, str]:
    """Protocol and regime of :func:`validation_score`.

    The model's own ``early_stopping_protocol``, if training, validation and test follow each other in time and no user
    may have seen all items (so that negatives can be drawn); else full ranking in the regime ``frozen``.
    """
    events = dataset.interactions
    if (
        model.early_stopping_protocol == Model.early_stopping_protocol
        or len(split.cold_items)
        or events.time is None
        or not len(split.train)
        or not len(split.validation)
    ):
        return Model.early_stopping_protocol
    user, item, n_items = events.need("user"), events.need("item"), len(dataset.items)
    if any(len(np.unique(item[user == row])) == n_items for row in np.flatnonzero(np.bincount(user) >= n_items)):
        return Model.early_stopping_protocol
    train, validation, test = (np.asarray(events.time)[rows] for rows in (split.train, split.validation, split.test))
    follows = train.max() <= validation.min() and (not len(test) or validation.max() <= test.min())
    return model.early_stopping_protocol if follows else Model.early_stopping_protocol


def better(metric: str) -> float:
    """+1 if higher values of a metric are better, −1 if lower."""
    return -1.0 if metrics.metric(metric).better == "lower" else 1.0


def reads_content(cls: type[Model]) -> bool:
    """Whether a model reads vectors of plots or posters."""
    return registry.reads_content(cls.needs)


def thinned(rows: Array, fraction: float, seed: int) -> Array:
    """A random share of rows in their old order; a smaller share is a subset of a larger one.

    Raises:
        MMRecError: the share is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise MMRecError(f"--fraction is {fraction:g}; expected more than 0 and at most 1, such as 0.1.")
    if fraction == 1:
        return rows
    order = np.random.default_rng([seed, 1009]).permutation(len(rows))
    return rows[np.sort(order[: max(1, round(fraction * len(rows)))])]


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
    """Default metric of early stopping; see :data:`VALIDATION_METRICS`."""
    return VALIDATION_METRICS[model.scorer_heads()[0].kind]
