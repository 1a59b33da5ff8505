"""The map in a real browser: point, lasso, search, colour, turn into another space, save, reload; and without WebGL."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from PIL import Image

from mmrec_core import spaces
from mmrec_core.data import preparation
from mmrec_core.spaces import publish
from mmrec_core.types import Dataset
from tests.browsing import encode, end, page_at, serve, settled, window


@pytest.fixture(scope="module")
def place(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The app over a demo that two encoders have read."""
    home = tmp_path_factory.mktemp("space") / "home"
    shutil.copytree(demo.folder, home / "datasets" / "demo")
    encode(home, "demo", "mini_clip", "image", "both")
    encode(home, "demo", "classic", "image")
    app, url = serve(home)
    yield url, home
    end(app)


def opened(browser: Any, url: str, width: int = 1440) -> Any:
    """A page whose map glides, which it does not for people who ask for less motion."""
    return page_at(browser, url, width, window(browser, moves=True))


def ready(page: Any) -> Any:
    """Wait for the map; its box."""
    page.locator(".map[data-ready]").first.wait_for()
    settled(page)
    return page.locator("canvas.draw").first.bounding_box()


def asked(page: Any, key: str) -> str:
    return parse_qs(urlparse(page.url).query).get(key, [""])[0]


def circle(page: Any, box: Any, radius: float = 0.25) -> None:
    """Draw a lasso around the middle."""
    x, y, r = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, radius * min(box["width"], box["height"])
    page.mouse.move(x + r, y)
    page.mouse.down()
    for angle in np.linspace(0, 2 * np.pi, 24):
        page.mouse.move(x + r * np.cos(angle), y + r * np.sin(angle))
    page.mouse.up()


def test_choose_save_reload(browser: Any, place: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, home = place
    monkeypatch.setenv("MMREC_HOME", str(home))
    page = opened(browser, f"{url}/space?dataset=demo")
    sent: list[int] = []
    box = ready(page)
    page.get_by_role("button", name="Lasso", exact=True).click()
    circle(page, box)
    page.get_by_text("selected on the map").wait_for()
    settled(page)
    dataset = preparation.open_dataset("demo")
    found = spaces.stored(dataset, "mini_clip", "image")
    assert found is not None
    made = publish.publish(dataset, found)
    shape = [[float(v) for v in point.split(",")] for point in asked(page, "sel").split("_")]
    chosen = np.unique(made.items[publish.inside(made.xy, shape)])
    assert 0 < len(chosen) < 200
    page.get_by_role("heading", name=f"{len(chosen)} films").wait_for()
    assert page.locator(".state").first.inner_text() == f"{len(chosen)} selected", "the browser counts as Python does"
    assert page.locator(".st-key-chosen .film").count() == min(len(chosen), 24)
    page.get_by_role("textbox", name="Save as a slice").fill("around the middle")
    page.get_by_role("textbox", name="Save as a slice").press("Enter")
    settled(page)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved slices").wait_for()
    from pages.parts import slices

    kept = slices.load(dataset, "around the middle")
    assert kept is not None and kept.tolist() == chosen.tolist()
    page.locator("canvas.draw").first.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # the wheel goes on scrolling a page that was just scrolled
    box = page.locator("canvas.draw").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -600)
    page.wait_for_timeout(700)
    seen = asked(page, "cam")
    assert float(seen.split("_")[2]) > 1.5
    page.reload()
    ready(page)
    page.get_by_role("heading", name=f"{len(chosen)} films").wait_for()
    assert asked(page, "cam") == seen and page.locator(".state").first.inner_text() == f"{len(chosen)} selected"
    page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: sent.append(len(frame))))
    page.get_by_role("button", name="Clear", exact=True).click()
    page.get_by_text("selected on the map").wait_for(state="detached")
    assert asked(page, "sel") == ""
    page.context.close()


