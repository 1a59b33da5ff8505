"""Closes connections of a shared app whose requests do not arrive: uvicorn waits for them without end."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Receive
from uvicorn.protocols.http import auto

HEADER_S, BODY_S = 20.0, 60.0
"""How many seconds a request's header, and each next part of its body, may take."""


def limit_headers(seconds: float = HEADER_S) -> None:
    """Make uvicorn close connections on which no request has come whole after so many seconds.

    It counts from the connection, and from the first byte of each further request; uvicorn itself closes connections
    that are idle between requests. Uvicorn has no setting for it, so the class that it makes connections of is changed.

    Args:
        seconds: how long a header may take.
    """
    kind: Any = auto.AutoHTTPProtocol
    if hasattr(kind, "mmrec_header_s"):
        kind.mmrec_header_s = seconds
        return
    kind.mmrec_header_s = seconds
    made, received, lost = kind.connection_made, kind.data_received, kind.connection_lost

    def is_waiting(own: Any) -> bool:
        return own.cycle is None or bool(own.cycle.response_complete)

    def stop_waiting(own: Any) -> None:
        timer = own.__dict__.pop("mmrec_timer", None)
        if timer is not None:
            timer.cancel()

    def begin_waiting(own: Any) -> None:
        if "mmrec_timer" not in own.__dict__:
            own.mmrec_timer = asyncio.get_running_loop().call_later(kind.mmrec_header_s, close, own)

    def close(own: Any) -> None:
        own.__dict__.pop("mmrec_timer", None)
        now = own.transport.get_protocol()
        # a websocket has another protocol by now, which does not answer a header with a line of more than 8 KB
        if is_waiting(own) if now is own else not getattr(now, "handshake_initiated", True):
            own.transport.abort()

    def connection_made(own: Any, transport: Any) -> None:
        made(own, transport)
        begin_waiting(own)

    def data_received(own: Any, data: bytes) -> None:
        before = own.cycle
        received(own, data)
        if own.cycle is not before or not is_waiting(own):
            stop_waiting(own)
        else:
            begin_waiting(own)

    def connection_lost(own: Any, error: Exception | None) -> None:
        stop_waiting(own)
        lost(own, error)

    kind.connection_made, kind.data_received, kind.connection_lost = connection_made, data_received, connection_lost


def patient(receive: Receive, seconds: float = BODY_S) -> Receive:
    """The parts of a body; it ends as if the visitor had left where one takes too long.

    Args:
        receive: gives the parts.
        seconds: how long each may take.
    """

    async def receiving() -> Any:
        try:
            return await asyncio.wait_for(receive(), seconds)
        except TimeoutError:
            return {"type": "http.disconnect"}

    return receiving
