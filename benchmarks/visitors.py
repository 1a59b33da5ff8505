"""Load test: N visitors rate films at once on the Cold start page, while another one uses Browse.

Starts the app on a home with the demo and its usual models (made anew, or ``--home`` names one), and speaks to it as
a browser does: over its websocket, on this machine, for a bounded time. Each visitor rates one film about every five
seconds; a rating counts as answered when the films came back with it and every model's recommendations after them.
Prints for each N the seconds from a click to its answers (median, 95th percentile), ratings without an answer,
processor seconds a rating costs the server, the seconds until Browse is drawn for somebody who rates nothing, and the
server's memory before, at most, and after they have left.

    python -m benchmarks.visitors [--home FOLDER] [--visitors 1,10,25,50] [--seconds 40]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("random", "popularity", "bias", "itemknn", "ease", "mf", "bpr", "svdpp", "dlrm")
EVERY_S = (4.0, 6.0)
"""Between two ratings of one visitor."""
AGAIN_S, MOST_AGAIN_S = 4.0, 60.0
"""When an unanswered rating is said again, twice as long after each time: as ``pages/parts/poster_grid.js`` does."""
GIVE_UP_S = 60.0
SETTLE_S = 150.0
"""How long memory may take to be given back: Streamlit waits two minutes for whoever left to come back."""
ENDED = (0, 3)
"""A whole page, or a part of it, was drawn to its end."""


class Visitor:
    """One browser window: the state that Streamlit's own page keeps of the app."""

    def __init__(self, port: int, page: str, seed: int) -> None:
        self.port, self.page, self.query = port, page, "dataset=demo"
        self.script = ""
        self.walls: dict[str, tuple[str, dict[str, Any], str]] = {}
        """By key: the element's id, its data, the fragment it lies in."""
        self.timers: dict[str, list[float]] = {}
        self.ended = self.whole = 0
        """Runs that came to their end; those among them that drew the whole page."""
        self.first: float | None = None
        self.spent: list[float] = []
        self.unanswered = 0
        self.said_again = 0
        self.faults: list[str] = []
        self.draw = random.Random(seed)
        self.rated: dict[int, float] = {}
        self.change = asyncio.Condition()

    async def say(self, states: Sequence[WidgetState] = (), fragment: str = "", by_itself: bool = False) -> None:
        """Ask for the page, or a part of it."""
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.page_script_hash = self.query, self.script
        asked.page_name = "" if self.script else self.page
        asked.fragment_id, asked.is_auto_rerun = fragment, by_itself
        asked.widget_states.widgets.extend(states)
        await self.socket.send(message.SerializeToString())

    async def listen(self) -> None:
        """Process a message of the server."""
        with contextlib.suppress(websockets.ConnectionClosed, asyncio.CancelledError):
            async for raw in self.socket:
                message = ForwardMsg()
                message.ParseFromString(raw)
                kind = message.WhichOneof("type")
                if kind == "new_session":
                    self.script = self.script or message.new_session.page_script_hash
                elif kind == "navigation":
                    self.script = message.navigation.page_script_hash
                elif kind == "page_info_changed":
                    self.query = message.page_info_changed.query_string
                elif kind == "auto_rerun":
                    self.timers[message.auto_rerun.fragment_id] = [message.auto_rerun.interval, time.monotonic()]
                elif kind == "stop_auto_rerun":
                    for gone in message.stop_auto_rerun.fragment_ids:
                        self.timers.pop(gone, None)
                elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                    self._see(message.delta)
                elif kind == "script_finished" and message.script_finished in ENDED:
                    async with self.change:
                        self.ended += 1
                        self.whole += message.script_finished == ENDED[0]
                        self.change.notify_all()

    def _see(self, delta: Any) -> None:
        element = delta.new_element
        if element.WhichOneof("type") == "bidi_component":
            shown = element.bidi_component
            self.walls[shown.id.rsplit("-", 1)[-1]] = (shown.id, json.loads(shown.json or "{}"), delta.fragment_id)
        elif element.WhichOneof("type") == "exception":
            self.faults.append(f"{element.exception.type}: {element.exception.message}"[:200])

    async def tick(self) -> None:
        """Fragments of a page that rerun periodically."""
        while True:
            await asyncio.sleep(0.5)
            for fragment, timer in list(self.timers.items()):
                if time.monotonic() - timer[1] >= timer[0]:
                    timer[1] = time.monotonic()
                    await self.say(fragment=fragment, by_itself=True)

    async def until(self, holds: Any, timeout: float) -> bool:
        """Wait for something to hold at the end of a run."""
        async with self.change:
            try:
                await asyncio.wait_for(self.change.wait_for(holds), timeout)
            except TimeoutError:
                return False
        return True

    async def open(self) -> None:
        """Connect, and wait for the first page."""
        started = time.perf_counter()
        address = f"ws://localhost:{self.port}/_stcore/stream"
        self.socket = await websockets.connect(
            address,
            subprotocols=[websockets.Subprotocol("streamlit")],
            max_size=None,
            open_timeout=60,
            ping_interval=None,
        )
        self.tasks = [asyncio.create_task(self.listen()), asyncio.create_task(self.tick())]
        await self.say()
        if await self.until(lambda: self.ended > 0, 120):
            self.first = time.perf_counter() - started

    async def close(self) -> None:
        """Close the connection."""
        await self.socket.close()
        for task in self.tasks:
            task.cancel()

    def shown(self, film: int) -> float | None:
        """The stars that the films came back with."""
        return next((f["stars"] for f in self.walls["suggested"][1]["films"] if f["id"] == film), None)

    @staticmethod
    def saying(element: str, film: int, stars: float) -> WidgetState:
        """What a wall of films sends for a rating."""
        said = WidgetState(id=f"$$STREAMLIT_INTERNAL_KEY_{element}__events")
        said.json_trigger_value = json.dumps([{"event": "rate", "value": [{"id": film, "stars": stars}]}])
        return said

    async def rate(self) -> None:
        """Rate one film, and wait for every answer to it."""
        element, data, fragment = self.walls["suggested"]
        films = [film["id"] for film in data["films"] if film["id"] not in self.rated]
        if not films:
            return
        film, stars = self.draw.choice(films), self.draw.choice([2.0, 3.0, 4.0, 5.0])
        self.rated[film] = stars
        said = self.saying(element, film, stars)
        started, wait = time.perf_counter(), AGAIN_S
        await self.say([said], fragment)
        while not await self.until(
            lambda: self.shown(film) == stars, min(wait, started + GIVE_UP_S - time.perf_counter())
        ):
            if time.perf_counter() - started >= GIVE_UP_S:
                self.unanswered += 1
                return
            wait = min(2 * wait, MOST_AGAIN_S)
            self.said_again += 1
            await self.say([said], fragment)
        self.spent.append(time.perf_counter() - started)

    async def rate_for(self, seconds: float) -> None:
        """Rate films at intervals."""
        until = time.monotonic() + seconds
        await asyncio.sleep(self.draw.uniform(0, EVERY_S[0]))
        while time.monotonic() < until:
            await self.rate()
            await asyncio.sleep(self.draw.uniform(*EVERY_S))

    def kept(self) -> bool:
        """Whether the link holds the visitor's own ratings and nobody else's."""
        ratings = parse_qs(self.query).get("ratings", [""])[0]
        return len([part for part in ratings.split("_") if part]) == len(self.rated) - self.unanswered


