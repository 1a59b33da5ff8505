"""What many visitors ask fitted models at once, answered in batches: one fold-in for all who wait for the same model.

A fold-in by gradient steps costs about as much for thirty histories as for one. So questions are handed to one thread, which takes all that wait
for a model in one batch; whoever has waited longest comes first, and a batch is bounded, so nobody waits for another visitor's many questions.
An answer is kept for as long as there is room: the same ratings and the same model give the same answer, whoever asks.
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
"""Films of an answer; enough for a list and for the map, where some films have no place."""
MOST = 32
"""Histories that are folded in together."""
KEPT = 20_000
"""Answers that are kept; each is a few hundred bytes."""
GATHER_S = 0.25
"""How long the first question waits for others to share its batch, where the thread has been busy."""
BUSY = 0.2
"""Share of the last seconds that was spent on answering, from which on questions are gathered."""
PERIOD_S = 4.0
"""What "the last seconds" are."""


@dataclass(frozen=True)
class Answer:
    """What one model recommends to one history."""

    items: Array
    """Item rows, best first; rated ones are left out, but where events repeat."""
    scores: Array
    source: str
    """``folded``, ``learned`` or ``fallback``."""


def question(history: History) -> tuple[bytes, bytes, bytes]:
    """What tells histories apart: films, ratings and times, in their order."""
    return (
        np.asarray(history.items, np.int64).tobytes(),
        b"" if history.ratings is None else np.asarray(history.ratings, np.float32).tobytes(),
        b"" if history.times is None else np.asarray(history.times, np.int64).tobytes(),
    )


def answer(folder: Any, histories: Sequence[History]) -> list[Answer]:
    """What the model in a run's folder recommends to each history, in one batch, on one thread: several wait for each other on data this small, and waiting costs processor time."""
    recommender.use_threads(1)
    model = recommender.load_run_model(folder)
    state = model.fold_in(list(histories))
    protocol = get(folder.name).params["protocol"]
    found = model.recommend_rows(state, [hidden(protocol, h.items) for h in histories], LISTED)
    return [Answer(items, scores, source) for (items, scores), source in zip(found, state.source, strict=True)]


Key = tuple[Any, tuple[bytes, bytes, bytes]]


class Batches:
    """Questions to models, answered by one thread.

    Args:
        how: answers the histories of one model, in their order; what it raises is raised to each who asked.
    """

    def __init__(self, how: Callable[[Any, Sequence[History]], list[Answer]] = answer) -> None:
        self.how = how
        self.sizes: list[int] = []
        """Histories in each of the last batches."""
        self._kept: OrderedDict[Key, Answer] = OrderedDict()
        self._waiting: dict[Any, OrderedDict[Key, tuple[float, History, Future[Answer]]]] = {}
        self._asked: dict[Key, Future[Answer]] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._spent: list[tuple[float, float]] = []

    def ask(self, folder: Any, histories: Sequence[History]) -> list[Future[Answer]]:
        """One future for each history; those of known answers are done already.

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
        """Drop all kept answers."""
        with self._change:
            self._kept.clear()

    def _busy(self) -> bool:
        now = time.monotonic()
        self._spent = [(at, took) for at, took in self._spent if now - at < PERIOD_S]
        return sum(took for _, took in self._spent) > BUSY * PERIOD_S

    def _next(self) -> tuple[Any, list[tuple[Key, History, Future[Answer]]]]:
        """The model whose question has waited longest, and up to :data:`MOST` of its questions."""
        with self._change:
            while not self._waiting:
                self._change.wait()
            if self._busy():
                first = min(next(iter(asked.values()))[0] for asked in self._waiting.values())
                self._change.wait_for(lambda: False, timeout=max(0.0, first + GATHER_S - time.monotonic()))
            folder = min(self._waiting, key=lambda f: next(iter(self._waiting[f].values()))[0])
            asked = self._waiting[folder]
            taken = [(key, *asked.pop(key)[1:]) for key in list(asked)[:MOST]]
            if not asked:
                del self._waiting[folder]
            return folder, taken

    def _work(self) -> None:
        while True:
            folder, taken = self._next()
            begun = time.monotonic()
            try:
                found: list[Answer] | BaseException = self.how(folder, [history for _, history, _ in taken])
            except BaseException as error:  # whoever asked hears of it; the thread goes on for the others
                found = error
            with self._change:
                self._spent.append((time.monotonic(), time.monotonic() - begun))
                self.sizes = [*self.sizes[-999:], len(taken)]
                for at, (key, _, _) in enumerate(taken):
                    self._asked.pop(key, None)
                    if not isinstance(found, BaseException):
                        self._kept[key] = found[at]
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            for at, (_, _, future) in enumerate(taken):
                if isinstance(found, BaseException):
                    future.set_exception(found)
                else:
                    future.set_result(found[at])


_batches = Batches()


def ask(run: Run, histories: Sequence[History]) -> list[Future[Answer]]:
    """Ask a run's model what it recommends to each history; ``result()`` of a future waits for it."""
    return _batches.ask(run.folder, histories)


def prefixes(history: History) -> list[History]:
    """The history after none, one, two … of its ratings."""
    return [
        History(
            history.items[:k],
            None if history.ratings is None else history.ratings[:k],
            None if history.times is None else history.times[:k],
        )
        for k in range(len(history) + 1)
    ]
