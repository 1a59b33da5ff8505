"""The wheel, as people install it: it brings up the app outside a checkout and leaves its own folder as it was."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import urllib.error
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from tests import browsing

ROOT = Path(__file__).resolve().parents[1]
FIRST_PAGE = """
from streamlit.testing.v1 import AppTest
from mmrec_core import runtime, settings
shown = AppTest.from_file(str(settings.ROOT / "app.py"), default_timeout=120).run()
assert not shown.exception and not shown.error, (shown.exception, shown.error)
print(settings.ROOT, runtime.commit(), len(shown.button), sep="|")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    assert importlib.util.find_spec("hatchling"), "hatchling is missing; pip install -r requirements-dev.txt"
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("mmrec-*.whl"))


def test_the_wheel_holds_the_app_and_nothing_beside_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        metadata = opened.read(next(n for n in names if n.endswith("METADATA"))).decode()
    assert {name.split("/")[0] for name in names} == {
        "mmrec_core",
        f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info",
    }
    tracked = subprocess.run(
        ["git", "ls-files", "app.py", "server.py", "pages", "assets", "static", ".streamlit"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {f"mmrec_core/_app/{name}" for name in tracked.split()} <= set(names)
    assert "mmrec_core/py.typed" in names and not [name for name in names if name.endswith(".pyc")]
    assert "License-Expression: Apache-2.0" in metadata and {"app", "encoders", "cluster", "postgres", "dev"} == set(
        re.findall(r"^Provides-Extra: (.*)$", metadata, re.M)
    )
    fonts = [name for name in names if name.endswith((".ttf", ".woff2"))]
    licences = {name for name in names if name.endswith("-OFL.txt") and "/_app/" in name}
    assert fonts and all(
        any(
            name.rpartition("/")[2].startswith(Path(text).name.removesuffix("-OFL.txt"))
            and Path(text).parent == Path(name).parent
            for text in licences
        )
        for name in fonts
    )


def test_the_lock_is_within_the_bounds() -> None:
    from packaging.requirements import Requirement

    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {
        r.name.lower(): r
        for text in [*metadata["dependencies"], *(t for own in metadata["optional-dependencies"].values() for t in own)]
        if (r := Requirement(text)).name != "mmrec"
    }
    lines = [
        line.split("#")[0].strip()
        for file in ROOT.glob("requirements*.txt")
        if file.name != "requirements-serve.txt"
        for line in file.read_text().splitlines()
    ]
    pinned = {
        (pin := Requirement(line)).name.lower(): str(pin.specifier).removeprefix("==")
        for line in lines
        if line and not line.startswith("-r")
    }
    assert set(asked) - set(pinned) == {"pre-commit"} and set(pinned) <= set(asked)
    assert all(asked[name].specifier.contains(version) for name, version in pinned.items())


def state(folder: Path) -> dict[str, str]:
    """Every file of a folder and what it holds; compiled files change by themselves."""
    return {
        f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in folder.rglob("*")
        if f.is_file() and f.suffix != ".pyc"
    }


def test_an_installed_wheel_opens_the_first_page_with_posters(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment that sees the suite's packages, from a folder that is no checkout."""
    venv.create(tmp_path / "venv", symlinks=os.name == "posix")
    names = {"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")}
    places = {kind: Path(sysconfig.get_path(kind, "venv", names)) for kind in ("purelib", "scripts")}
    python, mmrec = (places["scripts"] / name for name in ("python", "mmrec"))
    (places["purelib"] / "suite.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--quiet",
            "--python",
            str(python),
            "install",
            "--no-deps",
            "--no-index",
            str(wheel),
        ],
        check=True,
    )
    before, outside = state(places["purelib"]), tmp_path / "outside"
    outside.mkdir()
    for name in ("PYTHONPATH", "MMREC_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MMREC_HOME", str(tmp_path / "home"))
    options = {"cwd": outside, "capture_output": True, "text": True, "check": True}
    metadata = json.loads(
        subprocess.run(
            [mmrec, "prepare", "demo", "--set", "films=60", "--set", "scale=0.1", "--json"], **options
        ).stdout
    )  # type: ignore[call-overload]
    assert metadata["posters"] > 0
    page = subprocess.run([python, "-c", FIRST_PAGE], **options).stdout.splitlines()[-1].split("|")  # type: ignore[call-overload]
    assert (
        Path(page[0]) == places["purelib"].resolve() / "mmrec_core" / "_app" and page[1] == "None" and int(page[2]) > 0
    )
    thumb = next((tmp_path / "home" / "static" / "thumbs").glob("*/*.jpg"))
    app, url = browsing.serve(tmp_path / "home", [str(mmrec)], outside)
    try:
        for address, kind in (
            ("", "text/html"),
            ("app/static/fonts/Inter-latin.woff2", "font/woff2"),
            (f"app/static/thumbs/{thumb.parent.name}/{thumb.name}", "image/jpeg"),
        ):
            with urllib.request.urlopen(f"{url}/{address}", timeout=30) as answer:
                assert answer.headers["content-type"].partition(";")[0] == kind
        for address in (
            "app/static/thumbs/..%2f..%2fformat.json",
            "app/static/maps/%2e%2e/%2e%2e/format.json",
            "app/static/../app.py",
        ):
            with pytest.raises(urllib.error.HTTPError, match="40[04]"):
                urllib.request.urlopen(f"{url}/{address}", timeout=30)
    finally:
        browsing.end(app)
    assert state(places["purelib"]) == before and not list(outside.iterdir())
