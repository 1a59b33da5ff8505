"""The sections of a page: one is shown at a time, and the link names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st


def choose_section(names: Sequence[str], parameter: str = "part", earlier: Mapping[str, str] | None = None) -> str:
    """A row of names; returns the chosen one. The first is shown where the address names none.

    ``earlier`` gives today's names of sections that older links name otherwise.

    The address decides, so that links, Back and buttons of other pages lead to a section. (``st.tabs`` forget a click
    when their default changes between two runs.)
    """
    asked = st.query_params.get(parameter)
    asked = (earlier or {}).get(asked or "", asked)
    key = f"section.{parameter}"
    st.session_state[key] = asked if asked in names else names[0]

    def choose() -> None:
        name = st.session_state[key]
        if name == names[0]:
            st.query_params.pop(parameter, None)
        else:
            st.query_params[parameter] = name

    st.segmented_control(
        "Section", names, key=key, on_change=choose, required=True, label_visibility="collapsed", width="content"
    )
    return str(st.session_state[key] or names[0])
