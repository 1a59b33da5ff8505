"""Queue everything that a demo shows, in the order in which visitors meet it, so that no page of it is empty."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from mmrec_core import runs
from mmrec_core.analysis import ablation, lesson_values, lessons
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset

FIRST = ("popularity", "random", "bias", "itemknn", "ease", "bpr")
"""Models that Cold start and Compare show first: closed forms, which take seconds, and one trained by gradients."""
CONTENT_AND_SEQUENCE: dict[str, dict[str, Any]] = {
    "lightgcn_multimodal": {"max_epochs": 25},
    "gru4rec": {"max_epochs": 12},
}
"""A model that reads plots and posters (New film asks it about a film of the visitor's own), and a sequence model, with
their settings. On the demo both have reached their best validation score, or nearly, after so many epochs; trained to
the end they would take most of the time that the other runs take together."""
CURVE_MODELS = ("bpr", "ease", "itemknn")
ABLATION = ("lightgcn_multimodal", ("features",), (0,))
"""Model, settings and seeds of a small ablation: what plots and posters add. The model's settings are those of above,
so that its training is one of the arms."""
ROUNDS = 4
"""A lesson's question may need the results of another one first, so its runs are looked up this often."""
POLL_S = 2.0


def showcase(name: str, going: Callable[[], bool] = lambda: True) -> None:
    """Queue the runs of a demo; returns when the last ones are queued.

    First the baseline models that take least and the encoders, which also bring the maps; then a model with content and
    a sequence model; the other baseline models; the cold-start curve; what the lessons still need; an ablation; and the
    oracles. What exists is not computed again. On the demo all of it takes about five minutes of one core.

    Args:
        name: the dataset.
        going: whether to go on; asked while the function waits for runs to end.
    """
    dataset = preparation.open_dataset(name)
    runs.start_all(name, _able(dataset, FIRST))
    _queue(dataset, [("encode", runs.encoding_params(name, e)) for e in runs.usual_encoders(dataset)])
    if not _wait(name, going, {"encode"}):
        return
    dataset = preparation.open_dataset(name)
    chosen = {model: CONTENT_AND_SEQUENCE[model] for model in _able(dataset, tuple(CONTENT_AND_SEQUENCE))}
    _queue(dataset, [("train", runs.training_params(name, m, options=how)) for m, how in chosen.items()])
    runs.start_all(name, _able(dataset, runs.SHOWN_FIRST))
    if models := _able(dataset, CURVE_MODELS):
        _queue(dataset, [("crossing", runs.crossing_params(name, models))])
    for _ in range(ROUNDS):
        if not _wait(name, going, {"train", "encode", "evaluate", "crossing"}):
            return
        if not _queue(dataset, _for_lessons(dataset)):
            break
    model, over, seeds = ABLATION
    if model in runs.usable_models(dataset):
        base = {"options": CONTENT_AND_SEQUENCE.get(model, {})}
        ablation.start(ablation.load(ablation.save(dataset, model, over, seeds, base)))
    runs.start_all(name)


def _able(dataset: Dataset, models: Sequence[str]) -> list[str]:
    usable = runs.usable_models(dataset)
    return [model for model in models if model in usable]


def _for_lessons(dataset: Dataset) -> list[tuple[str, dict[str, Any]]]:
    """Runs that questions of lessons wait for."""
    wanted: list[tuple[str, dict[str, Any]]] = []
    for lesson in lessons.lessons():
        for step in lesson.steps:
            try:
                found = lesson_values.fill_step(step, dataset)
            except MMRecError:  # a question that these data cannot answer
                continue
            wanted += [w for w in found.wanted if w not in wanted]
    return wanted


def _queue(dataset: Dataset, wanted: list[tuple[str, dict[str, Any]]]) -> int:
    """Start what is neither finished nor running nor failed before; returns how many."""
    known = [(run.kind, run.params) for run in runs.all_runs() if run.record.get("data") in {None, dataset.checksum}]
    todo = [w for w in wanted if w not in known]
    for kind, params in todo:
        runs.start(kind, params)
    return len(todo)


def _wait(name: str, going: Callable[[], bool], kinds: set[str]) -> bool:
    """Wait until no run of these kinds is queued or running on the dataset; whether to go on."""
    while going():
        live = [run for run in runs.all_runs() if run.status in runs.LIVE and run.kind in kinds]
        if not any(run.params.get("dataset") == name for run in live):
            return True
        time.sleep(POLL_S)
    return False
