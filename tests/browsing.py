"""The app in a process of its own and a real browser in front of it, for the tests that need them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mmrec_core import runs
from mmrec_core.jobs import worker

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync "
    "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "  # WebGL without a graphics card
    # The address bar and its buttons are web pages too, drawn for each window: 0.7 s of work that nobody sees. The
    # other features are those that Playwright turns off, because the last flag of this name counts.
    "--disable-features=InitialWebUI,WebUIToolbar,WebUIReloadButton,WebUILocationBar,WebUIHomeButton,"
    "WebUIBackForwardButton,WebUISplitTabsButton,WebUIPinnedToolbarActions,PreloadTopChromeWebUI,WebUIAppMenuButton,"
    "WebUIAvatarButton,WebUIOmniboxPopup,WebUIOmniboxFullPopup,WebUIOmniboxAimPopup,WebUIExtensionsContainer,"
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,LensOverlay,MediaRouter,"
    "PaintHolding,ThirdPartyStoragePartitioning,Translate,OptimizationHints,NetworkTimeServiceQuerying"
).split()


def missing(why: str) -> None:
    """No browser: a failure in continuous integration, a skip at a desk."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def program() -> str:
    """The browser's program; without one the test fails or is skipped."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        missing("needs Chromium; on Debian: apt-get install chromium")
    return str(found)


def serve(
    home: Path, program: Sequence[str] = (sys.executable, "-m", "mmrec_core"), folder: Path = ROOT, port: int = 0
) -> tuple[subprocess.Popen[bytes], str]:
    """The app in a process of its own, on a free or given port; an installed one by its own program and folder."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("localhost", port))
        port = probe.getsockname()[1]
    command = [*program, "serve", "--port", str(port), "--headless"]
    app = subprocess.Popen(command, cwd=folder, env={**os.environ, "MMREC_HOME": str(home)}, start_new_session=True)
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2):
                return app, f"http://localhost:{port}"
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the app did not come up")


def end(app: subprocess.Popen[bytes]) -> None:
    os.killpg(app.pid, 15)
    app.wait(120)  # a script that is under way ends first


def train(home: Path, dataset: str, **models: dict[str, str]) -> None:
    before = os.environ.get("MMREC_HOME")
    os.environ["MMREC_HOME"] = str(home)
    try:
        from mmrec_core.data import preparation

        fitted = runs.finished(preparation.open_dataset(dataset))
        for model, options in models.items():
            if model not in fitted:
                worker.work(
                    runs.create("train", runs.training_params(dataset, model, options=options)).id, foreground=True
                )
    finally:
        if before is None:
            del os.environ["MMREC_HOME"]
        else:
            os.environ["MMREC_HOME"] = before


def encode(home: Path, dataset: str, encoder: str, *views: str) -> None:
    """Vectors and maps, where they are not there yet."""
    before = os.environ.get("MMREC_HOME")
    os.environ["MMREC_HOME"] = str(home)
    try:
        from mmrec_core import features, spaces
        from mmrec_core.data import preparation

        opened = preparation.open_dataset(dataset)
        features.encode(opened, encoder)
        for view in views:
            spaces.project(opened, encoder, view)  # type: ignore[arg-type]
    finally:
        if before is None:
            del os.environ["MMREC_HOME"]
        else:
            os.environ["MMREC_HOME"] = before


QUICK = {"popularity": {}, "itemknn": {}, "ease": {}, "bpr": {"max_epochs": "12"}}


