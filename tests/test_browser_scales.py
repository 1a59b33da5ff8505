"""Rating in a real browser on unusual data: ids that hold separators, scales below zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmrec_core.data import preparation
from pages.parts.poster_grid import star_steps
from tests.browsing import end, page_at, serve, settled, train

SCALES = [
    (0.5, 5.0),
    (1.0, 5.0),
    (-10.0, 10.0),
    (-5.0, -1.0),
    (0.0, 1.0),
    (0.0, 10.0),
    (1.0, 10.0),
    (1.0, 100.0),
    (-3.5, 0.25),
]


@pytest.mark.parametrize(("low", "high"), SCALES)
def test_both_ends_of_every_scale_can_be_said(low: float, high: float) -> None:
    """Ten ratings from the lowest to the highest, rising; on five-star scales each is what the stars say."""
    steps = star_steps(low, high)
    assert len(steps) == 10 and steps[0] == low and steps[-1] == high and steps == sorted(steps)
    if high == 5:
        assert steps == [max(low, half / 2) for half in range(1, 11)]


def test_the_lowest_rating_of_film_7_is_its_own(
    browser: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The left half of the first star says −10, of ``film_7`` and not of ``7``; once more takes it back; the link
    survives a reload."""
    ids = ["7", "film_7", *(f"m:{n}" for n in range(8))]
    titles = {"7": "Seven Seas", "film_7": "Film Seven Remake"}
    (tmp_path / "films.csv").write_text(
        "movieId,title\n" + "".join(f"{i},{titles.get(i, f'Other {i}')}\n" for i in ids)
    )
    lines = [f"u{u},{i},{(7 * u + 3 * at) % 21 - 10},{100 * u + at}" for u in range(8) for at, i in enumerate(ids)]
    (tmp_path / "r.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    preparation.prepare("csv", source=tmp_path / "r.csv", name="odd", options={"scale": "-10:10", "items": "films.csv"})
    train(home, "odd", popularity={}, ease={})
    app, url = serve(home)
    try:
        page = page_at(browser, f"{url}/cold_start?dataset=odd")
        settled(page)  # a word typed while the page is still drawn for the first time may be taken back by it
        page.get_by_label("Find a film", exact=True).fill("Remake")
        stars = page.locator(".st-key-found .film .stars, [class*=st-key-found] .film .stars").first
        stars.wait_for()
        settled(page)
        stars.click(position={"x": 3, "y": 8})
        page.get_by_text("You rated 1 film").wait_for()
        settled(page)
        assert "ratings=film%255F7%3A-10" in page.url or "ratings=film%255F7:-10" in page.url
        page.reload()
        page.get_by_text("You rated 1 film").wait_for()
        page.get_by_role("button", name="Your ratings").click()
        own = page.locator("[class*=st-key-rated] .film")
        own.first.wait_for()
        settled(page)
        assert own.count() == 1 and "Film Seven Remake" in own.first.inner_text()
        assert own.first.locator(".stars").get_attribute("aria-valuetext") == "-10, from -10 to 10"
        own.first.locator(".stars").click(position={"x": 3, "y": 8})
        page.get_by_text("Rate a film: click a star").wait_for()
        assert "ratings" not in page.url
        page.context.close()
    finally:
        end(app)
