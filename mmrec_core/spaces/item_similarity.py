"""Similar films, by users who liked both or by metadata; exact cosine similarity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from mmrec_core.types import Array, Dataset

WEIGHTS = {"genres": 1.0, "director": 2.0, "cast": 1.0, "tags": 1.0}
"""Weight of a shared value by column, before the weighting by rarity."""


@dataclass(frozen=True)
class Similarity:
    """Two views of a catalog, each ``[I, …]`` sparse with unit rows."""

    fans: sp.csr_matrix
    about: sp.csr_matrix

    def like(self, item: int, view: str, n: int) -> tuple[Array, Array]:
        """The ``n`` most similar films and their cosines; ``view`` is ``fans`` or ``about``; fewer where nothing is
        shared."""
        table = self.fans if view == "fans" else self.about
        cosine = np.asarray((table @ table[item].T).todense()).ravel()
        cosine[item] = 0.0
        best = np.argsort(-cosine, kind="stable")[:n]
        best = best[cosine[best] > 0]
        return best, cosine[best]


def similarity(dataset: Dataset) -> Similarity:
    """Both views of a dataset: users who liked each film (without ratings: who have an event), and its metadata."""
    events = dataset.interactions
    user, item = np.asarray(events.need("user")), np.asarray(events.need("item"))
    threshold = dataset.manifest["relevant_from"]
    liked = (
        np.ones(len(user), bool)
        if threshold is None or events.rating is None
        else np.asarray(events.rating) >= threshold
    )
    shape = (len(dataset.items), len(dataset.users))
    fans = sp.csr_matrix((np.ones(int(liked.sum()), np.float32), (item[liked], user[liked])), shape=shape)
    rows, names = [], []
    values = []
    for column, weight in WEIGHTS.items():
        for row, own in enumerate(dataset.catalog[column]):
            # NaN
            values_of_film = [own] if isinstance(own, str) else own if isinstance(own, (list, np.ndarray)) else ()
            for name in values_of_film:
                rows.append(row)
                names.append(f"{column}:{name}")
                values.append(weight)
    unique, at = (
        np.unique(np.array(names, dtype=str), return_inverse=True)
        if names
        else (np.zeros(0, str), np.zeros(0, np.int64))
    )
    common = np.bincount(at, minlength=len(unique))
    rarity = np.log1p(shape[0] / np.maximum(common, 1))
    about = sp.csr_matrix((np.array(values) * rarity[at], (rows, at)), shape=(shape[0], max(len(unique), 1)))
    return Similarity(_unit(fans), _unit(about))


def _unit(table: sp.csr_matrix) -> sp.csr_matrix:
    length = np.sqrt(np.asarray(table.multiply(table).sum(1)).ravel())
    return sp.diags(1 / np.maximum(length, 1e-12)) @ table
