"""Fit a model: closed forms by their own ``fit``, gradient models by Lightning. One function for both."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from mmrec_core import registry, settings
from mmrec_core.config import TrainConfig
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation import evaluate
from mmrec_core.features import fit_side
from mmrec_core.models._base import Batch, GradientModel, Model, _to
from mmrec_core.splits import with_validation
from mmrec_core.types import Array, Dataset, Progress, Split, TrainSet, quiet

log = logging.getLogger(__name__)

SETTLED_STEPS = 500
"""No early stop before so many steps: on small data an epoch is a few steps, and a model that starts near zero needs
more than a few to leave the plateau of what everybody likes."""

EpochListener = Callable[[dict[str, Any]], None]


@dataclass
class Fitted:
    """A fitted model and how it went."""

    model: Model
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """One entry per epoch: ``epoch``, ``loss``, ``seconds`` and the validation score; empty for closed forms."""
    best_epoch: int | None = None
    seconds: float = 0.0


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
    has = dataset.interactions.has
    there = (
        set(has)
        | {"side", "graph"}
        | ({"ids"} if {"user", "item"} <= has else set())
        | ({"sequence"} if "time" in has else set())
    )
    if missing := sorted(cls.needs - there):
        able = [n for n in registry.names("models") if not set(registry.schema("models", n)["needs"]) - there]
        raise MMRecError(
            f"'{name}' needs {', '.join(missing)}, which {dataset.name} does not have. These models work on it: {', '.join(able)}."
        )


def train_set(dataset: Dataset, rows: Array, seed: int, relevant_from: float | None) -> TrainSet:
    """Training rows with everything fitted on them and on nothing else."""
    events = dataset.interactions.take(rows)
    made = TrainSet(events, dataset.schema(relevant_from), fit_side(dataset, events), seed)
    if events.item is not None and not len(made.positives):
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
    on_epoch: EpochListener | None = None,
    progress: Progress = quiet,
) -> Fitted:
    """Fit a model on a split's training rows.

    Gradient models stop early on the validation rows. Where the split brings none, a tenth of training is cut off at
    random for it, and with ``refit`` they are then trained anew on all training rows for the number of epochs that
    turned out best. Closed forms see the training rows as they are.

    Raises:
        MMRecError: settings out of range, unmet needs, a diverged training.
    """
    cls: type[Model] = registry.load("models", model_name)
    config, trainer = split_settings(model_name, options or {})
    check_needs(cls, model_name, dataset)
    bar = relevant_from if relevant_from is not None else dataset.manifest.get("relevant_from")
    started = time.perf_counter()
    _seed_everything(seed)
    if refit and (len(split.validation) or not cls.trains):
        why = "solves its training rows in closed form" if not cls.trains else "has validation rows of its own here"
        raise MMRecError(f"--refit retrains on rows cut off for early stopping; '{model_name}' {why}. Leave it out.")
    if not issubclass(cls, GradientModel):
        train = train_set(dataset, split.train, seed, bar)
        model = _new(cls, model_name, config, train, dataset)
        model.fit(train, progress)
        model.eval()
        return Fitted(model, seconds=time.perf_counter() - started)
    how = _checked(cls, model_name, trainer)
    parts = with_validation(split) if how.patience else split
    train = train_set(dataset, parts.train, seed, bar)
    gradient = _new(cls, model_name, config, train, dataset)
    fitted = _descend(gradient, train, how, dataset, parts if how.patience else None, bar, on_epoch, progress)
    if refit:
        train = train_set(dataset, split.train, seed, bar)
        _seed_everything(seed)
        again = how.model_copy(update={"max_epochs": (fitted.best_epoch or 0) + 1, "patience": 0})
        first = fitted.epochs
        fitted = _descend(
            _new(cls, model_name, config, train, dataset), train, again, dataset, None, bar, on_epoch, progress
        )
        fitted.epochs, fitted.best_epoch = first, again.max_epochs - 1
    fitted.seconds = time.perf_counter() - started
    return fitted


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


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)


class _Batches(IterableDataset[Batch]):
    """The model's own ready batches of the current epoch."""

    def __init__(self, model: GradientModel, train: TrainSet, batch_size: int) -> None:
        self.model, self.train, self.batch_size, self.epoch = model, train, batch_size, 0

    def __iter__(self) -> Iterator[Batch]:
        return self.model.batches(self.train, self.epoch, batch_size=self.batch_size)


