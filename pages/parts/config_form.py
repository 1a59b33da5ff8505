"""A form from a config's schema: one widget per field, with its meaning, range and unit. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from mmrec_core import registry

LABELS = {
    "lr": "learning rate (lr)",
    "patience": "early-stopping patience",
    "plateau_patience": "learning-rate patience",
    "schedule": "learning-rate schedule",
    "clip": "gradient clipping",
    "accumulate": "gradient accumulation",
    "id_dropout": "id-embedding dropout",
    "checkpoint_s": "checkpoint interval",
    "l2": "L2 regularisation",
}
"""Labels of fields whose name alone is not clear; the others are labelled with their name."""


def config_form(
    room: str, name: str, *, key: str, advanced: bool | None = False, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Widgets for the fields of an entry's config; returns only the values that differ from the defaults.

    Args:
        advanced: ``True`` shows the rarely needed fields only, ``False`` the others, ``None`` all of them.
        given: values to begin with instead of the defaults.
    """
    schema = registry.schema(room, name)
    return fields_form(
        schema["config"], key=f"{key}.{room}.{name}", advanced=advanced, given=given, preset=schema["preset"]
    )


def fields_form(
    schema: Mapping[str, Any], *, key: str, advanced: bool | None = False, given: Mapping[str, Any] | None = None,
    preset: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Widgets for the fields of a JSON schema, in a grid; returns only the values that differ from the defaults."""
    shown = {
        field: about
        for field, about in schema.get("properties", {}).items()
        if advanced is None or bool(about.get("advanced")) == advanced
    }
    chosen: dict[str, Any] = {}
    if not shown:
        return chosen
    with st.grid(min_column_width=170):
        for field, about in shown.items():
            default = (preset or {}).get(field, about.get("default"))
            start = type(default)(given[field]) if given and field in given and default is not None else default
            value = _widget(field, about, start, f"{key}.{field}")
            if value != default:
                chosen[field] = value
    return chosen


def step(schema: Mapping[str, Any]) -> Any:
    """What a press on plus or minus adds: an eighth of a whole number's default, the leading digit's unit of a
    fraction's."""
    default = schema.get("default") or 0
    if schema.get("type") == "integer":
        return max(1, int(default) // 8)
    if not default:
        return 0.001 if schema.get("log") else 0.5
    return float(10 ** math.floor(math.log10(abs(default))))


def _widget(field: str, schema: dict[str, Any], default: Any, key: str) -> Any:
    unit = schema.get("unit") or ""
    label = f"{LABELS.get(field, field.replace('_', ' '))}{f' ({unit})' if unit else ''}"
    low, high = schema.get("minimum"), schema.get("maximum")
    span = f" From {low:g} to {high:g}." if low is not None and high is not None else ""
    meaning = schema.get("description", "")
    help_text = f"{meaning[:1].upper()}{meaning[1:]}.{span}"
    if "enum" in schema:
        return st.selectbox(label, schema["enum"], index=schema["enum"].index(default), help=help_text, key=key)
    kind = schema.get("type")
    if kind == "boolean":
        return st.toggle(label, value=bool(default), help=help_text, key=key)
    if kind == "integer":
        return int(st.number_input(label, low, high, int(default), step=step(schema), help=help_text, key=key))
    if kind == "number":
        as_float = {k: None if v is None else float(v) for k, v in (("low", low), ("high", high))}
        return float(
            st.number_input(
                label,
                as_float["low"],
                as_float["high"],
                float(default),
                step=step(schema),
                format="%g",
                help=help_text,
                key=key,
            )
        )
    return st.text_input(label, value=str(default or ""), help=help_text, key=key)
