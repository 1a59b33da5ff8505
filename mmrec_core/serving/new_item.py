"""A film that nobody has met: encoded at once, set among its neighbours, and shown to everybody the model knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmrec_core import features
from mmrec_core.errors import MMRecError
from mmrec_core.features.nearest_neighbours import nearest
from mmrec_core.reading import images
from mmrec_core.types import Array, Dataset, Query, Split, blocks

MOST_PEOPLE = 2000
"""People asked at most; drawn once, by the dataset's size."""


@dataclass(frozen=True)
class NewFilm:
    """What somebody tells of a film."""

    title: str
    plot: str = ""
    genres: tuple[str, ...] = ()
    year: int | None = None
    director: str = ""
    cast: tuple[str, ...] = ()
    poster: bytes | Path | None = None


@dataclass(frozen=True)
class Reception:
    """What a model expects of a film's reception."""

    users: Array
    """User rows asked ``[U]``."""
    share: Array
    """``[U]``: the share of known films it would stand above in each person's ranking; 1 is first of all."""
    stars: Array | None
    """``[U]`` predicted stars, of models that predict any."""
    by_genre: dict[str, tuple[int, float]] = field(default_factory=dict)
    """People by the genre they liked most often: how many, and their mean share."""

    @property
    def mean_stars(self) -> float | None:
        """Predicted mean rating over everybody asked."""
        return None if self.stars is None else float(self.stars.mean())


def able(dataset: Dataset) -> list[str]:
    """Encoders of this catalog that can read a new film: those whose weights are here, not vectors brought along."""
    return [name for name, told in features.available(dataset).items() if not told.get("imported") and "+" not in name]


def encoded(dataset: Dataset, encoder: str, film: NewFilm) -> dict[str, Array]:
    """Unit vectors ``[W]`` of a film's text and poster, as far as it has them and the encoder reads them.

    Raises:
        MMRecError: the vectors were imported, the picture is broken, or nothing was told that the encoder reads.
    """
    found: dict[str, Array] = {}
    for modality, own in features.split_pair(encoder).items():
        made = features.restored(dataset, own)
        if modality == "text" and "text" in made.modalities and (film.plot or film.genres):
            record = {"title": film.title, "year": film.year, "genres": list(film.genres), "director": film.director or None,
                      "cast": list(film.cast), "plot": film.plot or None}  # fmt: skip
            found["text"] = np.asarray(made.encode_text([features.rich_text(record)])[0])
        if modality == "image" and "image" in made.modalities and film.poster is not None:
            found["image"] = np.asarray(made.encode_images([images.open_image(film.poster)])[0])
    if not found:
        raise MMRecError("Tell a plot or genres, or bring a poster: without either there is nothing to encode.")
    return found


def neighbours(
    dataset: Dataset, encoder: str, content: Mapping[str, Array], k: int = 8
) -> dict[str, tuple[Array, Array]]:
    """Modality → the films most like it (item rows) and their cosines, in the original space."""
    told = {}
    for modality, vector in content.items():
        own = features.load(dataset, features.split_pair(encoder)[modality], modality)  # type: ignore[index,arg-type]
        places, cosine = nearest(own.dense, vector, k)
        told[modality] = (own.items[places], cosine)
    return told


def reception(model: Any, dataset: Dataset, split: Split, content: Mapping[str, Array], batch: int = 256) -> Reception:
    """Show a new film to everybody a model knows.

    Raises:
        MMRecError: the model knows films by id alone, or was given other modalities or another encoder.
    """
    try:
        item = model.item_state({m: torch.from_numpy(np.asarray(v, np.float32))[None] for m, v in content.items()})
    except RuntimeError as error:
        raise MMRecError(
            f"'{model.name}' was trained on vectors of another encoder ({str(error).splitlines()[0]})."
        ) from error
    if item is None:
        raise MMRecError(
            f"'{model.name}' knows films by their ids alone, so it can say nothing of a film that nobody has met."
        )
    user = np.unique(np.asarray(dataset.interactions.need("user"))[split.train]).astype(np.int64)
    if len(user) > MOST_PEOPLE:
        user = np.sort(np.random.default_rng(len(user)).permutation(user)[:MOST_PEOPLE])
    known = torch.nonzero(model.known_items[:-1])[:, 0]
    share, new = [], []
    for part in blocks(len(user), batch):
        state = model.user_state(Query(user[part]))
        own = model.score_new(state.tensors, item.tensors)[:, 0]
        theirs = model.score_all(state, known)
        share.append(((theirs < own[:, None]).float().mean(1) + (theirs == own[:, None]).float().mean(1) / 2).numpy())
        new.append(own.numpy())
    shares, scores = np.concatenate(share), np.concatenate(new)
    stars = None
    if any(h.kind == "rating" for h in model.scorer_heads()) and dataset.scale is not None:
        stars = np.clip(scores, *dataset.scale)
    return Reception(user, shares, stars, reception_by_genre(dataset, split, user, shares))


def reception_by_genre(
    dataset: Dataset, split: Split, user: Array, share: Array, fewest: int = 5
) -> dict[str, tuple[int, float]]:
    """People by the genre they liked more often than others did: how many, and their mean share; the keenest first."""
    from mmrec_core.evaluation.list_inputs import lists_of

    taste = lists_of(
        dataset, split, user, np.zeros((len(user), 0), np.int64), dataset.manifest.get("relevant_from")
    ).taste
    names = sorted(set().union(*(set(g) for g in dataset.catalog["genres"]))) or ["any"]
    usual = taste.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        favourite = np.argmax(np.where(usual > 0, taste / usual, 0) * (taste > 0.02), 1)
    told = {}
    for at, name in enumerate(names):
        mask = favourite == at
        if mask.sum() >= fewest:
            told[name] = (int(mask.sum()), float(share[mask].mean()))
    return dict(sorted(told.items(), key=lambda kv: -kv[1][1]))


def observed_reception(dataset: Dataset, item: int, found: Reception) -> dict[str, Any] | None:
    """How a film of the catalog was really received: its mean rating, and the chance that somebody who liked it was expected to care more than
    somebody who rated it and did not, or never met it (AUC); ``None`` where nobody rated it."""
    events = dataset.interactions
    own = np.flatnonzero(np.asarray(events.need("item")) == item)
    if not len(own):
        return None
    bar = dataset.manifest.get("relevant_from")
    stars = None if events.rating is None else np.asarray(events.rating)[own]
    liked = np.asarray(events.need("user"))[own][slice(None) if stars is None or bar is None else stars >= bar]
    fan = np.isin(found.users, liked)
    auc = None
    if 0 < fan.sum() < len(fan):
        order = np.argsort(np.argsort(found.share, kind="stable")) + 1
        auc = float((order[fan].sum() - fan.sum() * (fan.sum() + 1) / 2) / (fan.sum() * (~fan).sum()))
    return {
        "ratings": len(own),
        "mean": None if stars is None else float(stars.mean()),
        "fans": int(fan.sum()),
        "auc": auc,
    }
