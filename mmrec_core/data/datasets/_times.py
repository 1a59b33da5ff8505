"""Convert times of common forms to seconds since 1970 (UTC).

Dates are recognised by their type, numbers by their size, text by its form.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
import pandas as pd

from mmrec_core.data.datasets._base import END
from mmrec_core.errors import MMRecError, short
from mmrec_core.reading.tables import Table
from mmrec_core.types import Array

UNITS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
EARLIEST_OF_FINE = 86_400 * 365
"""Milliseconds and finer are refused before 1971: such a small number probably has another unit."""
EXPECTED = "a time from 1970 to 2095: a date such as 2015-10-24 19:27, or seconds since 1970"
Order = Literal["auto", "day first", "month first"]

CLOCK = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
DOTTED = ("%d.%m.%Y", "%d.%m.%y")
DAY_FIRST = ("%d/%m/%Y", "%d/%m/%y", "%d-%m-%Y")
MONTH_FIRST = ("%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y")
NAMED = (
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%a %b %d %H:%M:%S %z %Y",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT",
)
YEAR_FIRST = ("%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y%m%d%H%M%S")


def seconds(table: Table, name: str, order: Order = "auto") -> Array:
    """Read a column of times as int64 seconds since 1970 ``[N]``; notes about their form are added to the table.

    Raises:
        MMRecError: an empty cell, or one that is no time from 1970 to 2095; the message names the line.
    """
    import pyarrow as pa

    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.combine_chunks().dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _dates(table, name, column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = column.to_pandas()
        if pa.types.is_integer(kind) and not column.null_count and values.dtype.kind in "iu":
            return _epoch(table, name, values.to_numpy())
        return _epoch(table, name, pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        import pyarrow.compute as pc

        if not column.null_count and len(column) and pc.all(pc.match_substring_regex(column, r"^[0-9]{1,18}$")).as_py():
            return _epoch(table, name, column.cast(pa.int64()).to_pandas().to_numpy(np.int64))
        return _texts(table, name, column, order)
    raise MMRecError(f"{table.where}: column '{name}' is of type {kind}; expected {EXPECTED}.")


def _refuse(table: Table, name: str, at: int, shown: Any, count: int, why: str = "") -> MMRecError:
    """The error for a value that is no valid time.

    Args:
        table: the table.
        name: the column.
        at: row of the value.
        shown: the value, for the message.
        count: number of such rows.
        why: addition to the message.
    """
    more = f" ({count:,} such lines)" if count > 1 else ""
    text = short(shown)
    return MMRecError(
        f"{table.where}, line {table.line_of(at)}: {name} is '{text}'{why}, expected {EXPECTED}{more}. "
        "Correct or remove the line and prepare again."
    )


def _checked(table: Table, name: str, found: Array, shown: Any, why: str = "") -> Array:
    """Check that seconds are in range.

    Args:
        table: the table.
        name: the column.
        found: seconds since 1970 ``[N]``.
        shown: returns the value of a row as in the file, for the message.
        why: addition to the message.
    """
    bad = ~((found >= 0) & (found < END))  # NaN, too
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise _refuse(table, name, at, shown(at), int(bad.sum()), why)
    return np.floor(found).astype(np.int64)


def _dates(table: Table, name: str, column: Any) -> Array:
    """Read date and time types of Parquet, of any unit and time zone."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_date(kind):
        per = 1 if kind == pa.date32() else 1000
        days = (
            column.cast(pa.int32() if per == 1 else pa.int64())
            .cast(pa.float64())
            .to_pandas()
            .to_numpy(np.float64, na_value=np.nan)
        )
        found = days * 86_400 if per == 1 else days / per
    else:
        per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        whole = column.cast(pa.int64())
        if column.null_count:
            found = whole.cast(pa.float64(), safe=False).to_pandas().to_numpy(np.float64, na_value=np.nan) / per
        else:
            raw = whole.to_pandas().to_numpy(np.int64)
            found = raw // per
            _say_fractions(table, name, bool((raw % per).any()))
    return _checked(table, name, found, lambda at: _shown(column[at]))


