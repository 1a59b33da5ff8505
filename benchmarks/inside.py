"""The page Inside: frames of a replayed training beside a Plotly animation, first paint and bytes of each view, and
what snapshots cost.

    python -m benchmarks.inside frames [--films 1200,10000]     frames a second while a training run is replayed
    python -m benchmarks.inside views --url http://localhost:8501   each view of a running app, warm
    python -m benchmarks.inside snapshots                        seconds and bytes that snapshots add to a training run

``frames`` generates ratings (no posters), trains ``bpr`` with 16 factors for 8 epochs, serves the app and a Plotly page
that animates the same points (one frame per snapshot), and prints the milliseconds between animation frames of both in
one headless browser. ``views`` opens each view three times by its address, after one visit to warm it, and prints the
median seconds from the page's title to the view, the KiB that the visit received, and the KiB of one step.
``snapshots`` trains ``bpr`` and ``mf`` on the demo in this process and prints the share of the time that was spent on
snapshots, and their bytes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import numpy as np

from benchmarks.map import FLAGS, FRAMES, free_port, up
from tests.browsing import program

PLOTLY = """
import os
import numpy as np, plotly.graph_objects as go, streamlit as st
st.set_page_config(layout="wide")
st.title("Plotly")
places = np.load(os.environ["PLACES"])
points = lambda at: go.Scattergl(x=places[at, :, 0], y=places[at, :, 1], mode="markers", marker={"size": 4})
figure = go.Figure(points(0), frames=[go.Frame(data=[points(at)], name=str(at)) for at in range(len(places))])
how = {"frame": {"duration": 1100}, "transition": {"duration": 1100}}
play = {"label": "Play", "method": "animate", "args": [None, how]}
unit = {"range": [0, 1]}
figure.update_layout(height=500, updatemenus=[{"type": "buttons", "buttons": [play]}], xaxis=unit, yaxis=unit)
st.plotly_chart(figure)
"""
VIEWS = {
    "Metrics": ".ranked li", "Training replay": ".replayed li", "Overfitting": "svg.picture circle",
    "Gradient step": ".pair", "Message passing": ".contributions", "Attention": "table.attention", "Memory": ".event",
    "Interactions": ".stVegaLiteChart, [data-testid=stVegaLiteChart]", "CLIP and SigLIP": ".matrix .pair-cell",
}  # fmt: skip
STEPS = {
    "Metrics": "Best order", "Training replay": "", "Overfitting": "One epoch", "Gradient step": "10 steps",
    "Message passing": "Next layer", "CLIP and SigLIP": "Step",
}  # fmt: skip
"""A button of the view, as a step."""


def ratings(folder: Path, films: int) -> None:
    """Random likes of 1,500 users."""
    import pandas as pd

    from mmrec_core.data import preparation

    rng = np.random.default_rng(0)
    n = 60_000
    items = pd.DataFrame(
        {"movieId": np.arange(1, films + 1), "title": [f"Film {i}" for i in range(films)], "genres": "Drama"}
    )
    items.to_csv(folder / "items.csv", index=False)
    events = pd.DataFrame(
        {
            "userId": rng.integers(1, 1500, n),
            "movieId": np.minimum((films * rng.random(n) ** 2).astype(int) + 1, films),
            "rating": 5.0,
            "timestamp": np.arange(n),
        }
    )
    # every film is in training, so that every point is drawn
    first = pd.DataFrame({"userId": 1500, "movieId": np.arange(1, films + 1), "rating": 5.0, "timestamp": -1})
    first["userId"] = 1500 + np.arange(films) % 50
    first["timestamp"] = np.arange(films)
    table = pd.concat([first, events]).drop_duplicates(["userId", "movieId"])
    table.to_csv(folder / "ratings.csv", index=False)
    options = {"scale": "0.5:5", "items": str(folder / "items.csv")}
    preparation.prepare("csv", source=folder / "ratings.csv", name="drawn", options=options)


def replayed(home: Path, films: int) -> tuple[Any, Any]:
    """A trained run with snapshots, and its replay."""
    from mmrec_core import runs
    from mmrec_core.data import preparation
    from mmrec_core.inside import training_replay, training_rows
    from mmrec_core.jobs import worker

    folder = home.parent / f"source-{films}"
    folder.mkdir()
    ratings(folder, films)
    options = {"dim": 16, "max_epochs": 8, "patience": 0}
    run = worker.work(runs.create("train", runs.training_params("drawn", "bpr", options=options)).id, foreground=True)
    dataset = preparation.open_dataset("drawn")
    rows = training_rows.training_rows(run, dataset)
    return run, training_replay.replay(run, dataset, {"one": 3}, rows)


def play(browser: Any, url: str, button: str, drawn: str, seconds: float) -> list[float]:
    """Milliseconds between animation frames while the button's animation runs."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(url)
    page.wait_for_selector(drawn, state="attached")
    page.wait_for_timeout(3000)
    target = page.locator(button).first
    page.evaluate(FRAMES)
    target.click(force=True)
    page.wait_for_timeout(int(1000 * seconds))
    frames = page.evaluate("() => { window.going = false; return window.frames }")
    page.close()
    return [float(f) for f in frames[3:]]


