"""Deleting a dataset or a run: what goes with it is named before anything is deleted."""

from __future__ import annotations

import streamlit as st

from mmrec_core.errors import MMRecError
from mmrec_core.maintenance import cleanup
from pages.parts import layout

NAMED = 8


def delete_button(what: str, name: str, key: str) -> None:
    """A button that opens the confirmation."""
    if st.button(
        "Delete",
        key=f"delete-{key}",
        icon=":material/delete:",
        type="tertiary",
        help=f"Names what goes with this {what} first.",
    ):
        confirm(what, name)


@st.dialog("Delete", width="medium", on_dismiss="rerun")
def confirm(what: str, name: str) -> None:
    """What would go, what would stay, and the button that deletes it."""
    st.session_state[layout.DIALOG] = True
    try:
        plan = cleanup.plan_dataset(name) if what == "dataset" else cleanup.plan_run(name)
    except MMRecError as error:
        layout.show_error(error)
        return
    st.markdown(
        f"This deletes **{len(plan.deleted)} thing{'s' * (len(plan.deleted) > 1)}** ({plan.size / 1e6:,.1f} MB). It"
        " cannot be undone."
    )
    st.markdown("\n".join(f"- {layout.escape(line)}" for line in plan.deleted[:NAMED]))
    if len(plan.deleted) > NAMED:
        with st.expander(f"{len(plan.deleted) - NAMED} more"):
            st.markdown("\n".join(f"- {layout.escape(line)}" for line in plan.deleted[NAMED:]))
    for line in plan.affected:
        st.caption(f":material/info: {layout.escape(line)}")
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary", icon=":material/delete_forever:", key=f"confirm-{what}-{name}"):
            try:
                cleanup.delete(plan)
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.rerun()
        if st.button("Keep it", key=f"keep-{what}-{name}"):
            st.rerun()
