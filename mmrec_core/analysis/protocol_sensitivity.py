"""Protocol sensitivity: the same models evaluated under several protocols, to see how much the ranking changes."""

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
    """One way of evaluation: candidates, split and handling of ties."""

    name: str
    protocol: str = "full"
    split: str | None = None
    """``None``: the split that the models were trained on; another split needs another training run."""
    optimistic: bool = False
    about: str = ""


WAYS = (
    Way(
        "full ranking",
        about="Each liked film is ranked among all films that the user has not rated, as in a real system.",
    ),
    Way("100 sampled negatives", "sampled:100", about="Among 100 random films: easier, and models come closer."),
    Way(
        "1 sampled negative",
        "sampled:1",
        about="Against one random film: MRR equals (1 + AUC) / 2, and NDCG is at least .63: .63 + .37 × AUC.",
    ),
    Way(
        "100 popularity-sampled negatives",
        "sampled:100:popularity",
        about="Among 100 films sampled by number of ratings: knowing what is popular no longer helps.",
    ),
    Way(
        "optimistic ties",
        optimistic=True,
        about="Full ranking, but a liked film comes first among equal scores: a model that scores all films "
        "the same looks perfect.",
    ),
    Way(
        "random split",
        split="random:80-10-10",
        about="Trained and tested on random ratings: later ratings are known when earlier ones are tested.",
    ),
    Way(
        "global time split",
        split="chronological:70-15-15",
        about="Trained on all ratings before one moment, tested on the later ones.",
    ),
)


@dataclass(frozen=True)
class Cell:
    """One model evaluated in one way: the metric, or the run that computes it."""

    value: float | None
    interval: Any = None
    wanted: tuple[str, dict[str, Any]] | None = None
    """Kind and parameters for :func:`mmrec_core.runs.start`; ``None`` if the value exists or is not possible."""
    why_not: str = ""


def lab(
    dataset: Dataset, found: Sequence[Row], chosen: Sequence[Row], metric: str, ways: Sequence[Way] = WAYS
) -> dict[str, dict[str, Cell]]:
    """Table of the chosen models under each way of evaluation.

    Args:
        dataset: the dataset.
        found: all results on it.
        chosen: results with one key, the rows of the table.
        metric: the metric to show.
        ways: the columns of the table.

    Returns:
        Label → name of the way → cell.
    """
    by = {(row.key, row.description): row for row in found}
    return {row.label: {way.name: _cell(dataset, by, row, way, metric) for way in ways} for row in chosen}


def _cell(dataset: Dataset, by: dict[tuple[Key, str], Row], row: Row, way: Way, metric: str) -> Cell:
    own = Protocol.parse(row.key.protocol).on(dataset)  # hidden and existing items stay the same
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
                params = runs.evaluation_params(row.trained, way.protocol, "frozen", row.key.relevant_from)
            except MMRecError as error:
                return Cell(None, why_not=str(error))
            return Cell(None, wanted=("evaluate", params))
    else:
        there = next(
            (
                r
                for (k, text), r in by.items()
                if text == row.description
                and k.split == way.split
                and (k.protocol, k.regime, k.filter_from, k.beyond, k.known)
                == (way.protocol, "frozen", row.key.filter_from, row.key.beyond, row.key.known)
            ),
            None,
        )
        if there is None:
            if row.trained is None:
                return Cell(None, why_not="Oracles are params on one split.")
            if row.key.known == NOT_RECORDED:
                return Cell(None, why_not="A result of an earlier version; train the model again.")
            try:
                trained = runs.get(row.trained).params
                params = runs.training_params(
                    dataset.name,
                    trained["model"],
                    **{
                        k: v
                        for k, v in trained.items()
                        if k in runs.DEFAULT_PARAMS and k not in {"split", "protocol", "regime"}
                    },
                    split=way.split,
                    protocol=way.protocol,
                    regime="frozen",
                )
            except MMRecError as error:
                return Cell(None, why_not=str(error))
            return Cell(None, wanted=("train", params))
    if way.optimistic:
        value = (there.result.get("optimistic") or {}).get(metric)
        if value is None and metrics.metric(metric).kind == "ranking" and there.trained is not None:
            again = runs.evaluation_params(there.trained, there.key.protocol, "frozen", row.key.relevant_from)
            return Cell(None, wanted=("evaluate", again))
        return Cell(value)
    return Cell(there.result["metrics"].get(metric), there.result["intervals"].get(metric))


def ranks(table: dict[str, dict[str, Cell]], metric: str) -> dict[str, dict[str, int]]:
    """Label → way → rank (1 is best, ties share a rank).

    Ways for which a model still lacks its value are left out, because ranks among fewer models are not comparable.
    """
    sign = 1 if metrics.metric(metric).better == "lower" else -1
    found: dict[str, dict[str, int]] = {label: {} for label in table}
    for name in {n: None for cells in table.values() for n in cells}:
        if any(cells[name].value is None and cells[name].wanted is not None for cells in table.values()):
            continue
        there = {label: sign * cells[name].value for label, cells in table.items() if cells[name].value is not None}  # type: ignore[operator]
        for label, value in there.items():
            found[label][name] = 1 + sum(other < value - 1e-12 for other in there.values())
    return found
