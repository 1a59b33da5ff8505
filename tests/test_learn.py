"""Lessons: text files whose numbers are computed when they are read."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mmrec_core import runs
from mmrec_core.analysis import lesson_values, lessons
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.types import Dataset
from pages.parts.inside import views
from tests.browsing import end, page_at, serve, settled
from tests.test_pages import app, text

NAMES = [lesson.name for lesson in lessons.lessons()]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, demo: Dataset) -> Iterator[tuple[Path, Dataset]]:
    """A small demo with everything run that the lessons ask for, just as pressing their buttons would."""
    home = tmp_path_factory.mktemp("taught") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_HOME", str(home))
        patch.setenv("MMREC_MLFLOW", "off")
        shutil.copytree(demo.folder, home / "datasets" / "demo", ignore=shutil.ignore_patterns("features", "maps"))
        dataset = preparation.open_dataset("demo")
        for _ in range(3):  # what one run gives may show that another is wanted
            wanted: list[lesson_values.Wanted] = []
            for lesson in lessons.lessons():
                for step in lesson.steps:
                    wanted += [w for w in lesson_values.fill_step(step, dataset).wanted if w not in wanted]
            for kind, params in wanted:
                worker.work(runs.create(kind, params).id, foreground=True)
        for name in ("mini_clip", "mini_siglip"):
            from mmrec_core import spaces

            for view in ("image", "text"):
                spaces.project(dataset, name, view)  # type: ignore[arg-type]
        yield home, dataset


@pytest.fixture(scope="module")
def site(taught: tuple[Path, Dataset]) -> Iterator[str]:
    """The app with these lessons, for tests that need no server of their own."""
    app_process, url = serve(taught[0])
    yield url
    end(app_process)


def test_there_are_thirteen(taught: Any) -> None:
    """In the order of their numbers; the newer ones have a figure, an exercise, and words for wrong answers."""
    found = lessons.lessons()
    assert [int(name.partition("-")[0]) for name in NAMES] == list(range(1, 14))
    assert all(len(lesson.steps) >= 4 for lesson in found)
    for lesson in found[5:]:
        steps = [lesson_values.fill_step(step, taught[1]) for step in lesson.steps]
        assert [step.figure for step in lesson.steps if step.figure] and lesson.steps[-1].opinion
        assert sum(len(own.feedback) for own in steps) >= 2
        assert all(set(own.feedback) <= set(own.choices) - set(own.right) for own in steps)
        assert {step.figure.split()[0] for step in lesson.steps if step.figure} <= {view.name for view in views()}


def test_a_wrong_answer_is_answered(tmp_path: Path, demo: Dataset) -> None:
    """To those who gave it, and to teachers; a line for what is no choice is refused."""
    head = "# T\nminutes: 5\n\nwhy\n\n## q?\nlook: compare\nchoose: a | b\nright: a\n\nSo it is.\n"
    file = tmp_path / "one.md"
    file.write_text(head + "[if b] Not b, because.\n")
    own = lesson_values.fill_step(lessons.read(file).steps[0], demo)
    assert own.answer == "So it is." and own.feedback == {"b": "Not b, because."}
    step = "\n## q?\nlook: inside\nfigure: overfitting\nopinion: yes\n\nSo.\n"
    file.write_text("# T\nminutes: 5\n\nwhy\n" + 2 * step)
    with pytest.raises(MMRecError, match="twice"):
        lessons.read(file)
    file.write_text(head + "[if c] Never.\n")
    with pytest.raises(MMRecError, match="no choice"):
        lesson_values.fill_step(lessons.read(file).steps[0], demo)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_computed(name: str, taught: tuple[Path, Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    """No gap is left, none is empty, every question declares what is right, and figures are those of the results."""
    monkeypatch.setenv("MMREC_HOME", str(taught[0]))
    lesson = next(one for one in lessons.lessons() if one.name == name)
    for step in lesson.steps:
        own = lesson_values.fill_step(step, taught[1])
        everything = " ".join([own.question, own.answer, *own.choices, *own.right, *own.query.values()])
        assert own.wanted == () and own.fault == "" and not set("{}–…") & set(everything)
        assert lesson_values.HOLE.search(step.answer) is None or any(c.isdigit() for c in own.answer)
        assert step.opinion or (own.right and set(own.right) <= set(own.choices))


def test_facts_are_the_figures_of_the_results(taught: tuple[Path, Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_HOME", str(taught[0]))
    dataset = taught[1]
    ease = lesson_values.usual_rows(dataset)["ease"].result
    assert lesson_values.fact("value", ["ease", "ndcg@10"], dataset).startswith(f"{ease['metrics']['ndcg@10']:.4f} [")
    best = min(
        ("bias", "mf", "dlrm", "svdpp"), key=lambda m: lesson_values.usual_rows(dataset)[m].result["metrics"]["rmse"]
    )
    assert lesson_values.fact("winner", ["rmse"], dataset) == best
    assert best in lesson_values.fact("leaders", ["rmse"], dataset).split(" | ")
    assert lesson_values.fact("place", ["best:ndcg@10", "ndcg@10"], dataset).startswith("1st of ")
    mrr, half = re.findall(r"0[.][0-9]{6}", lesson_values.fact("identity", ["ease"], dataset))
    assert mrr == half


def test_mistakes_in_a_lesson_are_told(tmp_path: Path, taught: tuple[Path, Dataset]) -> None:
    with pytest.raises(MMRecError, match="Unknown fact 'valu'"):
        lesson_values.fill("{valu ease ndcg@10}", taught[1])
    with pytest.raises(MMRecError, match="takes model metric"):
        lesson_values.fill("{value ease}", taught[1])
    for body, says in {
        "no title": "is no lesson",
        "# T\nminutes: 5\n\nwhy\n\n## q\nlook: compare\n": "an answer below",
        "# T\n\n## q\nlook: compare\nopinion: yes\n\na": "how many minutes",
        "# T\nminutes: 5\n\nwhy\n\n## q\nlook: compare\nchoose: a | b\n\na": "needs either a line",
        "# T\nminutes: 5\n\nwhy\n\n## q\nlook: compare\nright: a\n\na": "no line 'choose",
    }.items():
        file = tmp_path / "bad.md"
        file.write_text(body)
        with pytest.raises(MMRecError, match=says):
            lessons.read(file)


def test_adding_a_lesson_is_adding_a_file(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "mine.md").write_text(
        "# Mine\nminutes: 3\n\nWhy.\n\n## Really?\nlook: browse?q=moon\nchoose: yes | no\nright: yes\n\nYes.\n"
    )
    monkeypatch.setenv("MMREC_PLUGINS", str(tmp_path))
    mine = lessons.lessons()[-1]
    assert mine.title == "Mine" and mine.steps[0].query == {"q": "moon"} and mine.steps[0].choices == ("yes", "no")


def test_what_is_missing_is_one_press_away(shared_home: Path, demo: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    page = app("learn", dataset="demo", lesson=NAMES[3])
    assert not page.exception
    assert "Its numbers come from" in text(page) and "…" not in text(page)
    labels = [b.label for b in page.button]
    assert labels.count("Compute them") >= 1 and labels.count("Compute all of them") == 1
    assert any("Open Cold start" in str(link.proto) for link in page.get("page_link")), (
        "a question that needs no run can be answered"
    )


@pytest.mark.slow
def test_links_show_what_they_name(
    browser: Any, taught: tuple[Path, Dataset], site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each word of a lesson's link is chosen on the page that it opens, and the part that it means is there."""
    monkeypatch.setenv("MMREC_HOME", str(taught[0]))
    steps = [step for lesson in lessons.lessons() for step in lesson.steps]
    links = {(s.page, s.part, tuple(lesson_values.fill_step(s, taught[1]).query.items())) for s in steps}
    page = page_at(browser, f"{site}/learn?dataset=demo")
    for name, part, query in sorted(links):
        page.goto(f"{site}/{name}?{urlencode({'dataset': 'demo', **dict(query)})}")
        settled(page)
        for value in (part, *dict(query).values()):
            page.wait_for_function(
                """value => document.querySelector(".stMainBlockContainer").innerText.includes(value)
                    || [...document.querySelectorAll("input")].some(input => input.value === value)""",
                arg=value,
            )
    page.context.close()