WATCH = """(() => {
    if (window.__activity) return;
    const seen = window.__activity = {last: performance.now(), asked: 0};
    const sockets = new WeakSet(), send = WebSocket.prototype.send;
    const RERUN = 11 << 3 | 2, FINISHED = 6 << 3, EARLY = 2;  // fields of BackMsg and ForwardMsg, and a status
    const bytes = (data) => data instanceof ArrayBuffer ? new Uint8Array(data)
        : new Uint8Array(data.buffer ?? 0, data.byteOffset, data.byteLength);
    // how a run of the script ended, where a message says so: nothing stands before it but its hash and its metadata
    const ending = (message) => {
        let at = 0;
        const number = () => {
            let value = 0, shift = 0, byte;
            do { byte = message[at++]; value += (byte & 127) * 2 ** shift; shift += 7; } while (byte & 128);
            return value;
        };
        while (at < message.length) {
            const field = number();
            if (field === FINISHED) return number();
            if ((field & 7) !== 2 || field >> 3 > 2) return null;
            const length = number();  // which moves on itself
            at += length;
        }
        return null;
    };
    WebSocket.prototype.send = function (...given) {
        if (!sockets.has(this)) {
            sockets.add(this);
            seen.asked = 0;  // a new connection knows nothing of what the last one asked for
            this.addEventListener("message", ({data}) => {
                const how = data instanceof ArrayBuffer ? ending(bytes(data)) : null;
                // a run that calls for another one has not answered yet, unless two were asked for
                if (how !== null && (how !== EARLY || seen.asked > 1)) seen.asked = Math.max(0, seen.asked - 1);
                seen.last = performance.now();
            });
        }
        if (typeof given[0] !== "string" && bytes(given[0])[0] === RERUN) seen.asked += 1;
        seen.last = performance.now();
        return send.apply(this, given);
    };
    const touch = () => { seen.last = performance.now(); };
    new PerformanceObserver(touch).observe({type: "resource"});
    new MutationObserver(touch).observe(document, {subtree: true, attributeFilter: ["data-test-script-state"]});
})()"""
"""Counts the runs of its script that a page has asked for and that have not ended, and notes when it last sent
something to its server, was answered, fetched a file, or began or ended a run."""
QUIET = """([quiet, merged]) => {
    const seen = window.__activity, app = document.querySelector("[data-testid=stApp]");
    return seen && performance.now() - seen.last > (seen.asked ? merged : quiet)
        && app && !app.matches("[data-test-script-state=running]");
}"""
MERGED_MS = 2_000
"""How long nothing happens before runs that were asked for count as done all the same: Streamlit makes one run of two
requests that wait together."""
QUIET_MS = 250
"""How long nothing happens after the last thing that did; whatever a part of a page puts off for longer, a test waits
for itself."""


def window(browser: Any, light: str = "light", moves: bool = False) -> Any:
    """A browser profile of its own, empty as that of somebody who comes for the first time.

    Args:
        browser: the browser.
        light: ``light`` or ``dark``.
        moves: whether things may move. Elsewhere they stand still, as for people who ask for less motion: each frame
            that Streamlit moves while it waits is drawn without a graphics card.
    """
    motion = "no-preference" if moves else "reduce"
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=light, reduced_motion=motion)
    context.add_init_script(WATCH)
    return context


def page_at(browser: Any, url: str, width: int = 1440, context: Any = None) -> Any:
    """The app in a new page.

    Args:
        browser: the browser.
        url: what is opened.
        width: the width of the window in pixels.
        context: a profile for several pages, which fetch and compile Streamlit's scripts once; by default a new one.
    """
    page = (context or window(browser)).new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(url)
    page.wait_for_selector(".stMainBlockContainer h1, .stMainBlockContainer h2, .stMainBlockContainer h3")
    return page


def settled(page: Any) -> None:
    """Wait until what was done has been sent, answered and drawn: no run of the script is under way and nothing comes
    any more."""
    page.evaluate(
        f"() => {{ {WATCH}; window.__activity.last = performance.now(); }}"
    )  # what was just done may be sent a moment later
    page.wait_for_function(QUIET, arg=[QUIET_MS, MERGED_MS], polling=50)


def drawn(page: Any) -> None:
    """Settled, and neither a skeleton nor an image in view still stands for what is to come."""
    settled(page)
    page.wait_for_function(
        """() => !document.querySelector("[data-testid=stSkeleton]") && [...document.images].every(image => {
            const box = image.getBoundingClientRect();
            return image.complete || !box.width || box.bottom < 0 || box.top > innerHeight;
        })"""
    )
    settled(page)
