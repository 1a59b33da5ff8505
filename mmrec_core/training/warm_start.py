"""Warm start from another model's weights: equal shapes are copied, user and item tables are matched by id."""

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
    """Weights to start from."""

    name: str
    weights: Mapping[str, Tensor]
    rows: Mapping[str, tuple[str, Array]] = field(default_factory=dict)
    """Ids of a table's rows; see :meth:`Model.row_names`. Empty for weights without ids."""
    spaces: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Adopted:
    """What was copied from a donor, and what was initialised with the reason."""

    donor: str
    loaded: list[str] = field(default_factory=list)
    matched: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Per table: number of rows matched by id, and number of rows."""
    fresh: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON for ``result.json``."""
        return {"from": self.donor, "loaded": self.loaded, "matched": self.matched, "fresh": self.fresh}

    def line(self) -> str:
        """A summary in one line."""
        tables = [f"{name} {n:,} of {of:,} rows by id" for name, (n, of) in self.matched.items()]
        taken = ", ".join([*self.loaded, *tables]) or "nothing"
        anew = ", ".join(f"{name} ({why})" for name, why in self.fresh.items())
        return f"Starts from {self.donor}: {taken}." + (f" Initialised: {anew}." if anew else "")


def donor_of(model_folder: Path, name: str) -> Donor:
    """A saved model as a donor.

    Raises:
        MMRecError: the folder holds no model.
    """
    model = load_model(model_folder)
    return Donor(name, dict(model.named_parameters()), model.row_names(), model.spaces)


def donor_file(path: Path) -> Donor:
    """A weights file as a donor. It has no ids, so its user and item tables are not copied.

    Raises:
        MMRecError: not readable, or a pickle.
    """
    return Donor(path.name, checkpoint.read_weights(path))


@torch.no_grad()
def adopt(model: Model, donor: Donor) -> Adopted:
    """Copy a donor's weights into a model that is bound to its dataset.

    Raises:
        MMRecError: nothing of the donor fits.
    """
    done, names = Adopted(donor.name), model.row_names()
    sized_by_ids = {model.schema.n_users, model.schema.n_users + 1, model.schema.n_items, model.schema.n_items + 1}
    for name, own in model.named_parameters():
        theirs = donor.weights.get(name)
        if theirs is None:
            done.fresh[name] = "not in the weights"
        elif name in names:
            _by_name(name, own, names[name], theirs, donor, model, done)
        elif theirs.shape != own.shape:
            done.fresh[name] = f"{list(theirs.shape)} there, {list(own.shape)} here"
        elif own.ndim and own.shape[0] in sized_by_ids:
            done.fresh[name] = "its rows may be users or items, but it has no ids"
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
    """Copy the rows of one table by id.

    Args:
        name: parameter name.
        own: the model's table, changed in place.
        named: kind of its rows, and the id of each.
        theirs: the donor's table.
        donor: the weights to start from.
        model: the model.
        done: report, filled in.
    """
    kind, mine = named
    if name not in donor.rows:
        done.fresh[name] = "its rows have no ids"
        return
    if theirs.shape[1:] != own.shape[1:]:
        done.fresh[name] = f"{list(theirs.shape[1:])} wide there, {list(own.shape[1:])} here"
        return
    there = {str(label): row for row, label in enumerate(donor.rows[name][1])}
    if kind in ("user", "item") and donor.spaces.get(kind) != model.spaces.get(kind):
        # equal ids mean other users or items there; only the row for unknown ids can be copied
        there = {label: row for label, row in there.items() if label.startswith("\0")}
    pairs = [(row, there[str(label)]) for row, label in enumerate(mine) if str(label) in there]
    if pairs:
        here, from_row = (torch.as_tensor(np.array(side), device=own.device) for side in zip(*pairs, strict=True))
        own[here] = theirs[from_row.to(theirs.device)].to(own)
    done.matched[name] = (len([p for p in pairs if mine[p[0]] != UNKNOWN]), len([m for m in mine if m != UNKNOWN]))
