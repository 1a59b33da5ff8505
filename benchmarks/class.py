"""Load test of a class: N participants rate films at once, with a projector beside them; then many who only joined.

Starts the app on a home with the demo and its usual models (made anew, or ``--home`` names one) and speaks to it as
browsers do: over the websocket, with an open event stream each. Each participant rates one film about every five
seconds. A rating counts as answered when the page came back without the film among those to rate, with the list of
recommendations below. The projector draws the class on the map and the standings of all models whenever something
changes, as often as the page says (every .7 to 4 seconds). The speed of a shared machine changes by the minute, so a
lone participant with a projector is measured before each round of N and the two are compared. Prints for each N the
seconds from a tap to the answer (median, 95th percentile), the lone participant's and the ratio of the two, ratings
without an answer, processor seconds a rating, and the server's memory before, after a third, at most, at the end and
after they have left. ``--idle N`` opens N participants who do nothing and measures the processor.

    python -m benchmarks.class [--home FOLDER] [--participants 1,10,25,50] [--seconds 60] [--rounds 3] [--idle 200]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from typing import Any

import websockets
from streamlit.proto.WidgetStates_pb2 import WidgetState

from benchmarks.visitors import (
    AGAIN_S,
    EVERY_S,
    GIVE_UP_S,
    MOST_AGAIN_S,
    SETTLE_S,
    Server,
    Visitor,
    fitted_home,
    quantile,
)


class Participant(Visitor):
    """A participant's browser: its window and its event stream."""

    def __init__(self, port: int, classroom: Any, secret: str | None, seed: int) -> None:
        super().__init__(port, "class", seed)
        self.classroom, self.secret = classroom, secret
        self.query = f"dataset=demo&code={classroom.code}"
        if secret is None:
            self.query = f"dataset=demo&view=projector&key={classroom.projector}"
        self.drawn = 0

    async def open(self) -> None:
        """Connect with the cookie, and wait for the first page."""
        started = time.perf_counter()
        cookie = {"Cookie": f"mmrec_class_{self.classroom.id}={self.secret}"} if self.secret else {}
        self.socket = await websockets.connect(
            f"ws://localhost:{self.port}/_stcore/stream",
            subprotocols=[websockets.Subprotocol("streamlit")],
            additional_headers=cookie,
            max_size=None,
            open_timeout=60,
            ping_interval=None,
        )
        self.tasks = [asyncio.create_task(task) for task in (self.listen(), self.tick(), self.follow())]
        await self.say()
        if await self.until(lambda: self.ended > 0, 120):
            self.first = time.perf_counter() - started

    async def follow(self) -> None:
        """The event stream; a projector draws again when the class has changed."""
        reader, writer = await asyncio.open_connection("localhost", self.port)
        path = f"/app/class/{self.classroom.id}/changes{'' if self.secret else '?all'}"
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        await writer.drain()
        latest, asked = 0, 0
        try:
            while line := await reader.readline():
                if line.startswith(b"data: ") and self.secret is None:
                    latest = int(line.split()[2])
                    key = f"class-changes-{self.classroom.id}"
                    own = next((wall for name, wall in self.walls.items() if key.endswith(name)), None)
                    if own is not None and latest != asked:
                        asked = latest
                        said = WidgetState(id=f"$$STREAMLIT_INTERNAL_KEY_{own[0]}__events")
                        said.json_trigger_value = f'[{{"event": "changed", "value": {latest}}}]'
                        await self.say([said], own[2])
                        self.drawn += 1
                        await asyncio.sleep(own[1]["pause"] / 1000)
        finally:
            writer.close()

    async def rate(self) -> None:
        """Rate one film that is offered, and wait for the page without it."""
        element, data, fragment = self.walls["class.rate"]
        films = [film["id"] for film in data["films"] if film["id"] not in self.rated]
        if not films:
            return
        film, stars = self.draw.choice(films), self.draw.choice([1.0, 2.0, 3.0, 4.0, 5.0])
        self.rated[film] = stars
        started, wait = time.perf_counter(), AGAIN_S
        said = self.saying(element, film, stars)
        await self.say([said], fragment)
        there = lambda: all(f["id"] != film for f in self.walls["class.rate"][1]["films"])
        while not await self.until(there, min(wait, started + GIVE_UP_S - time.perf_counter())):
            if time.perf_counter() - started >= GIVE_UP_S:
                self.unanswered += 1
                return
            wait = min(2 * wait, MOST_AGAIN_S)
            self.said_again += 1
            await self.say([said], fragment)
        self.spent.append(time.perf_counter() - started)

    async def rate_for(self, seconds: float) -> None:
        """Rate films at intervals; after thirty films, all of their ratings are deleted and they begin again."""
        until = time.monotonic() + seconds
        await asyncio.sleep(self.draw.uniform(0, EVERY_S[0]))
        while time.monotonic() < until:
            if len(self.rated) >= 30:  # the plan has forty films: somebody else begins in their place
                await asyncio.to_thread(forget, self.classroom.id, self.participant_id)
                self.rated.clear()
            await self.rate()
            await asyncio.sleep(self.draw.uniform(*EVERY_S))

    participant_id = ""


