"""A training run in a real browser: its curve moves, it outlives the server, it is compared, and another begins from
it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from mmrec_core import runs
from mmrec_core.types import Dataset
from tests.browsing import end, page_at, serve, settled


def kill(app: subprocess.Popen[bytes]) -> None:
    """The server and all its children die at once; workers are in groups of their own."""
    os.killpg(app.pid, signal.SIGKILL)
    app.wait(30)


def epochs_done(page: Any) -> int:
    page.get_by_text("Epochs done").first.wait_for()
    box = page.locator("[class*=st-key-run-]").first.inner_text()
    return int(box.split("Epochs done")[1].split()[0])


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills a process group")
def test_a_training_outlives_the_server_and_is_trained_on(
    browser: Any,
    tmp_path: Path,
    shared_home: Path,
    ml_small: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    shutil.copytree(shared_home / "datasets" / "ml-latest-small", home / "datasets" / "ml-latest-small")
    monkeypatch.setenv("MMREC_HOME", str(home))
    app, url = serve(home)
    try:
        page = page_at(browser, f"{url}/train?dataset=ml-latest-small")
        page.get_by_role("button", name="Start training").wait_for()
        settled(page)
        page.get_by_role("button", name="Start training").click()
        page.get_by_text("Running jobs").wait_for()
        first = epochs_done(page)
        page.locator("[class*=st-key-run-] [data-testid=stVegaLiteChart]").first.wait_for()
        page.wait_for_function(
            "n => Number(document.body.innerText.split('Epochs done')[1]?.trim().split(/\\s/)[0]) > n", arg=first + 2
        )
        run = next(r for r in runs.all_runs() if r.params["model"] == "bpr")
        kill(app)
        assert runs.get(run.id).status == "running", "the work does not hang on the server"
        page.context.close()
        app, url = serve(home)
        page = page_at(browser, f"{url}/train?dataset=ml-latest-small")
        page.get_by_text("Train ml-latest-small · bpr").first.wait_for()
        until = time.time() + 300
        while any(r.status in runs.LIVE for r in runs.all_runs()):
            assert time.time() < until
            time.sleep(0.5)
        assert runs.get(run.id).status == "finished", runs.get(run.id).log_tail()
        page.goto(f"{url}/compare?dataset=ml-latest-small")
        page.get_by_role("heading", name="Ranking models").wait_for()
        page.wait_for_function(
            "() => ['bpr', 'ease', 'popularity'].every(n =>"
            " document.querySelector('.stMainBlockContainer').outerHTML.includes(n))"
        )
        page.goto(f"{url}/train?dataset=ml-latest-small")
        page.get_by_role("button", name="Warm start").first.click()
        page.get_by_text("warm start from bpr of").wait_for()
        settled(page)
        epochs = page.get_by_role("spinbutton", name="max epochs (epochs)")
        epochs.fill("2")
        epochs.press("Enter")
        settled(page)
        page.get_by_role("button", name="Start training").click()
        page.get_by_text("rows by id").first.wait_for()
        again = next(r for r in runs.all_runs() if r.params["from_run"] == run.id)
        while runs.get(again.id).status in runs.LIVE:
            time.sleep(0.3)
        result = runs.get(again.id).result()
        assert result is not None and result["epochs"] == 2
        assert result["warm_start"]["matched"]["user_factors.weight"] == [610, 610]
        page.context.close()
    finally:
        end(app)