def test_point_search_colour_and_turn(browser: Any, place: tuple[str, Path]) -> None:
    url, _ = place
    page = opened(browser, f"{url}/space?dataset=demo")
    fetched: list[str] = []
    box = ready(page)
    for step in np.linspace(0.2, 0.8, 60):
        page.mouse.move(box["x"] + box["width"] * step, box["y"] + box["height"] * (0.35 + 0.3 * step))
        page.wait_for_timeout(20)
        if page.locator(".card.shown").count():
            break
    page.locator(".card.shown").wait_for()
    page.get_by_text("Nearest neighbours (original space)").wait_for()
    page.on("request", lambda request: fetched.append(request.url))
    page.get_by_role("textbox", name="Search").fill("saturn and the cosmos")
    page.get_by_role("textbox", name="Search").press("Enter")
    page.get_by_role("heading", name="Found among posters").wait_for()
    settled(page)
    page.wait_for_timeout(1_200)
    assert page.locator(".st-key-hits .film").count() == 12 and float(asked(page, "cam").split("_")[2]) > 1
    assert not [name for name in fetched if "/maps/points-" in name], "coordinates are not sent again"
    page.locator(".st-key-hits .poster").first.click()
    page.get_by_text("nearest films in the full space").wait_for()
    page.wait_for_timeout(1_500)
    assert asked(page, "film") and asked(page, "cam"), "what Python writes into the address leaves the view there"
    page.get_by_role("combobox", name="Colour").click()
    page.get_by_role("option", name="Decade").click()
    page.locator(".legend", has_text="from 19").first.wait_for()
    page.context.close()


def test_two_spaces_side_by_side_and_as_one_map(browser: Any, place: tuple[str, Path]) -> None:
    """A film pointed at and films selected are marked on both maps; the films that differ most are listed; one of them
    shows both lists of neighbours. The other form is one map whose points move."""
    url, _ = place
    page = opened(browser, f"{url}/space?dataset=demo")
    ready(page)
    page.get_by_role("combobox", name="Compare with space").click()
    page.get_by_role("option", name="classic: posters").click()
    page.locator(".map[data-ready]").nth(1).wait_for()
    settled(page)
    first, second = (page.locator("canvas.draw").nth(at) for at in (0, 1))
    first.scroll_into_view_if_needed()
    box = first.bounding_box()
    for step in np.linspace(0.2, 0.8, 60):
        page.mouse.move(box["x"] + box["width"] * step, box["y"] + box["height"] * (0.35 + 0.3 * step))
        page.wait_for_timeout(20)
        if page.locator(".card.shown").count() == 2:
            break
    page.wait_for_timeout(500)
    cards = page.locator(".card.shown b").all_inner_texts()
    assert len(cards) == 2 and cards[0] == cards[1], "the film under the pointer is marked on both maps"
    selected = page.locator(".map .state")
    page.get_by_role("button", name="Lasso", exact=True).nth(0).click()
    circle(page, box)
    page.get_by_text("selected on the map").wait_for()
    settled(page)
    counts = selected.all_inner_texts()
    assert re.fullmatch(r"[\d,]+ selected", counts[0]) and counts[0] == counts[1], "both maps mark the same films"
    page.reload()
    page.locator(".map[data-ready]").nth(1).wait_for()
    page.get_by_text("selected on the map").wait_for()
    settled(page)
    assert selected.all_inner_texts() == counts, "also after a reload"
    page.get_by_role("button", name="Lasso", exact=True).nth(1).click()
    second.scroll_into_view_if_needed()
    circle(page, second.bounding_box())
    page.get_by_text("slice “last selection”").wait_for()
    settled(page)
    after = selected.all_inner_texts()
    assert after[0] == after[1] != counts[0], "the later selection, drawn on the second map, replaces the first"
    page.get_by_role("button", name="Clear", exact=True).nth(1).click()
    page.get_by_text("slice “last selection”").wait_for(state="detached")
    assert selected.all_inner_texts() == ["", ""]
    page.get_by_role("heading", name="Films whose neighbours differ most").wait_for()
    assert page.locator(".st-key-different .film").count() == 12
    page.locator(".st-key-different .poster").first.click()
    page.get_by_text(re.compile(r"^\d+ of 15 nearest neighbours")).wait_for()
    for at in (0, 1):
        page.locator(f".st-key-near-{at} .film").first.wait_for()
    assert asked(page, "film")
    page.get_by_role("button", name="Select the 60 that differ most").click()
    page.get_by_role("heading", name="60 films").wait_for()
    page.get_by_text("One map that moves").click()
    page.locator(".map[data-ready]").nth(1).wait_for(state="detached")
    settled(page)
    before = page.locator(".map").first.screenshot()
    page.locator(".st-key-turned label").click()
    settled(page)
    page.wait_for_timeout(1_800)
    assert page.locator(".map").first.screenshot() != before
    assert asked(page, "turned") == "true"
    page.context.close()


