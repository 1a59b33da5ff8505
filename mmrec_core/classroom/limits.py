"""Limits on what visitors may write: numbers, sizes, and how often."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Hashable

from mmrec_core.errors import MMRecError

PARTICIPANTS = 300
"""Largest number of participants of a class."""
RATINGS = 60
"""Largest number of ratings of a participant."""
NICKNAME = 24
TITLE = 80
ANSWER = 400
"""Longest texts, in characters."""


class Throttle:
    """At most ``times`` events of one key in ``seconds``; keys beyond ``keys`` push out the oldest ones.

    Args:
        times: how many events are allowed.
        seconds: length of the window.
        keys: how many keys are remembered.
    """

    def __init__(self, times: int, seconds: float, keys: int = 10_000) -> None:
        self.times, self.seconds, self.keys = times, seconds, keys
        self._seen: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def full(self, key: Hashable, now: float | None = None) -> bool:
        """Whether no further event of this key is allowed now."""
        with self._lock:
            return len(self._recent(key, time.monotonic() if now is None else now)) >= self.times

    def count(self, key: Hashable, now: float | None = None) -> int:
        """How many events of this key are within the window."""
        with self._lock:
            return len(self._recent(key, time.monotonic() if now is None else now))

    def add(self, key: Hashable, now: float | None = None) -> bool:
        """Count an event; returns whether it is allowed. A refused event is not counted."""
        now = time.monotonic() if now is None else now
        with self._lock:
            recent = self._recent(key, now)
            if len(recent) >= self.times:
                return False
            recent.append(now)
            self._seen[key] = recent
            self._seen.move_to_end(key)
            while len(self._seen) > self.keys:
                self._seen.popitem(last=False)
            return True

    def _recent(self, key: Hashable, now: float) -> deque[float]:
        found = self._seen.get(key, deque())
        while found and now - found[0] >= self.seconds:
            found.popleft()
        return found

    def forget(self) -> None:
        """Allow everything again."""
        with self._lock:
            self._seen.clear()


WRITES = Throttle(40, 10.0)
"""Ratings and answers of one participant."""
JOINS = Throttle(60, 60.0)
"""Participants that join from one address: a room behind one router joins within a minute or two."""
WRONG_CODES = Throttle(300, 60.0)
"""Wrong join codes from one address. A room shares one: whoever has not mistyped yet in their window may try all the
same, so that one who guesses locks nobody out; each guess then costs a window of its own."""
WRONG_CODES_HERE = Throttle(10, 60.0)
"""Wrong join codes in one window."""
ALL_WRONG_CODES = Throttle(1200, 60.0)
"""Wrong join codes from everywhere, so that many addresses guess no faster; without the first one of each window."""
FIRST_WRONG_CODES = Throttle(6000, 60.0)
"""First wrong join codes of windows, from everywhere: one server cannot open so many windows, so whoever guesses like
this locks nobody out. A class of an hour is guessed with a probability of 1 in 2,400 at this speed."""
JOINS_HERE = Throttle(5, 600.0)
"""Participants that one window makes."""


def checked_text(text: str, most: int, what: str) -> str:
    """A text without control characters and outer spaces.

    Raises:
        MMRecError: it is empty or too long.
    """
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not plain:
        raise MMRecError(f"The {what} is empty.")
    if len(plain) > most:
        raise MMRecError(f"The {what} has {len(plain)} characters; at most {most} are kept.")
    return plain


def may_write(key: Hashable) -> None:
    """Count a write of a participant.

    Raises:
        MMRecError: too many in a short time.
    """
    if not WRITES.add(key):
        raise MMRecError("That was very fast. Wait a few seconds, then go on.")
