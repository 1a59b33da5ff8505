"""Why this film: which of your ratings hold it up, and whether its plot or its poster spoke."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import hidden
from mmrec_core.serving import counterfactuals as cf
from mmrec_core.serving import rating_effects, recommender
from mmrec_core.serving.rating_effects import Effects
from mmrec_core.serving.signed_reasons import Taste, taste
from mmrec_core.types import Dataset
from pages.parts import charts, layout
from pages.parts.what_if_rating import shown_changes

MOST = 25
SIGNS = {"liked": "♥ ", "disliked": "✕ ", "neither": ""}


@st.cache_data(max_entries=256, show_spinner=False)
def reasons(
    run_id: str, info: tuple[tuple[object, float], ...], item: int, _dataset: Dataset
) -> tuple[Effects, list[cf.Answer]]:
    """Leave-one-rating-out, and the views of ids, text and image."""
    run = runs.get(run_id)
    model = recommender.load_run_model(run.folder)
    history = recommender.history(_dataset, dict(info))
    seen = np.setdiff1d(hidden(run.params["protocol"], history.items), [item])
    return rating_effects.removals(model, history, item, seen), cf.views(model, history, item)


def counterfactual_view(
    dataset: Dataset, models: dict[str, runs.Run], ratings: dict[int, float], shown: dict[str, list[int]]
) -> None:
    """Choose a model and one of its films."""
    able = [m for m in models if shown.get(m) and m != "popularity"]
    if not able or not ratings:
        st.caption("Rate a film first; then each recommendation can say why.")
        return
    titles = dataset.catalog["title"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        model = st.selectbox("Model", able, key="why.model", width=220)
        item = st.selectbox(
            "Why", shown[model], key=f"why.film.{model}", width=340, format_func=lambda i: str(titles.iloc[i])
        )
    info = tuple((dataset.items.raw[row].item(), stars) for row, stars in ratings.items())
    try:
        with st.spinner("Asking again without each rating …"):
            found, views = reasons(models[model].id, info[-MOST:], int(item), dataset)
    except MMRecError as error:
        layout.show_error(error)
        return
    base, rated, most = found.base, list(ratings)[-MOST:], found.strongest()
    moved = [(rated[e.index], base.score - e.answer.score, e.answer.rank - base.rank) for e in found.edits]
    if most is not None and most.replaced:
        others = "films is another" if most.replaced == 1 else "films are others"
        st.markdown(
            f"{layout.escape(model)}’s list depends most on **{layout.escape(str(titles.iloc[rated[most.index]]))}**:"
            f" without it, {most.replaced} of its first ten {others}."
        )
    if not any(abs(m) > 1e-12 for _, m, _ in moved):
        st.info(
            f"{model} shows this film to everybody in your place: none of your ratings changes its score.",
            icon=":material/person_off:",
        )
    else:
        result_in_words(dataset, ratings, moved, str(titles.iloc[item]))
        data = pd.DataFrame(
            [
                {
                    "film": f"{SIGNS[tasted(dataset, ratings[row])]}{titles.iloc[row]} ★{ratings[row]:g}",
                    "change": up,
                    "places": places,
                    "does": "raises the score" if up > 0 else "lowers the score",
                }
                for row, up, places in sorted(moved, key=lambda m: -abs(m[1]))[:10]
            ]
        )
        st.altair_chart(
            charts.rating_effects(data),
            alt="Which ratings hold the film up: " + "; ".join(f"{r.film} {r.change:+.3f}" for r in data.itertuples()),
        )
    if len(views) > 1:
        st.markdown(f"**Which modality spoke:** {cf.dominant_modality(views)}")
        shown_changes(views)
    st.caption(
        "♥ you liked it, ✕ you disliked it. Exact for this model: the rating is taken out, the rest is folded in again,"
        " and the model asked anew."
    )


def tasted(dataset: Dataset, stars: float) -> Taste:
    """Whether a rating of the visitor's says that they liked a film."""
    return taste(stars, dataset.manifest.get("relevant_from"), dataset.scale)


def result_in_words(
    dataset: Dataset, ratings: dict[int, float], moved: list[tuple[int, float, float]], title: str
) -> None:
    """A sentence."""
    titles = dataset.catalog["title"]
    row, up, places = max(moved, key=lambda m: m[1])
    if up <= 0:
        st.markdown(
            f"No single rating of yours raises the score of **{layout.escape(title)}**; without some of them it would"
            " be higher. The model recommends it to people with other ratings, too."
        )
        return
    falls = (
        f"it would fall {places:.0f} place{'s' if round(places) != 1 else ''}"
        if places >= 1
        else "its score would fall, though not its place"
    )
    said = {"liked": "liked", "disliked": "disliked", "neither": "rated"}
    against = sum(m < 0 for _, m, _ in moved)
    rest = f" {against} of your other ratings speak against it." if against > 1 else ""
    st.markdown(
        f"Most because you {said[tasted(dataset, ratings[row])]} **{layout.escape(str(titles.iloc[row]))}**"
        f" (★ {ratings[row]:g}): without that {falls}.{rest}"
    )
