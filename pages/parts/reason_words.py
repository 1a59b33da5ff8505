"""Why a film was recommended, in words: the ratings that raise and lower it, split into likes and dislikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmrec_core.serving.signed_reasons import main_reasons, taste
from mmrec_core.types import Dataset

RAISES = {"liked": "because you liked", "disliked": "because you disliked", "neither": "because of"}


def reason_in_words(
    dataset: Dataset, contributions: Sequence[tuple[int, float]], rated: Sequence[int], ratings: Mapping[int, float]
) -> str:
    """Which rating raises a film most, and which one lowers it, if it lowers it by much.

    Args:
        dataset: the dataset.
        contributions: of the film, from :func:`mmrec_core.serving.recommender.reasons`.
        rated: item rows in the order of the history.
        ratings: item row → stars.
    """
    titles = dataset.catalog["title"]
    bar = dataset.manifest.get("relevant_from")
    raises, lowers = main_reasons(contributions, [taste(ratings[row], bar, dataset.scale) for row in rated])
    parts = [] if raises is None else [f"{RAISES[raises.taste]} {titles.iloc[rated[raises.index]]}"]
    if lowers is not None:
        row = rated[lowers.index]
        parts.append(f"lowered by ★ {ratings[row]:g} for {titles.iloc[row]}")
        if raises is None:
            parts.insert(0, "no rating of yours raises it")
    return "; ".join(parts) or "no single rating"
