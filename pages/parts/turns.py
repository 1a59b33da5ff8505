"""Short runs of many visitors in turn, and longer ones that wait for them.

Threads of Python share one core and take it from each other every few milliseconds, so ten runs that begin together
all end when the last one does. One after the other, the first ends after a tenth of that time and the last no later.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator

LONGEST_S = 0.5
"""A turn that takes longer no longer keeps the others waiting."""
GIVES_WAY_S = 0.25
"""The longest that :meth:`Turns.give_way` waits."""


class Turns:
    """Turns in the order in which they were asked for."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Around a short run. Whoever waits on something else, such as a model's answer, waits outside of it."""
        ticket = object()
        with self._change:
            self._waiting.append(ticket)
            self._change.wait_for(lambda: self._waiting[0] is ticket, LONGEST_S)
        try:
            yield
        finally:
            with self._change:
                self._waiting.remove(ticket)
                self._change.notify_all()

    def give_way(self) -> None:
        """Within a longer run: wait until no short one is under way, :data:`GIVES_WAY_S` at most."""
        with self._change:
            self._change.wait_for(lambda: not self._waiting, GIVES_WAY_S)


turns = Turns()
