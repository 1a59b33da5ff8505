"""The Space page beside a Plotly page with the same points, in one headless browser with software rendering: one map,
and two maps side by side whose selections are linked.

Prepares a home with generated films (60,000; ``--films`` says otherwise) and two sets of vectors drawn here, serves the
app and a small Streamlit page that shows the same points with ``st.plotly_chart`` (one trace a chart, ids as
customdata; of two charts each marks what is selected on the other). For one map and for two it prints:

- ready: seconds from the page's title to drawn points, median of three visits;
- pan: milliseconds a frame while a map is dragged, median and 95th percentile;
- lasso: seconds from its release until Python has answered, on both maps where there are two;
- marked: the same, until the second map marks the selected points;
- bytes a point over socket and static files, and bytes that a selection sends out for each selected film.

``--pictures FOLDER`` keeps a screenshot of each. Needs Chromium. (embedding-atlas 0.26 is not among the pages: it draws
with WebGPU and its shader-f16 alone, which a browser without a graphics card does not have.)

    python -m benchmarks.map [--films 60000] [--pictures FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core.types import Array
from tests.browsing import program

ROOT = Path(__file__).resolve().parents[1]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync "
    "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
).split()
VISITS = 3
DATASET = "drawn"
PLOTLY = """
import os
import numpy as np, plotly.graph_objects as go, streamlit as st
st.set_page_config(layout="wide")
folder, two = os.environ["POINTS"], "two" in st.query_params
st.title("Plotly")
names = ["first", "second"] if two else ["first"]
read = lambda name, what: np.load(f"{folder}/{name}_{what}.npy")
chosen = st.session_state.get("chosen")
def keep(name):
    points = st.session_state[name]["selection"]["points"]
    st.session_state["chosen"] = sorted({p["customdata"] for p in points}) or None
    st.session_state["by"] = name
for column, name in zip(st.columns(len(names)), names):
    xy, items = read(name, "xy"), read(name, "items")
    marker = {"size": 4, "color": read(name, "codes"), "colorscale": "Turbo"}
    points = go.Scattergl(x=xy[:, 0], y=xy[:, 1], mode="markers", customdata=items, marker=marker, hoverinfo="skip")
    if chosen is not None and st.session_state["by"] != name:
        points.selectedpoints = np.flatnonzero(np.isin(items, chosen)).tolist()
    figure = go.Figure(points)
    hidden = {"visible": False}
    figure.update_layout(height=600, margin=dict(l=0, r=0, t=0, b=0), dragmode="lasso", xaxis=hidden, yaxis=hidden)
    with column:
        st.plotly_chart(figure, key=name, on_select=lambda name=name: keep(name), selection_mode=("lasso",))
