"""How much visitors of a shared app may upload: bounded per session and altogether. The owner's sessions have no limit.

Streamlit keeps uploads in memory as long as their session lives, and limits single files only.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope
from streamlit import runtime

from mmrec_core import ownership

MIB = 2**20
OF_SESSION, OF_ALL, WINDOW_S = 40 * MIB, 300 * MIB, 300.0
"""Bytes of one session; bytes of all visitors within a window of so many seconds."""
SAID = "Visitors have uploaded too much. Try again in a few minutes, with a smaller file."

owners: set[str] = set()
"""Sessions of the owner, by id."""


class Limits:
    """Counts what visitors upload, byte by byte as it comes; on localhost nobody is limited.

    Args:
        exists: whether a session with an id is connected.
    """

    def __init__(self, exists: Callable[[str], bool] | None = None) -> None:
        self.exists = exists or _connected
        self.by_session: OrderedDict[str, int] = OrderedDict()
        self.recent: deque[tuple[float, int]] = deque()

    def admits(self, scope: Scope, now: float | None = None) -> bool:
        """Whether an upload may begin. Its length must be stated, once, and its session must be connected.

        Args:
            scope: the request, whose path ends in the session's and the file's id.
            now: seconds, by default of the clock.
        """
        if not self.limits(scope):
            return True
        stated = [v for k, v in scope["headers"] if k == b"content-length"]
        chunked = any(k == b"transfer-encoding" for k, _ in scope["headers"])
        if chunked or len(stated) != 1 or not stated[0].isdigit() or not self.exists(session_of(scope)):
            return False
        return self.has_room(session_of(scope), int(stated[0]), time.monotonic() if now is None else now)

    def limits(self, scope: Scope) -> bool:
        """Whether an upload is a visitor's."""
        return not ownership.is_local(ownership.listens() or "localhost") and session_of(scope) not in owners

    def has_room(self, session: str, size: int, now: float) -> bool:
        """Whether so many bytes more are within the limits."""
        while self.recent and now - self.recent[0][0] > WINDOW_S:
            self.recent.popleft()
        return self.by_session.get(session, 0) + size <= OF_SESSION and sum(n for _, n in self.recent) + size <= OF_ALL

    def count(self, session: str, size: int, now: float) -> None:
        """Count bytes that have come."""
        self.by_session[session] = self.by_session.pop(session, 0) + size
        self.recent.append((now, size))
        while len(self.by_session) > 10_000:
            self.by_session.popitem(last=False)

    def counting(self, scope: Scope, receive: Receive) -> Receive:
        """The body of an upload, counted; it ends as if the visitor had left where it passes the limits."""
        session, limited = session_of(scope), self.limits(scope)

        async def receiving() -> Any:
            message = await receive()
            size = len(message.get("body", b"")) if message["type"] == "http.request" else 0
            if limited and size:
                now = time.monotonic()
                if not self.has_room(session, size, now):
                    return {"type": "http.disconnect"}
                self.count(session, size, now)
            return message

        return receiving


def session_of(scope: Scope) -> str:
    """The id of the session that an upload belongs to."""
    return str(scope["path"]).rstrip("/").split("/")[-2:][0]


def _connected(session: str) -> bool:
    return runtime.exists() and runtime.get_instance().is_active_session(session)
