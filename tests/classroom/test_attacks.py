"""Attacks on a shared app, one test each: roles, ids, markup, formulas, secrets, sizes, foreign sites."""

from __future__ import annotations

import csv
import io
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.testing.v1 import AppTest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from mmrec_core import ownership
from mmrec_core.analysis import error_annotations
from mmrec_core.classroom import limits, store
from mmrec_core.cli import launch
from mmrec_core.errors import MMRecError
from mmrec_core.settings import ROOT
from mmrec_core.studies import definition, lists, report
from mmrec_core.studies import store as studies
from mmrec_core.types import Dataset
from pages.parts import slices, uploads
from pages.parts.classroom import identity
from pages.parts.host_check import HostCheck
from tests.browsing import end, serve, window
from tests.test_pages import app, text

MARKUP = "<img src=x onerror=alert(1)>"
FORMULA = '=HYPERLINK("http://evil.example","x")'


@pytest.fixture(autouse=True)
def alone_again() -> Iterator[None]:
    yield
    ownership.guard(None)


@pytest.fixture
def on_the_network(demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The app as it is served to a network: whoever comes is a visitor."""
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    monkeypatch.setenv("MMREC_LISTENS", "0.0.0.0")
    return demo


@pytest.fixture
def classroom(on_the_network: Dataset) -> Iterator[store.Classroom]:
    """An open class whose title is markup."""
    ownership.guard(None)
    made = store.create("demo", f"{MARKUP} **b** :red[x]")
    yield made
    ownership.guard(None)
    store.delete(made.id)


def conversation(url: str, query: str) -> list[bytes]:
    """Everything that the page Class sends to an unknown visitor until it is drawn."""
    message, said = BackMsg(), []
    message.rerun_script.query_string, message.rerun_script.page_name = query, "class"
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    with connect(address, subprotocols=[Subprotocol("streamlit")], max_size=None) as socket:
        socket.send(message.SerializeToString())
        while not said or ForwardMsg.FromString(said[-1]).WhichOneof("type") != "script_finished":
            said.append(socket.recv(timeout=60, decode=False))
    return said


def no(what: str) -> None:
    raise MMRecError(f"Only the owner may {what}.")


def buttons(shown: Any) -> set[str]:
    return {b.label for b in shown.button}


@pytest.mark.parametrize("query", [{"class": "{id}"}, {"class": "{id}", "owner": "wrong"}, {"results": "x"}, {}])
def test_a_visitor_does_not_become_the_host_by_the_address(classroom: store.Classroom, query: dict[str, str]) -> None:
    shown = app("class", **{k: v.format(id=classroom.id) for k, v in query.items()})
    assert not shown.exception and "Open a class" not in buttons(shown)
    assert not {"End the class", "Delete the class", "Begin", "First question"} & buttons(shown)
    assert classroom.projector not in text(shown) and "Join the class" in text(shown)


def test_a_visitor_does_not_see_studies_or_their_results(on_the_network: Dataset) -> None:
    ownership.guard(None)
    made = studies.create(definition.checked({"title": "Secret", "dataset": "demo", "models": ["ease", "popularity"]}))
    for query in ({}, {"results": made.id}):
        shown = app("study", **query)
        assert not shown.exception and "Secret" not in text(shown) and "New study" not in text(shown)
    ownership.guard(no)
    for act in (
        lambda: studies.create(made.definition),
        lambda: studies.all_studies(),
        lambda: studies.records(made),
        lambda: studies.end(made.id),
        lambda: studies.delete(made.id),
    ):
        with pytest.raises(MMRecError, match="Only the owner"):
            act()
    ownership.guard(None)
    studies.delete(made.id)


@pytest.mark.parametrize("wrong", ["", "x", "{id}", "{code}", "' OR '1'='1", "../../people.sqlite", "\x00", "%2e%2e"])
def test_a_projector_needs_its_own_secret(classroom: store.Classroom, wrong: str) -> None:
    key = wrong.format(id=classroom.id, code=classroom.code)
    shown = app("class", view="projector", key=key)
    assert not shown.exception and "no such class" in text(shown) and classroom.code not in text(shown)


def test_a_projector_only_reads(classroom: store.Classroom) -> None:
    """With its secret it shows the class, but has no button that leads it."""
    store.show(classroom.id, store.LESSON, "6-ndcg", 0)
    shown = app("class", view="projector", key=classroom.projector)
    assert not shown.exception and "1." in text(shown)
    assert not {"Back", "Reveal the answer", "Next question"} & buttons(shown)


@pytest.mark.parametrize("wrong", ["../../x", "' OR 1=1 --", "\x00", "x" * 5000, "", "𓂀", "\ud800"])
def test_ids_are_no_paths_and_no_queries(classroom: store.Classroom, wrong: str) -> None:
    for act in (
        lambda: store.get(wrong),
        lambda: studies.get(wrong),
        lambda: store.by_projector(wrong),
        lambda: store.join(wrong, "", "x"),
        lambda: studies.arrive(wrong, "x"),
        lambda: store.show(wrong, store.LOBBY),
    ):
        with pytest.raises(MMRecError):
            act()
    assert store.participant(wrong) is None and studies.subject(wrong) is None
    if wrong != "\ud800":  # which no database holds
        assert store.changes(wrong) is None
    assert not ownership.is_token(wrong) and not ownership.is_pass(wrong)


def test_the_secret_of_one_class_opens_no_other(classroom: store.Classroom) -> None:
    """Answers go to the class that was joined, whatever the page shows."""
    other = store.create("demo", "Other")
    _, secret = store.join(other.code, "", "x")
    store.show(classroom.id, store.LESSON, "6-ndcg", 0)
    with pytest.raises(MMRecError, match="moved on"):
        store.answer(secret, "6-ndcg", 0, "x")
    assert store.answers_of(classroom.id) == []
    store.delete(other.id)


def test_a_participant_reads_nothing_hidden_from_the_page(classroom: store.Classroom) -> None:
    """Before the reveal neither the answers of others nor the right one are in the page; no secret ever is."""
    _, secret = store.join(classroom.code, "Ada", "x")
    store.show(classroom.id, store.LESSON, "6-ndcg", 0)
    store.answer(secret, "6-ndcg", 0, "an answer of Ada's")
    shown = app("class", code=classroom.code)
    assert "an answer of Ada" not in text(shown) and secret not in str(shown)
    assert classroom.projector not in str(shown) and ownership.token() not in str(shown)


def test_a_study_names_no_model_to_its_participants(on_the_network: Dataset) -> None:
    """The definition has names that occur nowhere else; the page that a participant gets has none of them."""
    ownership.guard(None)
    names = ["zzfirstmodel", "zzsecondmodel"]
    made = studies.create(definition.checked({"title": "Which?", "dataset": "demo", "models": names}))
    shown = app("study", study=made.id)
    assert not shown.exception and "I agree, begin" in buttons(shown)
    shown.button[[b.label for b in shown.button].index("I agree, begin")].click().run()
    assert not shown.exception and "Rate 8 films by poster" in text(shown) and "zz" not in str(shown)
    ownership.guard(None)
    studies.delete(made.id)


def test_participants_of_a_study_do_not_see_lists_by_name(on_the_network: Dataset) -> None:
    """Until they have finished or withdrawn; others, and the owner, do."""
    ownership.guard(None)
    made = studies.create(definition.checked({"title": "Which?", "dataset": "demo", "models": ["ease", "popularity"]}))
    _, secret = studies.arrive(made.id, "x")

    def shown(held: str | None, name: str = "cold_start") -> str:
        page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
        page.session_state["class_secrets"] = {identity.STUDY + made.id: held}
        page.switch_page(f"pages/{name}.py")
        page.query_params["dataset"] = "demo"
        return text(page.run())

    assert "You take part in the study" in shown(secret)
    assert "You take part in the study" in shown(secret, "inside")
    assert "You take part in the study" not in shown(None)
    assert "You take part in the study" not in shown("x" * 24)  # nobody's secret
    ownership.guard(None)
    studies.withdraw(secret)
    assert "You take part in the study" not in shown(secret)
    ownership.guard(None)
    studies.delete(made.id)


def test_formulas_do_not_leave_a_study(on_the_network: Dataset) -> None:
    ownership.guard(None)
    made = studies.create(definition.checked({"title": "Which?", "dataset": "demo", "models": ["ease", "popularity"]}))
    person, secret = studies.arrive(made.id, "x")
    studies.respond(secret, studies.SHOWN, {"first": [1], "second": [2]})
    studies.respond(secret, "q.comment", FORMULA)
    rows = list(csv.DictReader(io.StringIO(report.table(made, studies.records(made)))))
    assert rows[0]["comment"].startswith("'=") and MARKUP not in report.printable(made, studies.records(made))
    studies.delete(made.id)


@pytest.mark.parametrize(
    ("step", "value"),
    [
        ("q.accuracy", "ease"),
        ("q.accuracy", ["first"]),
        ("q.none", "first"),
        ("../x", 1),
        ("q.comment", "x" * 1001),
        ("q.comment", {"a": 1}),
        ("ratings", {"1": "x" * 30_000}),
    ],
)
def test_responses_that_do_not_fit(on_the_network: Dataset, step: str, value: Any) -> None:
    ownership.guard(None)
    made = studies.create(definition.checked({"title": "Which?", "dataset": "demo", "models": ["ease", "popularity"]}))
    person, secret = studies.arrive(made.id, "x")
    if step != studies.RATINGS:
        studies.respond(secret, studies.SHOWN, {"first": [1], "second": [2]})
    before = studies.responses_of(person.id)
    with pytest.raises(MMRecError):
        studies.respond(secret, step, value)
    assert studies.responses_of(person.id) == before
    studies.delete(made.id)


def test_the_steps_of_a_study_come_in_their_order(on_the_network: Dataset) -> None:
    """A second window does not answer before the lists or change ratings and lists after them; nobody finishes late."""
    ownership.guard(None)
    values = {"title": "Which?", "dataset": "demo", "models": ["ease", "popularity"], "layout": "interleaved"}
    made = studies.create(definition.checked(values))
    person, secret = studies.arrive(made.id, "x")
    with pytest.raises(MMRecError, match="Rate films first"):
        studies.respond(secret, studies.CHOSEN, [0])
    rated = {str(n): 3.0 for n in range(8)}
    studies.respond(secret, studies.RATINGS, rated)
    studies.respond(secret, studies.SHOWN, {"items": [4, 5, 6], "teams": [0, 1, 0]})
    for step, value in ((studies.RATINGS, {"1": 5.0}), (studies.SHOWN, {"items": [7], "teams": [1]})):
        with pytest.raises(MMRecError, match="can no longer be changed"):
            studies.respond(secret, step, value)
    for places in ([3], [-1]):
        with pytest.raises(MMRecError, match="places in the list"):
            studies.respond(secret, studies.CHOSEN, places)
    studies.respond(secret, studies.CHOSEN, [2])
    kept = studies.responses_of(person.id)
    assert kept[studies.RATINGS] == rated and kept[studies.SHOWN]["items"] == [4, 5, 6] and kept[studies.CHOSEN] == [2]
    studies.end(made.id)
    with pytest.raises(MMRecError, match="has ended"):
        studies.finish(secret)
    studies.delete(made.id)


def test_what_the_host_does_between_a_check_and_a_write_counts(
    on_the_network: Dataset, classroom: store.Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked, ended or finished while a request waits for its turn to write: the request comes too late."""
    ownership.guard(None)

    def meanwhile(throttle: Any, act: Any) -> None:
        """Something that happens when a request is counted, which is after its checks and before its write."""
        monkeypatch.setattr(throttle, "add", lambda key: (act(), True)[1])

    meanwhile(limits.JOINS, lambda: store.lock(classroom.id, True))
    with pytest.raises(MMRecError, match="locked"):
        store.join(classroom.code, "late", "x")
    store.lock(classroom.id, False)
    meanwhile(limits.JOINS, lambda: store.end(classroom.id))
    with pytest.raises(MMRecError, match="has ended"):
        store.join(classroom.code, "late", "x")
    assert store.participants_of(classroom.id) == []

    values = {"title": "Which?", "dataset": "demo", "models": ["ease", "popularity"], "fastest_s": 0}
    made = studies.create(definition.checked(values))
    person, secret = studies.arrive(made.id, "x")
    complete_but_for_the_end(secret)
    meanwhile(studies.WRITES, lambda: studies.finish(secret))
    with pytest.raises(MMRecError, match="complete"):
        studies.respond(secret, "q.accuracy", "second")
    assert studies.responses_of(person.id)["q.accuracy"] == "first"
    meanwhile(studies.ARRIVALS, lambda: studies.end(made.id))
    with pytest.raises(MMRecError, match="all the participants"):
        studies.arrive(made.id, "x")
    meanwhile(studies.WRITES, lambda: studies.delete(made.id))
    with pytest.raises(MMRecError, match="no such study"):
        studies.respond(secret, "q.accuracy", "second")
    studies.withdraw(secret)


def test_the_films_of_a_study_say_nothing_of_its_seed(on_the_network: Dataset) -> None:
    """The seed decides whose list is whose. Drawn from it, the films would let participants search for it."""
    ownership.guard(None)
    values = {"title": "Which?", "dataset": "demo", "models": ["ease", "popularity"]}
    one, other = (studies.create(definition.checked({**values, "seed": 7})) for _ in range(2))
    films = [lists.films_to_rate(study.id, on_the_network, 40) for study in (one, other)]
    assert films[0] != films[1] and films[0] == lists.films_to_rate(one.id, on_the_network, 40)
    drawn = studies.create(definition.checked(values))
    assert drawn.definition.seed >= 1 << 31, "too many to try them all"
    for study in (one, other, drawn):
        studies.delete(study.id)


def complete(secret: str, side: str = "first") -> None:
    """Everything that the usual study asks, and the end."""
    complete_but_for_the_end(secret, side)
    studies.finish(secret)


def complete_but_for_the_end(secret: str, side: str = "first") -> None:
    """Everything that the usual study asks."""
    studies.respond(secret, studies.RATINGS, {str(n): 3.0 for n in range(8)})
    studies.respond(secret, studies.SHOWN, {"first": [1], "second": [2]})
    for question in ("accuracy", "novelty", "diversity", "satisfaction"):
        studies.respond(secret, f"q.{question}", side)


def test_what_is_finished_stays(on_the_network: Dataset) -> None:
    """Nobody answers after the end, twice, or for another; nobody finishes without an answer; who withdraws is gone."""
    ownership.guard(None)
    values = {"title": "Which?", "dataset": "demo", "models": ["ease", "popularity"], "participants": 2, "fastest_s": 0}
    made = studies.create(definition.checked(values))
    people = [studies.arrive(made.id, "x") for _ in range(3)]
    assert [p.number for p, _ in people] == [0, 1, 2]
    with pytest.raises(MMRecError, match="still open"):
        studies.finish(people[0][1])
    complete(people[0][1])
    with pytest.raises(MMRecError, match="complete"):
        studies.respond(people[0][1], "q.accuracy", "second")
    with pytest.raises(MMRecError, match="no longer"):
        studies.respond(people[0][0].id, "q.accuracy", "second")
    complete(people[1][1])
    with pytest.raises(MMRecError, match="all the participants"):
        studies.arrive(made.id, "x")
    studies.withdraw(people[1][1])
    studies.end(made.id)
    with pytest.raises(MMRecError, match="complete"):
        studies.respond(people[2][1], "q.accuracy", "second")
    found = studies.records(made)
    assert [r.number for r in found] == [0, 2] and found[0].answers["accuracy"] == "first" and found[1].seconds is None
    studies.delete(made.id)
    assert studies.subject(people[0][1]) is None


def test_haste_uses_up_no_place_of_a_study(on_the_network: Dataset) -> None:
    """Programs that answer within a second are excluded; people still come in."""
    ownership.guard(None)
    values = {"title": "Which?", "dataset": "demo", "models": ["ease", "popularity"], "participants": 2}
    made = studies.create(definition.checked(values))
    for _ in range(6):
        complete(studies.arrive(made.id, "x")[1])
    assert studies.arrive(made.id, "x")[0].number == 6
    studies.delete(made.id)


def test_answers_of_a_lesson_are_hidden_while_a_class_sees_it(classroom: store.Classroom) -> None:
    """A visitor does not find the right answers on Learn; the key is the owner's; afterwards the lesson is open."""
    store.show(classroom.id, store.LESSON, "6-ndcg", 0)
    shown = app("learn", lesson="6-ndcg")
    assert not shown.exception and "answers this lesson now" in text(shown)
    assert "Reveal answer" not in buttons(shown)
    ownership.guard(None)
    store.show(classroom.id, store.LOBBY)
    shown = app("learn", lesson="6-ndcg")
    assert "Reveal answer" in buttons(shown)
    assert "Key for teachers" not in {d.label for d in shown.get("download_button")}


def test_visitors_upload_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Per session and altogether; the owner's sessions and an app on localhost are not limited."""
    request = lambda session, size: {
        "path": f"/_stcore/upload_file/{session}/f1",
        "headers": [(b"content-length", str(size).encode())] if size is not None else [],
    }
    monkeypatch.setenv("MMREC_LISTENS", "0.0.0.0")
    found = uploads.Limits(lambda session: session != "nobody")

    def comes(session: str, size: int, now: float) -> bool:
        admitted = found.admits(request(session, size), now)
        if admitted:
            found.count(session, size, now)
        return admitted

    assert comes("a", 30 * uploads.MIB, 0) and not comes("a", 30 * uploads.MIB, 0)
    assert not found.admits(request("b", None), 0) and not found.admits(request("b", "-1"), 0)
    assert not found.admits(request("nobody", 5), 0), "a session that is not connected uploads nothing"
    for headers in ([(b"transfer-encoding", b"chunked")], [(b"content-length", b"7")]):
        twice = request("b", 5)
        twice["headers"] += headers
        assert not found.admits(twice, 0), "a second statement of the length could be a lie"
    assert all(found.admits(request(f"s{n}", 40 * uploads.MIB), 1) for n in range(20)), "only what comes is counted"
    assert sum(comes(f"s{n}", 40 * uploads.MIB, 1) for n in range(20)) == 6
    assert not comes("c", 40 * uploads.MIB, 2) and comes("c", 40 * uploads.MIB, uploads.WINDOW_S + 2)
    uploads.owners.add("host")
    assert all(found.admits(request("host", 60 * uploads.MIB), 2) for _ in range(9))
    uploads.owners.discard("host")
    monkeypatch.setenv("MMREC_LISTENS", "localhost")
    assert found.admits(request("a", 60 * uploads.MIB), 2)


def test_an_upload_ends_where_the_limit_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are counted as they come, whatever was stated."""
    import asyncio

    monkeypatch.setenv("MMREC_LISTENS", "0.0.0.0")
    found = uploads.Limits(lambda session: True)
    scope = {"path": "/_stcore/upload_file/a/f1", "headers": []}

    async def receive() -> Any:
        return {"type": "http.request", "body": bytes(16 * uploads.MIB), "more_body": True}

    async def upload() -> list[str]:
        receiving = found.counting(scope, receive)
        return [(await receiving())["type"] for _ in range(3)]

    assert asyncio.run(upload()) == ["http.request", "http.request", "http.disconnect"]


def test_a_page_at_another_port_is_another_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the app listens on all addresses; a name that was given may be asked for by a proxy."""
    monkeypatch.setenv("MMREC_NAMES", ",".join(launch.served_names("0.0.0.0", ["lab.example.org"])))
    check = HostCheck(None)  # type: ignore[arg-type]
    own = next(name for name in launch.served_names("0.0.0.0") if name[0].isdigit() and not name.startswith("127"))
    headers = lambda host, origin: [(b"host", host.encode()), (b"origin", origin.encode())]
    assert check.allows(headers(f"{own}:8501", f"http://{own}:8501"))
    assert not check.allows(headers(f"{own}:8501", f"http://{own}:9955"))
    assert not check.allows(headers("localhost:8501", f"http://{own}:9955"))
    assert check.allows(headers("localhost:8501", "https://lab.example.org"))


def test_visitors_keep_to_their_own_cases(on_the_network: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """They add and change their own; those of the host and of others stay; numbers are bounded."""
    demo = on_the_network
    ownership.guard(None)
    mine = lambda note, film="1": error_annotations.case("film", film=film, note=note, tags=("t",))
    error_annotations.put(demo, mine("the host's"))
    for name in ("ada", "bob"):
        ownership.guard(no, True, lambda name=name: name)  # type: ignore[misc]
        error_annotations.put(demo, mine(f"{name}'s"))
    stolen = next(c for c in error_annotations.cases(demo) if c.author == "ada")
    error_annotations.put(demo, stolen.model_copy(update={"note": "", "tags": ()}))  # with Ada's id, as Bob
    assert sorted(c.note for c in error_annotations.cases(demo)) == ["ada's", "the host's"]
    for field, size in (("film", 501), ("run", 501), ("link", 4001)):
        with pytest.raises(MMRecError, match=field):
            error_annotations.case("film", **{field: "x" * size})
    with pytest.raises(MMRecError, match="tags"):
        error_annotations.case("film", film="1", tags=tuple(f"t{n}" for n in range(51)))
    monkeypatch.setattr(error_annotations, "OF_ONE", 3)
    with pytest.raises(MMRecError, match="no further cases"):
        error_annotations.put(demo, *(mine("more", str(film)) for film in range(4)))
    with pytest.raises(MMRecError, match="Only the owner"):
        error_annotations.rename(demo, "t", "u")
    assert "ada" not in error_annotations.as_csv(error_annotations.cases(demo)).replace("ada's", "")
    ownership.guard(None)
    error_annotations.remove(demo, [c.id for c in error_annotations.cases(demo)])


def test_visitors_replace_no_slice(on_the_network: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = on_the_network
    ownership.guard(None)
    slices.save(demo, "the host's", range(3))  # type: ignore[arg-type]
    ownership.guard(no, True, lambda: "ada")
    with pytest.raises(MMRecError, match="already"):
        slices.save(demo, "the host's", [0])  # type: ignore[arg-type]
    slices.save(demo, "ada's", [0])  # type: ignore[arg-type]
    for _ in range(2):  # a passing selection is each visitor's own, and replaced by the next
        slices.save(demo, slices.passing("last selection"), [0])  # type: ignore[arg-type]
    ownership.guard(no, True, lambda: "bob")
    slices.save(demo, slices.passing("last selection"), [1])  # type: ignore[arg-type]
    assert {"last selection ada", "last selection bob"} < set(slices.names(demo))
    monkeypatch.setattr(slices, "MOST", 2)
    for name, says in (("another", "only the owner"), ("mine bob", "only the owner"), ("last filter x", "already")):
        with pytest.raises(MMRecError, match=says):
            slices.save(demo, name, [0])  # type: ignore[arg-type]
    monkeypatch.setattr(slices, "MOST_PASSING", 2)
    slices.save(demo, slices.passing("last filter"), [1])  # type: ignore[arg-type]
    assert "last selection ada" not in slices.names(demo), "the oldest passing selection makes room"
    assert {"last selection bob", "last filter bob", "the host's"} < set(slices.names(demo))
    ownership.guard(None)
    for name in slices.names(demo):
        slices.remove(demo, name)


def fetched(url: str, **headers: str) -> int:
    """The status of an answer; streams are closed at once."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_over_http_and_in_a_browser(
    browser: Any, demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Foreign hosts and sites reach no stream; a stream holds two numbers; paths lead nowhere; names are text."""
    import shutil

    home = tmp_path / "home"
    shutil.copytree(demo.folder, home / "datasets" / "demo", ignore=shutil.ignore_patterns("features", "maps"))
    monkeypatch.setenv("MMREC_HOME", str(home))
    classroom = store.create("demo", MARKUP)
    store.join(classroom.code, MARKUP[:24], "x")
    monkeypatch.setenv("MMREC_LISTENS", "0.0.0.0")
    server, url = serve(home)
    try:
        stream = f"{url}/app/class/{classroom.id}/changes"
        with urllib.request.urlopen(stream, timeout=30) as answer:
            assert answer.readline().decode().strip() == "data: 1 2"
            assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert fetched(stream, Host="evil.example") == 403
        assert fetched(stream, Origin="http://evil.example") == 403
        for path in ("../../people.sqlite", "..%2f..%2fpeople.sqlite", "people.sqlite", "%00"):
            assert fetched(f"{url}/app/class/{path}") in {200, 400, 404}  # 200 is the app's own page
            assert fetched(f"{url}/app/static/thumbs/{path}") in {400, 404}
        with urllib.request.urlopen(f"{url}/app/class/nobody/changes", timeout=30) as answer:
            assert b"gone" in answer.read()
        for said in conversation(url, f"code={classroom.code}"):
            assert not any(path.encode() in said for path in (str(home), str(ROOT), ownership.token()))
        for address in (
            f"{url}/class?class={classroom.id}&owner={ownership.token()}",
            f"{url}/class?view=projector&key={classroom.projector}",
            f"{url}/class?code={classroom.code}",
        ):
            page = window(browser).new_page()
            page.set_default_timeout(60_000)
            alarms: list[str] = []
            page.on("dialog", lambda dialog, alarms=alarms: (alarms.append(dialog.message), dialog.dismiss()))
            page.goto(address)
            page.locator("h1, h2, h3").first.wait_for()
            page.wait_for_timeout(500)
            assert not alarms and page.locator("img[src=x]").count() == 0
            page.context.close()
    finally:
        end(server)
