"""A line beside the button that started work: what was queued, how it stands now, and a link to its card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from pages.parts.layout import escape, show_error
from pages.parts.run_card import CARDS, ICONS, card_anchor, live_runs, title

JOBS = "running-jobs"
"""The anchor of the heading above running jobs."""
SAYS = {
    "queued": "Queued",
    "running": "Running",
    "finished": "Finished",
    "failed": "Failed",
    "stopped": "Stopped",
}


def remember(key: str, started: Iterable[runs.Run]) -> None:
    """Note what a button has started; the one that was asked for first, what came along after it."""
    st.session_state[f"queued.{key}"] = list(dict.fromkeys(run.id for run in started))


def start(key: str, begin: Callable[[], Sequence[runs.Run]]) -> None:
    """Queue work, note it beside its button, and draw the page anew; says why where it cannot be."""
    try:
        remember(key, begin())
    except MMRecError as error:
        show_error(error)
    else:
        st.rerun()


def show(key: str, *, linked: bool = True) -> None:
    """The line of a button; nothing where it has started nothing in this session.

    Args:
        key: of the button, as in :func:`remember`.
        linked: whether this page shows the cards of jobs.
    """
    found: list[runs.Run] = []
    for run_id in st.session_state.get(f"queued.{key}", ()):
        try:
            found.append(runs.get(run_id))
        except MMRecError:  # it was deleted
            continue
    if not found:
        return
    first, others = found[0], found[1:]
    line = f"{ICONS[first.status]} **{SAYS[first.status]}:** {title(first)}"
    if others:
        line += ", with " + ", ".join(escape(str(run.params.get("model") or run.params["dataset"])) for run in others)
    if linked:
        live = [run.id for run in live_runs()]
        hidden = first.status == "queued" and first.id in live[CARDS:]
        line += f" · [See it](#{JOBS if hidden else card_anchor(first)})"
    st.markdown(line, width="content")
