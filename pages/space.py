"""A map of films by plot or poster, as an encoder or a model sees them: select, search, compare two spaces."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import features, spaces
from mmrec_core.spaces.search import Found
from mmrec_core.types import Array
from pages.parts import damaged_files, layout
from pages.parts.poster_grid import film_card, poster_grid
from pages.parts.run_card import pace
from pages.parts.space import colours, encoding, fallback, link, search, sources
from pages.parts.space.map import film_map
from pages.parts.space.panel import film_panel, panel
from pages.parts.space.sources import DrawnMap, Source

TITLE = "Space"
ICON = ":material/bubble_chart:"
ORDER = "20"

layout.frame()

QUALITY = ("trustworthiness", "continuity", "genre_purity", "hubness", "modality_gap", "overlap")
DIFFERENT = 12
"""Films shown whose neighbours differ most."""
HIGHLIGHTED = 60
"""Films that are selected together because their neighbours differ most."""
FULL_HEIGHT = "clamp(420px, min(100dvh - 12rem, 130vw), 1200px)"
HALF_HEIGHT = "clamp(380px, min(100dvh - 17rem, 130vw), 900px)"
LIT_UNTIL = 20_000
"""Above this number of selected films, the map does not fade the others."""
PAIRS_UNTIL = 6_000
"""Above this number of points, plot and poster of a film are not joined by a line."""
SIDE, MORPH = "Side by side", "One map that moves"
dataset = layout.needs_dataset()
layout.needs_films(dataset)


@dataclass(frozen=True)
class Choice:
    """What the controls say."""

    source: Source
    colour: str
    other: Source | None
    """The space to compare with."""
    side_by_side: bool
    morph: bool
    """Whether the one map shows the other space."""


def controls(known: dict[str, list[spaces.View]]) -> tuple[Choice, tuple[str, Any]]:
    """Space, view, colour, the space to compare with, and the search."""
    names = list(known)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if st.session_state.get("space") not in names:
            st.session_state.pop("space", None)
        name = st.selectbox(
            "Space",
            names,
            key="space",
            bind="query-params",
            format_func=sources.label,
            width=190,
            help="Vectors of an encoder, of two encoders together, or of a model that learned from ratings.",
        )
        views = known[name]
        view = views[0]
        if len(views) > 1:
            if st.session_state.get("view") not in views:
                st.session_state.pop("view", None)
            view = st.segmented_control(
                "View",
                views,
                key="view",
                default="image" if "image" in views else views[0],
                required=True,
                bind="query-params",
                format_func=sources.view_name,
                help="Vectors of plots, of posters, or both in one map.",
            )
        source = Source(name, view)
        colour = st.selectbox(
            "Colour",
            colours.OPTIONS,
            key="colour",
            bind="query-params",
            width=170,
            help="What the colours mean; the legend is on the map.",
        )
        everything = [s for n, own in known.items() for v in own if (s := Source(n, v)) != source]
        others = [s.key for s in sorted(everything, key=lambda s: s.view != view)]  # the same view first
        before = st.session_state.get("into")
        if before is not None and before in others and view != st.session_state.get("view_before", view):
            same = Source(Source.of(before).name, view).key
            st.session_state["into"] = same if same in others else before  # posters stay beside posters
        elif before not in [None, *others]:
            st.session_state.pop("into", None)
        st.session_state["view_before"] = view
        into = st.selectbox(
            "Compare with space",
            others,
            index=None,
            key="into",
            bind="query-params",
            width=210,
            placeholder="another space",
            format_func=lambda key: Source.of(key).label,
            help="Shows the same films in both spaces, and which films have other neighbours there.",
        )
        query = search.box()
    if into is None:
        return Choice(source, colour, None, False, False), query
    with st.container(horizontal=True, vertical_alignment="center"):
        how = st.segmented_control(
            "Show both as",
            [SIDE, MORPH],
            key="both",
            default=SIDE,
            required=True,
            bind="query-params",
            label_visibility="collapsed",
        )
        morph = how == MORPH and st.toggle(
            "Show the second space",
            key="turned",
            bind="query-params",
            help="Moves every film to its place in the other space, and back.",
        )
    return Choice(source, colour, Source.of(into), how == SIDE, morph), query


def about_views(first: Source, second: Source) -> None:
    """A warning where plots are compared with posters."""
    if first.view != second.view:
        st.caption(
            f":material/warning: This compares {sources.view_name(first.view).lower()} with"
            f" {sources.view_name(second.view).lower()}: choose the same view of both spaces to compare encoders."
        )


def about_colour(colour: dict[str, Any]) -> None:
    """What the colours mean."""
    if colour["hint"]:
        st.caption(
            f"Colour: {colour['hint']} Labels: genres and tags typical of a region. Distances between far points on a"
            " map mean little."
        )


def on_fallback() -> None:
    """The browser has no WebGL2."""
    st.session_state["no_webgl"] = True


def quality(shown: DrawnMap, shared: Array | None) -> None:
    """The measures of the map's quality, each with what it means."""
    measures = shown.map.manifest["measures"]
    if shared is not None:
        st.caption(f"Quality of the map of {shown.source.label}; the last figure is about both spaces:")
    with st.container(horizontal=True, gap="medium"):
        for name in QUALITY:
            value, extra = measures.get(name), ""
            if isinstance(value, dict):
                value, extra = value["value"], f" (chance {value['chance']:.2f})"
            if value is None:
                continue
            with st.container(width="content", gap=None):
                st.caption(name.replace("_", " "), help=spaces.MEANINGS[name])
                st.markdown(f"**{value:.3f}**{extra}")
        if shared is not None and np.isfinite(shared).any():
            k = shown.neighbours
            with st.container(width="content", gap=None):
                st.caption(
                    "shared neighbours",
                    help=f"How many of a film's {k} nearest neighbours are the same in both spaces (mean over films).",
                )
                st.markdown(f"**{np.nanmean(shared):.1f}** of {k}")
    if shown.map.manifest["layout"] == "pca":
        st.caption(":material/hourglass_top: This is a PCA map; the UMAP map replaces it when it is done.")


