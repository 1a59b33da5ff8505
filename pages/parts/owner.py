"""Who looks: the owner, or a visitor. The rule is in ``mmrec_core/ownership.py``; here is how a browser says it holds
the token."""

from __future__ import annotations

import secrets

import streamlit as st

from mmrec_core import ownership
from mmrec_core.errors import MMRecError

COOKIE = "mmrec_owner"
_COOKIE = st.components.v2.component(
    "mmrec.owner_cookie",
    html="<span></span>",
    js="""
export default function ({ data }) {
  const secure = location.protocol === "https:" ? "; Secure" : ""
  const wanted = `${data.name}=${data.value}`
  if (!document.cookie.split("; ").includes(wanted)) document.cookie = `${wanted}; path=/; SameSite=Strict${secure}`
}
""",
)


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
            st.stop()
        raise MMRecError(said)


def arrive() -> None:
    """Take the token out of a link: it does not stay in the address, which people pass on."""
    ownership.guard(refuse, wide(), visitor)
    if wide() and "is_owner" not in st.session_state:  # a reload, or another window of the owner's browser
        kept = st.context.cookies.get(COOKIE)
        if isinstance(kept, str) and ownership.is_pass(kept):
            st.session_state["is_owner"] = True
    if "owner" in st.query_params:
        given = st.query_params["owner"]
        del st.query_params["owner"]
        check(given)


def check(given: str) -> None:
    """Remember for this session that somebody holds the token."""
    if wide() and given:
        st.session_state["is_owner"] = ownership.is_token(given)
        st.session_state["owner_refused"] = not st.session_state["is_owner"]


def keep() -> None:
    """Let the owner's browser remember that it is the owner's."""
    if wide() and is_owner():
        with st.container(key="owner-cookie"):
            _COOKIE(key="owner", data={"name": COOKIE, "value": ownership.pass_for_browser()}, height="content")


def badge() -> None:
    """Beside the dataset switch, where the app listens wider: who one is, and the field for the token."""
    if not wide():
        return
    if is_owner():
        st.badge(
            "Owner",
            icon=":material/key:",
            color="green",
            help="You may do everything here, in every window of this browser until it is closed.",
        )
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
