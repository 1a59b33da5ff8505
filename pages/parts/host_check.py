"""The gate before the app: requests that name another host, or come from another site, are refused before anything
answers them.

A foreign page can let its own name point to this machine (DNS rebinding); its visitors' browsers would then reach the
app as if it were that page. So the ``Host`` and the ``Origin`` of every request must be a name that the app was asked
to serve. Refused here, a foreign origin also never reaches Streamlit's own check, which would ask a host on the
internet for this machine's outer address.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import gc
import ipaddress
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import runtime

from mmrec_core import ownership
from mmrec_core.ownership import LOCAL_NAMES
from pages.parts import slow_requests, uploads, visitor_socket

QUIET_S = 15.0
REFUSED, TRY_LATER = 1008, 1013
"""Codes of a closed websocket (RFC 6455)."""
SAID = (
    "This app does not go by that name. Open it by the address that was printed when it started, or name it: serve"
    " --host ADDRESS --name NAME."
)


def names() -> frozenset[str]:
    """The host names the app goes by: those of its own machine, and what ``MMREC_NAMES`` adds (``serve --host`` and
    ``--name``)."""
    return frozenset(
        [*LOCAL_NAMES, *(part.strip().lower() for part in os.environ.get("MMREC_NAMES", "").split(",") if part.strip())]
    )


def is_given(name: str) -> bool:
    """Whether a name was given to the app (``--name``), unlike the names and addresses that its machine has anyway: at
    their other ports other programs may listen."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name not in {*LOCAL_NAMES, socket.gethostname().lower()}
    return False


def host_of(value: str, url: bool) -> str | None:
    """The host in a ``Host`` header, or in an origin's address (``url``); ``None`` where it is none."""
    try:
        parts = urlsplit(value if url else f"//{value}")
        _ = parts.port  # a port that is no number is refused here
    except ValueError:
        return None
    if parts.username is not None or parts.password is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname.rstrip(".").lower() if parts.hostname else None


class HostCheck:
    """Answers 403 to whom the app does not know by name; gives memory back after visitors have left."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.names = app, names()
        self.tidy: asyncio.TimerHandle | None = None
        self.last_left = 0.0
        self.uploads = uploads.Limits()
        self.sockets = visitor_socket.Sockets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or refuse."""
        if scope["type"] == "websocket" and self.allows(scope["headers"]):
            await self.websocket(scope, receive, self.framed(send))
        elif scope["type"] == "websocket":
            await self.closed(receive, send, REFUSED)
        elif scope["type"] == "http" and not self.allows(scope["headers"]):
            await PlainTextResponse(SAID, status_code=403)(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "PUT" and not self.uploads.admits(scope):
            await PlainTextResponse(uploads.SAID, status_code=413)(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "PUT":
            receive = slow_requests.patient(self.uploads.counting(scope, receive))
            await self.app(scope, receive, self.framed(send))
        elif scope["type"] == "http" and shared() and scope["path"].rstrip("/").endswith("/_stcore/metrics"):
            await PlainTextResponse("Not found", status_code=404)(scope, receive, send)
        else:
            await self.app(scope, receive, self.framed(send))

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The connection of a page; of a shared app it is watched."""
        watched = shared()
        if watched and not self.sockets.enter(scope):
            await self.closed(receive, send, TRY_LATER)
            return
        try:
            if watched:
                receive, send = visitor_socket.listening(receive), visitor_socket.without_path(send)
            await self.app(scope, receive, send)
        finally:
            if watched:
                self.sockets.leave(scope)
            self.left()

    @staticmethod
    async def closed(receive: Receive, send: Send, code: int) -> None:
        """Refuse a websocket."""
        await receive()  # the wish to connect
        await send({"type": "websocket.close", "code": code})

    @staticmethod
    def framed(send: Send) -> Send:
        """Adds headers: other sites may not frame the app, and learn no address of it."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(b"x-frame-options", b"SAMEORIGIN"), (b"referrer-policy", b"same-origin")]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        return with_headers

    def left(self) -> None:
        """Somebody left: after a while, what they held is collected and given back to the system. Not after each run of
        a page, as usual: it costs more than most of them."""
        loop = asyncio.get_running_loop()
        self.last_left = loop.time()
        if self.tidy is None:
            self.tidy = loop.call_later(QUIET_S, self.collect)

    def collect(self) -> None:
        """Collect now, and again once Streamlit no longer waits for whoever left to come back."""
        loop = asyncio.get_running_loop()
        forget_sessions()
        loop.run_in_executor(None, give_back)
        remaining = self.last_left + reconnection_s() - loop.time()
        self.tidy = loop.call_later(remaining + 1, self.collect) if remaining > 0 else None

    def allows(self, headers: Any) -> bool:
        """Whether a request's host, and its origin where it has one, are ours: the very host and port that are asked,
        or a name that was given to the app (a proxy before it may ask by another). Another port of this machine is
        somebody else's page."""
        hosts, origins = ([v.decode("latin-1") for k, v in headers if k == name] for name in (b"host", b"origin"))
        if len(hosts) != 1 or len(origins) > 1 or host_of(hosts[0], url=False) not in self.names:
            return False
        given = {name for name in self.names if is_given(name)}
        return all(
            (name := host_of(origin, url=True)) is not None
            and (urlsplit(origin).netloc.lower() == hosts[0].lower() or name in given)
            for origin in origins
        )


def shared() -> bool:
    """Whether others than this machine reach the app."""
    return not ownership.is_local(ownership.listens() or "localhost")


def reconnection_s() -> float:
    """For how many seconds Streamlit keeps the session of a browser that lost its connection."""
    return float(st.get_option("server.disconnectedSessionTTL"))


def forget_sessions() -> None:
    """Drop the sessions that are past that time. Streamlit itself drops them only when the next browser leaves."""
    if runtime.exists():
        manager = runtime.get_instance()._session_mgr
        kept = getattr(getattr(manager, "_session_storage", None), "_cache", None)
        if kept is not None and hasattr(kept, "expire"):
            kept.expire()


def give_back() -> None:
    """Collect garbage, and let the C library return what it holds where it is glibc.

    What survives is left out of later automatic collections, each of which would stop all pages for as long as it takes
    to look through the libraries and models; the next call here looks through it again.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    atexit.unregister(gc.unfreeze)
    atexit.register(gc.unfreeze)  # the interpreter collects what libraries hold when it ends, or they complain
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def middleware() -> Middleware:
    """The gate, for the server."""
    slow_requests.limit_headers()
    return Middleware(HostCheck)
