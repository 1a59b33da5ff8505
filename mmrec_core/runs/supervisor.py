"""Supervisor: one process that keeps the heartbeat of waiting runs and starts their workers when their turn is near.

A waiting worker takes 30 MiB. So a lane has at most two workers more than slots; the other queued runs have no worker
yet, and ``waits`` in their ``run.json``. The supervisor is a process of its own, like workers. It ends when no run
waits, and is started again when a run is queued, when a worker ends, and by the app. It does not decide the order: a
worker still waits for the runs ahead of it and for a slot.
"""

from __future__ import annotations

import time
from collections import defaultdict

from filelock import Timeout

from mmrec_core import runs, storage
from mmrec_core.errors import MMRecError
from mmrec_core.runs import heartbeat

LOOK_S = 0.5
"""Seconds between two looks at the waiting runs."""
PATIENCE_S = 2.0
"""Seconds to wait for the lock, because a process that only tests it holds it for a moment."""


def supervise() -> None:
    """Supervise waiting runs until there are none; does nothing if another process already does."""
    while runs.waiting():
        try:
            with runs.supervisor_lock().acquire(timeout=PATIENCE_S):
                beaten = -heartbeat.BEAT_S
                while waiting := runs.waiting():
                    if time.monotonic() - beaten > heartbeat.BEAT_S:
                        beaten = time.monotonic()
                        for run in waiting:
                            heartbeat.beat(run.folder)
                    give_workers(waiting)
                    time.sleep(LOOK_S)
        except Timeout:
            return  # the other supervisor looks once more after it has released the lock


def give_workers(waiting: list[runs.Run]) -> None:
    """Start workers for the next waiting runs, as many as their lanes allow.

    A run that is ahead of all waiting workers gets one in any case, because they wait for it.
    """
    free: dict[str, int] = defaultdict(int)
    ready = [
        r
        for r in runs.all_runs()
        if r.record["status"] == "queued"
        and r.record.get("pid") is not None
        and r.record.get("machine") == heartbeat.machine()
    ]
    for run in reversed(waiting):  # so that the first run of each lane decides
        lane = str(run.record["lane"])
        before = [r.place for r in ready if r.record["lane"] == lane and r.status in runs.LIVE]
        free[lane] = max(runs.most_workers(lane) - runs.workers(lane), int(bool(before) and run.place < min(before)))
    for run in waiting:
        lane = str(run.record["lane"])
        if free[lane] > 0:
            free[lane] -= 1
            with storage.locked("start"):
                try:
                    fresh = runs.get(run.id)
                    if fresh.record["status"] == "queued" and fresh.record.get("waits"):
                        runs.spawn(runs.update(fresh, waits=False))
                except (MMRecError, OSError) as error:
                    runs.update(run, status="failed", error=str(error), ended=time.time())
