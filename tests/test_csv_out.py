"""What people download opens in a spreadsheet as text and numbers, and runs nothing."""

from __future__ import annotations

import ast
import csv
import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec_core import csv_out
from mmrec_core.analysis import error_annotations
from mmrec_core.analysis.error_annotations import Case
from mmrec_core.types import Dataset

ROOT = Path(__file__).resolve().parents[1]
RUNS = tuple("=+-@\t\r＝＋－＠")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+44 1", "'+44 1"),
        ("-cmd", "'-cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("'=1", "''=1"),
        ("＝1+1", "'＝1+1"),
        ("x;=1+1", "x;'=1+1"),
        ("a\n@b; -c", "a\n'@b; '-c"),
        ("8 - 5 = 3; yes", "8 - 5 = 3; yes"),
        ("-3.5", "-3.5"),
        ("+2e-3", "+2e-3"),
        ("-.5", "-.5"),
        ("Se7en", "Se7en"),
        ("'Round Midnight", "'Round Midnight"),
        ("", ""),
        (-3.5, -3.5),
        (None, None),
        (True, True),
    ],
)
def test_formulas_become_text_and_numbers_stay_numbers(value: Any, written: Any) -> None:
    assert csv_out.safe(value) == written
    if isinstance(value, str):
        assert csv_out.plain(str(csv_out.safe(value))) == value


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet=st.sampled_from([*RUNS, "'", '"', ",", ";", "\n", " ", "1", ".", "e", "a", "é"]), max_size=12))
def test_any_text_comes_back_and_none_runs(text: str) -> None:
    written = csv_out.safe(text)
    assert csv_out.plain(written) == text
    assert not written.startswith(RUNS) or float(written) is not None, "only a number may begin so"
    for cell in re.split(r"[;|\t\r\n]", written)[1:]:  # other spreadsheets take these for the end of a cell
        assert not cell.strip().startswith(RUNS)


def test_cases_come_back_identically_whatever_their_notes_say(demo: Dataset) -> None:
    notes = ["=HYPERLINK(1)", "-3", "'=x", "+ plus", "@me", 'plain, with "quotes"\nand lines']
    cases = [
        Case(
            id=str(at),
            kind="user",
            user=str(at),
            note=note,
            tags=("=tag", "-other"),
            link="javascript:alert(1)",
            made=1.5,
        )
        for at, note in enumerate(notes)
    ]
    text = error_annotations.as_csv(cases)
    assert error_annotations.from_csv(text) == cases
    for row in list(csv.reader(io.StringIO(text)))[1:]:
        assert not any(cell.startswith(RUNS) and cell != "-3" for cell in row)
    assert "](javascript" not in error_annotations.as_markdown(cases, demo)


def test_notes_are_text_in_markdown(demo: Dataset) -> None:
    """Whatever a visitor wrote, no tag, link or picture; nothing that is not drawn is kept."""
    note = "<img src=x onerror=alert(1)> [me](javascript:alert(1))\n## x\u202e\x00"
    one = Case(id="1", kind="user", user="3", note=note, tags=("a\u202e\x00b ", "<b>"))
    assert one.tags == ("<b>", "a b") and one.note == note[:-2]
    text = error_annotations.as_markdown([one], demo)
    assert r"\<img src=x onerror=alert(1)\> \[me\](javascript:alert(1)) \#\# x" in text and r"## \<b\> (1)" in text


def test_a_table_is_made_safe_with_its_columns() -> None:
    table = pd.DataFrame({"title": ["=1", "Heat", None], "mean": [-1.5, 2.0, None], "=column": ["@x", "y", "z"]})
    read = list(csv.reader(io.StringIO(csv_out.of_table(table))))
    assert read == [["title", "mean", "'=column"], ["'=1", "-1.5", "'@x"], ["Heat", "2.0", "y"], ["", "", "z"]]


@pytest.mark.parametrize(
    ("link", "own"),
    [
        ("/errors?dataset=demo&look=Case&who=3&what=Heat+%C2%B7+6", True),
        ("/browse", True),
        ("javascript:alert(1)", False),
        ("https:/evil.example", False),
        ("//evil.example/errors", False),
        ("/errors?x=1)[y](z", False),
        ("/errors?x=<b>", False),
        ("/\\evil.example", False),
        (" /errors", False),
        ("", False),
        ("data:text/html,x", False),
        ("/errors\n", False),
    ],
)
def test_only_links_to_our_own_pages_are_links(link: str, own: bool) -> None:
    assert error_annotations.ours(link) is own


def test_pages_offer_no_table_that_was_not_made_safe() -> None:
    """Only csv_out writes CSV; files that programs read back (splits, candidates) keep ids as they are."""
    programs = {"rankings.py", "splits.py", "csv_out.py"}
    for file in [*(ROOT / "pages").rglob("*.py"), *(ROOT / "mmrec_core").glob("*.py")]:
        if file.name in programs:
            continue
        called = {
            n.func.attr
            for n in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(n, ast.Call)
            and isinstance(n.func, ast.Attribute)
            and (
                n.func.attr == "to_csv"
                or (
                    isinstance(n.func.value, ast.Name)
                    and n.func.value.id == "csv"
                    and n.func.attr in {"writer", "DictWriter"}
                )
            )
        }
        assert not called, f"{file.name} writes CSV by {called}; use csv_out"
