"""The tutorial is one text, as a page and as a notebook; the notebook runs as it stands, on a fresh home."""

from __future__ import annotations

from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
jupytext = pytest.importorskip("jupytext")
DOCS = Path(__file__).parents[1] / "docs"


def test_page_and_notebook_say_the_same() -> None:
    page, notebook = jupytext.read(DOCS / "tutorial.md"), jupytext.read(DOCS / "tutorial.ipynb")
    cells = [[(cell.cell_type, cell.source) for cell in found.cells] for found in (page, notebook)]
    assert cells[0] == cells[1], "write it anew: jupytext --to ipynb docs/tutorial.md"
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"


def test_the_notebook_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_MLFLOW", "off")
    notebook = jupytext.read(DOCS / "tutorial.ipynb")
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(DOCS.parent)}}
    )
    client.execute()
    said = "".join(o.get("text", "") for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs)
    assert sum(cell.cell_type == "code" for cell in notebook.cells) >= 6
    assert "generated: True" in said and "auc:click" in said and "features=both" in said
