"""What a liked film is ranked among: every film, or some that are drawn, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mmrec_core.errors import MMRecError

PROTOCOL = re.compile(r"full:of=(?P<users>\d{1,9})|sampled:(?P<n>\d{1,9})(:(?P<how>uniform|popularity))?(:of=(?P<of>\d{1,9}))?")


AHEAD = (
    "has learned from events later than some it would be asked about: its memory would know the future. Regime 'stream' asks models with a "
    "memory of events only on splits by time, such as chronological:70-15-15; elsewhere use frozen."
)
"""Why a model in time is not streamed over a split that is not one point in time."""


def remembers(needs: Iterable[str]) -> bool:
    """Whether a model of these needs keeps events in their order, so that training may have shown it somebody's later ones."""
    return bool({"time", "sequence"} & set(needs))


def in_words(protocol: str, regime: str) -> str:
    """What a reader of validation scores must know of how they are come by: ``among 100, streaming``; nothing of every film, frozen."""
    drawn = Protocol.parse(protocol).negatives
    return ", ".join([f"among {drawn}"] * (drawn is not None) + ["streaming"] * (regime == "stream"))


@dataclass(frozen=True)
class Protocol:
    """Which candidates a liked film is ranked among, and which liked films are asked for."""

    negatives: int | None = None
    by_popularity: bool = False
    shipped: bool = False
    """The candidates that a split's makers drew."""
    of: int | None = None
    """So many liked rows only, drawn once."""
    users: int | None = None
    """So many people only, drawn once, each with all their liked rows."""

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """``full``, ``full:of=10000`` (people), ``shipped``, ``sampled:100``, ``sampled:100:popularity``, ``sampled:100:of=5000`` (rows).

        Raises:
            MMRecError: anything else.
        """
        if text in {"full", "shipped"}:
            return cls(shipped=text == "shipped")
        found = PROTOCOL.fullmatch(text)
        if found is not None and int(found["users"] or 0) > 0:
            return cls(users=int(found["users"]))
        if found is None or not found["n"] or int(found["n"]) < 1 or found["of"] == "0":
            raise MMRecError(
                f"Unknown protocol '{text}'. Known: full, shipped, sampled:N, sampled:N:popularity (N such as 100), each sampled "
                "one with :of=ROWS where only so many liked rows are to be asked for, full:of=PEOPLE for so many people."
            )
        return cls(int(found["n"]), found["how"] == "popularity", of=int(found["of"]) if found["of"] else None)
