"""Attention over a history beside the effect of removing each film."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import hidden
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset
from pages.parts import navigation
from pages.parts.evaluated_models import as_history, columns_of
from pages.parts.inside.component import component, film, given, keep
from pages.parts.inside.person import choose_person

TITLE = "Attention"
ORDER = "40"
QUESTION = "Does attention say why a film is recommended?"
LOOK = "Choose another recommended film: the attention weights stay the same, the effects of removing a film do not."
MODELS = (
    "sasrec",
    "bert4rec",
    "sse_pt",
    "sasrec_ce",
    "sasrec_multimodal",
    "bert4rec_multimodal",
    "sse_pt_multimodal",
    "lightgt",
)
LISTED = 6
_ATTENTION = component("attention")


@st.cache_data(max_entries=64, show_spinner="Removing each film in turn …")
def found_for(
    run_id: str, checksum: str, columns: tuple[bytes, bytes | None, bytes | None], _dataset: Dataset
) -> list[dict[str, Any]]:
    """For each of the first films: its score, attention and removals, as the script reads them."""
    from mmrec_core.inside import history_attention

    recommender.use_threads(1)
    run, history = runs.get(run_id), as_history(*columns)
    model = recommender.load_run_model(run.folder)
    seen = hidden(run.params["protocol"], history.items)
    first, _ = model.recommend_rows(model.fold_in([history]), [seen], LISTED)[0]
    out = []
    for item in first:
        found = history_attention.read(model, history, int(item))
        attention = found.attention
        rows = attention.items[found.films]
        out.append(
            {
                **film(_dataset, int(item)),
                "id": str(_dataset.items.raw[item]),
                "score": found.score,
                "films": [film(_dataset, int(row)) for row in rows],
                "names": attention.names,
                "weights": [[float(f"{w:.4g}") for w in line[found.films]] for line in attention.weights],
                "rest": [float(f"{r:.4g}") for r in attention.rest],
                "before": [float(f"{w:.4g}") for w in attention.weights[:, : found.films[0]].sum(1)],
                "rest_name": attention.rest_name,
                "earlier": len(attention.items) - len(rows),
                "effects": [float(f"{e:.4g}") for e in found.effects],
                "agreement": None if np.isnan(found.agreement) else round(found.agreement, 2),
            }
        )
    return out


@navigation.fragment
def draw(dataset: Dataset, run: runs.Run) -> None:
    """The view."""
    person = choose_person(dataset, run)
    if person is None:
        return
    columns = columns_of(person.history)
    found = found_for(run.id, dataset.checksum, columns, dataset)
    if not found:
        raise MMRecError("The model recommends nothing for these ratings. Choose another user.")
    ids = [own["id"] for own in found]
    asked = given("see", "inside.attention", "see", f"{run.id} {hash(columns)}")
    _ATTENTION(
        key="inside.attention",
        data={
            "recommended": found,
            "chosen": ids.index(asked) if asked in ids else 0,
            "looks": f"{run.id} {hash(columns)}",
        },
        on_see_change=lambda: keep("see", "inside.attention", "see"),
    )
    st.caption(
        "Attention: softmax weights of the position that the prediction is read from. Effect: the score minus the score"
        " of the same history without that film, with the model’s weights fixed; exact for this model, without"
        " retraining. Agreement: Spearman’s rank correlation of the mean weight and the size of the effect. A weight"
        " says how much of a film’s vector is mixed in, not what that does to the score (Jain and Wallace 2019)."
    )
