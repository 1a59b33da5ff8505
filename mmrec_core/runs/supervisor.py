"""One process that looks after all runs that wait: it says that they still wait, and gives each a worker when its turn comes near.

A waiting worker is 30 MiB that do nothing. So only as many workers are started as a lane has slots, and two more, which are ready when slots fall free; the others have
none yet, and ``waits`` in their ``run.json``. This process lives apart from the app, as workers do, ends when nobody waits, and is started again by whoever queues a run,
by each worker that ends, and by the app. It decides nothing: a worker still waits for those before it, and for its slot.
"""

from __future__ import annotations

import time
from collections import defaultdict

from filelock import Timeout

from mmrec_core import runs, storage
from mmrec_core.errors import MMRecError
from mmrec_core.runs import heartbeat

LOOK_S = 0.5
PATIENCE_S = 2.0
"""Somebody who only looks whether the lock is free holds it for a moment."""


def supervise() -> None:
    """Look after those who wait, until nobody does; nothing where another process does so already."""
    while runs.waiting():
        try:
            with runs.supervisor_lock().acquire(timeout=PATIENCE_S):
                beaten = -heartbeat.BEAT_S
                while there := runs.waiting():
                    if time.monotonic() - beaten > heartbeat.BEAT_S:
                        beaten = time.monotonic()
                        for run in there:
                            heartbeat.beat(run.folder)
                    give_workers(there)
                    time.sleep(LOOK_S)
        except Timeout:
            return  # whoever holds it looks once more after letting go, and so sees whom we saw


def give_workers(there: list[runs.Run]) -> None:
    """Workers for those whose turn comes near: as many as their lane may still have; and for one that stands before all who have a worker and wait, for
    they would wait for it in vain."""
    room: dict[str, int] = defaultdict(int)
    ready = [
        r
        for r in runs.all_runs()
        if r.record["status"] == "queued"
        and r.record.get("pid") is not None
        and r.record.get("machine") == heartbeat.machine()
    ]
    for run in reversed(there):  # the first of each lane is looked at last
        lane = str(run.record["lane"])
        before = [r.place for r in ready if r.record["lane"] == lane and r.status in runs.LIVE]
        room[lane] = max(runs.most_workers(lane) - runs.workers(lane), int(bool(before) and run.place < min(before)))
    for run in there:
        lane = str(run.record["lane"])
        if room[lane] > 0:
            room[lane] -= 1
            with storage.locked("start"):
                try:
                    fresh = runs.get(run.id)
                    if fresh.record["status"] == "queued" and fresh.record.get("waits"):
                        runs.spawn(runs.update(fresh, waits=False))
                except (MMRecError, OSError) as error:
                    runs.update(run, status="failed", error=str(error), ended=time.time())
