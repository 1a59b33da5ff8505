"""Websockets of a shared app: what browsers may say, how fast, how many are open; no server path leaves.

Streamlit answers more messages than its page sends in this app: some empty caches or write files. An app that only its
own machine reaches is left alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from starlette.types import Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from mmrec_core.settings import ROOT

ALLOWED = frozenset({"rerun_script", "stop_script", "app_heartbeat", "file_urls_request"})
"""Kinds of messages that get through."""
OPERATIONS = frozenset({"deferred_file", "dataframe_chunk"})
"""Operations without a rerun that get through: downloads, and rows of tables."""
BURST, PER_S = 40, 6.0
"""Messages that a browser may send at once, and per second in the long run; further ones wait."""
FILES_AT_ONCE, FILES_PER_S = 4, 0.5
"""The same for downloads that are made when they are asked for, such as charts as PNG: one may take half a second."""
LONGEST, SHORT = 2**20, 2**14
"""Largest size in bytes of a message that asks for a rerun, with the state of all widgets, and of any other one."""
WIDGETS, FILES = 2_000, 50
"""Largest number of widgets in a message, and of files that are about to be uploaded."""
TOO_BIG = 1009
"""Code of a websocket that is closed for the size of a message (RFC 6455)."""
OF_ADDRESS, OF_ALL = 350, 700
"""Open websockets of one address (a room behind one router shares it), and of all."""

_MAIN = str(ROOT / "app.py").encode()


class Sockets:
    """Counts the open websockets of an app that others reach."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter()

    def enter(self, scope: Scope) -> bool:
        """Count a websocket in; whether there is room for it."""
        who = address(scope)
        if self.open[who] >= OF_ADDRESS or self.open.total() >= OF_ALL:
            return False
        self.open[who] += 1
        return True

    def leave(self, scope: Scope) -> None:
        """Count it out."""
        who = address(scope)
        self.open[who] -= 1
        if not self.open[who]:
            del self.open[who]


def address(scope: Scope) -> str:
    """Where a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


class Bucket:
    """A token bucket.

    Args:
        burst: how many tokens it holds.
        per_s: how many come back per second.
    """

    def __init__(self, burst: int = BURST, per_s: float = PER_S) -> None:
        self.burst, self.per_s = float(burst), per_s
        self.left, self.last = self.burst, 0.0

    def wait(self, now: float) -> float:
        """Take a token; how many seconds to wait for it."""
        self.left = min(self.burst, self.left + (now - self.last) * self.per_s)
        self.last = now
        self.left -= 1
        return max(0.0, -self.left / self.per_s)


def listening(receive: Receive) -> Receive:
    """What a browser says, without the kinds that this app has no use for, not faster than the bucket allows, and not
    longer than messages of its pages are."""
    bucket, files = Bucket(), Bucket(FILES_AT_ONCE, FILES_PER_S)

    async def receiving() -> Any:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            data = message.get("bytes") or b""
            if len(data) > LONGEST:  # whoever sends this is no browser of ours
                return {"type": "websocket.disconnect", "code": TOO_BIG}
            if seconds := bucket.wait(time.monotonic()):  # before it is read, which costs time, too
                await asyncio.sleep(seconds)
            kind = kind_of(data)
            if kind == "deferred_file" and (seconds := files.wait(time.monotonic())):
                await asyncio.sleep(seconds)
            if kind is not None:
                return message

    return receiving


def kind_of(data: bytes) -> str | None:
    """The kind of a browser's message, or its operation; ``None`` if it must not get through."""
    said = BackMsg()
    try:
        said.ParseFromString(data)
    except DecodeError:
        return None
    kind = said.WhichOneof("type")
    if kind == "rerun_script":
        return kind if len(said.rerun_script.widget_states.widgets) <= WIDGETS else None
    if len(data) > SHORT or len(said.file_urls_request.file_names) > FILES:
        return None
    if kind == "backend_operation_request":
        operation = said.backend_operation_request.WhichOneof("payload")
        return operation if operation in OPERATIONS else None
    return kind if kind in ALLOWED else None


def without_path(send: Send) -> Send:
    """What is sent to a browser, with the file's name instead of its path on this machine."""

    async def sending(message: Any) -> None:
        data = message.get("bytes") if message["type"] == "websocket.send" else None
        if data and _MAIN in data:
            shown = ForwardMsg()
            shown.ParseFromString(data)
            if shown.WhichOneof("type") == "new_session":
                shown.new_session.main_script_path = Path(shown.new_session.main_script_path).name
                message = {**message, "bytes": shown.SerializeToString()}
        await send(message)

    return sending