def coloured(page: Any, top: int = 70) -> int:
    """Coloured pixels of the first map in the window, without its legend."""
    box = page.locator("canvas.draw").first.bounding_box()
    image = np.array(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    bottom = min(len(image), int(box["y"] + box["height"]))
    part = image[max(top, int(box["y"])) : bottom, int(box["x"]) : int(box["x"] + box["width"]) - 140]
    return int((part.max(2) - part.min(2) > 90).sum())


def test_points_stay_where_the_map_is_scrolled_half_out_of_sight(browser: Any, place: tuple[str, Path]) -> None:
    """The lower half of the map shows the same points wherever it stands in the window."""
    url, _ = place
    page = opened(browser, f"{url}/space?dataset=demo&into=classic%3A+posters")
    box = ready(page)
    page.locator(".posters").evaluate_all("all => all.forEach((e) => { e.style.display = 'none' })")
    page.mouse.move(20, 450)
    page.mouse.wheel(0, box["y"] - 100)  # the whole map is in the window, or its head is at the top
    page.wait_for_timeout(700)
    box = page.locator("canvas.draw").first.bounding_box()
    half = int(box["height"] / 2)
    whole = coloured(page, top=int(box["y"]) + half)
    page.mouse.wheel(0, half)
    page.wait_for_timeout(700)
    now = page.locator("canvas.draw").first.bounding_box()
    assert now["y"] < 0 < whole
    assert coloured(page, top=int(now["y"]) + half) == pytest.approx(whole, rel=0.1)
    page.context.close()


def test_the_poster_of_the_film_beside_the_map_covers_no_words(browser: Any, place: tuple[str, Path]) -> None:
    url, home = place
    for width in (1440, 1024, 390):
        page = opened(browser, f"{url}/space?dataset=demo&film=4", width)
        ready(page)
        poster = page.locator(".st-key-the_film").bounding_box()
        title = page.locator(".st-key-the_film").locator("xpath=following::strong[1]").bounding_box()
        apart = title["x"] >= poster["x"] + poster["width"] - 1 or title["y"] >= poster["y"] + poster["height"] - 1
        assert apart, f"at {width} px the poster ends at {poster}, the title begins at {title}"
        page.context.close()


def test_by_keyboard_and_by_filter(browser: Any, place: tuple[str, Path]) -> None:
    url, _ = place
    page = opened(browser, f"{url}/space?dataset=demo&view=Both")
    ready(page)
    page.locator("canvas.draw").first.focus()
    for key in ("+", "+", "ArrowLeft", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
        page.wait_for_timeout(150)
    page.wait_for_timeout(600)
    assert float(asked(page, "cam").split("_")[2]) == pytest.approx(1.96, abs=0.01)
    page.get_by_text("Select by filter").click()
    page.get_by_role("textbox", name="Title contains").fill("the")
    page.get_by_role("textbox", name="Title contains").press("Enter")
    settled(page)
    page.get_by_role("button", name="Select these films").click()
    page.get_by_text("slice “last filter”").wait_for()
    assert asked(page, "slice") == "last filter"
    page.context.close()


def test_a_browser_without_webgl_gets_a_plainer_map(browser: Any, place: tuple[str, Path]) -> None:
    url, _ = place
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;HTMLCanvasElement.prototype.getContext = function (kind,"
        " ...more) { return kind === 'webgl2' ? null : real.call(this, kind, ...more) }"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}/space?dataset=demo")
    page.get_by_text("This browser has no WebGL2").wait_for()
    page.locator(".js-plotly-plot").wait_for()
    assert page.locator("canvas.draw").count() == 0
    context.close()
