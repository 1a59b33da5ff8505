"""What a model would say if one rating were missing or another, or two events had come the other way round."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import registry, runs
from mmrec_core.errors import MMRecError
from mmrec_core.serving import counterfactuals as cf
from mmrec_core.serving import rating_effects
from mmrec_core.serving.rating_effects import MOST, SAME, Edit, Effects
from mmrec_core.types import Dataset, History, Split
from pages.parts import charts, layout
from pages.parts.evaluated_models import as_evaluated, as_history, columns_of

BARS = 16


@dataclass(frozen=True)
class WhatIf:
    """A user and a film, and the model that is asked."""

    dataset: Dataset
    split: Split
    run: runs.Run
    model: Any
    user: int
    item: int
    history: History
    seen: tuple[int, ...]

    @property
    def hidden(self) -> np.ndarray[Any, Any]:
        """Item rows left out of rankings."""
        return np.array(self.seen, np.int64)

    def key(self, name: str) -> str:
        """A widget's key; another case begins with its own defaults."""
        return f"case.{name}.{self.run.id}.{self.user}.{self.item}"

    @cached_property
    def titles(self) -> list[str]:
        """The film of each event."""
        return [str(title) for title in self.dataset.catalog["title"].iloc[self.history.items]]

    def rated(self, at: int) -> str:
        """The film of an event with its stars."""
        return self.titles[at] + ("" if self.history.ratings is None else f" ★{self.history.ratings[at]:g}")

    def effects(self, what: str) -> Effects:
        """What every edit of a kind does."""
        return effects(
            what, self.run.id, self.split.checksum, *columns_of(self.history), self.item, self.seen, self.dataset,
            self.split,
        )  # fmt: skip

    def list_change(self, edit: Edit) -> str:
        """What leaving out a rating does to the list, in a sentence."""
        name = layout.escape(self.rated(edit.index))
        if not edit.replaced:
            return f"No single rating changes the ten films it recommends; **{name}** moves this film most."
        films = "film is another" if edit.replaced == 1 else "films are others"
        return f"Its list depends most on **{name}**: without it, {edit.replaced} of the ten recommended {films}."


@st.cache_data(max_entries=256, show_spinner="Asking again with one rating changed after the other …")
def effects(
    what: str,
    run_id: str,
    split_checksum: str,
    items: bytes,
    ratings: bytes | None,
    times: bytes | None,
    item: int,
    seen: tuple[int, ...],
    _dataset: Dataset,
    _split: Split,
) -> Effects:
    """What every ``removals``, ``changed_ratings`` (to both ends of the scale) or ``exchanges`` does."""
    model = as_evaluated(run_id, split_checksum, _dataset, _split)
    history, hidden = as_history(items, ratings, times), np.array(seen, np.int64)
    if what == "changed_ratings":
        return rating_effects.changed_ratings(model, history, item, hidden, _dataset.scale or ())
    return {"removals": rating_effects.removals, "exchanges": rating_effects.exchanges}[what](
        model, history, item, hidden
    )


def removals(case: WhatIf) -> None:
    """Which ratings hold the film where it is, and which one shapes the list most."""
    history = case.history
    if not len(history):
        st.caption("No rating of this user is known, so none can be left out.")
        return
    try:
        found = case.effects("removals")
    except MMRecError as error:
        layout.show_error(error)
        return
    base, most = found.base, found.strongest()
    if most is None:
        st.info(
            "No single rating changes this model’s score of the film or its top ten: it does not look at what this"
            " user rated.",
            icon=":material/person_off:",
        )
        return
    st.markdown(
        f"**… a rating were missing.** Folded in from the history, the film has score {base.score:.4f} and rank"
        f" {base.rank:g}. {case.list_change(most)}"
    )
    moved = [(e.index, base.score - e.answer.score, e.answer.rank - base.rank) for e in found.edits]
    shown = [m for m in sorted(moved, key=lambda m: -abs(m[1]))[:BARS] if abs(m[1]) > SAME]
    if not shown:
        st.caption("None of them changes the score of this film.")
        return
    data = pd.DataFrame(
        [
            {
                "film": case.rated(at),
                "change": up,
                "places": place,
                "does": "raises the score" if up > 0 else "lowers the score",
            }
            for at, up, place in shown
        ]
    )
    chart = charts.rating_effects(data)
    st.altair_chart(
        chart,
        alt="Leave-one-rating-out: " + "; ".join(f"{r['film']} {r['change']:+.4f}" for _, r in data.head(5).iterrows()),
    )
    if len(history) > MOST:
        st.caption(f"The latest {MOST} of {len(history):,} ratings, each left out in turn.")


