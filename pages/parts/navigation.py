"""Moving between pages: one press of Back for each step, a page's scroll position, and what a page last showed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

_NAVIGATION = st.components.v2.component(
    "mmrec.navigation",
    html="<span></span>",
    js=(Path(__file__).parent / "navigation.js").read_text(encoding="utf-8"),
)
LINKS = "links"
"""Key of the session state: by page and dataset, the parameters of the address when the page was last shown."""
FORGOTTEN = {"dataset", "begin", "owner"}
"""Parameters that are not brought back."""


def view(name: str, *, keeps_position: bool = False) -> None:
    """Tell the browser which view is shown. A new view begins at its top; one that Back leads to, where it was left.

    Args:
        name: another name for another content, such as a page and its film.
        keeps_position: whether any way that leads back to the view, not only Back, leads to where it was left: right
            for long lists.
    """
    _NAVIGATION(key="navigation", data={"view": name, "keeps": keeps_position}, height="content")


def remember(page: str, dataset: str) -> None:
    """Keep the parameters of the address for the next visit of a page."""
    own = {key: st.query_params.get_all(key) for key in st.query_params if key not in FORGOTTEN}
    st.session_state.setdefault(LINKS, {})[page, dataset] = own


def remembered(page: str, dataset: str) -> dict[str, Any]:
    """The parameters that a page had when it was last shown with a dataset; empty for a first visit."""
    found: dict[str, Any] = st.session_state.get(LINKS, {}).get((page, dataset), {})
    return found


def fragment(function: Callable[..., None]) -> Callable[..., None]:
    """``st.fragment`` for a part of a page with parameters in the address: they are remembered when it runs alone."""

    def run(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)
        if "here" in st.session_state and "dataset" in st.session_state:
            remember(st.session_state["here"], st.session_state["dataset"])

    run.__qualname__, run.__module__ = function.__qualname__, function.__module__
    return st.fragment(run)
