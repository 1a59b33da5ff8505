"""Many visitors at once: questions to models in batches, and a page that a rating draws only in part."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.visitors import Server, Visitor
from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.serving import answers, elicitation, recommender, user_trajectory
from mmrec_core.serving.answers import Answer, Batches
from mmrec_core.types import Dataset, History
from tests.browsing import QUICK, train


def history(*films: int) -> History:
    return History(np.array(films, np.int64), np.full(len(films), 4.0, np.float32))


def echo(folder: Any, histories: Sequence[History]) -> list[Answer]:
    """An answer that says who asked."""
    return [Answer(np.array([*h.items], np.int64), np.zeros(len(h)), str(folder)) for h in histories]


def test_answers_are_those_of_the_model_alone(
    demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batched and cached answers equal those for one history alone, and so does the trajectory."""
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    train(shared_home, "demo", **QUICK)
    films = elicitation.spread(demo, 5)
    histories = answers.prefixes(History(films.astype(np.int64), np.array([5, 1, 4.5, 5, 2], np.float32)))
    for name in QUICK:
        run = runs.finished(demo)[name]
        for _ in range(2):
            for own, asked in zip(histories, answers.ask(run, histories), strict=True):
                alone = recommender.recommend(run, own, answers.LISTED)
                found = asked.result(60)
                assert found.items.tolist() == alone.items.tolist() and found.source == alone.source
                np.testing.assert_allclose(found.scores, alone.scores, rtol=1e-4)
    where = np.random.default_rng(0).uniform(size=(len(demo.items), 2)).astype(np.float32)
    where[films] = np.nan
    run = runs.finished(demo)["ease"]
    lists = [asked.result(60).items for asked in answers.ask(run, histories)]
    np.testing.assert_allclose(
        user_trajectory.middles(lists, where),
        user_trajectory.trajectory(recommender.load_run_model(run.folder), histories[-1], where),
        atol=1e-6,
    )


def test_models_are_asked_on_one_thread(demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the asking thread has used several before: torch leaves a thread that it has met as it is."""
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    train(shared_home, "demo", **QUICK)
    run = next(iter(runs.finished(demo).values()))
    seen: list[int] = []

    def asks() -> None:
        torch.set_num_threads(2)
        assert torch.get_num_threads() == 2
        answers.answer(run.folder, [history(1)])
        seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    thread = threading.Thread(target=asks)
    thread.start()
    thread.join(60)
    torch.set_num_threads(before)
    assert seen == [1]


def test_those_who_wait_share_a_batch_and_equal_questions_an_answer() -> None:
    """Requests wait for a busy thread; a failing model fails only its own requests; the oldest request comes first."""
    going, begun = threading.Event(), threading.Event()
    asked: list[tuple[str, int]] = []

    def how(folder: Any, histories: Sequence[History]) -> list[Answer]:
        asked.append((folder, len(histories)))
        begun.set()
        assert going.wait(30)
        if folder == "broken":
            raise MMRecError("Train it again.")
        return echo(folder, histories)

    batches = Batches(how)
    first = batches.ask("a", [history(0)])
    assert begun.wait(30)
    many = batches.ask("a", [history(*range(n)) for n in range(2, 82)])
    lone = batches.ask("b", [history(7)])
    broken = batches.ask("broken", [history(7)])
    again = batches.ask("b", [history(7)])
    going.set()
    wait([*first, *many, *lone, *broken], 30)
    assert [f.result().items.tolist() for f in many] == [[*range(n)] for n in range(2, 82)]
    assert again[0] is lone[0] and lone[0].result().source == "b"
    with pytest.raises(MMRecError, match="again"):
        broken[0].result()
    assert asked[0] == ("a", 1) and asked[1] == ("a", answers.MOST) and max(n for _, n in asked) == answers.MOST
    assert [folder for folder, _ in asked].index("b") <= 4, "b waited for at most what had been asked before"
    n = len(asked)
    assert batches.ask("b", [history(7)])[0].result(0).source == "b" and len(asked) == n, (
        "a cached answer needs no model"
    )
    with pytest.raises(MMRecError):
        batches.ask("broken", [history(7)])[0].result(30)
    assert len(asked) == n + 1, "a failure is not kept"


@pytest.fixture(scope="module")
def server(shared_home: Path, demo: Dataset) -> Iterator[Server]:
    train(shared_home, "demo", **QUICK)
    server = Server(shared_home)
    yield server
    server.end()


def test_a_rating_while_a_page_is_drawn_is_answered(shared_home: Path, demo: Dataset) -> None:
    """On a new server that is first asked for another page than Home: its first run takes seconds."""
    train(shared_home, "demo", **QUICK)
    server = Server(shared_home)

    async def visit() -> Visitor:
        visitor = Visitor(server.port, "cold_start", 5)
        opening = asyncio.create_task(visitor.open())
        while "suggested" not in visitor.walls:
            await asyncio.sleep(0.005)
        assert visitor.ended == 0, "the page is not drawn yet"
        element, data, fragment = visitor.walls["suggested"]
        film = data["films"][0]["id"]
        await visitor.say([visitor.saying(element, film, 4.0)], fragment)
        assert await visitor.until(lambda: visitor.shown(film) == 4.0, 60)
        await opening
        await visitor.close()
        return visitor

    try:
        assert not asyncio.run(visit()).faults
    finally:
        server.end()


def test_ratings_of_many_at_once_are_all_answered_and_never_mixed(server: Server) -> None:
    """Each link ends with its owner's ratings, and no rating draws a whole page."""

    async def visit(seed: int) -> Visitor:
        visitor = Visitor(server.port, "cold_start", seed)
        await visitor.open()
        whole = visitor.whole
        for _ in range(3):
            await visitor.rate()
        assert visitor.whole == whole, "a rating draws the page's two parts, not the page"
        await visitor.close()
        return visitor

    async def all_of_them() -> list[Visitor]:
        return await asyncio.gather(*(visit(seed) for seed in range(8)))

    visitors = asyncio.run(all_of_them())
    assert [len(v.spent) for v in visitors] == [3] * 8 and not any(v.unanswered or v.faults for v in visitors)
    assert all(v.kept() for v in visitors)


def test_a_rating_that_arrives_twice_counts_once(server: Server) -> None:
    """Said again while it is being answered, and after that."""

    async def visit() -> Visitor:
        visitor = Visitor(server.port, "cold_start", 99)
        await visitor.open()
        element, data, fragment = visitor.walls["suggested"]
        film = data["films"][0]["id"]
        visitor.rated[film] = 4.0
        said = visitor.saying(element, film, 4.0)
        for _ in range(3):
            await visitor.say([said], fragment)
        assert await visitor.until(lambda: visitor.shown(film) == 4.0, 60)
        ended = visitor.ended
        await visitor.say([said], fragment)
        assert await visitor.until(lambda: visitor.ended > ended, 60)
        assert visitor.shown(film) == 4.0 and visitor.kept()
        assert len([f for f in visitor.walls["rated"][1]["films"]]) == 1
        await visitor.close()
        return visitor

    assert not asyncio.run(visit()).faults
