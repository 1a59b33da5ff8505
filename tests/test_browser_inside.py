"""Inside in a real browser: drag, step and play by mouse and keyboard; links bring states back, also on a phone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from mmrec_core.types import Dataset
from tests import browsing
from tests.browsing import end, serve, settled, train, window

BRIEF = {"max_epochs": "1", "patience": "0"}
OPENED = {
    "Message+passing": ".contributions",
    "Attention": "table.attention",
    "Memory": ".event",
    "Interactions": "[data-testid=stVegaLiteChart]",
}
"""Views that need a model of their own, and what they show."""


def page_at(*given: Any, **options: Any) -> Any:
    """The app in a new page that has come to rest: nothing moves under the first click."""
    page = browsing.page_at(*given, **options)
    settled(page)
    return page


@pytest.fixture(scope="module")
def opened(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with a model for each view, trained for an epoch."""
    home = tmp_path_factory.mktemp("opened") / "home"
    shutil.copytree(demo.folder, home / "datasets" / "demo", ignore=shutil.ignore_patterns("features", "maps"))
    shutil.copytree(demo.folder.parents[1] / "static", home / "static")
    train(home, "demo", lightgcn=BRIEF, sasrec=BRIEF, tgn=BRIEF, dlrm=BRIEF)
    app, url = serve(home)
    yield url
    end(app)


