"""Joining a class: the code from the wall, and a nickname at will."""

from __future__ import annotations

import secrets

import streamlit as st

from mmrec_core.classroom import limits, store
from mmrec_core.errors import MMRecError
from pages.parts import layout
from pages.parts.classroom import identity


def address() -> str:
    """Where the visitor comes from, to count wrong codes."""
    return st.context.ip_address or "this machine"


def window() -> str:
    """A random name of this window."""
    name: str = st.session_state.setdefault("class_window", secrets.token_hex(8))
    return name


def join_form(code: str = "") -> None:
    """Code and nickname; nothing else is asked.

    Args:
        code: from the link; then only the nickname is asked.
    """
    st.title("Join the class", anchor=False)
    with st.form("join", border=True, width=420):
        typed = code or st.text_input(
            "Join code", max_chars=12, placeholder="Six letters and digits, from the wall", autocomplete="off"
        )
        nickname = st.text_input("Nickname", max_chars=limits.NICKNAME, placeholder="Optional", autocomplete="off")
        st.caption(
            "No account and no e-mail address. Others in the class can see your nickname; exports do not contain it."
            " You can delete all of your answers and ratings at any time."
        )
        pressed = st.form_submit_button("Join", type="primary", icon=":material/login:")
    if pressed:
        try:
            new, secret = store.join(typed, nickname, address(), window())
        except MMRecError as error:
            layout.show_error(error)
        else:
            identity.keep(new.class_id, secret)
            st.query_params["code"] = store.get(new.class_id).code
            st.rerun()
