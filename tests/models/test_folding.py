"""Fold-in by gradient steps: gradients that are written down, under every setting that changes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core.types import History
from tests.models.gradients import gradients_agree
from tests.models.test_fields import N_FILMS, Interactions, model

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("bpr", {}),
    ("bpr", {"negatives": 3, "l2": 0.1}),
    ("svdpp", {"dim": 4}),
    ("svdpp", {"dim": 4, "members": 3, "history": False}),
    ("svdpp", {"dim": 4, "time": False, "counts": False, "fields": "", "l2": 0.0}),
    ("dlrm", {"dim": 4}),
    ("dlrm", {"dim": 4, "counts": False, "fields": "", "history": False}),  # no dense features, so no bottom network
    ("dlrm", {"dim": 4, "top": ""}),
    ("dlrm", {"dim": 4, "l2": 0.0, "widths": "cardinality"}),
    *[
        ("dlrm", {"dim": 4, **more})
        for more in (
            {"append": True},
            {"self_interaction": True},
            {"interaction": "none"},
            {"loss": "ce"},
            {"loss": "bce"},
            {"loss": "bce", "negatives": 0},
        )
    ],
    ("deepfm", {"dim": 4}),
    ("mmoe", {"dim": 4}),
]


def histories() -> list[History]:
    """None, one, several films; two ratings of one film; with and without times."""
    one, many = np.array([2], np.int64), np.array([5, 1, 1, 7, 3], np.int64)
    stars = np.array([5, 1, 4.5, 4, 2], np.float32)
    return [
        History(np.zeros(0, np.int64), np.zeros(0, np.float32)),
        History(one, np.array([4], np.float32)),
        History(many, stars),
        History(many, stars, 1_000_000 + 60 * np.arange(5)),
    ]


@pytest.mark.parametrize(
    ("name", "settings"),
    SETTINGS,
    ids=lambda value: value if isinstance(value, str) else ",".join(map(str, value.values())) or "usual",
)
def test_written_gradients_are_autograds(name: str, settings: dict[str, Any]) -> None:
    """Each agrees with autograd of the training loss, and a fold-in still moves what it did."""
    made = model(name, **settings)
    with torch.no_grad():
        for weight in made.parameters():  # first weights are too small to tell a wrong term from a right one
            weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    made.forget()
    assert gradients_agree(made, histories())


@pytest.mark.parametrize("name", ["svdpp", "dlrm", "deepfm"])
def test_a_film_outside_training_has_no_part_to_leave_out(name: str) -> None:
    """A history of nothing but such a film is answered in numbers, and beside others it takes nothing off what they
    say."""
    rows = Interactions(
        np.arange(4, dtype=np.int32), np.arange(4, dtype=np.int32), np.full(4, 4, np.float32), np.arange(4) * 60
    )
    made = model(name, rows=rows, dim=4)
    alone = made.fold_in([History(np.array([N_FILMS - 1]), np.array([5], np.float32))])
    assert bool(torch.isfinite(made.score_all(alone)).all())
    info, _ = made.history_rows([History(np.array([1, N_FILMS - 1]), np.array([5, 5], np.float32))])
    assert info["own_user"].tolist() == [1.0, 0.0]


def test_a_subclass_with_a_loss_of_its_own_is_folded_in_by_it() -> None:
    """A gradient written down for a model's loss does not serve another loss."""
    for name in ("bpr", "svdpp", "dlrm"):
        made = model(name, dim=4)
        base = type(made)
        made.__class__ = type(
            "Own", (base,), {"row_losses": lambda self, batch, base=base: 3 * base.row_losses(self, batch)}
        )
        assert gradients_agree(made, histories())