def validation_metric(model: Model) -> str:
    """What early stopping watches: RMSE for rating models, NDCG@10 for ranking models, log-loss for clicks."""
    kind = model.scorer_heads()[0].kind
    return {"rating": "rmse", "ranking": "ndcg@10", "click": "log_loss"}[kind]


def _descend(
    model: GradientModel, train: TrainSet, how: TrainConfig, dataset: Dataset, judged_on: Split | None,
    bar: float | None, on_epoch: EpochListener | None, progress: Progress,
) -> Fitted:  # fmt: skip
    """Lightning's loop around ``model.loss``; nothing is logged within an epoch."""
    settings.silence_telemetry()
    import lightning as L
    from lightning.pytorch.callbacks import Callback

    for noisy in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    model.mark_known(train.interactions)
    model.begin(train)
    batches = _Batches(model, train, how.batch_size)
    metric = validation_metric(model)
    sign = -1.0 if metric in {"rmse", "log_loss"} else 1.0

    class Module(L.LightningModule):
        """Adapts the contract to Lightning."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.total, self.steps = torch.zeros(()), 0

        def training_step(self, batch: Batch, index: int) -> torch.Tensor:
            loss = model.loss(batch)
            self.total, self.steps = self.total + loss.detach(), self.steps + 1
            return loss

        def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
            return _to(batch, device)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(model.parameters(), lr=how.lr, weight_decay=how.weight_decay)

    fitted = Fitted(model)

    class Watch(Callback):
        """After each epoch: judge on validation, keep the best weights, stop when nothing gets better."""

        best, best_score, since = None, -float("inf"), 0

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            batches.epoch = trainer.current_epoch
            model.start_epoch(train, trainer.current_epoch)
            module.total, module.steps, self.started = torch.zeros((), device=module.device), 0, time.perf_counter()

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            loss = float(module.total / max(module.steps, 1))
            if loss != loss or abs(loss) == float("inf"):
                raise MMRecError(
                    f"Training diverged in epoch {trainer.current_epoch + 1} (the loss is {loss}). Use a smaller lr."
                )
            entry: dict[str, Any] = {
                "epoch": trainer.current_epoch,
                "loss": loss,
                "seconds": time.perf_counter() - self.started,
            }
            if judged_on is not None:
                judged = evaluate(
                    model,
                    dataset,
                    judged_on,
                    part="validation",
                    relevant_from=bar,
                    only=[metric],
                    groups=False,
                    intervals=False,
                )
                model.train()
                score = judged.metrics.get(metric)
                if score is None:
                    raise MMRecError("The validation rows hold nothing to judge by; train with --set patience=0.")
                entry[metric] = score
                if sign * score > self.best_score:
                    self.best_score, self.since, fitted.best_epoch = sign * score, 0, trainer.current_epoch
                    self.best = model.snapshot()
                else:
                    self.since += 1
                    trainer.should_stop = self.since >= how.patience and trainer.global_step >= SETTLED_STEPS
            else:
                fitted.best_epoch = trainer.current_epoch
            fitted.epochs.append(entry)
            progress(trainer.current_epoch + 1, how.max_epochs, "training")
            if on_epoch is not None:
                on_epoch(entry)

    watch = Watch()
    accelerator = {"cuda": "gpu"}.get(chosen := settings.device(how.device), chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = L.Trainer(
            max_epochs=how.max_epochs,
            accelerator=accelerator,
            devices=1,
            precision={"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[
                how.precision if chosen == "cuda" else "fp32"
            ],  # type: ignore[arg-type]
            gradient_clip_val=how.clip or None,
            callbacks=[watch],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(Module(), DataLoader(batches, batch_size=None))
    if watch.best is not None:
        model.restore(watch.best)
    model.eval()
    return fitted
