"""Cold-start item: encode a new film, find its neighbours, and score it for the users whom a model knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import features
from mmrec_core.errors import MMRecError
from mmrec_core.features.vector_index import nearest_films
from mmrec_core.reading import images
from mmrec_core.types import Array, Dataset, Query, Split, blocks

MOST_PEOPLE = 2000
"""Most users to score the film for; a larger set is sampled with a fixed seed."""


@dataclass(frozen=True)
class NewFilm:
    """Metadata of a new film."""

    title: str
    plot: str = ""
    genres: tuple[str, ...] = ()
    year: int | None = None
    director: str = ""
    cast: tuple[str, ...] = ()
    poster: bytes | Path | None = None


@dataclass(frozen=True)
class Reception:
    """Predicted reception of a film."""

    users: Array
    """User rows ``[U]``."""
    share: Array
    """``[U]``: percentile rank of the film in each user's ranking; 1 is the top."""
    stars: Array | None
    """``[U]`` predicted stars; ``None`` unless the model predicts ratings."""
    by_genre: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Favourite genre → how many users, and their mean ``share``."""

    @property
    def mean_stars(self) -> float | None:
        """Predicted mean rating over all these users."""
        return None if self.stars is None else float(self.stars.mean())


def able(dataset: Dataset) -> list[str]:
    """Encoders of this catalog that can encode a new film; imported vectors come without an encoder."""
    ready = features.available(dataset)
    made_here = {name for name, manifest in ready.items() if not manifest.get("imported")}
    return [name for name in ready if name in made_here and made_here.intersection(features.encoders_behind(name))]


def encoded(dataset: Dataset, encoder: str, film: NewFilm) -> dict[str, Array]:
    """Unit vectors ``[W]`` of a film by modality.

    Raises:
        MMRecError: the vectors were imported, the image is damaged, or the film has nothing that the encoder reads.
    """
    found: dict[str, Array] = {}
    for modality, own in features.split_pair(encoder).items():
        made = features.restore_encoder(dataset, own)
        if modality == "text" and "text" in made.modalities and (film.plot or film.genres):
            record = {
                "title": film.title,
                "year": film.year,
                "genres": list(film.genres),
                "director": film.director or None,
                "cast": list(film.cast),
                "plot": film.plot or None,
            }
            found["text"] = np.asarray(made.encode_text([features.rich_text(record)])[0])
        if modality == "image" and "image" in made.modalities and film.poster is not None:
            found["image"] = np.asarray(made.encode_images([images.open_image(film.poster)])[0])
    if not found:
        raise MMRecError("Enter a plot or genres, or add a poster: without them there is nothing to encode.")
    return found


def neighbours(
    dataset: Dataset, encoder: str, content: Mapping[str, Array], k: int = 8
) -> dict[str, tuple[Array, Array]]:
    """Nearest neighbours of a new film in the original space.

    Args:
        dataset: the catalog.
        encoder: the encoder of ``content``.
        content: modality → unit vector ``[W]``.
        k: neighbours for each modality.

    Returns:
        Modality → item rows ``[k]`` and cosine similarities ``[k]``, the nearest first.
    """
    result = {}
    for modality, vector in content.items():
        own = features.load(dataset, encoder, modality)
        places, cosine = nearest_films(own, vector, k)
        result[modality] = (own.items[places], cosine)
    return result


def reception(model: Any, dataset: Dataset, split: Split, content: Mapping[str, Array], batch: int = 256) -> Reception:
    """Score a new film for the users of the training rows (a sample of :data:`MOST_PEOPLE` at most).

    Args:
        model: a model that reads content.
        dataset: the dataset.
        split: the split that the model was trained on.
        content: modality → unit vector ``[W]`` of the film.
        batch: users scored at once.

    Raises:
        MMRecError: the model knows films by id alone, or was trained on other modalities or another encoder.
    """
    import torch

    try:
        item = model.item_state({m: torch.from_numpy(np.asarray(v, np.float32))[None] for m, v in content.items()})
    except RuntimeError as error:
        raise MMRecError(
            f"'{model.name}' was trained on vectors of another encoder ({str(error).splitlines()[0]})."
        ) from error
    if item is None:
        raise MMRecError(
            f"'{model.name}' knows films by their ids alone, so it cannot score a film that it was not trained on."
        )
    user = np.unique(np.asarray(dataset.interactions.need("user"))[split.train]).astype(np.int64)
    if len(user) > MOST_PEOPLE:
        user = np.sort(np.random.default_rng(len(user)).permutation(user)[:MOST_PEOPLE])
    known = torch.nonzero(model.known_items[:-1])[:, 0]
    share, new_scores = [], []
    for part in blocks(len(user), batch):
        state = model.user_state(Query(user[part]))
        own = model.score_new(state.tensors, item.tensors)[:, 0]
        theirs = model.score_all(state, known)
        share.append(((theirs < own[:, None]).float().mean(1) + (theirs == own[:, None]).float().mean(1) / 2).numpy())
        new_scores.append(own.numpy())
    shares, scores = np.concatenate(share), np.concatenate(new_scores)
    stars = None
    if any(h.kind == "rating" for h in model.scorer_heads()) and dataset.scale is not None:
        stars = np.clip(scores, *dataset.scale)
    return Reception(user, shares, stars, reception_by_genre(dataset, split, user, shares))


def reception_by_genre(
    dataset: Dataset, split: Split, user: Array, share: Array, fewest: int = 5
) -> dict[str, tuple[int, float]]:
    """Users grouped by favourite genre, the one that they liked more often than other users did.

    Args:
        dataset: the dataset.
        split: the split whose training rows describe the users.
        user: user rows ``[U]``.
        share: ``[U]``, see :class:`Reception`.
        fewest: smaller groups are left out.

    Returns:
        Genre → number of users and their mean share, the highest first.
    """
    from mmrec_core.evaluation.list_inputs import lists_of

    taste = lists_of(
        dataset, split, user, np.zeros((len(user), 0), np.int64), dataset.manifest.get("relevant_from")
    ).taste
    names = sorted(set().union(*(set(g) for g in dataset.catalog["genres"]))) or ["any"]
    usual = taste.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        favourite = np.argmax(np.where(usual > 0, taste / usual, 0) * (taste > 0.02), 1)
    result = {}
    for at, name in enumerate(names):
        mask = favourite == at
        if mask.sum() >= fewest:
            result[name] = (int(mask.sum()), float(share[mask].mean()))
    return dict(sorted(result.items(), key=lambda kv: -kv[1][1]))


def observed_reception(dataset: Dataset, item: int, found: Reception) -> dict[str, Any] | None:
    """Observed reception of a film of the catalog, to compare with the prediction.

    Returns:
        ``ratings``, ``mean`` rating, ``fans`` (users who liked it) and ``auc``: the probability that a user who liked
        the film has a higher predicted share than one who did not. ``None`` if nobody rated the film.
    """
    events = dataset.interactions
    own = np.flatnonzero(np.asarray(events.need("item")) == item)
    if not len(own):
        return None
    relevance_threshold = dataset.manifest.get("relevant_from")
    stars = None if events.rating is None else np.asarray(events.rating)[own]
    liked = np.asarray(events.need("user"))[own][
        slice(None) if stars is None or relevance_threshold is None else stars >= relevance_threshold
    ]
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
