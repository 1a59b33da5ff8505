"""Rate a few films as a new visitor, or bring a new film, and see at once what every model makes of it."""

from concurrent.futures import Future
from typing import Any

import numpy as np
import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.serving import answers, elicitation, list_changes, recommender
from mmrec_core.serving.rating_links import MOST, read_items, read_ratings, write_items, write_ratings
from mmrec_core.types import Dataset
from pages.parts import answer_heading, layout, navigation
from pages.parts.answer_heading import BASELINE
from pages.parts.cold_start_curve import cold_start_curve
from pages.parts.counterfactual_view import counterfactual_view
from pages.parts.new_film_view import new_film_view
from pages.parts.poster_grid import film_card, poster_grid, rated, star_steps
from pages.parts.reason_words import reason_in_words
from pages.parts.run_card import changed, live_runs, pace, run_card
from pages.parts.study import blinding
from pages.parts.trajectory_view import trajectory_view

TITLE = "Cold start"
ICON = ":material/ac_unit:"
ORDER = "60"

layout.frame()
blinding.close_page_for_participants()

TOP = 8
SUGGESTED = 12
NAMED = 2
"""New films that a line on what changed names."""
CHOOSER, STUDIO = "cold.chooser", "cold.studio"
"""The page's two fragments: a rating draws both, and nothing else."""
STYLE = """<style>@media (min-width: 640px) {
[data-testid=stColumn]:has(> * .st-key-beside) { position: sticky; top: 4rem; align-self: flex-start; }
}</style>"""
"""The map and the reasons stay beside the lists while these are scrolled; on a narrow screen they follow them."""
dataset = layout.needs_dataset()
layout.needs_films(dataset)
catalog = dataset.catalog
scale = dataset.scale or (1.0, 5.0)


def current_ratings() -> dict[int, float]:
    """What the visitor has rated: item row → stars. It lives in the URL, so that a link is a lesson."""
    return read_ratings(st.query_params.get("ratings", ""), dataset)


def unseen() -> list[int]:
    """Films the visitor has not seen; in the URL like the ratings."""
    return read_items(st.query_params.get("unseen", ""), dataset)


def keep_for_undo() -> None:
    """What was said so far, to return to."""
    past = st.session_state.setdefault("past", [])
    past.append((st.query_params.get("ratings", ""), st.query_params.get("unseen", "")))
    del past[:-50]


def undo() -> None:
    """Take back what was said last."""
    past = st.session_state.get("past") or []
    if past:
        for key, value in zip(("ratings", "unseen"), past.pop(), strict=True):
            if value:
                st.query_params[key] = value
            elif key in st.query_params:
                del st.query_params[key]
        navigation.remember("cold_start", dataset.name)


def on_skip() -> None:
    """A film that was not seen: it is not suggested again."""
    event = st.session_state.get("suggested")
    if event is not None and event.get("skip") is not None and int(event["skip"]) not in unseen():
        keep_for_undo()
        rows = dict.fromkeys([*unseen(), int(event["skip"])])
        st.query_params["unseen"] = write_items(dataset.items.raw[row] for row in rows)
        navigation.remember("cold_start", dataset.name)


def store_ratings(ratings: dict[int, float]) -> bool:
    """Write the ratings into the URL; whether they are others than before. A rating that arrives twice changes
    nothing."""
    if ratings == current_ratings():
        return False
    keep_for_undo()
    if len(ratings) > MOST:
        ratings = dict(list(ratings.items())[-MOST:])
        st.toast(f"This page keeps {MOST} ratings; the oldest one was dropped.", icon=":material/info:")
    if ratings:
        st.query_params["ratings"] = write_ratings({dataset.items.raw[row]: stars for row, stars in ratings.items()})
    elif "ratings" in st.query_params:
        del st.query_params["ratings"]
    navigation.remember("cold_start", dataset.name)
    return True


