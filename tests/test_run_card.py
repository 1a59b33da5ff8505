"""How jobs are shown: cards that tell apart what differs, few of them, and a time left that does not stand still."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrec_core import runs, storage
from mmrec_core.runs import Run
from pages.parts import layout, run_card
from pages.parts.run_card import title


def evaluation(protocol: str, regime: str = "frozen") -> Run:
    params = {"dataset": "demo", "model": "ease", "protocol": protocol, "regime": regime}
    return Run(Path("run"), {"kind": "evaluate", "status": "queued", "params": params})


def test_two_evaluations_of_one_model_are_told_apart() -> None:
    titles = {title(evaluation(p, r)) for p in ("full", "sampled:1", "sampled:100") for r in ("frozen", "stream")}
    assert len(titles) == 6
    assert title(evaluation("sampled:1")).endswith("1 sampled negative")


def test_two_maps_of_one_encoder_are_told_apart() -> None:
    params = {"dataset": "demo", "model": "mini_clip", "encoder": "mini_clip"}
    maps = [Run(Path("run"), {"kind": "project", "params": {**params, "view": v}}) for v in ("text", "image", "both")]
    assert len({title(run) for run in maps}) == 3


def run_with(home: Path, *steps: tuple[float, int, str]) -> Run:
    run = Run(storage.open_home() / "runs" / "r", {"kind": "train", "status": "running", "params": {}, "started": 0.0})
    run.folder.mkdir(parents=True, exist_ok=True)
    lines = [{"kind": "progress", "time": t, "done": done, "total": 100, "what": what} for t, done, what in steps]
    (run.folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return run


def test_the_time_left_goes_down_between_two_reports(home: Path) -> None:
    """Ten of a hundred steps in 10 s leave 80 s after twenty; 30 s later 50 s; when it is used up nothing is said."""
    run = run_with(home, (100.0, 10, "training"), (110.0, 20, "training"))
    assert runs.remaining(run, now=110.0) == pytest.approx(80)
    assert runs.remaining(run, now=140.0) == pytest.approx(50)
    assert runs.remaining(run, now=195.0) is None


def test_a_step_that_just_began_says_nothing(home: Path) -> None:
    assert runs.remaining(run_with(home, (100.0, 90, "training"), (101.0, 1, "ranking")), now=101.0) is None


def test_a_page_is_not_drawn_anew_below_an_open_dialog(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would close. The change is noticed once the dialog is closed."""
    session: dict[str, object] = {}
    monkeypatch.setattr(run_card.st, "session_state", session)
    assert not run_card.changed("live", ["a"]), "the first look"
    session[layout.DIALOG] = True
    assert not run_card.changed("live", ["a", "b"])
    session[layout.DIALOG] = False
    assert run_card.changed("live", ["a", "b"]) and not run_card.changed("live", ["a", "b"])


def test_a_page_that_answers_a_click_is_not_drawn_anew_before_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that began a moment before the click would lose it."""
    session: dict[str, object] = {"live": ["a"], "framed": True}
    monkeypatch.setattr(run_card.st, "session_state", session)
    assert not run_card.changed("live", ["a", "b"]) and session["live"] == ["a", "b"]
    session["framed"] = False
    assert not run_card.changed("live", ["a", "b"]) and run_card.changed("live", ["b"])
