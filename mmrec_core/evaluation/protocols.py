"""Evaluation protocols: full ranking or sampled negatives, with their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from mmrec_core.errors import MMRecError

if TYPE_CHECKING:
    from mmrec_core.types import Array, Dataset

Seen = Literal["hide", "allow"]

FUTURE_MEMORY = (
    "has trained on events that are later than some of the test events, so its memory would contain the future. Regime "
    "'stream' evaluates models with an event memory only on splits by time, such as chronological:70-15-15; use frozen."
)
"""Why a model with an event memory is not streamed over a split that is no global time split."""

KNOWN = (
    "full, shipped, sampled:N and sampled:N:popularity (N such as 100), each with :seen=hide or :seen=allow (whether "
    "items that the user has seen before are left out) and :existing (only items that existed at the query time); also "
    "full:of=USERS for a sample of users, sampled:N:of=ROWS for a sample of relevant rows"
)


def has_event_memory(needs: Iterable[str]) -> bool:
    """Whether a model with these needs keeps events in order, so that training may have shown it events after a test
    event."""
    return bool({"time", "sequence"} & set(needs))


def validation_label(protocol: str, regime: str) -> str:
    """How validation scores are computed, such as ``among 100, streaming``; empty for full ranking in the regime
    ``frozen``."""
    negatives = Protocol.parse(protocol).negatives
    return ", ".join([f"among {negatives}"] * (negatives is not None) + ["streaming"] * (regime == "stream"))


def protocol_label(protocol: str) -> str:
    """A protocol as shown on pages: ``full ranking, 10,000 users, seen items stay candidates``."""
    parsed = Protocol.parse(protocol)
    words = ["published candidates" if parsed.shipped else "full ranking"]
    if parsed.negatives is not None:
        kind = "popularity-sampled" if parsed.by_popularity else "sampled"
        words = [f"{parsed.negatives:,} {kind} negative{'s' if parsed.negatives != 1 else ''}"]
    if parsed.users is not None:
        words.append(f"{parsed.users:,} users")
    if parsed.of is not None:
        words.append(f"{parsed.of:,} relevant rows")
    if parsed.seen is not None:
        words.append("seen items hidden" if parsed.seen == "hide" else "seen items stay candidates")
    return ", ".join([*words, *["only items that existed then"] * parsed.existing])


def default_seen(dataset: Dataset) -> Seen:
    """The default of ``seen``: ``allow`` where events repeat (seen items can be relevant again), else ``hide``."""
    return "allow" if dataset.manifest.get("repeats") == "allowed" else "hide"


@dataclass(frozen=True)
class Protocol:
    """The candidates of each relevant item, and which relevant rows are evaluated."""

    negatives: int | None = None
    by_popularity: bool = False
    shipped: bool = False
    """Candidates that were published with the split."""
    of: int | None = None
    """Evaluate a sample of this many relevant rows."""
    users: int | None = None
    """Evaluate a sample of this many users, each with all their relevant rows."""
    seen: Seen | None = None
    """Whether items that the user has seen are no candidates; ``None``: :func:`default_seen` of the dataset."""
    existing: bool = False
    """Only items that existed at the query time are candidates."""

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """Read a protocol's name.

        ``full``, ``full:of=10000`` (users), ``shipped``, ``sampled:100``, ``sampled:100:popularity`` or
        ``sampled:100:of=5000`` (rows), each with ``:seen=hide``, ``:seen=allow`` and ``:existing``.

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
        """The protocol with ``seen`` set to the dataset's default where it is open.

        Raises:
            MMRecError: ``existing`` on data without times.
        """
        if self.existing and "time" not in dataset.manifest["has"]:
            raise MMRecError(f"':existing' needs times, which {dataset.name} does not have; leave it out.")
        return self if self.seen is not None else replace(self, seen=default_seen(dataset))

    def name(self, dataset: Dataset | None = None) -> str:
        """The name that :meth:`parse` reads.

        With a dataset, ``seen`` is left out if it is ``hide`` and that is the default.
        """
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
    """A protocol's name with the dataset's defaults: ``full`` becomes ``full:seen=allow`` where events repeat.

    Raises:
        MMRecError: unknown.
    """
    return Protocol.parse(text).on(dataset).name(dataset)


def hidden(protocol: str, items: Array) -> Array:
    """The seen items that are no candidates under this protocol: all of ``items``, or none with ``seen=allow``."""
    return items[:0] if Protocol.parse(protocol).seen == "allow" else items


def _count(text: str) -> int | None:
    """A whole number from 1 to 999,999,999, or ``None``."""
    return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) <= 9 and int(text) > 0 else None
