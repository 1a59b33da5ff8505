"""How much visitors of a shared app may upload: bounded per session and altogether. The owner's sessions have no limit.

Streamlit keeps uploads in memory as long as their session lives, and limits single files only.
"""

from __future__ import annotations

import time
from collections import Counter, deque

from starlette.types import Scope

from mmrec_core import ownership

MIB = 2**20
OF_SESSION, OF_ALL, WINDOW_S = 40 * MIB, 300 * MIB, 300.0
"""Bytes of one session; bytes of all visitors within a window of so many seconds."""
SAID = "Visitors have uploaded too much. Try again in a few minutes, with a smaller file."

owners: set[str] = set()
"""Sessions of the owner, by id."""


class Limits:
    """Counts what visitors upload; on localhost nobody is limited."""

    def __init__(self) -> None:
        self.by_session: Counter[str] = Counter()
        self.recent: deque[tuple[float, int]] = deque()

    def admits(self, scope: Scope, now: float | None = None) -> bool:
        """Whether an upload may begin; it is counted by the length that its header states.

        Args:
            scope: the request, whose path ends in the session's and the file's id.
            now: seconds, by default of the clock.
        """
        if ownership.is_local(ownership.listens() or "localhost"):
            return True
        now = time.monotonic() if now is None else now
        session = str(scope["path"]).rstrip("/").split("/")[-2:][0]
        if session in owners:
            return True
        stated = next((v for k, v in scope["headers"] if k == b"content-length"), b"")
        if not stated.isdigit():
            return False
        size = int(stated)
        while self.recent and now - self.recent[0][0] > WINDOW_S:
            self.recent.popleft()
        if self.by_session[session] + size > OF_SESSION or sum(n for _, n in self.recent) + size > OF_ALL:
            return False
        self.by_session[session] += size
        self.recent.append((now, size))
        if len(self.by_session) > 10_000:
            self.by_session.clear()
        return True
