"""Access control: host names of the app, who may start work, which files may be read."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from mmrec_core import ownership, runs
from mmrec_core.analysis import ablation, error_annotations
from mmrec_core.cli import launch
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import profile, tracking
from mmrec_core.maintenance import cleanup, damage
from mmrec_core.runs import ray_cluster
from mmrec_core.types import Dataset
from pages.parts import slices
from pages.parts.host_check import HostCheck
from tests.browsing import end, serve
from tests.test_pages import app, text


@pytest.fixture(autouse=True)
def nobody_is_asked() -> Iterator[None]:
    """As on the command line, after each test as before it."""
    yield
    ownership.guard(None)


def no(what: str) -> None:
    raise MMRecError(f"Only the owner may {what}.")


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.5", False),
        ("", False),
        (None, False),
        ("localhost.evil.example", False),
    ],
)
def test_which_addresses_are_this_machine_alone(address: str | None, local: bool) -> None:
    assert ownership.is_local(address) is local


def test_the_token_is_made_once_and_for_its_owner_alone(home: Path) -> None:
    first = ownership.token()
    file = home / ownership.TOKEN_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and len(first) >= 32
    assert ownership.token() == first and ownership.is_token(f" {first}\n")
    assert not any(ownership.is_token(wrong) for wrong in ("", first[:-1], first + "x", "ü" * 32))
    kept = ownership.pass_for_browser()
    assert ownership.is_pass(kept) and first not in kept and not ownership.is_token(kept)
    assert not any(ownership.is_pass(wrong) for wrong in ("", first, kept[:-1], kept.upper(), "ü" * 64))
    file.write_text("")
    assert not ownership.is_pass(kept), "another token, another pass"
    assert len(ownership.token()) >= 32, "an empty file opens nothing"


def test_work_is_refused_where_it_is_started(home: Path, ratings_csv: Path, demo: Dataset) -> None:
    """Not by hiding a button: every way into the queue, the cluster's address, and what deletes."""
    ownership.guard(no)
    for act in (
        lambda: runs.start("prepare", {"reader": "demo", "dataset": "demo"}),
        lambda: runs.resume("any"),
        lambda: runs.stop("any"),
        lambda: ray_cluster.name("127.0.0.1:9"),
        lambda: ray_cluster.name(None),
        lambda: error_annotations.remove(demo, ["any"]),
        lambda: runs.rename("any", "name"),
        lambda: cleanup.delete(cleanup.Plan("run", "any", (), (), ())),
        lambda: cleanup.clean(cleanup.Waste()),
        lambda: damage.set_aside("slices", "any"),
        lambda: slices.remove(demo, "any"),
        lambda: tracking.open_mlflow(),
        lambda: ablation.save(demo, "mf", ["dim"], [1], {}),
        lambda: profile.measure({"model": "bpr", "dataset": "demo"}),
    ):
        with pytest.raises(MMRecError, match="Only the owner"):
            act()
    assert not (home / "cluster.json").exists() and not runs.all_runs()


