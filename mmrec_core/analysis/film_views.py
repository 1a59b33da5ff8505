"""What each model makes of each film: in whose top ten it is, its ranks, its predicted rating, its nearest neighbours.

Ranks of all films are computed once per training and kept in its folder (``film_ranks.npz``), so that a second film
costs nothing. Users are those that the evaluation asks about: they have at least one relevant test row. A film is
ranked for a user as it is in the evaluation: among all films that are not hidden from this user's list.
"""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from mmrec_core import features, records, registry, storage
from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import Row
from mmrec_core.analysis.paired import split_of
from mmrec_core.encoders._base import unit
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import Protocol
from mmrec_core.features.nearest_neighbours import nearest
from mmrec_core.features.vector_index import nearest_films
from mmrec_core.runs import Run
from mmrec_core.serving.recommender import load_run_model
from mmrec_core.types import Array, Dataset, Progress, Split, quiet

TOP = 10
"""Length of a list."""
MOST_USERS, MOST_SCORES, BLOCK = 1000, 20_000_000, 128
"""Most users whose lists are computed, most scores in all, and users scored at once."""
FILE = "film_ranks.npz"
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class FilmRanks:
    """Where a model ranks each film ``[I]``."""

    users: int
    """How many users were asked about."""
    in_top: Array
    """Users whose top ten holds the film."""
    ranked: Array
    """Users from whom the film is not hidden; the ranks are over these."""
    mean: Array
    """Mean rank, from 1; NaN where the film is hidden from every user. Films of one score share the mean of their
    places."""
    median: Array
    """Median rank."""
    predicted: Array
    """Mean predicted rating over all users, on the dataset's scale; NaN unless the model predicts ratings."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest films in one space, best first."""

    space: str
    """A training's name, or an encoder's."""
    kind: str
    """``model``, ``plot`` or ``poster``."""
    items: Array
    """Item rows; empty where the film has no vector there."""
    similarity: Array
    """Cosines."""


def views(dataset: Dataset) -> list[Row]:
    """Results of training runs on the current data that rank films, in the default evaluation setup if there are any
    there.

    Those with default settings come first; of several setups, that with most results is taken.
    """
    found = [
        row
        for row in comparison.rows(dataset)
        if row.run.kind == "train" and row.kind in {"rating", "ranking"} and row.run.has_model
    ]
    key = comparison.usual_key(dataset, found) or next(iter(comparison.keys(found)), None)
    return sorted((row for row in found if row.key == key), key=lambda row: (not row.usual, row.label))


def kept_ranks(dataset: Dataset, row: Row) -> FilmRanks | None:
    """The ranks that were computed earlier; ``None`` if there are none, or they are of another model or data."""
    file = row.run.folder / FILE
    if not file.exists():
        return None
    try:
        found = records.archive(file, storage.MAKE_AGAIN)
        if str(found.pop("of")) != _stamp(dataset, row.run):
            return None
        return FilmRanks(users=int(found.pop("users")), **found)
    except (MMRecError, KeyError, TypeError, ValueError):  # of an earlier version, or damaged: they are made again
        return None


def film_ranks(dataset: Dataset, row: Row, progress: Progress = quiet) -> FilmRanks:
    """Where a training's model ranks each film; computed at the first call, then read.

    Args:
        dataset: the dataset.
        row: the training's result.
        progress: called with the progress over users.

    Raises:
        MMRecError: the model is gone or damaged, or the data were prepared again.
    """
    with _one_at_a_time:  # two visitors who ask about one model share the work
        kept = kept_ranks(dataset, row)
        if kept is not None:
            return kept
        stamp = _stamp(dataset, row.run)
        model = _model_as_evaluated(dataset, row)
        made = ranks_of(model, dataset, split_of(dataset, row), row.key.relevant_from, row.key.protocol, progress)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, of=np.array(stamp), **vars(made))
        storage.write_bytes(row.run.folder / FILE, buffer.getvalue())
        return made


def _stamp(dataset: Dataset, run: Run) -> str:
    """What the ranks of a training run depend on."""
    try:
        written = (run.folder / "model" / "config.json").stat().st_mtime_ns
    except OSError:
        written = 0
    return f"1 {dataset.checksum} {written}"


def _model_as_evaluated(dataset: Dataset, row: Row) -> Any:
    """The model of a training run; one that learns from events knows the validation rows where the evaluation let
    it."""
    model = load_run_model(row.run.folder)
    if not model.streams or row.key.known == "training":
        return model
    model, rows = copy.deepcopy(model), split_of(dataset, row).validation
    if dataset.interactions.time is not None:
        rows = rows[np.argsort(np.asarray(dataset.interactions.time)[rows], kind="stable")]
    model.observe(dataset.interactions.take(rows))
    return model