@pytest.mark.slow
def test_all_lessons_in_the_browser(browser: Any, site: str) -> None:
    """Begin, answer, see the numbers, go to look and come back; to the end of each; a sheet with one's own answers and
    a key; start over."""
    page = page_at(browser, f"{site}/learn?dataset=demo")
    for at, lesson in enumerate(lessons.lessons()):
        page.goto(f"{site}/learn?dataset=demo&lesson={lesson.name}")
        page.get_by_role("heading", name=lesson.title).wait_for()
        settled(page)
        whole = at < 2  # of the others one question: what all of theirs say and show has tests of its own
        for place, step in enumerate(lesson.steps if whole else lesson.steps[:1]):
            box = page.locator(f".st-key-step-{place}")
            if place == 0 and at < 3:  # the link leads somewhere, and the way back leads here
                box.get_by_role("link", name=OPEN).click()
                page.get_by_role("button", name="Back to the lesson").wait_for()
                settled(page)
                assert page.locator("[data-testid=stException]").count() == 0 and f"/{step.page}" in page.url
                page.get_by_role("button", name="Back to the lesson").click()
                page.get_by_role("heading", name=lesson.title).wait_for()
                settled(page)
            choose(page, box, step.choices)
            box.get_by_role("button", name="Reveal answer").click()
            settled(page)
        if whole:
            page.get_by_text("That was the lesson.").wait_for()
        if at == 0:
            sheet, key = (downloaded(page, name) for name in ("Sheet to print", "Key for teachers"))
            assert "☒" in sheet and "Name: <input" in sheet and "Generated data" in sheet and "…" not in sheet
            assert "☒" not in key and "Name:" not in key and "✓ right" in key and "…" not in key
            page.get_by_role("button", name="Start over").click()
            page.get_by_text("Answer the question above first.").first.wait_for()
            settled(page)
            page.reload()
            page.get_by_text("Answer the question above first.").first.wait_for()
    page.goto(f"{site}/learn?dataset=demo")
    page.get_by_role("button", name="Look again").first.wait_for()
    settled(page)  # cards come one by one
    finished, begun = (f"{n} of {len(lessons.lessons()[1].steps)} answered" for n in (4, 1))
    assert page.get_by_text(finished).count() == 1 and page.get_by_role("button", name="Begin").count() == 1
    assert page.get_by_text(re.compile(r"^1 of \d answered")).count() == len(NAMES) - 2
    page.context.close()