def forget(class_id: str, participant_id: str) -> None:
    """Delete all ratings of a participant in one transaction; the app itself only deletes participants."""
    import sqlalchemy as sa

    from mmrec_core.database import classes, ratings, writing

    with writing() as connection:
        connection.execute(sa.update(classes).where(classes.c.id == class_id).values(version=classes.c.version + 1))
        connection.execute(sa.delete(ratings).where(ratings.c.participant_id == participant_id))


def class_of(n: int, port: int, seed: int, projector: bool = True) -> tuple[Any, list[Participant]]:
    """A class in which the experiment is under way, with N participants who have joined, and a projector."""
    from mmrec_core.classroom import experiment, limits, store
    from mmrec_core.data import preparation

    limits.JOINS.times = limits.WRITES.times = 10**6  # in this process alone; the app keeps its limits
    classroom = store.create("demo", f"Load test with {n}")
    store.set_plan(classroom.id, experiment.plan(preparation.open_dataset("demo")))
    store.show(classroom.id, store.EXPERIMENT)
    people = []
    for at in range(n):
        person, secret = store.join(classroom.code, "", "127.0.0.1")
        people.append(Participant(port, classroom, secret, seed + at))
        people[-1].participant_id = person.id
    return classroom, people + ([Participant(port, classroom, None, 0)] if projector else [])


async def measure(server: Server, n: int, seconds: float, seed: int, wall: bool = True) -> dict[str, Any]:
    """N participants who rate at once, and a projector if ``wall``."""
    from mmrec_core.classroom import store

    classroom, windows = class_of(n, server.port, seed, projector=wall)
    await asyncio.gather(*(window.open() for window in windows))
    people, drawn = windows[:n], windows[n:]
    memory, over = [server.used()[1]], asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            memory.append(server.used()[1])
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    started, began = server.used()[0], time.monotonic()
    await asyncio.gather(*(person.rate_for(seconds) for person in people))
    spent, lasted = server.used()[0] - started, time.monotonic() - began
    over.set()
    await watching
    for window in windows:
        await window.close()
    kept = len(store.ratings_of(classroom.id))
    store.delete(classroom.id)
    return {
        "answers": [second for person in people for second in person.spent],
        "unanswered": sum(p.unanswered for p in people),
        "again": sum(p.said_again for p in people),
        "kept": kept,
        "drawn": sum(window.drawn for window in drawn),
        "cpu": spent,
        "lasted": lasted,
        "first": [p.first or GIVE_UP_S for p in people],
        "memory": memory,
        "faults": {fault for window in windows for fault in window.faults},
    }


async def left(server: Server, before: float) -> float:
    """The server's memory after everybody has left, in MiB: Streamlit keeps sessions for a while, so wait for it."""
    after, until = server.used()[1], time.monotonic() + SETTLE_S
    while time.monotonic() < until and after > before * 1.02:
        await asyncio.sleep(1)
        after = min(after, server.used()[1])
    return after


