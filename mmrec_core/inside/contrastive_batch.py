"""A small batch of plots and posters in a dual encoder: similarities, and optimiser steps on this batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmrec_core import registry
from mmrec_core.encoders._dual import bags, pixels, tokens
from mmrec_core.errors import MMRecError
from mmrec_core.features import open_poster, rich_text
from mmrec_core.training.contrastive import PairLearner
from mmrec_core.training.trainer import adamw
from mmrec_core.types import Array, Dataset

MODELS = ("mini_clip", "mini_siglip")


@dataclass(frozen=True)
class Moment:
    """The batch after some steps."""

    step: int
    similarity: Array
    """float64 ``[n, n]``: cosine similarity of text i and image j."""
    scale: float
    """The encoder's learned scale (1 / temperature)."""
    bias: float
    """The encoder's learned bias; used by the sigmoid loss only."""
    loss: float
    """Mean loss of the batch, as the encoder is trained with."""
    gradient: Array
    """float64 ``[n, n]``: gradient of the mean loss with respect to ``similarity``."""


def batch_of(dataset: Dataset, rows: Sequence[int]) -> dict[str, Any]:
    """Posters and prompts of films as a batch of the encoder's training.

    Raises:
        MMRecError: a film lacks a readable poster or a plot.
    """
    images, texts = [], []
    for row in rows:
        image = open_poster(dataset, row)
        record = dataset.catalog.iloc[row].to_dict()
        if image is None or not isinstance(record["plot"], str):
            raise MMRecError(f"'{record['title']}' has no readable poster or no plot. Choose another film.")
        images.append(pixels(image))
        texts.append(tokens(rich_text(record)))
    flat, starts = bags(texts)
    return {"image": torch.from_numpy(np.stack(images)), "flat": flat, "starts": starts}


def learner(name: str) -> PairLearner:
    """A copy of the encoder that ships with MMRec, ready to be trained further.

    Raises:
        MMRecError: not one of :data:`MODELS`.
    """
    if name not in MODELS:
        raise MMRecError(f"'{name}' is no small dual encoder; use {' or '.join(MODELS)}.")
    encoder = registry.load("encoders", name)(name, registry.config("encoders", name, {}))
    return PairLearner(encoder.net, encoder.config.loss, 0).train()


def walk(name: str, batch: dict[str, Any], steps: int, lr: float, weight_decay: float = 0.0) -> list[Moment]:
    """Take optimiser steps on one batch, as the trainer does with a new optimiser.

    Args:
        name: ``mini_clip`` or ``mini_siglip``.
        batch: from :func:`batch_of`.
        steps: how many steps.
        lr: learning rate.
        weight_decay: AdamW's weight decay.

    Returns:
        ``steps + 1`` moments.
    """
    own = learner(name)
    optimiser = adamw(own, lr, weight_decay, "cpu")
    found = []
    for step in range(steps + 1):
        optimiser.zero_grad()
        with torch.no_grad():
            text, image = own.net.texts(batch["flat"], batch["starts"]), own.net.images(batch["image"])
        similarity = (text.double() @ image.double().T).requires_grad_(True)
        shown = loss_of(own, similarity)
        (gradient,) = torch.autograd.grad(shown, similarity)
        loss = own.loss(batch)
        scale = float(own.net.log_scale.detach().exp().clamp(max=100.0))
        found.append(
            Moment(
                step,
                similarity.detach().numpy(),
                scale,
                float(own.net.bias.detach()),
                float(loss.detach()),
                gradient.numpy(),
            )
        )
        if step < steps:
            torch.autograd.backward(loss)
            optimiser.step()
    return found


def loss_of(own: PairLearner, similarity: torch.Tensor) -> torch.Tensor:
    """The encoder's mean loss, from similarities ``[n, n]`` alone."""
    from mmrec_core.encoders._dual import infonce, sigmoid_loss

    eye = torch.eye(len(similarity), dtype=similarity.dtype)
    scale, bias = own.net.log_scale.detach().double(), own.net.bias.detach().double()
    if own.kind == "sigmoid":
        return sigmoid_loss(similarity, eye, scale, bias).mean()
    return infonce(similarity, eye, scale).mean()
