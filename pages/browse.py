"""Every film as a poster: search, filter, sort; open one to see its plot, its ratings and its neighbours."""

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core.spaces.item_similarity import Similarity, similarity
from mmrec_core.types import Dataset
from pages.parts import film_views, layout
from pages.parts.plot_source import plot_source
from pages.parts.poster_grid import film_card, poster_grid

TITLE = "Browse"
ICON = ":material/grid_view:"
ORDER = "10"

layout.frame()

PER_PAGE = 48
FILTERS = ("q", "genre", "rating", "known", "poster", "decade", "page")
SORTS = {
    "Most rated": ("n_ratings", False),
    "Best rated": ("weighted", False),
    "Newest": ("year", False),
    "Oldest": ("year", True),
    "Title": ("title", True),
}

dataset = layout.needs_dataset()
layout.needs_films(dataset)
catalog = dataset.catalog


@st.cache_resource(max_entries=3, show_spinner="Finding films with the same fans …")
def similar_films(name: str, checksum: str, _dataset: Dataset) -> Similarity:
    """Neighbour tables of a dataset, made once."""
    return similarity(_dataset)


def open_film() -> None:
    """Put the chosen film into the URL: a view of its own, so that Back and links work."""
    for key in ("wall", "like", "recent"):
        open_from(key)


def open_from(key: str) -> None:
    """As :func:`open_film`, for one wall of posters."""
    chosen = st.session_state.get(key)
    if chosen is not None and chosen.get("open") is not None:
        st.query_params["film"] = str(dataset.items.raw[int(chosen["open"])])


