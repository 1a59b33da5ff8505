"""Every page in a real browser, only looked at: accessible in two lights and at two widths, and a first visit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browsing import drawn, page_at, settled

PATHS = {
    "home": "/",
    "browse": "/browse",
    "film": "/browse?film=1",
    "train": "/train",
    "tune": "/train?part=Tune",
    "cluster": "/train?part=Cluster",
    "space": "/space?q=saturn",
    "space, a selection": "/space?sel=0.2,0.2_0.8,0.2_0.8,0.8_0.2,0.8&film=3",
    "compare": "/compare",
    "compare groups": "/compare?part=Groups",
    "compare cost": "/compare?part=Cost",
    "compare disagreements": "/compare?part=Disagreements",
    "compare paired": "/compare?part=Paired+test",
    "cold start": "/cold_start?ratings=1:5_2:4&why=true",
    "cold start, new film": "/cold_start?new=New+film",
    "cold start, curve": "/cold_start?new=Cold-start+curve",
    "errors": "/errors",
    "errors, a user": "/errors?look=User&who=3&a=ease&b=bpr",
    "errors, a case": "/errors?look=Case&who=3&a=ease&b=bpr",
    "errors, notebook": "/errors?look=Notebook",
    "inside": "/inside",
    "inside, errors": "/inside?tab=RMSE+and+ranking",
    "inside, sampled": "/inside?tab=Sampled+negatives",
    "inside, replay": "/inside?view=Training+replay",
    "inside, overfitting": "/inside?view=Overfitting",
    "inside, step": "/inside?view=Gradient+step",
    "inside, losses": "/inside?view=CLIP+and+SigLIP",
    "inside, no model": "/inside?view=Attention",
    "learn": "/learn",
    "a lesson": "/learn?lesson=1-rmse",
}


@pytest.mark.parametrize("name", list(PATHS))
def test_every_page_is_accessible_and_fits(browser: Any, profile: Any, demo_app: str, name: str) -> None:
    """No serious finding of axe and no sideways scrolling; the dark comes on while one looks, and then the screen gets
    narrow."""
    from axe_playwright_python.sync_playwright import Axe

    page = page_at(browser, demo_app + PATHS[name], context=profile)
    drawn(page)
    # colours know no width, and other rules no colours
    for width, light, rules in ((1440, "light", ALL_RULES), (1440, "dark", COLOUR_RULES), (390, "dark", OTHER_RULES)):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=light)
        page.wait_for_function(PAPER_IS, arg=light)
        settled(page)
        serious = [
            (width, light, v["id"], v["nodes"][0]["html"][:200])
            for v in Axe().run(page, options=rules).response["violations"]
            if v["impact"] in {"serious", "critical"} and not ours_to_mend_not(v)
        ]
        assert serious == []
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"the page is {wider} px wider than the screen of {width} px"
    page.close()


def test_a_difference_is_two_clicks_from_compare_and_the_map_stands_beside_the_lists(
    browser: Any, profile: Any, demo_app: str
) -> None:
    """Disagreements, a poster: the case on Errors with its reason in sight. On Cold start the map stays beside the
    lists while they are scrolled, and follows them on a phone."""
    page = page_at(browser, f"{demo_app}/compare?dataset=demo", context=profile)
    settled(page)
    page.get_by_role("radio", name="Disagreements").click()
    page.locator(".st-key-cases-0 button.poster").first.click()
    page.get_by_role("heading", name="Errors").wait_for()
    settled(page)
    box = page.get_by_text("ranks it").first.bounding_box()
    assert "look=Case" in page.url and box["y"] + box["height"] <= 900
    page.goto(f"{demo_app}/cold_start?dataset=demo&ratings=1:5_2:1")
    page.locator(".st-key-answer-ease .film").first.wait_for()
    settled(page)
    bounds = lambda css: page.locator(css).first.bounding_box()
    before, lists = bounds(".st-key-beside"), bounds(".st-key-answer-ease")
    assert before["x"] >= lists["x"] + lists["width"]
    page.locator(".st-key-answer-popularity .film").last.scroll_into_view_if_needed()
    assert 0 <= bounds(".st-key-beside")["y"] < 900
    page.set_viewport_size({"width": 390, "height": 900})
    settled(page)
    assert bounds(".st-key-beside")["y"] > bounds(".st-key-answer-ease")["y"] + bounds(".st-key-answer-ease")["height"]
    page.close()


@pytest.mark.parametrize("name", ["browse", "space", "train", "cold start", "compare", "inside", "inside, step"])
def test_a_page_opened_on_a_phone_fits(browser: Any, profile: Any, demo_app: str, name: str) -> None:
    """Opened there, not made narrow there."""
    page = page_at(browser, demo_app + PATHS[name], 390, profile)
    settled(page)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"the page is {wider} px wider than the screen"
    page.close()


ALL_RULES = {"resultTypes": ["violations"]}
COLOURS = ("color-contrast", "link-in-text-block")
"""The rules of axe that look at colours."""
COLOUR_RULES = {**ALL_RULES, "runOnly": list(COLOURS)}
OTHER_RULES = {**ALL_RULES, "rules": {name: {"enabled": False} for name in COLOURS}}
PAPER_IS = """light => {
    const paper = getComputedStyle(
        document.querySelector("[data-testid=stApp]")).backgroundColor.match(/\\d+/g).map(Number);
    return (paper[0] + paper[1] + paper[2] > 382) == (light == "light");
}"""


def ours_to_mend_not(violation: dict[str, Any]) -> bool:
    """Findings inside Streamlit's own chrome, which no app can change."""
    return all("stToolbar" in n["html"] or "stHeader" in n["html"] for n in violation["nodes"])


@pytest.mark.parametrize(
    "path", ["/", "/browse", "/space", "/train", "/compare", "/errors", "/inside", "/cold_start", "/learn"]
)
def test_the_first_visit_offers_the_demo(browser: Any, profile: Any, empty_app: str, path: str) -> None:
    page = page_at(browser, empty_app + path, 390, profile)
    button = page.get_by_role("button", name="Prepare the demo")
    button.wait_for()
    assert button.is_enabled()
    page.close()
