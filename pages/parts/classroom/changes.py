"""Tells browsers that a class has changed: server-sent events at ``app/class/ID/changes``.

The stream holds two counters and nothing of the class. Participants draw anew when ``scene`` changes, the host and the
projector when ``version`` does. One read of the database serves all streams of a class for :data:`FRESH_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import streamlit as st
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mmrec_core.errors import MMRecError

FRESH_S = 0.4
STREAMS = 1000
"""Largest number of open streams."""
STREAMS_HERE = 350
"""Largest number of open streams of one address, which a room behind one router shares."""

_readers = ThreadPoolExecutor(2, "class-changes")
"""Streams wait for no other work of the server, such as charts that visitors export."""
_latest: dict[str, tuple[float, tuple[int, int] | None]] = {}
_reading: dict[str, asyncio.Future[Any]] = {}
_open: Counter[str] = Counter()
_from: Counter[str] = Counter()


async def _current(class_id: str) -> tuple[int, int] | None:
    """The counters of a class, at most :data:`FRESH_S` old."""
    known = _latest.get(class_id)
    if known is not None and time.monotonic() - known[0] < FRESH_S:
        return known[1]
    if (under_way := _reading.get(class_id)) is None:
        from mmrec_core.classroom import store

        under_way = _reading[class_id] = asyncio.get_running_loop().run_in_executor(_readers, store.changes, class_id)
        under_way.add_done_callback(lambda _: _reading.pop(class_id, None))
    found: tuple[int, int] | None = await asyncio.shield(under_way)
    _latest[class_id] = (time.monotonic(), found)
    return found


async def _stream(class_id: str, everything: bool) -> AsyncIterator[dict[str, str]]:
    """The counters whenever they change; it ends when the class is deleted.

    Args:
        class_id: the class.
        everything: whether to send every change; otherwise only a new scene, since participants' pages do not show the
            ratings of others.
    """
    _open[class_id] += 1
    try:
        last = None
        while True:
            try:
                now = await _current(class_id)
            except MMRecError:  # the database does not answer now
                await asyncio.sleep(2)
                continue
            if now is None:
                yield {"event": "gone", "data": "0"}
                return
            if last is None or now[0] != last[0] or (everything and now != last):
                last = now
                yield {"data": f"{now[0]} {now[1]}"}
            await asyncio.sleep(FRESH_S)
    finally:
        _open[class_id] -= 1
        if not _open[class_id]:
            del _open[class_id]
            _latest.pop(class_id, None)


def _changes(request: Request) -> Response:
    """The stream of a class; a class that does not exist ends at once. Streams end when the server stops."""
    who = request.client.host if request.client else ""
    if _open.total() >= STREAMS or _from[who] >= STREAMS_HERE:
        return PlainTextResponse("Too many people watch; try again later.", status_code=503)
    return EventSourceResponse(_counted(who, _stream(request.path_params["id"], "all" in request.query_params)))


async def _counted(who: str, stream: AsyncIterator[dict[str, str]]) -> AsyncIterator[dict[str, str]]:
    """A stream that counts among those of an address as long as it is open."""
    _from[who] += 1
    try:
        async for said in stream:
            yield said
    finally:
        _from[who] -= 1
        if not _from[who]:
            del _from[who]


def routes(base: str) -> list[Route]:
    """The route, for the server.

    Args:
        base: path before all addresses of the app.
    """
    return [Route(base + "/app/class/{id:str}/changes", _changes)]


_PULSE = st.components.v2.component(
    "mmrec.class_changes",
    html="<span></span>",
    js="""
const kept = new WeakMap()
export default function ({ data, parentElement, setTriggerValue }) {
  if (!kept.has(parentElement)) kept.set(parentElement, { source: null, timer: 0, again: 0, shown: null })
  const own = kept.get(parentElement)
  own.tell = setTriggerValue
  own.shown = data.seen
  own.pause = data.pause
  const leave = () => { own.source?.close(); own.source = null; clearTimeout(own.timer); clearTimeout(own.again) }
  const ask = () => {
    own.timer = 0
    if (own.latest === own.shown) return
    own.shown = own.latest
    own.tell("changed", own.latest)
  }
  if (own.url === data.url && own.source && own.source.readyState !== EventSource.CLOSED) return leave
  own.url = data.url
  const listen = () => {
    own.source?.close()
    clearTimeout(own.again)
    own.source = new EventSource(new URL(data.url, document.baseURI))
    own.source.onmessage = (event) => {
      own.latest = Number(event.data.split(" ")[data.all ? 1 : 0])
      if (own.latest !== own.shown && !own.timer) own.timer = setTimeout(ask, own.pause)
    }
    own.source.addEventListener("gone", () => { own.source.close(); own.tell("changed", -1) })
    // a browser connects again by itself, but not after a refusal: a server that starts, or too many who watch
    own.source.onerror = () => {
      if (own.source?.readyState === EventSource.CLOSED) own.again = setTimeout(listen, 4000 + 4000 * Math.random())
    }
  }
  listen()
  return leave
}
""",
)


def address_of(class_id: str, everything: bool) -> str:
    """The address of a class's stream, from the app's own: with ``everything``, of any change."""
    return f"app/class/{class_id}/changes" + ("?all" if everything else "")


LEAST_PAUSE_S, MOST_PAUSE_S = 0.7, 4.0
"""Between two drawings of what follows any change of a class."""
SHARE = 0.05
"""Largest share of a core that such drawings may take."""


def watch(class_id: str, seen: int, *, everything: bool, then: Callable[[], None] = lambda: None) -> None:
    """Run the fragment around this call again whenever the class changes.

    With ``everything``, many changes share one drawing, and drawings that take long come less often
    (:func:`drawing`).

    Args:
        class_id: the class.
        seen: the counter of what is drawn now: ``version`` with ``everything``, else ``scene``.
        everything: whether any change counts, or only one of what participants see.
        then: called before the run.
    """
    spent = st.session_state.get("class_drawing_s", 0.0)
    pause = min(MOST_PAUSE_S, max(LEAST_PAUSE_S, round(spent / SHARE, 1))) if everything else 0
    _PULSE(
        key=f"class-changes-{class_id}",
        data={
            "url": address_of(class_id, everything),
            "seen": seen,
            "all": everything,
            "pause": round(1000 * pause),
        },
        on_changed_change=then,
        height="content",
    )


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Around what follows any change of a class: its processor seconds decide how soon it is drawn again."""
    started = time.thread_time()
    try:
        yield
    finally:
        st.session_state["class_drawing_s"] = time.thread_time() - started
