"""The memory of a temporal graph network over a user's events; take an event out and see what changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from mmrec_core import runs
from mmrec_core.evaluation.protocols import hidden
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset
from pages.parts import navigation
from pages.parts.evaluated_models import as_history, columns_of
from pages.parts.inside.component import component, film, given, keep
from pages.parts.inside.person import choose_person

TITLE = "Memory"
ORDER = "45"
QUESTION = "What does a memory remember?"
LOOK = "Take an early film out: the memory soon forgets that it was there. Then take out the latest one."
MODELS = ("tgn", "mm_tgn", "jodie", "dyrep")
LISTED = 6
_MEMORY = component("memory")


@st.cache_data(max_entries=64, show_spinner="Following the memory …")
def found_for(
    run_id: str, checksum: str, columns: tuple[bytes, bytes | None, bytes | None], _dataset: Dataset
) -> dict[str, Any]:
    """The course of a memory, as the script reads it."""
    from mmrec_core.inside import memory_course

    recommender.use_threads(1)
    run, history = runs.get(run_id), as_history(*columns)
    model = recommender.load_run_model(run.folder)
    seen = hidden(run.params["protocol"], history.items)
    first, _ = model.recommend_rows(model.fold_in([history]), [seen], LISTED)[0]
    found = memory_course.course(model, history, int(first[0]))
    short = lambda values: [float(f"{v:.4g}") for v in values]
    return {
        "film": film(_dataset, int(first[0])),
        "score": found.score,
        "events": [
            {**film(_dataset, int(item)), "date": datetime.fromtimestamp(int(time), UTC).strftime("%-d %b %Y, %H:%M")}
            for item, time in zip(found.items, found.times, strict=True)
        ],
        "times": found.times.tolist(),
        "before": found.before,
        "moved": short(found.moved),
        "length": short(found.length),
        "without": [short(line) for line in found.without],
        "effects": short(found.scores),
    }


@navigation.fragment
def draw(dataset: Dataset, run: runs.Run) -> None:
    """The view."""
    person = choose_person(dataset, run)
    if person is None:
        return
    columns = columns_of(person.history)
    found = found_for(run.id, dataset.checksum, columns, dataset)
    _MEMORY(
        key="inside.memory",
        data={**found, "out": given("out", "inside.memory", "out", run.id), "looks": f"{run.id} {hash(columns)}"},
        on_out_change=lambda: keep("out", "inside.memory", "out"),
    )
    st.caption(
        "The memory is computed as for a new user (fold-in): it starts at zero, and each like sends a message, made of"
        " the film’s state, the rating and the time since the last event, that updates it. Films keep the state that"
        " they have after training. Distances are Euclidean, in percent of the memory’s length after the same event."
        " The effect on the score compares two fold-ins, with and without the event; weights are fixed."
    )
