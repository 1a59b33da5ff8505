"""What participants of a study see of a class."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mmrec_core.classroom import experiment
from mmrec_core.classroom.store import Rating
from mmrec_core.serving import answers
from mmrec_core.types import Dataset
from pages.parts.classroom import participant_view
from pages.parts.study import blinding


@pytest.mark.parametrize("takes_part", [False, True])
def test_a_class_shows_no_list_to_who_takes_part_in_a_study(
    demo: Dataset, monkeypatch: pytest.MonkeyPatch, takes_part: bool
) -> None:
    """The class names its model, so its list would tell which of the study's lists is that model's."""
    asked: list[Any] = []
    monkeypatch.setattr(answers, "ask", lambda run, histories: asked.append(histories) or [None])
    monkeypatch.setattr(experiment, "trained", lambda dataset: {"ease": object()})
    monkeypatch.setattr(blinding, "unfinished", lambda: object() if takes_part else None)
    item = experiment.plain_id(demo.items.raw[0])
    classroom: Any = SimpleNamespace(plan={"model": "ease", "items": [item]})
    participant_view.ask(classroom, [Rating("p", item, 4.0, 0, False, 1.0)], demo)
    assert len(asked) == (0 if takes_part else 1)
