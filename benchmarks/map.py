"""The Space page at 60,000 films beside a Plotly page with the same points, in one headless browser with software
rendering.

Prepares a home with 60,000 generated films whose vectors are drawn here, serves the app and a small Streamlit page
that shows the same points with ``st.plotly_chart`` (one trace, ids as customdata), and measures for both: from
navigation to drawn points, frame times while dragging (p95), from the release of a lasso until Python has answered,
bytes over socket and static files a point, and bytes that a selection sends out for each chosen film. Needs Chromium.
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

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync "
    "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
).split()
N = 60_000
PLOTLY = """
import numpy as np, plotly.graph_objects as go, streamlit as st
st.set_page_config(layout="wide")
xy, items, codes = (np.load(f"{__import__('os').environ['POINTS']}/{n}.npy") for n in ("xy", "items", "codes"))
st.title("Plotly")
marker = {"size": 4, "color": codes, "colorscale": "Turbo"}
points = go.Scattergl(x=xy[:, 0], y=xy[:, 1], mode="markers", customdata=items, marker=marker, hoverinfo="skip")
figure = go.Figure(points)
hidden = {"visible": False}
figure.update_layout(height=600, margin=dict(l=0, r=0, t=0, b=0), dragmode="lasso", xaxis=hidden, yaxis=hidden)
event = st.plotly_chart(figure, key="flat", on_select="rerun", selection_mode=("lasso",))
st.write(f"chosen {len(event['selection']['points'])}")
"""
FRAMES = """() => { window.frames = []; let last = performance.now(); const step = (now) => {
  window.frames.push(now - last); last = now; window.going && requestAnimationFrame(step) };
window.going = true; requestAnimationFrame(step) }"""


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
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2).close()
            return app
        except OSError:
            time.sleep(0.25)
    raise SystemExit("the server did not come up")


def prepare(home: Path) -> Any:
    """A catalog of 60,000 films without posters, vectors for them, and their map."""
    import pandas as pd

    from benchmarks.projection import vectors
    from mmrec_core import features, spaces
    from mmrec_core.data import preparation

    rng = np.random.default_rng(0)
    genres = np.array(["Action", "Comedy", "Drama", "Horror", "Romance", "Sci-Fi", "Western", "War"])
    table = pd.DataFrame(
        {
            "movieId": np.arange(1, N + 1),
            "title": [f"Film {i}" for i in range(1, N + 1)],
            "genres": genres[rng.integers(0, 8, N)],
        }
    )
    table.to_csv(home / "items.csv", index=False)
    events = pd.DataFrame(
        {
            "userId": rng.integers(1, 500, 100_000),
            "movieId": rng.integers(1, N + 1, 100_000),
            "rating": 4.0,
            "timestamp": np.arange(100_000),
        }
    )
    events.drop_duplicates(["userId", "movieId"]).to_csv(home / "ratings.csv", index=False)
    preparation.prepare(
        "csv", source=home / "ratings.csv", name="sixty", options={"scale": "0.5:5", "items": str(home / "items.csv")}
    )
    dataset = preparation.open_dataset("sixty")
    source = home / "v"
    source.mkdir()
    np.save(source / "x_text_drawn.npy", vectors(N, 128).astype(np.float16))
    np.save(source / "x_text_drawn_ids.npy", np.arange(1, N + 1))
    features.import_folder(dataset, source, "drawn")
    projection = spaces.project(dataset, "drawn", "text")
    print(
        f"project 60,000 × 128: {projection['seconds']} s, of which UMAP {projection['layout_s']} s; trustworthiness "
        f"{projection['trustworthiness']:.4f}"
    )
    return spaces.stored(dataset, "drawn", "text")


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


def lasso(page: Any, box: Any, done: str) -> float:
    """Seconds from releasing a lasso of 30 corners until Python's answer is on the page."""
    x, y, r = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 0.3 * min(box["width"], box["height"])
    page.mouse.move(x + r, y)
    page.mouse.down()
    for angle in np.linspace(0, 2 * np.pi, 30):
        page.mouse.move(x + r * np.cos(angle), y + r * np.sin(angle))
    page.evaluate(
        """(done) => { window.answered = null; const began = () => { const t = performance.now();
      const look = () => {
        if (document.body.innerText.match(new RegExp(done))) window.answered = performance.now() - t;
        else requestAnimationFrame(look) }; look() };
      window.addEventListener('pointerup', began, { once: true, capture: true });
      window.addEventListener('mouseup', began, { once: true, capture: true }) }""",
        done,
    )
    page.mouse.up()
    page.wait_for_function("window.answered !== null", timeout=120_000)
    return float(page.evaluate("window.answered")) / 1000