def least_shared(shared: Array, k: int) -> None:
    """How alike the two spaces are, and where the answer lies; above the maps, which fill the window."""
    if not np.isfinite(shared).any():
        return
    least = np.nanmin(shared)
    n = int(np.sum(shared == least))
    st.caption(
        f"On average {np.nanmean(shared):.1f} of a film's {k} nearest neighbours are the same in both spaces; {n:,}"
        f" film{'s share' if n != 1 else ' shares'} {'none' if least == 0 else f'only {least:.0f}'}. Below the maps:"
        " [films whose neighbours differ most](#films-whose-neighbours-differ-most)."
    )


def different_films(shared: Array, k: int) -> None:
    """The films whose nearest neighbours differ most between the two spaces."""
    rows = np.flatnonzero(np.isfinite(shared))
    ratings = dataset.catalog["n_ratings"].to_numpy()[rows]
    rows = rows[np.lexsort((-ratings, shared[rows]))]
    st.markdown("#### Films whose neighbours differ most")
    st.caption(
        f"Below each: how many of its {k} nearest neighbours are the same in both spaces; of equal ones the most rated"
        " come first. Click one for both lists and its place on both maps."
    )
    poster_grid(
        [film_card(dataset, int(row), note=f"{int(shared[row])} of {k} shared") for row in rows[:DIFFERENT]],
        key="different",
        size="small",
        on_open=lambda: link.on_poster(dataset, "different"),
        label="Films whose neighbours differ most",
    )
    most = rows[:HIGHLIGHTED]
    if st.button(f"Select the {len(most)} that differ most", key="select_different", icon=":material/done_all:"):
        if link.keep(dataset, "neighbours differ most", np.sort(most)):
            st.rerun()


@dataclass(frozen=True)
class Marks:
    """What is marked on the maps."""

    hits: Found | None
    """Films found by the search."""
    query: str
    """What was searched for, as the pin names it."""
    flight: str
    """Another text for another search: the camera flies once for each."""
    rows: Array
    """Catalog rows of the selected films."""
    film: int
    """Catalog row of the film shown beside the map; −1 for none."""

    @property
    def found(self) -> list[int]:
        """Catalog rows that are marked as found."""
        return self.hits.items[: search.MARKED].tolist() if self.hits is not None else []

    @property
    def lit(self) -> list[int] | None:
        """Catalog rows of a slice; a lasso is known to the browser as an outline, so its films are not sent."""
        return self.rows.tolist() if st.query_params.get("slice") and len(self.rows) < LIT_UNTIL else None


