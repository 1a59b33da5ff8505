"""One person and one film: what each model says, why, and what it would say if something had been otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import features, runs
from mmrec_core.analysis.comparison import NOT_RECORDED, Row
from mmrec_core.data.splits import known_rows
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import hidden
from mmrec_core.serving import counterfactuals as cf
from mmrec_core.serving import recommender
from mmrec_core.serving.rating_effects import MOST, SAME
from mmrec_core.types import Array, Dataset, History, Split
from pages.parts import feature_interactions, hidden_names, layout, what_if_rating
from pages.parts.evaluated_models import as_evaluated, as_history, columns_of
from pages.parts.poster_grid import film_card, poster_grid
from pages.parts.what_if_rating import WhatIf, effects, shown_changes

KIND = {"text": "plot", "image": "poster"}
"""What people call a film's vectors of a modality, where they have a name for it."""
SHOWN = 8


def case(dataset: Dataset, split: Split, user: int, item: int, rows: list[Row], labels: list[str]) -> None:
    """The whole view of one case."""
    from mmrec_core.evaluation.ranker import history_of  # it loads torch, which is no matter of the page's first sight

    events = dataset.interactions
    own = np.flatnonzero(np.asarray(events.need("user")) == user)
    asked = rows[0].key
    learned = np.intersect1d(
        own, known_rows(split, "training" if asked.known == NOT_RECORDED else asked.known, dataset)
    )  # what the model learned of them: folding in the same tells the same
    learned = learned[np.asarray(events.need("item"))[learned] != item]  # its own rating would answer the question
    history = history_of(
        events,
        learned[np.argsort(np.asarray(events.time)[learned], kind="stable")] if events.time is not None else learned,
    )
    known = np.asarray(events.need("item"))[np.intersect1d(own, np.concatenate([split.train, split.validation]))]
    seen = tuple(int(i) for i in np.unique(hidden(asked.protocol, known)) if int(i) != item)
    at = own[np.asarray(events.need("item"))[own] == item]
    left, right = st.columns([1, 4])
    with left:
        poster_grid([film_card(dataset, item)], key="case-film", size="medium", label="The film")
    with right:
        the_film(dataset, split, item, at)
        in_a_sentence(dataset, split, rows, labels, user, item, history, seen)
        what_models_say(dataset, split, rows, labels, user, item, history, seen)
    able = [r for r in rows if r.trained is not None]
    if not able:
        st.info(
            "An oracle cannot be asked what it would say otherwise. Choose a trained model.", icon=":material/info:"
        )
        return
    label = able[0].label
    if len(able) > 1:
        label = (
            st.segmented_control(
                "What-if for model",
                [r.label for r in able],
                default=able[0].label,
                required=True,
                key="case.model",
                format_func=lambda n: hidden_names.name(n, labels),
            )
            or able[0].label
        )
    row = next(r for r in able if r.label == label)
    run = runs.get(str(row.trained))
    model = as_evaluated(run.id, split.checksum, dataset, split)
    nearest_known(dataset, run, history, item)
    st.markdown("#### What if …")
    st.caption(
        "Exact: the model is asked again with something changed, its weights as they are. Every what-if starts from the"
        " folded-in rank of the table above: the user is inferred from their training ratings, with and without the"
        " change. Retraining would change the weights, too."
    )
    what_if = WhatIf(dataset, split, run, model, user, item, history, seen)
    what_if_rating.removals(what_if)
    with st.expander("Change a rating", icon=":material/star_half:", expanded=True):
        what_if_rating.other_stars(what_if)
        what_if_rating.other_order(what_if)
    content(dataset, run, model, history, item, seen)
    feature_interactions.in_case(model, user, item)


def the_film(dataset: Dataset, split: Split, item: int, at: Array) -> None:
    """What is known of the film, and of this user's rating of it."""
    record = dataset.catalog.iloc[item]
    year = "" if pd.isna(record["year"]) else f" ({int(record['year'])})"
    st.markdown(f"#### {layout.escape(record['title'])}{year}")
    facts = [", ".join(map(str, record["genres"]))] if len(record["genres"]) else []
    facts.append(
        f"{int((np.asarray(dataset.interactions.need('item'))[split.train] == item).sum()):,} training ratings"
    )
    if len(at):
        part = (
            "held out (test)"
            if np.isin(at[0], split.test)
            else "held out (validation)"
            if np.isin(at[0], split.validation)
            else "in training"
        )
        stars = dataset.interactions.rating
        facts.append(
            f"this user gave it ★ {float(np.asarray(stars)[at[0]]):g}, {part}"
            if stars is not None
            else f"this user met it, {part}"
        )
    else:
        facts.append("not rated by this user")
    st.caption(" · ".join(layout.escape(f) for f in facts))
    if isinstance(record["plot"], str):
        with st.expander("Plot"):
            st.write(layout.escape(record["plot"]))


@st.cache_data(max_entries=512, show_spinner=False)
def verdict(
    run_id: str, split_checksum: str, user: int, item: int, seen: tuple[int, ...], _dataset: Dataset, _split: Split
) -> dict[str, float | None]:
    """A trained model's stars (where it predicts any), score and place of a film for a person it learned from."""
    return cf.verdict(as_evaluated(run_id, split_checksum, _dataset, _split), user, item, np.array(seen, np.int64))


