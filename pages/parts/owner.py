"""Who looks: the owner, or a visitor. The rule is in ``mmrec_core/ownership.py``; here is how a browser says it holds
the token."""

from __future__ import annotations

import secrets

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mmrec_core import ownership
from mmrec_core.errors import MMRecError
from pages.parts import uploads
from pages.parts.ending import end_page

_KEPT = st.components.v2.component(
    "mmrec.owner_pass",
    html="<span></span>",
    js="""
const NAME = "mmrec.owner"
let sent = null // sent once: a value of another home is refused here, and would be sent at every run
export default function ({ data, setTriggerValue }) {
  try {
    if (data.keep) localStorage.setItem(NAME, data.keep)
    else if (data.forget) localStorage.removeItem(NAME)
    else {
      const kept = localStorage.getItem(NAME)
      if (kept && kept !== sent) { sent = kept; setTriggerValue("kept", kept) }
    }
  } catch { /* a forbidden store: the host opens the link again */ }
}
""",
)
"""The browser's own store, which pages of other ports cannot read, unlike cookies."""


def wide() -> bool:
    """Whether the server listens to more than its own machine."""
    address = ownership.listens()
    return not ownership.is_local(st.get_option("server.address") if address is None else address)


def is_owner() -> bool:
    """Whether this session may start work."""
    return not wide() or bool(st.session_state.get("is_owner"))


def visitor() -> str:
    """A random name of this session; empty for the owner."""
    if is_owner():
        return ""
    name: str = st.session_state.setdefault("visitor", secrets.token_hex(6))
    return name


def refuse(what: str) -> None:
    """Stop whoever is not the owner, and say so where they stand."""
    if not is_owner():
        said = (
            f"Only the owner of this app may {what}. The owner’s link (in a class: the host’s) was printed where the"
            " app was started; open it again, or enter its last part, the token, under Visitor, above."
        )
        if st.runtime.exists():
            st.error(said, title="That is the owner’s", icon=":material/lock:")
            end_page()
        raise MMRecError(said)


def arrive() -> None:
    """Take the token out of a link: it does not stay in the address, which people pass on."""
    ownership.guard(refuse, wide(), visitor)
    if "owner" in st.query_params:
        given = st.query_params["owner"]
        del st.query_params["owner"]
        check(given)


def check(given: str) -> None:
    """Remember for this session that somebody holds the token."""
    if wide() and given:
        st.session_state["is_owner"] = st.session_state["owner_gave_token"] = ownership.is_token(given)
        if st.session_state["is_owner"]:
            st.session_state["owner_leaves"] = False
            _note_session()
        st.session_state["owner_refused"] = not st.session_state["is_owner"]


def keep() -> None:
    """Let the owner's browser remember that it is the owner's, and recognise it after a reload.

    What the browser keeps is sent to it only where the token was given, never to a session that it recognised.
    """
    if not wide():
        return
    data: dict[str, object] = {}
    if st.session_state.get("owner_gave_token"):
        data = {"keep": ownership.pass_for_browser()}
    elif st.session_state.get("owner_leaves"):
        data = {"forget": True}
    elif is_owner():
        return
    with st.container(key="owner-pass"):
        kept = _KEPT(key="owner", data=data, on_kept_change=lambda: None, height="content").kept
    if not data and isinstance(kept, str) and not is_owner() and ownership.is_pass(kept):
        st.session_state["is_owner"] = True
        _note_session()
        st.rerun()


def _note_session() -> None:
    """Uploads of the owner's session are not limited."""
    context = get_script_run_ctx()
    if context is not None:
        uploads.owners.add(context.session_id)


def _leave() -> None:
    st.session_state["is_owner"] = st.session_state["owner_gave_token"] = False
    st.session_state["owner_leaves"] = True


def badge() -> None:
    """Beside the dataset switch, where the app listens wider: who one is, and the field for the token."""
    if not wide():
        return
    if is_owner():
        with st.popover("Owner", icon=":material/key:", help="You may do everything here."):
            st.write("This browser remembers that it is the owner’s, also after a reload.")
            st.button("Forget that on this browser", key="owner_leave", on_click=_leave)
        return
    with st.popover(
        "Visitor", icon=":material/person:", help="Visitors look, rate and compare. The owner also starts work."
    ):
        st.text_input("The owner’s token", type="password", key="owner_token", on_change=_entered, autocomplete="off",
                      help="Printed where the app was started, and kept in its home in owner.token.")  # fmt: skip
        if st.session_state.get("owner_refused"):
            st.caption(":material/error: That is not the owner’s token of this app.")


def _entered() -> None:
    check(st.session_state.get("owner_token", ""))
    st.session_state["owner_token"] = ""
