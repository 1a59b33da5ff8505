"""Inside in a real browser: drag, step and play by mouse and keyboard; links bring states back, also on a phone."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest

from tests.browsing import page_at, settled, window


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
    assert metric(page, "MRR") == 0.5  # the second film is liked
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
        settled(page)
        assert re.search(r"at=\d+~0", unquote(page.url)) and "at=0~" not in unquote(page.url)
        page.close()


def test_the_playground_overfits_on_the_screen(browser: Any, demo_app: str) -> None:
    page = page_at(browser, f"{demo_app}/inside?dataset=demo&view=Overfitting&world=mf~3~1.5~0.2~0.05~0~8~4")
    page.get_by_role("button", name="Play").click()
    page.get_by_text("Overfitting: since epoch").wait_for()
    page.get_by_role("button", name="ease", exact=True).click()
    page.get_by_text("The penalty that is best on held-out ratings").wait_for()
    settled(page)
    assert "world=ease~3~1.5" in unquote(page.url)
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
