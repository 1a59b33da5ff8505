"""The text that encoders read of a film."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    pass


def prompt_lines(film: Mapping[Any, Any]) -> list[str]:
    """The rich text prompt of a catalog row, a line each: movie, year, genres, director, cast, plot; absent ones left out."""
    year = None if _missing(film["year"]) else film["year"]
    lists = {"Genres": film["genres"], "Cast": film["cast"]}
    told = {
        k: ", ".join(str(v) for v in own) if isinstance(own, (list, np.ndarray)) else "" for k, own in lists.items()
    }

    def plain(value: Any) -> str:
        return value.strip() if isinstance(value, str) else ""

    lines = [
        ("Movie", plain(film["title"])), ("Year", "" if year is None else str(int(year))),
        ("Genres", told["Genres"]), ("Director", plain(film["director"])), ("Cast", told["Cast"]), ("Plot", plain(film["plot"])),
    ]  # fmt: skip
    return [f"{name}: {value}" for name, value in lines if value]


def rich_text(film: Mapping[Any, Any]) -> str:
    """The rich text prompt of a catalog row; the same for every encoder."""
    return "\n".join(prompt_lines(film))


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))
