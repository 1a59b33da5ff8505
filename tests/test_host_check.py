"""What the gate before the app does once visitors have left; whom it lets in is tested with the attacks."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

from pages.parts import host_check


class Held:
    """Something large that a session refers to."""


def test_sessions_of_people_who_left_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the time in which they may come back, without waiting for the next one to leave."""
    storage = MemorySessionStorage(ttl_seconds=0)  # type: ignore[arg-type]
    manager = WebsocketSessionManager(storage, *[None] * 3)  # type: ignore[arg-type]
    monkeypatch.setattr(host_check.runtime, "exists", lambda: True)
    monkeypatch.setattr(host_check.runtime, "get_instance", lambda: SimpleNamespace(_session_mgr=manager))
    session: Any = SimpleNamespace(id="a", held=Held())
    storage.save(SimpleNamespace(session=session))  # type: ignore[arg-type]
    del session
    assert any(isinstance(o, Held) for o in gc.get_objects())
    host_check.forget_sessions()
    host_check.give_back()
    assert not any(isinstance(o, Held) for o in gc.get_objects())


def test_memory_is_given_back_soon_and_when_nobody_can_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once after a short while, once after the last session can be dropped, and then no more."""
    collected: list[int] = []
    monkeypatch.setattr(host_check, "QUIET_S", 0.05)
    monkeypatch.setattr(host_check, "give_back", lambda: collected.append(1))

    async def visits() -> None:
        gate = host_check.HostCheck(None)  # type: ignore[arg-type]
        monkeypatch.setattr(host_check, "reconnection_s", lambda: 0.0)
        for _ in range(5):
            gate.left()
        await asyncio.sleep(0.5)
        assert len(collected) == 1 and gate.tidy is None
        monkeypatch.setattr(host_check, "reconnection_s", lambda: 0.3)
        gate.left()
        await asyncio.sleep(3)
        assert len(collected) == 3 and gate.tidy is None

    asyncio.run(visits())
