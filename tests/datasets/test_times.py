"""Times of any form as seconds since 1970: by type, by size, by text; what cannot be a time is named by its line."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec_core.data.datasets._base import END
from mmrec_core.data.datasets._times import seconds
from mmrec_core.errors import MMRecError
from mmrec_core.reading.tables import Table

NEW_YEAR = 1_609_459_200
"""2021-01-01T00:00:00Z."""


def table(values: list[Any], kind: Any = None) -> Table:
    return Table("r.csv", ["time"], [pa.chunked_array([pa.array(values, kind)])])


def read(values: list[Any], kind: Any = None, order: Any = "auto") -> list[int]:
    return seconds(table(values, kind), "time", order).tolist()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_parquet_times_of_any_unit_and_zone(unit: str, zone: str | None) -> None:
    moment = dt.datetime(2021, 1, 1, tzinfo=dt.UTC) if zone else dt.datetime(2021, 1, 1)
    assert read([moment], pa.timestamp(unit, zone)) == [NEW_YEAR]


def test_dates() -> None:
    assert read([dt.date(2021, 1, 1)], pa.date32()) == read([dt.date(2021, 1, 1)], pa.date64()) == [NEW_YEAR]


@pytest.mark.parametrize(("unit", "per"), [("milliseconds", 1000), ("microseconds", 10**6), ("nanoseconds", 10**9)])
@pytest.mark.parametrize("as_text", [False, True])
def test_the_unit_of_plain_numbers_is_inferred_and_noted(unit: str, per: int, as_text: bool) -> None:
    values = [NEW_YEAR * per, (NEW_YEAR + 7) * per]
    times = table([str(v) for v in values] if as_text else values)
    assert seconds(times, "time").tolist() == [NEW_YEAR, NEW_YEAR + 7] and any(unit in note for note in times.notes)


def test_seconds_stay_and_fractions_are_noted() -> None:
    times = table([100.5, 2.0])
    assert seconds(times, "time").tolist() == [100, 2] and "kept to the second" in times.notes[0]
    assert read([1, 2, 3]) == [1, 2, 3]


def test_numbers_that_are_dates() -> None:
    assert read([20210101, 20210102]) == read(["20210101", "20210102"]) == [NEW_YEAR, NEW_YEAR + 86_400]


@pytest.mark.parametrize(
    "text",
    [
        "2021-01-01",
        "2021-01-01T00:00:00Z",
        "2021-01-01 01:00:00+01:00",
        "2021-01-01 00:00",
        "2021-01-01 00:00:00 UTC",
        "2021/01/01",
        "01.01.2021",
        "1.1.2021 00:00",
        "01.01.21",
        "Jan 1, 2021",
        "1 January 2021",
        "1st Jan 2021",
        "01-Jan-2021",
        "Fri, 01 Jan 2021 00:00:00 GMT",
        "Fri Jan 01 00:00:00 +0000 2021",
        "20210101000000",
        "01/01/2021",
        "1/1/21 12:00 AM",
    ],
)
def test_dates_in_their_usual_forms(text: str) -> None:
    assert read([text]) == [NEW_YEAR]


def test_the_order_of_day_and_month_is_inferred_from_the_whole_column() -> None:
    assert read(["1/5/21", "12/30/20"]) == [1_609_804_800, 1_609_286_400]
    assert read(["5/1/21", "30/12/20"]) == [1_609_804_800, 1_609_286_400]
    with pytest.raises(MMRecError, match="begin with the day or with the month"):
        read(["1/5/21", "2/3/20"])
    assert read(["1/5/21"], order="month first") == [1_609_804_800] and read(["5/1/21"], order="day first") == [
        1_609_804_800
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([NEW_YEAR, -5], 3),
        ([NEW_YEAR, float("inf")], 3),
        (["1", "inf"], 3),
        (["1609459200", "1e30"], 3),
        ([NEW_YEAR, NEW_YEAR, END], 4),
        ([NEW_YEAR, NEW_YEAR, NEW_YEAR * 1000], 4),
        ([NEW_YEAR * 1000] * 3 + [NEW_YEAR], 5),
        (["2021-01-01", "2021-13-01"], 3),
        (["1969-12-31"], 2),
        (["2021-01-01", ""], 3),
        (["2021-01-01", None], 3),
        (["2100-01-01"], 2),
        (["2021-01-01", "soon"], 3),
        ([10**30 * 1.0], 2),
    ],
)
def test_what_is_no_time_is_named_by_its_line(values: list[Any], line: int) -> None:
    with pytest.raises(MMRecError, match=f"r.csv, line {line}: time is"):
        read(values)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(86_400 * 366, END - 1), min_size=1, max_size=10), st.sampled_from([1, 1000, 10**6, 10**9]))
def test_every_moment_is_found_again_in_every_unit(moments: list[int], per: int) -> None:
    if sorted(moments)[(len(moments) - 1) // 2] < 10**9:  # too few digits for the unit to differ from seconds
        per = 1
    if max(moments) <= 20_951_231:
        moments = [m + 10**9 for m in moments]
    assert read([m * per for m in moments]) == moments


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2095, 12, 30)), min_size=1, max_size=8),
    st.sampled_from(["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M:%S"]),
)
def test_every_moment_is_found_again_as_text(moments: list[dt.datetime], form: str) -> None:
    want = [int(m.replace(microsecond=0, tzinfo=dt.UTC).timestamp()) for m in moments]
    assert read([m.strftime(form) for m in moments]) == want
    assert read([pd.Timestamp(m) for m in moments], pa.timestamp("us")) == want