def filtered_rows() -> np.ndarray:
    """The filters, and the rows that pass them in the chosen order."""
    genres = sorted({g for own in catalog["genres"] for g in own})
    years = catalog["year"].dropna()
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        text = st.text_input(
            "Search",
            key="q",
            bind="query-params",
            live=True,
            placeholder="Title, director, actor, tag or plot",
            icon=":material/search:",
            width=300,
        )
        wanted = st.multiselect(
            "Genres", genres, key="genre", bind="query-params", placeholder="Any of these genres", width=260
        )
        sort = st.selectbox("Sort by", list(SORTS), key="sort", bind="query-params", width=160)
        more = st.popover("More filters", icon=":material/tune:")
    with more:
        decades = sorted({int(y) // 10 * 10 for y in years})
        span = (
            st.select_slider(
                "Decade",
                decades,
                value=(decades[0], decades[-1]),
                key="decade",
                bind="query-params",
                format_func=lambda d: f"{d}s",
            )
            if len(decades) > 1
            else None
        )
        rated = "mean_rating" in catalog
        low, high = dataset.scale or (0.0, 5.0)
        least = (
            st.slider(
                "Average rating at least",
                low,
                high,
                low,
                0.1,
                key="rating",
                bind="query-params",
                help="Average over all ratings of the film, on the dataset's scale.",
            )
            if rated
            else low
        )
        known = st.slider(
            "Ratings at least",
            0,
            100,
            0,
            key="known",
            bind="query-params",
            help="How often a film was rated: raise it to hide the obscure ones.",
        )
        picture = st.toggle("Only films with a poster", key="poster", bind="query-params")
    keep = np.ones(len(catalog), bool)
    if text.strip():
        haystack = search_text(dataset.name, dataset.checksum, dataset)
        for word in text.lower().split():
            keep &= haystack.str.contains(word, regex=False).to_numpy()
    if wanted:
        keep &= np.array([not set(wanted).isdisjoint(own) for own in catalog["genres"]])
    if span and span != (decades[0], decades[-1]):
        year = catalog["year"].astype("float64").to_numpy(na_value=np.nan)
        keep &= (year >= span[0]) & (year < span[1] + 10)
    if least > low:
        keep &= catalog["mean_rating"].fillna(low).to_numpy() >= least
    if known:
        keep &= catalog["n_ratings"].to_numpy() >= known
    if picture:
        keep &= catalog["poster"].notna().to_numpy()
    rows = np.flatnonzero(keep)
    column, rising = SORTS[sort]
    return rows[sorted_rows(dataset.name, dataset.checksum, column, rising, dataset)[rows].argsort(kind="stable")]


@st.cache_data(max_entries=3, show_spinner=False)
def search_text(name: str, checksum: str, _dataset: Dataset) -> pd.Series:
    """Everything of a film that can be searched, in lower case."""
    table = _dataset.catalog
    parts = [table["title"], table["director"].fillna(""), table["plot"].fillna("")]
    parts += [table[c].map(lambda own: " ".join(map(str, own))) for c in ("cast", "tags")]
    text = parts[0].astype(str)
    for part in parts[1:]:
        text = text + " · " + part.astype(str)
    return text.str.lower()


@st.cache_data(max_entries=16, show_spinner=False)
def sorted_rows(name: str, checksum: str, column: str, rising: bool, _dataset: Dataset) -> np.ndarray:
    """Each film's place when sorted; ``weighted`` draws averages of few ratings towards the overall average."""
    table = _dataset.catalog
    if column == "weighted":
        n, overall = table["n_ratings"].to_numpy(np.float64), float(_dataset.manifest["mean_rating"] or 0)
        values = (
            pd.Series((table["mean_rating"].fillna(0).to_numpy() * n + overall * 20) / (n + 20))
            if "mean_rating" in table
            else table["n_ratings"]
        )
    else:
        values = table[column]
    ordered = values.sort_values(ascending=rising, na_position="last", kind="stable").index
    place = np.empty(len(table), np.int64)
    place[ordered] = np.arange(len(table))
    return place


def poster_page() -> None:
    """The wall with its filters."""
    st.title("Browse", anchor=False)
    layout.generated_note(dataset)
    rows = filtered_rows()
    if not len(rows):
        with st.container(border=True):
            st.subheader("No film passes these filters", anchor=False)
            st.write(
                "Take a filter away, or search for a part of a word: every word must occur in title, people, tags or"
                " plot."
            )
            if st.button("Clear all filters", icon=":material/filter_alt_off:", on_click=clear):
                pass
        return
    pages = -(-len(rows) // PER_PAGE)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{len(rows):,} of {len(catalog):,} films",
            help="Under each poster: year, average rating and number of ratings.",
        )
        if len(rows) < len(catalog):
            st.button("Clear filters", icon=":material/filter_alt_off:", type="tertiary", on_click=clear)
    if st.session_state.get("page", 1) > pages:
        st.session_state["page"] = 1
    slot = st.container()
    page = st.pagination(pages, key="page", bind="query-params") if pages > 1 else 1
    with slot:
        shown = rows[(page - 1) * PER_PAGE : page * PER_PAGE]
        poster_grid(
            [film_card(dataset, int(row)) for row in shown],
            key="wall",
            on_open=open_film,
            label="Films that pass the filters",
        )


def clear() -> None:
    """Back to all films."""
    for key in FILTERS:
        st.session_state.pop(key, None)
        if key in st.query_params:
            del st.query_params[key]


def show_film(row: int) -> None:
    """One film: poster, story, numbers, neighbours."""
    record = catalog.iloc[row]
    if st.button("All films", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["film"]
        st.rerun()
    left, right = st.columns([1, 2.4], gap="large")
    with left:
        if isinstance(record["poster"], str):
            st.image(f"/app/static/{record['poster']}", width="stretch", alt=f"Poster of {record['title']}")
        else:
            poster_grid([film_card(dataset, row)], key="card", label="Film without a poster")
            st.caption("No poster is known for this film.")
    with right:
        year = "" if pd.isna(record["year"]) else f" ({record['year']})"
        st.title(layout.escape(f"{record['title']}{year}"), anchor=False)
        if len(record["genres"]):
            st.markdown(" ".join(f":gray-badge[{layout.escape(genre)}]" for genre in record["genres"]))
        people = [f"**Directed by** {layout.escape(record['director'])}"] if isinstance(record["director"], str) else []
        people += [f"**With** {layout.escape(', '.join(record['cast']))}"] if len(record["cast"]) else []
        st.markdown("  \n".join(people) or ":gray[No credits are known for this film.]")
        st.write(
            layout.escape(record["plot"])
            if isinstance(record["plot"], str)
            else ":gray[No plot is known for this film.]"
        )
        plot_source(record)
        if len(record["tags"]):
            st.caption("Tags: " + layout.escape(", ".join(record["tags"])))
        show_ratings(row)
    st.subheader("Similar films", anchor=False)
    st.html(
        "<style>.st-key-by [aria-checked=true] p, .st-key-by [aria-pressed=true] p { color: light-dark(#9A3412,"
        " #F5B340); }</style>"
    )
    view = st.segmented_control(
        "Similar by",
        ["fans", "about"],
        default="fans",
        key="by",
        bind="query-params",
        label_visibility="collapsed",
        format_func={"fans": "Liked by the same people", "about": "Alike in genre, people and tags"}.get,
    )
    tables = similar_films(dataset.name, dataset.checksum, dataset)
    found, cosine = tables.like(row, view or "fans", 12)
    if not len(found) and view == "fans":
        st.caption("Nobody who liked this film liked another one, so these are alike in genre, people and tags.")
        found, cosine = tables.like(row, "about", 12)
    if len(found):
        films = [film_card(dataset, int(r), note=f"similarity {c:.2f}") for r, c in zip(found, cosine, strict=True)]
        poster_grid(films, key="like", size="small", on_open=open_film, label="Similar films")
        st.caption(
            "Cosine similarity: of who rated both "
            f"{dataset.manifest['relevant_from'] or ''} or more, or of weighted genres, director, cast and tags."
        )
    else:
        st.caption("Nothing about this film is shared with another one.")
    st.fragment(film_views.section)(dataset, row, open_from)


def count_users(events: np.ndarray) -> int:
    """How many users some events are of; a user may have met a film more than once."""
    return len(np.unique(np.asarray(dataset.interactions.need("user"))[events]))


def show_ratings(row: int) -> None:
    """How a film was rated, and when."""
    events = dataset.interactions
    own = np.flatnonzero(np.asarray(events.need("item")) == row)
    if not len(own) or events.rating is None:
        st.caption(
            "Nobody has rated this film."
            if not len(own)
            else f"{count_users(own):,} people watched it"
            + (f", {len(own):,} times." if count_users(own) < len(own) else ".")
        )
        return
    ratings = np.asarray(events.rating)[own]
    one, two, three = st.columns(3)
    one.metric("Ratings", f"{len(own):,}", help=f"Rated by {count_users(own):,} people.")
    two.metric("Average", f"{ratings.mean():.2f}", help="Mean of all its ratings, on the dataset's scale.")
    three.metric(
        "Liked by",
        f"{(ratings >= dataset.manifest['relevant_from']).mean():.0%}",
        help=f"Share of its ratings of {dataset.manifest['relevant_from']} or more.",
    )
    low, high = dataset.scale or (float(ratings.min()), float(ratings.max()))
    steps = np.unique(np.concatenate([ratings, np.arange(low, high + 0.25, 0.5 if (ratings * 2 % 2).any() else 1.0)]))
    values, counts = steps, [int((ratings == step).sum()) for step in steps]
    histogram = (
        alt.Chart(pd.DataFrame({"stars": values, "ratings": counts}))
        .mark_bar(color="#0072B2")
        .encode(
            x=alt.X("stars:O", title="Stars", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("ratings:Q", title="Ratings"),
            tooltip=["stars", "ratings"],
        )
    )
    charts = [histogram.properties(height=170)]
    if events.time is not None and len(own) > 1:
        when = pd.to_datetime(np.asarray(events.time)[own], unit="s")
        table = pd.DataFrame({"when": when, "stars": ratings})
        unit = "YS" if (when.max() - when.min()).days > 900 else "MS"
        steps = (
            table.groupby(pd.Grouper(key="when", freq=unit))["stars"]
            .agg(["mean", "size"])
            .reset_index()
            .query("size > 0")
        )
        base = alt.Chart(steps).encode(x=alt.X("when:T", title=None))
        line = base.mark_line(color="#D55E00", point=True).encode(
            y=alt.Y("mean:Q", title="Average", scale=alt.Scale(domain=list(dataset.scale or (0, 5)))),
            tooltip=["when", alt.Tooltip("mean", format=".2f"), "size"],
        )
        charts.append(line.properties(height=170))
    for slot, chart, label in zip(
        st.columns(len(charts)), charts, ("Histogram of ratings", "Average rating over time"), strict=False
    ):
        slot.caption(label)
        slot.altair_chart(chart, alt=f"{label} of this film")


asked = st.query_params.get("film")
if asked is None:
    poster_page()
else:
    found_row = dataset.items.find(asked)
    if found_row is None:
        st.warning(
            f"{dataset.name} has no film with id {layout.escape(asked)}. It may belong to another dataset.",
            title="Unknown film",
            icon=":material/help:",
        )
        if st.button("Show all films"):
            del st.query_params["film"]
            st.rerun()
    else:
        show_film(found_row)