def what_models_say(
    dataset: Dataset,
    split: Split,
    rows: list[Row],
    labels: list[str],
    user: int,
    item: int,
    history: History,
    seen: tuple[int, ...],
) -> None:
    """Prediction and ranks per model: of the profile learned in training, and of the one folded in from the same
    ratings."""
    table: list[dict[str, Any]] = []
    for row in rows:
        if row.trained is None:
            continue
        try:
            found = verdict(row.trained, split.checksum, user, item, seen, dataset, split)
            folded = folded_in(row.trained, split.checksum, *columns_of(history), item, seen, dataset, split)
        except MMRecError as error:
            layout.show_error(error)
            continue
        table.append(
            {
                "Model": hidden_names.name(row.label, labels),
                **({"Predicted stars": found["stars"]} if found["stars"] is not None else {}),
                **({} if hidden_names.hidden() else {"Score": f"{found['score']:.4g}"}),
                "Rank, learned profile": rank_in_words(found["place"]),
                "Rank, folded-in profile": f"{folded.rank:g}",
            }
        )
    among = (
        f"Among the {len(dataset.items):,} films less those this user is known to have rated; ties share the middle."
    )
    if table:
        st.dataframe(
            pd.DataFrame(table),
            hide_index=True,
            height="content",
            key="case.says",
            alt="What the models say",
            placeholder="–",
            column_config={
                "Predicted stars": st.column_config.NumberColumn(format="%.2f", help="Of models that predict stars."),
                "Score": st.column_config.TextColumn(
                    help="What the model ranks by; scores of different models are on different scales."
                ),
                "Rank, learned profile": st.column_config.TextColumn(
                    help=f"By what the model learned of this user in training. {among}"
                ),
                "Rank, folded-in profile": st.column_config.TextColumn(
                    help=(
                        "By what the model infers from the user’s training ratings, as for a new user. What-ifs start"
                        f" from it. {among}"
                    )
                ),
            },
        )


@st.cache_data(max_entries=512, show_spinner=False)
def folded_in(
    run_id: str,
    split_checksum: str,
    items: bytes,
    ratings: bytes | None,
    times: bytes | None,
    item: int,
    seen: tuple[int, ...],
    _dataset: Dataset,
    _split: Split,
) -> cf.Answer:
    """Score and rank of a film for a history that is folded in."""
    return cf.history_edits(
        as_evaluated(run_id, split_checksum, _dataset, _split),
        as_history(items, ratings, times),
        item,
        {},
        np.array(seen, np.int64),
    )[0]


def in_a_sentence(
    dataset: Dataset,
    split: Split,
    rows: list[Row],
    labels: list[str],
    user: int,
    item: int,
    history: History,
    seen: tuple[int, ...],
) -> None:
    """Why two models disagree, or one says what it says, in words."""
    parts = []
    for row in rows:
        if row.trained is None:
            continue
        known = history
        name = f"**{layout.escape(hidden_names.name(row.label, labels))}**"
        try:
            place = verdict(str(row.trained), split.checksum, user, item, seen, dataset, split)["place"]
            found = (
                effects("removals", str(row.trained), split.checksum, *columns_of(known), item, seen, dataset, split)
                if len(known)
                else None
            )
        except MMRecError:
            continue
        moved = [] if found is None else [(e.index, found.base.score - e.answer.score) for e in found.edits]
        why = _reasons_in_words(moved, known, dataset)
        parts.append(f"{name} ranks it **{rank_in_words(place)}**: {why}.")
    if not parts:
        return
    st.markdown(" ".join(parts))
    latest = f"the latest {MOST} of {len(history):,}" if len(history) > MOST else f"{len(history):,}"
    st.caption(
        f"What raises and lowers: each of {latest} training ratings was taken out, and the model scored the film from"
        " the others as for a new user (fold-in), so its score may differ from that of the trained profile. A single"
        " rating moves a score little; the nearest films below show the rest."
    )


def _reasons_in_words(moved: Sequence[tuple[int, float]], history: History, dataset: Dataset) -> str:
    """The rating that raises a score most, and the one that lowers it most.

    Args:
        moved: ratings of the history and what the score loses without each.
        history: the ratings.
        dataset: the dataset.
    """

    def film(index: int) -> str:
        stars = "" if history.ratings is None else f" (★ {history.ratings[index]:g})"
        return f"{layout.escape(str(dataset.catalog['title'].iloc[history.items[index]]))}{stars}"

    up, down = max(moved, key=lambda m: m[1], default=(0, 0.0)), min(moved, key=lambda m: m[1], default=(0, 0.0))
    said = []
    if up[1] > 1e-12:
        said.append(f"of this user’s ratings {film(up[0])} raises its score most")
    if down[1] < -1e-12:
        said.append(f"{film(down[0])} lowers it most")
    return "; ".join(said) or "it says the same to everybody, whatever they rated"


