"""What a browser may say on the websocket of a shared app."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from mmrec_core.settings import ROOT
from pages.parts import visitor_socket
from pages.parts.host_check import HostCheck


def said(**fields: Any) -> bytes:
    return BackMsg(**fields).SerializeToString()


def rerun() -> bytes:
    message = BackMsg()
    message.rerun_script.query_string = "dataset=demo"
    return message.SerializeToString()


def operation(name: str) -> bytes:
    message = BackMsg()
    getattr(message.backend_operation_request, name).SetInParent()
    return message.SerializeToString()


def test_what_gets_through() -> None:
    """Reruns and downloads; nothing that empties caches, writes files on the server, or is no message."""
    assert visitor_socket.kind_of(rerun()) == "rerun_script"
    assert visitor_socket.kind_of(said(app_heartbeat=True)) == "app_heartbeat"
    assert visitor_socket.kind_of(operation("dataframe_chunk")) == "dataframe_chunk"
    for name in ("clear_cache", "set_run_on_save", "load_git_info", "debug_shutdown_runtime"):
        assert visitor_socket.kind_of(said(**{name: True})) is None
        assert visitor_socket.kind_of(rerun() + said(**{name: True})) is None, "the last kind of a message counts"
    for name in ("install_skills", "dismiss_skills_nudge"):
        assert visitor_socket.kind_of(operation(name)) is None
    for data in (b"", b"\xff\xff", b"\x00" * 40):
        assert visitor_socket.kind_of(data) is None


def test_every_kind_of_message_was_thought_of() -> None:
    """A newer Streamlit with further kinds needs a decision here."""
    kinds = {field.name for field in BackMsg.DESCRIPTOR.oneofs_by_name["type"].fields}
    refused = {
        "clear_cache",
        "set_run_on_save",
        "load_git_info",
        "debug_disconnect_websocket",
        "debug_shutdown_runtime",
    }
    assert kinds == visitor_socket.ALLOWED | refused | {"backend_operation_request"}


def test_reruns_wait_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The burst passes at once, then so many per second; none is lost."""
    bucket = visitor_socket.Bucket()
    waits = [bucket.wait(100.0) for _ in range(visitor_socket.BURST + 3)]
    assert waits[: visitor_socket.BURST] == [0.0] * visitor_socket.BURST
    assert waits[-3:] == pytest.approx([n / visitor_socket.PER_S for n in (1, 2, 3)])
    assert bucket.wait(200.0) == 0.0, "it fills again"

    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(visitor_socket.asyncio, "sleep", sleep)
    messages = iter([{"type": "websocket.receive", "bytes": b} for b in (*[rerun()] * 43, said(clear_cache=True))])

    async def receive() -> Any:
        return next(messages)

    async def conversation() -> list[Any]:
        listening = visitor_socket.listening(receive)
        return [await listening() for _ in range(43)]

    assert all(m["bytes"] == rerun() for m in asyncio.run(conversation())) and len(slept) == 3


def test_no_path_of_the_server_is_sent() -> None:
    """The first message of each run names the app's file without its folder; other messages are left as they are."""
    first, other = ForwardMsg(), ForwardMsg()
    first.new_session.main_script_path = str(ROOT / "app.py")
    first.new_session.name = "kept"
    other.page_profile.uncaught_exception = "x"
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def conversation() -> None:
        for message in (first, other):
            data = {"type": "websocket.send", "bytes": message.SerializeToString()}
            await visitor_socket.without_path(send)(data)

    asyncio.run(conversation())
    shown = ForwardMsg.FromString(sent[0]["bytes"])
    assert shown.new_session.main_script_path == "app.py" and shown.new_session.name == "kept"
    assert sent[1]["bytes"] == other.SerializeToString()


def test_the_number_of_open_windows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one address, and of all; whoever leaves makes room. An app of one machine has no limit."""
    monkeypatch.setattr(visitor_socket, "OF_ADDRESS", 2)
    monkeypatch.setattr(visitor_socket, "OF_ALL", 3)
    going, closed = asyncio.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await going.wait()

    async def visit(gate: HostCheck, host: str) -> None:
        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            closed.append(message["code"])

        scope = {"type": "websocket", "headers": [(b"host", b"localhost")], "client": (host, 1)}
        await gate(scope, receive, send)  # type: ignore[arg-type]

    async def many(listens: str) -> None:
        monkeypatch.setenv("MMREC_LISTENS", listens)
        gate = HostCheck(app)  # type: ignore[arg-type]
        visits = [asyncio.create_task(visit(gate, host)) for host in ("a", "a", "a", "b", "c")]
        await asyncio.sleep(0.05)
        going.set()
        await asyncio.gather(*visits)
        assert gate.tidy is not None
        gate.tidy.cancel()
        assert not gate.sockets.open

    asyncio.run(many("localhost"))
    assert closed == []
    going = asyncio.Event()
    asyncio.run(many("0.0.0.0"))
    assert closed == [1013, 1013]


def test_messages_are_no_longer_than_those_of_our_pages() -> None:
    """Many empty names or widgets in few bytes would keep the server busy for seconds; huge messages end the socket."""
    files, widgets = BackMsg(), BackMsg()
    files.file_urls_request.request_id = "1"
    files.file_urls_request.file_names.extend(["plot.csv"] * visitor_socket.FILES)
    assert visitor_socket.kind_of(files.SerializeToString()) == "file_urls_request"
    files.file_urls_request.file_names.append("one more")
    assert visitor_socket.kind_of(files.SerializeToString()) is None
    for _ in range(visitor_socket.WIDGETS):
        widgets.rerun_script.widget_states.widgets.add()
    assert visitor_socket.kind_of(widgets.SerializeToString()) == "rerun_script"
    widgets.rerun_script.widget_states.widgets.add()
    assert visitor_socket.kind_of(widgets.SerializeToString()) is None

    async def receive() -> Any:
        return {"type": "websocket.receive", "bytes": b"x" * (visitor_socket.LONGEST + 1)}

    end = asyncio.run(visitor_socket.listening(receive)())
    assert end == {"type": "websocket.disconnect", "code": visitor_socket.TOO_BIG}


def test_downloads_that_take_long_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few at once, then one every two seconds; rows of tables come as fast as reruns."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(visitor_socket.asyncio, "sleep", sleep)

    async def ask(name: str, n: int) -> int:
        slept.clear()

        async def receive() -> Any:
            return {"type": "websocket.receive", "bytes": operation(name)}

        listening = visitor_socket.listening(receive)
        for _ in range(n):
            await listening()
        return len(slept)

    assert asyncio.run(ask("deferred_file", visitor_socket.FILES_AT_ONCE + 3)) == 3
    assert asyncio.run(ask("dataframe_chunk", visitor_socket.FILES_AT_ONCE + 3)) == 0
