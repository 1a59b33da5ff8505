"""Training loop on Lightning Fabric: optimiser steps, schedules, early stopping, checkpoints after any step.

All random numbers of a step are drawn from (seed, epoch, batch). A training run that resumes from a checkpoint
therefore takes the same steps and ends with the same weights as one that was never interrupted.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor

from mmrec_core import runtime, settings
from mmrec_core.callbacks import Interrupted, TrainingCallbacks
from mmrec_core.config import TrainConfig
from mmrec_core.errors import MMRecError
from mmrec_core.models._base import _to
from mmrec_core.training import checkpoint, distributed

SETTLED_STEPS = 500
"""No early stopping before this many steps. On small data an epoch has few steps, and a model that starts near zero
needs more to do better than popularity."""
AGREE_STEPS = 16
"""Several processes agree every so many steps on whether to stop or to write a checkpoint."""
TICK_S = 0.5
"""Shortest time between two progress events within an epoch, in seconds."""

Validate = Callable[[], float]
"""Gives the validation score of the model as it is."""


class Learner(Protocol):
    """Interface of a trained module: :class:`~mmrec_core.models._base.GradientModel` and the encoders' learner."""

    seed: int

    def epoch_rows(self, train: Any) -> int:
        """Rows in an epoch."""

    def start_epoch(self, train: Any, epoch: int) -> None:
        """Before each epoch."""

    def batches(self, train: Any, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """Batches of tensors, a function of (seed, epoch), from batch ``start`` on; the first tensor has one entry per
        row."""

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Mean loss of a batch."""

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of all tensors."""

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to a snapshot."""


@dataclass
class TrainState:
    """State of a training run: everything of a checkpoint except its tensors."""

    phase: str
    batch_size: int
    epoch: int = 0
    batch: int = 0
    """Number of finished batches of the epoch."""
    steps: int = 0
    epoch_batches: int = 0
    """Batches in an epoch; 0 until the first has ended."""
    loss: float = 0.0
    """Sum of the epoch's losses so far, weighted by rows."""
    rows: int = 0
    """Number of rows in that sum."""
    weight: float = 0.0
    """Divisor of that sum: the number of rows, if the loss of a batch is the mean over its rows."""
    epoch_s: float = 0.0
    seconds: float = 0.0
    best_score: float = -math.inf
    best_epoch: int | None = None
    since: int = 0
    halved: bool = False
    done: bool = False
    epochs: list[dict[str, Any]] = field(default_factory=list)


def able_precision(wanted: str, device: str) -> tuple[str, str | None]:
    """The precision that the device supports, and a note for the log if it is not the requested one."""
    if wanted == "fp32":
        return wanted, None
    why = None
    if wanted == "fp16" and device != "cuda":
        why = f"fp16 needs an NVIDIA GPU; this trains on {device}"
    elif wanted == "bf16" and device == "mps":
        why = "bf16 is not supported on Apple's GPU"
    elif wanted == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        why = "this GPU does not support bf16"
    return (wanted, None) if why is None else ("fp32", f"{why}, so the training uses fp32.")


def adamw(model: torch.nn.Module, lr: float, weight_decay: float, device: str) -> torch.optim.Optimizer:
    """The optimiser of every training run (Loshchilov and Hutter 2019)."""
    # fused: one pass over weights and moments instead of one per operation, 7 times faster on large tables
    fused = device in {"cpu", "cuda"}
    return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay, fused=fused)


