"""What encoders with somebody's weights share: finding them, their number format, batches, and errors in plain
words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mmrec_core import settings
from mmrec_core.config import Config, setting
from mmrec_core.encoders._base import local, unit
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, blocks

DUAL = {"clip", "siglip", "siglip2", "chinese_clip", "align", "altclip"}
PICTURES = {
    "resnet",
    "vit",
    "convnext",
    "convnextv2",
    "dinov2",
    "swin",
    "beit",
    "deit",
    "regnet",
    "mobilenet_v2",
    "efficientnet",
}


class HubConfig(Config):
    """Which weights, and how they are run."""

    weights: str = setting("", "a folder with the model's files, or its name on the hub")
    batch_size: int = setting(32, "inputs at a time", ge=1, le=4096, advanced=True)
    precision: Literal["auto", "fp32", "fp16", "bf16"] = setting(
        "auto", "number format; auto: half on a GPU, full on a CPU", advanced=True
    )

    def dtype(self, device: str) -> torch.dtype:
        """The format that this means on a device."""
        if self.precision == "auto":
            return torch.float16 if device == "cuda" else torch.float32
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self.precision]


@contextlib.contextmanager
def loading(name: str, weights: str) -> Iterator[None]:
    """Turn a loader's many ways to fail into a line that says what is missing."""
    settings.silence_telemetry()
    try:
        yield
    except MMRecError:
        raise
    except ImportError as error:
        raise MMRecError(
            f"'{name}' needs a package that is not installed here ({error}); pip install -r requirements-encoders.txt."
        ) from None
    except Exception as error:
        info = (str(error).strip() or "no further word").splitlines()[0][:160]
        where = (
            "The folder is there but does not load"
            if local(weights)
            else f"'{weights}' is no folder here, and the hub did not give it"
        )
        raise MMRecError(
            f"The weights of '{name}' are not to be had. {where} ({type(error).__name__}: {info}). "
            "Bring the model's files to a folder and name it: --set weights=FOLDER."
        ) from None


def pretrained(name: str, config: HubConfig, device: str, *parts: str) -> tuple[Any, ...]:
    """A model in transformers' form, ready to be asked, and what goes with it.

    Args:
        parts: names of transformers' classes, such as ``AutoTokenizer``.

    Raises:
        MMRecError: not to be had; the line says what is missing.
    """
    with loading(name, config.weights):
        import transformers

        net = transformers.AutoModel.from_pretrained(config.weights, dtype=config.dtype(device), use_safetensors=True)
        return net.eval().to(device), *(getattr(transformers, part).from_pretrained(config.weights) for part in parts)


def family(weights: str) -> str:
    """Which encoder of the room reads a hub model: by what its config says it is.

    Raises:
        MMRecError: neither a folder nor to be had from the hub.
    """
    with loading(f"hf:{weights}", weights):
        from transformers import AutoConfig

        kind = str(AutoConfig.from_pretrained(weights).model_type)
    return "hf_dual" if kind in DUAL else "hf_image" if kind in PICTURES else "hf_text"


@torch.inference_mode()
def in_batches(inputs: Sequence[Any], size: int, width: int, compute: Callable[[Sequence[Any]], Tensor]) -> Array:
    """Unit vectors float32 ``[N, width]``, batch by batch."""
    out = np.zeros((len(inputs), width), np.float32)
    for part in blocks(len(inputs), size):
        out[part] = compute(inputs[part]).float().cpu().numpy()
    return unit(out)
