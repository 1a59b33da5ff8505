"""Components of the views: a picture drawn in the browser, the common style, and what the link keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from mmrec_core.types import Dataset
from pages.parts import navigation
from pages.parts.javascript import bundle

HERE = Path(__file__).parent
STYLE = (HERE / "inside.css").read_text(encoding="utf-8")


STATE = ("list", "stars", "n", "how", "see", "at", "world", "losses", "out", "who", "tab", "batch", "film", "run")
"""Parameters of the address in which views keep what they show."""


def component(name: str) -> Any:
    """The component whose script is ``js/NAME.mjs``."""
    return st.components.v2.component(
        f"mmrec.inside.{name}",
        html='<div class="inside"></div>',
        css=STYLE,
        js=bundle(HERE / "js" / f"{name}.mjs"),
    )


def film(dataset: Dataset, row: int) -> dict[str, Any]:
    """A film as the scripts show it: its title, its year and the address of its poster."""
    record = dataset.catalog.iloc[row]
    poster = record["poster"]
    return {
        "title": str(record["title"]),
        "poster": f"app/static/{poster}" if isinstance(poster, str) else "",
    }


def given(parameter: str, key: str, name: str, looks: str = "") -> str:
    """The parameter of the address for a component to begin with.

    A state that the component itself has sent since is left out: then its data stay the same, and a step in the
    browser does not send all of them again.

    Args:
        parameter: of the address.
        key: of the component.
        name: under which the component sends its state.
        looks: what else the component shows; with something else it begins anew.
    """
    value = st.query_params.get(parameter, "")
    sent = (st.session_state.get(key) or {}).get(name)
    before = st.session_state.get(f"{key}.given")
    if before is not None and before[0] == looks and sent == value:
        return str(before[1])
    st.session_state[f"{key}.given"] = (looks, value)
    return value


def keep(parameter: str, key: str, name: str) -> None:
    """Write the state that a component sent under ``name`` into the link, as ``parameter``."""
    value = (st.session_state.get(key) or {}).get(name)
    if isinstance(value, str) and value != st.query_params.get(parameter, ""):
        if value:
            st.query_params[parameter] = value
        else:
            st.query_params.pop(parameter, None)
        navigation.remember(st.session_state["here"], st.session_state["dataset"])
