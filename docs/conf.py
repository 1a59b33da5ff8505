"""Sphinx configuration: the pages of this folder, and an API reference made from the docstrings. Run ``make docs``."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(
    os.environ.get("MMREC_DOCS_ROOT") or Path(__file__).resolve().parents[1]
)  # a test builds a copy of this folder
sys.path.insert(0, str(ROOT))

import mmrec_core  # noqa: E402

project = "MMRec"
author = "The MMRec authors"
version = release = mmrec_core.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
exclude_patterns = ["_build", "tutorial.ipynb"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
html_theme = "alabaster"
html_theme_options = {"page_width": "1200px", "sidebar_width": "260px"}
html_show_sphinx = False
html_copy_source = False

autodoc_default_options = {"members": True, "member-order": "bysource", "ignore-module-all": True}
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
myst_heading_anchors = 3
suppress_warnings = [
    "myst.xref_missing",  # links to files of the repository, which are not pages here; tests/test_docs.py checks them
    "ref.python",  # many classes have a member called Config, so its short name is ambiguous in signatures
]


def module_names() -> dict[str, list[str]]:
    """Public modules by package; modules directly below ``mmrec_core`` stand under ``mmrec_core`` itself."""
    packages: dict[str, list[str]] = {}
    for file in sorted((ROOT / "mmrec_core").rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if any(part.startswith("_") or part == "migrations" for part in parts):  # migrations run under Alembic alone
            continue
        package = parts[1] if len(parts) > 1 and (ROOT / "mmrec_core" / parts[1]).is_dir() else ""
        packages.setdefault(package, []).append(".".join(parts))
    return packages


def write_reference(app: Any) -> None:
    """Write one page per package into ``api/``, and an index of them."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    pages = {}
    for package, names in module_names().items():
        title = f"mmrec_core.{package}" if package else "mmrec_core"
        text = f"{title}\n{'=' * len(title)}\n"
        for name in names:
            if name != title:
                text += f"\n{name}\n{'-' * len(name)}\n"
            text += f"\n.. automodule:: {name}\n"
        pages[title] = text
    entries = "\n".join(f"   {title}" for title in pages)
    pages["index"] = f"API reference\n=============\n\n.. toctree::\n   :maxdepth: 2\n\n{entries}\n"
    for old in folder.glob("*.rst"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        file = folder / f"{name}.rst"
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


LITERAL = re.compile(r"(``.+?``|:[\w:]+:`[^`]+`|`[^`]+`_{0,2}|(?<![\w*])\*{1,2}[^\s*](?:[^*]*[^\s*])?\*{1,2}(?![\w*]))")
"""What inline markup means: literals, roles, links and emphasis."""


def escape_stray_markup(app: Any, what: str, name: str, documented: Any, options: Any, lines: list[str]) -> None:
    """Show a lone ``*``, ``|`` or ``name_`` of a docstring as it stands, instead of warning about unfinished markup."""
    for at, line in enumerate(lines):
        if line.lstrip().startswith((":type", ":rtype", "..")):
            continue
        parts = LITERAL.split(line)
        parts[::2] = [re.sub(r"(?<!\\)[*|]|(?<=\w)(?<!\\)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
        if parts[0].startswith("\\* "):
            parts[0] = parts[0][1:]  # an item of a list
        lines[at] = "".join(parts)


def setup(app: Any) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", escape_stray_markup, priority=900)
