"""What every encoder does: texts and pictures in, unit vectors out, the same ones each time."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mmrec_core.config import Config as AnyConfig
from mmrec_core.data.vector_files import unit as unit
from mmrec_core.types import MODALITIES, Array, Modality

if TYPE_CHECKING:
    from PIL.Image import Image


class Encoder(abc.ABC):
    """Base of all encoders. A public subclass in its own file is all that a new one needs.

    Args:
        name: what it was asked for by.
        config: a checked ``Config`` of the class.
        device: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        MMRecError: its weights are not to be had; the line says what is missing.
    """

    Config: ClassVar[type[AnyConfig]] = AnyConfig
    modalities: ClassVar[tuple[Modality, ...]] = MODALITIES
    joint: ClassVar[bool] = False
    """Whether texts and pictures share one space, so that a text finds its picture."""
    version: ClassVar[int] = 1
    """Raised when the same input no longer gives the same vectors."""
    fits: ClassVar[bool] = False
    """Whether :meth:`fit` must see a catalog first; its :meth:`state` is then kept beside the vectors."""
    weighs: ClassVar[bool] = False
    """Whether it needs weights from elsewhere (the hub, or a local path)."""

    def __init__(self, name: str, config: AnyConfig, device: str = "cpu") -> None:
        self.name, self.config, self.device = name, config, device

    @abc.abstractmethod
    def width(self, modality: Modality) -> int:
        """Numbers in a vector."""

    def encode_text(self, texts: Sequence[str]) -> Array:
        """float32 ``[N, width]``, unit length; too long texts are cut as the model's own tokenizer demands."""
        raise NotImplementedError

    def encode_images(self, images: Sequence[Image]) -> Array:
        """float32 ``[N, width]``, unit length, from pictures of any size and mode."""
        raise NotImplementedError

    def fit(self, texts: Sequence[str]) -> None:
        """Learn from a catalog's texts (only where ``fits``)."""
        raise NotImplementedError

    def state(self) -> Mapping[str, Array]:
        """What :meth:`fit` learned, as arrays."""
        return {}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take back a :meth:`state`."""
        raise NotImplementedError


def local(weights: str) -> Path | None:
    """The folder or file that ``weights`` names, if it is there; else it is the hub's to find."""
    place = Path(weights).expanduser()
    return place if weights and place.exists() else None