def ranks_of(
    model: Any,
    dataset: Dataset,
    split: Split,
    relevant_from: float | None,
    protocol: str = "full",
    progress: Progress = quiet,
) -> FilmRanks:
    """Ranks of every film by a model; see :class:`FilmRanks`.

    Args:
        model: a trained model.
        dataset: the dataset.
        split: its split; the users are those with a relevant test row, at most :data:`MOST_USERS` of them, evenly.
        relevant_from: lowest rating that counts as relevant.
        protocol: its ``seen`` says whether films of a user's history are hidden; candidates are all films in any case.
        progress: called with the progress over users.
    """
    import torch

    from mmrec_core.evaluation.ranker import Ranker, RankingOptions
    from mmrec_core.evaluation.tie_ranks import LOWEST, largest

    among = Protocol(seen=Protocol.parse(protocol).seen)
    ranker = Ranker(model, dataset, split, RankingOptions(among, relevant_from))
    n_items = len(dataset.items)
    most = max(1, min(MOST_USERS, MOST_SCORES // n_items))
    users = ranker.users[np.linspace(0, len(ranker.users) - 1, min(most, len(ranker.users))).astype(np.int64)]
    hidden = ranker.hidden_rows()
    hidden = hidden[np.isin(ranker.user[hidden], users)]
    own, seen = np.searchsorted(users, ranker.user[hidden]), ranker.item[hidden]
    heads = model.scorer_heads()
    stars = next((at for at, head in enumerate(heads) if head.kind == "rating"), None)
    ranks = np.full((len(users), n_items), np.nan, np.float32)
    in_top, predicted = np.zeros(n_items, np.int64), np.zeros(n_items)
    for start in range(0, len(users), BLOCK):
        progress(start, len(users), "ranking")
        block = users[start : start + BLOCK]
        states = ranker.states(block)
        scores = model.score_all(states).detach().cpu().float().clamp_(min=LOWEST * 0.99)
        if stars == 0:
            low, high = dataset.scale or (-np.inf, np.inf)
            predicted += np.clip(scores.numpy().astype(np.float64), low, high).sum(0)
        elif stars is not None and not len(split.revealed):
            for user in block.tolist():
                asked = model.score(np.full(n_items, user), np.arange(n_items))[:, stars]
                predicted += asked.double().numpy()
        mine = (own >= start) & (own < start + len(block))
        table = scores.numpy()
        table[own[mine] - start, seen[mine]] = LOWEST
        best, where = largest(torch.from_numpy(table), min(TOP, n_items))
        in_top += np.bincount(where[best > LOWEST].numpy(), minlength=n_items)
        place = rankdata(-table, axis=1).astype(np.float32)
        place[table == LOWEST] = np.nan
        ranks[start : start + len(block)] = place
    progress(len(users), len(users), "ranking")
    there = np.isfinite(ranks).sum(0)
    some = there > 0
    mean, median = np.full(n_items, np.nan), np.full(n_items, np.nan)
    if some.any():
        mean[some] = np.nanmean(ranks[:, some], axis=0, dtype=np.float64)
        median[some] = np.nanmedian(ranks[:, some], axis=0)
    known = stars == 0 or (stars is not None and not len(split.revealed))
    return FilmRanks(
        users=len(users),
        in_top=in_top,
        ranked=there,
        mean=mean,
        median=median,
        predicted=predicted / max(len(users), 1) if known else np.full(n_items, np.nan),
    )


def neighbours(dataset: Dataset, row: int, trained: Sequence[Row], n: int = 5) -> list[Neighbours]:
    """A film's nearest neighbours in the item vectors of models, and in the plot and poster vectors of encoders.

    Args:
        dataset: the dataset.
        row: the film's row.
        trained: results whose models are asked; those without item vectors are left out.
        n: how many neighbours.
    """
    schemas = registry.schemas("models")
    found = []
    for result in trained:
        if not schemas.get(result.model, {}).get("vectors"):
            continue
        try:
            model = load_run_model(result.run.folder)
        except MMRecError:  # damaged, which the page says with its ranks
            continue
        vectors = model.item_vectors()
        if vectors is None:
            continue
        items = np.flatnonzero(model.known_items[:-1].cpu().numpy())
        found.append(_nearest(result.label, "model", unit(vectors.detach().cpu().numpy()[items]), items, row, n))
    for encoder, manifest in features.available(dataset).items():
        for modality, kind in (("text", "plot"), ("image", "poster")):
            if modality in manifest["modality"]:
                found.append(_nearest_stored(encoder, kind, features.load(dataset, encoder, modality), row, n))
    return found


def _nearest_stored(space: str, kind: str, own: features.Features, row: int, n: int) -> Neighbours:
    at = np.flatnonzero(own.items == row)
    if not len(at):
        return Neighbours(space, kind, np.zeros(0, np.int64), np.zeros(0))
    best, cosine = nearest_films(own, np.asarray(own.vectors[at[0]], np.float32), n + 1)
    others = best != at[0]
    return Neighbours(space, kind, own.items[best[others][:n]], cosine[others][:n])


def _nearest(space: str, kind: str, vectors: Array, items: Array, row: int, n: int) -> Neighbours:
    at = np.flatnonzero(items == row)
    if not len(at):
        return Neighbours(space, kind, np.zeros(0, np.int64), np.zeros(0))
    others = items != row
    best, cosine = nearest(vectors[others], vectors[at[0]], n)
    return Neighbours(space, kind, items[others][best], cosine)
