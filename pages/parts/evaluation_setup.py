"""Which results may stand together: the choice that Compare and Errors begin with."""

from __future__ import annotations

import streamlit as st

from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import Key, Row
from mmrec_core.types import Dataset


def choose_setup(found: list[Row], dataset: Dataset) -> Key:
    """A select box of all keys, the usual one first chosen."""
    known = comparison.keys(found)
    count = {k: sum(r.key == k and r.kind != "oracle" for r in found) for k in known}
    named = {f"{k} {k.split_checksum}": k for k in known}
    usual = next((i for i, k in named.items() if k == comparison.usual_key(dataset, found)), next(iter(named)))
    chosen = st.selectbox(
        "Evaluation setup",
        [*named],
        index=[*named].index(usual),
        key=f"key.{dataset.name}",
        format_func=lambda i: f"{named[i]} — {count[named[i]]} result{'s' if count[named[i]] != 1 else ''}",
        help=(
            "Figures stand in one table only where split, threshold, candidates, protocol and regime agree, and where"
            " all models were fitted on the same rows: training rows alone, or training and validation rows (Refit)."
        ),
    )
    return named[chosen or usual]


def rows_of_setup(found: list[Row], key: Key) -> list[Row]:
    """Results of a key, baselines and oracles among them."""
    return [
        r
        for r in found
        if r.key == key
        or (r.key == key.fair and r.usual and r.model in comparison.BASELINES)
        or (r.key == key.of_oracles and r.kind == "oracle")
    ]
