"""How a list of recommendations changed after a rating."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def changes(before: Sequence[int], now: Sequence[int]) -> list[int | None]:
    """How many places each item of a list rose since an earlier list (negative: fell); ``None``: it was not there."""
    place = {item: at for at, item in enumerate(before)}
    return [place[item] - at if item in place else None for at, item in enumerate(now)]


def mark(change: int | None, known: int) -> str:
    """A change as a badge: ``new``, ``▲ 3``, ``▼ 1``, or nothing.

    Args:
        change: from :func:`changes`.
        known: length of the earlier list; without one nothing is new.
    """
    if not known or change == 0:
        return ""
    return "new" if change is None else f"▲ {change}" if change > 0 else f"▼ {-change}"


def unrated(before: Sequence[int], rated: Collection[int], length: int) -> list[int]:
    """An earlier list without films that were rated since: the places that its films would have without the new rating.

    Args:
        before: the earlier list, longer than what is shown.
        rated: films that were rated.
        length: how many are shown.
    """
    return [item for item in before if item not in rated][:length]


def most_changed(lists: Mapping[str, tuple[Sequence[int], Sequence[int]]]) -> tuple[str, int] | None:
    """The model whose list has most items that the earlier one had not, and how many.

    Args:
        lists: name → (earlier list, list now).

    Returns:
        ``None`` if no list has a new item; of several the first.
    """
    new = {name: len(set(now) - set(before)) for name, (before, now) in lists.items() if before}
    best = max(new, key=lambda name: new[name], default=None)
    return (best, new[best]) if best is not None and new[best] else None
