"""What a rating changed in the lists of recommendations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmrec_core.serving.list_changes import changes, mark, most_changed, unrated


def test_items_that_rose_fell_stayed_and_came() -> None:
    assert changes([1, 2, 3, 4], [3, 2, 9, 1]) == [2, 0, None, -3]
    assert [mark(c, 4) for c in (2, 0, None, -3)] == ["▲ 2", "", "new", "▼ 3"]
    assert mark(None, 0) == "", "nothing is new in a first list"


@given(st.permutations(range(8)))
def test_within_one_set_of_items_rises_and_falls_cancel(order: list[int]) -> None:
    assert sum(change or 0 for change in changes(range(8), order)) == 0


def test_the_model_that_changed_most() -> None:
    lists = {"ease": ([1, 2, 3], [1, 2, 4]), "bpr": ([1, 2, 3], [7, 8, 3]), "first": ([], [1, 2, 3])}
    assert most_changed(lists) == ("bpr", 2)
    assert most_changed({"ease": ([1, 2], [2, 1])}) is None and most_changed({}) is None


def test_a_film_that_was_rated_does_not_move_those_behind_it() -> None:
    """The list of a model that says the same to everybody is unchanged by a rating, but for the film that was rated."""
    before, now = [5, 6, 7, 8, 9], [6, 7, 8]
    earlier = unrated(before, {5}, 3)
    assert (
        earlier == [6, 7, 8]
        and changes(earlier, now) == [0, 0, 0]
        and most_changed({"popularity": (earlier, now)}) is None
    )
    assert changes(unrated(before, {5}, 3), [7, 6, 4]) == [1, -1, None]
