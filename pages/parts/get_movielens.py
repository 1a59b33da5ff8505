"""The offer to fetch MovieLens 100K with posters and plots."""

from collections.abc import Callable

import streamlit as st

from mmrec_core import runs
from mmrec_core.data import enrichment, preparation
from mmrec_core.errors import MMRecError

NAME = "ml-100k"
REQUEST = {"reader": NAME, "dataset": NAME, "options": {}, "enrich": list(enrichment.ONLINE)}
ENOUGH = 0.5
"""Share of films with a poster, and with a plot, from which on nothing is offered."""
WHAT = (
    "Real films, no account needed: 100,000 ratings that MovieLens users gave to 1,682 films, about 1,600 posters and"
    " as many plots from Wikipedia. The download is about 100 MB and takes about ten minutes, because requests are sent"
    " at a limited rate. You can stop the download and resume it later."
)


def wanted() -> bool:
    """Whether the offer is shown: the dataset is not prepared, or most of its films lack a poster or a plot."""
    if NAME not in preparation.prepared():
        return True
    try:
        cover = preparation.open_dataset(NAME).manifest["coverage"]
    except MMRecError:
        return True
    return any(cover.get(column, {}).get("films", 0) < ENOUGH for column in ("poster", "plot"))


def get_movielens(start: Callable[[dict[str, object]], None]) -> None:
    """A card with a button that queues the preparation; nothing once the dataset has posters and plots.

    Args:
        start: queues a preparation and draws the page anew, or shows why it cannot.
    """
    if not wanted():
        return
    fetching = any(
        run.kind == "prepare" and run.status in runs.LIVE and run.params.get("enrich") == REQUEST["enrich"]
        for run in runs.all_runs()
    )
    with st.container(border=True, key="get-movielens"):
        st.caption(WHAT)
        if st.button(
            "Get MovieLens 100K with posters and plots",
            icon=":material/download:",
            disabled=fetching,
            help="It is being fetched; see Running jobs." if fetching else None,
            key="get_movielens",
        ):
            start(dict(REQUEST))
