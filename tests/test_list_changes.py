"""What a rating changed in the lists of recommendations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmrec_core.serving.list_changes import changes, mark, most_changed


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
