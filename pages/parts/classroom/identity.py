"""Who a browser is in a class or a study: the secret that it holds, as a cookie and in the session.

A cookie comes with the connection, so a reload or a new server knows the participant before the page is drawn. It says
nothing about a person: a random text for each class and each study.
"""

from __future__ import annotations

import re

import streamlit as st

from mmrec_core.classroom import store
from mmrec_core.classroom.store import Participant

COOKIE = "mmrec_class_"
STUDY = "mmrec_study_"
"""Names of cookies begin with one of these; the id follows."""
LOOKED_UP = 12
"""Classes or studies of one browser that are looked up at most; each costs a read of the database."""
_SECRET = re.compile(r"[\w-]{16,64}")
_COOKIES = st.components.v2.component(
    "mmrec.class_cookie",
    html="<span></span>",
    js="""
const written = new Set()
export default function ({ data }) {
  if (written.has(data.change)) return
  written.add(data.change)
  const secure = location.protocol === "https:" ? "; Secure" : ""
  const seconds = data.value ? 60 * 60 * 24 * 60 : 0
  document.cookie = `${data.name}=${data.value}; path=/; SameSite=Strict; max-age=${seconds}${secure}`
}
""",
)


def secret(own_id: str, kind: str = COOKIE) -> str | None:
    """The secret that this browser holds for a class or, with :data:`STUDY`, for a study."""
    held: dict[str, str | None] = st.session_state.setdefault("class_secrets", {})
    if kind + own_id in held:
        return held[kind + own_id]
    found = st.context.cookies.get(kind + own_id)
    return found if isinstance(found, str) and _SECRET.fullmatch(found) else None


def who(class_id: str) -> Participant | None:
    """Who this browser is in a class; ``None``: nobody yet, or not any more."""
    held = secret(class_id)
    found = store.participant(held) if held else None
    return found if found is not None and found.class_id == class_id else None


def keep(own_id: str, value: str | None, kind: str = COOKIE) -> None:
    """Remember a secret in this session and, with the next run, in the browser; ``None`` forgets it."""
    st.session_state.setdefault("class_secrets", {})[kind + own_id] = value
    st.session_state["class_cookie"] = {"name": kind + own_id, "value": value or "", "change": f"{own_id} {value}"}


def write() -> None:
    """Write the secret given to :func:`keep` into the browser; call it on every run of the page."""
    if change := st.session_state.get("class_cookie"):
        _COOKIES(key="class-cookie", data=change, height="content")


def known(kind: str = COOKIE) -> list[str]:
    """Ids of the classes or, with :data:`STUDY`, of the studies for which this browser holds a secret."""
    held: dict[str, str | None] = st.session_state.get("class_secrets", {})
    names = [name for name in (*held, *st.context.cookies) if name.startswith(kind) and held.get(name, True)]
    ids = [name.removeprefix(kind) for name in names]
    return [own for own in dict.fromkeys(ids) if re.fullmatch(r"[0-9a-f]{16}", own)][:LOOKED_UP]
