"""Classes and studies in a real browser: a host, a projector and eight participants, with a kill in the middle."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mmrec_core import ownership, runs
from mmrec_core.classroom import experiment, store
from mmrec_core.data import preparation
from mmrec_core.studies import definition
from mmrec_core.studies import store as studies
from mmrec_core.types import Dataset
from tests import browsing
from tests.browsing import end, settled, train, window

PEOPLE = 8


@pytest.fixture(scope="module")
def class_home(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small demo with trained models, evaluated, and a map."""
    home = tmp_path_factory.mktemp("class") / "home"
    shutil.copytree(demo.folder, home / "datasets" / "demo", ignore=shutil.ignore_patterns("maps"))
    shutil.copytree(demo.folder.parents[1] / "static", home / "static")
    train(home, "demo", popularity={}, ease={}, bias={}, mf={"max_epochs": "3"})
    browsing.encode(home, "demo", "classic", "text")
    return home


def serve_class(home: Path, port: int = 0) -> tuple[subprocess.Popen[bytes], str]:
    """The app for a class, on the network; its own name is localhost here."""
    program = (sys.executable, "-m", "mmrec_core")
    before = os.environ.get("MMREC_LISTENS")
    os.environ["MMREC_LISTENS"] = "0.0.0.0"  # visitors are visitors, though only this machine comes
    try:
        return browsing.serve(home, program, port=port)
    finally:
        if before is None:
            del os.environ["MMREC_LISTENS"]


def answers_at(url: str) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", int(url.rsplit(":", 1)[1]))) == 0


def seated(browser: Any, url: str, **options: Any) -> Any:
    """A page in a profile of its own."""
    page = window(browser).new_page()
    page.set_default_timeout(60_000)
    page.set_viewport_size({"width": options.get("width", 1440), "height": 900})
    page.goto(url)
    return page


def rate(page: Any, n: int, star: int) -> None:
    """Rate the first film that is offered; the page then says that it has one rating more."""
    page.locator(".wall").first.locator(".film .star").nth(star).click()
    page.get_by_text(re.compile(rf"^{n} (of \d+ )?ratings")).wait_for()


