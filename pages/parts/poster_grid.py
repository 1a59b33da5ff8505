"""A wall of posters: lazy static images, half-star ratings, keyboard use; the one way in which pages show films."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset

HERE = Path(__file__).parent
_WALL = st.components.v2.component(
    "mmrec.wall",
    html='<div class="wall" role="list"></div>\n<div class="live" aria-live="polite"></div>',
    css=(HERE / "poster_grid.css").read_text(encoding="utf-8"),
    js=(HERE / "poster_grid.js").read_text(encoding="utf-8"),
)

CHANGES = 20
"""Ratings in one event at most: a person gives one at a time, and a few while the server is slow."""


def film_card(
    dataset: Dataset,
    row: int,
    *,
    note: str = "",
    why: str = "",
    stars: float | None = None,
    mark: str = "",
    says: str = "",
) -> dict[str, Any]:
    """What the grid shows of one film: ``note`` replaces what others think of it, ``mark`` frames it as ``hit``,
    ``miss`` or ``key``, ``says`` tells what that means."""
    named = (str(dataset.folder), dataset.checksum)
    while len(_FACTS) > 8 and named not in _FACTS:
        _FACTS.pop(next(iter(_FACTS)))
    kept = _FACTS.setdefault(named, {})
    facts = kept.get(int(row))
    if facts is None:
        facts = kept[int(row)] = _facts(dataset, int(row))
    if note:  # what is not shown is not sent either: in a study nobody is to learn what others think of a film
        facts = {**facts, "note": note, "mean": ""}
    return {**facts, "why": why, "stars": stars, "mark": mark, "mark_label": says}


_FACTS: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
"""What is always said of a film, by dataset and its checksum: a row of a table costs more to read than to show."""


def _facts(dataset: Dataset, row: int) -> dict[str, Any]:
    record = dataset.catalog.iloc[row]
    year, mean = record["year"], record.get("mean_rating")
    note = (
        f"★ {mean:.1f} · {int(record['n_ratings']):,}"
        if mean is not None and mean == mean
        else (
            "not rated yet"
            if not record["n_ratings"]
            else f"watched by {int(record.get('n_users', record['n_ratings'])):,}"
        )
    )
    return {
        "id": row,
        "title": record["title"],
        "year": None if pd.isna(year) else int(year),
        "poster": record["poster"] if isinstance(record["poster"], str) else None,
        "note": note,
        "mean": f"★ {mean:.1f}" if mean is not None and mean == mean else "not rated",
    }


def star_steps(low: float, high: float) -> list[float]:
    """The ten ratings that five stars in half steps stand for, from the lowest to the highest of a scale.

    A scale four or four and a half wide reads as stars do (1 to 5, 0.5 to 5): each half star is half a rating. Any
    other is divided evenly, in round numbers, so that both ends can be said.
    """
    span = high - low
    if span in {4.0, 4.5}:
        return [max(low, high - 5 + half / 2) for half in range(1, 11)]
    unit = 10.0 ** math.floor(math.log10(span / 9))
    return [low, *(round(round((low + at * span / 9) / unit) * unit, 12) for at in range(1, 9)), high]


def rated(event: Any, n_items: int, scale: tuple[float, float]) -> list[tuple[int, float | None]]:
    """What a grid says was rated: item rows and stars, ``None`` where they were cleared.

    Args:
        event: the grid's state, as a browser sent it.
        n_items: number of items; rows are below it.
        scale: lowest and highest rating.

    Raises:
        MMRecError: it is no list of at most :data:`CHANGES` such pairs, or a value is none of the grid's.
    """
    changes = event.get("rate") if hasattr(event, "get") else None
    if changes is None:
        return []
    if not isinstance(changes, Sequence) or isinstance(changes, str) or len(changes) > CHANGES:
        raise MMRecError("That is no rating.")
    found: list[tuple[int, float | None]] = []
    for change in changes:
        row, stars = (change.get(name, "") for name in ("id", "stars")) if isinstance(change, Mapping) else ("", "")
        if type(row) is not int or not 0 <= row < n_items:
            raise MMRecError("That is no rating.")
        if stars is not None and (
            type(stars) not in {int, float} or not any(abs(stars - step) < 1e-6 for step in star_steps(*scale))
        ):
            raise MMRecError("That is no rating.")
        found.append((row, None if stars is None else float(stars)))
    return found


def poster_grid(
    films: Sequence[Mapping[str, Any]],
    *,
    key: str,
    rate: tuple[float, float] | None = None,
    size: str = "medium",
    on_open: Callable[[], None] | None = None,
    on_rate: Callable[[], None] | None = None,
    on_skip: Callable[[], None] | None = None,
    label: str = "Films",
) -> Any:
    """Show films; the result's ``open`` is a film's row when one is chosen, ``rate`` is a list of ``{"id", "stars"}``
    (``None`` clears), ``skip`` a film nobody here has seen.

    Args:
        films: from :func:`film`.
        rate: lowest and highest rating, to show stars; ``None``: no rating.
        size: ``small``, ``medium``, ``row`` (one line that scrolls sideways) ``eight`` or ``five`` (one line
            of so many).
    """
    data = {
        "films": [dict(f) for f in films],
        "rate": rate is not None,
        "steps": star_steps(*rate) if rate else None,
        "size": size,
        "label": label,
        "opens": on_open is not None,
        "skips": on_skip is not None,
    }
    nothing = lambda: None
    return _WALL(
        key=key,
        data=data,
        on_open_change=on_open or nothing,
        on_rate_change=on_rate or nothing,
        on_skip_change=on_skip or nothing,
    )
