"""The house's rules, read from the import graph and from fresh processes."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "mmrec_core"

ORDER = [
    {
        "errors",
        "settings",
        "runtime",
        "ids",
        "config",
        "docstrings",
        "syntax",
        "storage",
        "ownership",
        "records",
        "types",
        "csv_out",
        "registry",
        "callbacks",
        "stats",
    },
    {"reading"},
    {"database"},
    {"data"},
    {"encoders", "models", "metrics"},
    {"features"},
    {"evaluation"},
    {"training"},
    {"spaces"},
    {"runs"},
    {"serving"},
    {"analysis"},
    {"inside"},
    {"classroom"},
    {"studies"},
    {"tuning"},
    {"jobs"},
    {"maintenance"},
    {"cli", "api"},
    {"__main__"},
]
"""Packages and modules from low to high; imports point downwards. Packages on one line do not import each other."""


def imports(file: Path) -> set[str]:
    """Every module a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def package(module: str) -> str | None:
    """The package or module directly below ``mmrec_core``."""
    parts = module.split(".")
    return parts[1] if parts[0] == "mmrec_core" and len(parts) > 1 else None


def place(name: str) -> int:
    return next(at for at, names in enumerate(ORDER) if name in names)


def test_every_file_has_a_place() -> None:
    there = {f.stem for f in CORE.glob("*.py")} | {
        f.name for f in CORE.iterdir() if f.is_dir() and f.name != "__pycache__"
    }
    assert there - {"__init__"} == set().union(*ORDER)


