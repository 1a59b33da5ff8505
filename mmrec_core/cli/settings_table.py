"""Settings of a model as a table of text: name, default, range, and what each one means."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any


def rows_of(schema: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    """The settings of a model (``part`` is ``config``) or of its trainer (``train``) from its schema.

    Returns:
        For each setting ``name``, ``default``, ``range``, ``unit`` and ``meaning``.
    """
    fields = schema.get(part, {}).get("properties", {})
    own = set(schema["config"].get("properties", {})) if part == "train" else set()
    return [
        {
            "name": name,
            "default": schema["preset"].get(name, field.get("default")),
            "range": range_of(field),
            "unit": field.get("unit", ""),
            "meaning": field.get("description", ""),
        }
        for name, field in fields.items()
        if name not in own
    ]


def range_of(field: Mapping[str, Any]) -> str:
    """The values that a setting takes: ``1 … 512``, ``concat | film`` or ``true | false``."""
    if choices := field.get("enum"):
        return " | ".join(map(str, choices))
    if field.get("const") is not None:
        return str(field["const"])
    if field.get("type") == "boolean":
        return "true | false"
    low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum", field.get("exclusiveMaximum"))
    if low is not None or high is not None:
        return f"{'−∞' if low is None else f'{low:,.10g}'} … {'∞' if high is None else f'{high:,.10g}'}"
    options = [range_of(option) for option in field.get("anyOf", ()) if option.get("type") != "null"]
    return " or ".join(option for option in options if option) or ("text" if field.get("type") == "string" else "")


def settings_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The settings as text, one paragraph each, as wide as the terminal (100 columns where there is none)."""
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    out = ""
    for row in rows:
        default = {True: "true", False: "false"}.get(row["default"]) if isinstance(row["default"], bool) else None
        unit = f" {row['unit']}" if row["unit"] else ""
        values = f", {row['range']}" if row["range"] else ""
        out += f"  {row['name']}: default {default or row['default']}{unit}{values}\n"
        out += textwrap.fill(row["meaning"], width, initial_indent="      ", subsequent_indent="      ") + "\n"
    return out
