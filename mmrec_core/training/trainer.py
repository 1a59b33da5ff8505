"""Gradient descent through Lightning Fabric: steps, schedules, early stopping, checkpoints at any step.

Everything random within a step is drawn from (seed, epoch, batch), so a training that goes on from a checkpoint takes the
very steps it would have taken: it ends with the same weights as one that was never interrupted.
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
"""No early stop before so many steps: on small data an epoch is a few steps, and a model that starts near zero needs
more than a few to leave the plateau of what everybody likes."""
AGREE_STEPS = 16
"""How often several processes agree on whether to stop or to write a checkpoint."""
TICK_S = 0.5
"""How often progress is told within an epoch, at most."""

Judge = Callable[[], float]


class Learner(Protocol):
    """What descent asks of a module; every :class:`~mmrec_core.models._base.GradientModel` has it, and encoders' trainers."""

    seed: int

    def epoch_rows(self, train: Any) -> int:
        """Rows in an epoch."""

    def start_epoch(self, train: Any, epoch: int) -> None:
        """Before each epoch."""

    def batches(self, train: Any, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """Ready tensors, a function of (seed, epoch), from batch ``start`` on; the first one of a batch has a row per row."""

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Mean loss of a batch."""

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of all tensors."""

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to a snapshot."""


@dataclass
class TrainState:
    """How far a descent has come: all of a checkpoint but its tensors."""

    phase: str
    batch_size: int
    epoch: int = 0
    batch: int = 0
    """Batches of the epoch that are done."""
    steps: int = 0
    epoch_batches: int = 0
    """Batches in an epoch; 0 until the first has ended."""
    loss: float = 0.0
    """Sum of the epoch's losses so far, row by row."""
    rows: int = 0
    """Rows behind that sum."""
    weight: float = 0.0
    """What that sum is to be divided by: rows, where a batch's loss is their mean."""
    epoch_s: float = 0.0
    seconds: float = 0.0
    best_score: float = -math.inf
    best_epoch: int | None = None
    since: int = 0
    halved: bool = False
    done: bool = False
    epochs: list[dict[str, Any]] = field(default_factory=list)


def able_precision(wanted: str, device: str) -> tuple[str, str | None]:
    """The number format to use, and what is to be said where it is not the one asked for."""
    if wanted == "fp32":
        return wanted, None
    why = None
    if wanted == "fp16" and device != "cuda":
        why = f"fp16 needs an NVIDIA GPU; this trains on {device}"
    elif wanted == "bf16" and device == "mps":
        why = "bf16 is not offered on Apple's GPU"
    elif wanted == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        why = "this GPU has no bf16"
    return (wanted, None) if why is None else ("fp32", f"{why}, so the training goes on in fp32.")


def train_model(
    model: Any,
    train: Any,
    how: TrainConfig,
    judge: Judge | None,
    sign: float = 1.0,
    metric: str = "",
    callbacks: TrainingCallbacks | None = None,
    phase: str = "fit",
    device: str = "cpu",
    judged: str = "",
) -> TrainState:
    """Take steps on ``model`` until validation has not improved for ``patience`` epochs, or ``max_epochs`` are over.

    Args:
        model: a module that is a :class:`Learner`; begins as it is (its constructor's seeded weights, or warm-started ones); ends with its best epoch's weights.
        judge: gives the validation score after an epoch; ``None``: no early stop, the last weights stay.
        sign: +1 where higher scores are better, −1 where lower.
        metric: what the score is called in each epoch's entry.
        desk: where to write checkpoints and tell news.
        phase: names the descent and its checkpoint (``fit``, ``refit``).
        judged: how the score is come by, where that is not as usual; stands in each epoch's entry.

    Raises:
        MMRecError: the loss is not finite, or the checkpoint belongs to other settings.
        Interrupted: a stop was asked for; the best weights are in the model, the state in the checkpoint.
    """
    return _Trainer(
        model, train, how, judge, sign, metric, callbacks or TrainingCallbacks(), phase, device, judged
    ).run()


class _Trainer:
    def __init__(
        self, model: Any, train: Any, how: TrainConfig, judge: Judge | None, sign: float, metric: str,
        callbacks: TrainingCallbacks, phase: str, device: str, judged: str,
    ) -> None:  # fmt: skip
        settings.silence_telemetry()
        if device == "cpu":
            runtime.keep_memory()
        from lightning_fabric import Fabric

        self.model, self.train, self.how, self.judge = model, train, how, judge
        self.learner: Learner = model
        self.sign, self.metric, self.callbacks, self.judged = sign, metric, callbacks, judged
        precision, said = able_precision(how.precision, device)
        if said:
            callbacks.log_event("note", {"text": said})
        logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.fabric = Fabric(
                accelerator={"cuda": "gpu"}.get(device, device), **distributed.fabric_options(device),
                precision={"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[precision],  # type: ignore[arg-type]
            )  # fmt: skip
        if distributed.world() > 1:
            self.fabric.launch()
        # one pass over all weights and moments instead of one per operation: 7 times faster on large tables
        fused = device in {"cpu", "cuda"}
        self.optimiser = torch.optim.AdamW(model.parameters(), lr=how.lr, weight_decay=how.weight_decay, fused=fused)
        self.module, self.stepper = self.fabric.setup(model, self.optimiser)
        self.rank, self.world = distributed.rank(), distributed.world()
        self.loss = torch.compile(model.loss, dynamic=True) if how.compile else model.loss
        if self.world > 1:
            if getattr(model, "streams", False):
                raise MMRecError(
                    f"'{getattr(model, 'name', 'This model')}' keeps a memory of events in their order, which several processes cannot share; use one worker."
                )
            self.module.mark_forward_method("loss")
        self.schedule = self._schedule()
        self.course = TrainState(phase, how.batch_size)
        self.best: dict[str, Tensor] | None = None
        self.saved = time.perf_counter()
        self.file = callbacks.folder / f"{phase}.safetensors" if callbacks.folder is not None else None

    def _schedule(self) -> Any:
        from torch.optim import lr_scheduler

        if self.how.schedule == "cosine":
            return lr_scheduler.CosineAnnealingLR(self.optimiser, self.how.max_epochs)
        if self.how.schedule == "plateau":
            if self.judge is None:
                raise MMRecError("schedule=plateau watches validation, which patience=0 leaves out; use cosine.")
            # threshold 0: a relative one would call a slightly worse score an improvement where scores are negative
            return lr_scheduler.ReduceLROnPlateau(self.optimiser, "max", 0.5, self.how.plateau_patience, threshold=0.0)
        return None

    def run(self) -> TrainState:
        course = self.course = self._resumed() or self.course
        with _deterministic(self.how.deterministic), self.callbacks.stop.watch():
            while not course.done and course.epoch < self.how.max_epochs:
                self._epoch()
                self._epoch_ended()
                if not course.done and time.perf_counter() - self.saved >= self.how.checkpoint_s:
                    self._save()
        course.done = True
        if self.best is not None:
            self.model.restore(self.best)
        self._save()
        self.model.eval()
        return course

    def _epoch(self) -> None:
        course, model, how = self.course, self.model, self.how
        model.train()
        if course.batch == 0:
            model.start_epoch(self.train, course.epoch)
            course.loss, course.rows, course.weight, course.epoch_s = 0.0, 0, 0.0, 0.0
        started, told_at = time.perf_counter() - course.epoch_s, time.perf_counter()
        told_rows = course.rows
        losses: list[Tensor] = []  # read together: reading one waits for the device
        summed = 0
        batches = model.batches(self.train, course.epoch, batch_size=course.batch_size, start=course.batch)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    break
                n = len(next(iter(batch.values())))
                weight = getattr(model, "weight", lambda _: n)(batch)
                at_boundary = (course.batch + 1) % how.accumulate == 0
                loss = self._step(_to(batch, self.fabric.device), weight)
                summed += 1
                if at_boundary:
                    self._update()
                    summed = 0
            except torch.OutOfMemoryError:
                if course.halved or course.batch_size < 2 or self.world > 1:
                    raise MMRecError(
                        f"The GPU's memory is full even with batches of {course.batch_size} rows. Use a smaller model or --device cpu."
                    ) from None
                batches, summed = self._halve(), 0
                continue
            losses.append(loss * weight)
            course.weight += weight
            course.batch, course.rows = course.batch + 1, course.rows + n
            now = time.perf_counter()
            stop, save = self._agreed(at_boundary, now - self.saved >= how.checkpoint_s)
            if now - told_at >= TICK_S or stop:
                last = float(loss)
                course.loss, losses = course.loss + _total(losses), []
                course.epoch_s = now - started
                self._tick(last, (course.rows - told_rows) / max(now - told_at, 1e-9))
                told_at, told_rows = now, course.rows
            if (stop or save) and self.file:
                course.loss, losses = course.loss + _total(losses), []
                course.epoch_s = now - started
                self._save()
            if stop:
                self._interrupt()
        if summed:
            self._update()
        course.loss += _total(losses)
        course.epoch_s = time.perf_counter() - started

    def _agreed(self, at_boundary: bool, due: bool) -> tuple[bool, bool]:
        """Whether to stop, and whether to write a checkpoint, between two steps; several processes go by the first one's clock, now and then."""
        if not at_boundary:
            return False, False
        if self.world == 1:
            return self.callbacks.stop.wanted, due
        if self.course.batch % AGREE_STEPS:
            return False, False
        stop, save = self.fabric.broadcast((self.callbacks.stop.wanted, due))
        return stop, save

    def _judged(self, judge: Judge) -> float:
        """The validation score; of several processes the first one judges.

        Raises:
            Interrupted: a stop was asked for meanwhile.
        """
        if self.world == 1:
            return judge()
        told: float | None = None
        if self.rank == 0:
            with contextlib.suppress(Interrupted):
                told = judge()
        told = self.fabric.broadcast(told)
        if told is None:
            raise Interrupted()
        return told

    def _step(self, batch: dict[str, Any], weight: float) -> Tensor:
        """Forward and backward on one batch of ``weight``, or on this process's share of it."""
        if self.course.batch % self.how.accumulate == 0:
            self.optimiser.zero_grad()
        own = [] if self.rank == 0 else [self.rank]  # what is silenced differs from process to process
        draw = np.random.SeedSequence([self.model.seed, self.course.epoch, self.course.batch, 77, *own]).generate_state(
            2
        )
        seed = int(draw[0]) << 31 | int(draw[1]) >> 1
        torch.default_generator.manual_seed(seed)
        if self.fabric.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif self.fabric.device.type == "mps":
            torch.mps.manual_seed(seed)
        if self.world == 1:
            with self.fabric.autocast():  # a module on one device is not wrapped, so nothing else would switch it on
                loss: Tensor = self.loss(batch)
            self.fabric.backward(loss / self.how.accumulate)
            return loss.detach()
        rows = len(next(iter(batch.values())))
        part = distributed.share(batch, self.rank, self.world)
        counts = getattr(self.model, "weight", lambda b: len(next(iter(b.values()))))(part) if self.rank < rows else 0
        loss = self.module.loss(part)
        # DDP takes the mean over processes; rows are to count alike, whoever holds them
        portion = loss * (counts / max(weight, 1)) if counts else loss.nan_to_num() * 0.0
        self.fabric.backward(portion * self.world / self.how.accumulate)
        whole: Tensor = self.fabric.all_reduce(portion.detach(), reduce_op="sum")  # type: ignore[assignment]
        return whole

    def _update(self) -> None:
        if self.how.clip:
            self.fabric.clip_gradients(self.module, self.stepper, max_norm=self.how.clip, error_if_nonfinite=False)
        self.stepper.step()
        self.optimiser.zero_grad()
        self.course.steps += 1

    def _halve(self) -> Iterator[dict[str, Any]]:
        """After the device ran out of memory: go on with batches half the size from the first row not yet done."""
        course = self.course
        self.optimiser.zero_grad()
        torch.cuda.empty_cache()
        before, course.batch_size = course.batch_size, course.batch_size // 2
        stepped = course.batch - course.batch % self.how.accumulate  # gradients summed since then are gone
        course.batch = stepped * before // course.batch_size
        if getattr(self.model, "streams", False):  # a memory has taken in what would be predicted again
            course.batch, course.loss, course.rows, course.weight = 0, 0.0, 0, 0.0
            self.model.start_epoch(self.train, course.epoch)
        course.halved, course.epoch_batches = True, 0
        self.callbacks.log_event(
            "note",
            {"text": f"The GPU ran out of memory; batches are halved from {before} to {course.batch_size} rows from epoch {course.epoch + 1} on."},
        )  # fmt: skip
        return self.model.batches(self.train, course.epoch, batch_size=course.batch_size, start=course.batch)

    def _epoch_ended(self) -> None:
        course, how = self.course, self.how
        loss = course.loss / max(course.weight, 1)
        if not math.isfinite(loss):
            raise MMRecError(
                f"Training diverged in epoch {course.epoch + 1} (the loss is {loss}). Use a smaller lr, or clip gradients (clip=1)."
            )
        entry: dict[str, Any] = {
            "phase": course.phase, "epoch": course.epoch, "loss": loss, "lr": self.optimiser.param_groups[0]["lr"], "seconds": course.epoch_s,
            "samples_s": course.rows / max(course.epoch_s, 1e-9),
        }  # fmt: skip
        judging = time.perf_counter()
        if self.judge is not None:
            try:
                score = self._judged(self.judge)
            except Interrupted:  # a stop while it was judged: the epoch's steps are done, resuming judges it again
                self._save()
                self._interrupt()
            entry[self.metric] = score
            if self.judged:
                entry["judged"] = self.judged
            better = self.sign * score > course.best_score
            if better:
                course.best_score, course.since, course.best_epoch = self.sign * score, 0, course.epoch
                self.best = self.model.snapshot()
            else:
                course.since += 1
                course.done = course.since >= how.patience and course.steps >= SETTLED_STEPS
        else:
            course.best_epoch = course.epoch
        if self.schedule is not None:
            self.schedule.step(*([self.sign * entry[self.metric]] if how.schedule == "plateau" else []))
        entry["judge_s"] = time.perf_counter() - judging
        course.epochs.append(entry)
        course.seconds += course.epoch_s + entry["judge_s"]
        course.epoch_batches, course.batch, course.epoch_s = course.batch, 0, 0.0
        course.epoch += 1
        self.callbacks.log_event("epoch", entry)
        self.callbacks.progress(
            course.epoch * course.epoch_batches, how.max_epochs * course.epoch_batches, self._doing()
        )
        stop = self.callbacks.stop.wanted if self.world == 1 else self.fabric.broadcast(self.callbacks.stop.wanted)
        if stop and not course.done:
            self._save()
            self._interrupt()

    def _interrupt(self) -> NoReturn:
        """Leave with the best weights; the checkpoint is written already."""
        if self.best is not None:
            self.model.restore(self.best)
        self.model.eval()
        raise Interrupted(self.model)

    def _doing(self) -> str:
        return "training" if self.course.phase == "fit" else "training anew on all rows"

    def _tick(self, loss: float, samples_s: float) -> None:
        course, per_epoch = self.course, self.course.epoch_batches or self._guess()
        at = course.epoch + course.batch / per_epoch
        self.callbacks.log_event(
            "tick",
            {"epoch": course.epoch, "at": at, "loss": loss, "samples_s": samples_s, **_memory(self.fabric.device)},
        )
        done = min(course.epoch * per_epoch + course.batch, self.how.max_epochs * per_epoch)
        self.callbacks.progress(done, self.how.max_epochs * per_epoch, self._doing())

    def _guess(self) -> int:
        """Batches in an epoch, before the first is over."""
        rows = self.learner.epoch_rows(self.train)
        return max(math.ceil(rows / self.course.batch_size), self.course.batch + 1)

    # Checkpoints

    def _save(self) -> None:
        if self.file is None or self.rank:
            self.saved = time.perf_counter()
            return
        moments, groups = checkpoint.flat_optimiser(self.optimiser)
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"optimiser.{k}": v for k, v in moments.items()}
        tensors |= {f"best.{k}": v for k, v in (self.best or {}).items()}
        told = {
            "course": asdict(self.course), "optimiser": groups, "how": self.how.model_dump(),
            "schedule": self.schedule.state_dict() if self.schedule is not None else None,
            "scaler": self.fabric.strategy.precision.state_dict(), "metric": self.metric, "judged": self.judged,
        }  # fmt: skip
        checkpoint.write(self.file, tensors, told)
        self.saved = time.perf_counter()

    def _resumed(self) -> TrainState | None:
        """Where the checkpoint left off, put back into model, optimiser, schedule and scaler."""
        if self.file is None or not self.file.exists():
            return None
        tensors, told = checkpoint.read(self.file)
        course = TrainState(**told["course"])
        mine, theirs = self.how.model_dump(), dict(told["how"])
        if odd := [
            k for k in mine if k in theirs and k not in {"checkpoint_s", "device", "compile"} and mine[k] != theirs[k]
        ]:
            raise MMRecError(
                f"The checkpoint was made with another {odd[0]} ({theirs.get(odd[0])}); start the run anew."
            )
        if self.judge is not None and course.epochs and told.get("judged", "") != self.judged:
            raise MMRecError(
                "The checkpoint's validation scores were come by in another way than today's; start the run anew."
            )
        here = self.fabric.device
        self.model.restore({k: v.to(here) for k, v in checkpoint.nested(tensors, "model").items()})
        checkpoint.restore_optimiser(self.optimiser, checkpoint.nested(tensors, "optimiser"), told["optimiser"])
        self.best = {k: v.to(here) for k, v in checkpoint.nested(tensors, "best").items()} or None
        if self.schedule is not None and told["schedule"]:
            self.schedule.load_state_dict(told["schedule"])
        if told["scaler"]:
            self.fabric.strategy.precision.load_state_dict(told["scaler"])
        if not course.done:
            self.callbacks.log_event(
                "note", {"text": f"Goes on from its checkpoint: epoch {course.epoch + 1}, batch {course.batch + 1}."}
            )
        return course


def _total(losses: list[Tensor]) -> float:
    return float(torch.stack(losses).double().sum()) if losses else 0.0


def _memory(device: torch.device) -> dict[str, float]:
    """Memory of this process in MiB, and of the GPU with its load where NVML tells it."""
    import psutil

    told = {"host_mib": round(psutil.Process().memory_info().rss / 2**20, 1)}
    if device.type == "cuda":
        told["gpu_mib"] = round(torch.cuda.memory_reserved(device) / 2**20, 1)
        with contextlib.suppress(Exception):  # NVML may be missing; the rest is told anyhow
            told["gpu_use"] = float(torch.cuda.utilization(device))
    return told


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
