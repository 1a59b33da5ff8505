"""Places for names beside dots of a chart, so that no name covers another at any width of the chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NARROW, WIDE = 280.0, 1400.0
"""Widths of a plot in pixels, on a phone and on a wide screen. Both ends of a name move linearly with the width, so
names that lie side by side in the same order on both do so on all between."""
LINE, CHAR, GAP = 15.0, 7.0, 10.0
"""Height of a name, width of a letter, and distance of a name from its dot, in pixels."""
DOT = 7.0
"""Half the size of a dot, in pixels."""


@dataclass(frozen=True)
class Name:
    """A name and its dot."""

    text: str
    x: float
    """Place of the dot from 0 (left) to 1."""
    y: float
    """Place of the dot in pixels from the top."""
    edge: bool = False
    """The name ends at the right edge of the plot, like the name of a line across it."""


@dataclass(frozen=True)
class Place:
    """Where a name stands."""

    side: str
    """``left`` or ``right`` of its dot, or ``edge``."""
    y: float
    """Its middle, in pixels from the top."""


def span(name: Name, side: str, width: float) -> tuple[float, float]:
    """Where a name begins and ends in a plot of a width."""
    long = CHAR * len(name.text)
    if side == "edge":
        return width - long, width
    dot = name.x * width
    return (dot + GAP, dot + GAP + long) if side == "right" else (dot - GAP - long, dot - GAP)


def places(names: Sequence[Name], height: float) -> list[Place]:
    """A place for each name, as near to its dot as the others allow, in order of the names.

    Names never overlap as long as there is room. They cover a dot, or leave the plot, only where they must.
    """
    found: list[Place] = []
    for at, name in enumerate(names):
        taken = list(zip(names, found, strict=False))
        options = [
            Place(side, y)
            for side in (("edge",) if name.edge else ("right", "left"))
            for step in range(int(2 * height / LINE))
            for y in {name.y + step * LINE / 2, name.y - step * LINE / 2}
            if 0 <= y <= height
        ] or [Place("edge" if name.edge else "right", min(max(name.y, 0.0), height))]
        free = [p for p in options if not any(_overlap(name, p, *other) for other in taken)]
        dots = [n for i, n in enumerate(names) if i != at and not n.edge]
        found.append(min(free or options, key=lambda p: (_cost(name, p, dots), p.y)))
    return found


def _overlap(name: Name, place: Place, other: Name, there: Place) -> bool:
    if abs(place.y - there.y) >= LINE - 1e-9:
        return False
    own = [span(name, place.side, width) for width in (NARROW, WIDE)]
    theirs = [span(other, there.side, width) for width in (NARROW, WIDE)]
    before = all(high <= start for (_, high), (start, _) in zip(own, theirs, strict=True))
    behind = all(end <= low for (low, _), (_, end) in zip(own, theirs, strict=True))
    return not (before or behind)


def _cost(name: Name, place: Place, dots: Sequence[Name]) -> float:
    cost = abs(place.y - name.y) + (2.0 if place.side == "left" else 0.0)
    for width in (NARROW, WIDE):
        low, high = span(name, place.side, width)
        cost += 30.0 * (low < 0 or high > width)
        cost += 20.0 * any(
            abs(place.y - dot.y) < LINE / 2 + DOT and low - DOT < dot.x * width < high + DOT for dot in dots
        )
    return cost
