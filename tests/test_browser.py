"""The app in a real browser: the main path on real films, hosts, keyboard, ratings, moving between pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from mmrec_core.types import Dataset
from tests.browsing import QUICK, drawn, page_at, settled, train


def recommended(page: Any, model: str) -> list[str]:
    return page.locator(f".st-key-answer-{model} .film .title").all_inner_texts()


def rate(page: Any, place: int, stars: float) -> None:
    """Click the star of the n-th suggested film; halves are left halves."""
    box = page.locator(".st-key-suggested .film .stars, [class*=st-key-suggested] .film .stars").nth(place)
    from playwright.sync_api import Error

    for last in (False, False, True):  # answers that come in late draw the films anew, and the one in hand is gone
        try:
            box.scroll_into_view_if_needed()
            break
        except Error:
            if last:
                raise
            settled(page)
    edge = box.bounding_box()
    box.click(position={"x": edge["width"] * (stars / 5) - 3, "y": edge["height"] / 2})
    settled(page)


@pytest.mark.slow
def test_the_main_path_on_real_films(browser: Any, demo_app: str, shared_home: Path, ml_small: Dataset) -> None:
    """Browse, open a film, rate five films; EASE and BPR change with it and differ from each other."""
    train(shared_home, "ml-latest-small", **QUICK)
    page = page_at(browser, f"{demo_app}/browse?dataset=ml-latest-small")
    page.locator(".film .title", has_text="Forrest Gump").first.wait_for()
    page.get_by_label("Search").fill("matrix")
    page.locator(".film .title", has_text="The Matrix Reloaded").wait_for()
    page.get_by_role("button", name="Open The Matrix (1999)", exact=True).click()
    page.get_by_role("heading", name="The Matrix (1999)").wait_for()
    assert "film=2571" in page.url and page.get_by_text("Keanu Reeves").count() >= 1
    page.get_by_text("Similar films").wait_for()
    page.get_by_role("link", name="Cold start").first.click()
    page.get_by_role("heading", name="Cold start").wait_for()
    page.locator(".st-key-answer-ease .film").first.wait_for()
    settled(page)
    before = {m: recommended(page, m) for m in ("ease", "bpr", "popularity")}
    for place, stars in enumerate((5, 4.5, 1, 4, 5)):
        rate(page, place, stars)
    page.get_by_text("You rated 5 films").wait_for()
    settled(page)
    after = {m: recommended(page, m) for m in ("ease", "bpr", "popularity")}
    assert len(after["ease"]) == len(after["bpr"]) == 8
    assert after["ease"] != before["ease"] and after["bpr"] != before["bpr"]
    assert after["ease"] != after["bpr"]
    assert "4.5" in page.url, "the left half of a star is half a star, and the link keeps it"
    page.reload()
    page.get_by_text("You rated 5 films").wait_for()
    settled(page)
    page.context.close()


def test_no_host_but_our_own_and_no_picture_in_the_socket(browser: Any, demo_app: str) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    received = [0]
    page.on("request", lambda r: asked.append(r.url))
    page.on(
        "websocket", lambda ws: ws.on("framereceived", lambda frame: received.__setitem__(0, received[0] + len(frame)))
    )
    page.goto(demo_app + "/browse")
    page.locator(".film img").first.wait_for()
    settled(page)
    others = {u for u in asked if not u.startswith((demo_app, "data:", "blob:"))}
    assert others == set()
    posters = page.locator(".film").count()
    assert posters == 48 and received[0] < 150_000, f"{received[0]:,} bytes over the socket for {posters} posters"
    assert page.locator(".film img").first.get_attribute("src").endswith(".jpg")
    context.close()


def test_rating_by_keyboard(browser: Any, demo_app: str) -> None:
    page = page_at(browser, demo_app + "/cold_start")
    stars = page.get_by_role("slider").first
    stars.focus()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    settled(page)
    page.get_by_text("You rated 1 film").wait_for()
    assert ":3.5" in unquote(page.url)
    page.keyboard.press("0")
    page.get_by_text("The models answer after every rating").wait_for()
    page.context.close()


def other_films(page: Any) -> None:
    """Ask for other films, and look until they are there, as a person does: a star on the old ones would rate a film
    again."""
    first = page.locator("[class*=st-key-suggested] .film .title").first
    before = first.inner_text()
    page.get_by_role("button", name="Other films").click()
    for _ in range(300):
        settled(page)
        if first.inner_text() != before:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the films suggested still begin with {before}")


@pytest.mark.slow
def test_twenty_ratings_end_in_a_link_that_restores_everything(browser: Any, demo_app: str) -> None:
    """Stars, a film not seen, an undo; then the link alone brings all of it back in another browser."""
    page = page_at(browser, demo_app + "/cold_start?dataset=demo")
    page.locator(".st-key-answer-ease .film").first.wait_for()
    n = 0
    while n < 20:
        for place in range(page.locator("[class*=st-key-suggested] .film").count()):
            if n == 20:
                break
            page.locator("[class*=st-key-suggested] .film .stars").nth(place).scroll_into_view_if_needed()
            rate(page, place, 1 + 0.5 * (n % 9))
            n += 1
            page.get_by_text(f"You rated {n} film{'s' if n > 1 else ''}").wait_for()
        other_films(page)
    skipped = page.locator("[class*=st-key-suggested] .film:has(.skip) .title").first.inner_text()
    page.locator("[class*=st-key-suggested] .skip").first.click()
    settled(page)
    assert skipped not in page.locator("[class*=st-key-suggested] .film .title").all_inner_texts()
    rate(page, 0, 5)
    page.get_by_text("You rated 21 films").or_(page.get_by_text("You rated 20 films")).first.wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("You rated 20 films").wait_for()
    settled(page)
    wanted = {m: recommended(page, m) for m in ("ease", "bpr")}
    link = page.url
    page.context.close()
    other = page_at(browser, link)
    other.get_by_text("You rated 20 films").wait_for()
    for model in wanted:
        other.locator(f".st-key-answer-{model} .film").first.wait_for()
    settled(other)
    assert {m: recommended(other, m) for m in ("ease", "bpr")} == wanted
    assert skipped not in other.locator("[class*=st-key-suggested] .film .title").all_inner_texts()
    other.context.close()


def test_a_poster_opens_its_case_and_the_link_holds_it(browser: Any, demo_app: str) -> None:
    """From a person's list to the case: person and film are in the address, nothing fails in the browser, and the link
    alone shows the same."""
    page = page_at(browser, demo_app + "/errors?dataset=demo&look=User&who=3&a=ease&b=bpr")
    page.locator(".film button.poster").last.wait_for()
    settled(page)
    page.locator(".film button.poster").last.click()
    page.get_by_text("What if …").wait_for()
    settled(page)
    assert "who=3" in page.url and "what=" in page.url and "b=bpr" in page.url
    assert "is not a function" not in page.content() and page.locator("[data-testid=stException]").count() == 0
    title = page.locator("[class*=st-key-case-film] .title").inner_text()
    other = page_at(browser, page.url)
    other.get_by_text("What if …").wait_for()
    assert other.locator("[class*=st-key-case-film] .title").inner_text() == title
    page.context.close(), other.context.close()


# Moving between pages


def scrolled(page: Any) -> float:
    return float(page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop"))


def go_to(page: Any, name: str) -> None:
    """A click in the navigation."""
    page.get_by_role("link", name=name, exact=True).first.click()
    page.get_by_role("heading", name=name, exact=True).first.wait_for()
    settled(page)


def test_every_click_on_a_section_of_train_counts(browser: Any, demo_app: str) -> None:
    page = page_at(browser, f"{demo_app}/train?dataset=demo")
    settled(page)
    for name in ("Tune", "Cluster", "Train", "Tune", "Cluster", "Train"):
        page.locator(".st-key-section-part button", has_text=name).click()
        settled(page)
        assert page.locator(".st-key-section-part [aria-checked=true]").inner_text() == name
        assert ("part=" + name in page.url) == (name != "Train")
    page.go_back()
    settled(page)
    assert page.locator(".st-key-section-part [aria-checked=true]").inner_text() == "Cluster"
    page.context.close()


def test_a_film_opens_at_its_top_and_one_press_of_back_leads_to_the_place_left(browser: Any, demo_app: str) -> None:
    page = page_at(browser, f"{demo_app}/browse?dataset=demo")
    drawn(page)
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 900)")
    assert scrolled(page) == 900
    page.locator(".st-key-wall .poster").nth(20).click()
    page.get_by_role("button", name="All films").wait_for()
    settled(page)
    assert scrolled(page) == 0
    page.locator(".st-key-like .poster").nth(2).click()
    settled(page)
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop === 0")
    first = page.url
    page.go_back()
    settled(page)
    assert page.url != first and "film=" in page.url
    page.get_by_role("button", name="All films").click()
    page.get_by_role("textbox", name="Search").wait_for()
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop > 800")
    assert "film=" not in page.url
    page.goto(f"{demo_app}/?dataset=demo")
    settled(page)
    page.locator(".st-key-strip .poster").first.click()
    page.get_by_role("button", name="All films").wait_for()
    settled(page)
    page.go_back()
    page.get_by_role("heading", name="Compare and explore movie recommenders").wait_for()
    assert "film=" not in page.url and "/browse" not in page.url
    page.context.close()


def test_a_page_comes_back_as_it_was_left(browser: Any, demo_app: str) -> None:
    """Models, person and look of Errors, the pair of Compare, the filters of Browse."""
    page = page_at(browser, f"{demo_app}/errors?dataset=demo")
    settled(page)
    page.get_by_text("User", exact=True).first.click()
    settled(page)
    page.get_by_role("button", name="Another, at random").click()
    settled(page)
    page.get_by_role("combobox", name="Compare with").click()
    page.get_by_role("option", name="itemknn", exact=True).click()
    settled(page)
    left = page.url
    assert "look=User" in left and "who=" in left and "b=itemknn" in left
    go_to(page, "Compare")
    page.locator(".st-key-section-part button", has_text="Paired").click()
    page.get_by_text("mean difference").first.wait_for()
    settled(page)
    page.get_by_role("combobox", name="Compared with").last.scroll_into_view_if_needed()
    page.wait_for_timeout(200)  # a list closes when the page scrolls
    page.get_by_role("combobox", name="Compared with").last.click()
    page.get_by_role("option", name="ease", exact=True).click()
    settled(page)
    assert "pair_b=ease" in page.url
    compared = page.url
    go_to(page, "Errors")
    assert page.url == left
    go_to(page, "Browse")
    page.get_by_role("textbox", name="Search").fill("the")
    page.get_by_role("textbox", name="Search").press("Enter")
    settled(page)
    go_to(page, "Compare")
    assert page.url == compared
    go_to(page, "Browse")
    assert page.get_by_role("textbox", name="Search").input_value() == "the"
    page.context.close()


def test_titles_of_tabs_the_start_page_by_name_and_focus(browser: Any, demo_app: str) -> None:
    page = page_at(browser, f"{demo_app}/home?dataset=demo")
    page.get_by_role("heading", name="Compare and explore movie recommenders").wait_for()
    assert "Page not found" not in page.inner_text("body")
    for path, title in (("", "Home"), ("browse", "Browse"), ("cold_start", "Cold start"), ("learn", "Learn")):
        page.goto(f"{demo_app}/{path}?dataset=demo")
        page.wait_for_function("title => document.title === title", arg=f"{title} · MMRec")
    drawn(page)
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "() => { const e = document.activeElement;"
            " return [e.dataset.testid ?? '', getComputedStyle(e).outlineWidth] }"
        )
        if "NavLink" in style[0]:
            break
    assert "NavLink" in style[0] and style[1] == "3px", "the focus in the navigation is more than a tint"
    page.context.close()


def test_models_are_chosen_by_keyboard_and_pictures_and_tables_of_home_lead_on(browser: Any, demo_app: str) -> None:
    page = page_at(browser, f"{demo_app}/train?dataset=demo")
    page.get_by_role("tab", name="Matrix factorisation").focus()
    page.keyboard.press("ArrowRight")  # item-item
    page.keyboard.press("Tab")  # past the search, to the first card
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_text("itemknn: Item-based nearest neighbours").wait_for()
    settled(page)
    assert page.get_by_role("radio", name="itemknn").get_attribute("aria-checked") == "true"
    page.get_by_role("searchbox", name="Find a model").fill("gru4rec")
    assert page.get_by_role("radiogroup", name="Models found").get_by_role("radio").count() == 2
    page.goto(f"{demo_app}/?dataset=demo")
    page.get_by_role("button", name="Delete: demo").click()
    page.get_by_role("button", name="Keep it").click()
    settled(page)
    page.get_by_role("button", name="Compare models").click()
    page.get_by_role("heading", name="Compare", exact=True).wait_for()
    page.context.close()


def test_the_first_step_of_the_readme(browser: Any, demo_app: str) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    word = re.search(r'Search for "(\w+)"', readme)[1]  # type: ignore[index]
    page = page_at(browser, f"{demo_app}/browse?dataset=demo")
    settled(page)
    page.get_by_role("textbox", name="Search").fill(word)
    page.get_by_role("textbox", name="Search").press("Enter")
    settled(page)
    page.locator(".st-key-wall .poster").first.click()
    page.get_by_role("button", name="All films").wait_for()
    settled(page)
    assert word in page.inner_text(".stMain").lower()
    page.get_by_role("heading", name="Similar films").wait_for()
    page.context.close()
