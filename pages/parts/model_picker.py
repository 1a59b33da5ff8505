"""The choice of a model: families as tiles with a picture, the models of a family as cards with a line on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts.model_pictures import picture, place

HERE = Path(__file__).parent
_PICKER = st.components.v2.component(
    "mmrec.models",
    html='<div class="picker"></div>',
    css=(HERE / "model_picker.css").read_text(encoding="utf-8"),
    js=(HERE / "model_picker.js").read_text(encoding="utf-8"),
)


def families(schemas: Mapping[str, Mapping[str, Any]], lacks: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the cards show, family by family.

    Args:
        schemas: what models declare, by name; see :func:`mmrec_core.registry.schemas`.
        lacks: why a model cannot be used, by name; models that are not named can.

    Returns:
        Families from simple to rich, each with its models by name; those that cannot be used come last.
    """
    grouped: dict[str, list[dict[str, Any]]] = {}
    for name, schema in schemas.items():
        card = {"name": name, "line": schema["summary"], "lacks": lacks.get(name, "")}
        grouped.setdefault(schema["family"], []).append(card)
    return [
        {
            "name": family,
            "picture": picture(family),
            "models": sorted(grouped[family], key=lambda card: (bool(card["lacks"]), card["name"])),
        }
        for family in sorted(grouped, key=place)
    ]


def model_picker(
    schemas: Mapping[str, Mapping[str, Any]], able: Sequence[str], lacks: Mapping[str, str], *, first: str, key: str
) -> str:
    """The model that is chosen; the choice is kept in the session under ``key``.

    Args:
        schemas: what models declare, by name.
        able: names of the models that can be chosen.
        lacks: why each of the others cannot.
        first: the model that is chosen at first.
        key: of this control.
    """
    chosen = st.session_state.get(key)
    if chosen not in able:
        chosen = st.session_state[key] = first

    def choose() -> None:
        wanted = (st.session_state.get(f"{key}.cards") or {}).get("model")
        if wanted in able:
            st.session_state[key] = wanted

    _PICKER(
        key=f"{key}.cards",
        data={"families": families(schemas, lacks), "chosen": chosen},
        on_model_change=choose,
    )
    return str(chosen)
