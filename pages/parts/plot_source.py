"""The source of a plot that is not part of the dataset."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from mmrec_core.data import enrichment


def plot_source(record: Mapping[str, Any]) -> None:
    """A link to the Wikipedia article of a plot, with its licence; nothing for other plots.

    Args:
        record: a row of the catalog.
    """
    if (address := enrichment.article_of(record)) is not None:
        st.caption(f"Plot from [Wikipedia]({address}), CC BY-SA 4.0, shortened.")