def _shown(cell: Any) -> Any:
    """A date cell as a Python object; as a number if the year is out of range of Python dates."""
    try:
        return cell.as_py()
    except (OverflowError, ValueError):
        return cell.value


def _say_fractions(table: Table, name: str, there: bool) -> None:
    if there:
        table.note(f"Times in '{name}' are kept to the second; the order of events within one second is not kept.")


def _epoch(table: Table, name: str, values: Array) -> Array:
    """Read numbers: dates written as YYYYMMDD, or a count since 1970 whose unit is inferred from the size."""

    def shown(at: int) -> Any:
        return values[at]

    finite = np.isfinite(values) if values.dtype.kind == "f" else np.ones(len(values), bool)
    if not finite.all():
        at = int(np.flatnonzero(~finite)[0])
        raise _refuse(table, name, at, shown(at), int((~finite).sum()))
    if not len(values):
        return np.zeros(0, np.int64)
    if (dates := _as_calendar(values)) is not None:
        table.note(f"Numbers in '{name}' such as {int(values[0])} are read as dates (year, month, day).")
        return _checked(table, name, dates, shown)
    middle = float(np.quantile(np.abs(values.astype(np.float64)), 0.5, method="lower"))
    unit = next((u for u, per in UNITS.items() if middle < END * per), None)
    if unit is None:
        raise _refuse(table, name, 0, shown(0), len(values))
    per = UNITS[unit]
    found = values // per
    if unit == "seconds":
        _say_fractions(table, name, values.dtype.kind == "f" and bool((values % 1).any()))
        return _checked(table, name, found, shown)
    bad = found < EARLIEST_OF_FINE
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise _refuse(table, name, at, shown(at), int(bad.sum()), f" where most are {unit} since 1970")
    table.note(f"Numbers in '{name}' are read as {unit} since 1970, because of their size.")
    _say_fractions(table, name, bool((values % per).any()))
    return _checked(table, name, found, shown, f" ({unit} since 1970)")


def _as_calendar(values: Array) -> Array | None:
    """Seconds of numbers of the form YYYYMMDD or YYYYMMDDHHMMSS; ``None`` if some number is not of this form."""
    low, high = float(values.min()), float(values.max())
    if not (19_700_101 <= low and high <= 20_951_231) and not (
        19_700_101_000_000 <= low and high <= 20_951_231_235_959
    ):
        return None
    if (values % 1).any():
        return None
    whole = values.astype(np.int64)
    form = "%Y%m%d" if high < 1e9 else "%Y%m%d%H%M%S"
    unique, back = np.unique(whole, return_inverse=True)
    read = pd.to_datetime(pd.Series(unique.astype(str)), format=form, errors="coerce", utc=True)
    return None if read.isna().any() else _stamps(read)[back]


def _stamps(read: Any) -> Array:
    """Times of pandas as float64 seconds, NaN where missing."""
    raw = read.dt.tz_convert(None).to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(raw), np.nan, raw.astype(np.int64) / 1e6)