st.write(f"chosen {len(chosen or [])}")
"""
FRAMES = """() => { window.frames = []; let last = performance.now(); const step = (now) => {
  window.frames.push(now - last); last = now; window.going && requestAnimationFrame(step) };
window.going = true; requestAnimationFrame(step) }"""
ANSWERED = """(tests) => {
  window.answered = {}
  const within = (root) => [...root.querySelectorAll(".map .state"),
    ...[...root.querySelectorAll("*")].flatMap((e) => e.shadowRoot ? within(e.shadowRoot) : [])]
  window.states = within(document) // the app's maps lie in shadow roots
  const began = () => {
    const from = performance.now(), look = () => {
      for (const [name, test] of Object.entries(tests))
        if (!(name in window.answered) && new Function(`return ${test}`)())
          window.answered[name] = (performance.now() - from) / 1000
      if (Object.keys(window.answered).length < Object.keys(tests).length) requestAnimationFrame(look)
    }
    look()
  }
  let released = false
  const once = () => { if (!released) began(); released = true }
  for (const kind of ["pointerup", "mouseup"]) window.addEventListener(kind, once, { once: true, capture: true })
}"""
"""Notes when each of some tests first holds, in seconds from the next release of the pointer."""


@dataclass(frozen=True)
class Case:
    """A page with one map or two."""

    url: str
    drawn: str
    """The element that is there when a map is drawn."""
    surface: str
    """The element that is dragged."""
    tools: tuple[str, str]
    """Buttons that choose panning and the lasso."""
    tests: dict[str, str]
    """Expressions that say that a selection was answered, and that the second map marks it."""
    chosen: Callable[[Any], int]
    """How many films are selected."""
    maps: int = 1


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def up(command: list[str], port: int, **environment: str) -> subprocess.Popen[bytes]:
    """Start a server and wait for it."""
    app = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(480):
        try:
            urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2).close()
            return app
        except OSError:
            time.sleep(0.25)
    raise SystemExit(f"the server did not come up: {' '.join(command)}")


def prepare(home: Path, n: int) -> list[Any]:
    """A catalog of films without posters, two sets of vectors for them, and their maps."""
    import pandas as pd

    from benchmarks.projection import vectors
    from mmrec_core import features, spaces
    from mmrec_core.data import preparation

    rng = np.random.default_rng(0)
    genres = np.array(["Action", "Comedy", "Drama", "Horror", "Romance", "Sci-Fi", "Western", "War"])
    table = pd.DataFrame(
        {
            "movieId": np.arange(1, n + 1),
            "title": [f"Film {i}" for i in range(1, n + 1)],
            "genres": genres[rng.integers(0, 8, n)],
        }
    )
    table.to_csv(home / "items.csv", index=False)
    events = pd.DataFrame(
        {
            "userId": rng.integers(1, 500, 100_000),
            "movieId": rng.integers(1, n + 1, 100_000),
            "rating": 4.0,
            "timestamp": np.arange(100_000),
        }
    )
    events.drop_duplicates(["userId", "movieId"]).to_csv(home / "ratings.csv", index=False)
    preparation.prepare(
        "csv", source=home / "ratings.csv", name=DATASET, options={"scale": "0.5:5", "items": str(home / "items.csv")}
    )
    dataset = preparation.open_dataset(DATASET)
    made = []
    for seed, name in enumerate(("first", "second")):
        source = home / f"vectors-{name}"
        source.mkdir()
        np.save(source / f"x_text_{name}.npy", vectors(n, 128, seed).astype(np.float16))
        np.save(source / f"x_text_{name}_ids.npy", np.arange(1, n + 1))
        features.import_folder(dataset, source, name)
        found = spaces.project(dataset, name, "text")
        print(
            f"project {n:,} × 128: {found['seconds']} s, of which UMAP {found['layout_s']} s; trustworthiness "
            f"{found['trustworthiness']:.4f}"
        )
        made.append(spaces.stored(dataset, name, "text"))
    return made


def drag(page: Any, box: Any) -> list[float]:
    """Milliseconds a frame while the map is moved to and fro."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(FRAMES)
    for at in range(60):
        page.mouse.move(x + 120 * np.sin(at / 6), y + 90 * np.cos(at / 6))
    frames = page.evaluate("() => { window.going = false; return window.frames }")
    page.mouse.up()
    return [float(f) for f in frames[2:]]


def lasso(page: Any, box: Any, tests: dict[str, str]) -> dict[str, float]:
    """Seconds from releasing a lasso of 30 corners until each of the tests holds."""
    x, y, r = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 0.3 * min(box["width"], box["height"])
    page.mouse.move(x + r, y)
    page.mouse.down()
    for angle in np.linspace(0, 2 * np.pi, 30):
        page.mouse.move(x + r * np.cos(angle), y + r * np.sin(angle))
    page.evaluate(ANSWERED, tests)
    page.mouse.up()
    page.wait_for_function(f"Object.keys(window.answered).length === {len(tests)}", timeout=120_000)
    return {name: float(spent) for name, spent in page.evaluate("window.answered").items()}


def visit(browser: Any, case: Case, n: int, picture: Path | None) -> dict[str, float]:
    """Open a page three times and use it once."""
    ready: list[float] = []
    for last in (*(False for _ in range(VISITS - 1)), True):
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(120_000)
        received, sent = [0], [0]
        page.on(
            "websocket",
            lambda ws, received=received, sent=sent: (
                ws.on("framereceived", lambda f: received.__setitem__(0, received[0] + len(f))),
                ws.on("framesent", lambda f: sent.__setitem__(0, sent[0] + len(f))),
            ),
        )
        fetched: list[Any] = []
        page.on("requestfinished", lambda request, fetched=fetched: fetched.append(request))
        page.goto(case.url)
        page.wait_for_selector("h1")
        shell = time.perf_counter()
        page.locator(case.drawn).nth(case.maps - 1).wait_for(state="attached")
        page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        ready.append(time.perf_counter() - shell)
        page.wait_for_timeout(2_500)
        if not last:
            page.close()
    found = {"ready s": statistics.median(ready)}
    if picture:
        page.screenshot(path=str(picture))
    files = sum(r.sizes()["responseBodySize"] for r in fetched if "/maps/" in r.url)
    box = page.locator(case.surface).first.bounding_box()
    found["bytes in a point"] = (received[0] + files) / n / case.maps
    choose(page, case.tools[0])
    frames = drag(page, box)
    found |= {"pan median ms": statistics.median(frames), "pan p95 ms": float(np.percentile(frames, 95))}
    choose(page, case.tools[1])
    page.wait_for_timeout(1_500)
    sent[0] = 0
    found |= lasso(page, box, case.tests)
    page.wait_for_timeout(3_000)
    found["selected films"] = case.chosen(page)
    found["bytes out a film"] = sent[0] / max(case.chosen(page), 1)
    page.close()
    return found