def draw(
    shown: DrawnMap,
    colour: dict[str, Any],
    marks: Marks,
    height: str,
    *,
    other: DrawnMap | None = None,
    morph: bool = False,
    linked: bool = False,
) -> None:
    """The first map; ``other`` is the map that it turns into while ``morph`` is on, ``linked`` with one beside it."""
    if st.session_state.get("no_webgl"):
        fallback.plotly_map(dataset, shown.files, colour)
        return
    film_map(
        shown.files.files,
        colour,
        key="map",
        label=f"Map of {len(shown.files.items):,} points: {shown.source.label}",
        other=other.files.files if other is not None else None,
        morph=morph,
        polygon=link.polygon(),
        hits=marks.found,
        lit=marks.lit,
        linked=linked,
        selected=len(marks.rows),
        fly={"items": marks.found, "key": f"{shown.source.key} {marks.flight}"} if marks.found else None,
        pin=search.film_pin(dataset, shown, marks.film) or search.pin(dataset, shown, marks.hits, marks.query),
        pairs=_has_pairs(shown),
        camera=link.camera("cam"),
        camera_key="cam",
        height=height,
        on_select=lambda: link.on_select("map"),
        on_open=lambda: link.on_open(dataset, "map"),
        on_fallback=on_fallback,
    )


def draw_second(shown: DrawnMap, colour: dict[str, Any], marks: Marks, height: str) -> None:
    """The map of the other space beside the first: films found and selected are marked on both."""
    if st.session_state.get("no_webgl"):
        st.caption("Two maps need WebGL2; choose “One map that moves” or the other space alone.")
        return
    film_map(
        shown.files.files,
        colour,
        key="second_map",
        label=f"Map of {len(shown.files.items):,} points: {shown.source.label}",
        hits=marks.found,
        lit=marks.lit,
        linked=True,
        selected=len(marks.rows),
        pin=search.film_pin(dataset, shown, marks.film),
        pairs=_has_pairs(shown),
        camera=link.camera("cam2"),
        camera_key="cam2",
        height=height,
        on_select=lambda: link.on_select_second(dataset, "second_map", shown.files),
        on_open=lambda: link.on_open(dataset, "second_map"),
        on_fallback=on_fallback,
    )


def _has_pairs(shown: DrawnMap) -> bool:
    return shown.source.view == "both" and len(np.unique(shown.map.kind)) == 2 and len(shown.files.items) < PAIRS_UNTIL


def page() -> None:
    """The map, or two of them, and what lies beside."""
    known = sources.available(dataset)
    if not known:
        encoding.empty_state(dataset)
        return
    choice, (words, picture) = controls(known)
    first, second = sources.drawn(dataset, choice.source), sources.drawn(dataset, choice.other)
    if first is None:
        return
    shared = sources.shared_neighbours(dataset, first, second) if second else None
    hits, why = search.find(dataset, choice.source, words, picture)
    rows, how = link.selected(dataset, first.files)
    marks = Marks(
        hits, "your picture" if picture else words, picture.file_id if picture else words, rows, link.film(dataset)
    )
    maps = [first, *([second] if second else [])]
    k = first.neighbours

    def colour(shown: DrawnMap) -> dict[str, Any]:
        return colours.colour_of(dataset, choice.colour, shown.files, shared, second.source.key if second else "", k)

    if second is not None and shared is not None:
        about_views(first.source, second.source)
        least_shared(shared, k)
    if second is not None and shared is not None and choice.side_by_side:
        left, right = st.columns(2, gap="small")
        with left:
            st.markdown(f"**{layout.escape(first.source.label)}**")
            draw(first, colour(first), marks, HALF_HEIGHT, linked=True)
        with right:
            st.markdown(f"**{layout.escape(second.source.label)}**")
            draw_second(second, colour(second), marks, HALF_HEIGHT)
        about_colour(colour(first))
        if link.film(dataset) >= 0:
            film_panel(dataset, link.film(dataset), maps)
        quality(first, shared)
        left, right = st.columns(2, gap="medium")
        with left:
            different_films(shared, k)
        with right:
            panel(dataset, maps, (hits, why), (rows, how), film=False)
    else:
        left, right = st.columns([2.4, 1], gap="medium")
        if len(rows):  # after a lasso the map has nothing new to show, so the panel comes first
            with right:
                panel(dataset, maps, (hits, why), (rows, how))
        with left:
            draw(first, colour(first), marks, FULL_HEIGHT, other=second, morph=choice.morph)
            about_colour(colour(first))
            quality(first, shared)
            if shared is not None:
                different_films(shared, k)
        if not len(rows):
            with right:
                panel(dataset, maps, (hits, why), (rows, how))
    with st.expander("Encode with another encoder", icon=":material/memory:"):
        encoding.form(dataset)


st.title("Space", anchor=False)
layout.generated_note(dataset)
damaged_files.note([*features.damaged(dataset), *spaces.damaged(dataset)])
page()
st.fragment(encoding.jobs_in_progress, run_every=pace())(dataset)
