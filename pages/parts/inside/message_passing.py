"""Messages in LightGCN's graph, layer by layer, and what they contribute to one score."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.evaluation.protocols import hidden
from mmrec_core.serving import recommender
from mmrec_core.types import Array, Dataset, History
from pages.parts import navigation
from pages.parts.evaluated_models import as_history, columns_of
from pages.parts.inside.component import component, film, given, keep
from pages.parts.inside.person import Person, choose_person

TITLE = "Message passing"
ORDER = "30"
QUESTION = "How does a graph model recommend a film?"
LOOK = (
    "Press Play: vectors flow from the film over the people who like it and the films that they share with the user."
    " Then add layers and see the films’ last layers become alike."
)
MODELS = ("lightgcn", "lightgcn_multimodal")
LISTED = 6
_GRAPH = component("message_passing")


@st.cache_data(max_entries=64, show_spinner="Passing messages …")
def found_for(
    run_id: str, checksum: str, row: int, columns: tuple[bytes, bytes | None, bytes | None], _dataset: Dataset
) -> dict[str, Any]:
    """Everything that the script shows of one user: the first films, their shares, and other depths."""
    from mmrec_core.inside import message_passing as passing

    recommender.use_threads(1)
    run, history = runs.get(run_id), as_history(*columns)
    model = recommender.load_run_model(run.folder)
    person = passing.known_person(model, row) if row >= 0 else passing.new_person(model, history)
    seen = np.union1d(hidden(run.params["protocol"], history.items), person.films)
    layers = passing.item_layers(model)
    films = passing.ranked(model, person, LISTED, seen)
    return {
        "films": [one(model, person, layers, int(item), _dataset) for item in films],
        "depths": depths(model, row, history, seen, _dataset),
        "layers": int(model.config.layers),
        "learned": person.learned,
        "likes": len(person.films),
        "content": bool(model.side) and str(run.params["model"]).endswith("multimodal"),
    }


def one(model: Any, person: Any, layers: Array, item: int, dataset: Dataset) -> dict[str, Any]:
    """A recommended film: its score, the shares of it, and the part of the graph that is drawn."""
    from mmrec_core.inside import message_passing as passing

    parts = passing.shares(person, layers, item)
    graph = passing.ego_graph(model, person, parts)
    drawn = [
        {
            **film(dataset, int(person.films[at])),
            "share": float(parts.films[at]),
            "weight": float(person.weights[at]),
            "likes": int(likes),
        }
        for at, likes in zip(graph.films, graph.likes, strict=True)
    ]
    return {
        **film(dataset, item),
        "id": str(dataset.items.raw[item]),
        "score": parts.score,
        "own": parts.own,
        "others": float(parts.films.sum() - parts.films[graph.films].sum()),
        "n_others": len(parts.films) - len(graph.films),
        "by_layer": [float(v) for v in parts.layers],
        "liked": drawn,
        "people": [str(dataset.users.raw[user]) for user in graph.people],
        "edges": [[float(f"{w:.4g}") for w in line] for line in graph.film_people],
        "to_item": [float(f"{w:.4g}") for w in graph.people_item],
        "fans": graph.fans,
    }


def depths(model: Any, row: int, history: History, seen: Array, dataset: Dataset) -> list[dict[str, Any]]:
    """The same weights with 0 to 8 layers."""
    from mmrec_core.inside import message_passing as passing

    found = passing.depths(model, row, history if row < 0 else None, LISTED, seen)
    return [
        {
            "layers": d.layers,
            "similarity": d.similarity,
            "mixed": d.mixed,
            "films": [film(dataset, int(i)) for i in d.items],
        }
        for d in found
    ]


def shown(person: Person, run: runs.Run, dataset: Dataset) -> dict[str, Any]:
    """:func:`found_for` of a chosen user."""
    return found_for(run.id, dataset.checksum, person.row, columns_of(person.history), dataset)


@navigation.fragment
def draw(dataset: Dataset, run: runs.Run) -> None:
    """The view."""
    person = choose_person(dataset, run)
    if person is None:
        return
    found = shown(person, run, dataset)
    ids = [own["id"] for own in found["films"]]
    asked = given("see", "inside.graph", "see", f"{run.id} {person.row} {len(person.history)}")
    what, _, depth = asked.partition("~")
    _GRAPH(
        key="inside.graph",
        data={
            **found,
            "you": person.label,
            "chosen": ids.index(what) if what in ids else 0,
            "depth": int(depth) if depth.isdecimal() and int(depth) < len(found["depths"]) else found["layers"],
            "looks": f"{run.id} {person.row} {len(person.history)} {hash(columns_of(person.history))}",
        },
        on_see_change=lambda: keep("see", "inside.graph", "see"),
    )
    content = ", whose layer 0 of a film also contains plot and poster" if found["content"] else ""
    first = "first embedding, as learned" if found["learned"] else "first embedding of an unknown user (fold-in)"
    st.caption(
        f"{run.params['model']} with {found['layers']} layers{content}; {person.label} has {found['likes']} liked"
        " films. The eight with the largest shares are drawn, and the ten people with the heaviest paths. Score: dot"
        f" product of the means of all layers. Own part: from the user’s {first} (layer 0)."
        " Number at a film: its share, the part of the score that its messages of all layers add. Width of an edge: its"
        " weight, 1 divided by the root of the number of the user’s likes times the number of the film’s likes."
    )
