"""Bring the reader to the top of what has just changed: a page keeps its scroll when its content is another."""

from __future__ import annotations

import streamlit as st

_TOP = st.components.v2.component(
    "mmrec.top",
    html="<span></span>",
    js="""
const last = new Map()
export default function ({ data, parentElement }) {
  const before = last.get(data.place)
  last.set(data.place, data.what)
  if (before !== undefined && before !== data.what)
    parentElement.querySelector("span").scrollIntoView({ block: "start", behavior: "instant" })
}
""",
)


def scroll_to_top(what: str, place: str = "page") -> None:
    """An invisible mark that scrolls itself into sight whenever ``what`` is another than before."""
    _TOP(key=f"top-{place}", data={"what": what, "place": place}, height="content")