OPEN = re.compile("Open (Compare|Errors|Space|Cold start|Inside|Train)")


def choose(page: Any, box: Any, choices: tuple[str, ...]) -> None:
    """Answer a question: the last choice, or some words."""
    if choices:
        box.get_by_role("radio").or_(box.locator("[data-testid=stButtonGroup] button")).last.click()
    else:
        box.get_by_role("textbox").fill("the second list")
        box.get_by_role("textbox").press("Enter")
    settled(page)


def choose_before(page: Any, at: int) -> None:
    """Answer the questions before one, where that has not been done."""
    page.locator(".st-key-step-0").wait_for()
    settled(page)
    for place in range(at):
        box = page.locator(f".st-key-step-{place}")
        if box.get_by_role("button", name="Reveal answer").count():
            choose(page, box, ("some",))
            box.get_by_role("button", name="Reveal answer").click()
            settled(page)


def downloaded(page: Any, name: str) -> str:
    """The text of a file that a button gives."""
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    return Path(download.value.path()).read_text(encoding="utf-8")


@pytest.mark.slow
def test_answers_outlive_a_reload_and_a_restart(browser: Any, taught: tuple[Path, Dataset]) -> None:
    """An answer that was revealed stays as it was given and cannot be changed; one that was not can be."""
    app_process, url = serve(taught[0])
    link = f"{url}/learn?dataset=demo&lesson=2-one-negative"
    try:
        page = page_at(browser, link)
        settled(page)
        choose(page, page.locator(".st-key-step-0"), ("some",))
        page.locator(".st-key-step-0").get_by_role("button", name="Reveal answer").click()
        settled(page)
        choose(page, page.locator(".st-key-step-1"), ("some",))
        for restart in (False, True):
            if restart:
                end(app_process)
                app_process, _ = serve(taught[0], port=int(url.rpartition(":")[2]))
            page.reload()
            settled(page)
            first, second = (page.locator(f".st-key-step-{at}") for at in (0, 1))
            first.get_by_text("Right is").wait_for()
            assert first.get_by_role("button", name="Reveal answer").count() == 0
            chosen = first.locator("[aria-checked=true], [aria-pressed=true]")
            assert chosen.inner_text() == "lower" and chosen.is_disabled()
            assert second.locator("[aria-checked=true], [aria-pressed=true]").inner_text() == "a rescaled AUC"
            second.get_by_role("button", name="Reveal answer").wait_for()
        assert page_at(browser, link).get_by_text("Right is").count() == 0, "another visitor has answers of their own"
        page.context.close()
    finally:
        end(app_process)


