"""Search space of a model: which settings are tuned and in which range, read from its config or given by the user.

A config allows more than is worth trying (``lr`` up to 10), so the default range is around the default value: from 1/30
to 30 times on a log scale (1/8 to 8 times for integers), a few steps for other integers, and the whole range for
shares. A range is never beyond the limits of the config.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmrec_core import registry
from mmrec_core.errors import MMRecError, unknown_name

LEFT_OUT = {
    "max_epochs",
    "patience",
    "device",
    "compile",
    "deterministic",
    "checkpoint_s",
    "snapshots",
    "precision",
    "schedule",
    "plateau_patience",
    "accumulate",
}
"""Trainer settings that are not tuned: they decide duration and device, not quality; the scheduler decides the
duration."""
ZERO_SPAN = (1e-6, 1e-1)
"""Range of a setting on a log scale with default zero."""


@dataclass(frozen=True)
class Dimension:
    """One tuned setting: a range of numbers, or a list of values."""

    name: str
    kind: str
    """``int``, ``float`` or ``choice``."""
    default: Any
    low: float | None = None
    high: float | None = None
    log: bool = False
    values: tuple[Any, ...] = ()
    meaning: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "values": list(self.values)}

    def inside(self, value: Any) -> Any:
        """The nearest value within the range."""
        if self.kind == "choice":
            return value if value in self.values else self.values[0]
        assert self.low is not None and self.high is not None
        nearest = min(max(value, self.low), self.high)
        return int(nearest) if self.kind == "int" else float(nearest)

    def words(self) -> str:
        """A short text such as ``lr 0.0005 … 0.05 (log scale)``."""
        if self.kind == "choice":
            return f"{self.name} {' | '.join(map(str, self.values))}"
        return f"{self.name} {self.low:g} … {self.high:g}{' (log scale)' if self.log else ''}"


def searchable(model: str) -> dict[str, Dimension]:
    """All settings of a model that can be tuned, by name: its own first, then the trainer's."""
    schema = registry.schema("models", model)
    known = {**schema["config"].get("properties", {}), **schema.get("train", {}).get("properties", {})}
    found = {}
    for name, about in known.items():
        default = schema["preset"].get(name, about.get("default"))
        made = None if name in LEFT_OUT else _around(name, about, default)
        if made is not None:
            found[name] = made
    return found


def usual(model: str) -> list[str]:
    """Settings that are tuned by default: numbers on a log scale, dropout, ``lr`` and a few others."""
    schema = registry.schema("models", model)
    own = schema["config"].get("properties", {})
    names = [
        name
        for name, found in searchable(model).items()
        if found.kind != "choice"
        and (
            name == "lr"
            or (
                name in own
                and not own[name].get("advanced")
                and name != "id_dropout"
                and (found.log or name in {"dropout", "k", "shrink", "layers"})
            )
        )
    ]
    return names or [name for name, found in searchable(model).items() if name in own and not own[name].get("advanced")]


def _around(name: str, about: Mapping[str, Any], default: Any) -> Dimension | None:
    """The range of a setting around its default; ``None`` for text, or if there is only one value."""
    meaning = str(about.get("description", ""))
    if about.get("enum"):
        return (
            Dimension(name, "choice", default, values=tuple(about["enum"]), meaning=meaning)
            if len(about["enum"]) > 1
            else None
        )
    if about.get("type") == "boolean":
        return Dimension(name, "choice", default, values=(False, True), meaning=meaning)
    if about.get("type") not in {"integer", "number"}:
        return None
    whole = about["type"] == "integer"
    least, most = float(about.get("minimum", 0)), float(about.get("maximum", float("inf")))
    log = bool(about.get("log")) or name == "batch_size"
    if log and default:
        factor = 8 if whole else 30
        low, high = default / factor, default * factor
    elif log:
        low, high = ZERO_SPAN
    elif whole:
        low, high = min(default / 2, default - 2), max(default * 2, default + 2)
    else:
        low, high = (least, most) if most <= 1 else (0.0, max(10 * default, 100.0))
    low, high = max(_plain(low), least), min(_plain(high), most)
    if whole:
        low, high = max(round(low), 1 if log else round(low)), round(high)
    return (
        Dimension(name, "int" if whole else "float", default, low, high, log and low > 0, meaning=meaning)
        if low < high
        else None
    )


def _plain(value: float) -> float:
    """A number rounded to one or two significant digits."""
    return float(f"{value:.1g}") if abs(value) < 1 else float(f"{value:.2g}")


def space(model: str, over: Sequence[str] = ()) -> list[Dimension]:
    """The dimensions of a search.

    Args:
        model: name of the model.
        over: names such as ``dim``, with a range as in ``lr=1e-4:1e-2`` or values as in ``loss=bce|ce``; none:
            :func:`usual`.

    Raises:
        MMRecError: nothing to search, an unknown setting, or a range beyond the limits of the config.
    """
    known = searchable(model)
    found = []
    for text in over or usual(model):
        name, _, span = text.partition("=")
        if name not in known:
            raise unknown_name("setting to tune", name, sorted(known))
        found.append(_narrowed(model, known[name], span) if span else known[name])
    if not found:
        raise MMRecError(f"'{model}' has no setting to tune.")
    if doubled := {d.name for d in found if sum(o.name == d.name for o in found) > 1}:
        raise MMRecError(f"'{min(doubled)}' is named twice.")
    return found


def _narrowed(model: str, known: Dimension, span: str) -> Dimension:
    """A dimension with the range or the values that the user gave.

    Raises:
        MMRecError: no valid range, or one beyond the limits of the config.
    """
    about = {**registry.schema("models", model)["config"].get("properties", {}),
             **registry.schema("models", model).get("train", {}).get("properties", {})}[known.name]  # fmt: skip
    kind = {"int": int, "float": float}.get(known.kind)
    try:
        if "|" in span:
            values: tuple[Any, ...] = tuple(_value(known, kind, v) for v in span.split("|"))
            made = Dimension(known.name, "choice", known.default, values=values, meaning=known.meaning)
        else:
            low, high = (float(v) for v in span.split(":"))
            if kind is None or not low < high:
                raise ValueError
            made = Dimension(
                known.name, known.kind, known.default, low, high, known.log and low > 0, meaning=known.meaning
            )
    except ValueError:
        example = "|".join(map(str, known.values)) if known.kind == "choice" else f"{known.low:g}:{known.high:g}"
        raise MMRecError(
            f"'{span}' is no range of '{known.name}'; expected low:high or values, such as {known.name}={example}."
        ) from None
    ends = [v for v in (made.low, made.high, *(made.values if kind else ())) if v is not None]
    for value in ends:
        if not float(about.get("minimum", value)) <= value <= float(about.get("maximum", value)):
            raise MMRecError(
                f"'{known.name}' of '{model}' goes from {about.get('minimum'):g} to {about.get('maximum'):g}; "
                f"{value:g} lies outside."
            )
    return made


def _value(known: Dimension, kind: Any, text: str) -> Any:
    """A value of a setting from its text.

    Raises:
        ValueError: it is no value of the setting.
    """
    if kind is not None:
        return kind(text)
    by_name = {str(value).lower(): value for value in known.values}
    if text.strip().lower() not in by_name:
        raise ValueError(text)
    return by_name[text.strip().lower()]
