"""ImageBind's towers for texts and pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.encoders._base import Encoder, local
from mmrec_core.encoders._hub import HubConfig, in_batches, loading
from mmrec_core.errors import MMRecError
from mmrec_core.reading.images import rgb
from mmrec_core.types import Array, Modality

if TYPE_CHECKING:
    from PIL.Image import Image

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
EDGE, CONTEXT = 224, 77
NAMES = {"attn.": "self_attn.", "mlp.fc1": "linear1", "mlp.fc2": "linear2", "norm_1": "norm1", "norm_2": "norm2"}
"""Their names of a block's parts, and PyTorch's."""


class ImageBind(Encoder):
    """ImageBind-Huge (Girdhar et al. 2023): texts and pictures in one space of 1024 numbers; its other senses are not
    loaded.

    ``weights`` is the checkpoint that its authors publish (``imagebind_huge.pth``), or the same as safetensors, as a
    local file.
    """

    class Config(HubConfig):
        """Which checkpoint."""

        weights: str = setting("", "imagebind_huge.pth, or the same as .safetensors")
        batch_size: int = setting(8, "inputs at a time", ge=1, le=4096, advanced=True)
        heads: int = setting(16, "attention heads of both towers", ge=1, le=64, advanced=True)

    config: Config
    joint: ClassVar[bool] = True
    weighs: ClassVar[bool] = True

    def __init__(self, name: str, config: Config, device: str = "cpu") -> None:
        super().__init__(name, config, device)
        place = local(config.weights)
        if place is None or place.is_dir():
            raise MMRecError(
                f"'{name}' needs its checkpoint as a file (imagebind_huge.pth or .safetensors): --set weights=FILE."
            )
        with loading(name, config.weights):
            import open_clip
            from safetensors.torch import load_file

            held = (
                load_file(place)
                if place.suffix == ".safetensors"
                else torch.load(place, "cpu", mmap=True, weights_only=True)
            )
            self.vision, self.text = _Vision(held, config.heads), _Text(held, config.heads)
            for tower in (self.vision, self.text):
                tower.eval().to(device, config.dtype(device))
            self.tokens = open_clip.SimpleTokenizer(context_length=CONTEXT)

    def width(self, modality: Modality) -> int:
        """The joint space's."""
        return int(self.vision.project.out_features)

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Cut at 77 tokens, as CLIP's tokenizer does."""
        return in_batches(
            texts,
            self.config.batch_size,
            self.width("text"),
            lambda part: self.text(self.tokens(list(part)).to(self.device)),
        )

    def encode_images(self, images: Sequence[Image]) -> Array:
        """The shorter side brought to 224, the middle cut out."""
        from torchvision.transforms import v2

        prepare = v2.Compose(
            [
                v2.Resize(EDGE, v2.InterpolationMode.BICUBIC, antialias=True),
                v2.CenterCrop(EDGE),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

        def compute(part: Sequence[Any]) -> Tensor:
            batch = torch.stack([prepare(rgb(image)) for image in part])
            out: Tensor = self.vision(batch.to(self.device, self.config.dtype(self.device)))
            return out

        return in_batches(images, self.config.batch_size, self.width("image"), compute)


class _Tower(nn.Module):
    """Blocks that normalise first, a last norm, a projection."""

    def __init__(self, held: dict[str, Tensor], sense: str, heads: int, norm: str, project: str) -> None:
        super().__init__()
        prefix = f"modality_trunks.{sense}.blocks."
        depth = 1 + max(int(key.removeprefix(prefix).split(".")[0]) for key in held if key.startswith(prefix))
        out, width = held[f"{project}.weight"].shape
        hidden = held[f"{prefix}0.mlp.fc1.weight"].shape[0]
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, hidden, 0.0, nn.functional.gelu, 1e-6, batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        for at, block in enumerate(self.blocks):
            own = {k.removeprefix(f"{prefix}{at}."): v for k, v in held.items() if k.startswith(f"{prefix}{at}.")}
            block.load_state_dict(
                {re.sub("|".join(map(re.escape, NAMES)), lambda m: NAMES[m.group()], k): v for k, v in own.items()}
            )
        self.norm, self.project = nn.LayerNorm(width, 1e-6), nn.Linear(width, out, bias=False)
        self.norm.load_state_dict({end: held[f"{norm}.{end}"] for end in ("weight", "bias")})
        self.project.load_state_dict({"weight": held[f"{project}.weight"]})

    def through(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, src_mask=mask)
        return x


class _Vision(_Tower):
    def __init__(self, held: dict[str, Tensor], heads: int) -> None:
        super().__init__(held, "vision", heads, "modality_heads.vision.0", "modality_heads.vision.2")
        at = "modality_preprocessors.vision"
        patches = held[f"{at}.rgbt_stem.proj.1.weight"].sum(2)  # a picture is a film of two equal frames
        self.patches = nn.Conv2d(3, patches.shape[0], patches.shape[2:], patches.shape[2:], bias=False)  # type: ignore[arg-type]
        self.patches.load_state_dict({"weight": patches})
        self.first = nn.Parameter(held[f"{at}.cls_token"].clone())
        self.place = nn.Parameter(held[f"{at}.pos_embedding_helper.pos_embed"].clone())
        self.before = nn.LayerNorm(patches.shape[0], 1e-6)
        self.before.load_state_dict(
            {end: held[f"modality_trunks.vision.pre_transformer_layer.0.{end}"] for end in ("weight", "bias")}
        )

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = self.before(torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.place)
        out: Tensor = self.project(self.norm(self.through(x)[:, 0]))
        return out


class _Text(_Tower):
    def __init__(self, held: dict[str, Tensor], heads: int) -> None:
        super().__init__(held, "text", heads, "modality_heads.text.proj.0", "modality_heads.text.proj.1")
        at = "modality_preprocessors.text"
        self.words = nn.Embedding(*held[f"{at}.token_embedding.weight"].shape)
        self.words.load_state_dict({"weight": held[f"{at}.token_embedding.weight"]})
        self.place = nn.Parameter(held[f"{at}.pos_embed"].clone())

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.place
        later = torch.full((x.shape[1], x.shape[1]), -torch.inf, dtype=x.dtype, device=x.device).triu(1)
        last = tokens.argmax(1)  # the end-of-text token has the highest number
        out: Tensor = self.project(self.norm(self.through(x, later)[torch.arange(len(x), device=x.device), last]))
        return out