def test_a_lesson_and_the_experiment_with_a_kill_in_the_middle(
    browser: Any, class_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody loses an answer, a rating or their place when the server is killed and started again."""
    monkeypatch.setenv("MMREC_HOME", str(class_home))
    app, url = serve_class(class_home)
    try:
        host = seated(browser, f"{url}/class?owner={ownership.token()}")
        host.get_by_role("button", name="Open a class").click()
        host.get_by_text("All classes").wait_for()
        host.reload()  # the browser remembers that it is the host's
        host.get_by_text("All classes").wait_for()
        classroom = store.all_classes()[0]
        projector = seated(browser, f"{url}/class?view=projector&key={classroom.projector}")
        projector.get_by_text("0 joined").wait_for()
        people = []
        for n in range(PEOPLE):
            page = seated(browser, f"{url}/class?code={classroom.code}", width=390)
            page.get_by_role("textbox", name="Nickname").fill(f"Person {n}")
            page.get_by_role("button", name="Join", exact=True).click()
            page.get_by_text("You are in.").wait_for()
            people.append(page)
        projector.get_by_text(f"{PEOPLE} joined").wait_for()
        host.get_by_text("Person 7").wait_for()

        # a lesson: everybody sees the question, answers, and sees the answer
        host.get_by_role("radiogroup").get_by_text("Lesson", exact=True).click()
        host.get_by_role("button", name="Begin", exact=True).click()
        people[0].get_by_text("The first question comes").wait_for()
        host.get_by_role("button", name="First question").click()
        for n, page in enumerate(people[:6]):
            choices = page.locator("[class*=st-key-choice] button")
            choices.first.wait_for()
            choices.nth(n % choices.count()).click()
            page.get_by_text("Kept.").wait_for()
        projector.get_by_text(f"6 of {PEOPLE} answered").wait_for()
        assert projector.locator(".class-bars").count() == 0 and people[0].locator(".class-bars").count() == 0
        before = store.answers_of(classroom.id)
        assert len(before) == 6

        os.killpg(app.pid, signal.SIGKILL)
        app.wait()
        while answers_at(url):  # its server is another process of the group
            time.sleep(0.05)
        app, again = serve_class(class_home, int(url.rsplit(":", 1)[1]))
        assert again == url
        assert store.answers_of(classroom.id) == before
        for page in people[6:]:  # they still have the question before them, and answer it now
            page.locator("[data-test-connection-state=CONNECTED]").wait_for()  # its page has found the server again
            settled(page)
            page.locator("[class*=st-key-choice] button").first.click()
            page.get_by_text("Kept.").wait_for()
        assert len(store.answers_of(classroom.id)) == PEOPLE
        host.reload()
        host.get_by_text(f"{PEOPLE} of {PEOPLE} answered").wait_for()
        host.get_by_role("button", name="Reveal the answer").click()
        for page in (*people, projector):
            page.locator(".class-bars").wait_for()
        counts = projector.locator(".class-bars span").all_inner_texts()
        assert sum(map(int, counts)) == PEOPLE
        late = seated(browser, f"{url}/class?code={classroom.code}", width=390)
        late.get_by_role("button", name="Join", exact=True).click()
        late.locator(".class-bars").wait_for()  # in the same place as everybody
        people[3].reload()
        people[3].locator(".class-bars").wait_for()  # still who they were
        assert len(store.participants_of(classroom.id)) == PEOPLE + 1

        # the experiment
        host.get_by_text("Which model knows us?").click()
        host.get_by_role("button", name="Begin", exact=True).click()
        for n, page in enumerate(people):
            page.get_by_text("Would you like these films?").wait_for()
            for done in range(6 if n else 15):
                rate(page, done + 1, (done * (n + 2)) % 5)
        assert len(store.ratings_of(classroom.id)) == 15 + 6 * (PEOPLE - 1)
        projector.locator(".class-map .star").nth(PEOPLE - 1).wait_for()
        projector.get_by_text("knows this class best so far").wait_for()
        host.get_by_text("knows this class best so far").wait_for()
        settled(host)
        host.get_by_role("button", name="End", exact=False).last.click()
        host.get_by_role("button", name="End the class").click()
        people[0].get_by_text("This class has ended").wait_for()
        ended = store.get(classroom.id)
        assert not ended.is_open and ended.results is not None
        assert {s["model"] for s in ended.results["standings"]} == {"popularity", "ease", "bias", "mf"}
        people[1].get_by_role("button", name="Leave").click()
        people[1].get_by_role("button", name="Leave and delete everything").click()
        people[1].get_by_text("Join the class").wait_for()
        assert len(store.participants_of(classroom.id)) == PEOPLE
    finally:
        end(app)


def test_a_study_is_taken_on_a_phone(browser: Any, class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consent, ratings, two lists, answers; no model's name crosses the socket; the host reads the result."""
    monkeypatch.setenv("MMREC_HOME", str(class_home))
    made = studies.create(
        definition.checked(
            {"title": "Which?", "dataset": "demo", "models": ["mf", "popularity"], "films_to_rate": 3, "fastest_s": 0}
        )
    )
    app, url = serve_class(class_home)
    try:
        page = window(browser).new_page()
        page.set_default_timeout(60_000)
        page.set_viewport_size({"width": 390, "height": 844})
        frames: list[bytes] = []
        page.on(
            "websocket",
            lambda ws: ws.on("framereceived", lambda f: frames.append(f if isinstance(f, bytes) else f.encode())),
        )
        page.goto(f"{url}/study?study={made.id}")
        page.get_by_role("button", name="I agree, begin").click()
        for n in range(3):
            page.get_by_text(f"{n} ratings, 3 are needed").wait_for()
            page.locator(".wall .film").nth(n).locator(".star").nth(2 + n).click()
        page.get_by_text("3 ratings, 3 are needed").wait_for()
        page.get_by_role("button", name="Show me the films").click()
        page.get_by_role("heading", name="List B").wait_for()
        settled(page)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") < 50
        assert page.get_by_role("button", name="Finish").is_disabled()
        for n, question in enumerate(("fits your taste", "new to you", "more varied", "rather use")):
            group = page.get_by_role("radiogroup", name=re.compile(question))
            group.get_by_text(("List A", "List B", "No difference")[n % 3]).click()
            settled(page)
        page.reload()  # what was answered is still there
        page.get_by_role("button", name="Finish").click()
        page.get_by_text("Thank you for taking part").wait_for()
        blob = b"".join(frames)
        runs_of_models = [r.id.encode() for r in runs.all_runs()]
        assert not any(name in blob for name in (b"popularity", b"matrix fact", *runs_of_models))
        (record,) = studies.records(made)
        assert record.answers["accuracy"] == "first" and record.rated == 3 and record.seconds is not None
        host = seated(browser, f"{url}/study?results={made.id}&owner={ownership.token()}")
        host.get_by_text("1 of 40 participants").wait_for()
        host.get_by_text("prefer mf").first.wait_for()
    finally:
        end(app)
        studies.delete(made.id)


def test_views_are_accessible_and_fit(browser: Any, class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No serious finding of axe, in two lights and widths; nothing scrolls sideways on a phone."""
    from axe_playwright_python.sync_playwright import Axe

    monkeypatch.setenv("MMREC_HOME", str(class_home))
    classroom = store.create("demo", "Class")
    _, secret = store.join(classroom.code, "Ada", "x")
    store.set_plan(classroom.id, experiment.plan(preparation.open_dataset("demo")))
    app, url = serve_class(class_home)
    try:
        page = seated(browser, f"{url}/class?owner={ownership.token()}")
        page.get_by_role("button", name="Open a class").wait_for()
        settled(page)
        paths = (
            "/class",
            f"/class?class={classroom.id}",
            f"/class?view=projector&key={classroom.projector}",
            f"/class?code={classroom.code}",
            "/study",
        )
        for activity in (store.LOBBY, store.LESSON, store.EXPERIMENT):
            store.show(classroom.id, activity, "6-ndcg" if activity == store.LESSON else None, 0)
            for path in paths if activity == store.LOBBY else paths[1:4]:
                page.goto(url + path)
                page.locator("h1, h2, h3").first.wait_for()
                for width, light in ((1440, "light"), (390, "dark")):
                    page.set_viewport_size({"width": width, "height": 900})
                    page.emulate_media(color_scheme=light)
                    settled(page)
                    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
                    serious = [
                        (path, activity, v["id"], v["nodes"][0]["html"][:200])
                        for v in found
                        if v["impact"] in {"serious", "critical"}
                        and not all("stToolbar" in n["html"] or "stHeader" in n["html"] for n in v["nodes"])
                    ]
                    assert serious == []
                    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                    assert page.evaluate(too_wide) <= 0
    finally:
        end(app)
        store.delete(classroom.id)
