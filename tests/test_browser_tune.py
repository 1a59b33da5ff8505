"""A search in a real browser: begun by hand, watched, stopped, gone on with, its winner taken into the training
form."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from mmrec_core import runs
from mmrec_core.tuning import sweep
from mmrec_core.types import Dataset
from tests.browsing import end, page_at, serve, settled


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_search_is_begun_stopped_and_gone_on_with(
    browser: Any, tmp_path: Path, shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    home = tmp_path / "home"
    shutil.copytree(shared_home / "datasets" / "demo", home / "datasets" / "demo")
    monkeypatch.setenv("MMREC_HOME", str(home))
    app, url = serve(home)
    try:
        page = page_at(browser, f"{url}/train?dataset=demo&part=Tune")
        page.get_by_text("Nothing has been searched on these data yet").wait_for()
        trials = page.get_by_role("spinbutton", name="Trials")
        trials.fill("4")
        trials.press("Enter")
        settled(page)
        page.get_by_role("button", name="Start searching").click()
        page.get_by_text("Tune demo · bpr").first.wait_for()
        run = next(r for r in runs.all_runs() if r.kind == "tune")
        until = time.time() + 400
        while not any(t.score is not None for t in sweep.trials_of(run)):
            now = runs.get(run.id)
            assert now.status in runs.LIVE and time.time() < until, (now.status, now.error, now.log_tail())
            time.sleep(0.2)
        page.get_by_text(re.compile(r"Trial \d: validation")).wait_for()  # whichever leads: two run at once
        page.get_by_role("button", name="Stop").first.click()
        page.get_by_role("button", name="Start again").or_(page.get_by_role("button", name="Resume")).first.wait_for()
        runs.queue._wait_for_end(run)
        learned = {t.id: t.curve for t in sweep.trials_of(run) if t.status in {"finished", "stopped early"}}
        page.get_by_role("button", name="Resume").first.click()
        page.get_by_text("Tested once: ").wait_for(timeout=700_000)
        until = time.time() + 60
        while runs.get(run.id).status in runs.LIVE:
            assert time.time() < until
            time.sleep(0.2)
        found = sweep.trials_of(run)
        assert (
            len(found) == 4
            and all(t.curve == learned.get(t.id, t.curve) for t in found)
            and learned.keys() <= {t.id for t in found}
        )
        page.wait_for_function("() => document.querySelectorAll('[data-testid=stVegaLiteChart]').length == 2")
        result = runs.get(run.id).result()
        assert (
            result is not None
            and f"{result['metrics']['ndcg@10']:.4f}" in page.locator(".stMainBlockContainer").inner_text()
        )
        page.get_by_role("button", name="Settings into the form").click()
        page.get_by_text("like bpr of").wait_for()
        settled(page)
        lr = page.get_by_role("spinbutton", name="lr").first
        assert float(lr.input_value()) == pytest.approx(result["best"]["options"]["lr"], rel=0.01)
        page.context.close()
    finally:
        end(app)
