"""Encoders that need no weights: words counted, colours and edges measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mmrec_core.config import Config as AnyConfig
from mmrec_core.config import setting
from mmrec_core.encoders._base import Encoder, unit
from mmrec_core.errors import MMRecError
from mmrec_core.reading.images import rgb
from mmrec_core.types import Array, Modality

if TYPE_CHECKING:
    from PIL.Image import Image

GRID, BINS = (4, 6), 8
"""Fields across and down in which a poster's layout is measured; steps of each colour channel."""
SIZE = (128, 192)
RADII, PATTERNS, LONGEST = (1, 2), 59, 640
"""Pixels between a point and its neighbours in a local binary pattern; patterns told apart; longest side of the
picture."""


class Classic(Encoder):
    """TF-IDF and SVD for plots (Deerwester et al. 1990); colour, layout and texture statistics for posters. No weights.

    Text: sublinear TF-IDF of words, reduced by a seeded truncated SVD that is fitted on the catalog. Image: a soft
    histogram of hue, saturation and lightness, the mean colour and contrast of each field of a 4 × 6 grid, the
    directions of edges in it, and local binary patterns of the picture at its own size (texture, grain; Ojala et al.
    2002), each block scaled to equal weight. The two spaces are not joint.
    """

    class Config(AnyConfig):
        """How fine."""

        dim: int = setting(512, "numbers in a text vector at most", ge=2, le=2048)
        terms: int = setting(40_000, "terms kept at most, the most frequent ones", ge=10, le=1_000_000, advanced=True)

    config: Config
    fits: ClassVar[bool] = True
    version: ClassVar[int] = 2

    def width(self, modality: Modality) -> int:
        """Text: what the SVD gave (fewer where the catalog is small); image: fixed."""
        if modality == "image":
            return 3 * BINS + GRID[0] * GRID[1] * (3 + 1 + 4) + len(RADII) * PATTERNS
        return int(self._state()["components"].shape[0])

    # Text

    def fit(self, texts: Sequence[str]) -> None:
        """Terms, their rarity, and the directions in which the catalog's texts differ most."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        counter = TfidfVectorizer(**self._counting(), max_features=self.config.terms)
        try:
            table = counter.fit_transform(texts)
        except ValueError:
            raise MMRecError("'classic' found no words in these texts to learn from.") from None
        dim = min(self.config.dim, min(table.shape) - 1)
        if dim < 1:
            raise MMRecError("'classic' needs at least two films with two different words.")
        svd = TruncatedSVD(dim, random_state=0).fit(table)
        terms = sorted(counter.vocabulary_, key=counter.vocabulary_.__getitem__)
        self._held = {
            "terms": np.array(terms),
            "idf": counter.idf_.astype(np.float32),
            "components": svd.components_.astype(np.float32),
        }

    @staticmethod
    def _counting() -> dict[str, object]:
        return {
            "sublinear_tf": True,
            "stop_words": "english",
            "strip_accents": "unicode",
            "min_df": 1,
        }

    def _state(self) -> Mapping[str, Array]:
        held: Mapping[str, Array] | None = getattr(self, "_held", None)
        if held is None:
            raise MMRecError("'classic' learns its terms from a catalog: fit it first.")
        return held

    def state(self) -> Mapping[str, Array]:
        """Terms, their rarity, and the SVD's directions."""
        return self._state()

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take back a :meth:`state`."""
        self._held = dict(state)

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Texts none of whose words are known get a vector of zeros, which is near nothing."""
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.preprocessing import normalize

        held = self._state()
        if not len(texts):
            return np.zeros((0, self.width("text")), np.float32)
        how = {k: v for k, v in self._counting().items() if k != "sublinear_tf"}
        table = CountVectorizer(**how, vocabulary=held["terms"].tolist()).transform(texts).astype(np.float32)
        table.data = 1.0 + np.log(table.data)
        table = normalize(table.multiply(held["idf"]).tocsr())
        return unit(table @ held["components"].T)

    # Posters

    def encode_images(self, images: Sequence[Image]) -> Array:
        """Colour, layout, texture."""
        return (
            unit(np.stack([_look(image) for image in images]))
            if images
            else np.zeros((0, self.width("image")), np.float32)
        )