def compare(server: Server, n: int, seconds: float, rounds: int, wall: bool) -> str:
    """N participants and a lone one in alternating rounds, in words.

    Args:
        server: the app.
        n: how many rate at once.
        seconds: how long a round of N lasts; the lone participant rates for two minutes at most.
        rounds: how many times the two take turns.
        wall: whether there is a projector.
    """
    before = server.used()[1]
    lone, many = [], []
    for at in range(rounds):
        lone.append(asyncio.run(measure(server, 1, min(seconds, 120.0), 1000 * n + at, wall)))
        many.append(asyncio.run(measure(server, n, seconds, 2000 * n + 100 * at, wall)))
    after = asyncio.run(left(server, before))
    alone = [second for found in lone for second in found["answers"]]
    answers = [second for found in many for second in found["answers"]]
    total = lambda name: sum(found[name] for found in many)
    memory = [mib for found in many for mib in found["memory"]]
    faults = sorted(set().union(*(found["faults"] for found in [*lone, *many])))
    p95 = lambda seconds: quantile(seconds, 0.95)
    by_round = [p95(m["answers"]) / p95(a["answers"]) for a, m in zip(lone, many, strict=True)]
    return (
        f"{n:>3} participants: {len(answers)} ratings, p50 {quantile(answers, 0.5):.3f} s, p95 {p95(answers):.3f} s; "
        f"alone {len(alone)} ratings, p50 {quantile(alone, 0.5):.3f} s, p95 {p95(alone):.3f} s; ratio of p95 "
        f"{p95(answers) / p95(alone):.2f} (by round {', '.join(f'{ratio:.2f}' for ratio in by_round)}); unanswered "
        f"{total('unanswered')}, said again {total('again')}, kept {total('kept')}; wall drawn {total('drawn')} times; "
        f"{total('cpu') / max(len(answers), 1):.3f} CPU s a rating, {total('cpu') / total('lasted'):.2f} cores; "
        f"first page p95 {p95([s for found in many for s in found['first']]):.2f} s; memory {before:.0f} MiB before, "
        f"{memory[len(memory) // 3]:.0f} after a third, {max(memory):.0f} at most, {memory[-1]:.0f} at the end, "
        f"{after:.0f} after they left; faults {faults or 'none'}; load {os.getloadavg()[0]:.1f}"
    )


async def idle(server: Server, n: int) -> str:
    """N participants who have joined and do nothing, and one who rates among them."""
    from mmrec_core.classroom import store

    before = server.used()[1]
    classroom, people = class_of(n + 1, server.port, 5, projector=False)
    for at in range(0, len(people), 20):
        await asyncio.gather(*(person.open() for person in people[at : at + 20]))
    await asyncio.sleep(5)
    started, began = server.used()[0], time.monotonic()
    await asyncio.sleep(20)
    share = (server.used()[0] - started) / (time.monotonic() - began)
    await people[0].rate_for(40)
    memory = server.used()[1]
    for person in people:
        await person.close()
    store.delete(classroom.id)
    p95, opened = quantile(people[0].spent, 0.95), quantile([p.first or GIVE_UP_S for p in people], 0.95)
    return (
        f"{n} joined and idle: {100 * share:.0f} % of a core; one who rates among them p95 {p95:.2f} s; first page p95 "
        f"{opened:.2f} s (twenty at a time); memory {before:.0f} MiB before, {memory:.0f} with them"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", help="a home in which the demo's usual models are fitted")
    parser.add_argument(
        "--participants", default="1,10,25,50", help="how many at once, one after the other; at most 200"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long a round of rating lasts; at most 900")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds each")
    parser.add_argument("--cores", type=int, default=0, help="how many cores the server may use; 0: all")
    parser.add_argument("--no-wall", action="store_true", help="without the projector")
    parser.add_argument("--idle", type=int, default=0, help="how many join and do nothing; 0: not measured")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the app ends with whoever is stopped here
    random.seed(0)
    with fitted_home(args.home) as home:
        os.environ["MMREC_HOME"] = str(home)
        server = Server(home)
        if args.cores:
            for process in server.processes():
                process.cpu_affinity(list(range(args.cores)))
        try:
            asyncio.run(measure(server, 1, 15, seed=10**6))  # the first one waits for torch and for the models
            for n in (min(int(part), 200) for part in args.participants.split(",")):
                print(compare(server, n, min(args.seconds, 900.0), args.rounds, not args.no_wall), flush=True)
            if args.idle:
                print(asyncio.run(idle(server, min(args.idle, 290))), flush=True)
        finally:
            with contextlib.suppress(Exception):
                server.end()


if __name__ == "__main__":
    main()
