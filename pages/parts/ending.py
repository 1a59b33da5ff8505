"""Ends the run of a page early."""

from __future__ import annotations

from typing import NoReturn

from streamlit.runtime.scriptrunner import StopException


def end_page() -> NoReturn:
    """Draw nothing more in this run.

    ``st.stop`` also takes back what a visitor asked for meanwhile: a click during the run would never be answered.
    """
    raise StopException
