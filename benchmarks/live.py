"""Cost of watching a training run: bytes on the socket per update, and page latency while a training runs.

Starts the app on a home of its own with the demo, opens the Train page in a headless browser, and measures (a) what
the server sends per look at a running training, and (b) the median time from a click on "Usual settings only" of
Compare until the page is at rest, idle and while a training runs at low priority in the background. Needs Chromium.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
CLICKS = 25
WATCH_S = 30


def at_rest(page: Any) -> None:
    """Wait until Streamlit has finished its script run."""
    page.wait_for_function("document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'")


def reruns(page: Any) -> list[float]:
    """Milliseconds of several reruns."""
    spent = []
    toggle = page.locator(".st-key-only_usual label").first
    for _ in range(CLICKS):
        at_rest(page)
        page.wait_for_timeout(150)
        page.evaluate(
            """() => { window.began = performance.now(); window.ended = null;
            const app = document.querySelector('[data-testid=stApp]');
            let ran = false;
            const look = new MutationObserver(() => {
              if (app.dataset.testScriptState === 'running') ran = true;
              else if (ran && app.dataset.testScriptState === 'notRunning') {
                window.ended = performance.now(); look.disconnect();
              }
            });
            look.observe(app, {attributes: true, attributeFilter: ['data-test-script-state']}); }"""
        )
        toggle.click()
        page.wait_for_function("window.ended !== null")
        spent.append(page.evaluate("window.ended - window.began"))
    return spent


def main() -> None:
    """Measure and print."""
    home = Path(tempfile.mkdtemp(prefix="mmrec-live-"))
    os.environ["MMREC_HOME"], os.environ["MMREC_MLFLOW"] = str(home), "off"
    from playwright.sync_api import sync_playwright

    from mmrec_core import runs
    from mmrec_core.data import preparation
    from mmrec_core.jobs import worker

    preparation.prepare("demo")
    for name in ("popularity", "ease", "itemknn"):
        worker.work(runs.create("train", runs.training_params("demo", name)).id, foreground=True)
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    app = subprocess.Popen([sys.executable, "-m", "mmrec_core", "serve", "--port", str(port), "--headless"], cwd=ROOT)
    url = f"http://localhost:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
            break
        except OSError:
            time.sleep(0.5)
    program = next(p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n)))
    run = None
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=FLAGS, headless=True)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{url}/compare?dataset=demo&only_usual=false")
            page.wait_for_selector(".st-key-only_usual")
            page.wait_for_timeout(6000)
            reruns(page)  # warm
            idle = reruns(page)
            options = {"max_epochs": 10_000, "patience": 0}
            run = runs.start("train", runs.training_params("demo", "bpr", options=options))
            while (runs.get(run.id).last("epoch") or {"epoch": 0})["epoch"] < 60:
                time.sleep(0.5)
            page.wait_for_timeout(3000)
            busy = reruns(page)
            page.close()
            watch = browser.new_page(viewport={"width": 1440, "height": 900})
            sizes: list[tuple[float, int]] = []
            watch.on(
                "websocket", lambda ws: ws.on("framereceived", lambda data: sizes.append((time.time(), len(data))))
            )
            watch.goto(f"{url}/train?dataset=demo")
            watch.wait_for_selector("text=Under way")
            watch.wait_for_timeout(5000)
            sizes.clear()
            watch.wait_for_timeout(WATCH_S * 1000)
            browser.close()
    finally:
        if run is not None:
            runs.stop(run.id)
        app.terminate()
        app.wait(30)
        shutil.rmtree(home, ignore_errors=True)
    ticks: list[int] = []
    last = 0.0
    for at, size in sizes:
        if at - last > 0.8:
            ticks.append(0)
        ticks[-1] += size
        last = at
    whole = ticks[1:-1] or ticks
    print(
        f"tick: {len(ticks)} in {WATCH_S} s, median {statistics.median(whole) / 1024:.1f} KiB, largest "
        f"{max(whole) / 1024:.1f} KiB (target 25 KB)"
    )
    slow, quick = statistics.median(busy), statistics.median(idle)
    print(f"rerun of Compare: idle {quick:.0f} ms, while training {slow:.0f} ms, ratio {slow / quick:.2f} (target 1.3)")


if __name__ == "__main__":
    main()
