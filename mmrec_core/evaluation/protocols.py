"""Which candidates a relevant item is ranked among, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from mmrec_core.errors import MMRecError

if TYPE_CHECKING:
    from mmrec_core.types import Array, Dataset

Seen = Literal["hide", "allow"]

FUTURE_MEMORY = (
    "has learned from events later than some it would be asked about: its memory would know the future. Regime 'stream' asks models with a "
    "memory of events only on splits by time, such as chronological:70-15-15; elsewhere use frozen."
)
"""Why a model in time is not streamed over a split that is not one point in time."""

KNOWN = (
    "full, shipped, sampled:N and sampled:N:popularity (N such as 100), each with :seen=hide or :seen=allow (whether items "
    "that the user has met before are left out) and :existing (only items that existed at the time asked about); also "
    "full:of=USERS for so many users, sampled:N:of=ROWS for so many relevant rows"
)


def has_event_memory(needs: Iterable[str]) -> bool:
    """Whether a model of these needs keeps events in their order, so that training may have shown it somebody's later ones."""
    return bool({"time", "sequence"} & set(needs))


def validation_label(protocol: str, regime: str) -> str:
    """What a reader of validation scores must know of how they are come by: ``among 100, streaming``; nothing of every film, frozen."""
    drawn = Protocol.parse(protocol).negatives
    return ", ".join([f"among {drawn}"] * (drawn is not None) + ["streaming"] * (regime == "stream"))


def protocol_label(protocol: str) -> str:
    """A protocol for people: ``full ranking, 10,000 users, items met before stay candidates``."""
    told = Protocol.parse(protocol)
    words = ["the makers' candidates" if told.shipped else "full ranking"]
    if told.negatives is not None:
        words = [f"{told.negatives:,} {'popularity-sampled' if told.by_popularity else 'sampled'} negatives"]
    if told.users is not None:
        words.append(f"{told.users:,} users")
    if told.of is not None:
        words.append(f"{told.of:,} relevant rows")
    if told.seen is not None:
        words.append("items met before hidden" if told.seen == "hide" else "items met before stay candidates")
    return ", ".join([*words, *["only items that existed then"] * told.existing])


def default_seen(dataset: Dataset) -> Seen:
    """The default of ``seen``: ``allow`` where events repeat (items met before can be right answers), else ``hide``."""
    return "allow" if dataset.manifest.get("repeats") == "allowed" else "hide"


@dataclass(frozen=True)
class Protocol:
    """Which candidates a relevant item is ranked among, and which relevant rows are asked for."""

    negatives: int | None = None
    by_popularity: bool = False
    shipped: bool = False
    """The candidates that a split's makers drew."""
    of: int | None = None
    """So many relevant rows only, drawn once."""
    users: int | None = None
    """So many users only, drawn once, each with all their relevant rows."""
    seen: Seen | None = None
    """Whether items that the user has met before are left out of the candidates; ``None``: :func:`default_seen` of the dataset."""
    existing: bool = False
    """Only items that existed at the moment asked about."""

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """``full``, ``full:of=10000`` (users), ``shipped``, ``sampled:100``, ``sampled:100:popularity``, ``sampled:100:of=5000`` (rows),
        each with ``:seen=hide``, ``:seen=allow`` and ``:existing``.

        Raises:
            MMRecError: anything else.
        """
        kind, *words = text.split(":")
        found = cls(shipped=kind == "shipped")
        ok = kind in {"full", "shipped", "sampled"}
        if kind == "sampled":
            n = _count(words.pop(0)) if words else None
            ok, found = n is not None, replace(found, negatives=n)
        given: set[str] = set()
        for word in words if ok else ():
            key, _, value = word.partition("=")
            how = word in {"uniform", "popularity"}
            ok = ok and ("how" if how else key) not in given
            given.add("how" if how else key)
            if how and kind == "sampled":
                found = replace(found, by_popularity=word == "popularity")
            elif word == "existing" and kind != "shipped":
                found = replace(found, existing=True)
            elif key == "seen" and value in {"hide", "allow"}:
                found = replace(found, seen="hide" if value == "hide" else "allow")
            elif key == "of" and kind != "shipped" and (n := _count(value)) is not None:
                found = replace(found, of=n) if kind == "sampled" else replace(found, users=n)
            else:
                ok = False
        if not ok:
            raise MMRecError(f"Unknown protocol '{text}'. Known: {KNOWN}.")
        return found

    def on(self, dataset: Dataset) -> Protocol:
        """The same with what a dataset decides filled in: whether items met before are left out.

        Raises:
            MMRecError: candidates by time were asked for of data without times.
        """
        if self.existing and "time" not in dataset.manifest["has"]:
            raise MMRecError(f"':existing' needs times, which {dataset.name} does not have; leave it out.")
        return self if self.seen is not None else replace(self, seen=default_seen(dataset))

    def name(self, dataset: Dataset | None = None) -> str:
        """How :meth:`parse` reads it. With a dataset, ``seen`` is said where events repeat or where it is not the default."""
        words = ["shipped" if self.shipped else "full" if self.negatives is None else f"sampled:{self.negatives}"]
        words += ["popularity"] * self.by_popularity
        count = self.of if self.of is not None else self.users
        words += [f"of={count}"] * (count is not None)
        seen = self.seen
        if dataset is not None and default_seen(dataset) == "hide" and seen == "hide":
            seen = None
        words += [f"seen={seen}"] * (seen is not None) + ["existing"] * self.existing
        return ":".join(words)


def full_name(text: str, dataset: Dataset) -> str:
    """A protocol's name with what the dataset decides: ``full`` becomes ``full:seen=allow`` where events repeat.

    Raises:
        MMRecError: unknown.
    """
    return Protocol.parse(text).on(dataset).name(dataset)


def hidden(protocol: str, items: Array) -> Array:
    """Those of the items that a user has met which a list under this protocol leaves out: all, or none with ``seen=allow``."""
    return items[:0] if Protocol.parse(protocol).seen == "allow" else items


def _count(text: str) -> int | None:
    """A whole number from 1 to 999,999,999, or ``None``."""
    return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) <= 9 and int(text) > 0 else None
