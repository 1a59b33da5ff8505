"""Every file that CONTRIBUTING.md shows is taken out of it and used as a plugin."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_command_line import here, mmrec

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = {name: body for name, body in re.findall(r"^```\w+ (\S+)\n(.*?)^```$", TEXT, re.M | re.S)}
COMMANDS = re.findall(r"^python -m mmrec_core (.*)$", TEXT, re.M)
PAGE = """
from pathlib import Path
from streamlit.testing.v1 import AppTest
shown = AppTest.from_file(str(Path("app.py").resolve()), default_timeout=120).run()
shown.switch_page("pages/longest.py").run()
assert not shown.exception and not shown.error, (shown.exception, shown.error)
assert [h.value for h in shown.subheader] == ["Longest titles"], shown.subheader
assert sum("Film " in m.value for m in shown.markdown) == 8, shown.markdown
"""


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A home in which every command of the page was run, with its files as plugins; and what names them."""
    folder = tmp_path_factory.mktemp("contributing")
    for name, body in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(body, encoding="utf-8")
    environment = {"MMREC_PLUGINS": str(folder)}
    order = ("prepare", "train", "encode")
    assert sorted(words.split()[0] for words in COMMANDS) == sorted(order)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**environment, "MMREC_HOME": str(folder / "home")}.items():
            patch.setenv(name, value)
        for words in sorted(COMMANDS, key=lambda words: order.index(words.split()[0])):
            verb, *more = words.split()
            own = mmrec(folder / "home", verb, *more, "--json") if verb == "train" else here(verb, *more, "--json")
            assert own.returncode == 0, own.stderr
            (folder / f"{verb}.json").write_text(own.stdout)
    return folder, environment


def test_each_kind_is_shown_once() -> None:
    assert sorted(Path(name).parts[0] for name in FILES) == [
        "datasets",
        "encoders",
        "lessons",
        "metrics",
        "models",
        "pages",
    ]


def test_the_files_pass_the_style_check() -> None:
    for name, body in FILES.items():
        if name.endswith(".py"):
            command = [sys.executable, "-m", "ruff", "check", "--stdin-filename", name, "-"]
            done = subprocess.run(command, input=body, capture_output=True, text=True, cwd=ROOT, check=False)
            assert done.returncode == 0, done.stdout


def test_model_dataset_encoder_and_metric_work(worked: tuple[Path, dict[str, str]]) -> None:
    folder, _ = worked
    results = {kind: json.loads((folder / f"{kind}.json").read_text()) for kind in ("prepare", "train", "encode")}
    assert (results["prepare"]["users"], results["prepare"]["films"]) == (50, 8)
    assert results["train"]["settings"] == {"half_life": 30.0} and 0 <= results["train"]["metrics"]["first_hit"] <= 1
    assert (folder / "home" / "datasets" / "tiny" / "features" / "letters" / "text.npy").is_file()


def test_the_lesson_can_be_read(worked: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    from mmrec_core.analysis import lessons

    monkeypatch.setenv("MMREC_PLUGINS", str(worked[0]))
    read = next(lesson for lesson in lessons.lessons() if lesson.name == "90-first-place")
    assert read.minutes == 5 and read.steps[0].choices == ("popularity", "ease")


def test_the_page_is_in_the_navigation_and_opens(worked: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """In a copy of the app: pages come from the app's own folder alone."""
    shutil.copytree(ROOT / "pages", tmp_path / "pages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", tmp_path)
    shutil.copy(worked[0] / "pages" / "longest.py", tmp_path / "pages")
    environment = {**os.environ, "MMREC_HOME": str(worked[0] / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PAGE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