def test_paths_are_confined_where_others_may_come(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources, the home and its uploads; neither ``..`` nor a link leads out, and other paths are not revealed."""
    (sources := tmp_path / "sources").mkdir()
    (outside := tmp_path / "outside").mkdir()
    (outside / "weights.safetensors").write_bytes(b"")
    (home / "uploads").mkdir(parents=True)
    (sources / "way_out").symlink_to(outside)
    monkeypatch.setenv("MMREC_SOURCES", str(sources))
    anywhere = [
        outside,
        outside / "none",
        "/etc/passwd",
        "~",
        sources / ".." / "outside",
        sources / "way_out" / "weights.safetensors",
    ]
    inside = [sources / "ml", home / "uploads" / "a.csv", home / "runs" / "x" / "model"]
    for path in anywhere:
        assert ownership.confined(path) == Path(path).expanduser().resolve(), (
            "on one's own machine any file may be named"
        )
    ownership.guard(lambda what: None, wide=True)
    for path in inside:
        ownership.confined(path)
        ownership.check_paths({"options": {"items": [str(path)]}, "split": f"file:{path}"})
    for path in anywhere:
        with pytest.raises(MMRecError, match="outside the folders"):
            ownership.confined(path)
        with pytest.raises(MMRecError, match="outside the folders"):
            runs.start("prepare", {"reader": "csv", "dataset": "x", "source": str(path) if str(path) != "~" else "~/x"})
        with pytest.raises(MMRecError, match="outside the folders"):
            runs.start("train", {"dataset": "x", "model": "ease", "split": f"file:{path}"})
    with pytest.raises(MMRecError, match="outside the folders"):
        runs.donor_place(str(outside / "weights.safetensors"))
    ownership.check_paths(
        {"encoder": "clip:openai/ViT-B-32", "model": "ease", "options": {"lr": 0.1, "fields": "all,-age"}}
    )


def test_the_queue_is_bounded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_MOST_QUEUED", "3")
    for at in range(3):
        runs.create("prepare", {"reader": "demo", "dataset": f"demo{at}"})
    with pytest.raises(MMRecError, match="3 runs are already waiting"):
        runs.start("prepare", {"reader": "demo", "dataset": "one_more"})
    monkeypatch.setenv("MMREC_MOST_QUEUED", "²")
    assert ownership.most_queued() == ownership.MOST_QUEUED


def test_visitors_look_and_the_owner_starts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a page: refused with a reason; allowed after the link with the token, which is removed from the address."""
    started: list[Any] = []
    monkeypatch.setattr(runs.queue, "_launch", lambda run: started.append(run) or run)
    monkeypatch.setenv("MMREC_LISTENS", "0.0.0.0")
    shown = app()
    next(b for b in shown.button if b.label == "Prepare the demo").click().run()
    assert not started and not shown.exception and "owner" in text(shown)
    shown = app(owner="wrong")
    next(b for b in shown.button if b.label == "Prepare the demo").click().run()
    assert not started
    shown = app(owner=ownership.token())
    assert "owner" not in shown.query_params
    next(b for b in shown.button if b.label == "Prepare the demo").click().run()
    assert len(started) == 1 and not shown.exception
    monkeypatch.setenv("MMREC_LISTENS", "localhost")
    assert not runs.update(started[0], status="stopped").record["pid"]
    shown = app()
    next(b for b in shown.button if b.label == "Prepare the demo").click().run()
    assert len(started) == 2, "who sits at the machine is the owner"


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("localhost:8501", None, True),
        ("localhost:8501", "http://localhost:8501", True),
        ("127.0.0.1:8501", "http://127.0.0.1:8501", True),
        ("[::1]:8501", "http://[::1]:8501", True),
        ("LOCALHOST.:8501", None, True),
        ("evil.example:8501", None, False),
        ("evil.example:8501", "http://evil.example:8501", False),
        ("localhost:8501", "http://evil.example", False),
        ("localhost:8501", "null", False),
        ("localhost:8501", "", False),
        ("localhost@evil.example", None, False),
        ("localhost:x", None, False),
        ("", None, False),
        (None, None, False),
        ("lab.example.org", "https://lab.example.org", True),
        ("lab.example.org", "http://localhost", False),
        ("localhost:8501", "http://localhost:9999", False),
        ("localhost:8501", "https://lab.example.org", True),
        ("127.0.0.1:8501", "https://lab.example.org.evil.example", False),
        ("10.0.0.5:8501", "http://10.0.0.5:8501", True),
        ("10.0.0.6:8501", "http://10.0.0.6:8501", False),
    ],
)
def test_only_names_the_app_was_given(
    host: str | None, origin: str | None, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_NAMES", ",".join(launch.served_names("10.0.0.5", ["Lab.example.org"])))

    async def inside(*_: Any) -> None:
        raise AssertionError

    headers = [(b"host", (host or "").encode())] * (host is not None) + [(b"origin", (origin or "").encode())] * (
        origin is not None
    )
    assert HostCheck(inside).allows(headers) is allowed
    assert not HostCheck(inside).allows([*headers, (b"host", b"localhost")]) or host is None


def test_a_rebound_name_reaches_neither_pages_nor_the_socket(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding (Host and Origin are both the attacker's name) is refused; the app's own name is served."""
    import urllib.error
    import urllib.request

    server, url = serve(home)
    port = url.rpartition(":")[2]

    async def connects(host: str, origin: str) -> bool:
        try:
            async with websockets.connect(
                f"ws://{host}/_stcore/stream",
                subprotocols=[websockets.Subprotocol("streamlit")],
                origin=websockets.Origin(origin),
                host="127.0.0.1",
                port=int(port),
            ):
                return True
        except websockets.InvalidHandshake:
            return False

    def fetches(host: str) -> int:
        try:
            return int(urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=30).status)
        except urllib.error.HTTPError as error:
            return error.code

    try:
        assert asyncio.run(connects(f"localhost:{port}", f"http://localhost:{port}"))
        assert not asyncio.run(connects(f"evil.example:{port}", f"http://evil.example:{port}"))
        assert not asyncio.run(connects(f"localhost:{port}", "http://evil.example"))
        assert fetches(f"localhost:{port}") == 200 and fetches("evil.example") == 403
    finally:
        end(server)


def test_what_accepts_a_connection_and_is_no_cluster_is_given_up() -> None:
    """Ray's client would wait for most of a minute, and the page with it."""
    pytest.importorskip("ray")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(MMRecError, match="does not answer"):
            ray_cluster.nodes(f"127.0.0.1:{mute.getsockname()[1]}")
    with pytest.raises(TimeoutError):
        ray_cluster._within(0.05, lambda: time.sleep(5))
