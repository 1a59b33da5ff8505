"""Image encoders in transformers' form."""

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

PRESETS: dict[str, dict[str, Any]] = {"hf_image": {}, "resnet": {"weights": "microsoft/resnet-50"}}
SUMMARIES = {
    "hf_image": "Any image model in transformers' form (ViT, DINOv2, …), pooled before its classifier.",
    "resnet": "ResNet-50, 2,048 numbers per poster (He et al. 2016).",
}


class HFImage(Encoder):
    """Image models in transformers' form: ResNet-50 (He et al. 2016; 2048), ViT, DINOv2 and their kin, pooled before
    the classifier."""

    class Config(HubConfig):
        """Which model."""

        weights: str = setting("microsoft/resnet-50", "a folder with the model's files, or its name on the hub")

    config: Config
    modalities: ClassVar[tuple[Modality, ...]] = ("image",)
    weighs: ClassVar[bool] = True

    def __init__(self, name: str, config: Config, device: str = "cpu") -> None:
        super().__init__(name, config, device)
        self.net, self.prepare = pretrained(name, config, device, "AutoImageProcessor")

    def width(self, modality: Modality) -> int:
        """The last stage's channels, or the hidden size."""
        info = self.net.config
        return int(info.hidden_sizes[-1] if hasattr(info, "hidden_sizes") else info.hidden_size)

    def encode_images(self, images: Sequence[Image]) -> Array:
        """Resized, cropped and scaled as the model's own processor does."""

        def compute(part: Sequence[Any]) -> Any:
            read = self.prepare(images=[rgb(image) for image in part], return_tensors="pt")["pixel_values"]
            out = self.net(pixel_values=read.to(self.device, self.config.dtype(self.device)))
            pooled = getattr(out, "pooler_output", None)
            return (out.last_hidden_state[:, 0] if pooled is None else pooled).flatten(1)

        return in_batches(images, self.config.batch_size, self.width("image"), compute)
