"""Rate a few films as a new visitor and see at once what every model recommends, side by side."""

import time

import numpy as np
import streamlit as st

from mmrec_core import cold_start, registry, runs
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import shell
from pages.parts.run_card import changed, live_runs, pace, run_card
from pages.parts.wall import film, wall

TITLE = "Cold start"
ICON = ":material/ac_unit:"
ORDER = "60"

shell.frame()

TOP = 8
YARDSTICK = "popularity"
dataset = shell.needs_dataset()
catalog = dataset.catalog
scale = dataset.scale or (1.0, 5.0)


def told() -> dict[int, float]:
    """What the visitor has rated: item row → stars. It lives in the URL, so that a link is a lesson."""
    found = {}
    for part in st.query_params.get("ratings", "").split("_"):
        item, _, stars = part.partition(":")
        row = (
            int(dataset.items.rows([item])[0])
            if item and (item.isdigit() or dataset.items.raw.dtype.kind not in "iu")
            else -1
        )
        try:
            value = float(stars)
        except ValueError:
            continue
        if row >= 0 and scale[0] <= value <= scale[1]:
            found[row] = value
    return found


def remember(ratings: dict[int, float]) -> None:
    """Write the ratings into the URL."""
    if ratings:
        st.query_params["ratings"] = "_".join(f"{dataset.items.raw[row]}:{stars:g}" for row, stars in ratings.items())
    elif "ratings" in st.query_params:
        del st.query_params["ratings"]


def on_rate() -> None:
    """A star was set or cleared somewhere."""
    ratings = told()
    for key in ("suggested", "found", "rated"):
        event = st.session_state.get(key)
        change = event.get("rate") if event is not None else None
        if change:
            if float(change["stars"]) <= 0:
                ratings.pop(int(change["id"]), None)
            else:
                ratings[int(change["id"])] = float(change["stars"])
    remember(ratings)


@st.cache_data(max_entries=16, show_spinner=False)
def suggestions(name: str, checksum: str, seed: int, _dataset: Dataset) -> list[int]:
    """Well-known films unlike each other."""
    return [int(row) for row in cold_start.to_rate(_dataset, 18, seed)]


def choose_films(ratings: dict[int, float]) -> None:
    """Suggested films, or a search; each with stars."""
    text = st.text_input(
        "Find a film",
        key="find",
        live=True,
        placeholder="Type a part of a title",
        icon=":material/search:",
        help="Or rate some of the films suggested below.",
    )
    if text.strip():
        words = text.lower().split()
        titles = catalog["title"].str.lower()
        keep = np.logical_and.reduce([titles.str.contains(word, regex=False).to_numpy() for word in words])
        rows = catalog.index[keep]
        rows = rows[np.argsort(-catalog["n_ratings"].to_numpy()[rows], kind="stable")][:18]
        if not len(rows):
            st.info(
                f"No title of {dataset.name} holds “{shell.plain(text)}”. Try a shorter part of it.",
                icon=":material/search_off:",
            )
            return
        films, key = [int(row) for row in rows], "found"
    else:
        st.session_state.setdefault("hand", 0)
        films, key = suggestions(dataset.name, dataset.checksum, st.session_state["hand"], dataset), "suggested"
    wall(
        [film(dataset, row, stars=ratings.get(row)) for row in films],
        key=key,
        rate=scale,
        size="small",
        on_rate=on_rate,
        label="Films to rate",
    )
    if key == "suggested" and st.button(
        "Other films",
        icon=":material/shuffle:",
        help="Suggests other well-known films that differ in genre and decade.",
    ):
        st.session_state["hand"] += 1
        st.rerun(scope="fragment")


def my_ratings(ratings: dict[int, float]) -> None:
    """The visitor's own strip."""
    if not ratings:
        st.info(
            "Rate a film: click a star, or its left half for half a star. Every model answers at once.",
            icon=":material/star:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**You rated {len(ratings)} film{'s' if len(ratings) > 1 else ''}**")
        if st.button("Start over", icon=":material/restart_alt:", type="tertiary"):
            remember({})
            st.rerun(scope="fragment")
    wall(
        [film(dataset, row, stars=stars) for row, stars in ratings.items()],
        key="rated",
        rate=scale,
        size="row",
        on_rate=on_rate,
        label="Your ratings",
    )


