"""What each model thinks of a film: its ranks, predicted ratings, and nearest neighbours, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from mmrec_core import runs
from mmrec_core.analysis import film_views
from mmrec_core.analysis.comparison import Row
from mmrec_core.analysis.film_views import FilmRanks, Neighbours
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import layout
from pages.parts.poster_grid import film_card, poster_grid

KINDS = {"model": "item vectors", "plot": "plots", "poster": "posters"}


def section(dataset: Dataset, row: int, on_open: Callable[[str], None]) -> None:
    """Ranks by model and neighbours by space; models that were not asked yet are asked now, with progress.

    Args:
        dataset: the dataset.
        row: the film.
        on_open: called with the key of a strip of posters in which a film was chosen.
    """
    st.subheader("What each model thinks", anchor=False)
    found = film_views.views(dataset)
    newest = {run.id for run in runs.finished(dataset).values()}
    usual = [r for r in found if r.run.id in newest] or found
    if len(found) > len(usual):
        others = st.toggle(f"Also other training runs ({len(found) - len(usual)})", key="all_views", value=False)
        usual = found if others else usual
    if not usual:
        st.caption(f"No model that ranks films is trained on {layout.escape(dataset.name)} yet.")
        st.page_link(layout.page("train"), label="Train a model", icon=":material/model_training:")
    else:
        _ranks(dataset, row, usual)
    _neighbours(dataset, row, usual, on_open)


def _ranks(dataset: Dataset, row: int, trained: Sequence[Row]) -> None:
    """One line per model."""
    slot = st.empty()
    faults: list[str] = []
    asked: list[tuple[Row, FilmRanks]] = []
    for at, result in enumerate(trained):
        try:
            kept = film_views.kept_ranks(dataset, result)
            if kept is None:
                label = f"Ranking all films with {layout.escape(result.label)} ({at + 1} of {len(trained)})"
                bar = slot.progress(at / len(trained), text=label)

                def progress(done: int, total: int, what: str = "", at: int = at, bar=bar, label: str = label) -> None:  # type: ignore[no-untyped-def]
                    bar.progress((at + done / max(total, 1)) / len(trained), text=label)

                kept = film_views.film_ranks(dataset, result, progress)
            asked.append((result, kept))
        except MMRecError as error:
            faults.append(f"{result.label}: {error}")
    slot.empty()
    if asked:
        _table(dataset, row, asked)
    for fault in faults:
        st.caption(f":material/error: {layout.escape(fault)}")


def _table(dataset: Dataset, row: int, asked: Sequence[tuple[Row, FilmRanks]]) -> None:
    shown = pd.DataFrame(
        {
            "Model": [result.label for result, _ in asked],
            "In top 10 of": [f"{int(r.in_top[row]):,} of {int(r.ranked[row]):,} users" for _, r in asked],
            "Share": [100 * float(r.in_top[row]) / max(int(r.ranked[row]), 1) for _, r in asked],
            "Median rank": [float(r.median[row]) for _, r in asked],
            "Mean rank": [float(r.mean[row]) for _, r in asked],
            "Predicted rating": [_stars(float(r.predicted[row])) for _, r in asked],
        }
    ).sort_values(["Median rank", "Mean rank"], kind="stable")
    rated = (shown["Predicted rating"] != _stars(float("nan"))).any()
    config = {
        "Share": st.column_config.ProgressColumn(
            "Share of users",
            format="%.0f %%",
            min_value=0.0,
            max_value=100.0,
            help="Share of the users whose ten best films hold this one, among those who do not know it yet.",
        ),
        "Median rank": st.column_config.NumberColumn(
            format="%.0f",
            help=f"Half of the users have it at this rank or better; 1 of {len(dataset.items):,} is best.",
        ),
        "Mean rank": st.column_config.NumberColumn(format="%.0f"),
        "Predicted rating": st.column_config.TextColumn(
            help="Mean over all these users, of the models that predict ratings."
        ),
    }
    st.dataframe(
        shown if rated else shown.drop(columns="Predicted rating"),
        hide_index=True,
        column_config=config,
        key=f"views-{dataset.name}",
    )
    mean = dataset.catalog["mean_rating"].iloc[row] if "mean_rating" in dataset.catalog else float("nan")
    actual = f" Its actual mean rating is ★ {mean:.2f}." if rated and mean == mean else ""
    few = asked[0][1]
    st.caption(
        f"Each user's list is as in the evaluation ({layout.escape(str(asked[0][0].key))}); the film is ranked for the"
        f" {int(few.ranked[row]):,} of {few.users:,} users who do not have it in their training ratings.{actual}"
    )


def _stars(value: float) -> str:
    """A predicted rating; a dash for models that predict none."""
    return f"★ {value:.2f}" if value == value else "—"


@st.cache_data(max_entries=64, show_spinner="Finding neighbours …")
def _found(
    name: str, checksum: str, row: int, trainings: tuple[str, ...], _dataset: Dataset, _trained: Sequence[Row]
) -> list[Neighbours]:
    return film_views.neighbours(_dataset, row, _trained)


def _neighbours(dataset: Dataset, row: int, trained: Sequence[Row], on_open: Callable[[str], None]) -> None:
    """Five films of each space; how many spaces agree on a film stands below it."""
    spaces = _found(dataset.name, dataset.checksum, row, tuple(r.run.id for r in trained), dataset, trained)
    if not spaces:
        st.caption("No vectors of films yet: encode plots and posters on Space, or train a model with item vectors.")
        return
    st.markdown("##### Nearest films in each space")
    st.caption(
        "Cosine similarity in the original space: of item vectors that a model learned, or of an encoder's plots and"
        " posters."
    )
    shared = Counter(int(item) for space in spaces for item in space.items)
    with st.grid(min_column_width=430):
        for at, space in enumerate(spaces):
            key = f"near-{at}"
            with st.container():
                st.markdown(f"**{layout.escape(space.space)}** :gray[{KINDS[space.kind]}]")
                if not len(space.items):
                    st.caption("This film has no vector here.")
                    continue
                cards = [
                    film_card(
                        dataset,
                        int(item),
                        note=f"similarity {cosine:.2f}",
                        why=f"in {shared[int(item)]} of {len(spaces)} spaces" if shared[int(item)] > 1 else "",
                    )
                    for item, cosine in zip(space.items, space.similarity, strict=True)
                ]
                poster_grid(
                    cards,
                    key=key,
                    size="five",
                    on_open=lambda key=key: on_open(key),
                    label=f"Nearest films: {space.space}, {KINDS[space.kind]}",
                )
