"""LightGCN's score of one film, split exactly into what each layer and each liked film contributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrec_core.errors import MMRecError
from mmrec_core.inside.gradient_step import with_config
from mmrec_core.models._graph import GraphModel, liked_items
from mmrec_core.types import Array, History

MODELS = ("lightgcn", "lightgcn_multimodal")
"""Models whose layers are linear and whose embedding is the mean of the layers."""
DEEPEST = 8
"""Largest number of layers that :func:`depths` computes."""


@dataclass(frozen=True)
class Person:
    """A user as a node of the graph: all layers, and the liked films that send messages."""

    layers: Array
    """float64 ``[K + 1, d]``."""
    films: Array
    """int64 ``[n]``: rows of liked films that occur in training."""
    weights: Array
    """float64 ``[n]``: weight ``1 / √(d_u d_i)`` of each film's edge."""
    learned: bool
    """Whether the model knows the user from training; else the history was folded in."""
    row: int
    """Row of a known user; −1 for a new one."""


@dataclass(frozen=True)
class Shares:
    """The parts of one score. ``own + films.sum()`` and ``layers.sum()`` are both the score."""

    item: int
    score: float
    own: float
    """The part of the user's first embedding, which the model learned (of a new user: the unknown user's)."""
    films: Array
    """float64 ``[n]``: the part that each liked film's messages contribute."""
    layers: Array
    """float64 ``[K + 1]``: the part that each of the user's layers contributes."""


@dataclass(frozen=True)
class Depth:
    """The same weights with another number of layers."""

    layers: int
    similarity: float
    """Mean cosine similarity of two different films' vectors in the last layer: 1 means that all are alike."""
    mixed: float
    """The same of the films' embeddings, the mean of all layers, which the scores use."""
    items: Array
    """int64 ``[top]``: the films ranked first for the user."""


def check(model: Any) -> GraphModel:
    """The model, if its score is linear in its layers.

    Raises:
        MMRecError: it is another kind of model, or has no layers.
    """
    linear = isinstance(model, GraphModel) and model.name in MODELS
    if not linear or model.mean:
        raise MMRecError(f"'{model.name}' is not a linear graph model; use {' or '.join(MODELS)}.")
    if not model.config.layers:
        raise MMRecError("This model has no layers, so it passes no messages. Train it with layers=3.")
    return model


@torch.no_grad()
def known_person(model: Any, user: int) -> Person:
    """A user of the training data.

    Raises:
        MMRecError: see :func:`check`; or the user has no edge in the graph.
    """
    own = check(model)
    own.rest()
    films = own.graph.items[own.graph.start[user] : own.graph.start[user + 1]].long()
    if not len(films) or not bool(own.known_users[user]):
        raise MMRecError("This user has no liked film in training, so no messages arrive. Choose another user.")
    layers = torch.stack([layer[user] for layer in own.propagate()[0]]).double()
    out, into = own.weights("item")[0][films, 0], own.weights("user")[1][user, 0]
    return Person(layers.numpy(), films.numpy(), (out * into).double().numpy(), True, user)


@torch.no_grad()
def new_person(model: Any, history: History) -> Person:
    """A new user, folded in as one more node.

    Raises:
        MMRecError: see :func:`check`; or no film of the history is liked and known.
    """
    own = check(model)
    films = liked_items(history, own.schema.relevant_from, own.known_items[:-1].cpu().numpy())
    if not len(films):
        raise MMRecError("None of your ratings is a like of a film that the model knows, so no messages arrive.")
    own.rest()
    layers = torch.cat(own.fold_layers([history])).double()
    out = own.weights("item")[0][torch.from_numpy(films), 0].double()
    return Person(layers.numpy(), films, (out / len(films) ** 0.5).numpy(), False, -1)


@torch.no_grad()
def item_layers(model: Any) -> Array:
    """float64 ``[K + 1, I, d]``: all layers of all films."""
    own = check(model)
    own.rest()
    return torch.stack([layer[:-1] for layer in own.propagate()[1]]).double().numpy()


def shares(person: Person, layers: Array, item: int) -> Shares:
    """Split a score.

    The user's embedding is ``(e⁰ + Σ_k Σ_j w_j f_j^{k−1}) / (K + 1)``, linear in the films' layers ``f_j``, so its dot
    product with the film's embedding splits into one part per liked film.

    Args:
        person: the user.
        layers: from :func:`item_layers`.
        item: row of the film that is scored.
    """
    count = len(layers)
    film = layers[:, item].mean(0)
    by_layer = person.layers @ film / count
    sent = layers[:-1, person.films].sum(0) * person.weights[:, None]
    return Shares(item, float(by_layer.sum()), float(person.layers[0] @ film) / count, sent @ film / count, by_layer)