def answers(ratings: dict[int, float]) -> None:
    """Every fitted model's recommendations for these ratings."""
    fitted = runs.finished(dataset)
    able = runs.usable_models(dataset)
    if not fitted:
        nothing_fitted(able)
        return
    names = [YARDSTICK] * (YARDSTICK in fitted) + [n for n in fitted if n != YARDSTICK]
    usual = [n for n in (YARDSTICK, "itemknn", "ease", "bpr", "mf", "dlrm") if n in names] or names
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = st.pills(
            "Models",
            names,
            selection_mode="multi",
            default=usual,
            key="models",
            bind="query-params",
            help="Every model that is fitted on this dataset.",
        )
        explain = st.toggle(
            "Why these",
            key="why",
            bind="query-params",
            disabled=not ratings,
            help="For each film, the rating of yours without which its score would fall most. Exact: the rating is taken out and the model asked again.",
        )
    if not shown:
        st.info("Choose a model above to see what it recommends.", icon=":material/touch_app:")
        return
    history = cold_start.history(dataset, {dataset.items.raw[row]: stars for row, stars in ratings.items()})
    common: set[int] = set()
    for name in shown:
        with st.container(border=True, key=f"answer-{name}"):
            try:
                found = cold_start.recommend(fitted[name], history, TOP)
            except MMRecError as error:
                shell.tell(error)
                continue
            if name == YARDSTICK:
                common = {int(i) for i in found.items}
            heading(name, found, common, bool(ratings))
            why = (
                cold_start.reasons(fitted[name], history, [int(i) for i in found.items])
                if explain and ratings and found.source == "folded"
                else None
            )
            wall(
                [card(found, place, why, history) for place in range(len(found.items))],
                key=f"recs-{name}",
                size="eight",
                label=f"Recommendations of {name}",
            )


def card(
    found: cold_start.Recommendations, place: int, why: list[list[tuple[int, float]]] | None, history: object
) -> dict[str, object]:
    """One recommended film."""
    reason = ""
    if why and why[place]:
        at, fall = why[place][0]
        if fall > 0:
            reason = f"because of {catalog['title'].iloc[int(history.items[at])]}"  # type: ignore[attr-defined]
    return {**film(dataset, int(found.items[place]), why=reason), "rank": place + 1}


def heading(name: str, found: cold_start.Recommendations, common: set[int], rated: bool) -> None:
    """A model's name, its first docstring line, and labels where it falls back or only repeats popularity."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{name}**", help=registry.entry("models", name).summary)
        if name == YARDSTICK:
            st.badge(
                "yardstick",
                icon=":material/straighten:",
                color="gray",
                help="The same for everyone. A model that shows the same films has learned nothing about you.",
            )
        elif found.source == "fallback":
            st.badge(
                "fallback: knows nothing of you" if rated else "nothing rated yet",
                icon=":material/person_off:",
                color="orange",
                help="The model has no information it can use about you, so everyone in your place gets these films.",
            )
        if name != YARDSTICK and common:
            shared = len(common & {int(i) for i in found.items})
            st.caption(f"{shared} of {len(found.items)} also most popular")


def nothing_fitted(able: list[str]) -> None:
    """What is coming, or how to make it come."""
    waiting = [run for run in live_runs() if run.kind == "train" and run.params["dataset"] == dataset.name]
    with st.container(border=True):
        if waiting:
            st.subheader("The models are being fitted", anchor=False)
            st.write(
                f"Recommendations appear here as soon as the first is ready: {', '.join(run.params['model'] for run in waiting)}."
            )
        else:
            st.subheader("No model is fitted on this dataset", anchor=False)
            st.write(f"Fit them first: {', '.join(able)}. On the demo that takes about two minutes.")
            if st.button("Fit all models", type="primary", icon=":material/model_training:"):
                runs.start_all(dataset.name)
                st.rerun(scope="fragment")


def coming() -> None:
    """Models still being fitted; each one that ends shows up among the answers."""
    live = [run for run in live_runs() if run.kind == "train" and run.params["dataset"] == dataset.name]
    if changed("coming", [dataset.name, *(run.id for run in live)]):
        st.rerun()
    if live:
        st.caption(f"Still to come: {', '.join(run.params['model'] for run in live)}")
        run_card(live[0])


@st.fragment
def studio() -> None:
    """Everything that a rating changes."""
    ratings = told()
    left, right = st.columns([1, 1.6], gap="large")
    with left:
        st.subheader("Rate", anchor=False)
        choose_films(ratings)
    with right:
        st.subheader("What every model makes of you", anchor=False)
        my_ratings(ratings)
        started = time.perf_counter()
        answers(ratings)
        if ratings and runs.finished(dataset):
            st.caption(
                f"Answered in {time.perf_counter() - started:.1f} s by folding you in, with all models left as they were trained."
            )


PILLS = "<style>.st-key-models [aria-pressed=true] p { color: light-dark(#9A3412, #F5B340); }</style>"
"""The accent must carry white labels on buttons; as text on a dark pill it needs to be lighter."""

st.title("Cold start", anchor=False)
st.html(PILLS)
st.caption(
    "You are a user that no model has seen. Each rating is folded in: the model makes a state for you from what you told it, without retraining."
)
shell.generated_note(dataset)
studio()
st.fragment(coming, run_every=pace())()
