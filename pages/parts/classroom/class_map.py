"""A class on the map: each participant who rates films is a star that moves with each rating."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from mmrec_core.classroom import likeness
from mmrec_core.classroom.store import Participant, Rating
from mmrec_core.types import Dataset
from pages.parts import trajectory_view
from pages.parts.charts import SERIES
from pages.parts.javascript import bundle

HERE = Path(__file__).parent
NAMED = 25
"""Up to so many stars have their names beside them; more would hide each other."""
_MAP = st.components.v2.component(
    "mmrec.class_map",
    html='<div class="class-map"><canvas aria-hidden="true"></canvas><svg role="img"></svg></div>',
    css=(HERE / "class_map.css").read_text(encoding="utf-8"),
    js=bundle(HERE / "class_map.mjs"),
)


def class_map(dataset: Dataset, people: Sequence[Participant], ratings: Sequence[Rating], height: int) -> None:
    """The map with a star per participant; a note where no map is drawn yet.

    Args:
        dataset: the class's dataset.
        people: its participants.
        ratings: their ratings.
        height: in pixels.
    """
    found = trajectory_view.map_of(dataset)
    if found is None:
        st.caption(":material/map: No map of these films is drawn yet; draw one on Space, and the class appears on it.")
        return
    name, xy, regions = found
    where, factor = likeness.moved_apart(likeness.places(dataset, ratings, xy), xy)
    count = Counter(r.participant_id for r in ratings)
    stars = [
        {
            "id": p.id,
            "name": p.nickname,
            "n": count[p.id],
            "colour": SERIES[(p.number - 1) % len(SERIES)],
            "x": round(where[p.id][0], 3),
            "y": round(where[p.id][1], 3),
        }
        for p in people
        if p.id in where
    ]
    _MAP(
        key="class-map",
        data={
            "backdrop": trajectory_view.backdrop(dataset.name, dataset.checksum, name, dataset, xy, regions),
            "stars": stars,
            "named": len(stars) <= NAMED,
            "height": height,
            "label": f"{len(stars)} people on the map of films ({name})",
        },
    )
    apart = f" Distances between stars are drawn {factor:.1f} times as large." if factor > 1.05 else ""
    st.caption(
        f"Map: {name}. Each star is a participant, at the mean position of the films that they rated, weighted by"
        f" the rating.{apart}"
    )