def _texts(table: Table, name: str, column: Any, order: Order) -> Array:
    """Read text: numbers, ISO dates, or dates in the order of day and month that fits the whole column.

    Args:
        table: the table.
        name: the column.
        column: its texts, a pyarrow array or pandas series ``[N]``.
        order: order of day and month.
    """
    if isinstance(column, pd.Series):
        texts = column
    else:
        texts = column.to_pandas()
    codes, unique = pd.factorize(texts.astype("str").str.strip())
    values = pd.Series(np.asarray(unique, object), dtype="str")

    def refuse(bad: Array, why: str = "") -> MMRecError:
        """The error for values where ``bad`` (bool by unique value); code −1 is an empty cell."""
        rows = np.flatnonzero(np.append(bad, True)[codes])
        return _refuse(
            table, name, int(rows[0]), "" if codes[rows[0]] < 0 else values.iloc[codes[rows[0]]], len(rows), why
        )

    empty = (values.fillna("") == "").to_numpy()
    if (codes < 0).any() or empty.any():
        raise refuse(empty)
    numeric = values.str.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?").to_numpy(bool)
    words = values.str.fullmatch(r"[-+]?(nan|inf|infinity)", case=False).to_numpy(bool)
    if words.any():
        raise refuse(words)
    if numeric.any() and numeric.mean() > 0.5:
        if not numeric.all():
            raise refuse(~numeric)
        whole = values.str.fullmatch(r"[-+]?\d{1,18}").to_numpy(bool).all()
        numbers = values.astype("int64").to_numpy() if whole else pd.to_numeric(values).to_numpy(np.float64)
        return _epoch(table, name, numbers[codes])
    found = _parse(values, order)
    if found is None:
        raise MMRecError(
            f"{table.where}: dates in '{short(name)}' such as '{values.iloc[0]}' may begin with the day or with the "
            "month. "
            "Say which: --set dates='day first' or --set dates='month first'."
        )
    if (bad := np.isnan(found)).any():
        raise refuse(bad)
    if not _zoned(values):
        table.note(f"Times in '{name}' have no time zone and are read as UTC.")
    _say_fractions(table, name, bool((found % 1).any()))
    return _checked(table, name, found[codes], lambda at: values.iloc[codes[at]])


def _zoned(values: Any) -> bool:
    """Whether all times of day have a time zone; plain dates need none."""
    clock = values.str.contains(":")
    return bool((~clock | values.str.contains(r"(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})(?: \d{4})?$")).all())


def _parse(values: Any, order: Order) -> Array | None:
    """Seconds of each text, NaN if no form fits; ``None`` if day and month are ambiguous."""
    iso = pd.to_datetime(
        values.str.replace(r" ?(UTC|GMT)$", "Z", regex=True), format="ISO8601", errors="coerce", utc=True
    )
    iso_like = values.str.match(r"\d{4}-\d{2}-\d{2}").to_numpy(bool)
    found = np.where(iso_like, _stamps(iso), np.nan)
    left = np.isnan(found) & ~iso_like
    for family in (YEAR_FIRST, DOTTED, NAMED):
        found = _fill(values, found, left, family)
    if not np.isnan(found[left]).any():
        return found
    ways = {"day first": DAY_FIRST, "month first": MONTH_FIRST}
    tried = {w: _fill(values, found, left, forms) for w, forms in ways.items() if order in ("auto", w)}
    good = {w: t for w, t in tried.items() if not np.isnan(t[left]).any()}
    if len(good) == 2:
        one, two = good.values()
        return one if np.array_equal(one, two) else None
    best = next(iter(good.values()), None)
    return best if best is not None else max(tried.values(), key=lambda t: int((~np.isnan(t)).sum()))


def _fill(values: Any, found: Array, left: Array, forms: tuple[str, ...]) -> Array:
    """Parse the texts that are not parsed yet by some date forms.

    Args:
        values: distinct texts.
        found: seconds so far, NaN where not parsed.
        left: bool: texts to parse.
        forms: date forms of ``strptime``.
    """
    found = found.copy()
    for form in forms:
        for clock in CLOCK if "%H" not in form else ("",):
            open_ = np.flatnonzero(left & np.isnan(found))
            if not len(open_):
                return found
            text = values.iloc[open_]
            if "%b" in form or "%B" in form or "%a" in form:
                text = text.str.replace(r"\b(\d+)(st|nd|rd|th)\b", r"\1", regex=True)
            for joined in dict.fromkeys((clock, clock.replace(" ", ", ", 1), clock.replace(" ", "T", 1))):
                try:
                    read = pd.to_datetime(text, format=form + joined, errors="coerce", utc=True)
                except (ValueError, OverflowError):
                    continue
                found[open_] = np.where(np.isnan(found[open_]), _stamps(read), found[open_])
                if not joined:
                    break
    return found


def looks_like_time(texts: list[str]) -> bool:
    """Whether all cells are dates or plausible counts of seconds, milliseconds, … since 1970."""
    if not texts:
        return False
    if all(re.fullmatch(r"\d{9,19}", t) for t in texts):
        return True
    found = _parse(pd.Series(texts, dtype="str"), "day first")
    return found is not None and not np.isnan(found).any()
