"""Settings of the models that read side features, and which features a dataset's settings select."""

from __future__ import annotations

from typing import Literal

from mmrec_core.config import Config, setting
from mmrec_core.errors import MMRecError
from mmrec_core.types import Side

COMMON = 64
"""Most values that a feature of users or items may have to belong to ``common``. On small data, models overfit features
with more values."""


class FieldConfig(Config):
    """Which features a model reads, its loss, and its regularisation."""

    dim: int = setting(16, "width of every embedding", ge=2, le=512, log=True)
    fields: str = setting(
        "common",
        "features of users, films or rows to read where the dataset has them: names separated by commas; 'common', all"
        " but those of films with very many values (directors, cast, tags); 'all'; '-age' leaves one out; empty: ids"
        " only",
    )
    history: bool = setting(
        True,
        "read which films the user has rated, and who has rated the film (training rows only, a row's own left out)",
    )
    counts: bool = setting(True, "read how many ratings user and film have (training rows only)")
    time: bool = setting(
        True, "read the week of the rating and the minutes since the user's first one, where times are known"
    )
    bins: int = setting(
        64,
        "bins in which a click table's numbers are also read as categories; 0: as numbers alone",
        ge=0,
        le=64,
        advanced=True,
    )
    widths: Literal["equal", "cardinality"] = setting(
        "equal",
        "widths of feature embeddings: equal; or by cardinality, at most 6·⁴√values, projected to dim by a matrix"
        " (Ginart et al. 2021)",
        advanced=True,
    )
    loss: Literal["mse", "bce", "ce"] = setting(
        "mse",
        "what is learned from ratings: mse, the rating; ce, the probability of each number of stars; bce, whether it is"
        " liked (click labels always by bce)",
    )
    negatives: int = setting(
        4,
        "with bce on user and film: sampled negative films per liked one, drawn anew each epoch",
        ge=0,
        le=64,
    )
    l2: float = setting(0.05, "L2 penalty on the embeddings a row reads", ge=0.0, le=10.0, log=True)
    id_dropout: float = setting(
        0.02,
        "share of rows whose user or film is hidden in training, which trains the embeddings of unknown ids",
        ge=0.0,
        le=0.9,
    )
    init: float = setting(
        0.02, "standard deviation of the embeddings before training", ge=1e-4, le=1.0, log=True, advanced=True
    )


def named_fields(side: Side, text: str) -> set[str]:
    """Names of the features that a setting such as ``all,-age`` or ``genres,year`` selects; see :class:`FieldConfig`.

    Raises:
        MMRecError: the setting names a feature that the dataset does not have.
    """
    named = [name.strip() for name in text.split(",") if name.strip()]
    known = {f.name: f for f in side if f.kind != "vector"}
    groups = {"all": set(known), "common": {n for n, f in known.items() if f.owner == "row" or f.size <= COMMON}}
    requested = {n.removeprefix("-") for n in named} - set(groups)
    if side and (odd := sorted(requested - set(known))):
        raise MMRecError(f"These data have no feature '{odd[0]}'. They have: {', '.join(sorted(known)) or 'none'}.")
    left_out = {n[1:] for n in named if n[:1] == "-"}
    return set().union(*(groups.get(n, {n}) for n in named if n[:1] != "-")) - left_out
