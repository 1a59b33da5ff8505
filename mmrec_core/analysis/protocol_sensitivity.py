"""The same models judged in other ways, side by side: how much of a ranking of models is the protocol's doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmrec_core import metrics, runs
from mmrec_core.analysis.comparison import NOT_RECORDED, Key, Row
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import Protocol
from mmrec_core.types import Dataset


@dataclass(frozen=True)
class Way:
    """One way of judging: candidates, split and how ties are told."""

    name: str
    protocol: str = "full"
    split: str | None = None
    """``None``: the split that the models learned from; another needs a training of its own."""
    optimistic: bool = False
    about: str = ""


WAYS = (
    Way("every film", about="Each liked film is ranked among all films the person has not seen: what a real system has to do."),
    Way("100 drawn", "sampled:100", about="Among 100 films drawn at random: easier, and models come closer."),
    Way("1 drawn", "sampled:1", about="Among one film drawn at random: MRR is then (1 + AUC) / 2, and NDCG starts at .63 + .37 × AUC."),
    Way("100 popular drawn", "sampled:100:popularity",
        about="Among 100 films drawn by how often they were rated: knowing what is popular no longer helps."),
    Way("ties optimistic", optimistic=True, about="Among all films, but the liked film comes first wherever scores tie: a model that says "
        "the same of every film looks perfect."),
    Way("random split", split="random:80-10-10", about="Trained and tested on ratings drawn at random, so the future is known while the past is asked."),
    Way("one point in time", split="chronological:70-15-15", about="Trained on everything before a moment, tested on everything after."),
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One model in one way: its figure, or the run that would give it."""

    value: float | None
    interval: Any = None
    wanted: tuple[str, dict[str, Any]] | None = None
    """Kind and params for :func:`mmrec_core.runs.start`; ``None`` where the figure is there, or cannot be."""
    why_not: str = ""


def lab(
    dataset: Dataset, found: Sequence[Row], chosen: Sequence[Row], metric: str, ways: Sequence[Way] = WAYS
) -> dict[str, dict[str, Cell]]:
    """Label → way → cell, for models of one key (``chosen``) out of everything that was judged (``found``)."""
    by = {(row.key, row.description): row for row in found}
    return {row.label: {way.name: _cell(dataset, by, row, way, metric) for way in ways} for row in chosen}


def _cell(dataset: Dataset, by: dict[tuple[Key, str], Row], row: Row, way: Way, metric: str) -> Cell:
    own = Protocol.parse(row.key.protocol).on(dataset)  # what is hidden, and which items exist, stay as they are
    same = replace(Protocol.parse(way.protocol), seen=own.seen, existing=own.existing)
    way = replace(way, protocol=same.name(dataset))
    if way.split is None:
        key = replace(row.key, protocol=way.protocol, regime="frozen")
        there = row if key == row.key else by.get((key, row.description))
        if there is None:
            if row.trained is None:
                wanted = {**row.run.params, "protocol": way.protocol, "regime": "frozen"}
                return Cell(None, wanted=("evaluate", wanted))
            try:
                asked = runs.evaluation_params(row.trained, way.protocol, "frozen", row.key.relevant_from)
            except MMRecError as error:
                return Cell(None, why_not=str(error))
            return Cell(None, wanted=("evaluate", asked))
    else:
        there = next((r for (k, text), r in by.items() if text == row.description and k.split == way.split
                      and (k.protocol, k.regime, k.filter_from, k.beyond, k.known)
                      == (way.protocol, "frozen", row.key.filter_from, row.key.beyond, row.key.known)), None)  # fmt: skip
        if there is None:
            if row.trained is None:
                return Cell(None, why_not="Oracles are asked on one split.")
            if row.key.known == NOT_RECORDED:
                return Cell(None, why_not="A result of an earlier version; train the model again.")
            try:
                trained = runs.get(row.trained).params
                asked = runs.training_params(dataset.name, trained["model"], **{
                    k: v for k, v in trained.items() if k in runs.USUAL and k not in {"split", "protocol", "regime"}
                }, split=way.split, protocol=way.protocol, regime="frozen")  # fmt: skip
            except MMRecError as error:
                return Cell(None, why_not=str(error))
            return Cell(None, wanted=("train", asked))
    if way.optimistic:
        told = (there.result.get("optimistic") or {}).get(metric)
        if told is None and metrics.metric(metric).kind == "ranking" and there.trained is not None:
            again = runs.evaluation_params(there.trained, there.key.protocol, "frozen", row.key.relevant_from)
            return Cell(None, wanted=("evaluate", again))
        return Cell(told)
    return Cell(there.result["metrics"].get(metric), there.result["intervals"].get(metric))


def ranks(table: dict[str, dict[str, Cell]], metric: str) -> dict[str, dict[str, int]]:
    """Label → way → place, 1 the best, equal figures sharing one; only for ways in which every model that can have a figure has it: places among four and
    among six are not the same thing."""
    sign = 1 if metrics.metric(metric).better == "lower" else -1
    found: dict[str, dict[str, int]] = {label: {} for label in table}
    for name in {n: None for cells in table.values() for n in cells}:
        if any(cells[name].value is None and cells[name].wanted is not None for cells in table.values()):
            continue
        there = {label: sign * cells[name].value for label, cells in table.items() if cells[name].value is not None}  # type: ignore[operator]
        for label, value in there.items():
            found[label][name] = 1 + sum(other < value - 1e-12 for other in there.values())
    return found
