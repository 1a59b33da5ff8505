"""Begin with what another model has learned: weights that fit are taken over, tables of users and films by id, not by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrec_core.errors import MMRecError
from mmrec_core.models._base import UNKNOWN, Model, load_model
from mmrec_core.training import checkpoint
from mmrec_core.types import Array


@dataclass(frozen=True)
class Donor:
    """Weights to begin with."""

    name: str
    weights: Mapping[str, Tensor]
    rows: Mapping[str, tuple[str, Array]] = field(default_factory=dict)
    """What the rows of a table stand for; see :meth:`Model.row_names`. Empty for weights that came without ids."""
    spaces: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Adopted:
    """What was taken over, and what begins anew with the reason."""

    donor: str
    loaded: list[str] = field(default_factory=list)
    matched: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Per table: rows taken over by name, out of how many."""
    fresh: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For ``result.json``."""
        return {"from": self.donor, "loaded": self.loaded, "matched": self.matched, "fresh": self.fresh}

    def line(self) -> str:
        """For people, in a line."""
        tables = [f"{name} {n:,} of {of:,} rows by id" for name, (n, of) in self.matched.items()]
        taken = ", ".join([*self.loaded, *tables]) or "nothing"
        anew = ", ".join(f"{name} ({why})" for name, why in self.fresh.items())
        return f"Begins from {self.donor}: {taken}." + (f" Anew: {anew}." if anew else "")


def donor_of(model_folder: Path, name: str) -> Donor:
    """A saved model as a donor.

    Raises:
        MMRecError: the folder holds no model.
    """
    model = load_model(model_folder)
    return Donor(name, dict(model.named_parameters()), model.row_names(), model.spaces)


def donor_file(path: Path) -> Donor:
    """Somebody else's weights as a donor; they bear no ids, so their tables of users and films are not taken over.

    Raises:
        MMRecError: not readable, or a pickle.
    """
    return Donor(path.name, checkpoint.read_weights(path))


@torch.no_grad()
def adopt(model: Model, donor: Donor) -> Adopted:
    """Put a donor's weights into a model that is bound to its dataset.

    Raises:
        MMRecError: nothing of the donor fits.
    """
    done, names = Adopted(donor.name), model.row_names()
    sized_by_ids = {model.schema.n_users, model.schema.n_users + 1, model.schema.n_items, model.schema.n_items + 1}
    for name, own in model.named_parameters():
        theirs = donor.weights.get(name)
        if theirs is None:
            done.fresh[name] = "not in it"
        elif name in names:
            _by_name(name, own, names[name], theirs, donor, model, done)
        elif theirs.shape != own.shape:
            done.fresh[name] = f"{list(theirs.shape)} there, {list(own.shape)} here"
        elif own.ndim and own.shape[0] in sized_by_ids:
            done.fresh[name] = "its rows may be ids, and nobody says whose"
        else:
            own.copy_(theirs.to(own))
            done.loaded.append(name)
    if not done.loaded and not any(n for n, _ in done.matched.values()):
        reasons = "; ".join(f"{name}: {why}" for name, why in list(done.fresh.items())[:3])
        raise MMRecError(f"Nothing in {donor.name} fits this model ({reasons}).")
    return done


def _by_name(
    name: str, own: Tensor, named: tuple[str, Array], theirs: Tensor, donor: Donor, model: Model, done: Adopted
) -> None:
    kind, mine = named
    if name not in donor.rows:
        done.fresh[name] = "its rows bear no ids"
        return
    if theirs.shape[1:] != own.shape[1:]:
        done.fresh[name] = f"{list(theirs.shape[1:])} wide there, {list(own.shape[1:])} here"
        return
    there = {str(label): row for row, label in enumerate(donor.rows[name][1])}
    if kind in ("user", "item") and donor.spaces.get(kind) != model.spaces.get(kind):
        # equal numbers mean other people or films there; only the row for the unknown speaks of nobody in particular
        there = {label: row for label, row in there.items() if label.startswith("\0")}
    pairs = [(row, there[str(label)]) for row, label in enumerate(mine) if str(label) in there]
    if pairs:
        here, from_row = (torch.as_tensor(np.array(side), device=own.device) for side in zip(*pairs, strict=True))
        own[here] = theirs[from_row.to(theirs.device)].to(own)
    done.matched[name] = (len([p for p in pairs if mine[p[0]] != UNKNOWN]), len([m for m in mine if m != UNKNOWN]))