def on_rate() -> None:
    """A star was set or cleared somewhere: both fragments are drawn anew, the page around them is not."""
    ratings = current_ratings()
    for key in ("suggested", "found", "rated"):
        try:
            changes = rated(st.session_state.get(key), len(dataset.items), scale)
        except MMRecError as error:
            st.toast(layout.escape(str(error)), icon=":material/error:")
            continue
        for row, stars in changes:
            if stars is None:  # cleared; zero and negative ratings are ratings
                ratings.pop(row, None)
            else:
                ratings[row] = stars
    if store_ratings(ratings):
        st.rerun([CHOOSER, STUDIO])


@st.cache_data(max_entries=64, show_spinner=False)
def suggestions(name: str, checksum: str, seed: int, _dataset: Dataset) -> list[int]:
    """Well-known films unlike each other, more than are shown at once: one that was not seen is followed by the
    next."""
    return [int(row) for row in elicitation.spread(_dataset, 6 * SUGGESTED, seed=seed)]


@st.cache_data(max_entries=8, show_spinner=False)
def taste_packs(name: str, checksum: str, _dataset: Dataset) -> list[dict[str, object]]:
    """Genre packs of well-known films that go together."""
    return elicitation.bundles(_dataset)


@st.cache_data(max_entries=64, show_spinner=False)
def films_models_disagree_on(
    run_ids: tuple[str, ...], ratings: tuple[tuple[object, float], ...], without: tuple[int, ...], _dataset: Dataset
) -> list[int]:
    """Films that the chosen models disagree on most."""
    history = recommender.history(_dataset, dict(ratings))
    scores = [recommender.scores(runs.get(run_id), history) for run_id in run_ids]
    return [int(row) for row in elicitation.disputed(scores, _dataset, SUGGESTED, without)]


