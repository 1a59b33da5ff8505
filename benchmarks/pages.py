"""How fast each page of the app answers in a real browser, idle and beside a training run, here and in another
checkout.

Serves a home with the demo dataset (``--home`` names one, which is copied; otherwise one is made: the demo, its
baseline models and the vectors of ``mini_clip``), opens every page in Chromium and prints for each page medians of:

- frame: seconds from a click in the navigation until the page's title is on the screen;
- settled: seconds from the same click until no rerun is under way, no skeleton is left and nothing was sent any more;
- action: seconds from one typical action (a search, another slice, a star) until the page is settled again;
- server: CPU seconds of the app's process for that visit and that action. They hardly depend on what else the machine
  does, so they say what an idle machine would need at least;
- KiB: bytes received over the socket for the visit.

``first`` is the first visit of the page by address after the server came up: seconds to its title, until it is
settled, and for the first action, with everything that is loaded and computed for the first time. With ``--against
FOLDER`` both checkouts are measured in turn, page by page, so that they meet the same load.

    python -m benchmarks.pages [--home FOLDER] [--against CHECKOUT] [--rounds 5] [--cases idle,busy] [--pages …]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

from tests.browsing import FLAGS, end, program, serve

ROOT = Path(__file__).resolve().parents[1]
BASELINES = ("popularity", "bias", "itemknn", "ease", "bpr", "mf")
QUIET_MS = 700
GIVE_UP_S = 60
WATCH = """(() => {
  if (window.__pages) return
  const now = () => performance.now()
  const seen = window.__pages = { from: 0, frame: null, last: 0, asked: 0, received: 0, heading: "" }
  const known = new WeakSet(), send = WebSocket.prototype.send
  WebSocket.prototype.send = function (...given) {
    if (!known.has(this)) {
      known.add(this)
      this.addEventListener("message", (event) => {
        const data = event.data
        seen.received += data.byteLength ?? data.size ?? data.length
        seen.last = now()
      })
    }
    seen.asked += 1
    seen.last = now()
    return send.apply(this, given)
  }
  const heading = () => document.querySelector(".stMainBlockContainer :is(h1, h2, h3)")?.textContent ?? ""
  const app = () => document.querySelector("[data-testid=stApp]")
  let busy = false
  const look = () => {
    const works = !!app()?.matches("[data-test-script-state=running]")
      || !!document.querySelector("[data-testid=stSkeleton]")
    if (works || busy) seen.last = now()
    busy = works
    if (seen.frame === null && heading() && heading() !== seen.heading) {
      seen.frame = 0
      requestAnimationFrame(() => { seen.frame = now() })
    }
  }
  new MutationObserver(look).observe(document, {
    subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["data-test-script-state"],
  })
  window.__begin = () => Object.assign(seen, { frame: null, asked: 0, received: 0, heading: heading() })
  for (const kind of ["pointerup", "keydown"]) {
    addEventListener(kind, (event) => {
      if (kind === "keydown" && event.key !== "Enter") return
      Object.assign(seen, { from: now(), last: now(), asked: 0, received: 0 })
    }, true)
  }
})()"""
"""Notes when somebody clicked, when a new title appeared, and when anything last happened."""
SETTLED = """quiet => {
  const seen = window.__pages, app = document.querySelector("[data-testid=stApp]")
  return seen.asked > 0 && performance.now() - seen.last > quiet && app
    && !app.matches("[data-test-script-state=running]") && !document.querySelector("[data-testid=stSkeleton]")
}"""


@dataclass(frozen=True)
class View:
    """One page, how to come to it from Home, and something that people do there."""

    path: str
    act: Callable[[Any], None]
    in_navigation: bool = True
    """Whether the navigation leads to it; otherwise it is opened by its address alone."""


def section(name: str) -> Callable[[Any], None]:
    """Choose one of a row of names."""
    return lambda page: page.locator("[data-testid=stButtonGroup] button", has_text=name).first.click()


def search(key: str, text: str) -> Callable[[Any], None]:
    """Type into a field and press Enter."""

    def act(page: Any) -> None:
        box = page.locator(f".st-key-{key} input").first
        box.fill(text)
        box.press("Enter")

    return act


def star(page: Any) -> None:
    """Rate the first suggested film with five stars."""
    stars = page.locator(".st-key-suggested .film .stars").first
    box = stars.bounding_box()
    stars.click(position={"x": box["width"] - 3, "y": box["height"] / 2})


VIEWS = {
    "Home": View("/", lambda page: page.locator(".film button.poster").nth(2).click()),
    "Browse": View("/browse", search("q", "sea")),
    "a film": View("/browse?film=1", lambda page: page.locator(".st-key-by button").nth(1).click(), False),
    "Train": View("/train", section("Tune")),
    "Space": View("/space", search("q", "saturn")),
    "Compare": View("/compare", section("Paired")),
    "Errors": View("/errors", section("Genre")),
    "a person": View("/errors?look=Person&a=ease&b=bpr", lambda p: p.get_by_text("Another, at random").click(), False),
    "Cold start": View("/cold_start", star),
    "Learn": View("/learn", lambda page: page.locator(".st-key-lessons button").first.click()),
}


@dataclass
class Served:
    """A checkout that is served."""

    name: str
    folder: Path
    home: Path
    url: str
    process: Any
    figures: dict[tuple[str, str], dict[str, list[float]]] = field(default_factory=dict)

    def note(self, case: str, view: str, **values: float) -> None:
        """Keep measured values."""
        kept = self.figures.setdefault((case, view), {})
        for key, value in values.items():
            kept.setdefault(key, []).append(value)

    def cpu_s(self) -> float:
        """CPU seconds of the app so far."""
        parent = psutil.Process(self.process.pid)
        app = next(p for p in (parent, *parent.children(recursive=True)) if "streamlit" in p.cmdline())
        spent = app.cpu_times()  # runs are processes of their own and do not count
        return float(spent.user + spent.system)


def begin(page: Any) -> None:
    """Forget what was seen so far."""
    page.evaluate("() => window.__begin()")


def settled(page: Any) -> dict[str, float]:
    """Wait until nothing happens any more; seconds to the title and until it was settled, and KiB received."""
    page.wait_for_function(SETTLED, arg=QUIET_MS, polling=50, timeout=GIVE_UP_S * 1000)
    seen = page.evaluate("() => window.__pages")
    return {
        "frame": ((seen["frame"] or seen["last"]) - seen["from"]) / 1000,
        "settled": (seen["last"] - seen["from"]) / 1000,
        "KiB": seen["received"] / 1024,
    }


@contextlib.contextmanager
def new_page(context: Any, app: Served, name: str) -> Iterator[Any]:
    """A page that is closed in the end; what does not come within a minute is said and left out."""
    page = context.new_page()
    try:
        yield page
    except PlaywrightError as error:
        print(f"{app.name}, {name}: {str(error)[:300]}", file=sys.stderr)
    finally:
        page.close()


def first_visit(page: Any, app: Served, case: str, name: str) -> None:
    """Open a page by its address."""
    page.goto(app.url + VIEWS[name].path)
    found = settled(page)
    app.note(case, name, **{"first frame": found["frame"], "first settled": found["settled"]})
    if (taken := act(page, app, name)) is not None:
        app.note(case, name, **{"first action": taken})


def act(page: Any, app: Served, name: str) -> float | None:
    """Do what people do on a page; seconds until it is settled again, ``None`` where another checkout has no such
    thing."""
    begin(page)
    try:
        VIEWS[name].act(page)
        return settled(page)["settled"]
    except PlaywrightError as error:
        print(f"{app.name}, {name}: {str(error)[:300]}", file=sys.stderr)
        return None


def visit(page: Any, app: Served, case: str, name: str) -> None:
    """Come to a page by the navigation, where it is in it, and do something there."""
    view = VIEWS[name]
    other = "/browse" if name == "Home" else "/"
    page.goto(app.url + (other if view.in_navigation else view.path))
    settled(page)
    before = app.cpu_s()
    if view.in_navigation:
        begin(page)
        page.locator(f"a[data-testid^=stTopNavLink][href$='{view.path}']").first.click()
        found = settled(page)
        app.note(case, name, **{k: found[k] for k in ("frame", "settled", "KiB")}, server=app.cpu_s() - before)
    before = app.cpu_s()
    if (taken := act(page, app, name)) is not None:
        app.note(case, name, action=taken, **{"action server": app.cpu_s() - before})


@contextlib.contextmanager
def training(app: Served) -> Iterator[None]:
    """A training run that lasts as long as is measured."""
    command = [sys.executable, "-m", "mmrec_core", "train", "demo", "bpr", "--seed", "7"]
    command += ["--set", "max_epochs=1000", "--set", "patience=1000"]
    where = {**os.environ, "MMREC_HOME": str(app.home)}
    process = subprocess.Popen(
        command, cwd=app.folder, env=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(12)  # it reads its data first
        if process.poll() is not None:
            raise SystemExit(f"{app.name}: the training run ended at once")
        yield
        if process.poll() is not None:
            print(f"{app.name}: the training run ended before all was measured", file=sys.stderr)
    finally:
        if process.poll() is None:
            end(process)


def make(home: Path, folder: Path) -> None:
    """The demo with its baseline models, and the map of its posters."""
    orders = [["prepare", "demo", "--if-missing"], ["encode", "demo", "mini_clip"], ["project", "demo", "mini_clip"]]
    for order in [*orders, *(["train", "demo", model] for model in BASELINES)]:
        where = {**os.environ, "MMREC_HOME": str(home)}
        subprocess.run(
            [sys.executable, "-m", "mmrec_core", *order], cwd=folder, env=where, check=True, stdout=subprocess.DEVNULL
        )


def load() -> str:
    """How busy the machine is."""
    return f"load {', '.join(f'{v:.1f}' for v in os.getloadavg())} on {os.cpu_count()} CPUs"


COLUMNS = (
    "frame", "settled", "action", "server", "action server", "KiB", "first frame", "first settled", "first action",
)  # fmt: skip


def table(apps: list[Served], case: str, views: list[str]) -> None:
    """Medians, a line per page and checkout."""
    print(f"\n{case}; {load()}")
    print(f"{'page':<12}{'checkout':<10}" + "".join(f"{c:>15}" for c in COLUMNS) + f"{'n':>4}")
    for name in views:
        for app in apps:
            kept = app.figures.get((case, name), {})
            cells = (
                f"{statistics.median(kept[c]):>15.2f}" if c != "KiB" and kept.get(c) else
                f"{statistics.median(kept[c]):>15.0f}" if kept.get(c) else f"{'–':>15}"
                for c in COLUMNS
            )  # fmt: skip
            print(f"{name:<12}{app.name:<10}{''.join(cells)}{len(kept.get('action', [])):>4}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="a home with the demo; it is copied")
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", default="idle,busy")
    parser.add_argument("--pages", default=",".join(VIEWS))
    parser.add_argument("--json", type=Path, help="write every value here")
    asked = parser.parse_args()
    views = [v for v in VIEWS if v in asked.pages.split(",")]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made, contextlib.ExitStack() as closing:
        checkouts = {"here": ROOT} | ({"against": asked.against.resolve()} if asked.against else {})
        source = asked.home
        if source is None:
            source = Path(made) / "demo"
            make(source, ROOT)
        apps = []
        for name, folder in checkouts.items():
            home = Path(made) / name
            shutil.copytree(source, home)
            process, url = serve(home, folder=folder)
            closing.callback(end, process)
            apps.append(Served(name, folder, home, url, process))
        browser = closing.enter_context(sync_playwright()).chromium.launch(executable_path=program(), args=FLAGS)
        closing.callback(browser.close)
        print(f"demo, seed 0; {platform.python_version()}; Chromium {browser.version}; {load()}; {asked.rounds} rounds")
        contexts = {}
        for app in apps:
            contexts[app.name] = context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.add_init_script(WATCH)
            context.set_default_timeout(GIVE_UP_S * 1000)
            page = context.new_page()  # the browser fetches and compiles Streamlit's scripts once
            page.goto(f"{app.url}/learn")
            settled(page)
            page.close()
        cases = asked.cases.split(",")
        for case in cases:
            for name in views if case == cases[0] else ():  # later visits meet what these have loaded and computed
                for app in apps:
                    with new_page(contexts[app.name], app, name) as page:
                        first_visit(page, app, case, name)
            groups = [apps] if case == "idle" else [[app] for app in apps]
            for group in groups:
                with training(group[0]) if case == "busy" else contextlib.nullcontext():
                    for _ in range(asked.rounds):
                        for name in views:
                            for app in group:
                                with new_page(contexts[app.name], app, name) as page:
                                    visit(page, app, case, name)
            table(apps, case, views)
            sys.stdout.flush()
        if asked.json:
            asked.json.write_text(
                json.dumps({app.name: {" ".join(k): v for k, v in app.figures.items()} for app in apps}, indent=1)
            )


if __name__ == "__main__":
    main()
