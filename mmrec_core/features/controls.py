"""Content controls: an encoder's vectors replaced by vectors that hold nothing of their items.

A model that uses content is better on the real vectors than on the same vectors shuffled among items, on noise, or on
one constant vector (Ferrari Dacrema et al. 2021; arXiv 2508.07399). A control is named like an encoder:
``shuffled.1:minilm`` are the vectors of ``minilm``, exchanged among items by seed 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from mmrec_core.data.vector_files import unit
from mmrec_core.types import Array, Modality

CONTROLS = {
    "shuffled": "the vectors exchanged at random among the items that have one",
    "noise": "normally distributed noise with the mean and the standard deviation of every coordinate",
    "constant": "one vector for all items: the mean",
}
"""Name of a control → what its vectors are."""


@dataclass(frozen=True)
class Control:
    """A control of an encoder's vectors."""

    kind: str
    seed: int
    encoder: str


def parse(name: str) -> Control | None:
    """The control that a name stands for; ``None`` for an encoder's own name."""
    found = re.fullmatch(rf"({'|'.join(CONTROLS)})\.(\d{{1,9}}):(.+)", name)
    return Control(found[1], int(found[2]), found[3]) if found else None


def replaced(control: Control, vectors: Array, modality: Modality) -> Array:
    """Vectors ``[N, W]`` of the control in place of an encoder's ``vectors [N, W]``; unit rows, float16."""
    kinds, letters = list(CONTROLS), [ord(letter) for letter in modality]
    rng = np.random.default_rng([control.seed, kinds.index(control.kind), *letters])
    own = np.asarray(vectors, np.float32)
    if control.kind == "shuffled":
        own = own[rng.permutation(len(own))]
    elif control.kind == "noise":
        own = rng.normal(own.mean(0), own.std(0), own.shape).astype(np.float32)
    else:
        own = np.broadcast_to(own.mean(0), own.shape)
    return unit(own).astype(np.float16)
