"""CLIP and SigLIP models in OpenCLIP's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mmrec_core.config import Config, setting
from mmrec_core.encoders._base import Encoder, local
from mmrec_core.encoders._hub import HubConfig, in_batches, loading
from mmrec_core.errors import MMRecError
from mmrec_core.reading.images import rgb
from mmrec_core.types import Array, Modality

if TYPE_CHECKING:
    from PIL.Image import Image

PRESETS: dict[str, dict[str, Any]] = {
    "open_clip": {},
    "clip": {"model": "ViT-B-32-quickgelu", "weights": "openai"},
    "siglip": {"model": "ViT-B-16-SigLIP", "weights": "webli"},
    "vit_l_14": {"model": "ViT-L-14", "weights": "laion2b_s32b_b82k"},
    "so400m_siglip": {"model": "ViT-SO400M-14-SigLIP", "weights": "webli"},
}
SUMMARIES = {
    "clip": "CLIP ViT-B/32 with OpenAI's weights (Radford et al. 2021): texts and images in one space of 512 numbers.",
    "siglip": "SigLIP ViT-B/16 (Zhai et al. 2023): texts and images in one space of 768 numbers.",
    "vit_l_14": "CLIP ViT-L/14 trained on LAION-2B (Cherti et al. 2023): texts and images in one space of 768 numbers.",
    "so400m_siglip": "SigLIP SO400M/14 (Zhai et al. 2023): texts and images in one space of 1,152 numbers.",
}


class OpenCLIP(Encoder):
    """Joint text–image models of OpenCLIP (Radford et al. 2021; Zhai et al. 2023; Cherti et al. 2023).

    ``weights`` is a tag that OpenCLIP knows (fetched from the hub), a file of weights for ``model``, or a folder in
    OpenCLIP's own form, which brings its model and tokenizer along.
    """

    class Config(HubConfig):
        """Which model of OpenCLIP."""

        model: str = setting("ViT-B-32", "OpenCLIP's name of the architecture")
        weights: str = setting("", "a tag OpenCLIP knows, a file of weights, or a folder in OpenCLIP's form")

    config: Config
    joint: ClassVar[bool] = True
    weighs: ClassVar[bool] = True

    def __init__(self, name: str, config: Config, device: str = "cpu") -> None:
        super().__init__(name, config, device)
        place = local(config.weights)
        if place is None and not config.weights:
            raise MMRecError(f"'{name}' needs weights: a tag, a file or a folder, as --set weights=….")
        folder = place is not None and place.is_dir()
        with loading(name, config.weights):
            import open_clip
            from open_clip.transform import PreprocessCfg, image_transform_v2

            model = f"local-dir:{place}" if folder else config.model
            given = None if folder else str(place or config.weights)
            self.net = open_clip.create_model(
                model, pretrained=given, device=device, require_pretrained=True, pretrained_text=False
            )
            self.net = self.net.eval().to(dtype=self.config.dtype(device))
            info = open_clip.model.get_model_preprocess_cfg(self.net)
            self.prepare = image_transform_v2(PreprocessCfg(**info), is_train=False)
            self.tokens = open_clip.get_tokenizer(model)

    def width(self, modality: Modality) -> int:
        """The joint space's."""
        import torch

        if not hasattr(self, "_width"):
            with torch.inference_mode():
                self._width = int(self.net.encode_text(self.tokens(["a"]).to(self.device)).shape[1])
        return self._width

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Cut at the model's context length (77 tokens, or SigLIP's 64) by its own tokenizer."""
        return in_batches(
            texts,
            self.config.batch_size,
            self.width("text"),
            lambda part: self.net.encode_text(self.tokens(list(part)).to(self.device)),
        )

    def encode_images(self, images: Sequence[Image]) -> Array:
        """Resized, cropped and scaled as the model was trained."""
        import torch

        def compute(part: Sequence[Any]) -> Any:
            batch = torch.stack([self.prepare(rgb(image)) for image in part])
            return self.net.encode_image(batch.to(self.device, self.config.dtype(self.device)))

        return in_batches(images, self.config.batch_size, self.width("image"), compute)
