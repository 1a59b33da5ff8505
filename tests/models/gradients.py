"""Whether a model's gradients of a fold-in are those of its loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mmrec_core.models._base import GradientModel
from mmrec_core.types import History


def gradients_agree(model: GradientModel, histories: Sequence[History]) -> bool:
    """Compare them with autograd's, at several steps and from states moved at random; False where nothing moves."""
    model.rest()
    with torch.no_grad():
        state, moving = model.start_state(histories)
        if not moving:
            return False
        rows, chance = model.history_rows(histories), torch.Generator().manual_seed(0)
        own = model.fold_gradients(rows, state, moving)
        reference = GradientModel.fold_gradients(model, rows, state, moving)
        for step in (0, 1, model.FOLD_STEPS - 1):
            for found, expected in zip(own(step)[0], reference(step)[0], strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(own(step)[1], reference(step)[1], check_dtype=False)
            for key in moving:
                state[key].add_(0.3 * torch.randn(state[key].shape, generator=chance))
    return True
