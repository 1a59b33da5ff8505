"""Films and users on which two models differ most, on Compare, each a way to Errors with both models chosen."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mmrec_core.analysis import error_analysis, largest_differences, paired
from mmrec_core.analysis.comparison import Row
from mmrec_core.analysis.error_analysis import EvaluatedRows
from mmrec_core.analysis.largest_differences import Case, FilmGain
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Dataset
from pages.parts import layout, links
from pages.parts.poster_grid import film_card, poster_grid

SHOWN = 8


@st.cache_data(max_entries=32, show_spinner="Looking for the largest differences …")
def rows_of(
    name: str, checksum: str, a: str, b: str, _dataset: Dataset, _a: Row, _b: Row
) -> tuple[EvaluatedRows, EvaluatedRows, Array]:
    """The test rows of two results, and how much better the first one is on each."""
    split = paired.split_of(_dataset, _a)
    own, other = (error_analysis.evaluated_rows(_dataset, split, row) for row in (_a, _b))
    return own, other, largest_differences.gains(own, other)


def largest(dataset: Dataset, a: Row, b: Row) -> None:
    """Posters of the cases with the largest differences, and a table of films."""
    if not dataset.manifest["films"]:
        return
    try:
        own, other, gain = rows_of(dataset.name, dataset.checksum, a.run.id, b.run.id, dataset, a, b)
    except MMRecError as error:
        st.caption(f":material/info: {layout.escape(str(error))}")
        return
    stars = own.error is not None and other.error is not None
    st.subheader("Films on which they differ most", anchor=False)
    st.caption(
        "Test ratings that one model predicts far better than the other; its stars are below. Choose a film to see why."
        if stars
        else "Films that a user liked in the test rows, and that one model ranks far higher than the other. Choose a"
        " film to see why."
    )
    sides = largest_differences.cases(gain, own, SHOWN)
    for place, (label, found) in enumerate(zip((a.label, b.label), sides, strict=True)):
        st.markdown(f"**{layout.escape(label)} {'predicts them better' if stars else 'ranks them higher'}**")
        if not found:
            st.caption("On no film.")
            continue
        poster_grid(
            [card(dataset, case, own, other, a.label, b.label) for case in found],
            key=f"cases-{place}",
            size="eight",
            on_open=lambda place=place, found=found: opened(f"cases-{place}", found),  # type: ignore[misc]
            label=f"Cases in which {label} is better",
        )
    if (case := st.session_state.pop("open_difference", None)) is not None:
        st.switch_page(
            layout.page("errors"),
            query_params={
                "dataset": dataset.name, "look": "Case", "who": str(dataset.users.raw[case.user]),
                "what": links.film(dataset, case.item), "a": a.label, "b": b.label,
            },
        )  # fmt: skip
    film_table(dataset, largest_differences.films(gain, own, SHOWN), a, b, stars)


def opened(key: str, found: list[Case]) -> None:
    """A poster was chosen: its case opens on Errors with the next run."""
    event = st.session_state.get(key)
    if event is not None and event.get("open") is not None:
        st.session_state["open_difference"] = next((c for c in found if c.item == int(event["open"])), None)


def card(dataset: Dataset, case: Case, own: EvaluatedRows, other: EvaluatedRows, a: str, b: str) -> dict[str, object]:
    """A film with what both models say of it."""
    says = " · ".join(f"{label} {figure(rows, case.row)}" for label, rows in ((a, own), (b, other)))
    given = "" if own.rating is None else f", ★ {own.rating[case.row]:g}"
    return film_card(dataset, case.item, note=says, why=f"user {dataset.users.raw[case.user]}{given}")


def figure(rows: EvaluatedRows, at: int) -> str:
    """A rank or predicted stars."""
    if rows.place is None or rows.error is not None:
        return "–" if rows.predicted is None else f"★ {rows.predicted[at]:.1f}"
    return f"#{rows.place[at]}" if rows.place[at] > 0 else "not in top 20"


def film_table(dataset: Dataset, sides: tuple[list[FilmGain], list[FilmGain]], a: Row, b: Row, stars: bool) -> None:
    """Films on average over their test rows."""
    found = [*sides[0], *reversed(sides[1])]
    if not found:
        return
    what = "absolute error saved" if stars else "reciprocal rank"
    with st.expander(f"Films with the largest mean differences ({what})", icon=":material/movie:"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Film": [str(dataset.catalog["title"].iloc[f.item]) for f in found],
                    "Better": [a.label if f.gain > 0 else b.label for f in found],
                    "Mean difference": [f.gain for f in found],
                    "Test ratings" if stars else "Users who liked it": [f.n for f in found],
                    "Open": [
                        links.rating(dataset, str(dataset.users.raw[f.case.user]), f.item, a.label, b.label)
                        for f in found
                    ],
                }
            ),
            hide_index=True,
            height="content",
            key="films.differ",
            alt="Films with the largest mean differences",
            column_config={
                "Mean difference": st.column_config.NumberColumn(
                    format="%+.3f",
                    help=(
                        f"Absolute error of {b.label} minus that of {a.label}, in stars."
                        if stars
                        else f"1 / rank under {a.label} minus 1 / rank under {b.label}; 0 outside the top 20."
                    ),
                ),
                "Open": st.column_config.LinkColumn(
                    display_text="see why", help="The user of this film on whom the two differ most, on Errors."
                ),
            },
        )
