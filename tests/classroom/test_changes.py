"""What a class tells its browsers: a new scene to all, other changes to those who show them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pages.parts.classroom import changes


@pytest.mark.parametrize(
    ("everything", "told"), [(False, ["1 1", "2 3", "gone"]), (True, ["1 1", "1 2", "2 3", "gone"])]
)
def test_participants_hear_of_scenes_only(monkeypatch: pytest.MonkeyPatch, everything: bool, told: list[str]) -> None:
    """A rating raises the version alone; the end of a class is told to all."""
    counters = iter([(1, 1), (1, 1), (1, 2), (2, 3), (2, 3), None])

    async def current(class_id: str) -> Any:
        return next(counters)

    monkeypatch.setattr(changes, "_current", current)
    monkeypatch.setattr(changes, "FRESH_S", 0)

    async def listen() -> list[str]:
        return [
            said["data"] if "event" not in said else said["event"] async for said in changes._stream("x", everything)
        ]

    assert asyncio.run(listen()) == told


def test_who_shows_everything_asks_for_it() -> None:
    assert changes.address_of("a1", True).endswith("app/class/a1/changes?all")
    assert changes.address_of("a1", False).endswith("app/class/a1/changes")