class Server:
    """The app in a separate process."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            self.port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", "mmrec_core", "serve", "--port", str(self.port), "--headless"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "MMREC_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(240):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://localhost:{self.port}/_stcore/health", timeout=2),
            ):
                return
            time.sleep(0.5)
        raise SystemExit("The app did not come up.")

    def processes(self) -> list[psutil.Process]:
        """The app's own processes."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def used(self) -> tuple[float, float]:
        """Processor seconds so far, and resident memory in MiB."""
        seconds = memory = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                seconds += sum(process.cpu_times()[:2])
                memory += process.memory_info().rss / 2**20
        return seconds, memory

    def end(self) -> None:
        """Stop it."""
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


async def measure(server: Server, n: int, seconds: float, seed: int) -> dict[str, Any]:
    """``n`` visitors who rate at once, and one who looks at Browse."""
    before = server.used()[1]
    visitors = [Visitor(server.port, "cold_start", seed + at) for at in range(n)]
    await asyncio.gather(*(visitor.open() for visitor in visitors))
    peak, looks, over = [before], [], asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            peak.append(server.used()[1])
            await asyncio.sleep(0.5)

    async def look() -> None:
        while not over.is_set():
            other = Visitor(server.port, "browse", 0)
            await other.open()
            looks.append(other.first if other.first is not None else float("inf"))
            await other.close()
            await asyncio.sleep(4)

    beside = [asyncio.create_task(watch())] + ([asyncio.create_task(look())] if n > 1 else [])
    started = server.used()[0]
    await asyncio.gather(*(visitor.rate_for(seconds) for visitor in visitors))
    spent = server.used()[0] - started
    over.set()
    for task in beside:
        await task
    mixed = sum(not visitor.kept() for visitor in visitors)
    for visitor in visitors:
        await visitor.close()
    after, until = server.used()[1], time.monotonic() + SETTLE_S
    while time.monotonic() < until and after > before * 1.02:
        await asyncio.sleep(1)
        after = min(after, server.used()[1])
    ratings = [second for visitor in visitors for second in visitor.spent]
    return {
        "visitors": n,
        "ratings": len(ratings),
        "p50": quantile(ratings, 0.5),
        "p95": quantile(ratings, 0.95),
        "unanswered": sum(v.unanswered for v in visitors),
        "again": sum(v.said_again for v in visitors),
        "mixed": mixed,
        "cpu": spent / max(len(ratings), 1),
        "first": quantile([v.first or GIVE_UP_S for v in visitors], 0.95),
        "browse": quantile(looks, 0.95),
        "before": before,
        "peak": max(peak),
        "after": after,
        "faults": sorted({fault for v in visitors for fault in v.faults}),
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the values lies; NaN of none."""
    found = sorted(values)
    return found[min(len(found) - 1, int(share * len(found)))] if found else float("nan")


@contextlib.contextmanager
def fitted_home(named: str | None) -> Iterator[Path]:
    """A home with the demo, its usual models and a map; made anew in a temporary folder where none is named."""
    with contextlib.ExitStack() as stack:
        home = Path(named).expanduser().resolve() if named else Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def do(*words: str) -> None:
            # models this small are fitted faster on one thread, above all where the cores have other work
            env = {**os.environ, "MMREC_HOME": str(home), "MMREC_MLFLOW": "off", "OMP_NUM_THREADS": "1"}
            subprocess.run(
                [sys.executable, "-m", "mmrec_core", *words],
                cwd=ROOT,
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )

        if not named:
            print("Preparing the demo and fitting its models; about three minutes.", flush=True)
            do("prepare", "demo")
            do("encode", "demo", "--encoder", "mini_clip")
            do("project", "demo", "--encoder", "mini_clip")
            for model in MODELS:
                do("train", "demo", model)
        yield home


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", help="a home in which the demo's usual models are fitted")
    parser.add_argument(
        "--visitors", default="1,10,25,50", help="how many at once, one measurement after the other; at most 200"
    )
    parser.add_argument("--seconds", type=float, default=40.0, help="how long they rate; at most 300")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the app ends with whoever is stopped here
    counts = [min(int(part), 200) for part in args.visitors.split(",")]
    with fitted_home(args.home) as home:
        server = Server(home)
        try:
            asyncio.run(
                measure(server, 1, 8, seed=10**6)
            )  # the first visitor waits for torch and for the models to be loaded
            for at, n in enumerate(counts):
                found = asyncio.run(
                    measure(server, n, min(args.seconds, 300.0), seed=1000 * (at + 1))
                )  # ratings that nobody gave before
                print(
                    f"{found['visitors']:>3} visitors: {found['ratings']} ratings, p50 {found['p50']:.2f} s, p95 "
                    f"{found['p95']:.2f} s, unanswered {found['unanswered']}, "
                    f"said again {found['again']}; {found['cpu']:.3f} CPU s a rating; first page p95 "
                    f"{found['first']:.2f} s, Browse beside p95 {found['browse']:.2f} s; "
                    f"memory {found['before']:.0f} MiB before, {found['peak']:.0f} at most, {found['after']:.0f} after "
                    f"they left; "
                    f"links with other ratings {found['mixed']}; faults {found['faults'] or 'none'}; load "
                    f"{os.getloadavg()[0]:.1f}",
                    flush=True,
                )
        finally:
            server.end()


if __name__ == "__main__":
    main()
