"""A training run replayed from its snapshots: item vectors on one plane, and recommendations at each moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import orthogonal_procrustes

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import hidden
from mmrec_core.inside.gradient_step import with_config
from mmrec_core.serving import recommender
from mmrec_core.training import snapshots
from mmrec_core.types import Array, Dataset, History, Query

NEAR = 15
"""Neighbours whose overlap between two snapshots is measured."""
ASKED = 2000
"""Most films whose neighbours are compared."""
SAMPLE = 60
"""Users over whom ``popular`` and ``shared`` are averaged."""


@dataclass(frozen=True)
class Frame:
    """One moment of the training run."""

    epochs: int
    """Number of epochs done."""
    label: str
    places: Array | None
    """float32 ``[I, 2]`` in the unit square, NaN for items outside training; ``None`` if the model has no item
    vectors."""
    overlap: float | None
    """Mean share of a film's 15 nearest neighbours (cosine) that are also among its 15 nearest at the next moment."""
    lists: dict[str, Array]
    """Item rows ``[top]`` recommended to each person."""
    popular: float
    """Mean number of listed films, over a sample of users, that are among the 5 % with most training events."""
    shared: float
    """Mean number of films that the lists of two users of the sample have in common."""


@dataclass(frozen=True)
class Replay:
    """A replayed training."""

    frames: tuple[Frame, ...]
    variance: float | None
    """Share of the final vectors' variance that the plane holds."""


def folder_of(run: runs.Run) -> Any:
    """Where a run keeps its snapshots."""
    return run.folder / "snapshots"


def has_snapshots(run: runs.Run) -> bool:
    """Whether a run kept enough snapshots to replay its training."""
    return len(list(folder_of(run).glob("*.safetensors"))) >= 2


def replay(run: runs.Run, dataset: Dataset, people: Mapping[str, int | History], rows: Array, top: int = 10) -> Replay:
    """Replay a training run.

    Args:
        run: a finished training run with snapshots.
        dataset: its dataset.
        people: name → row of a known user, or the ratings of a new one, who is folded in at each moment.
        rows: the rows that the run learned from; what a known user has rated there is not recommended.
        top: films in a list.

    Raises:
        MMRecError: the run kept no snapshots, or the model cannot be loaded.
    """
    found = snapshots.read(folder_of(run))
    if len(found) < 2:
        raise MMRecError("This training kept no snapshots. Train the model again to replay it.")
    model = recommender.load_run_model(run.folder)
    best = (run.result() or {}).get("best_epoch")
    last = max(found) if best is None else int(best) + 1
    moments = [(epochs, f"epoch {epochs}" if epochs else "before training", own) for epochs, own in found.items()]
    moments = [moment for moment in moments if moment[0] < last or moment[0] == 0]
    other = with_config(model)
    other.eval()
    everybody = _sample(dataset, rows)
    vectors, lists, common = [], [], []
    for _, _, parameters in moments:
        other.restore(snapshots.weights_at(other, parameters))
        other.eval()
        vectors.append(_item_vectors(other))
        lists.append(_lists(other, run, dataset, people, rows, top))
        common.append(_common(other, run, dataset, everybody, rows, top))
    vectors.append(_item_vectors(model))
    lists.append(_lists(model, run, dataset, people, rows, top))
    common.append(_common(model, run, dataset, everybody, rows, top))
    labels = [(epochs, label) for epochs, label, _ in moments] + [(last, f"epoch {last}, kept")]
    known = model.known_items[:-1].cpu().numpy()
    there = [own for own in vectors if own is not None]
    drawn: Sequence[Array | None] = [None] * len(vectors)
    overlaps: Sequence[float | None] = [None] * len(vectors)
    variance = None
    if len(there) == len(vectors):
        drawn, variance = _plane(there, known)
        overlaps = _overlaps(there, known)
    return Replay(
        tuple(
            Frame(epochs, label, places, overlap, own, *both)
            for (epochs, label), places, overlap, own, both in zip(labels, drawn, overlaps, lists, common, strict=True)
        ),
        variance,
    )