def test_imports_point_one_way() -> None:
    for file in CORE.rglob("*.py"):
        own = file.relative_to(CORE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for module in imports(file):
            other = package(module)
            if other is None or other == own or not any(other in names for names in ORDER):
                continue
            assert place(other) <= place(own), f"{file.relative_to(ROOT)} imports {module}"
            assert place(other) < place(own) or place(own) == 0, f"{file.relative_to(ROOT)} imports its sibling {other}"


def test_a_page_is_drawn_before_torch_is_loaded() -> None:
    """What pages and their parts import when they are loaded brings no torch, which takes seconds: until then a page
    would show nothing, not even its title."""
    parts = [module_of(file) for file in (ROOT / "pages" / "parts").rglob("*.py")]
    tops = [node for file in (ROOT / "pages").glob("*.py") for node in ast.parse(file.read_text("utf-8")).body]
    named = {node.module for node in tops if isinstance(node, ast.ImportFrom) and node.module}
    wanted = sorted({*parts, *(name for name in named if name.startswith("mmrec_core"))})
    code = f"import importlib; [importlib.import_module(name) for name in {wanted}]"
    assert not loaded(code) & {"torch", "lightning"}


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_there_are_no_cycles() -> None:
    """Among modules, by imports at load time. A package that re-exports its own modules makes no cycle with them."""
    files = {module_of(file): file for file in CORE.rglob("*.py")}
    arrows: dict[str, set[str]] = {}
    for name, file in files.items():
        body = ast.parse(file.read_text(encoding="utf-8")).body
        found: set[str] = set()
        for node in body:
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {
                    m if m in files else node.module for m in (f"{node.module}.{alias.name}" for alias in node.names)
                }
        arrows[name] = {m for m in found if m in files and not name.startswith(m + ".") and m != name}
    left = {name: set(others) for name, others in arrows.items()}
    while ready := [name for name, others in left.items() if not others & left.keys()]:
        for name in ready:
            del left[name]
    assert not left, f"in or above a cycle: {sorted(left)}"


def test_the_core_knows_no_screens_and_pages_no_torch() -> None:
    for file in CORE.rglob("*.py"):
        assert not {m.split(".")[0] for m in imports(file)} & {"streamlit", "pages"}, file
    for file in [*(ROOT / "pages").rglob("*.py"), ROOT / "app.py"]:
        assert not {m.split(".")[0] for m in imports(file)} & {"torch", "lightning", "lightning_fabric"}, file


def loaded(code: str) -> set[str]:
    """Which packages a fresh Python has loaded after some code."""
    script = f"import sys\n{code}\nprint(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_core_loads_nothing_heavy() -> None:
    assert not loaded("import mmrec_core; dir(mmrec_core)") & {
        "torch",
        "pandas",
        "numpy",
        "mlflow",
        "streamlit",
        "pydantic",
    }


def test_help_and_listing_load_nothing_heavy() -> None:
    help_code = (
        "import runpy\nsys.argv=['mmrec_core','--help']\n"
        "try: runpy.run_module('mmrec_core', run_name='__main__')\nexcept SystemExit: pass"
    )
    assert not loaded(help_code) & {"torch", "pandas", "mlflow", "streamlit"}
    assert not loaded("from mmrec_core import registry; registry.entries('models')") & {"torch", "pandas"}


ABSENT = ("streamlit", "mlflow", "ray", "open_clip", "umap", "transformers", "torchvision")
WITHOUT = """
import os, sys, traceback
import torch
assert not set(sys.argv[1:]) & set(sys.modules)
for absent in sys.argv[1:]:
    if os.fork() == 0:
        try:
            sys.modules[absent] = None
            import mmrec_core.training.fit, mmrec_core.jobs.worker, mmrec_core.serving.recommender
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(absent, os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
"""Loads torch, which takes most of the time and none of these libraries, once for all of them."""


@functools.cache
def loads_without() -> dict[str, str]:
    """Exit codes of processes that load what a training run needs where one library is missing, by its name."""
    command = [sys.executable, "-c", WITHOUT, *ABSENT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    print(done.stderr)
    return dict(line.split() for line in done.stdout.splitlines() if line.startswith(ABSENT))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("absent", ABSENT)
def test_training_imports_without_what_a_gpu_server_lacks(absent: str) -> None:
    assert loads_without()[absent] == "0"


@pytest.mark.skipif(
    importlib.util.find_spec("torchmetrics") is not None, reason="torchmetrics is installed, which Fabric then loads"
)
def test_a_training_loads_no_library_of_pictures_or_texts() -> None:
    assert not loaded("import mmrec_core.training.fit, lightning_fabric") & {
        "torchvision",
        "transformers",
        "open_clip",
        "mlflow",
        "ray",
    }


def test_no_page_or_component_names_another_host() -> None:
    for file in [*(ROOT / "pages").rglob("*.*"), *(ROOT / ".streamlit").glob("*.toml"), ROOT / "app.py"]:
        if file.suffix in {".py", ".js", ".css", ".toml"}:
            text = file.read_text(encoding="utf-8")
            assert "http://" not in text and "https://" not in text, file


def test_nobody_unpickles() -> None:
    for file in CORE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if file != CORE / "reading" / "safe_pickle.py":  # runs pickles with stand-ins only
            assert "import pickle" not in text, file
        assert "allow_pickle=True" not in text, file
        assert text.count("torch.load(") == text.count(", weights_only=True)"), file


def test_both_themes_are_defined_and_only_localhost_is_listened_to() -> None:
    import tomllib

    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert {"light", "dark"} <= set(config["theme"])
    assert (
        config["server"]["address"] == "localhost"
        and config["server"]["enableXsrfProtection"]
        and config["server"]["maxUploadSize"] <= 64
    )
    assert config["browser"]["gatherUsageStats"] is False
    assert os.environ.get("MMREC_SOURCES") is None or "shared/" not in (ROOT / "README.md").read_text()


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_and_links_are_readable(mode: str) -> None:
    import tomllib

    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"][mode]
    for ground in ("backgroundColor", "secondaryBackgroundColor"):
        assert contrast(theme["textColor"], theme[ground]) >= 7
        assert contrast(theme["linkColor"], theme[ground]) >= 4.5


def test_pages_end_without_taking_back_clicks() -> None:
    """``st.stop`` also forgets what a visitor asked for during the run; ``ending.end_page`` does not."""
    calls = [file.name for file in (ROOT / "pages").rglob("*.py") if "st.stop()" in file.read_text(encoding="utf-8")]
    assert calls == []