@torch.no_grad()
def ranked(model: Any, person: Person, top: int, seen: Array) -> Array:
    """Rows ``[top]`` of the films that the model ranks first for a user, without those in ``seen``."""
    own = check(model)
    own.rest()
    vector = torch.from_numpy(person.layers.mean(0)).float()[None]
    scores = own.score_states({"vector": vector})[0].double().numpy()
    scores[seen] = -np.inf
    scores[~own.known_items[:-1].numpy()] = -np.inf
    return np.argsort(-scores, kind="stable")[:top]


def depths(model: Any, user: int, history: History | None, top: int, seen: Array) -> list[Depth]:
    """The model's weights with 0 to :data:`DEEPEST` layers.

    Args:
        model: a trained model of :data:`MODELS`.
        user: row of a known user; ignored if ``history`` is given.
        history: ratings of a new user.
        top: films in each list.
        seen: rows of films left out of the lists.
    """
    check(model)
    found = []
    for layers in range(DEEPEST + 1):
        other = with_config(model, layers=layers)
        other.eval()
        with torch.no_grad():
            known = other.known_items[:-1]
            last, mixed = other.propagate()[1][-1][:-1][known], other.embeddings()[1][:-1][known]
            if history is not None:
                state = other.fold_in([history]).tensors
            else:
                state = other.gather_users(torch.tensor([user]))
            scores = other.score_states(state)[0].double().numpy()
        scores[seen] = -np.inf
        scores[~other.known_items[:-1].numpy()] = -np.inf
        found.append(Depth(layers, mean_cosine(last), mean_cosine(mixed), np.argsort(-scores, kind="stable")[:top]))
    return found


def mean_cosine(vectors: Tensor) -> float:
    """Mean cosine similarity over all pairs of different rows of ``[n, d]``; rows of length 0 are left out."""
    rows = vectors.double()
    length = rows.norm(dim=1, keepdim=True)
    rows = (rows / length.clamp(min=1e-30))[length[:, 0] > 0]
    n = len(rows)
    return float((rows.sum(0).square().sum() - n) / (n * (n - 1))) if n > 1 else float("nan")


@dataclass(frozen=True)
class EgoGraph:
    """A part of the graph around one user: some liked films, and users who link them to the scored film."""

    films: Array
    """int64 ``[a]``: positions in ``Person.films`` of the films that are drawn."""
    people: Array
    """int64 ``[b]``: user rows."""
    film_people: Array
    """float64 ``[a, b]``: edge weight ``1 / √(d_u d_i)``, 0 where there is no edge."""
    people_item: Array
    """float64 ``[b]``: edge weight between each user and the scored film, 0 where there is none."""
    likes: Array
    """int64 ``[a]``: likes in training of each drawn film."""
    fans: int
    """Number of users who like the scored film and at least one of the drawn films."""


def ego_graph(model: Any, person: Person, found: Shares, films: int = 8, people: int = 10) -> EgoGraph:
    """The films with the largest shares, and the users with the heaviest paths from these to the scored film.

    Args:
        model: the model.
        person: the user.
        found: the shares of the scored film.
        films: most films that are drawn.
        people: most other users that are drawn.
    """
    own = check(model)
    chosen = np.argsort(-np.abs(found.films), kind="stable")[:films]
    start, items = own.graph.start.numpy(), own.graph.items.long().numpy()
    n_users = own.schema.n_users
    degree_user = np.maximum(np.diff(start)[:n_users], 1).astype(np.float64)
    degree_item = np.maximum(np.bincount(items, minlength=own.schema.n_items + 1), 1).astype(np.float64)
    owner = np.repeat(np.arange(len(start) - 1), np.diff(start))
    likes = np.zeros((len(chosen) + 1, n_users), bool)
    for at, row in enumerate([*person.films[chosen], found.item]):
        users = owner[items == row]
        likes[at, users[users < n_users]] = True
    if person.row >= 0:
        likes[:, person.row] = False
    scale = 1 / np.sqrt(degree_user)
    edges = likes[:-1] * scale / np.sqrt(degree_item[person.films[chosen]])[:, None]
    to_item = likes[-1] * scale / np.sqrt(degree_item[found.item])
    path = edges.sum(0) * to_item
    order = np.argsort(-path, kind="stable")[:people]
    drawn = order[path[order] > 0]
    return EgoGraph(
        chosen,
        drawn,
        edges[:, drawn],
        to_item[drawn],
        degree_item[person.films[chosen]].astype(np.int64),
        int((path > 0).sum()),
    )
