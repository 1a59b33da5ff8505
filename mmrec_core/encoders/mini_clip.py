"""Our own small dual encoders, trained from scratch on Reel World's posters; their weights ship with MMRec."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from mmrec_core import settings
from mmrec_core.config import Config as AnyConfig
from mmrec_core.config import setting
from mmrec_core.encoders._base import Encoder, local, unit
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Modality, blocks

if TYPE_CHECKING:
    from PIL.Image import Image

PRESETS: dict[str, dict[str, Any]] = {"mini_clip": {"loss": "infonce"}, "mini_siglip": {"loss": "sigmoid"}}
SUMMARIES = {
    "mini_clip": "Small joint text–poster encoder with CLIP's loss (Radford et al. 2021), trained on generated films.",
    "mini_siglip": "Small joint text–poster encoder with SigLIP's loss (Zhai et al. 2023), trained on generated films.",
}


class MiniCLIP(Encoder):
    """A small joint text–poster encoder of our own, after CLIP (Radford et al. 2021) or SigLIP (Zhai et al. 2023).

    ``mini_clip`` and ``mini_siglip`` share towers and data and differ in the loss alone. Both learned from posters and
    captions of generated worlds; they know Reel World well and real films hardly.
    """

    class Config(AnyConfig):
        """Which weights, and how they are or were made."""

        loss: Literal["infonce", "sigmoid"] = setting("infonce", "infonce: CLIP's; sigmoid: SigLIP's")
        weights: str = setting("", "a .safetensors file made by train-encoder; empty: the weights that come with MMRec")
        width: int = setting(128, "numbers in a vector", ge=8, le=1024, advanced=True)

    config: Config
    joint: ClassVar[bool] = True

    def __init__(self, name: str, config: AnyConfig, device: str = "cpu") -> None:
        super().__init__(name, config, device)
        from mmrec_core.encoders._dual import DualEncoder

        self.file = _file(name, self.config.weights)
        info, tensors = _read(self.file)
        self.record = info
        self.net = DualEncoder(int(info["width"]))
        try:
            self.net.load_state_dict({k: v.float() for k, v in tensors.items()})
        except RuntimeError as error:
            raise MMRecError(
                f"{self.file} holds other weights than this encoder's ({str(error).splitlines()[-1].strip()})."
            ) from None
        self.net.to(device).eval()

    def width(self, modality: Modality) -> int:
        """The joint space's."""
        return self.net.width

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Every word counts, however long the text; words never met count by how they begin."""
        import torch

        from mmrec_core.encoders._dual import bags, tokens

        out = np.zeros((len(texts), self.net.width), np.float32)
        with torch.inference_mode():
            for part in blocks(len(texts), 512):
                flat, starts = bags([tokens(text) for text in texts[part]])
                out[part] = self.net.texts(flat.to(self.device), starts.to(self.device)).cpu().numpy()
        return unit(out)

    def encode_images(self, images: Sequence[Image]) -> Array:
        """Posters are stretched to 64 × 96."""
        import torch

        from mmrec_core.encoders._dual import pixels

        out = np.zeros((len(images), self.net.width), np.float32)
        with torch.inference_mode():
            for part in blocks(len(images), 128):
                batch = torch.from_numpy(np.stack([pixels(image) for image in images[part]]))
                out[part] = self.net.images(batch.to(self.device)).cpu().numpy()
        return unit(out)


def _file(name: str, weights: str) -> Path:
    if not weights:
        return settings.ROOT / "assets" / "encoders" / f"{name}.safetensors"
    place = local(weights)
    if place is None:
        raise MMRecError(
            f"'{weights}' is not a file. Name the .safetensors that train-encoder wrote, or leave weights empty."
        )
    return place


def _read(file: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as held:
            info = json.loads((held.metadata() or {})["mmrec"])
            return info, {name: held.get_tensor(name) for name in held.keys()}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise MMRecError(f"{file} does not hold weights of this encoder ({type(error).__name__}: {error}).") from None
