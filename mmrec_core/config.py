"""The one form that every setting takes: frozen, checked, each field with a default, a range, a unit and a meaning."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Base of every config; unknown keys and values out of range are refused.

    The training form, ``--set``, the search space and ``config.json`` all derive from the fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def setting(
    default: Any,
    meaning: str,
    *,
    ge: float | None = None,
    le: float | None = None,
    unit: str = "",
    log: bool = False,
    advanced: bool = False,
    pattern: str | None = None,
) -> Any:
    """A config field: default, one-line meaning, range, unit; ``log`` marks a setting that is searched by powers."""
    extra: dict[str, Any] = {"unit": unit, "log": log, "advanced": advanced}
    return Field(default, description=meaning, ge=ge, le=le, pattern=pattern, json_schema_extra=extra)


class TrainConfig(Config):
    """How a gradient model is trained; closed forms have no use for it and refuse it."""

    max_epochs: int = setting(50, "passes over the training rows at most", ge=1, le=10_000, unit="epochs")
    batch_size: int = setting(2048, "training rows in one step", ge=1, le=1_000_000, unit="rows")
    lr: float = setting(0.005, "size of a step (Adam's learning rate)", ge=1e-7, le=10.0, log=True)
    weight_decay: float = setting(
        0.0, "pull of all weights towards zero at each step (AdamW)", ge=0.0, le=10.0, log=True
    )
    patience: int = setting(
        5,
        "epochs without a better validation score before stopping (never before 500 steps); 0: no validation, every epoch, "
        "the last weights",
        ge=0,
        le=1000,
    )
    clip: float = setting(0.0, "largest gradient norm; 0 does not clip", ge=0.0, le=1000.0)
    accumulate: int = setting(
        1, "batches whose gradients are added up before a step", ge=1, le=1024, unit="batches", advanced=True
    )
    schedule: Literal["constant", "plateau", "cosine"] = setting(
        "constant",
        "how lr goes on: constant; plateau halves it when validation has not improved for plateau_patience epochs; "
        "cosine lowers it to zero over max_epochs",
    )
    plateau_patience: int = setting(
        2, "epochs without improvement before plateau halves lr", ge=0, le=1000, advanced=True
    )
    precision: Literal["fp32", "bf16", "fp16"] = setting(
        "fp32", "number format of the arithmetic; what the device cannot do is said, and fp32 used"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "where to train")
    compile: bool = setting(
        False,
        "turn the loss into machine code of its own first (torch.compile): half a minute that only long trainings earn back; one process only",
        advanced=True,
    )
    deterministic: bool = setting(
        False, "insist on algorithms that give the same bits each time (slower on a GPU)", advanced=True
    )
    checkpoint_s: float = setting(
        20.0,
        "time between checkpoints, which is what a killed run loses at most",
        ge=0.0,
        le=86_400.0,
        unit="s",
        advanced=True,
    )
