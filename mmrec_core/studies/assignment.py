"""Who compares which models in which order: counterbalanced, so that neither a side nor an order favours a model."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from mmrec_core.studies.definition import Definition


@dataclass(frozen=True)
class Assignment:
    """The two models of a participant, in the order in which they are shown."""

    first: str
    """Left list, or the one that drafts first in an interleaved list."""
    second: str
    seed: int
    """Seed of the interleaved list."""


def assignment(definition: Definition, number: int) -> Assignment:
    """The assignment of a participant.

    In every block of consecutive participants, as long as twice the number of pairs, each pair is shown once in each
    order. Within a block the order is shuffled, so nobody can tell from their number what they see.

    Args:
        definition: the study.
        number: place of the participant in the order of arrival, from 0.
    """
    cells = [(pair, swapped) for pair in definition.pairs for swapped in (False, True)]
    block, place = divmod(number, len(cells))
    random.Random(_seed(definition.seed, "block", block)).shuffle(cells)
    (a, b), swapped = cells[place]
    first, second = (b, a) if swapped else (a, b)
    return Assignment(first, second, _seed(definition.seed, "list", number))


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(" ".join(map(str, parts)).encode()).digest()[:8], "big")