def choose(page: Any, button: str) -> None:
    """Press a tool of the first map."""
    page.locator(button).first.click(force=True)


def app_cases(url: str, app: str) -> dict[str, Case]:
    """Our page: with one map, and with two."""
    answered = "/selected on the map/.test(document.body.innerText)"
    marked = "window.states[1].textContent.includes('selected')"

    def chosen(page: Any) -> int:
        return int(page.locator(".map .state").first.inner_text().split()[0].replace(",", ""))

    tools = ('.tools [data-act="pan"]', '.tools [data-act="lasso"]')
    shared = (".map[data-ready]", "canvas.draw", tools)
    return {
        f"one map, {app}": Case(f"{url}/space?dataset={DATASET}&space=first", *shared, {"lasso s": answered}, chosen),
        f"two maps, {app}": Case(
            f"{url}/space?dataset={DATASET}&space=first&into=second%3A+plots", *shared,
            {"lasso s": answered, "marked s": marked}, chosen, 2,
        ),
    }  # fmt: skip


def plotly_cases(url: str) -> dict[str, Case]:
    """The Plotly page: with one chart, and with two."""
    answered = "/chosen [1-9]/.test(document.body.innerText)"
    marked = "document.querySelectorAll('.js-plotly-plot')[1]?._fullData?.[0]?.selectedpoints?.length > 0"

    def chosen(page: Any) -> int:
        return int(page.get_by_text("chosen").inner_text().split()[1])

    tools = (".modebar-btn[data-title='Pan']", ".modebar-btn[data-title='Lasso Select']")
    drawn, surface = ".js-plotly-plot .gl-container canvas:first-child", ".js-plotly-plot .nsewdrag"
    return {
        "one map, Plotly": Case(url, drawn, surface, tools, {"lasso s": answered}, chosen),
        "two maps, Plotly": Case(
            f"{url}/?two=1", drawn, surface, tools, {"lasso s": answered, "marked s": marked}, chosen, 2
        ),
    }


def publish_points(home: Path, made: list[Any], codes: Array) -> None:
    """The same points as files that the other pages read."""
    from mmrec_core.data import preparation
    from mmrec_core.spaces import publish

    for name, found in zip(("first", "second"), made, strict=True):
        files = publish.publish(preparation.open_dataset(DATASET), found)
        for what, array in (("xy", files.xy), ("items", files.items), ("codes", codes)):
            np.save(home / f"{name}_{what}.npy", array)


def table(measured: dict[str, dict[str, float]], n: int, what: str) -> None:
    """Ours beside the other, with ratios."""
    ours, theirs = measured[f"{what}, ours"], measured[f"{what}, Plotly"]
    print(f"\n{f'{what}, {n:,} points':<30}{'ours':>12}{'Plotly':>12}{'ratio':>9}")
    for key, one in ours.items():
        other = theirs.get(key, float("nan"))
        print(f"{key:<30}{one:>12,.3f}{other:>12,.3f}{one / other if other else float('nan'):>9.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=60_000)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--json", type=Path, help="write every value here")
    given = parser.parse_args()
    home, n = Path(tempfile.mkdtemp(prefix="mmrec-map-")), given.films
    os.environ["MMREC_HOME"], os.environ["MMREC_MLFLOW"] = str(home), "off"
    publish_points(home, prepare(home, n), np.arange(n) % 8)
    (home / "plotly_page.py").write_text(PLOTLY, encoding="utf-8")
    ports = [free_port() for _ in range(2)]
    serve = [sys.executable, "-m", "mmrec_core", "serve", "--port", str(ports[0]), "--headless"]
    run = [sys.executable, "-m", "streamlit", "run", str(home / "plotly_page.py"), "--server.headless", "true"]
    run += ["--server.port", str(ports[1])]
    started = [up(serve, ports[0]), up(run, ports[1], POINTS=str(home))]
    cases = app_cases(f"http://localhost:{ports[0]}", "ours") | plotly_cases(f"http://localhost:{ports[1]}")
    measured: dict[str, dict[str, float]] = {}
    try:
        if given.pictures:
            given.pictures.mkdir(parents=True, exist_ok=True)
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program(), args=FLAGS, headless=True)
            for name, case in cases.items():
                file = f"{name.replace(', ', '_').replace(' ', '_')}.png"
                picture = given.pictures / file if given.pictures else None
                measured[name] = visit(browser, case, n, picture)
            browser.close()
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)
        shutil.rmtree(home, ignore_errors=True)
    for what in ("one map", "two maps"):
        table(measured, n, what)
    if given.json:
        given.json.write_text(json.dumps(measured, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