def rank_in_words(rank: float) -> str:
    """A rank; films with equal scores share the mean of their ranks, which is named as a tie."""
    return f"{rank:,.0f}" if float(rank).is_integer() else f"about {rank:,.0f} (tied)"


@st.cache_data(max_entries=32, show_spinner=False)
def learned_vectors(run_id: str) -> Array | None:
    """A model's own film vectors, unit rows."""
    found = recommender.load_run_model(runs.get(run_id).folder).item_vectors()
    if found is None:
        return None
    table = found.float().numpy()
    length = np.linalg.norm(table, axis=1, keepdims=True)
    return np.asarray(table / np.where(length == 0, 1, length))


def nearest_known(dataset: Dataset, run: runs.Run, user_history: History, item: int) -> None:
    """Films of the history that the model thinks most like this one."""
    vectors = learned_vectors(run.id)
    if vectors is None or not len(user_history):
        return
    cosine = vectors[user_history.items] @ vectors[item]
    best = np.argsort(-cosine, kind="stable")[:SHOWN]
    films = [
        film_card(
            dataset,
            int(user_history.items[at]),
            note=f"similarity {cosine[at]:.2f}",
            why="" if user_history.ratings is None else f"rated {layout.stars(float(user_history.ratings[at]))}",
        )
        for at in best
        if int(user_history.items[at]) != item
    ]
    st.caption("Films of this user that lie nearest to it in the model’s own space (cosine of its film vectors)")
    poster_grid(films, key="case-near", size="eight", label="Nearest known films")


def content(dataset: Dataset, run: runs.Run, model: Any, history: History, item: int, seen: tuple[int, ...]) -> None:
    """Plots and posters blanked, swapped, rewritten; ids, text or image alone."""
    reads = cf.modalities(model)
    with st.expander("… its plot or poster were another", icon=":material/movie_edit:", expanded=bool(reads)):
        try:
            if not reads:
                st.caption(
                    f"{'This model' if hidden_names.hidden() else run.params['model']} reads neither plots nor posters,"
                    " so nothing they show or tell can change its mind."
                )
                return
            there = cf.has(model, item)
            if lacking := [KIND.get(m, m) for m in reads if m not in there]:
                st.caption(
                    f":material/info: This film has no {' and no '.join(lacking)} that was encoded, so there is nothing"
                    " to take away or to look at alone."
                )
            edits: dict[str, Any] = {f"no {KIND.get(m, m)}": {m: {item: cf.BLANK}} for m in there}
            edits |= asked_edits(dataset, run, reads, item)
            edited = cf.content_edits(model, history, item, edits, np.array(seen, np.int64))
            shown_changes(edited)
            if len(edited) > 1 and all(abs(a.score - edited[0].score) <= SAME for a in edited):
                st.caption(":material/info: None of these changes the score of this film.")
            found = cf.views(model, history, item, np.array(seen, np.int64))
            if len(found) > 1:
                st.markdown("**What each modality says alone**")
                shown_changes(found)
                st.caption(
                    f"Nearest to the whole: {cf.dominant_modality(found)}. “Ids only” blanks every film’s"
                    f" {' and '.join(KIND.get(m, m) for m in reads)}; the other views also hide this film’s id, as if"
                    " nobody had rated it (edges and memories of other films stay)."
                )
        except MMRecError as error:
            layout.show_error(error)


def asked_edits(dataset: Dataset, run: runs.Run, reads: tuple[str, ...], item: int) -> dict[str, Any]:
    """What the visitor wants swapped or rewritten."""
    titles = dataset.catalog["title"]
    edits: dict[str, Any] = {}
    if "image" in reads:
        swap = st.selectbox(
            "Give it the poster of",
            [None, *np.argsort(-dataset.catalog["n_ratings"].to_numpy(), kind="stable")[:2000].tolist()],
            key="case.swap",
            format_func=lambda i: "its own" if i is None else str(titles.iloc[i]),
            width=320,
        )
        if swap is not None:
            edits[f"the poster of {titles.iloc[swap]}"] = {"image": {item: int(swap)}}
    if "text" in reads:
        text = st.text_area(
            "Rewrite its plot", key="case.plot", height=80, max_chars=4000, placeholder="A new plot, encoded at once"
        )
        if text.strip():
            encoder = features.split_pair(str(run.params.get("encoder") or features.default_encoder(dataset)))["text"]
            try:
                edits["the plot you wrote"] = {
                    "text": {item: encoded(dataset.name, dataset.checksum, encoder, text, item, dataset)}
                }
            except MMRecError as error:  # the other edits stand
                st.info(f"Your plot is left out. {layout.escape(str(error))}", icon=":material/info:")
    return edits


@st.cache_data(max_entries=64, show_spinner="Encoding your plot …")
def encoded(name: str, checksum: str, encoder: str, plot: str, item: int, _dataset: Dataset) -> Array:
    """The vector of the film's prompt with another plot.

    Raises:
        MMRecError: vectors were brought from elsewhere, so nothing here can encode a new text.
    """
    record = {**_dataset.catalog.iloc[item].to_dict(), "plot": plot}
    return np.asarray(features.restore_encoder(_dataset, encoder).encode_text([features.rich_text(record)])[0])
