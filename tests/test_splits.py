"""Every way of dividing the events: disjoint, honest about time, identical when exported and read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrec_core.data import splits
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset

ALL = [
    "user-temporal",
    "random:80-10-10",
    "random-global:90-0-10",
    "chronological:70-15-15",
    "leave-one-out",
    "cold-user",
    "cold-item",
]


@pytest.mark.parametrize("how", ALL)
def test_parts_are_disjoint_and_repeatable(demo: Dataset, how: str) -> None:
    split = splits.make_split(demo, how)
    parts = [split.train, split.validation, split.test, split.revealed]
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together)
    assert splits.make_split(demo, how).checksum == split.checksum
    if how not in {"user-temporal", "chronological:70-15-15", "leave-one-out"}:
        assert splits.make_split(demo, how, seed=1).checksum != split.checksum


def test_user_temporal_never_trains_on_a_users_future(demo: Dataset) -> None:
    split = splits.make_split(demo)
    events = demo.interactions
    user, time = np.asarray(events.user), np.asarray(events.time)
    for u in np.unique(user)[::17]:
        of = lambda part, u=u: time[part[user[part] == u]]
        assert of(split.train).max() <= of(split.validation).min() <= of(split.validation).max() <= of(split.test).min()
    sizes = np.array([len(split.train), len(split.validation), len(split.test)]) / len(events)
    np.testing.assert_allclose(sizes, [0.8, 0.1, 0.1], atol=0.02)


def test_chronological_cuts_everybody_at_one_time(demo: Dataset) -> None:
    split = splits.make_split(demo, "chronological:70-15-15")
    time = np.asarray(demo.interactions.time)
    assert time[split.train].max() <= time[split.validation].min()
    assert time[split.validation].max() <= time[split.test].min()


def test_leave_one_out_tests_each_users_last_row(demo: Dataset) -> None:
    split = splits.make_split(demo, "leave-one-out")
    user, time = np.asarray(demo.interactions.user), np.asarray(demo.interactions.time)
    assert np.bincount(user[split.test]).max() == 1
    last = {int(u): time[user == u].max() for u in np.unique(user)}
    assert all(time[row] == last[int(user[row])] for row in split.test)


def test_cold_users_leave_training_and_keep_ten_targets(demo: Dataset) -> None:
    split = splits.make_split(demo, "cold-user")
    events = demo.interactions
    user, time, rating = np.asarray(events.user), np.asarray(events.time), np.asarray(events.rating)
    cold = np.unique(user[split.test])
    assert not np.isin(user[split.train], cold).any()
    assert (np.bincount(user[split.test])[cold] == 10).all()
    assert (rating[split.test] >= 3.5).all()
    for u in cold[:5]:
        revealed = split.revealed[user[split.revealed] == u]
        assert len(revealed) >= 20 and (np.diff(time[revealed]) >= 0).all()
        assert time[revealed].max() <= time[split.test[user[split.test] == u]].min()


def test_cold_items_leave_training(demo: Dataset) -> None:
    split = splits.make_split(demo, "cold-item")
    item = np.asarray(demo.interactions.item)
    assert not np.isin(item[split.train], split.cold_items).any()
    assert np.isin(item[split.test], split.cold_items).all()


def test_filter_from_drops_low_ratings_first(demo: Dataset) -> None:
    split = splits.make_split(demo, "random:80-10-10", filter_from=3.0)
    rating = np.asarray(demo.interactions.rating)
    together = np.concatenate([split.train, split.validation, split.test])
    assert rating[together].min() >= 3.0 and len(together) == (rating >= 3.0).sum()


def test_makers_folds(ml_100k: Dataset) -> None:
    split = splits.make_split(ml_100k, "folds:u1")
    assert (len(split.train), len(split.validation), len(split.test)) == (80_000, 0, 20_000)
    cut = splits.with_validation(split)
    assert 7_600 < len(cut.validation) < 8_400 and len(cut.train) + len(cut.validation) == 80_000
    tests = [splits.make_split(ml_100k, f"folds:u{n}").test for n in range(1, 6)]
    assert len(np.unique(np.concatenate(tests))) == 100_000


@pytest.mark.parametrize("how", ["user-temporal", "cold-user", "cold-item"])
def test_an_export_comes_back_identical(demo: Dataset, tmp_path: Path, how: str) -> None:
    split = splits.make_split(demo, how)
    splits.export_split(demo, split, tmp_path / "out")
    back = splits.make_split(demo, f"file:{tmp_path / 'out'}")
    assert back.checksum == split.checksum and back.strategy == split.strategy


def test_a_changed_export_is_refused(demo: Dataset, tmp_path: Path) -> None:
    splits.export_split(demo, splits.make_split(demo), tmp_path / "out")
    lines = (tmp_path / "out" / "test.csv").read_text().splitlines()
    (tmp_path / "out" / "test.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(MMRecError, match="checksum"):
        splits.import_split(demo, tmp_path / "out")


@pytest.mark.parametrize("how", ["weekly", "random:80-10", "random:80-10-20", "folds:u9", "official"])
def test_what_cannot_be_divided_is_refused(demo: Dataset, how: str) -> None:
    with pytest.raises(MMRecError):
        splits.make_split(demo, how)


def test_data_without_time_refuse_splits_that_need_it(demo: Dataset) -> None:
    timeless: Any = Dataset(demo.folder)
    timeless.__dict__["interactions"] = replace(demo.interactions, time=None)
    for how in ("user-temporal", "chronological:70-15-15", "leave-one-out", "cold-user"):
        with pytest.raises(MMRecError, match="needs times"):
            splits.make_split(timeless, how)
    assert len(splits.make_split(timeless, "random:80-10-10").test)


def test_an_export_never_clears_somebody_elses_folder(demo: Dataset, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(MMRecError, match="not empty"):
        splits.export_split(demo, splits.make_split(demo), tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_split_with_nothing_in_it_is_refused(demo: Dataset) -> None:
    with pytest.raises(MMRecError, match="has no train rows"):
        splits.make_split(demo, filter_from=100.0)
