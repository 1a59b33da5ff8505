"""The lists that a person compares: computed from their ratings, without a trace of which model made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.serving import answers, elicitation, recommender
from mmrec_core.studies.assignment import Assignment
from mmrec_core.studies.definition import INTERLEAVED, Definition
from mmrec_core.studies.interleaving import team_draft
from mmrec_core.types import Dataset


def run_of(dataset: Dataset, name: str) -> runs.Run:
    """The finished training run of a model's name, or with this id.

    Raises:
        MMRecError: there is none.
    """
    found = runs.finished(dataset).get(name)
    if found is None:
        found = next((r for r in runs.all_runs() if r.id == name and r.kind == "train" and r.has_model), None)
    if found is None or found.params["dataset"] != dataset.name:
        raise MMRecError(f"No finished training run of '{name}' on {dataset.name}. Train it, or name another model.")
    return found


def films_to_rate(study_id: str, dataset: Dataset, n: int) -> list[int]:
    """Item rows of the films that everybody in a study is offered. They follow from its public id: drawn from its seed,
    they would let participants search for the seed, which decides whose list is whose."""
    return [int(row) for row in elicitation.spread(dataset, n, seed=int(study_id, 16))]


def make(
    dataset: Dataset, definition: Definition, shown: Assignment, ratings: Mapping[Any, float]
) -> dict[str, list[int]]:
    """What a person sees.

    Args:
        dataset: the study's dataset.
        definition: the study.
        shown: the person's assignment.
        ratings: their ratings by raw item id.

    Returns:
        ``first`` and ``second``: item rows, best first; for an interleaved list ``items`` and ``teams``.

    Raises:
        MMRecError: a model is no longer there, or cannot be used.
    """
    history = recommender.history(dataset, dict(ratings))
    rated = {dataset.items.row(item, "film id") for item in ratings}
    asked = [answers.ask(run_of(dataset, name), [history])[0] for name in (shown.first, shown.second)]
    one, other = ([int(i) for i in future.result().items if int(i) not in rated] for future in asked)
    if definition.layout == INTERLEAVED:
        found = team_draft(one, other, definition.list_length, shown.seed)
        return {"items": list(found.items), "teams": list(found.teams)}
    return {"first": one[: definition.list_length], "second": other[: definition.list_length]}