def train_model(
    model: Any,
    train: Any,
    how: TrainConfig,
    validate: Validate | None,
    sign: float = 1.0,
    metric: str = "",
    callbacks: TrainingCallbacks | None = None,
    phase: str = "fit",
    device: str = "cpu",
    protocol: str = "",
) -> TrainState:
    """Train ``model`` until validation has not improved for ``patience`` epochs, or for ``max_epochs``.

    Args:
        model: a module that is a :class:`Learner`. It starts from its current weights and ends with those of its best
            epoch.
        train: training data, passed to the model.
        how: trainer settings.
        validate: gives the validation score after an epoch; ``None``: no early stopping, the last weights stay.
        sign: +1 if higher scores are better, −1 if lower.
        metric: name of the score in each epoch's entry.
        callbacks: folder for checkpoints, event log, progress, stop flag.
        phase: name of the phase and of its checkpoint (``fit``, ``refit``).
        device: ``cpu``, ``cuda`` or ``mps``.
        protocol: how the score is computed, if not by default; written into each epoch's entry.

    Returns:
        The final state, with one entry per epoch.

    Raises:
        MMRecError: the loss is not finite, or the checkpoint was made with other settings.
        Interrupted: a stop was requested; the best weights are in the model, the state in the checkpoint.
    """
    return _Trainer(
        model, train, how, validate, sign, metric, callbacks or TrainingCallbacks(), phase, device, protocol
    ).run()


