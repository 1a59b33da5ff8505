"""Selected films: their numbers, genres and posters; save, export, or select by filter."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import csv_out
from mmrec_core.errors import MMRecError
from mmrec_core.spaces import publish
from mmrec_core.types import Array, Dataset
from pages.parts import damaged_files, layout, slices
from pages.parts.poster_grid import film_card, poster_grid
from pages.parts.space import link
from pages.parts.space.colours import genres_of

SHOWN = 24


def show(dataset: Dataset, rows: Array, how: str) -> None:
    """The films that are selected."""
    n_ratings = dataset.catalog["n_ratings"].to_numpy()[rows]
    st.markdown(f"#### {len(rows):,} films :small[:gray[{layout.escape(how)}]]")
    st.caption(_numbers(dataset, rows, n_ratings))
    _genres(dataset, rows)
    order = rows[np.argsort(-n_ratings, kind="stable")]
    poster_grid(
        [film_card(dataset, int(row)) for row in order[:SHOWN]],
        key="chosen",
        size="small",
        on_open=lambda: link.on_poster(dataset, "chosen"),
        label="Selected films",
    )
    if len(rows) > SHOWN:
        st.caption(f"The {SHOWN} most rated of them.")
    _save(dataset, rows)


def _numbers(dataset: Dataset, rows: Array, n_ratings: Array) -> str:
    catalog = dataset.catalog
    parts = [f"{len(rows) / len(catalog):.0%} of all films"]
    mean = catalog["mean_rating"].to_numpy(np.float64) if "mean_rating" in catalog else np.full(len(catalog), np.nan)
    if np.isfinite(mean[rows]).any():
        parts.append(f"average ★ {np.nanmean(mean[rows]):.2f} (all films: {np.nanmean(mean):.2f})")
    parts.append(f"{int(n_ratings.sum()):,} ratings")
    return " · ".join(parts)


def _genres(dataset: Dataset, rows: Array) -> None:
    counts, has = genres_of(dataset.name, dataset.checksum, dataset)
    here = has[rows].sum(0)
    if not here.any():
        return
    table = pd.DataFrame(
        {"genre": counts.index, "share": here / len(rows), "all": counts.to_numpy() / len(dataset.catalog)}
    )
    table = table.assign(lift=table["share"] / table["all"]).nlargest(8, "share")
    chart = alt.Chart(table, height=alt.Step(20)).encode(
        y=alt.Y("genre:N", sort=None, title=None, axis=alt.Axis(labelOverlap=False))
    )
    bars = chart.mark_bar(color="#0072B2").encode(
        x=alt.X("share:Q", title="Share of these films; tick: of all films", axis=alt.Axis(format="%")),
        tooltip=[
            "genre",
            alt.Tooltip("share", format=".0%"),
            alt.Tooltip("all", format=".0%"),
            alt.Tooltip("lift", format=".1f"),
        ],
    )
    ticks = chart.mark_tick(color="#D55E00", thickness=3).encode(x="all:Q")
    st.altair_chart(bars + ticks, alt="Genres of the selected films against all films")


def _save(dataset: Dataset, rows: Array) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Save as a slice",
            key="slice_name",
            placeholder="such as: cosy westerns",
            width=200,
            help="Errors can then show how models do on these films.",
        )
        if st.button("Save", key="save_slice", icon=":material/bookmark_add:", disabled=not name.strip()):
            try:
                slices.save(dataset, name.strip(), rows)
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.toast(f"Saved {len(rows):,} films as “{name.strip()}”.", icon=":material/bookmark_added:")
                st.rerun()
        forms = {
            "CSV": (csv_out.of_table, "csv", "text/csv"),
            "Parquet": (slices.parquet, "parquet", "application/vnd.apache.parquet"),
        }
        for form, (write, ending, mime) in forms.items():
            st.download_button(
                form,
                data=lambda write=write: write(slices.table(dataset, rows)),  # type: ignore[misc]
                file_name=f"{dataset.name}-films.{ending}",
                mime=mime,
                key=ending,
                type="tertiary",
                icon=":material/download:",
                on_click="ignore",
            )


def filter_form(dataset: Dataset, files: publish.Published) -> None:
    """Select films by genre, year and title: what a lasso does, without a pointer."""
    catalog = dataset.catalog
    counts, has = genres_of(dataset.name, dataset.checksum, dataset)
    years = catalog["year"].dropna()
    genres = st.multiselect("Genres", sorted(counts.index), key="filter_genres", placeholder="any")
    low, high = (int(years.min()), int(years.max())) if len(years) else (1900, 2030)
    span = st.slider("Years", low, high, (low, high), key="filter_years") if low < high else (low, high)
    words = st.text_input("Title contains", key="filter_title").strip().lower()
    if not st.button("Select these films", key="filter_go", icon=":material/done_all:"):
        return
    keep = np.zeros(len(catalog), bool)
    keep[files.items] = True
    if genres:
        keep &= has[:, counts.index.isin(genres)].any(1)
    if span != (low, high):
        year = catalog["year"].astype("float64").to_numpy(na_value=np.nan)
        keep &= (year >= span[0]) & (year <= span[1])
    if words:
        keep &= catalog["title"].str.lower().str.contains(words, regex=False).to_numpy()
    if not keep.any():
        st.warning("No film on this map passes these filters.", icon=":material/filter_alt_off:")
    elif link.keep(dataset, link.FILTERED, np.flatnonzero(keep)):
        st.rerun()


def saved_slices(dataset: Dataset) -> None:
    """Choose a saved slice, or remove it."""
    damaged_files.note([slices.damage(dataset)])
    names = slices.names(dataset)
    if not names:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Saved slices",
            names,
            index=None,
            key="saved",
            placeholder="Choose one",
            width=220,
            help="Films you saved earlier.",
        )
        if name and st.button("Show", key="show_slice", icon=":material/visibility:"):
            link.clear_selection()
            st.query_params["slice"] = name
            st.rerun()
        if name and st.button("Remove", key="drop_slice", icon=":material/delete:", type="tertiary"):
            try:
                slices.remove(dataset, name)
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.query_params.pop("slice", None)
                st.rerun()
