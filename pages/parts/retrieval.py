"""How well plots and posters of held-out films find each other, in two lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st


def retrieval_lines(found: Mapping[str, Any]) -> None:
    """Recall@10 both ways with intervals and chance, from :func:`mmrec_core.features.nearest_neighbours.recall`."""
    for way, words in (("text_to_image", "plot → poster"), ("image_to_text", "poster → plot")):
        at, (low, high) = found[way]["recall@10"], found[way]["intervals"]["recall@10"]
        st.caption(
            f"{words}: R@10 **{at:.3f}** [{low:.3f}, {high:.3f}], chance {found['chance@10']:.3f},"
            f" {found['pairs']:,} held-out films"
        )
