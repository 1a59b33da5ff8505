"""Server-sent events of a class: a new scene goes to all streams, other changes to those that asked for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pages.parts.classroom import changes


@pytest.mark.parametrize(
    ("everything", "sent"), [(False, ["1 1", "2 3", "gone"]), (True, ["1 1", "1 2", "2 3", "gone"])]
)
def test_participants_are_sent_new_scenes_only(
    monkeypatch: pytest.MonkeyPatch, everything: bool, sent: list[str]
) -> None:
    """A rating raises the version alone; the end of a class is sent to all."""
    counters = iter([(1, 1), (1, 1), (1, 2), (2, 3), (2, 3), None])

    async def current(class_id: str) -> Any:
        return next(counters)

    monkeypatch.setattr(changes, "_current", current)
    monkeypatch.setattr(changes, "FRESH_S", 0)

    async def listen() -> list[str]:
        return [
            event["data"] if "event" not in event else event["event"]
            async for event in changes._stream("x", everything)
        ]

    assert asyncio.run(listen()) == sent


def test_the_address_names_what_is_sent() -> None:
    assert changes.address_of("a1", True).endswith("app/class/a1/changes?all")
    assert changes.address_of("a1", False).endswith("app/class/a1/changes")
