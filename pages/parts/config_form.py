"""A form from a config's schema: one widget per field, with its meaning, range and unit. Needs no torch."""

from __future__ import annotations

from typing import Any

import streamlit as st

from mmrec_core import registry


def config_form(room: str, name: str, *, key: str, advanced: bool = False) -> dict[str, Any]:
    """Widgets for every field of an entry's config; returns only the values that differ from the defaults."""
    told = registry.schema(room, name)
    chosen: dict[str, Any] = {}
    for field, schema in told["config"].get("properties", {}).items():
        if schema.get("advanced") and not advanced:
            continue
        default = told["preset"].get(field, schema.get("default"))
        value = _widget(field, schema, default, f"{key}.{room}.{name}.{field}")
        if value != default:
            chosen[field] = value
    return chosen


def _widget(field: str, schema: dict[str, Any], default: Any, key: str) -> Any:
    unit = schema.get("unit") or ""
    label = f"{field.replace('_', ' ')}{f' ({unit})' if unit else ''}"
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
        return int(st.number_input(label, low, high, int(default), step=1, help=help_text, key=key))
    if kind == "number":
        as_float = {k: None if v is None else float(v) for k, v in (("low", low), ("high", high))}
        return float(
            st.number_input(
                label, as_float["low"], as_float["high"], float(default), format="%g", help=help_text, key=key
            )
        )
    return st.text_input(label, value=str(default or ""), help=help_text, key=key)
