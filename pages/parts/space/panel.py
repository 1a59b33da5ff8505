"""Beside the map: the film that was opened, the films found, the films selected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import spaces
from mmrec_core.spaces.search import Found
from mmrec_core.types import Array, Dataset
from pages.parts import layout
from pages.parts.poster_grid import film_card, poster_grid
from pages.parts.space import link, search, selected_films
from pages.parts.space.sources import DrawnMap

IN_BOTH = {"mark": "hit", "says": "in both spaces"}


def panel(
    dataset: Dataset,
    maps: Sequence[DrawnMap],
    found: tuple[Found | None, str],
    selected: tuple[Array, str],
    film: bool = True,
) -> None:
    """Everything beside the map.

    Args:
        dataset: the dataset.
        maps: the map, and the map that it is compared with if there is one.
        found: films found by the search, and why there are none.
        selected: catalog rows of the selected films, and how they were selected.
        film: whether to show the film that was opened.
    """
    row = link.film(dataset)
    hits, why = found
    if row >= 0 and film:
        film_panel(dataset, row, maps)
    if why:
        st.warning(layout.escape(why), icon=":material/search_off:")
    if hits is not None:
        st.markdown(f"#### Found among {'posters' if hits.into == 'image' else 'plots'}")
        best = zip(hits.items[: search.MARKED], hits.cosine[: search.MARKED], strict=True)
        poster_grid(
            [film_card(dataset, int(item), note=f"similarity {cosine:.2f}") for item, cosine in best],
            key="hits",
            size="small",
            on_open=lambda: link.on_poster(dataset, "hits"),
            label="Films found",
        )
    rows, how = selected
    if len(rows):
        selected_films.show(dataset, rows, how)
    elif row < 0 and hits is None:
        st.info(
            "Point at a film for its nearest neighbours, click it to see it here, draw a lasso to select many, or zoom"
            " in until points become posters. By keyboard: arrows, + and −, Enter.",
            icon=":material/touch_app:",
        )
    with st.expander("Select by filter", icon=":material/filter_alt:"):
        selected_films.filter_form(dataset, maps[0].files)
    selected_films.saved_slices(dataset)


def film_panel(dataset: Dataset, row: int, maps: Sequence[DrawnMap]) -> None:
    """A film with its nearest neighbours in each space."""
    record = dataset.catalog.iloc[row]
    year = "" if pd.isna(record["year"]) else f" ({record['year']})"
    with st.container(border=True):
        with st.container(horizontal=True):
            with st.container(width=104):
                poster_grid([film_card(dataset, row)], key="the_film", size="small", label="Film")
            with st.container(width="stretch"):
                st.markdown(
                    f"**{layout.escape(str(record['title']))}{year}**  \n"
                    f":small[{layout.escape(', '.join(record['genres']))}]"
                )
                with st.container(horizontal=True):
                    if st.button("Film page", key="its_page", icon=":material/open_in_new:", type="tertiary"):
                        layout.open_film(dataset, row)
                    if st.button("Close", key="close_film", icon=":material/close:", type="tertiary"):
                        del st.query_params["film"]
                        st.rerun()
        if isinstance(record["plot"], str):
            st.caption(layout.escape(record["plot"]))
        lists = [_neighbours(row, shown.map) for shown in maps]
        common = set.intersection(*(set(items) for items, _ in lists)) if len(lists) == 2 else set()
        if len(lists) == 2 and all(items for items, _ in lists):
            n = len(lists[0][0])
            st.markdown(f"**{len(common)} of {n}** nearest neighbours are the same in both spaces.")
        for at, (column, shown, near) in enumerate(zip(st.columns(len(maps)), maps, lists, strict=True)):
            with column:
                _list(dataset, f"near-{at}", shown, near, common)


def _list(dataset: Dataset, key: str, shown: DrawnMap, near: tuple[list[int], list[str]], common: set[int]) -> None:
    """The nearest neighbours of a film in one space; those in ``common`` are in the other space's list, too."""
    items, notes = near
    if not items:
        st.caption(f"{shown.source.label} has no vector of this film: its plot or its poster is missing.")
        return
    st.caption(f"{len(items)} nearest films in the full space ({shown.source.label}), with their similarity.")
    poster_grid(
        [
            film_card(dataset, item, note=note, **(IN_BOTH if item in common else {}))
            for item, note in zip(items, notes, strict=True)
        ],
        key=key,
        size="small",
        on_open=lambda: link.on_poster(dataset, key),
        label=f"Nearest neighbours in {shown.source.label}",
    )


def _neighbours(row: int, found: spaces.Map) -> tuple[list[int], list[str]]:
    """Catalog rows of a film's nearest neighbours in a space, the nearest first, and a note on each."""
    at = np.flatnonzero(found.items == row)
    if not len(at):
        return [], []
    near, cosine = np.asarray(found.near[at[0]]), np.asarray(found.cosine[at[0]], np.float32)
    two_kinds = len(set(found.kind.tolist())) > 1
    kinds = {1: " · plot", 2: " · poster"} if two_kinds else {}
    notes = [f"{c:.2f}{kinds.get(int(found.kind[j]), '')}" for j, c in zip(near, cosine, strict=True)]
    return found.items[near].tolist(), notes