def _item_vectors(model: Any) -> Array | None:
    found = model.item_vectors()
    return None if found is None else found.detach().double().cpu().numpy()


def _lists(
    model: Any, run: runs.Run, dataset: Dataset, people: Mapping[str, int | History], rows: Array, top: int
) -> dict[str, Array]:
    events, out = dataset.interactions, {}
    users, items = np.asarray(events.need("user")), np.asarray(events.need("item"))
    for name, who in people.items():
        if isinstance(who, History):
            query: Any = model.fold_in([who])
            seen = np.asarray(who.items)
        else:
            query = Query(np.array([who]))
            seen = np.unique(items[rows[users[rows] == who]])
        out[name] = model.recommend_rows(query, [hidden(run.params["protocol"], seen)], top)[0][0]
    return out


def _sample(dataset: Dataset, rows: Array) -> dict[str, int | History]:
    """Users with training events, drawn by a fixed seed."""
    users = np.unique(np.asarray(dataset.interactions.need("user"))[rows])
    chosen = np.random.default_rng(0).permutation(users)[:SAMPLE]
    return {str(user): int(user) for user in chosen}


def _common(
    model: Any, run: runs.Run, dataset: Dataset, people: Mapping[str, int | History], rows: Array, top: int
) -> tuple[float, float]:
    """How many films of these users' lists are popular, and how many two of them share, on average."""
    counts = np.bincount(np.asarray(dataset.interactions.need("item"))[rows], minlength=len(dataset.items))
    popular = np.argsort(-counts, kind="stable")[: max(1, round(0.05 * len(counts)))]
    found = list(_lists(model, run, dataset, people, rows, top).values())
    listed = np.zeros((len(found), len(counts)))
    for at, own in enumerate(found):
        listed[at, own] = 1
    pairs = len(found) * (len(found) - 1)
    both = (listed.sum(0) ** 2).sum() - listed.sum()
    return float(listed[:, popular].sum(1).mean()), float(both / pairs) if pairs else 0.0


def aligned(vectors: Sequence[Array]) -> list[Array]:
    """Centre each of ``[n, d]`` and turn it (orthogonal Procrustes) towards the one after it; the last stays."""
    centred = [own - own.mean(0) for own in vectors]
    out = [centred[-1]]
    for own in reversed(centred[:-1]):
        turn, _ = orthogonal_procrustes(own, out[0])
        out.insert(0, own @ turn)
    return out


def _plane(vectors: Sequence[Array], known: Array) -> tuple[list[Array], float]:
    """Places of all moments on the first two principal axes of the last one, scaled to the unit square together."""
    turned = aligned([own[known] for own in vectors])
    _, size, axes = np.linalg.svd(turned[-1], full_matrices=False)
    flat = [own @ axes[:2].T for own in turned]
    if flat[0].shape[1] == 1:
        flat = [np.concatenate([own, np.zeros_like(own)], 1) for own in flat]
    reach = max(float(np.quantile(np.abs(own), 0.98)) for own in flat) * 1.1 or 1.0
    out = []
    for own in flat:
        places = np.full((len(known), 2), np.nan, np.float32)
        places[known] = np.clip(own / reach / 2 + 0.5, 0, 1)
        out.append(places)
    return out, float((size[:2] ** 2).sum() / (size**2).sum()) if size.any() else 0.0


def _overlaps(vectors: Sequence[Array], known: Array) -> list[float | None]:
    """Overlap of neighbours between each moment and the next; ``None`` for the last."""
    n = int(known.sum())
    if n <= NEAR:
        return [None] * len(vectors)
    asked = np.random.default_rng(0).permutation(n)[:ASKED]
    near = [_nearest(own[known], asked) for own in vectors]
    pairs = zip(near, near[1:], strict=False)
    return [
        float(np.mean([len(np.intersect1d(a, b)) / NEAR for a, b in zip(own, after, strict=True)]))
        for own, after in pairs
    ] + [None]


def _nearest(vectors: Array, asked: Array) -> Array:
    unit = (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    scores = unit[asked] @ unit.T
    scores[np.arange(len(asked)), asked] = -np.inf
    return np.argpartition(-scores, NEAR, axis=1)[:, :NEAR]