def choose_taste_pack(ratings: dict[int, float]) -> None:
    """Taste clusters: four posters each; picking one rates all four with four stars of five."""
    st.caption(
        f"Pick what looks like you. A bundle rates its films ★ {relevance_threshold():g} each; change or clear any of"
        " them afterwards."
    )
    packs = st.grid(min_column_width=380)
    for at, bundle in enumerate(taste_packs(dataset.name, dataset.checksum, dataset)):
        films = [int(i) for i in np.asarray(bundle["films"])]
        with packs.container(border=True, key=f"bundle-{at}"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{layout.escape(str(bundle['name']))}**")
                if st.button(
                    "That’s me", key=f"pick-{at}", icon=":material/favorite:", disabled=all(i in ratings for i in films)
                ):
                    store_ratings({**ratings, **{i: relevance_threshold() for i in films}})
                    st.rerun()
            poster_grid(
                [film_card(dataset, i) for i in films],
                key=f"bundle-films-{at}",
                size="small",
                label=f"Bundle {bundle['name']}",
            )


def relevance_threshold() -> float:
    """What a picked bundle counts as: four and a half stars of five."""
    return star_steps(*scale)[8]


def choose_films(ratings: dict[int, float]) -> None:
    """Suggested films, or a search; each with stars."""
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    text = bar.text_input(
        "Find a film",
        key="find",
        width=320,
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
        rows = rows[np.argsort(-catalog["n_ratings"].to_numpy()[rows], kind="stable")][:12]
        if not len(rows):
            st.info(
                f"No title of {dataset.name} holds “{layout.escape(text)}”. Try a shorter part of it.",
                icon=":material/search_off:",
            )
            return
        films, key = [int(row) for row in rows], "found"
    else:
        st.session_state.setdefault("hand", 0)
        fitted = {n: r for n, r in runs.finished(dataset).items() if n not in {"random", "bias", BASELINE}}
        ways = (
            ["Informative", "Models disagree", "Genre packs"]
            if len(fitted) > 1 and len(ratings) >= 3
            else ["Informative", "Genre packs"]
        )
        way = bar.segmented_control(
            "Films to rate",
            ways,
            default="Informative",
            required=True,
            key="suggest",
            label_visibility="collapsed",
            help=(
                "Informative: well known and far apart, so each answer says much. Models disagree, after three ratings:"
                " films the models disagree on most. Genre packs: choose groups of films of similar genre at once."
            ),
        )
        if way == "Genre packs":
            choose_taste_pack(ratings)
            return
        asked = tuple(unseen())
        if way == "Models disagree":
            rating_pairs = tuple((dataset.items.raw[row].item(), stars) for row, stars in ratings.items())
            try:
                films = films_models_disagree_on(
                    tuple(r.id for r in fitted.values()), rating_pairs, (*asked, *ratings), dataset
                )
            except MMRecError as error:
                layout.show_error(error)
                return
        else:
            dealt = {i for i in st.session_state.get("dealt", ()) if i in ratings}  # rated before this hand was dealt
            every = suggestions(dataset.name, dataset.checksum, st.session_state["hand"], dataset)
            films = [i for i in every if i not in dealt and i not in asked][:SUGGESTED]
        key = "suggested"
    poster_grid(
        [film_card(dataset, row, stars=ratings.get(row)) for row in films],
        key=key,
        rate=scale,
        size="row",
        on_rate=on_rate,
        on_skip=on_skip if key == "suggested" else None,
        label="Films to rate",
    )
    if key == "suggested" and bar.button(
        "Other films",
        icon=":material/shuffle:",
        help="Suggests other well-known films that differ in genre and decade.",
    ):
        st.session_state["hand"] += 1
        st.session_state["dealt"] = tuple(ratings)
        st.rerun(scope="fragment")


def my_ratings(ratings: dict[int, float]) -> None:
    """The visitor's own strip."""
    if not ratings:
        st.info(
            "Rate a film: click a star, or its left half for half a star. The models answer after every rating.",
            icon=":material/star:",
        )
        if st.session_state.get("past"):
            undo_button()
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**You rated {len(ratings)} film{'s' if len(ratings) > 1 else ''}**")
        with st.popover("Your ratings", icon=":material/star:", type="tertiary"):
            st.caption("Change a star, or tap it once more to take the rating back.")
            poster_grid(
                [film_card(dataset, row, stars=stars) for row, stars in ratings.items()],
                key="rated",
                rate=scale,
                size="row",
                on_rate=on_rate,
                label="Your ratings",
            )
        undo_button()
        if st.button("Start over", icon=":material/restart_alt:", type="tertiary"):
            store_ratings({})
            st.rerun()


def undo_button() -> None:
    """Take back what was said last, also that everything starts over."""
    if st.button(
        "Undo",
        icon=":material/undo:",
        type="tertiary",
        disabled=not st.session_state.get("past"),
        key="undo",
        help=(
            "Takes back the last rating, bundle, “haven’t seen” or start over. The link in the address bar holds"
            " everything you said."
        ),
    ):
        undo()
        st.rerun()


def recommendations_by_model(ratings: dict[int, float], beside: st.delta_generator.DeltaGenerator) -> None:
    """Every fitted model's recommendations for these ratings, each box filled as its answer comes in.

    Args:
        ratings: the visitor's ratings.
        beside: where the map and the reasons are drawn, beside the lists.
    """
    fitted = runs.finished(dataset)
    if not fitted:
        no_trained_models(runs.usable_models(dataset))
        return
    names = [BASELINE] * (BASELINE in fitted) + sorted(n for n in fitted if n != BASELINE)
    usual = [n for n in names if n not in {"random", "bias"}] or names
    with st.container(gap="small"):
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
            "Explain",
            key="why",
            bind="query-params",
            disabled=not ratings,
            help=(
                "For each film, the rating of yours without which its score would fall most, and one without which it"
                " would rise. Exact: the rating is taken out and the model asked again."
            ),
        )
    if not shown:
        st.info("Choose a model above to see what it recommends.", icon=":material/touch_app:")
        return
    rating_pairs = tuple((dataset.items.raw[row].item(), stars) for row, stars in ratings.items())
    history = recommender.history(dataset, dict(rating_pairs))
    asked = {name: answers.ask(fitted[name], [history])[0] for name in names if name in shown}
    common: set[int] = set()
    listed: dict[str, list[int]] = {}
    lists: dict[str, tuple[list[int], list[int]]] = {}
    news = st.container()
    for name in (n for n in names if n in shown):
        with st.container(border=True, key=f"answer-{name}"):
            head = st.container(horizontal=True, vertical_alignment="center")
            head.markdown(f"**{name}**", help=answer_heading.summary(name))
            try:
                found = answer_of(name, asked[name])
                why = (
                    explain_lists(fitted[name].id, rating_pairs, first(found).items.tolist(), dataset)
                    if explain and found.source == "folded"
                    else None
                )
            except MMRecError as error:
                layout.show_error(error)
                if st.button("Fit it again", key=f"refit-{name}", icon=":material/refresh:"):
                    runs.start("train", fitted[name].params)
                    st.rerun()
                continue
            long, found = [int(i) for i in found.items], first(found)
            listed[name] = long[:TOP]
            if name == BASELINE:
                common = set(listed[name])
            answer_heading.heading(head, name, found, common, bool(ratings), fitted[name])
            before = before_the_last_rating(name, rating_pairs, long) if ratings else []
            lists[name] = (list_changes.unrated(before, ratings, TOP), listed[name])
            films = [card(found, place, why, list(ratings), lists[name][0]) for place in range(len(found.items))]
            poster_grid(films, key=f"recs-{name}", size="eight", on_open=on_open, label=f"Recommendations of {name}")
    if not listed:
        return
    if ratings:
        what_changed(news, list(ratings.items())[-1], lists)
    with beside:
        map_and_reasons(ratings, {n: fitted[n] for n in listed}, listed)


def what_changed(
    news: st.delta_generator.DeltaGenerator, last: tuple[int, float], lists: dict[str, tuple[list[int], list[int]]]
) -> None:
    """Which list the last rating changed most and by which films; also where somebody sees it who is still rating."""
    if not any(before for before, _ in lists.values()):
        return
    titles = catalog["title"]
    said = f"★ {last[1]:g} for {titles.iloc[last[0]]}"
    most = list_changes.most_changed(lists)
    if most is None:
        text = short = f"With {said}, every model recommends the same films as before."
    else:
        before, now = lists[most[0]]
        new = [str(titles.iloc[i]) for i in now if i not in before]
        more = f" and {len(new) - NAMED} more" if len(new) > NAMED else ""
        text = f"With {said}, {most[0]} changed most: {len(new)} of its {len(now)} films are new"
        text += f" ({'; '.join(new[:NAMED])}{more})."
        short = f"{most[0]}: {len(new)} of {len(now)} films are new"
    with news:
        st.markdown(f":material/trending_up: {layout.escape(text)}")
        st.caption("▲ ▼: places gained or lost by your last rating. New: not in the list before it.")
    if st.session_state.get("said_changed") != (last, len(current_ratings())):
        st.session_state["said_changed"] = (last, len(current_ratings()))
        st.toast(layout.escape(short), icon=":material/trending_up:")


def map_and_reasons(ratings: dict[int, float], models: dict[str, runs.Run], listed: dict[str, list[int]]) -> None:
    """Where the lists lie on the map, or why a film is in one."""
    more = st.segmented_control(
        "More",
        ["Map of recommendations", "Why this film"],
        key="more",
        bind="query-params",
        label_visibility="collapsed",
        default="Map of recommendations",
        required=True,
    )
    if more == "Why this film":
        counterfactual_view(dataset, models, ratings, listed)
    else:
        trajectory_view(dataset, models, ratings)


def before_the_last_rating(name: str, pairs: tuple[tuple[object, float], ...], items: list[int]) -> list[int]:
    """What a model recommended before the ratings were as they are now; empty for its first list."""
    kept: dict[str, Any] = st.session_state.setdefault("cold_lists", {}).setdefault(dataset.name, {})
    last = kept.get(name)
    if last is None or last["pairs"] != pairs:
        kept[name] = last = {"pairs": pairs, "items": items, "before": last["items"] if last else []}
    before: list[int] = last["before"]
    return before


def answer_of(name: str, asked: Future[answers.Answer]) -> answers.Answer:
    """A model's answer; a spinner where it is not there at once."""
    try:
        found = asked.result(timeout=0.4)
    except TimeoutError:
        with st.spinner(f"Asking {name} …"):
            found = asked.result()
    return found


def first(found: answers.Answer) -> answers.Answer:
    """The films of an answer that are shown."""
    return answers.Answer(found.items[:TOP], found.scores[:TOP], found.source)


@st.cache_data(max_entries=256, show_spinner=False)
def explain_lists(
    run_id: str, rating_pairs: tuple[tuple[object, float], ...], items: list[int], _dataset: Dataset
) -> list[list[tuple[int, float]]]:
    """For each film which ratings hold it up, kept for as long as the question is the same."""
    return recommender.reasons(runs.get(run_id), recommender.history(_dataset, dict(rating_pairs)), items)


def on_open() -> None:
    """A recommended film was chosen."""
    for key, event in list(st.session_state.items()):
        if str(key).startswith("recs-") and event is not None and event.get("open") is not None:
            st.session_state["go_to_film"] = int(event["open"])


def card(
    found: answers.Answer, place: int, why: list[list[tuple[int, float]]] | None, rated: list[int], before: list[int]
) -> dict[str, object]:
    """One recommended film, with its place and how that changed with the last rating."""
    reason = "" if not why or not why[place] else reason_in_words(dataset, why[place], rated, current_ratings())
    shown = film_card(dataset, int(found.items[place]), why=reason)
    change = list_changes.mark(list_changes.changes(before, found.items.tolist())[place], len(before))
    return {**shown, "note": f"{change} · {shown['mean']}" if change else shown["mean"], "rank": place + 1}


def no_trained_models(able: list[str]) -> None:
    """What is coming, or how to make it come."""
    waiting = [run for run in live_runs() if run.kind == "train" and run.params["dataset"] == dataset.name]
    with st.container(border=True):
        if waiting:
            st.subheader("The models are being fitted", anchor=False)
            st.write(
                "Recommendations appear here as soon as the first is ready:"
                f" {', '.join(run.params['model'] for run in waiting)}."
            )
        else:
            st.subheader("No model is fitted on this dataset", anchor=False)
            st.write(f"Fit them first: {', '.join(able)}. On the demo that takes about two minutes.")
            if st.button("Train baseline models", type="primary", icon=":material/model_training:"):
                runs.start_all(dataset.name)
                st.rerun(scope="fragment")


def jobs_in_progress() -> None:
    """Models still being fitted; each one that ends shows up among the answers."""
    live = [run for run in live_runs() if run.kind == "train" and run.params["dataset"] == dataset.name]
    if changed("coming", [dataset.name, *(run.id for run in live)]):
        st.rerun()
    if live:
        st.caption(f"Still to come: {', '.join(run.params['model'] for run in live)}")
        run_card(live[0])


@st.cache_resource(show_spinner=False)
def single_thread() -> None:
    """Small, quick questions: more threads only get in each other's way."""
    recommender.use_threads(1)


@st.fragment(key=CHOOSER)
def tabs() -> None:
    """Searching and leafing through suggestions draws only itself anew."""
    choose_films(current_ratings())


@st.fragment(key=STUDIO)
def rate_films_tab() -> None:
    """The visitor's ratings and what the models make of them."""
    if "go_to_film" in st.session_state:
        layout.open_film(dataset, st.session_state.pop("go_to_film"))
    ratings = current_ratings()
    left, right = st.columns([1.75, 1], gap="large")
    beside = right.container(key="beside")
    with left:
        st.subheader("Recommendations by model", anchor=False)
        my_ratings(ratings)
        recommendations_by_model(ratings, beside)


st.title("Cold start", anchor=False)
layout.generated_note(dataset)
single_thread()
WHO = ["New user", "New film", "Cold-start curve"]
who = (
    st.segmented_control(
        "New user or new film",
        WHO,
        default=WHO[0],
        required=True,
        key="new",
        bind="query-params",
        label_visibility="collapsed",
    )
    or WHO[0]
)
if who == "New film":
    new_film_view(dataset)
elif who == "Cold-start curve":
    cold_start_curve(dataset)
else:
    st.caption(
        "You are a user that no model has seen. Models infer your profile from your ratings (fold-in), without"
        " retraining."
    )
    st.html(STYLE)
    tabs()
    rate_films_tab()
    st.fragment(jobs_in_progress, run_every=pace())()