@pytest.mark.parametrize("view", list(OPENED))
def test_views_of_models_are_accessible_and_fit(browser: Any, opened: str, view: str) -> None:
    """No serious finding of axe in two lights, and no sideways scrolling on a phone."""
    from axe_playwright_python.sync_playwright import Axe

    page = page_at(browser, f"{opened}/inside?dataset=demo&view={view}")
    page.locator(OPENED[view]).first.wait_for()
    for width, light in ((1440, "light"), (1440, "dark"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=light)
        settled(page)
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        serious = [
            (v["id"], v["nodes"][0]["html"][:200])
            for v in found
            if v["impact"] in {"serious", "critical"}
            and not all("stToolbar" in n["html"] or "stHeader" in n["html"] for n in v["nodes"])
        ]
        assert serious == []
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_messages_flow_and_the_shares_are_of_the_chosen_film(browser: Any, opened: str, width: int) -> None:
    """The picture stays where it is; the link brings film and depth back."""
    page = page_at(browser, f"{opened}/inside?dataset=demo&view=Message+passing", width)
    page.locator(".contributions").first.wait_for()
    settled(page)
    picture = page.locator("svg.picture").first
    before = picture.bounding_box()
    page.get_by_role("button", name="Next layer").click()
    page.get_by_text("Layer 1: each liked film").wait_for()
    page.get_by_text("the layers 0 to 1 sum to").wait_for()
    after = picture.bounding_box()
    assert (after["x"], after["width"], after["height"]) == (before["x"], before["width"], before["height"])
    page.locator(".choice.film").nth(1).click()
    chosen = page.locator(".choice.film[aria-pressed=true]").inner_text()
    depth = page.get_by_role("slider", name="Layers:")
    depth.focus()
    page.keyboard.press("End")
    page.get_by_text("With 8 layers").wait_for()
    settled(page)
    link = page.url
    assert chosen.startswith("2. ") and link.endswith("~8")
    page.close()
    again = page_at(browser, link, width)
    again.get_by_text("With 8 layers").wait_for()
    assert again.locator(".choice.film[aria-pressed=true]").inner_text() == chosen
    again.context.close()


def test_an_event_is_taken_out_of_a_memory(browser: Any, opened: str) -> None:
    page = page_at(browser, f"{opened}/inside?dataset=demo&view=Memory")
    page.locator(".event").nth(1).click()
    page.get_by_text("right after it and by").wait_for()
    settled(page)
    link, said = page.url, page.locator(".verdict").inner_text()
    assert link.endswith("out=1")
    page.close()
    again = page_at(browser, link)
    again.get_by_text("right after it and by").wait_for()
    assert again.locator(".verdict").inner_text() == said
    again.locator(".event").nth(1).click()
    again.get_by_text("Press a film to take it out").wait_for()
    again.context.close()


def test_a_run_card_opens_its_model(browser: Any, opened: str) -> None:
    page = page_at(browser, f"{opened}/train?dataset=demo")
    page.get_by_role("button", name="Inside").first.click()
    page.get_by_role("heading", name="Inside").wait_for()
    settled(page)
    assert "run=" in page.url and page.locator("[data-testid=stException]").count() == 0
    page.context.close()


def metric(page: Any, name: str) -> float:
    """A number of the ranked list's metrics."""
    card = page.locator(".metric", has=page.get_by_role("heading", name=re.compile(f"^{name}"))).first
    return float(card.locator("b").inner_text())


def titles(page: Any) -> list[str]:
    return page.locator(".ranked .title").all_inner_texts()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_film_is_dragged_and_the_metrics_follow(browser: Any, demo_app: str, width: int) -> None:
    page = page_at(browser, f"{demo_app}/inside?dataset=demo", width)
    page.locator(".ranked li").nth(9).wait_for()
    settled(page)
    before, first = titles(page), metric(page, "NDCG")
    assert metric(page, "MRR") == 0.5  # the second film is liked, and the tenth
    grip = page.locator(".ranked li.liked .grip").first
    grip.scroll_into_view_if_needed()
    start, goal = grip.bounding_box(), page.locator(".ranked li").first.bounding_box()
    page.mouse.move(start["x"] + 20, start["y"] + 20)
    page.mouse.down()
    page.mouse.move(start["x"] + 20, goal["y"] + 10, steps=5)
    page.mouse.up()
    settled(page)
    assert titles(page)[:2] == [before[1], before[0]]
    assert metric(page, "MRR") == 1.0 and metric(page, "NDCG") > first
    assert "list=1-0-2" in unquote(page.url)
    page.locator(".ranked .grip").first.focus()
    page.keyboard.press("ArrowDown")
    settled(page)
    assert titles(page) == before and metric(page, "NDCG") == first
    page.keyboard.press("End")
    page.locator(".ranked .heart").first.click()
    settled(page)
    moved, value, link = titles(page), metric(page, "NDCG"), page.url
    page.close()
    again = page_at(browser, link, width)
    again.locator(".ranked li").nth(9).wait_for()
    assert titles(again) == moved and metric(again, "NDCG") == value
    again.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_steps_lower_the_loss_and_stay_in_the_link(browser: Any, demo_app: str, width: int) -> None:
    page = page_at(browser, f"{demo_app}/inside?dataset=demo&view=Gradient+step", width)
    step = page.get_by_role("button", name="Step", exact=True)
    step.wait_for()
    settled(page)
    loss = lambda on: float(on.locator(".metric b").first.inner_text())
    first = loss(page)
    step.click()
    page.get_by_text("1 of 120 steps").wait_for()
    page.get_by_role("button", name="10 steps").click()
    page.get_by_text("11 of 120 steps").wait_for()
    settled(page)
    after, link = loss(page), page.url
    assert after < first and link.endswith("-11")
    page.close()
    again = page_at(browser, link, width)
    again.get_by_text("11 of 120 steps").wait_for()
    assert loss(again) == after
    rate = again.get_by_role("slider", name="Learning rate:")
    rate.focus()
    again.keyboard.press("ArrowRight")
    again.get_by_text("0 of 120 steps").wait_for()
    settled(again)
    again.get_by_role("button", name="10 steps").click()
    again.get_by_text("10 of 120 steps").wait_for()
    assert loss(again) != after
    again.close()


def test_a_training_is_played(browser: Any, demo_app: str) -> None:
    """The moment moves from the random weights to the kept ones; without motion, too."""
    for moves in (False, True):
        page = page_at(
            browser, f"{demo_app}/inside?dataset=demo&view=Training+replay&at=0~0", context=window(browser, moves=moves)
        )
        page.get_by_text("before training: random weights").wait_for()
        lists = page.locator(".replayed li")
        lists.nth(9).wait_for()
        before = lists.all_inner_texts()
        page.get_by_role("button", name="Play").click()
        page.get_by_text(re.compile(r"epoch \d+, kept: loss")).wait_for()
        assert lists.all_inner_texts() != before and lists.count() == 10
        page.wait_for_url(lambda url: re.search(r"at=[1-9]\d*~0", unquote(url)) is not None)
        page.close()


def test_the_playground_overfits_on_the_screen(browser: Any, demo_app: str) -> None:
    page = page_at(browser, f"{demo_app}/inside?dataset=demo&view=Overfitting&world=mf~3~0.8~0.4~0.02~0~8~1")
    page.get_by_role("button", name="Play").click()
    page.get_by_text("Overfitting: since epoch").wait_for()
    page.get_by_role("button", name="ease", exact=True).click()
    page.get_by_text("The penalty that is best on held-out ratings").wait_for()
    settled(page)
    assert "world=ease~3~0.8" in unquote(page.url)
    page.close()


def test_losses_change_with_the_temperature_and_after_a_step(browser: Any, demo_app: str) -> None:
    page = page_at(browser, f"{demo_app}/inside?dataset=demo&view=CLIP+and+SigLIP")
    loss = lambda: float(page.locator(".metric b").first.inner_text())
    page.locator(".matrix td.pair-cell").nth(7).wait_for()
    first = loss()
    slider = page.get_by_role("slider", name="Temperature:")
    slider.focus()
    page.keyboard.press("End")
    settled(page)
    flat = loss()
    assert flat > first
    page.get_by_role("button", name="Reset").click()
    assert loss() == first
    page.get_by_role("button", name="Step", exact=True).click()
    assert loss() < first
    page.get_by_role("button", name="SigLIP").click()
    page.get_by_role("slider", name="Bias:").wait_for()
    settled(page)
    assert "mini_siglip" in unquote(page.url)
    page.close()
