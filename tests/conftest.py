"""What many tests share: a home of their own, small prepared datasets, the real data where they are at hand."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "NUMBA_NUM_THREADS", "1"
)  # drawing a map would raise torch's threads, too: two processes of two on two cores wait for each other
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process that a test starts compiles the package anew
os.environ.setdefault("MMREC_NICE", "0")  # tests wait for their workers, which must not starve beside other tests
os.environ.setdefault("MMREC_MLFLOW", "off")  # its mirror has tests of its own


LONGEST = (
    "test_browser",
    "test_learn",
    "test_browser_pages",
    "test_cluster",
    "test_resume",
    "test_contract",
    "test_browser_space",
    "test_browser_tune",
    "test_browser_train",
    "test_damaged_home",
    "test_every_model",
    "test_tuning",
    "test_queue",
    "test_evaluation_properties",
    "test_train_and_compare",
    "test_fuzz_readers",
    "test_temporal",
)
"""Files that take longest: they begin first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files as in :data:`LONGEST`, the others after them, and mark browser tests."""
    places = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """Streamlit's AppTest leaves its script as ``__main__``, which a process spawned later would run again."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def _one_look_at_the_packages() -> None:
    """Cache package metadata: Streamlit's AppTest reads it for each app that a test opens, which takes a second."""
    if "streamlit.testing.v1" in sys.modules:
        from streamlit.components.v2 import manifest_scanner as scanner

        if not hasattr(scanner.scan_component_manifests, "cache_clear"):
            scanner.scan_component_manifests = functools.cache(scanner.scan_component_manifests)


@pytest.fixture(autouse=True)
def _one_tree_of_commands() -> None:
    """Build the parser of the command line once: Typer builds it anew for each call, which takes 80 ms."""
    if "mmrec_core.cli.main" in sys.modules:
        from typer import main as typer_main

        if not hasattr(typer_main.get_command, "cache_clear"):
            typer_main.get_command = functools.cache(typer_main.get_command)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty MMREC_HOME."""
    monkeypatch.setenv("MMREC_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def workers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is started is done at once, in this process: for tests that are not about the worker's process, which
    takes three seconds to load its libraries."""
    from mmrec_core.errors import MMRecError
    from mmrec_core.jobs import worker
    from mmrec_core.runs import Run, queue

    def do(run: Run) -> Run:
        with contextlib.suppress(MMRecError):  # it is recorded, as a worker would
            worker.work(run.id, foreground=True)
        return queue.get(run.id)

    monkeypatch.setattr(queue, "spawn", do)


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One MMREC_HOME for a whole test process, for what is dear to prepare; tests must not change it."""
    yield tmp_path_factory.mktemp("shared") / "home"


@pytest.fixture(scope="session")
def sources() -> Path:
    """The folder of real data; tests that need it are skipped where there is none."""
    named = os.environ.get("MMREC_SOURCES", "").split(os.pathsep)[0]
    if not named or not Path(named, "ml-latest-small").is_dir():
        pytest.skip("needs real MovieLens data; set MMREC_SOURCES to a folder that holds ml-latest-small")
    return Path(named)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test session share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "prepared"
    folder.mkdir(exist_ok=True)
    return folder


def prepare_once(shared: Path, session: Path, reader: str, **options: object) -> object:
    """A dataset in the shared home. It is prepared once a session, by the first process that asks for it, and
    hard-linked into the shared home of each process: what the program writes replaces files and never changes them.
    """
    from mmrec_core.data import preparation

    made = session / reader
    with pytest.MonkeyPatch.context() as patch:
        with FileLock(session / f"{reader}.lock"):
            if not made.exists():
                patch.setenv("MMREC_HOME", str(session / f"{reader}.home"))
                preparation.prepare(reader, options=options)
                made.symlink_to(f"{reader}.home")
        patch.setenv("MMREC_HOME", str(shared))
        if reader not in preparation.prepared():
            ignored = shutil.ignore_patterns("locks")  # a linked lock would be one lock for all homes
            shutil.copytree(made, shared, ignore=ignored, copy_function=_link, dirs_exist_ok=True)
        return preparation.open_dataset(reader)


def _link(source: str, target: str) -> None:
    """Hard-link a file, unless it is there already (thumbnails that two datasets share)."""
    with contextlib.suppress(FileExistsError):
        os.link(source, target)


@pytest.fixture(scope="session")
def demo(shared_home: Path, session_folder: Path) -> object:
    """A small Reel World: 360 people, 200 films."""
    return prepare_once(shared_home, session_folder, "demo", films=200, scale=0.4)


@pytest.fixture(scope="session")
def ml_small(shared_home: Path, session_folder: Path, sources: Path) -> object:
    """The real ml-latest-small with posters and plots."""
    return prepare_once(shared_home, session_folder, "ml-latest-small")


@pytest.fixture(scope="session")
def ml_100k(shared_home: Path, session_folder: Path, sources: Path) -> object:
    """The real ml-100k."""
    return prepare_once(shared_home, session_folder, "ml-100k")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, gone after each file: Playwright keeps a loop running, and a second one beside it cannot start."""
    from tests import browsing

    program = browsing.program()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=browsing.FLAGS, headless=True)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def demo_app(shared_home: Path, demo: object) -> Iterator[str]:
    """The app over the demo with a few models and a map."""
    from tests.browsing import QUICK, encode, end, serve, train

    train(shared_home, "demo", **QUICK)
    encode(shared_home, "demo", "mini_clip", "image")
    app, url = serve(shared_home)
    yield url
    end(app)


@pytest.fixture(scope="session")
def empty_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over an empty home."""
    from tests.browsing import end, serve

    app, url = serve(tmp_path_factory.mktemp("empty") / "home")
    yield url
    end(app)


@pytest.fixture(scope="module")
def profile(browser: Any) -> Iterator[Any]:
    """A profile for pages that are only looked at: Streamlit keeps what a person does by page, not by profile."""
    from tests import browsing

    context = browsing.window(browser)
    yield context
    context.close()


@pytest.fixture
def ratings_csv(tmp_path: Path) -> Path:
    """A clean ratings file: 30 people, 20 films, times."""
    rng = np.random.default_rng(0)
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(1, 31):
        for place, item in enumerate(rng.permutation(20)[:12] + 1):
            lines.append(f"{user},{item},{rng.integers(1, 11) / 2},{1_000_000 + user * 1000 + place}")
    file = tmp_path / "ratings.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
