"""What a demo queues: every kind of thing that its pages show, once, and in the order in which visitors meet it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import showcase as module
from mmrec_core.jobs import worker
from mmrec_core.types import Dataset
from tests.test_train_and_compare import mine  # noqa: F401


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Runs are done at once, in this process, with short training runs."""
    done: list[tuple[str, str]] = []

    def start(kind: str, params: dict[str, Any], **more: Any) -> runs.Run:
        run = runs.create(kind, params, **more)
        done.append((kind, str(params["model"])))
        with contextlib.suppress(MMRecError):  # such as a curve, for which these users have rated too little
            worker.work(run.id, foreground=True)
        return runs.get(run.id)

    monkeypatch.setattr(runs, "start", start)
    monkeypatch.setattr(runs.queue, "start", start)
    return done


def test_everything_is_queued_once_in_order(
    mine: Dataset,  # noqa: F811
    started: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a few ratings without posters: baselines first, then the curve, lessons' evaluations, an ablation."""
    monkeypatch.setattr(module, "FIRST", ("popularity", "random"))
    monkeypatch.setattr(module, "CONTENT_AND_SEQUENCE", {"lightgcn_multimodal": {"max_epochs": 2}, "markov": {}})
    monkeypatch.setattr(module, "CURVE_MODELS", ("ease", "itemknn"))
    monkeypatch.setattr(module, "ABLATION", ("bias", (), (0,)))
    monkeypatch.setattr(module.ablation, "start", lambda study: started.append(("ablation", study["model"])))
    monkeypatch.setattr(module.ablation, "save", lambda dataset, model, over, seeds, base: model)
    monkeypatch.setattr(module.ablation, "load", lambda name: {"model": name})
    for place in (runs, runs.queue):
        monkeypatch.setattr(place, "SHOWN_FIRST", ("random", "popularity", "ease", "itemknn"))
    module.showcase(mine.name)
    kinds = [kind for kind, _ in started]
    trained = [model for kind, model in started if kind == "train"]
    assert trained[:5] == ["popularity", "random", "markov", "ease", "itemknn"], "those that take least come first"
    assert len(set(trained)) == len(trained), "each once; a lesson may need others"
    assert ("train", "markov") in started, "a sequence model; the content model has no content here and is left out"
    assert ("train", "lightgcn_multimodal") not in started
    assert kinds.index("crossing") > started.index(("train", "markov")) and kinds[-1] == "ablation"
    before = len(started)
    module.showcase(mine.name)
    again = started[before:]
    assert [kind for kind, _ in again] == ["ablation"], "nothing is computed twice"


def test_it_ends_with_the_app(mine: Dataset, started: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(module, "FIRST", ("popularity",))
    module.showcase(mine.name, going=lambda: False)
    assert [model for _, model in started] == ["popularity"], "nothing is queued after the app was closed"
