"""A joint space of any two encoders: a linear head on the vectors of each, trained on a dataset's own pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from mmrec_core.config import Config as AnyConfig
from mmrec_core.config import setting
from mmrec_core.encoders._base import Encoder, unit
from mmrec_core.errors import MMRecError
from mmrec_core.types import MODALITIES, Array, Modality

if TYPE_CHECKING:
    from PIL.Image import Image

PREFIX = "aligned:"


def parts(name: str) -> dict[Modality, str]:
    """The encoder of texts and the encoder of images in ``aligned:TEXT+IMAGE``.

    Raises:
        MMRecError: the name does not name two encoders.
    """
    text, plus, image = name.removeprefix(PREFIX).partition("+")
    if not (name.startswith(PREFIX) and text and plus and image) or "+" in image:
        raise MMRecError(
            f"'{name}' must name an encoder of texts and one of images: aligned:TEXT+IMAGE, such as "
            "aligned:minilm+mobilenet_v1."
        )
    return {"text": text, "image": image}


class Aligned(Encoder):
    """A joint text–image space of two frozen encoders, ``aligned:TEXT+IMAGE``; after LiT (Zhai et al. 2022).

    Each side is one linear head, ``h(x) = normalize(W·(x − μ)/σ + b)``, on the stored vectors of an encoder; the heads
    learn from the films that have both a plot and a poster (:func:`mmrec_core.training.alignment.align`), with the loss
    of CLIP or of SigLIP. Neither encoder changes, so a training run takes seconds.
    """

    class Config(AnyConfig):
        """The heads and their training."""

        loss: Literal["infonce", "sigmoid"] = setting("infonce", "infonce: CLIP's; sigmoid: SigLIP's")
        width: int = setting(128, "numbers in a vector of the joint space", ge=2, le=1024)
        dropout: float = setting(0.7, "share of the input numbers that are dropped in training", ge=0.0, le=0.9)
        max_epochs: int = setting(60, "passes over the pairs at most", ge=1, le=1000)
        batch_size: int = setting(
            512, "pairs in a step; each text must be matched to its image among them", ge=2, le=65_536
        )
        lr: float = setting(0.003, "size of a step (AdamW's learning rate)", ge=1e-6, le=1.0, log=True)
        weight_decay: float = setting(1.0, "pull of all weights towards zero at each step", ge=0.0, le=10.0, log=True)
        held_out: float = setting(0.2, "share of the pairs that are not learned from; retrieval is measured on these",
                                  ge=0.0, le=0.9)  # fmt: skip
        seed: int = setting(0, "decides which pairs are held out, the first weights and the order", ge=0)

    config: Config
    joint: ClassVar[bool] = True

    def __init__(self, name: str, config: AnyConfig, device: str = "cpu") -> None:
        super().__init__(name, config, device)
        self.parts = parts(name)
        self._heads: Mapping[str, Array] = {}
        self._encoders: Mapping[Modality, Encoder] = {}

    def width(self, modality: Modality) -> int:
        """The joint space's."""
        return self.config.width

    def state(self) -> Mapping[str, Array]:
        """By side: ``weight [width, d]``, ``bias [width]``, ``mean [d]`` and ``std [d]``."""
        return self._heads

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take back a :meth:`state`."""
        self._heads = dict(state)

    def connect(self, encoders: Mapping[Modality, Encoder]) -> None:
        """Take the encoders that read new texts and images; a modality without one cannot be encoded."""
        self._encoders = dict(encoders)
        self.modalities = tuple(m for m in MODALITIES if m in encoders)  # type: ignore[misc]  # fewer than the class's

    def project(self, vectors: Array, modality: Modality) -> Array:
        """Vectors ``[N, d]`` of one of the two encoders in the joint space, float32 ``[N, width]``, unit length."""
        own = {k: self._heads[f"{modality}.{k}"] for k in ("weight", "bias", "mean", "std")}
        x = (np.asarray(vectors, np.float32) - own["mean"]) / own["std"]
        return unit(x @ own["weight"].T + own["bias"])

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Through the encoder of texts, then its head."""
        return self._encode("text", lambda made: made.encode_text(texts))

    def encode_images(self, images: Sequence[Image]) -> Array:
        """Through the encoder of images, then its head."""
        return self._encode("image", lambda made: made.encode_images(images))

    def _encode(self, modality: Modality, encode: Callable[[Encoder], Array]) -> Array:
        if modality not in self._encoders or not self._heads:
            raise MMRecError(
                f"'{self.name}' cannot encode a new {modality}: its heads are trained on a dataset, and "
                f"'{self.parts[modality]}' must be an encoder that can be run, not imported vectors."
            )
        return self.project(encode(self._encoders[modality]), modality)
