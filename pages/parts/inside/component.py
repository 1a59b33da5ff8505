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


def keep(parameter: str, key: str, name: str) -> None:
    """Write what a component told under ``name`` into the link, as ``parameter``."""
    told = st.session_state.get(key)
    value = None if told is None else told.get(name)
    if isinstance(value, str) and value != st.query_params.get(parameter, ""):
        if value:
            st.query_params[parameter] = value
        else:
            st.query_params.pop(parameter, None)
        navigation.remember(st.session_state["here"], st.session_state["dataset"])