class _Trainer:
    """One call of :func:`train_model`, which describes the arguments."""

    def __init__(
        self, model: Any, train: Any, how: TrainConfig, validate: Validate | None, sign: float, metric: str,
        callbacks: TrainingCallbacks, phase: str, device: str, protocol: str,
    ) -> None:  # fmt: skip
        settings.silence_telemetry()
        if device == "cpu":
            runtime.keep_memory()
        from lightning_fabric import Fabric

        runtime.ask_no_missing_driver()

        self.model, self.train, self.how, self.validate = model, train, how, validate
        self.learner: Learner = model
        self.sign, self.metric, self.callbacks, self.protocol = sign, metric, callbacks, protocol
        precision, note = able_precision(how.precision, device)
        if note:
            callbacks.log_event("note", {"text": note})
        logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.fabric = Fabric(
                accelerator={"cuda": "gpu"}.get(device, device),
                **distributed.fabric_options(device),
                precision={"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[precision],  # type: ignore[arg-type]
            )
        if distributed.world() > 1:
            self.fabric.launch()
        self.optimiser = adamw(model, how.lr, how.weight_decay, device)
        self.module, self.stepper = self.fabric.setup(model, self.optimiser)
        self.rank, self.world = distributed.rank(), distributed.world()
        self.loss = torch.compile(model.loss, dynamic=True) if how.compile else model.loss
        if self.world > 1:
            if getattr(model, "streams", False):
                raise MMRecError(
                    f"'{getattr(model, 'name', 'This model')}' keeps a memory of events in order, "
                    "which several processes cannot share; use one worker."
                )
            self.module.mark_forward_method("loss")
        self.schedule = self._schedule()
        self.state = TrainState(phase, how.batch_size)
        self.best: dict[str, Tensor] | None = None
        self.saved = time.perf_counter()
        self.file = callbacks.folder / f"{phase}.safetensors" if callbacks.folder is not None else None

    def _schedule(self) -> Any:
        from torch.optim import lr_scheduler

        if self.how.schedule == "cosine":
            return lr_scheduler.CosineAnnealingLR(self.optimiser, self.how.max_epochs)
        if self.how.schedule == "plateau":
            if self.validate is None:
                raise MMRecError("schedule=plateau needs validation scores, which patience=0 turns off; use cosine.")
            # threshold 0: with negative scores a relative one would count a slightly worse score as an improvement
            return lr_scheduler.ReduceLROnPlateau(self.optimiser, "max", 0.5, self.how.plateau_patience, threshold=0.0)
        return None

    def run(self) -> TrainState:
        """Train to the end."""
        state = self.state = self._resumed() or self.state
        with _deterministic(self.how.deterministic), self.callbacks.stop.watch():
            if not state.steps:
                self._snapshot()
            while not state.done and state.epoch < self.how.max_epochs:
                self._epoch()
                self._epoch_ended()
                if not state.done and time.perf_counter() - self.saved >= self.how.checkpoint_s:
                    self._save()
        state.done = True
        if self.best is not None:
            self.model.restore(self.best)
        self._save()
        self.model.eval()
        return state

    def _epoch(self) -> None:
        state, model, how = self.state, self.model, self.how
        model.train()
        if state.batch == 0:
            model.start_epoch(self.train, state.epoch)
            state.loss, state.rows, state.weight, state.epoch_s = 0.0, 0, 0.0, 0.0
        started, logged_at = time.perf_counter() - state.epoch_s, time.perf_counter()
        logged_rows = state.rows
        losses: list[Tensor] = []  # read together, because reading one waits for the device
        summed = 0
        batches = model.batches(self.train, state.epoch, batch_size=state.batch_size, start=state.batch)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    break
                n = len(next(iter(batch.values())))
                weight = getattr(model, "weight", lambda _: n)(batch)
                at_boundary = (state.batch + 1) % how.accumulate == 0
                loss = self._step(_to(batch, self.fabric.device), weight)
                summed += 1
                if at_boundary:
                    self._update()
                    summed = 0
            except torch.OutOfMemoryError:
                if state.halved or state.batch_size < 2 or self.world > 1:
                    raise MMRecError(
                        f"The GPU's memory is full even with batches of {state.batch_size} rows. "
                        "Use a smaller model or --device cpu."
                    ) from None
                batches, summed = self._halve(), 0
                continue
            losses.append(loss * weight)
            state.weight += weight
            state.batch, state.rows = state.batch + 1, state.rows + n
            now = time.perf_counter()
            stop, save = self._agreed(at_boundary, now - self.saved >= how.checkpoint_s)
            if now - logged_at >= TICK_S or stop:
                last = float(loss)
                state.loss, losses = state.loss + _total(losses), []
                state.epoch_s = now - started
                self._tick(last, (state.rows - logged_rows) / max(now - logged_at, 1e-9))
                logged_at, logged_rows = now, state.rows
            if (stop or save) and self.file:
                state.loss, losses = state.loss + _total(losses), []
                state.epoch_s = now - started
                self._save()
            if stop:
                self._interrupt()
        if summed:
            self._update()
        state.loss += _total(losses)
        state.epoch_s = time.perf_counter() - started

    def _agreed(self, at_boundary: bool, due: bool) -> tuple[bool, bool]:
        """Whether to stop, and whether to write a checkpoint, between two steps.

        Several processes use the clock of the first one, every :data:`AGREE_STEPS` steps.
        """
        if not at_boundary:
            return False, False
        if self.world == 1:
            return self.callbacks.stop.wanted, due
        if self.state.batch % AGREE_STEPS:
            return False, False
        stop, save = self.fabric.broadcast((self.callbacks.stop.wanted, due))
        return stop, save

    def _validation_score(self, validate: Validate) -> float:
        """The validation score; of several processes the first one computes it.

        Raises:
            Interrupted: a stop was requested meanwhile.
        """
        if self.world == 1:
            return validate()
        score: float | None = None
        if self.rank == 0:
            with contextlib.suppress(Interrupted):
                score = validate()
        score = self.fabric.broadcast(score)
        if score is None:
            raise Interrupted()
        return score

    def _step(self, batch: dict[str, Any], weight: float) -> Tensor:
        """Forward and backward pass on one batch with ``weight``, or on this process's share of it."""
        if self.state.batch % self.how.accumulate == 0:
            self.optimiser.zero_grad()
        own = [] if self.rank == 0 else [self.rank]  # dropout differs from process to process
        entropy = [self.model.seed, self.state.epoch, self.state.batch, 77, *own]
        draw = np.random.SeedSequence(entropy).generate_state(2)
        seed = int(draw[0]) << 31 | int(draw[1]) >> 1
        torch.default_generator.manual_seed(seed)
        if self.fabric.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif self.fabric.device.type == "mps":
            torch.mps.manual_seed(seed)
        if self.world == 1:
            with self.fabric.autocast():  # Fabric does not wrap a module on one device, so autocast is not on by itself
                loss: Tensor = self.loss(batch)
            self.fabric.backward(loss / self.how.accumulate)
            return loss.detach()
        rows = len(next(iter(batch.values())))
        part = distributed.share(batch, self.rank, self.world)
        counts = getattr(self.model, "weight", lambda b: len(next(iter(b.values()))))(part) if self.rank < rows else 0
        loss = self.module.loss(part)
        # DDP takes the mean over processes; here each row counts alike, whichever process has it
        portion = loss * (counts / max(weight, 1)) if counts else loss.nan_to_num() * 0.0
        self.fabric.backward(portion * self.world / self.how.accumulate)
        whole: Tensor = self.fabric.all_reduce(portion.detach(), reduce_op="sum")  # type: ignore[assignment]
        return whole

    def _update(self) -> None:
        if self.how.clip:
            self.fabric.clip_gradients(self.module, self.stepper, max_norm=self.how.clip, error_if_nonfinite=False)
        self.stepper.step()
        self.optimiser.zero_grad()
        self.state.steps += 1

    def _halve(self) -> Iterator[dict[str, Any]]:
        """After the device ran out of memory: continue with half the batch size from the first row not yet used."""
        state = self.state
        self.optimiser.zero_grad()
        torch.cuda.empty_cache()
        before, state.batch_size = state.batch_size, state.batch_size // 2
        stepped = state.batch - state.batch % self.how.accumulate  # gradients accumulated since then are lost
        state.batch = stepped * before // state.batch_size
        if getattr(self.model, "streams", False):  # the model's memory already holds the events of these rows
            state.batch, state.loss, state.rows, state.weight = 0, 0.0, 0, 0.0
            self.model.start_epoch(self.train, state.epoch)
        state.halved, state.epoch_batches = True, 0
        self.callbacks.log_event(
            "note",
            {
                "text": f"The GPU ran out of memory; batches are halved from {before} to {state.batch_size} rows "
                f"from epoch {state.epoch + 1} on."
            },
        )
        return self.model.batches(self.train, state.epoch, batch_size=state.batch_size, start=state.batch)

    def _epoch_ended(self) -> None:
        state, how = self.state, self.how
        loss = state.loss / max(state.weight, 1)
        if not math.isfinite(loss):
            raise MMRecError(
                f"Training diverged in epoch {state.epoch + 1} (the loss is {loss}). "
                "Use a smaller lr, or clip gradients (clip=1)."
            )
        entry: dict[str, Any] = {
            "phase": state.phase,
            "epoch": state.epoch,
            "loss": loss,
            "lr": self.optimiser.param_groups[0]["lr"],
            "seconds": state.epoch_s,
            "samples_s": state.rows / max(state.epoch_s, 1e-9),
        }
        started = time.perf_counter()
        if self.validate is not None:
            try:
                score = self._validation_score(self.validate)
            except Interrupted:  # stopped during validation: the epoch's steps are done, a resumed run validates again
                self._save()
                self._interrupt()
            entry[self.metric] = score
            if self.protocol:
                entry["judged"] = self.protocol
            better = self.sign * score > state.best_score
            if better:
                state.best_score, state.since, state.best_epoch = self.sign * score, 0, state.epoch
                self.best = self.model.snapshot()
            else:
                state.since += 1
                state.done = state.since >= how.patience and state.steps >= SETTLED_STEPS
        else:
            state.best_epoch = state.epoch
        if self.schedule is not None:
            self.schedule.step(*([self.sign * entry[self.metric]] if how.schedule == "plateau" else []))
        entry["judge_s"] = time.perf_counter() - started
        state.epochs.append(entry)
        state.seconds += state.epoch_s + entry["judge_s"]
        state.epoch_batches, state.batch, state.epoch_s = state.batch, 0, 0.0
        state.epoch += 1
        self._snapshot()
        self.callbacks.log_event("epoch", entry)
        self.callbacks.progress(state.epoch * state.epoch_batches, how.max_epochs * state.epoch_batches, self._doing())
        stop = self.callbacks.stop.wanted if self.world == 1 else self.fabric.broadcast(self.callbacks.stop.wanted)
        if stop and not state.done:
            self._save()
            self._interrupt()

    def _snapshot(self) -> None:
        """Offer the weights after an epoch to the callback that keeps some of them."""
        if self.how.snapshots and self.rank == 0:
            self.callbacks.snapshot(self.model, self.state.epoch, self.state.phase)

    def _interrupt(self) -> NoReturn:
        """Restore the best weights and raise :class:`Interrupted`; the checkpoint is already written."""
        if self.best is not None:
            self.model.restore(self.best)
        self.model.eval()
        raise Interrupted(self.model)

    def _doing(self) -> str:
        return "training" if self.state.phase == "fit" else "training anew on all rows"

    def _tick(self, loss: float, samples_s: float) -> None:
        state, per_epoch = self.state, self.state.epoch_batches or self._guess()
        at = state.epoch + state.batch / per_epoch
        self.callbacks.log_event(
            "tick",
            {"epoch": state.epoch, "at": at, "loss": loss, "samples_s": samples_s, **_memory(self.fabric.device)},
        )
        done = min(state.epoch * per_epoch + state.batch, self.how.max_epochs * per_epoch)
        self.callbacks.progress(done, self.how.max_epochs * per_epoch, self._doing())

    def _guess(self) -> int:
        """Estimated number of batches in an epoch, during the first one."""
        rows = self.learner.epoch_rows(self.train)
        return max(math.ceil(rows / self.state.batch_size), self.state.batch + 1)

    # Checkpoints

    def _save(self) -> None:
        if self.file is None or self.rank:
            self.saved = time.perf_counter()
            return
        moments, groups = checkpoint.flat_optimiser(self.optimiser)
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"optimiser.{k}": v for k, v in moments.items()}
        tensors |= {f"best.{k}": v for k, v in (self.best or {}).items()}
        counters = {
            "course": asdict(self.state), "optimiser": groups, "how": self.how.model_dump(),
            "schedule": self.schedule.state_dict() if self.schedule is not None else None,
            "scaler": self.fabric.strategy.precision.state_dict(), "metric": self.metric, "judged": self.protocol,
        }  # fmt: skip
        checkpoint.write(self.file, tensors, counters)
        self.saved = time.perf_counter()

    def _resumed(self) -> TrainState | None:
        """The state of the checkpoint, with model, optimiser, schedule and scaler restored; ``None`` without a
        checkpoint.

        Raises:
            MMRecError: the checkpoint was made with other settings.
        """
        if self.file is None or not self.file.exists():
            return None
        tensors, counters = checkpoint.read(self.file)
        state = TrainState(**counters["course"])
        mine, theirs = self.how.model_dump(), dict(counters["how"])
        if changed := [
            k
            for k in mine
            if k in theirs and k not in {"checkpoint_s", "snapshots", "device", "compile"} and mine[k] != theirs[k]
        ]:
            raise MMRecError(
                f"The checkpoint was made with another {changed[0]} ({theirs.get(changed[0])}); start a new run."
            )
        if self.validate is not None and state.epochs and counters.get("judged", "") != self.protocol:
            raise MMRecError(
                "The checkpoint's validation scores were computed by another protocol than today's; start a new run."
            )
        here = self.fabric.device
        self.model.restore({k: v.to(here) for k, v in checkpoint.nested(tensors, "model").items()})
        checkpoint.restore_optimiser(self.optimiser, checkpoint.nested(tensors, "optimiser"), counters["optimiser"])
        self.best = {k: v.to(here) for k, v in checkpoint.nested(tensors, "best").items()} or None
        if self.schedule is not None and counters["schedule"]:
            self.schedule.load_state_dict(counters["schedule"])
        if counters["scaler"]:
            self.fabric.strategy.precision.load_state_dict(counters["scaler"])
        if not state.done:
            self.callbacks.log_event(
                "note", {"text": f"Resumed from its checkpoint: epoch {state.epoch + 1}, batch {state.batch + 1}."}
            )
        return state


def _total(losses: list[Tensor]) -> float:
    return float(torch.stack(losses).double().sum()) if losses else 0.0


def _memory(device: torch.device) -> dict[str, float]:
    """Memory of this process in MiB; on a GPU also its memory and, if NVML is there, its load in percent."""
    import psutil

    values = {"host_mib": round(psutil.Process().memory_info().rss / 2**20, 1)}
    if device.type == "cuda":
        values["gpu_mib"] = round(torch.cuda.memory_reserved(device) / 2**20, 1)
        with contextlib.suppress(Exception):  # NVML may be missing
            values["gpu_use"] = float(torch.cuda.utilization(device))
    return values


@contextlib.contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