def main() -> None:
    """Measure and print."""
    home = Path(tempfile.mkdtemp(prefix="mmrec-map-"))
    os.environ["MMREC_HOME"], os.environ["MMREC_MLFLOW"] = str(home), "off"
    from mmrec_core.data import preparation
    from mmrec_core.spaces import publish

    found = prepare(home)
    made = publish.publish(preparation.open_dataset("sixty"), found)
    for name, array in (("xy", made.xy), ("items", made.items), ("codes", np.arange(N) % 8)):
        np.save(home / f"{name}.npy", array)
    (home / "plotly_page.py").write_text(PLOTLY)
    ports = free_port(), free_port()
    ours = up([sys.executable, "-m", "mmrec_core", "serve", "--port", str(ports[0]), "--headless"], ports[0])
    theirs = up(
        [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            str(home / "plotly_page.py"),
            "--server.port",
            str(ports[1]),
            "--server.headless",
            "true",
        ],
        ports[1],
        POINTS=str(home),
    )
    from playwright.sync_api import sync_playwright

    program = next(p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n)))
    measured: dict[str, dict[str, float]] = {"ours": {}, "plotly": {}}
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=FLAGS, headless=True)
            for name, url, drawn, box_of, done in (
                (
                    "ours",
                    f"http://localhost:{ports[0]}/space?dataset=sixty",
                    ".map[data-ready]",
                    "canvas.draw",
                    "chosen on the map",
                ),
                (
                    "plotly",
                    f"http://localhost:{ports[1]}",
                    ".js-plotly-plot .gl-canvas",
                    ".js-plotly-plot .nsewdrag",
                    r"chosen [1-9]",
                ),
            ):
                ready: list[float] = []
                for _ in range(3):
                    page = browser.new_page(viewport={"width": 1440, "height": 1000})
                    page.set_default_timeout(120_000)
                    got, out = [0, 0], [0]
                    page.on(
                        "websocket",
                        lambda ws, got=got, out=out: (
                            ws.on("framereceived", lambda f: got.__setitem__(0, got[0] + len(f))),
                            ws.on("framesent", lambda f: out.__setitem__(0, out[0] + len(f))),
                        ),
                    )
                    fetched: list[Any] = []
                    page.on("requestfinished", lambda request, fetched=fetched: fetched.append(request))
                    page.goto(url)
                    page.wait_for_selector("h1")
                    shell = time.perf_counter()
                    page.locator(drawn).first.wait_for(state="attached")
                    page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
                    ready.append(time.perf_counter() - shell)
                    page.wait_for_timeout(2_500)
                    if len(ready) < 3:
                        page.close()
                measured[name]["ready s"] = statistics.median(ready)
                got[1] = sum(r.sizes()["responseBodySize"] for r in fetched if "/maps/" in r.url)
                measured[name]["bytes in a point"] = (got[0] + got[1]) / N
                box = page.locator(box_of).first.bounding_box()
                if name == "plotly":
                    page.locator(".modebar-btn[data-title='Pan']").click()
                frames = drag(page, box)
                measured[name]["pan p95 ms"], measured[name]["pan median ms"] = (
                    float(np.percentile(frames, 95)),
                    statistics.median(frames),
                )
                if name == "plotly":
                    page.locator(".modebar-btn[data-title='Lasso Select']").click()
                else:
                    page.get_by_role("button", name="Lasso", exact=True).click()
                page.wait_for_timeout(1_500)
                got[0] = out[0] = 0
                fetched.clear()
                measured[name]["lasso s"] = lasso(page, box, done)
                page.wait_for_timeout(3_000)
                chosen = (
                    len(
                        np.unique(
                            made.items[
                                publish.inside(
                                    made.xy,
                                    [
                                        [float(v) for v in p.split("%2C" if "%2C" in p else ",")]
                                        for p in page.url.split("sel=")[1].split("&")[0].split("_")
                                    ],
                                )
                            ]
                        )
                    )
                    if name == "ours"
                    else int(page.get_by_text("chosen").inner_text().split()[1])
                )
                measured[name] |= {
                    "chosen": chosen,
                    "bytes out a film": out[0] / max(chosen, 1),
                    "coordinate bytes after it": sum(
                        r.sizes()["responseBodySize"] for r in fetched if "/maps/points" in r.url
                    )
                    if name == "ours"
                    else got[0],
                }
                page.close()
            browser.close()
    finally:
        ours.terminate()
        theirs.terminate()
        ours.wait(30)
        theirs.wait(30)
        shutil.rmtree(home, ignore_errors=True)
    print(f"{'60,000 points':<30}{'ours':>12}{'Plotly':>12}{'ratio':>9}")
    for key in measured["ours"]:
        one, other = measured["ours"][key], measured["plotly"][key]
        print(f"{key:<30}{one:>12,.2f}{other:>12,.2f}{one / other if other else float('nan'):>9.3f}")


if __name__ == "__main__":
    main()