@pytest.mark.slow
def test_a_lesson_lands_on_the_part_it_means(browser: Any, site: str) -> None:
    """The heading is in sight below the bar, which stays in sight, also after a reload; Back leads to the
    lesson."""
    page = page_at(browser, f"{site}/learn?dataset=demo&lesson=2-one-negative")
    settled(page)
    page.locator(".st-key-step-0").get_by_role("link", name=OPEN).click()
    for reload in (False, True):
        if reload:
            page.reload()
        heading = page.get_by_text("Protocol lab", exact=True)
        heading.wait_for()
        page.get_by_role("button", name="Back to the lesson").wait_for()
        settled(page)
        page.wait_for_function(
            """() => [...document.querySelectorAll("h3")].some(h => h.textContent.startsWith("Protocol lab")
                && h.getBoundingClientRect().top < innerHeight / 2 && h.getBoundingClientRect().top >
                document.querySelector(".st-key-strip").getBoundingClientRect().bottom)"""
        )
        assert page.locator(".st-key-strip").bounding_box()["y"] > 0, "the bar stays in sight"
    for at, shown in ((1, "MRR ↑"), (0, "NDCG@10 ↑")):  # what one question set does not stay for another
        page.get_by_role("button", name="Back to the lesson").click()
        choose_before(page, at)
        page.locator(f".st-key-step-{at}").get_by_role("link", name=OPEN).click()
        page.get_by_role("button", name="Back to the lesson").wait_for()
        settled(page)
        assert page.locator(".st-key-lab_metric input").input_value() == shown
    page.goto(f"{site}/learn?dataset=demo&lesson=4-cold-start")
    settled(page)
    page.locator(".st-key-step-0").get_by_role("link", name=OPEN).click()
    page.get_by_role("button", name="Back to the lesson").wait_for()
    settled(page)
    page.go_back()
    page.locator(".st-key-step-0").wait_for()
    page.context.close()


@pytest.mark.slow
def test_a_projector_shows_one_question_at_a_time(browser: Any, site: str) -> None:
    """No menus, and the arrow keys go on and back."""
    page = page_at(browser, f"{site}/learn?dataset=demo&lesson=3-popularity&present=true")
    settled(page)
    assert not page.locator("[data-testid=stHeader]").is_visible() and not page.locator(".st-key-switch").is_visible()
    for key, says in (("ArrowRight", "1. "), ("ArrowRight", "Over the same users"), ("ArrowRight", "2. ")):
        page.locator(".st-key-slide-leave button").wait_for()  # the last of the buttons with a key
        page.keyboard.press(key)
        page.locator(".st-key-slide").get_by_text(says).first.wait_for()
        settled(page)
    page.keyboard.press("ArrowLeft")
    page.locator(".st-key-slide").get_by_text("Over the same users").wait_for()
    settled(page)
    page.get_by_role("button", name="Leave").click()
    page.get_by_role("button", name="Sheet to print").wait_for()
    page.context.close()
