"""The tutorial runs as it stands, block after block, on a fresh home."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"


def test_every_block_runs(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_MLFLOW", "off")
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # tests of pages leave the app's own behind
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.S)
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    for at, block in enumerate(blocks):
        exec(compile(block, f"tutorial.md, block {at + 1}", "exec"), names)
    said = capsys.readouterr().out
    assert "generated: True" in said and "auc:click" in said and "features=both" in said
