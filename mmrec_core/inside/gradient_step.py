"""Single steps of the trainer's optimiser on one comparison of a matrix factorisation, with every number on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core.errors import MMRecError
from mmrec_core.models._base import Batch
from mmrec_core.models._negative_sampling import unseen_items
from mmrec_core.training.trainer import adamw
from mmrec_core.types import Array, TrainSet

MODELS = ("bpr", "mf", "mf_bce")
"""Models whose score is a dot product of two embeddings plus biases."""
TABLES = (("user_factors", "item_factors"), ("user_product", "item_product"))
"""Names of the two embedding tables in these models."""


@dataclass(frozen=True)
class State:
    """The weights that one comparison reads, at one moment of training."""

    step: int
    """Number of optimiser steps taken."""
    vectors: Array
    """float64 ``[3, d]``: embeddings of the user, of the first and of the second film."""
    gradients: Array
    """float64 ``[3, d]``: gradients of the loss with respect to ``vectors``."""
    scores: tuple[float, float]
    """The model's scores of the two films for the user."""
    loss: float
    """The loss of the comparison, penalties included."""


@dataclass(frozen=True)
class Comparison:
    """One user, one film, and a second one: a sampled negative, or a film that the user rated lower."""

    user: int
    first: int
    second: int
    ratings: tuple[float, float] | None = None
    """Ratings of the two films, for models that predict ratings."""


def tables(model: Any) -> tuple[nn.Embedding, nn.Embedding]:
    """The embedding tables of users and of items.

    Raises:
        MMRecError: the model's score is no dot product of two embeddings.
    """
    for user, item in TABLES:
        if hasattr(model, user) and hasattr(model, item) and getattr(model.config, "parts", "dot") == "dot":
            return getattr(model, user), getattr(model, item)
    raise MMRecError(f"'{model.name}' does not score by a dot product of two embeddings; use {', '.join(MODELS)}.")


def batch_of(model: Any, chosen: Comparison) -> Batch:
    """The comparison as a batch of training rows, as the model's own ``epoch`` would contain it."""
    user, pair = torch.tensor([chosen.user]), torch.tensor([chosen.first, chosen.second])
    if "rating" in model.needs:
        stars = chosen.ratings or model.schema.scale or (1.0, 0.0)
        return {"user": user.repeat(2), "item": pair, "rating": torch.tensor(stars, dtype=torch.float32)}
    if hasattr(model.config, "parts"):
        return {"user": user.repeat(2), "item": pair, "target": torch.tensor([1.0, 0.0])}
    return {"user": user, "item": pair[:1], "negative": pair[1:][None]}


def draw_comparison(model: Any, train: TrainSet, user: int, draw: int = 0) -> Comparison:
    """A comparison of the training data.

    For a rating model: the film that the user rated highest and the one rated lowest. For a ranking model: one of the
    films that the user liked, and a negative drawn by the model's own sampler.

    Args:
        model: the model.
        train: its training rows.
        user: user row.
        draw: which draw, from 0; another number gives another film and another negative.

    Raises:
        MMRecError: the user has too few ratings in training.
    """
    events = train.interactions if "rating" in model.needs else train.positives
    own = np.flatnonzero(np.asarray(events.need("user")) == user)
    item = np.asarray(events.need("item"))[own]
    if "rating" in model.needs:
        stars = np.asarray(events.need("rating"), np.float64)[own]
        if len(own) < 2 or stars.max() == stars.min():
            raise MMRecError("This user has not rated two films differently in training; choose another user.")
        rng = np.random.default_rng([draw, 31])
        first = int(rng.choice(item[stars == stars.max()]))
        second = int(rng.choice(item[stars == stars.min()]))
        return Comparison(user, first, second, (float(stars.max()), float(stars.min())))
    if not len(own):
        raise MMRecError("This user has liked no film in training; choose another user.")
    first = int(item[draw % len(item)])
    generator = model.generator(draw, 2)
    second = int(unseen_items(train, torch.tensor([user]), generator)[0])
    return Comparison(user, first, second)


def with_config(model: Any, **changes: Any) -> Any:
    """A copy of a model with the same weights and some settings changed, such as ``l2`` or ``layers``."""
    other = type(model)(model.config.model_copy(update=changes), model.schema, model.side, model.seed)
    for name in ("name", "users", "items", "catalog_checksum", "spaces"):
        setattr(other, name, getattr(model, name))
    other.restore(model.snapshot())
    return other


