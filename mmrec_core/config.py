"""Base classes of all settings: frozen pydantic models; fields have a default, a range, a unit and a description."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Base class of every config. Unknown keys and values out of range are refused.

    The training form, ``--set``, the search space and ``config.json`` are derived from the fields.
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
    """Declare a config field.

    Args:
        default: the default value.
        meaning: one-line description for forms and ``--help``.
        ge: lowest value allowed.
        le: highest value allowed.
        unit: unit of the value, such as ``rows``.
        log: whether the search space is logarithmic.
        advanced: whether forms show it only on request.
        pattern: regular expression that a text must match.

    Returns:
        A pydantic field.
    """
    extra: dict[str, Any] = {"unit": unit, "log": log, "advanced": advanced}
    return Field(default, description=meaning, ge=ge, le=le, pattern=pattern, json_schema_extra=extra)


class TrainConfig(Config):
    """Settings of gradient training. Models with a closed-form solution do not take them."""

    max_epochs: int = setting(50, "largest number of passes over the training rows", ge=1, le=10_000, unit="epochs")
    batch_size: int = setting(2048, "training rows in one step", ge=1, le=1_000_000, unit="rows")
    lr: float = setting(0.005, "size of a step (Adam's learning rate)", ge=1e-7, le=10.0, log=True)
    weight_decay: float = setting(
        0.0, "pull of all weights towards zero at each step (AdamW)", ge=0.0, le=10.0, log=True
    )
    patience: int = setting(
        5,
        "epochs without a better validation score before stopping (never before 500 steps); 0: no validation, every "
        "epoch, the last weights",
        ge=0,
        le=1000,
    )
    clip: float = setting(0.0, "largest gradient norm; 0 does not clip", ge=0.0, le=1000.0)
    accumulate: int = setting(
        1, "batches whose gradients are added up before a step", ge=1, le=1024, unit="batches", advanced=True
    )
    schedule: Literal["constant", "plateau", "cosine"] = setting(
        "constant",
        "how lr changes: constant; plateau halves it when validation has not improved for plateau_patience epochs; "
        "cosine lowers it to zero over max_epochs",
    )
    plateau_patience: int = setting(
        2, "epochs without improvement before plateau halves lr", ge=0, le=1000, advanced=True
    )
    precision: Literal["fp32", "bf16", "fp16"] = setting(
        "fp32", "number format of the arithmetic; fp32 is used, with a note, where the device has no support"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "where to train")
    compile: bool = setting(
        False,
        "compile the loss first (torch.compile): takes half a minute, so only long training runs become faster; one "
        "process "
        "only",
        advanced=True,
    )
    deterministic: bool = setting(
        False, "use only algorithms that give the same bits each time (slower on a GPU)", advanced=True
    )
    snapshots: bool = setting(
        True,
        "keep up to twelve snapshots of the weights, which the page Inside replays; at most 5 MB, none of a model that"
        " is too large for four",
        advanced=True,
    )
    checkpoint_s: float = setting(
        20.0,
        "time between checkpoints; a killed run loses at most this much",
        ge=0.0,
        le=86_400.0,
        unit="s",
        advanced=True,
    )
