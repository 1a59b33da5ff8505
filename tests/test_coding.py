"""What is coded survives restarts, exports and mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmrec_core.analysis import error_annotations
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset


@pytest.fixture
def mine(home: Path, ratings_csv: Path) -> Dataset:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return preparation.open_dataset("mine")


def thirty(dataset: Dataset) -> list[error_annotations.Case]:
    """A seeded sample of thirty ratings, tagged."""
    events, rng = dataset.interactions, np.random.default_rng(5)
    rows = rng.permutation(len(np.asarray(events.need("user"))))[:30]
    tags = ["popular film", "wrong, but why?", "burst", "poster misleads"]
    found = []
    for at, row in enumerate(rows):
        user, item = (
            str(ids.raw[int(np.asarray(column)[row])])
            for ids, column in ((dataset.users, events.need("user")), (dataset.items, events.need("item")))
        )
        found.append(
            error_annotations.case(
                "rating",
                user=user,
                film=item,
                run="run-1",
                model=["ease", "bpr"][at % 2],
                seed=5,
                blind=at % 3 == 0,
                tags=(tags[at % 4], tags[(at + 1) % 4]),
                note=f'a "note", number {at}\nof two lines',
                link=f"/errors?who={user}",
            )
        )
    return found


def test_thirty_cases_survive_a_restart_export_and_import(mine: Dataset) -> None:
    """Sample 30, tag, restart, count, export, import: identical."""
    sample = thirty(mine)
    error_annotations.put(mine, *sample)
    again = error_annotations.cases(preparation.open_dataset("mine"))
    assert again == sample
    assert sum(c.total() for c in error_annotations.counts(again).values()) == 60
    by_model = error_annotations.counts(again, "model")
    assert {m: sum(c[m] for c in by_model.values()) for m in ("ease", "bpr")} == {"ease": 30, "bpr": 30}
    text = error_annotations.as_csv(again)
    error_annotations.remove(mine, [c.id for c in again])
    assert error_annotations.cases(mine) == []
    error_annotations.put(mine, *error_annotations.from_csv(text))
    assert error_annotations.cases(mine) == sample
    assert error_annotations.as_csv(error_annotations.cases(mine)) == text


def test_tags_are_renamed_and_merged_in_one_place(mine: Dataset) -> None:
    error_annotations.put(mine, *thirty(mine))
    before = {c.id: set(c.tags) for c in error_annotations.cases(mine)}
    n = error_annotations.rename(mine, "burst", "popular film")
    assert n == sum("burst" in tags for tags in before.values()) == 15
    for one in error_annotations.cases(mine):
        assert set(one.tags) == {("popular film" if t == "burst" else t) for t in before[one.id]}


def test_the_same_thing_is_one_case_and_an_empty_one_is_gone(mine: Dataset) -> None:
    error_annotations.put(mine, error_annotations.case("user", user="3", tags=("a",)))
    error_annotations.put(mine, error_annotations.case("user", user="3", tags=("b",), note="why"))
    assert [c.tags for c in error_annotations.cases(mine)] == [("b",)]
    error_annotations.put(mine, error_annotations.case("user", user="3"))
    assert error_annotations.cases(mine) == []


def test_markdown_has_permalinks(mine: Dataset) -> None:
    markdown = error_annotations.as_markdown(
        [error_annotations.case("rating", user="3", film="7", tags=("odd",), link="/errors?who=3", note="see")], mine
    )
    assert "## odd (1)" in markdown and "](/errors?who=3)" in markdown and "see" in markdown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "lacks the columns kind, note, tags"),
        ("kind,tags,note\nnonsense,x,y\n", "Line 2"),
        ("kind,tags,note,seed\nuser,x,y,soon\n", "Line 2"),
    ],
)
def test_broken_files_change_nothing(text: str, says: str, mine: Dataset) -> None:
    error_annotations.put(mine, *thirty(mine))
    before = error_annotations.cases(mine)
    with pytest.raises(MMRecError, match=says):
        error_annotations.put(mine, *error_annotations.from_csv(text))
    assert error_annotations.cases(mine) == before


def test_a_damaged_file_is_left_as_it_is(mine: Dataset) -> None:
    error_annotations.put(mine, *thirty(mine))
    error_annotations.file_of(mine).write_text('[{"id": 3}]')
    with pytest.raises(MMRecError, match="left as it is"):
        error_annotations.put(mine, error_annotations.case("user", user="3", tags=("a",)))
    assert error_annotations.file_of(mine).read_text() == '[{"id": 3}]'


def test_a_tag_that_cannot_be_is_refused(mine: Dataset) -> None:
    for tags in (("x" * 60,), ("a;b",)):
        with pytest.raises(MMRecError, match="at most 40 characters and no semicolon"):
            error_annotations.case("user", user="3", tags=tags)
