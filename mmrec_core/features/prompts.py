"""The text prompt that encoders read for each film."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def prompt_lines(film: Mapping[Any, Any]) -> list[str]:
    """The lines of the text prompt of a catalog row: movie, year, genres, director, cast, plot.

    Missing ones left out.
    """
    year = None if _missing(film["year"]) else film["year"]
    lists = {"Genres": film["genres"], "Cast": film["cast"]}
    joined = {
        k: ", ".join(str(v) for v in own) if isinstance(own, (list, np.ndarray)) else "" for k, own in lists.items()
    }

    def plain(value: Any) -> str:
        return value.strip() if isinstance(value, str) else ""

    lines = [
        ("Movie", plain(film["title"])),
        ("Year", "" if year is None else str(int(year))),
        ("Genres", joined["Genres"]),
        ("Director", plain(film["director"])),
        ("Cast", joined["Cast"]),
        ("Plot", plain(film["plot"])),
    ]
    return [f"{name}: {value}" for name, value in lines if value]


def rich_text(film: Mapping[Any, Any]) -> str:
    """The text prompt of a catalog row; the same for every encoder."""
    return "\n".join(prompt_lines(film))


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))
