"""CLIP and SigLIP models in transformers' form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mmrec_core.config import setting
from mmrec_core.encoders._base import Encoder
from mmrec_core.encoders._hub import HubConfig, in_batches, pretrained
from mmrec_core.reading.images import rgb
from mmrec_core.types import Array, Modality

if TYPE_CHECKING:
    from PIL.Image import Image


class HFDual(Encoder):
    """Joint text–image models in transformers' form: CLIP, SigLIP and their kin (``hf:ID`` finds its way here)."""

    class Config(HubConfig):
        """Which model."""

        weights: str = setting(
            "openai/clip-vit-base-patch32", "a folder with the model's files, or its name on the hub"
        )

    config: Config
    joint: ClassVar[bool] = True
    weighs: ClassVar[bool] = True

    def __init__(self, name: str, config: Config, device: str = "cpu") -> None:
        super().__init__(name, config, device)
        self.net, self.tokens, self.prepare = pretrained(name, config, device, "AutoTokenizer", "AutoImageProcessor")

    def width(self, modality: Modality) -> int:
        """The joint space's."""
        info: Any = self.net.config
        return int(info.projection_dim if hasattr(info, "projection_dim") else info.vision_config.hidden_size)

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Cut at the model's own length; SigLIP reads padding, so it is padded to its full length, as it was
        trained."""
        longest = int(self.net.config.text_config.max_position_embeddings)
        padding = "max_length" if self.net.config.model_type.startswith("siglip") else True

        def compute(part: Sequence[Any]) -> Any:
            read = self.tokens(
                list(part), padding=padding, truncation=True, max_length=longest, return_tensors="pt"
            ).to(self.device)
            return _pooled(self.net.get_text_features(**read))

        return in_batches(texts, self.config.batch_size, self.width("text"), compute)

    def encode_images(self, images: Sequence[Image]) -> Array:
        """Resized, cropped and scaled as the model's own processor does."""

        def compute(part: Sequence[Any]) -> Any:
            read = self.prepare(images=[rgb(image) for image in part], return_tensors="pt")["pixel_values"]
            return _pooled(
                self.net.get_image_features(pixel_values=read.to(self.device, self.config.dtype(self.device)))
            )

        return in_batches(images, self.config.batch_size, self.width("image"), compute)


def _pooled(out: Any) -> Any:
    """Features as a tensor; transformers 5 wraps them."""
    return getattr(out, "pooler_output", out)
