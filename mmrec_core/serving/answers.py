"""Batched recommendations for several visitors at once: one fold-in serves all requests to the same model.

A fold-in by gradient steps costs about as much for thirty histories as for one. Requests therefore go to one
worker thread, which answers the waiting requests of one model in one batch. The oldest request is served first.
The batch size is bounded, so one visitor's many requests do not delay the others.
Answers are cached up to a fixed number: the same ratings and the same model give the same answer.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmrec_core.evaluation.protocols import hidden
from mmrec_core.runs import Run, get
from mmrec_core.serving import recommender
from mmrec_core.types import Array, History

LISTED = 40
"""Films in an answer. Enough for a list and for the map, where some films have no position."""
MOST = 32
"""Largest batch: histories that are folded in together."""
KEPT = 20_000
"""Largest number of cached answers; each takes a few hundred bytes."""
GATHER_S = 0.25
"""Seconds that the first request waits for others to share its batch, if the thread has been busy."""
BUSY = 0.2
"""The thread counts as busy above this share of processor time spent on answering in the last :data:`PERIOD_S`
seconds."""
PERIOD_S = 4.0
"""Length of the window, in seconds, over which :data:`BUSY` is measured."""


@dataclass(frozen=True)
class Answer:
    """Recommendations of one model for one history."""

    items: Array
    """Item rows, best first. Rated items are left out, unless events may repeat."""
    scores: Array
    source: str
    """``folded``, ``learned`` or ``fallback``."""


def question(history: History) -> tuple[bytes, bytes, bytes]:
    """The cache key of a history: its items, ratings and times, in order."""
    return (
        np.asarray(history.items, np.int64).tobytes(),
        b"" if history.ratings is None else np.asarray(history.ratings, np.float32).tobytes(),
        b"" if history.times is None else np.asarray(history.times, np.int64).tobytes(),
    )


def answer(folder: Any, histories: Sequence[History]) -> list[Answer]:
    """Recommendations of the model in a run's folder for each history, computed in one batch.

    One thread is used: on data this small, several threads mostly wait for each other.
    """
    recommender.use_threads(1)
    model = recommender.load_run_model(folder)
    state = model.fold_in(list(histories))
    protocol = get(folder.name).params["protocol"]
    found = model.recommend_rows(state, [hidden(protocol, h.items) for h in histories], LISTED)
    return [Answer(items, scores, source) for (items, scores), source in zip(found, state.source, strict=True)]


Key = tuple[Any, tuple[bytes, bytes, bytes]]


class Batches:
    """Queue of requests to models, answered in batches by one thread.

    Args:
        how: answers the histories of one model, in order. Its errors are raised to every caller in the batch.
    """

    def __init__(self, how: Callable[[Any, Sequence[History]], list[Answer]] = answer) -> None:
        self.how = how
        self.sizes: list[int] = []
        """Number of histories in each of the last batches."""
        self._kept: OrderedDict[Key, Answer] = OrderedDict()
        self._waiting: dict[Any, OrderedDict[Key, tuple[float, History, Future[Answer]]]] = {}
        self._asked: dict[Key, Future[Answer]] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._spent: list[tuple[float, float]] = []

    def ask(self, folder: Any, histories: Sequence[History]) -> list[Future[Answer]]:
        """Request answers: one future for each history. Futures of cached answers are done already.

        Args:
            folder: the run's folder.
        """
        out = []
        with self._change:
            for history in histories:
                key = (folder, question(history))
                if (known := self._kept.get(key)) is not None:
                    self._kept.move_to_end(key)
                    done: Future[Answer] = Future()
                    done.set_result(known)
                    out.append(done)
                    continue
                future = self._asked.get(key)
                if future is None:
                    future = self._asked[key] = Future()
                    self._waiting.setdefault(folder, OrderedDict())[key] = (time.monotonic(), history, future)
                out.append(future)
            if self._waiting:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._work, daemon=True, name="answers")
                    self._thread.start()
                self._change.notify()
        return out

    def forget(self) -> None:
        """Drop all cached answers."""
        with self._change:
            self._kept.clear()

    def _busy(self) -> bool:
        now = time.monotonic()
        self._spent = [(end, duration) for end, duration in self._spent if now - end < PERIOD_S]
        return sum(duration for _, duration in self._spent) > BUSY * PERIOD_S

    def _next(self) -> tuple[Any, list[tuple[Key, History, Future[Answer]]]]:
        """The model with the oldest request, and up to :data:`MOST` of its requests."""
        with self._change:
            while not self._waiting:
                self._change.wait()
            if self._busy():
                first = min(next(iter(pending.values()))[0] for pending in self._waiting.values())
                self._change.wait_for(lambda: False, timeout=max(0.0, first + GATHER_S - time.monotonic()))
            folder = min(self._waiting, key=lambda f: next(iter(self._waiting[f].values()))[0])
            pending = self._waiting[folder]
            taken = [(key, *pending.pop(key)[1:]) for key in list(pending)[:MOST]]
            if not pending:
                del self._waiting[folder]
            return folder, taken

    def _work(self) -> None:
        while True:
            folder, batch = self._next()
            started = time.thread_time()  # waiting for other threads is no work that a batch could save
            try:
                result: list[Answer] | BaseException = self.how(folder, [history for _, history, _ in batch])
            except BaseException as error:  # raised to the callers; the thread goes on for the others
                result = error
            with self._change:
                self._spent.append((time.monotonic(), time.thread_time() - started))
                self.sizes = [*self.sizes[-999:], len(batch)]
                for index, (key, _, _) in enumerate(batch):
                    self._asked.pop(key, None)
                    if not isinstance(result, BaseException):
                        self._kept[key] = result[index]
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            for index, (_, _, future) in enumerate(batch):
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result[index])


_batches = Batches()


def ask(run: Run, histories: Sequence[History]) -> list[Future[Answer]]:
    """Request a run's recommendations for each history; ``result()`` of a future waits for them."""
    return _batches.ask(run.folder, histories)


def prefixes(history: History) -> list[History]:
    """The history cut after 0, 1, 2, … of its ratings: ``len(history) + 1`` histories."""
    return [
        History(
            history.items[:k],
            None if history.ratings is None else history.ratings[:k],
            None if history.times is None else history.times[:k],
        )
        for k in range(len(history) + 1)
    ]
