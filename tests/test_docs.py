"""The documentation: it builds without warnings, and every file, module and function that it names exists."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "mmrec_core"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
HISTORY = {"results.md", "figures.md"}
"""Records of earlier commits: they may name files as these were called then."""
GENERATED = ("docs/_build/", "docs/api/")
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
FILE = re.compile(r"^[\w./-]+/[\w.-]*\.(?:py|md|js|css|toml|yaml|txt|ipynb|safetensors)$|^[\w-]+\.(?:py|toml|cff)$")
"""Names that can only be files of the repository; ``run.json`` or ``checkpoints/fit.safetensors`` belong to a home."""
NAME = re.compile(r"\bmmrec_core(?:\.[A-Za-z_]\w*)+")
IN_A_HOME = ("checkpoints/", "static/maps/", "static/thumbs/", "features/", "<")
names = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def exists(name: str, page: Path) -> bool:
    """Whether a name is a file beside the page, in the repository, or in ``mmrec_core``."""
    return any(
        (folder / name).exists() for folder in (page.parent, ROOT, CORE, CORE / "data", ROOT / "pages" / "parts")
    )


@names
def test_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    links = [link for link in LINK.findall(prose) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists() and not link.startswith(GENERATED)]
    if page.name in HISTORY:
        return
    files = [name for name in CODE.findall(prose) if FILE.match(name) and not name.startswith((*IN_A_HOME, *GENERATED))]
    assert not [name for name in files if not exists(name, page)]


@names
def test_modules_and_their_members_exist(page: Path) -> None:
    if page.name in HISTORY:
        return
    missing = []
    for name in sorted(set(NAME.findall(page.read_text(encoding="utf-8")))):
        parts, at = name.split("."), 1
        while at < len(parts) and importlib.util.find_spec(".".join(parts[: at + 1])):
            at += 1
            if not getattr(importlib.import_module(".".join(parts[:at])), "__path__", None):
                break
        found = importlib.import_module(".".join(parts[:at]))
        for part in parts[at:]:
            found = getattr(found, part, None)
        if found is None:
            missing.append(name)
    assert not missing


def defined(file: Path) -> set[str]:
    """Functions, classes, methods and constants of a Python file, methods and class variables as ``Class.name``."""
    found: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    collect(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign):
                found.update(prefix + target.id for target in node.targets if isinstance(target, ast.Name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(prefix + node.target.id)

    collect(ast.parse(file.read_text(encoding="utf-8")).body, "")
    return found


def test_the_map_of_decisions_names_functions_that_exist() -> None:
    """Rows of ``docs/architecture.md`` are ``| question | `file` | `name`, `name` |``."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+? \| `([^`]+\.(?:py|js))` \| (.+?) \|$", text, re.M)
    assert len(rows) > 40
    for file, members in rows:
        place = next((folder / file for folder in (ROOT, CORE) if (folder / file).is_file()), None)
        assert place is not None, file
        for member in CODE.findall(members):
            if "/" in member:  # the table of files to copy
                continue
            if place.suffix == ".py":
                assert member in defined(place), f"{file} does not define {member}"
            else:
                assert member in place.read_text(encoding="utf-8"), f"{file} does not contain {member}"


def test_every_package_is_described() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for folder in CORE.iterdir():
        if (folder / "__init__.py").is_file():
            assert f"`{folder.name}/`" in text, folder.name


def test_the_glossary_is_in_order_and_defines_each_term_once() -> None:
    terms = re.findall(r"^\*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.M)
    plain = [re.sub(r"[`*]", "", term).casefold() for term in terms]
    assert len(terms) > 60 and plain == sorted(set(plain))


@pytest.mark.slow
@pytest.mark.skipif(
    not (importlib.util.find_spec("sphinx") and importlib.util.find_spec("myst_parser")),
    reason="Sphinx or myst-parser is not installed (requirements-dev.txt)",
)
def test_the_documentation_builds_without_warnings(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("_build", "api"))
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-b",
        "html",
        "-W",
        "--keep-going",
        "-q",
        str(source),
        str(tmp_path / "html"),
    ]
    environment = {**os.environ, "MMREC_DOCS_ROOT": str(ROOT), "MMREC_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    reference = (tmp_path / "html" / "api" / "mmrec_core.evaluation.html").read_text(encoding="utf-8")
    assert "mmrec_core.evaluation.evaluate.evaluate" in reference
