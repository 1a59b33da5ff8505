"""Connections whose requests do not arrive are closed; those that do are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from pages.parts import slow_requests

WAIT = 0.4
WEBSOCKETS = "websockets-sansio"
"""What Streamlit has uvicorn use."""
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    """A server with an answer, a long answer and a websocket; yields its port."""

    async def answer(request: Request) -> PlainTextResponse:
        if request.query_params.get("long"):
            await asyncio.sleep(3 * WAIT)
        return PlainTextResponse("here")

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.send_text(await socket.receive_text())

    app = Starlette(routes=[Route("/", answer), WebSocketRoute("/ws", echo)])
    own = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, ws=WEBSOCKETS, log_level="error", timeout_keep_alive=30)
    )
    task = asyncio.create_task(own.serve())
    while not own.started:
        await asyncio.sleep(0.01)
    try:
        yield own.servers[0].sockets[0].getsockname()[1]
    finally:
        own.should_exit = own.force_exit = True
        await task


async def closed(reader: asyncio.StreamReader, seconds: float = 10.0) -> bool:
    """Whether the server closes a connection."""
    try:
        while await asyncio.wait_for(reader.read(1000), seconds):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


async def try_all() -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with server() as port, connect(f"ws://127.0.0.1:{port}/ws", ping_interval=None) as socket:
        silent, _ = await asyncio.open_connection("127.0.0.1", port)
        found["nothing sent"] = await closed(silent)

        half, to_half = await asyncio.open_connection("127.0.0.1", port)
        dripping = asyncio.create_task(closed(half))
        for byte in REQUEST[:-4]:  # a byte now and then keeps nothing open
            if dripping.done():
                break
            to_half.write(bytes([byte]))
            await asyncio.sleep(WAIT / 4)
        found["header in drops"] = await dripping

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        upgrade = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(upgrade + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")
        writer.write(b"Cookie: a=" + 9_000 * b"x" + b"\r\n\r\n")
        found["a line that websockets refuse"] = await closed(reader)

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        found["answered"] = b"here" in await reader.read(1000)
        await asyncio.sleep(2 * WAIT)
        writer.write(REQUEST)  # the connection was kept between requests
        found["answered again"] = b"here" in await reader.read(1000)
        writer.write(REQUEST[:10])
        found["half of a further one"] = await closed(reader)

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST.replace(b"GET / ", b"GET /?long=1 "))
        found["long answer"] = b"here" in await asyncio.wait_for(reader.read(1000), 20)

        await socket.send("still there")
        found["websocket"] = await socket.recv()
    return found


def test_headers_have_a_time_limit() -> None:
    slow_requests.limit_headers(WAIT)
    try:
        found = asyncio.run(try_all())
    finally:
        slow_requests.limit_headers()
    assert found == {
        "nothing sent": True,
        "header in drops": True,
        "a line that websockets refuse": True,
        "answered": True,
        "answered again": True,
        "half of a further one": True,
        "long answer": True,
        "websocket": "still there",
    }


def test_bodies_have_a_time_limit() -> None:
    async def come(parts: list[float]) -> list[str]:
        times = iter(parts)

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(next(times))
            return {"type": "http.request"}

        own = slow_requests.patient(receive, WAIT)
        return [(await own())["type"] for _ in parts]

    assert asyncio.run(come([0, 0, 3 * WAIT])) == ["http.request", "http.request", "http.disconnect"]


@pytest.mark.parametrize("protocol", ["h11", "httptools"])
def test_both_of_uvicorns_protocols_have_what_is_changed(protocol: str) -> None:
    module = pytest.importorskip(f"uvicorn.protocols.http.{protocol}_impl")
    kind = module.H11Protocol if protocol == "h11" else module.HttpToolsProtocol
    assert all(hasattr(kind, name) for name in ("connection_made", "data_received", "connection_lost"))