def other_stars(case: WhatIf) -> None:
    """One rating changed; at first the one, and to the end of the scale, that changes most."""
    history, scale = case.history, case.dataset.scale
    if history.ratings is None or scale is None or not len(history):
        st.caption("These data bear no ratings, so there are no stars to change.")
        return
    try:
        most = case.effects("changed_ratings").strongest()
        if most is None or most.stars is None:
            st.info(
                "No single rating, set to either end of the scale, changes this model’s score of the film or its top"
                " ten.",
                icon=":material/person_off:",
            )
            return
        with st.container(horizontal=True, vertical_alignment="bottom"):
            names = [f"{case.titles[i]} (★ {history.ratings[i]:g})" for i in range(len(history))]
            at = st.selectbox(
                "Rating of",
                range(len(history)),
                index=most.index,
                key=case.key("star.film"),
                width=320,
                format_func=lambda i: names[i],
                help="First the rating whose change does most to the list.",
            )
            stars = st.slider("becomes", *scale, most.stars, 0.5, key=case.key("star.value"), width=260)
        edit = {f"{case.titles[at]} ★ {stars:g}": cf.with_rating(history, int(at), stars)}
        shown_changes(cf.history_edits(case.model, history, case.item, edit, case.hidden))
        again = rating_effects.changed_rating(case.model, history, case.item, case.hidden, int(at), stars)
        n = again.edits[0].replaced
        st.caption(f"{n} of the ten recommended films would be {'another' if n == 1 else 'others'}.")
    except MMRecError as error:
        layout.show_error(error)


def other_order(case: WhatIf) -> None:
    """Two events the other way round, for models that read events in their order."""
    history = case.history
    reads = set(registry.schema("models", case.run.params["model"])["needs"])
    if len(history) < 2 or not {"sequence", "time"} & reads:
        return
    st.markdown("**… two events had come the other way round.**")
    try:
        most = case.effects("exchanges").strongest()
        if most is None:
            st.info("No exchange of two neighbours changes anything for this film.", icon=":material/swap_horiz:")
            return
        names = [case.titles[i] for i in range(len(history))]
        at = st.selectbox(
            "What changes places with the one after it",
            range(len(history) - 1),
            index=most.index,
            key=case.key("order"),
            width=420,
            format_func=lambda i: f"{i + 1}. {names[i]} ⇄ {names[i + 1]}",
        )
        edit = {"the other way round": cf.swapped(history, int(at))}
        shown_changes(cf.history_edits(case.model, history, case.item, edit, case.hidden))
    except MMRecError as error:
        layout.show_error(error)


def shown_changes(answers: list[cf.Answer]) -> None:
    """Scores and places after each edit, with how they changed."""
    base = answers[0]
    data = pd.DataFrame(
        [
            {
                "If": a.edit,
                "Score": a.score,
                "Change": None if a is base else a.score - base.score,
                "Rank": a.rank,
                "Moves": (
                    ""
                    if a is base
                    else (
                        f"▲ {base.rank - a.rank:g}"
                        if a.rank < base.rank
                        else f"▼ {a.rank - base.rank:g}"
                        if a.rank > base.rank
                        else "stays"
                    )
                ),
            }
            for a in answers
        ]
    )
    st.dataframe(
        data,
        hide_index=True,
        height="content",
        placeholder="",
        alt="Score and rank after each edit",
        column_config={
            "Score": st.column_config.NumberColumn(format="%.4f"),
            "Change": st.column_config.NumberColumn(format="%+.4f"),
            "Rank": st.column_config.NumberColumn(
                format="%.1f", help="1 is the best; equal scores share the mean of their ranks."
            ),
        },
    )
