"""Short runs in turn: the order in which they were asked for, one at a time, and longer ones that wait for them."""

from __future__ import annotations

import threading

import pytest

from pages.parts import turns as module
from pages.parts.turns import Turns


def queued(turns: Turns, n: int) -> None:
    """Wait until so many have asked for a turn."""
    while len(turns._waiting) < n:
        pass


def test_one_at_a_time_in_the_order_of_asking() -> None:
    turns, said, first = Turns(), [], threading.Event()
    inside = 0

    def run(name: int) -> None:
        nonlocal inside
        with turns.turn():
            inside += 1
            assert inside == 1
            if name == 0:
                first.wait()
            said.append(name)
            inside -= 1

    threads = []
    for name in range(6):
        threads.append(threading.Thread(target=run, args=(name,)))
        threads[-1].start()
        queued(turns, name + 1)
    assert said == []
    first.set()
    for thread in threads:
        thread.join()
    assert said == list(range(6))


def test_a_turn_that_takes_too_long_keeps_nobody_waiting_and_an_error_ends_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LONGEST_S", 0.05)
    turns = Turns()
    with turns.turn():
        with turns.turn():  # the first has not ended
            passed = True
    assert passed
    with pytest.raises(ValueError), turns.turn():
        raise ValueError("a fault in a page")
    assert not turns._waiting


def test_a_longer_run_gives_way_while_a_short_one_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    turns.give_way()  # nobody is there
    monkeypatch.setattr(module, "GIVES_WAY_S", 60.0)
    short, began, said = threading.Event(), threading.Event(), []

    def long() -> None:
        began.set()
        turns.give_way()
        said.append("long")

    with turns.turn():
        thread = threading.Thread(target=long)
        thread.start()
        began.wait()
        assert not short.wait(0.05) and said == []
        said.append("short")
    thread.join()
    assert said == ["short", "long"]
    monkeypatch.setattr(module, "GIVES_WAY_S", 0.05)
    with turns.turn():
        turns.give_way()  # it does not wait for ever
