"""Frozen data types that the packages share: datasets, splits, events, fields, queries, rankings.

``N`` is a number of rows, ``U`` users, ``I`` items, ``B`` a batch, ``H`` heads, ``d`` a width. Users and items are
contiguous 0-based rows of one :class:`IdMap` each; rows follow the catalog, so a split never changes them.
"""

from mmrec_core.types.dataset import CATALOG, Dataset, Split
from mmrec_core.types.fields import (
    NO_ID,
    Array,
    Field,
    Head,
    HeadKind,
    IdMap,
    Interactions,
    Progress,
    Schema,
    Side,
    TrainSet,
    blocks,
    fields_of,
    quiet,
    release_memory,
)
from mmrec_core.types.modality import MODALITIES, Modality, in_order
from mmrec_core.types.results import ClickRows, Lists, Ranking, RatingRows
from mmrec_core.types.scoring import History, ItemState, Query, Scorer, Source, UserState

__all__ = [
    "Array",
    "CATALOG",
    "ClickRows",
    "Dataset",
    "Field",
    "Head",
    "HeadKind",
    "History",
    "IdMap",
    "Interactions",
    "ItemState",
    "Lists",
    "MODALITIES",
    "Modality",
    "NO_ID",
    "Progress",
    "Query",
    "Ranking",
    "RatingRows",
    "Schema",
    "Scorer",
    "Side",
    "Source",
    "Split",
    "TrainSet",
    "UserState",
    "blocks",
    "in_order",
    "release_memory",
    "quiet",
    "fields_of",
]
