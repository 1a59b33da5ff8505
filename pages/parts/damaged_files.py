"""Damaged files of the home: what is wrong, what to do, and buttons that do it; elsewhere a note about what is left
out."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.maintenance import damage
from mmrec_core.maintenance.damage import Damage
from pages.parts import layout
from pages.parts.delete_dialog import delete_button

SHOWN = 6
TITLES = {
    "run": "Run",
    "result": "Result of run",
    "dataset": "Dataset",
    "vectors": "Vectors of",
    "map": "Map of",
    "slices": "Slices of",
    "coding": "Coded cases of",
    "cluster": "Address of the",
    "trials": "Trials of search",
    "ablation": "Ablation",
    "home": "File",
}


def section() -> None:
    """Every damaged file, where there is one; all else goes on without it."""
    found = damage.survey()
    if not found:
        return
    st.header("Damaged files", anchor=False)
    st.caption("They were left as they are, and everything else goes on without them.")
    for one in found[:SHOWN]:
        with st.container(border=True, key=f"damage-{one.about}-{one.place}"):
            _one(one)
    if len(found) > SHOWN:
        with st.expander(f"{len(found) - SHOWN} more"):
            for one in found[SHOWN:]:
                st.markdown(f"- {layout.escape(one.line)}")


def _one(one: Damage) -> None:
    st.markdown(f":material/broken_image: **{TITLES[one.about]} {layout.escape(one.name)}**")
    st.write(layout.escape(f"{one.place}: {one.fault}. {one.remedy}"))
    with st.container(horizontal=True):
        if one.about in damage.OWN and st.button(
            "Set aside",
            key=f"aside-{one.about}-{one.name}",
            icon=":material/move_up:",
            help="Renames the damaged file, so that a new one can begin. Its content is kept.",
        ):
            try:
                kept = damage.set_aside(one.about, one.name)
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.toast(f"Kept as {kept.name}.", icon=":material/move_up:")
                st.rerun()
        if one.about in {"run", "result", "trials"}:
            delete_button("run", one.name, f"damage-{one.place}")
        if one.about == "dataset":
            delete_button("dataset", one.name, f"damage-{one.place}")


def note(faults: Iterable[DamagedFile | None]) -> None:
    """What is left out on a page because a file of it is damaged."""
    found = [fault for fault in faults if fault is not None]
    for fault in found[:3]:
        st.warning(layout.escape(str(fault)), title="A damaged file is left out", icon=":material/broken_image:")
    if len(found) > 3:
        st.caption(f"… and {len(found) - 3} more: Home lists them.")