def frames(films: list[int]) -> None:
    """Print the frame times of both pages."""
    from playwright.sync_api import sync_playwright

    print("| films | page | median ms a frame | 95th percentile | frames a second |\n|---|---|---|---|---|")
    for n in films:
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch) / "home"
            os.environ["MMREC_HOME"] = str(home)
            run, found = replayed(home, n)
            places = np.stack([f.places for f in found.frames])
            np.save(home / "places.npy", places[:, np.isfinite(places[0, :, 0])])
            (home / "plotly_page.py").write_text(PLOTLY, encoding="utf-8")
            ports = free_port(), free_port()
            ours = [sys.executable, "-m", "mmrec_core", "serve", "--port", str(ports[0]), "--headless"]
            theirs = [sys.executable, "-m", "streamlit", "run", str(home / "plotly_page.py"), "--server.headless"]
            theirs += ["true", "--server.port", str(ports[1])]
            apps = [
                up(ours, ports[0], MMREC_HOME=str(home)),
                up(theirs, ports[1], PLACES=str(home / "places.npy")),
            ]
            seconds = 1.1 * len(found.frames)
            link = f"http://localhost:{ports[0]}/inside?dataset=drawn&view=Training+replay&run={run.id}&at=0~0"
            try:
                with sync_playwright() as play_wright:
                    browser = play_wright.chromium.launch(executable_path=program(), args=FLAGS, headless=True)
                    own = play(browser, link, ".bar button.main", "canvas.plane", seconds)
                    other = play(
                        browser, f"http://localhost:{ports[1]}", ".updatemenu-button", ".updatemenu-button", seconds
                    )
                    browser.close()
            finally:
                for app in apps:
                    app.terminate()
            for name, values in (("replay", own), ("Plotly", other)):
                print(
                    f"| {n:,} | {name} | {statistics.median(values):.1f} | {np.percentile(values, 95):.1f} |"
                    f" {1000 * len(values) / sum(values):.0f} |",
                    flush=True,
                )


def views(url: str) -> None:
    """Print the first paint and the bytes of each view."""
    from playwright.sync_api import sync_playwright

    print("| view | first paint s | KiB of a visit | KiB of a step |\n|---|---|---|---|")
    with sync_playwright() as play_wright:
        browser = play_wright.chromium.launch(executable_path=program(), args=FLAGS, headless=True)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        for name, drawn in VIEWS.items():
            paint, received, step = [], [0.0], 0.0
            for attempt in range(4):
                page = context.new_page()
                page.set_default_timeout(120_000)
                received[0] = 0.0
                page.on(
                    "websocket",
                    lambda ws: ws.on("framereceived", lambda f: received.__setitem__(0, received[0] + len(f))),
                )
                page.goto(f"{url}/inside?dataset=demo&view={quote_plus(name)}")
                page.wait_for_selector("h1")
                started = time.perf_counter()
                page.wait_for_selector(drawn, state="attached")
                if attempt:
                    paint.append(time.perf_counter() - started)
                page.wait_for_timeout(1500)
                visit = received[0]
                if STEPS.get(name):
                    received[0] = 0.0
                    page.get_by_role("button", name=STEPS[name], exact=True).click()
                    page.wait_for_timeout(1500)
                    step = received[0]
                page.close()
            print(
                f"| {name} | {statistics.median(paint):.2f} | {visit / 1024:.0f} | {step / 1024:.1f} |",
                flush=True,
            )
        browser.close()


def snapshot_costs() -> None:
    """Print what snapshots add to training runs on the demo."""
    from mmrec_core.callbacks import TrainingCallbacks
    from mmrec_core.data import preparation
    from mmrec_core.data.splits import default_split, make_split
    from mmrec_core.training.fit import fit
    from mmrec_core.training.snapshots import Snapshots

    dataset = preparation.open_dataset("demo")
    split = make_split(dataset, default_split(dataset))
    print("| model | training s | snapshots s | share | snapshots | MB |\n|---|---|---|---|---|---|")
    for model in ("bpr", "mf"):
        with tempfile.TemporaryDirectory() as scratch:
            kept, spent = Snapshots(Path(scratch) / "snapshots"), [0.0]

            def timed(model_: Any, epochs: int, phase: str, kept: Snapshots = kept, spent: list[float] = spent) -> None:
                started = time.perf_counter()
                kept.record(model_, epochs, phase)
                spent[0] += time.perf_counter() - started

            started = time.perf_counter()
            fit(model, dataset, split, callbacks=TrainingCallbacks(snapshot=timed))
            whole = time.perf_counter() - started
            sizes = [file.stat().st_size for file in kept.folder.iterdir()]
        print(
            f"| {model} | {whole:.1f} | {spent[0]:.3f} | {100 * spent[0] / whole:.2f} % | {len(sizes)} |"
            f" {sum(sizes) / 1e6:.2f} |",
            flush=True,
        )


def main() -> None:
    """Run one of the three."""
    asks = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks.add_argument("what", choices=["frames", "views", "snapshots"])
    asks.add_argument("--films", default="1200,10000")
    asks.add_argument("--url", default="http://localhost:8501")
    given = asks.parse_args()
    if given.what == "frames":
        frames([int(n) for n in given.films.split(",")])
    elif given.what == "views":
        views(given.url)
    else:
        snapshot_costs()


if __name__ == "__main__":
    main()