def walk(
    model: Any,
    chosen: Comparison,
    steps: int,
    *,
    lr: float,
    weight_decay: float = 0.0,
    clip: float = 0.0,
    l2: float | None = None,
) -> list[State]:
    """Take optimiser steps on one comparison and report the state before each and after the last.

    These are the steps that the trainer would take on a batch that holds this comparison alone, with a new optimiser
    (as after a warm start). The given model is not changed.

    Args:
        model: a trained model of :data:`MODELS`.
        chosen: the comparison.
        steps: how many steps.
        lr: learning rate.
        weight_decay: AdamW's weight decay.
        clip: largest norm of the gradient; 0: no limit.
        l2: penalty on the embeddings; ``None``: the model's own.

    Returns:
        ``steps + 1`` states.

    Raises:
        MMRecError: see :func:`tables`.
    """
    tables(model)
    own = with_config(model, **({} if l2 is None else {"l2": l2}))
    own.train()
    optimiser = adamw(own, lr, weight_decay, "cpu")
    batch = batch_of(own, chosen)
    found = []
    for step in range(steps + 1):
        optimiser.zero_grad()
        loss = own.loss(batch)
        loss.backward()
        found.append(_state(own, chosen, step, float(loss.detach())))
        if step < steps:
            if clip:
                nn.utils.clip_grad_norm_(own.parameters(), clip)
            optimiser.step()
    return found


def _state(model: Any, chosen: Comparison, step: int, loss: float) -> State:
    user_table, item_table = tables(model)
    with torch.no_grad():
        user = model.oov_user(torch.tensor([chosen.user]))
        item = model.oov_item(torch.tensor([chosen.first, chosen.second]))
        vectors = torch.cat([user_table.weight[user], item_table.weight[item]])
        gradients = torch.cat([_gradient(user_table)[user], _gradient(item_table)[item]])
        rows = {"user": torch.tensor([chosen.user] * 2), "item": torch.tensor([chosen.first, chosen.second])}
        scores = model(model.user_tensors(rows), rows)[:, 0]
    return State(
        step,
        vectors.double().numpy().copy(),
        gradients.double().numpy().copy(),
        (float(scores[0]), float(scores[1])),
        loss,
    )


def _gradient(table: nn.Embedding) -> Tensor:
    return torch.zeros_like(table.weight) if table.weight.grad is None else table.weight.grad


def in_wrong_order(model: Any, train: TrainSet, user: int, draws: int = 100) -> int | None:
    """The first draw of :func:`draw_comparison` whose second film has the higher score; ``None`` if there is none.

    Raises:
        MMRecError: see :func:`draw_comparison`.
    """
    chosen = [draw_comparison(model, train, user, draw) for draw in range(draws)]
    items = torch.tensor([[c.first, c.second] for c in chosen])
    with torch.no_grad():
        rows = {"user": torch.full((2 * draws,), user), "item": items.flatten()}
        scores = model(model.user_tensors(rows), rows)[:, 0].view(-1, 2)
    wrong = torch.nonzero(scores[:, 0] < scores[:, 1])[:, 0].tolist()
    return wrong[0] if wrong else None


@dataclass(frozen=True)
class Plane:
    """A plane through the origin on which arrows are drawn."""

    axes: Array
    """float64 ``[2, d]``: orthonormal."""
    kept: float
    """Share of the arrows' squared length that lies in the plane, from 0 to 1."""


def plane_of(states: Sequence[State]) -> Plane:
    """The plane that holds most of the three arrows' squared length before and after the steps.

    With two factors it is the space itself.
    """
    rows = np.concatenate([states[0].vectors, states[-1].vectors])
    if rows.shape[1] <= 2:
        return Plane(np.eye(2)[:, : rows.shape[1]], 1.0)
    _, size, axes = np.linalg.svd(rows, full_matrices=False)
    total = float((size**2).sum())
    axes = axes[:2] * np.where(axes[:2] @ rows[0] < 0, -1.0, 1.0)[:, None]  # the user's arrow points up and right
    return Plane(axes, float((size[:2] ** 2).sum()) / total if total else 1.0)