def _look(image: Image) -> Array:
    small = rgb(image).resize(SIZE, resample=3, reducing_gap=2.0)
    hsv = np.asarray(small.convert("HSV"), np.float32) / 255.0
    colour = np.asarray(small, np.float32) / 255.0
    across, down = GRID
    strength = hsv[..., 1] * hsv[..., 2]  # the hue of grey and black means nothing
    blocks = [
        _histogram(hsv[..., 0], strength, True),
        _histogram(hsv[..., 1], None, False),
        _histogram(hsv[..., 2], None, False),
    ]
    fields = colour.reshape(down, SIZE[1] // down, across, SIZE[0] // across, 3)
    grey = colour.mean(2)
    dy, dx = np.gradient(grey)
    angle, size = np.arctan2(dy, dx) % np.pi, np.hypot(dx, dy)
    which = np.minimum((angle / np.pi * 4).astype(int), 3)
    edges = np.stack([np.where(which == at, size, 0.0) for at in range(4)], -1)
    edges = edges.reshape(down, SIZE[1] // down, across, SIZE[0] // across, 4).mean((1, 3))
    contrast = grey.reshape(down, SIZE[1] // down, across, SIZE[0] // across).std((1, 3))
    parts = [np.concatenate(blocks), fields.mean((1, 3)).ravel() - 0.5, contrast.ravel(), edges.ravel()]
    parts.append(np.concatenate([_patterns(image, radius) for radius in RADII]))
    return np.concatenate([part / (np.linalg.norm(part) + 0.1) for part in parts])


def _uniform() -> Array:
    """The bin of each of the 256 patterns: one for each that changes at most twice around the circle, one for all
    others."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    steady = (bits != np.roll(bits, 1, 1)).sum(1) <= 2
    return np.where(steady, np.cumsum(steady) - 1, PATTERNS - 1)


BIN_OF = _uniform()


def _patterns(image: Image, radius: int) -> Array:
    """How often each local binary pattern occurs, as square roots of shares less their mean."""
    small = rgb(image)
    if max(small.size) > LONGEST:
        small.thumbnail((LONGEST, LONGEST), reducing_gap=2.0)
    grey = np.asarray(small.convert("L"), np.int16)
    r, (high, wide) = radius, (s - 2 * radius for s in grey.shape)
    if high < 1 or wide < 1:
        return np.zeros(PATTERNS)
    centre = grey[r : r + high, r : r + wide]
    code = np.zeros(centre.shape, np.uint8)
    around = [(-r, -r), (-r, 0), (-r, r), (0, r), (r, r), (r, 0), (r, -r), (0, -r)]
    for at, (y, x) in enumerate(around):
        code |= (grey[r + y : r + y + high, r + x : r + x + wide] > centre).astype(np.uint8) << at
    shares = np.bincount(BIN_OF, np.bincount(code.ravel(), minlength=256), PATTERNS)
    root = np.sqrt(shares / code.size)
    return root - root.mean()


def _histogram(values: Array, weight: Array | None, circular: bool) -> Array:
    """Shares of :data:`BINS` steps, each value shared between its two nearest."""
    place = values.ravel() * (BINS if circular else BINS - 1)
    low = np.floor(place).astype(int)
    part = (place - low) * (1.0 if weight is None else weight.ravel())
    whole = np.ones_like(place) if weight is None else weight.ravel()
    top = BINS if circular else BINS - 1
    counted = np.bincount(low % BINS, whole - part, BINS) + np.bincount(
        (low + 1) % BINS if circular else np.minimum(low + 1, top), part, BINS
    )
    total: Array = counted / max(counted.sum(), 1e-6)
    return total - total.mean()
