"""The scripts of the map: unit tests in Node, and that joined into one module they still parse."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pages.parts.javascript import bundle

ROOT = Path(__file__).resolve().parents[1]
VIEW = ROOT / "pages" / "parts" / "space" / "js" / "view.mjs"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")


@needs_node
def test_units() -> None:
    tests = sorted(str(file) for file in (ROOT / "tests" / "js").glob("*.test.mjs"))
    done = subprocess.run(["node", "--test", *tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@needs_node
def test_the_joined_module_parses(tmp_path: Path) -> None:
    """Also fails where two files have the same name at the top level."""
    file = tmp_path / "map.mjs"
    file.write_text(bundle(VIEW), encoding="utf-8")
    done = subprocess.run(["node", "--check", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_file_is_joined_once_and_nothing_is_imported() -> None:
    joined = bundle(VIEW)
    files = {file.name for file in VIEW.parent.glob("*.mjs")}
    assert all(joined.count(f"// {name}\n") == 1 for name in files)
    assert "\nimport " not in joined and joined.count("export ") == 1


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mjs").write_text('import { b } from "./b.mjs"\nexport default b\n', encoding="utf-8")
    with pytest.raises(FileNotFoundError):
        bundle(tmp_path / "a.mjs")
